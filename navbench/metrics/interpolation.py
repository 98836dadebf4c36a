"""What a number is at a given effect, between measured effects; the error of the effects is in that of the result."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate

SHARE = 0.9
"""The share of directions that must reach an effect for them to be compared there."""


@dataclass(frozen=True, eq=False)
class Point:
    """A number where an edit has an effect, both on the same codes."""

    effect: Estimate
    value: Estimate


Sides = tuple[Sequence[Point], Sequence[Point]]
"""The points of a direction at negative and at positive t, either from t = 0 outward."""


def unshifted(value: Estimate) -> Point:
    """A number at t = 0, where the effect is 0."""
    return Point(Estimate(0.0, torch.zeros_like(value.influence)), value)


def on_line(start: Point, end: Point, effect: float) -> Estimate:
    """The number at an effect on the line through two points, by the delta method.

    Near 0 an effect goes with the square of t, and so does the rise of a distance in the mean over both ends; that of
    one end has a part that goes with t, where the reference is not the unshifted images.
    """
    run, rise = end.effect.value - start.effect.value, end.value.value - start.value.value
    share = (effect - start.effect.value) / run
    of_share = -((1 - share) * start.effect.influence + share * end.effect.influence) / run
    influence = (1 - share) * start.value.influence + share * end.value.influence + rise * of_share
    return Estimate(start.value.value + share * rise, influence)


def at_effect(points: Sequence[Point], effect: float) -> Estimate | None:
    """The number where a side of a curve first has an effect, between the points there; `None` if it has not.

    Args:
        points: from t = 0 outward.
        effect: above 0.
    """
    for start, end in pairwise(points):
        if end.effect.value >= effect:
            return on_line(start, end, effect)
    return None


def at_both_sides(sides: Sides, effect: float) -> Estimate | None:
    """The mean of the number over both sides at an effect; `None` unless both reach it."""
    both = [value for side in sides if (value := at_effect(side, effect)) is not None]
    return estimate.average(both) if len(both) == len(sides) else None


def reach(sides: Sides) -> float:
    """The largest effect that a direction reaches at both sides."""
    return min(max(point.effect.value for point in side) for side in sides)


def common_effect(reaches: Sequence[float], target: float | None) -> float | None:
    """The effect at which directions are compared: the largest that `SHARE` of them reach, at most the target.

    Those without an effect at an end have no say; `None` if there are no others.

    Args:
        reaches: of each direction (see `reach`).
        target: that they were calibrated to; `None` if unknown.
    """
    ordered = sorted((each for each in reaches if each > 0), reverse=True)
    if not ordered:
        return None
    most = ordered[min(math.ceil(SHARE * len(ordered)), len(ordered)) - 1]
    return most if target is None else min(most, target)
