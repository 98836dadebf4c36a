"""How far an edit goes until a distance has risen by a given amount: the limit of t at one end of a range."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate, variance

WITHIN, BEYOND, UNDECIDED = "within", "beyond", "undecided"
"""Whether the limit lies within the measured range; beyond it, it is not extrapolated.

Beyond is what has risen significantly less than the amount (95 %) at each measured shift; what has not risen so far,
but not significantly less either, is undecided.
"""
BAND = 1.96
"""Standard errors to either side of a number."""


@dataclass(frozen=True)
class Limit:
    """The limit of t at one end.

    Attributes:
        t: the shift, with its sign; NaN unless it lies within the range.
        stderr: its standard error, of the codes and of the amount; NaN likewise.
        status: `WITHIN`, `BEYOND` or `UNDECIDED`.
        rise: of the distance at the end of the range, from t = 0.
    """

    t: float
    stderr: float
    status: str
    rise: Estimate


def limit_along(shifts: Sequence[float], values: Sequence[Estimate], amount: Estimate) -> Limit:
    """The first shift at which the distance lies above that at t = 0 by an amount.

    Between two shifts the rise is taken to be linear in t², as an effect is near t = 0 (see `interpolation.on_line`);
    the error is that of the delta method.

    Args:
        shifts: from t = 0 outward, to one side.
        values: the distance at each, all on the same codes.
        amount: above 0, measured on other codes.
    """
    rises = [estimate.difference(value, values[0]) for value in values]
    points = list(zip(shifts, rises, strict=True))
    for (t_near, near), (t_far, far) in pairwise(points):
        if far.value >= amount.value:
            share = (amount.value - near.value) / (far.value - near.value)
            start, run = t_near**2, t_far**2 - t_near**2
            t = math.copysign(math.sqrt(start + share * run), t_far)
            per_rise = run / (2 * abs(t)) / (far.value - near.value)
            moved: Tensor = -per_rise * ((1 - share) * near.influence + share * far.influence)
            spread = variance(moved) + (per_rise * amount.stderr) ** 2
            return Limit(t, math.sqrt(spread), WITHIN, rises[-1])
    is_less = all(rise.value + BAND * math.hypot(rise.stderr, amount.stderr) < amount.value for rise in rises[1:])
    return Limit(math.nan, math.nan, BEYOND if is_less else UNDECIDED, rises[-1])
