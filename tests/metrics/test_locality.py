import math
from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from navbench.errors import NavbenchError
from navbench.metrics.locality import concentration, locality

SHARES = ("area50", "area90", "participation", "entropy_area")
heatmaps = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31)).map(
    lambda shape: torch.rand(*shape[:2], generator=torch.Generator().manual_seed(shape[2])).double() ** 4
)


def test_an_even_change_takes_its_share_of_the_pixels():
    found = concentration(torch.full((8, 8), 0.3))
    assert (found.area50, found.area90) == (pytest.approx(0.5), pytest.approx(0.9))
    assert (found.participation, found.entropy_area) == (pytest.approx(1), pytest.approx(1))
    assert found.mean_change == pytest.approx(0.3)


def test_a_change_of_one_pixel_is_as_local_as_can_be():
    heatmap = torch.zeros(8, 8)
    heatmap[2, 3] = 5.0
    found = concentration(heatmap)
    assert (found.area50, found.area90) == (pytest.approx(0.5 / 64), pytest.approx(0.9 / 64))
    assert (found.participation, found.entropy_area) == (pytest.approx(1 / 64), pytest.approx(1 / 64))


def test_areas_are_interpolated_within_the_last_pixel():
    found = concentration(torch.tensor([[6.0, 3.0], [1.0, 0.0]]))
    assert found.area50 == pytest.approx((5 / 6) / 4)
    assert found.area90 == pytest.approx(2 / 4)


def test_no_change_has_no_shares():
    found = concentration(torch.zeros(4, 4))
    assert found.mean_change == 0
    assert all(math.isnan(getattr(found, name)) for name in SHARES)


@given(heatmaps, st.floats(1e-6, 1e6))
@settings(deadline=None, max_examples=50)
def test_shares_depend_neither_on_scale_nor_on_place(heatmap, scale):
    found = asdict(concentration(heatmap))
    moved = asdict(concentration(scale * heatmap.flip(0).T))
    assert moved.pop("mean_change") == pytest.approx(scale * found.pop("mean_change"))
    assert moved == pytest.approx(found)


@given(heatmaps)
@settings(deadline=None, max_examples=50)
def test_shares_stay_within_their_bounds(heatmap):
    found = concentration(heatmap)
    one = 1 / heatmap.numel()
    slack = 1e-9
    assert 0 < found.area50 <= 0.5 + slack
    assert found.area50 < found.area90 <= 0.9 + slack
    assert one - slack <= found.participation <= found.entropy_area + slack <= 1 + 2 * slack


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_heatmap_that_is_no_squared_change_is_refused(value):
    with pytest.raises(NavbenchError, match="heatmap"):
        concentration(torch.tensor([[1.0, value]]))


def test_locality_is_the_concentration_of_all_groups_together():
    sums = torch.rand(4, 5, 5, generator=torch.Generator().manual_seed(0))
    counts = torch.tensor([2, 2, 2, 3])
    found = locality(sums, counts)
    assert {name: number.value for name, number in found.items()} == pytest.approx(
        asdict(concentration(sums.sum(0) / 9))
    )


def test_the_standard_error_of_mean_change_is_that_of_the_mean_over_groups():
    sums = torch.rand(6, 5, 5, generator=torch.Generator().manual_seed(1)).double()
    means = sums.mean((1, 2)) / 2
    found = locality(sums, torch.full((6,), 2))["mean_change"]
    assert found.stderr == pytest.approx(float(means.std()) / math.sqrt(6))


def test_the_standard_error_is_the_spread_over_replications():
    even = torch.linspace(0.1, 1, 36).reshape(6, 6).double() ** 2
    draws = torch.rand(300, 10, 6, 6, generator=torch.Generator().manual_seed(2)).double() * even
    counts = torch.ones(10)
    found = [locality(draw, counts)["area50"] for draw in draws]
    spread = torch.tensor([number.value for number in found]).std()
    typical = torch.tensor([number.stderr for number in found]).mean()
    assert float(typical) == pytest.approx(float(spread), rel=0.25)


def test_a_single_group_is_refused():
    with pytest.raises(NavbenchError, match="two groups"):
        locality(torch.ones(1, 4, 4), torch.ones(1))
