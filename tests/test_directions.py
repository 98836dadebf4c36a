import pytest
import torch
from analytic import LinearGenerator, direction, noise, unit, wrapped
from hypothesis import given
from hypothesis import strategies as st
from sets import LAYER, made

from navbench.errors import NavbenchError


@pytest.fixture(scope="module")
def generator():
    return wrapped()


@given(st.floats(-1e5, -1e-3), st.floats(1e-3, 1e5), st.integers(1, 20))
def test_shifts_rise_from_end_to_end_through_zero(t_min, t_max, half):
    generator = LinearGenerator()
    shifts = direction(generator, noise(0, 4, 3, 4, 4), layer="map", ends=(t_min, t_max)).shifts(2 * half + 1)
    assert len(shifts) == 2 * half + 1
    assert shifts[half] == 0
    assert (shifts.diff() > 0).all()
    assert shifts[0] == pytest.approx(t_min)
    assert shifts[-1] == pytest.approx(t_max)
    torch.testing.assert_close(shifts[: half + 1].diff(), torch.full((half,), -t_min / half, dtype=torch.float64))
    torch.testing.assert_close(shifts[half:].diff(), torch.full((half,), t_max / half, dtype=torch.float64))


@pytest.mark.parametrize("count", [-1, 0, 1, 2, 10])
def test_a_curve_without_zero_in_its_middle_is_refused(count):
    with pytest.raises(NavbenchError, match="odd number of at least 3"):
        direction(LinearGenerator(), noise(0, 4, 3, 4, 4), layer="map").shifts(count)


def test_a_direction_is_named_by_generator_method_place_and_index(generator):
    found = made(generator)[2]
    assert found.name == "convolutions/spectrum/wide/2"
    assert found.slug == "convolutions-spectrum-wide-2"
    assert direction(generator, noise(0, 6), space="z").name == "convolutions/made/z/0"
    assert [each.place for each in (found, direction(generator, noise(0, 6), space="z"))] == ["wide", "z"]


def test_a_direction_of_another_shape_is_refused(generator):
    found = direction(generator, noise(0, 8, 8, 1, 1), layer=LAYER)
    with pytest.raises(NavbenchError, match=r"\(8, 8, 1, 1\), but parameter wide .* \(8, 8, 3, 3\)"):
        found.space_of(generator)
    assert made(generator)[0].space_of(generator).shape == (8, 8, 3, 3)


def test_directions_are_combinations_of_the_basis_scaled_to_unit_norm(generator):
    coefficients = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, -2.0]])
    found = made(generator, coefficients=coefficients, t_min=-torch.ones(2), t_max=torch.ones(2), labels=("", ""))
    vectors = found.basis.vectors
    assert len(found) == len(list(found)) == 2
    torch.testing.assert_close(found[0].offset, unit(3 * vectors[0] + 4 * vectors[1]))
    torch.testing.assert_close(found[1].offset, -vectors[2])
