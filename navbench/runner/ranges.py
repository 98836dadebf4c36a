"""A plan whose directions all reach one target, instead of the ends that their files give."""

from dataclasses import replace
from typing import TypeVar

import torch

from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import Range, Target, by_attribute, by_effect, check_target, parse_target
from navbench.runner.bench import Measurement
from navbench.work import Piece

Kind = TypeVar("Kind", bound=Measurement)


def calibrated(measurement: Kind) -> tuple[Kind, dict[str, Range]]:
    """The measurement over the ranges that the suite asks for, and what was reached, by direction."""
    suite, plan = measurement.bench.suite, measurement.plan
    if not suite.calibrate:
        return measurement, {}
    target = parse_target(suite.calibrate)
    check_target(target, measurement.scorer, plan.generator.name)
    surveyed = (one for found in plan.surveyed for one in list(found)[: suite.survey.directions])
    chosen = {direction.name: direction for direction in (*plan.all_directions(), *surveyed)}
    solved = measurement.pieces([_range(measurement, each, target) for each in chosen.values()], "calibration")
    reached = dict(zip(chosen, solved, strict=True))
    sets, layers = (tuple(_with_ranges(found, reached) for found in each) for each in (plan.sets, plan.surveyed))
    return replace(measurement, plan=replace(plan, sets=sets, surveyed=layers)), reached


def _with_ranges(found: DirectionSet, reached: dict[str, Range]) -> DirectionSet:
    own = zip(found, found.t_min.tolist(), found.t_max.tolist(), strict=True)
    ends = [reached[one.name].t.tolist() if one.name in reached else [low, high] for one, low, high in own]
    t_min, t_max = torch.tensor(ends, dtype=torch.float64).unbind(1)
    return replace(found, t_min=t_min, t_max=t_max)


def _range(measurement: Measurement, direction: Direction, target: Target) -> Piece[Range]:
    bench, edit = measurement.bench, measurement.edit(direction)
    codes, seed = bench.suite.discovery.effect_codes, bench.suite.seed
    if target.is_effect or measurement.scorer is None:
        piece = by_effect.piece(edit, bench.distance, target.amount, codes, seed)
    else:
        piece = by_attribute.piece(edit, measurement.scorer, target.quantity, target.amount, codes, seed)
    return piece.but(note=direction.name)
