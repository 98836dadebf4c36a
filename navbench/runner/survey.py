"""The survey of a generator's layers: what directions of one method change in each, at the same effect."""

from collections.abc import Callable

from navbench.directions import Direction, DirectionSet
from navbench.experiments import layer_survey
from navbench.runner import pictures
from navbench.runner.bench import Measurement
from navbench.runner.curves import CurveMeasurement
from navbench.runner.results import Results, Surveyed

_POINTS = 3
"""Shifts of a survey: both ends of the range, and t = 0."""


def survey(measurement: Measurement, results: Results, realism: Callable[[], CurveMeasurement]) -> None:
    """Survey the first directions of every set of the plan's survey, from the store or now.

    Args:
        measurement: of the generator.
        results: that get what was found.
        realism: makes what curves are measured with, if any is wanted.
    """
    bench, found = measurement.bench, measurement.plan.surveyed
    settings = bench.suite.survey
    groups = [list(each)[: settings.directions] for each in found]
    wanted = min(settings.curves, settings.directions)
    curves = realism() if wanted and "curves" in bench.suite.experiments and any(groups) else None
    shards = len(curves.shards) if curves is not None else 0
    total = sum(len(group) + (min(wanted, len(group)) * shards) for group in groups)
    with measurement.pieces(f"{measurement.generator.name}: layers", total) as tick:
        for each, group in zip(found, groups, strict=True):
            scorer = measurement.scorer if group else None
            movements = {one.name: moved for one, moved, _ in measurement.movements(scorer, group)} if scorer else {}
            for index, direction in enumerate(group):
                changes = _changes(measurement, direction)
                tick(direction.name)
                curve = curves.curve(direction, _POINTS, tick) if curves is not None and index < wanted else None
                results.survey.append(Surveyed(direction, changes, movements.get(direction.name), curve))
            if group:
                results.pictures += _strip(measurement, each)


def _changes(measurement: Measurement, direction: Direction) -> layer_survey.Changes:
    suite, samples = measurement.bench.suite, measurement.bench.suite.survey.samples

    def make() -> layer_survey.Changes:
        return layer_survey.changes(measurement.edit(direction), samples, suite.seed)

    return measurement.bench.store.get(layer_survey.Changes, measurement.key(direction, samples=samples), make)


def _strip(measurement: Measurement, found: DirectionSet) -> list[pictures.Row]:
    """The first code along the first direction of a layer."""
    direction = found[0]
    shifts = direction.shifts(measurement.bench.suite.strips.shifts).tolist()
    return pictures.write_layer(measurement.bench.folder, direction, shifts, measurement.strip(direction, shifts, 1))
