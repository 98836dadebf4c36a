"""Which ends of a curve count, and how uncertain shares are, by numbers that are worked out by hand."""

from math import sqrt
from types import SimpleNamespace

import pytest
import torch
import toy
from analytic import ranged
from made_up import measurement

from navbench.experiments.asymmetry import beyond, difference_of, share_of
from navbench.experiments.curves import Curves, CurvesFound
from navbench.experiments.footing import effect_target, fair_ends, footing, realism_of
from navbench.metrics.estimate import Estimate


class Found(list):
    """A set of two directions."""

    settings = {"effect": 0.3}  # noqa: RUF012


FOUND = Found(SimpleNamespace(name=f"toy/set/{index}", index=index) for index in (0, 1))


class Ends:
    """A curve of Fréchet distance 1 at t_min and 5 at t_max, and ten times that of kernel distance."""

    def frechet_at(self, end):
        return Estimate({0: 1.0, -1: 5.0}[end], torch.zeros(4).double())

    def kernel_at(self, end):
        return Estimate({0: 10.0, -1: 50.0}[end], torch.zeros(4).double())


def results(*reached):
    """One curve of direction 0, whose ends reached these effects; none without a calibration."""
    ends = ranged(*reached) if reached else None
    curves = CurvesFound({"toy/set/0": Ends(), "toy/other/0": Ends()}, {})
    ranges = {"toy/set/0": ends} if reached else {}
    return measurement({Curves: curves}, ranges=ranges, suite=toy.tiny(experiments=[], calibrate="effect=0.2"))


@pytest.mark.parametrize(
    ("reached", "ends", "fd"),
    [
        ((0.2, 0.2), [0, -1], 3.0),
        ((0.1, 0.2), [-1], 5.0),
        ((0.2, 0.1), [0], 1.0),
        ((0.1, 0.1), [], None),
        ((), [0, -1], 3.0),
    ],
)
def test_only_ends_that_reached_the_target_count(reached, ends, fd):
    on = results(*reached)
    assert fair_ends(on, "toy/set/0") == ends
    both = realism_of(on, FOUND)
    assert (both and [distance.value for distance in both]) == (fd and [fd, 10 * fd])
    assert footing(on, FOUND) == (0.2, ((0, *ends),), "")


def test_the_effect_is_of_the_suite_where_it_calibrates_to_one_and_else_of_the_set():
    targets = {"": 0.3, "effect=0.2": 0.2, "brightness=0.2lx": None}
    for calibrate, effect in targets.items():
        assert effect_target(measurement(suite=toy.tiny(experiments=[], calibrate=calibrate)), FOUND) == effect


def test_a_share_has_the_error_of_agresti_and_coull():
    share, stderr = share_of(torch.zeros(10, dtype=torch.bool))
    assert (share, stderr) == pytest.approx((0, sqrt(2 / 14 * 12 / 14 / 14)))


def test_a_difference_of_shares_has_the_error_of_bonett_and_price():
    low = torch.tensor([True] * 5 + [False] * 5)
    high = torch.tensor([True] * 2 + [False] * 7 + [True])
    p, q = 4 / 12, 2 / 12
    assert difference_of(low, high) == pytest.approx((0.2, sqrt((p + q - (p - q) ** 2) / 12)))
    assert difference_of(high, high) == pytest.approx((0, sqrt(2 / 12 / 12)))


def test_beyond_an_end_is_further_out_on_its_own_side():
    scores = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert beyond(scores, 0.0, 1.0).tolist() == [False] * 4 + [True]
    assert beyond(scores, 0.0, -1.0).tolist() == [True] + [False] * 4
