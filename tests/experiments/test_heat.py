import pytest
import torch
from analytic import LinearGenerator, edit, noise
from hypothesis import given
from hypothesis import strategies as st

from navbench.compute import Compute
from navbench.experiments.edit import codes_for
from navbench.experiments.locality import groups, heat
from navbench.metrics.locality import concentration

SHIFTS = [-3.0, -1.5, 1.5, 3.0]
CODES = 12


@pytest.fixture(scope="module")
def generator():
    return LinearGenerator(latent_dim=3, side=6)


def masked(generator):
    """An offset whose edit changes the pixels of a known mask alone, by a known amount."""
    mask = torch.zeros(6, 6)
    mask[1:3, 2:5] = 1
    offset = noise(0, *generator.map.weight.shape) * mask
    return offset / offset.norm(), mask


@pytest.mark.parametrize("batch", [5, 64])
def test_a_masked_edit_heats_its_mask_by_the_squared_change_and_nothing_else(generator, batch):
    offset, mask = masked(generator)
    found = heat(edit(generator, offset, Compute(batch=batch), layer="map"), SHIFTS, range(CODES), seed=4)
    assert (found.change[mask == 0] == 0).all()
    inputs = generator.inputs(codes_for(generator, "locality", range(CODES), 4)).double()
    each = torch.einsum("nc,cdyx->ndyx", inputs, offset.double()).square().sum((0, 1))
    expected = sum(t * t for t in SHIFTS) * each
    torch.testing.assert_close(found.change, expected, rtol=1e-4, atol=1e-6)
    assert found.change.dtype == torch.float64
    assert (found.change[mask == 1] > 0).all()
    assert found.count.tolist() == [CODES * len(SHIFTS), CODES]


def test_the_mean_image_is_that_of_the_unshifted_generator(generator):
    offset, _ = masked(generator)
    found = heat(edit(generator, offset, layer="map"), SHIFTS, range(CODES), seed=4)
    images = generator(codes_for(generator, "locality", range(CODES), 4))
    torch.testing.assert_close(found.image / found.count[1], images.double().mean(0), rtol=1e-5, atol=1e-6)


def test_an_even_edit_within_a_mask_takes_the_share_of_the_mask(generator):
    _, mask = masked(generator)
    even = generator.row(3, mask.expand(3, 6, 6))
    found = heat(edit(generator, even, layer="map"), SHIFTS, range(CODES), seed=4)
    summary = concentration(found.change)
    assert summary.area90 == pytest.approx(0.9 * 6 / 36, rel=1e-4)
    assert summary.participation == pytest.approx(6 / 36, rel=1e-4)


def test_groups_of_codes_add_up_to_all_of_them(generator):
    made = edit(generator, masked(generator)[0], layer="map")
    together = heat(made, SHIFTS, range(CODES), seed=4)
    parts = [heat(made, SHIFTS, indices, seed=4) for indices in groups(CODES, 5)]
    torch.testing.assert_close(sum(part.change for part in parts), together.change, rtol=1e-5, atol=0)
    torch.testing.assert_close(sum(part.image for part in parts), together.image, rtol=1e-5, atol=1e-6)
    assert torch.equal(sum(part.count for part in parts), together.count)


def test_no_shift_is_no_heat(generator):
    found = heat(edit(generator, masked(generator)[0], layer="map"), [0.0], range(CODES), seed=4)
    assert (found.change == 0).all()


@given(st.integers(1, 500), st.integers(1, 20))
def test_groups_are_a_partition_into_nearly_equal_runs(codes, count):
    found = groups(codes, count)
    assert [index for rows in found for index in rows] == list(range(codes))
    sizes = [len(rows) for rows in found]
    assert len(found) == min(count, codes)
    assert max(sizes) - min(sizes) <= 1
