"""How far an edit goes until a distance has risen by a given amount."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.limits import BEYOND, UNDECIDED, WITHIN, limit_along

N = 400
EXACT = Estimate(0.5, torch.zeros(N))
"""An amount that is known without an error."""


def known(value):
    """A distance without an error."""
    return Estimate(value, torch.zeros(N).double())


@given(
    curvature=st.floats(0.01, 10), amount=st.floats(0.01, 5), far=st.floats(0.5, 50), sign=st.sampled_from([-1, 1]),
    inner=st.floats(0.1, 0.9),
)  # fmt: skip
def test_of_a_parabola_the_limit_is_exact_whatever_the_shifts(curvature, amount, far, sign, inner):
    shifts = [0.0, sign * inner * far, sign * far]
    values = [known(0.3 + curvature * t**2) for t in shifts]
    limit = limit_along(shifts, values, Estimate(amount, torch.zeros(N)))
    if curvature * far**2 >= amount:
        assert limit.status == WITHIN
        assert limit.t == pytest.approx(sign * math.sqrt(amount / curvature), rel=1e-6)
        assert limit.stderr == pytest.approx(0, abs=1e-9)
    else:
        assert limit.status == BEYOND
        assert math.isnan(limit.t)
    assert limit.rise.value == pytest.approx(curvature * far**2)
    assert limit.shown == pytest.approx(limit.t if limit.status == WITHIN else shifts[-1], rel=1e-6)  # without errors


def test_the_first_of_several_crossings_counts():
    limit = limit_along([0, 1, 2, 3], [known(0), known(1), known(0), known(1)], EXACT)
    assert limit.t == pytest.approx(math.sqrt(0.5))


def test_a_distance_that_falls_has_its_limit_beyond_the_range():
    assert limit_along([0, -1, -2], [known(1), known(0.5), known(0)], EXACT).status == BEYOND


def test_what_is_not_significantly_below_the_amount_at_some_shift_is_undecided():
    """Two errors of .03 and .04 make one of .05, of which 1.96 are .098."""

    def spread(value, stderr):
        around = torch.linspace(-1, 1, N).double()
        return Estimate(value, around * (stderr / Estimate(0.0, around).stderr))

    def along(*rises):
        values = [known(1.0), *(spread(1 + rise, 0.03) for rise in rises)]
        return limit_along(range(len(values)), values, spread(0.5, 0.04))

    def status(*rises):
        return along(*rises).status

    assert status(0.39, 0.2) == status(0.2, 0.39) == BEYOND
    assert status(0.41, 0.2) == status(0.2, 0.41) == UNDECIDED
    assert status(0.51, 0.2) == WITHIN
    # No break is shown up to where rise + 1.96 errors is 0.5: at t = 0 that is 1.96 * 0.04, as the start has no error.
    start, end = 1.96 * 0.04, 0.45 + 0.098
    assert along(0.45).shown == pytest.approx(math.sqrt((0.5 - start) / (end - start)))
    assert along(0.45, -3.0).shown == along(0.45).shown  # what comes after a break does not mend it
    assert along(0.1, 0.2).shown == 2


def test_the_error_is_the_spread_over_draws_of_codes_and_of_the_amount():
    """Rises of codes vary, alike at both shifts in part; the amount is of other codes."""
    generator = torch.Generator().manual_seed(0)

    def draw():
        common, far = (torch.randn(N, generator=generator).double() for _ in range(2))
        start = estimate.mean(0.1 + 0.5 * common)
        values = [start, estimate.mean(0.4 + common), estimate.mean(1.3 + common + far)]
        return limit_along([0.0, 1.0, 2.0], values, estimate.mean(0.7 + torch.randn(N, generator=generator).double()))

    limits = [draw() for _ in range(400)]
    assert all(limit.status == WITHIN for limit in limits)
    spread = torch.tensor([limit.t for limit in limits]).double().std()
    reported = torch.tensor([limit.stderr for limit in limits]).double().mean()
    assert float(reported / spread) == pytest.approx(1, abs=0.12)
