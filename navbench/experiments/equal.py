"""Every number of realism at one effect, by each direction's own points there; what does not reach it is not compared.

The rise of a distance is followed between measured effects, whose errors are in that of the result (see
`metrics.interpolation`).  So directions are compared where they do the same amount, whatever their ranges are.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from navbench.directions import Direction
from navbench.experiments.curves import curves_of, realism
from navbench.experiments.ends import measured_ends
from navbench.experiments.fid_curve import Curve
from navbench.experiments.footing import EqualEffect
from navbench.experiments.measurement import Measurement
from navbench.metrics import estimate
from navbench.metrics.by_code import METRICS
from navbench.metrics.estimate import Estimate
from navbench.metrics.interpolation import Point, Sides, at_both_sides, reach, unshifted


@dataclass(frozen=True)
class Equal:
    """The numbers of directions at both ends, from which follow those at one effect.

    Attributes:
        at: the effect.
        sides: by metric and the direction's name.
    """

    at: EqualEffect
    sides: Mapping[str, Mapping[str, Sides]]

    def values(self, metric: str, directions: Iterable[Direction]) -> dict[str, Estimate]:
        """The number of some directions at the effect, in the mean over both sides, of those that reach it there."""
        sides = self.sides.get(metric, {})
        both = {one.name: at_both_sides(sides[one.name], self.at.effect) for one in directions if one.name in sides}
        return {name: value for name, value in both.items() if value is not None and math.isfinite(value.value)}

    def floor(self, metric: str) -> Estimate:
        """The number at t = 0, which all directions share."""
        low, _ = next(iter(self.sides[metric].values()))
        return low[0].value


def equal(on: Measurement) -> Equal | None:
    """Of all directions by `ends`, and of those with curves a Fréchet distance; `None` without either.

    Without `ends` a kernel distance is of the curves, too.
    """
    ended, curves = measured_ends(on), curves_of(on)
    sides = {metric: {name: one.sides(metric) for name, one in ended.items()} for metric in METRICS if ended}
    if curves:
        floor = realism(on).floor
        sides[realism(on).extractor.metric] = _along(curves, floor, lambda curve, index: curve.frechet_at(index))
        if not ended:
            sides["KID"] = _along(curves, floor, lambda curve, index: curve.kernel_at(index))
    at = EqualEffect.of(on, {name: reach(both) for name, both in sides.get("KID", {}).items()})
    return None if at is None else Equal(at, sides)


def _along(curves: Mapping[str, Curve], floor: Curve, value: Callable[[Curve, int], Estimate]) -> dict[str, Sides]:
    start = unshifted(value(floor, 0))
    return {name: _sides(curve, start, value) for name, curve in curves.items()}


def _sides(curve: Curve, start: Point, value: Callable[[Curve, int], Estimate]) -> Sides:
    middle = len(curve.effects) // 2
    points = [_point(effects, value(curve, index)) for index, effects in enumerate(curve.effects)]
    return [start, *points[:middle][::-1]], [start, *points[middle:]]


def _point(effects: Tensor, value: Estimate) -> Point:
    """A number where the effect is known of the first codes alone, (m,)."""
    return Point(estimate.of_first(estimate.mean(effects[: value.n]), value.n), value)
