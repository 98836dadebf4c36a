"""Limits: how far each direction goes before realism breaks, at either end of its range.

It has broken where the KID lies above that of unshifted images by as much as a known damage raises it, which the check
of the instrument measures. So the amount is something that can be looked at, whatever the scale of the extractor.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pydantic import model_validator

from navbench.directions import Direction
from navbench.experiments.curves import Curves, curves_of, realism
from navbench.experiments.ends import Ends, measured_ends
from navbench.experiments.experiment import Experiment
from navbench.experiments.instrument import KID, Instrument
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import ENDS, Row, estimated, who
from navbench.metrics import estimate
from navbench.metrics.damage import DAMAGES
from navbench.metrics.estimate import BAND, Estimate
from navbench.metrics.limits import Limit, limit_along
from navbench.settings import Settings


class LimitSettings(Settings):
    """By how much the KID may rise: as much as a damage of a strength that the instrument was checked with raises it.

    Attributes:
        damage: one of `metrics.damage.DAMAGES`.
        strength: one of its strengths; 0 for the middle one.
    """

    damage: str = "grain"
    strength: float = 0.0

    @model_validator(mode="after")
    def _is_checked(self) -> Self:
        strengths = {damage.name: damage.strengths for damage in DAMAGES}
        if self.damage not in strengths:
            raise ValueError(f"there is no damage {self.damage!r}; there are {', '.join(strengths)}")
        if self.strength not in (0.0, *strengths[self.damage]):
            there = ", ".join(f"{each:g}" for each in strengths[self.damage])
            raise ValueError(f"{self.damage} is not checked at strength {self.strength:g}; it is at {there}")
        return self

    @property
    def checked_strength(self) -> float:
        """The strength, or the middle one of the damage's."""
        (damage,) = (each for each in DAMAGES if each.name == self.damage)
        return self.strength or damage.strengths[len(damage.strengths) // 2]


@dataclass(frozen=True)
class Limited:
    """The limits of directions.

    Attributes:
        amount: by which the KID may rise.
        ends: by the direction's name, at t_min and at t_max.
        codes: by the direction's name, how many the limits are of.
    """

    amount: Estimate
    ends: Mapping[str, tuple[Limit, Limit]]
    codes: Mapping[str, int]


class Limits(Experiment[LimitSettings, Limited]):
    """Part of every run whose instrument is checked."""

    name = "limits"
    settings = LimitSettings
    always = True

    def has_work(self, on: Measurement) -> bool:
        """With a checked instrument, without which no amount has a meaning."""
        return on.wants(Instrument)

    def run(self, on: Measurement) -> Limited:
        """From what curves found; of directions without one from their ends, on fewer codes."""
        settings, checked = on.settings(Limits), on.outcome(Instrument)
        assert checked is not None  # has_work
        series = checked.series()[settings.damage, KID]
        amount = estimate.difference(series[settings.checked_strength], series[0.0])
        sides = {one.name: found for one in on.plan.all_directions() if (found := _sides(on, one)) is not None}
        if not _is_risen(amount):
            return Limited(amount, {}, {})
        ends = {name: (_limit(low, amount), _limit(high, amount)) for name, (low, high) in sides.items()}
        return Limited(amount, ends, {name: low[0][1].n for name, (low, _) in sides.items()})

    def gaps(self, on: Measurement) -> Iterator[str]:
        """An instrument that does not see the damage."""
        outcome = on.outcome(Limits)
        if outcome is not None and not _is_risen(outcome.amount):
            settings = on.settings(Limits)
            yield (
                f"How far directions of {on.generator.name} go before realism breaks is not known: {settings.damage} "
                f"of {settings.checked_strength:g} does not raise the KID significantly."
            )

    def rows(self, on: Measurement, outcome: Limited) -> Mapping[str, Iterable[Row]]:
        """Per direction and end."""
        return {"limits": _rows(on, outcome)}

    def direction_columns(self, on: Measurement, outcome: Limited, direction: Direction) -> Row:
        """The limits at both ends."""
        if direction.name not in outcome.ends:
            return {}
        columns: Row = {"n_limit": outcome.codes[direction.name]}
        for end, limit in zip(("min", "max"), outcome.ends[direction.name], strict=True):
            columns |= {f"limit_{end}": limit.t, f"limit_{end}_stderr": limit.stderr}
            columns[f"limit_{end}_status"] = limit.status
        return columns


def _is_risen(amount: Estimate) -> bool:
    """Whether the damage raises the KID by more than chance (95 %); else there is nothing to compare with."""
    return amount.value > BAND * amount.stderr


_Side = Sequence[tuple[float, Estimate]]
"""Shifts from t = 0 outward, each with the KID there."""


def _limit(side: _Side, amount: Estimate) -> Limit:
    shifts, values = zip(*side, strict=True)
    return limit_along(shifts, values, amount)


def _sides(on: Measurement, direction: Direction) -> tuple[_Side, _Side] | None:
    """The KID at negative and at positive shifts, by the curve, else by `ends`; `None` without either."""
    curve, ended = curves_of(on).get(direction.name), measured_ends(on).get(direction.name)
    if curve is not None:
        floor, points = realism(on).floor.kernel_at(0), on.settings(Curves).shifts
        values = [curve.kernel_at(index) for index in range(points - 1)]
    elif ended is not None:
        floor, points = ended.floor.at(0, 0, KID), on.settings(Ends).points
        values = [ended.point(index, KID).value for index in range(points - 1)]
    else:
        return None
    if floor.value != floor.value:
        return None  # of a reference whose images are not known
    shifts = [t for t in direction.shifts(points).tolist() if t != 0]
    along, middle = list(zip(shifts, values, strict=True)), len(shifts) // 2
    return [(0.0, floor), *along[:middle][::-1]], [(0.0, floor), *along[middle:]]


def _rows(on: Measurement, outcome: Limited) -> Iterator[Row]:
    along, settings = realism(on), on.settings(Limits)
    units = {damage.name: damage.unit for damage in DAMAGES}
    for direction in on.plan.all_directions():
        for end, limit in zip(ENDS, outcome.ends.get(direction.name, ()), strict=False):
            yield {
                **who(direction),
                "end": end,
                "t_end": direction.t_min if end == ENDS[0] else direction.t_max,
                "limit": limit.t,
                "limit_stderr": limit.stderr,
                "status": limit.status,
                "shown": limit.shown,
                **estimated("rise", limit.rise),
                **estimated("amount", outcome.amount),
                "damage": settings.damage,
                "strength": settings.checked_strength,
                "unit": units[settings.damage],
                "metric": KID,
                **along.source,
                "n": outcome.codes[direction.name],
                "n_reference": along.n_reference_of(KID),
            }
