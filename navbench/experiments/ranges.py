"""Calibration: every range is solved for one target, instead of the ends that the direction files give."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch

from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import REACHED, Range, Target, by_attribute, by_effect, check_target, parse_target
from navbench.experiments.common import Common
from navbench.experiments.experiment import Experiment, NoSettings
from navbench.experiments.measurement import Instruments, Measurement
from navbench.experiments.rows import ENDS, Row, who
from navbench.work import Piece


class Calibration(Experiment[NoSettings, Mapping[str, Range]]):
    """Part of every run whose suite names a target; what it gives is in the plan already (see `prepared`)."""

    name = "calibration"
    always = True

    def check_suite(self, suite: Common) -> None:
        """The target's words."""
        if suite.calibrate:
            parse_target(suite.calibrate)

    def check(self, on: Instruments) -> None:
        """A scorer that knows the target."""
        if on.bench.suite.calibrate:
            check_target(parse_target(on.bench.suite.calibrate), on.scorer, on.generator.name)

    def prepared(self, on: Measurement) -> Measurement:
        """Over the ranges that the suite asks for."""
        return _calibrated(on)

    def has_work(self, on: Measurement) -> bool:
        """With a target."""
        return bool(on.bench.suite.calibrate)

    def run(self, on: Measurement) -> Mapping[str, Range]:
        """What was reached, by the direction's name."""
        return on.ranges

    def rows(self, on: Measurement, outcome: Mapping[str, Range]) -> Mapping[str, Iterable[Row]]:
        """Per direction and end."""
        return {"calibration": _rows(on, outcome)}


def _calibrated(on: Measurement) -> Measurement:
    suite, plan = on.bench.suite, on.plan
    if not suite.calibrate:
        return on
    target, directions = parse_target(suite.calibrate), _directions(on)
    pieces = [_range(on, direction, target) for direction in directions.values()]
    reached = dict(zip(directions, on.pieces(pieces, "calibration"), strict=True))
    sets = tuple(_with_ranges(found, reached) for found in plan.sets)
    further = {name: tuple(_with_ranges(found, reached) for found in each) for name, each in plan.further.items()}
    return replace(on, plan=replace(plan, sets=sets, further=further), ranges=reached)


def _directions(on: Measurement) -> dict[str, Direction]:
    """What is calibrated, by name: all that is measured, and of further sets what their experiments take."""
    further = (
        one
        for experiment in on.bench.catalogue
        for found in on.plan.further.get(experiment.name, ())
        for one in list(found)[: getattr(on.settings(type(experiment)), "directions", len(found))]
    )
    return {direction.name: direction for direction in (*on.plan.all_directions(), *further)}


def _with_ranges(found: DirectionSet, reached: Mapping[str, Range]) -> DirectionSet:
    own = zip(found, found.t_min.tolist(), found.t_max.tolist(), strict=True)
    ends = [reached[one.name].t.tolist() if one.name in reached else [low, high] for one, low, high in own]
    t_min, t_max = torch.tensor(ends, dtype=torch.float64).unbind(1)
    return replace(found, t_min=t_min, t_max=t_max)


def _range(on: Measurement, direction: Direction, target: Target) -> Piece[Range]:
    bench, edit = on.bench, on.edit(direction)
    codes, seed = bench.suite.discovery.effect_codes, bench.suite.seed
    if target.is_effect or on.scorer is None:
        piece = by_effect.piece(edit, bench.distance, target.amount, codes, seed)
    else:
        piece = by_attribute.piece(edit, on.scorer, target.quantity, target.amount, codes, seed)
    return piece.but(note=direction.name)


def _rows(on: Measurement, ranges: Mapping[str, Range]) -> Iterator[Row]:
    target, directions = parse_target(on.bench.suite.calibrate), _directions(on)
    for name, found in ranges.items():
        for end, status in enumerate(found.statuses(target)):
            yield {
                **who(directions[name]),
                "end": ENDS[end],
                "quantity": target.quantity,
                "target": target.amount,
                "t": float(found.t[end]),
                "reached": found.at[end].value,
                "reached_stderr": found.at[end].stderr,
                "is_reached": status == REACHED,
                "status": status,
                "n": found.counts[end],
            }
