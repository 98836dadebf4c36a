"""On what numbers of directions are compared: at which effect, and at which ends of their ranges."""

from collections.abc import Mapping
from dataclasses import dataclass

from navbench.directions import DirectionSet
from navbench.experiments.calibration import parse_target
from navbench.experiments.measurement import Measurement
from navbench.metrics.interpolation import common_effect


def effect_target(on: Measurement, found: DirectionSet) -> float | None:
    """The effect that the ranges of a set were calibrated to; `None` if it was something else than an effect."""
    if not on.bench.suite.calibrate:
        return found.settings.get("effect")
    target = parse_target(on.bench.suite.calibrate)
    return target.amount if target.is_effect else None


def fair_ends(on: Measurement, name: str) -> list[int]:
    """The ends of a direction's range that may be compared with others': both, or those that calibration reached."""
    if name not in on.ranges:
        return [0, -1]
    there = on.ranges[name].is_reached(parse_target(on.bench.suite.calibrate)).tolist()
    return [end for end, reached in zip((0, -1), there, strict=True) if reached]


@dataclass(frozen=True)
class EqualEffect:
    """The one effect at which the directions of a generator are compared.

    Attributes:
        effect: the largest that nearly all directions reach at both ends, at most the target.
        target: the least of those that their ranges were calibrated to; `None` if unknown.
        reached: how many of the directions reach it at both ends; the others are not compared.
        total: how many there are.
    """

    effect: float
    target: float | None
    reached: int
    total: int

    @classmethod
    def of(cls, on: Measurement, reaches: Mapping[str, float]) -> "EqualEffect | None":
        """Of directions whose least of both ends reaches so far, by name; `None` if none has an effect."""
        if not reaches:
            return None
        targets = [target for found in on.plan.sets if (target := effect_target(on, found)) is not None]
        target = min(targets, default=None)
        effect = common_effect(list(reaches.values()), target)
        if effect is None:
            return None
        return cls(effect, target, sum(reach >= effect for reach in reaches.values()), len(reaches))
