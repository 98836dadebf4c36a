"""Which ends of a curve count, and how uncertain shares are, by numbers that are worked out by hand."""

from math import sqrt
from types import SimpleNamespace

import pytest
import torch
import toy
from analytic import ranged
from made_up import measurement

from navbench.experiments.asymmetry import beyond, difference_of, share_of
from navbench.experiments.footing import EqualEffect, effect_target, fair_ends


def found(effect):
    """A set whose ranges were calibrated to an effect."""
    return SimpleNamespace(settings={"effect": effect})


@pytest.mark.parametrize(
    ("reached", "ends"), [((0.2, 0.2), [0, -1]), ((0.1, 0.2), [-1]), ((0.2, 0.1), [0]), ((0.1, 0.1), []), ((), [0, -1])]
)
def test_only_ends_that_reached_the_target_count(reached, ends):
    ranges = {"toy/set/0": ranged(*reached)} if reached else {}
    on = measurement(ranges=ranges, suite=toy.tiny(experiments=[], calibrate="effect=0.2"))
    assert fair_ends(on, "toy/set/0") == ends


@pytest.mark.parametrize(
    ("target", "reaches", "effect", "reached"),
    [
        (0.12, [0.13] * 10, 0.12, 10),
        (0.12, [0.13] * 9 + [0.02], 0.12, 9),
        (0.12, [0.13] * 8 + [0.1, 0.02], 0.1, 9),
        (None, [0.3, 0.2], 0.2, 2),
    ],
)
def test_directions_are_compared_at_the_largest_effect_that_nearly_all_reach(target, reaches, effect, reached):
    on = measurement(sets=[found(target)] if target else [])
    equal = EqualEffect.of(on, {str(k): reach for k, reach in enumerate(reaches)})
    assert (equal.effect, equal.target, equal.reached, equal.total) == (effect, target, reached, len(reaches))


def test_the_effect_is_of_the_suite_where_it_calibrates_to_one_and_else_of_the_set():
    targets = {"": 0.3, "effect=0.2": 0.2, "brightness=0.2lx": None}
    for calibrate, effect in targets.items():
        assert effect_target(measurement(suite=toy.tiny(experiments=[], calibrate=calibrate)), found(0.3)) == effect


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
