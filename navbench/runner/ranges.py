"""A plan whose directions all reach one target, instead of the ends that their files give."""

from dataclasses import replace
from typing import TypeVar

import torch

from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import Range, Target, by_attribute, by_effect, check_target, parse_target
from navbench.runner.bench import Measurement

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
    reached: dict[str, Range] = {}
    with measurement.pieces(f"{plan.generator.name}: calibration", len(chosen)) as tick:
        for name, direction in chosen.items():
            reached[name] = _solve(measurement, direction, target)
            tick(name)
    sets, layers = (tuple(_with_ranges(found, reached) for found in each) for each in (plan.sets, plan.surveyed))
    return replace(measurement, plan=replace(plan, sets=sets, surveyed=layers)), reached


def _with_ranges(found: DirectionSet, reached: dict[str, Range]) -> DirectionSet:
    own = zip(found, found.t_min.tolist(), found.t_max.tolist(), strict=True)
    ends = [reached[one.name].t.tolist() if one.name in reached else [low, high] for one, low, high in own]
    t_min, t_max = torch.tensor(ends, dtype=torch.float64).unbind(1)
    return replace(found, t_min=t_min, t_max=t_max)


def _solve(measurement: Measurement, direction: Direction, target: Target) -> Range:
    bench, scorer = measurement.bench, measurement.scorer
    codes, seed = bench.suite.discovery.effect_codes, bench.suite.seed
    what = bench.distance.name if target.is_effect or scorer is None else measurement.scorer_key
    key = measurement.key(direction, target=[target.quantity, target.amount], codes=codes, by=what)

    def make() -> Range:
        edit = measurement.edit(direction)
        if target.is_effect or scorer is None:
            return by_effect(edit, bench.distance, target.amount, codes, seed)
        return by_attribute(edit, scorer, target.quantity, target.amount, codes, seed)

    return bench.store.get(Range, key, make)
