"""On what numbers of direction sets were taken: only numbers on one footing are compared."""

from collections.abc import Iterable

from navbench.directions import DirectionSet
from navbench.experiments.calibration import parse_target
from navbench.experiments.curves import curves_of
from navbench.experiments.measurement import Measurement
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate

Footing = tuple[float | None, tuple[tuple[int, ...], ...], str]
"""What numbers of two sets must share to be compared: the effect, of which directions they are at which ends, and who
chose these: '', or the set's own race, whose winners stand for no method."""


def effect_target(on: Measurement, found: DirectionSet) -> float | None:
    """The effect that the ranges of a set were calibrated to; `None` if it was something else than an effect."""
    if not on.bench.suite.calibrate:
        return found.settings.get("effect")
    target = parse_target(on.bench.suite.calibrate)
    return target.amount if target.is_effect else None


def fair_ends(on: Measurement, name: str) -> list[int]:
    """The ends of a direction's curve that may be compared with others': both, or those that calibration reached."""
    if name not in on.ranges:
        return [0, -1]
    there = on.ranges[name].is_reached(parse_target(on.bench.suite.calibrate)).tolist()
    return [end for end, reached in zip((0, -1), there, strict=True) if reached]


def realism_of(on: Measurement, found: DirectionSet) -> tuple[Estimate, Estimate] | None:
    """The mean Fréchet and kernel distance of a set's directions with curves, at their fair ends; `None` of none."""
    curves = curves_of(on)
    ends = [(curves[one.name], end) for one in found if one.name in curves for end in fair_ends(on, one.name)]
    if not ends:
        return None
    fd = estimate.average([curve.frechet_at(end) for curve, end in ends])
    return fd, estimate.average([curve.kernel_at(end) for curve, end in ends])


def footing(on: Measurement, found: DirectionSet) -> Footing:
    """On what the mean distances of a set were taken."""
    curves = curves_of(on)
    return footing_of(on, found, [(one.index, *fair_ends(on, one.name)) for one in found if one.name in curves])


def footing_of(on: Measurement, found: DirectionSet, directions: Iterable[tuple[int, ...]]) -> Footing:
    """On what a mean over some directions of a set was taken, each by its index, with its ends if they matter."""
    return effect_target(on, found), tuple(directions), found.set_id if on.laps else ""
