"""The Wasserstein-1 distance on the line against SciPy's, and on the circle against transports that are known."""

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from navbench.errors import NavbenchError
from navbench.metrics.wasserstein import wasserstein

NUMBERS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=12)


@given(NUMBERS, NUMBERS)
def test_on_the_line_it_is_scipys(x, y):
    ours = wasserstein(torch.tensor(x), torch.tensor(y))
    assert ours == pytest.approx(scipy.stats.wasserstein_distance(x, y), abs=1e-9)


@given(st.lists(st.floats(0, 359.9), min_size=1, max_size=12), st.floats(-180, 180))
def test_a_turned_point_has_moved_by_its_angle_the_short_way(places, angle):
    x = torch.tensor(places[:1], dtype=torch.float64)
    assert wasserstein(x, x + angle, 360) == pytest.approx(abs(angle), abs=1e-9)


@given(st.lists(st.floats(0, 12), min_size=1, max_size=9), st.lists(st.floats(0, 12), min_size=1, max_size=9))
def test_turning_both_samples_changes_nothing(x, y):
    x, y = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    assert wasserstein(x + 5, y + 5, 12) == pytest.approx(wasserstein(x, y, 12), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 12), st.floats(0, 12)), min_size=1, max_size=5))
def test_on_the_circle_it_is_the_best_pairing(pairs):
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    away = (x[:, None] - y).abs()
    cost = torch.minimum(away, 12 - away)
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    assert wasserstein(x, y, 12) == pytest.approx(float(cost[rows, columns].mean()), abs=1e-9)


def test_a_quarter_against_the_whole_circle_is_known():
    """Mass of [0, P/4) spread over [0, P): on either side a stretch of P/8 becomes one of P/2."""
    quarter, whole = torch.arange(1000) / 4000, torch.arange(4000) / 4000
    assert wasserstein(quarter, whole, 1.0) == pytest.approx(3 / 16, abs=1e-3)


def test_what_is_not_finite_or_empty_is_refused():
    with pytest.raises(NavbenchError):
        wasserstein(torch.tensor([1.0, torch.nan]), torch.tensor([1.0]))
    with pytest.raises(NavbenchError):
        wasserstein(torch.tensor([]), torch.tensor([1.0]))
