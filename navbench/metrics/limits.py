"""How far an edit goes until a distance has risen by a given amount: the limit of t at one end of a range."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from navbench.metrics import estimate
from navbench.metrics.estimate import BAND, Estimate, variance

WITHIN, BEYOND, UNDECIDED = "within", "beyond", "undecided"
"""Whether the limit lies within the measured range; beyond it, it is not extrapolated.

Beyond is what has risen significantly less than the amount (95 %) at each measured shift; what has not risen so far,
but not significantly less either, is undecided.
"""


@dataclass(frozen=True)
class Limit:
    """The limit of t at one end.

    Attributes:
        t: the shift, with its sign; NaN unless it lies within the range.
        stderr: its standard error, of the codes and of the amount; NaN likewise.
        status: `WITHIN`, `BEYOND` or `UNDECIDED`.
        shown: the shift up to which no break is shown: where the upper end of the rise (95 %, both errors) meets the
            amount, or the end of the range.
        rise: of the distance at the end of the range, from t = 0.
    """

    t: float
    stderr: float
    status: str
    shown: float
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
    upper = [rise.value + BAND * math.hypot(rise.stderr, amount.stderr) for rise in rises]
    risky = _first_reached(upper, amount.value)
    shown = shifts[-1] if risky is None else _between(shifts, *risky)
    reached = _first_reached([rise.value for rise in rises], amount.value)
    if reached is None:
        return Limit(math.nan, math.nan, BEYOND if risky is None else UNDECIDED, shown, rises[-1])
    place, share = reached
    near, far, t = rises[place], rises[place + 1], _between(shifts, place, share)
    per_rise = (shifts[place + 1] ** 2 - shifts[place] ** 2) / (2 * abs(t)) / (far.value - near.value)
    moved: Tensor = -per_rise * ((1 - share) * near.influence + share * far.influence)
    spread = variance(moved) + (per_rise * amount.stderr) ** 2
    return Limit(t, math.sqrt(spread), WITHIN, shown, rises[-1])


def _first_reached(rises: Sequence[float], amount: float) -> tuple[int, float] | None:
    """The number of the shift before the amount is first reached, and the share of the way to the next, in t²."""
    for place, (near, far) in enumerate(pairwise(rises)):
        if far >= amount:
            return place, (amount - near) / (far - near) if near < amount else 0.0
    return None


def _between(shifts: Sequence[float], place: int, share: float) -> float:
    """The shift at that share, in t², of the way from one shift to the next."""
    start, end = shifts[place], shifts[place + 1]
    return math.copysign(math.sqrt(start**2 + share * (end**2 - start**2)), end)
