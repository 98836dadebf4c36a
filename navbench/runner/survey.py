"""The survey of a generator's layers: what directions of one method change in each, at the same effect."""

from collections.abc import Callable

from navbench.directions import Direction, DirectionSet
from navbench.experiments import layer_survey
from navbench.metrics.attributes import Movement
from navbench.runner import pictures
from navbench.runner.bench import Measurement
from navbench.runner.curves import CurveMeasurement
from navbench.runner.results import Results, Surveyed
from navbench.work import Piece

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
    total = sum(len(group) + (min(wanted, len(group)) * (shards + 1)) for group in groups)
    with measurement.counted(f"{measurement.generator.name}: layers", total) as tick:
        for each, group in zip(found, groups, strict=True):
            movements = _movements(measurement, group)
            pieces = [_changes(measurement, direction) for direction in group]
            changes = bench.executor.results(pieces, tick)
            for index, direction in enumerate(group):
                curve = curves.curve(direction, _POINTS, tick) if curves is not None and index < wanted else None
                results.survey.append(Surveyed(direction, changes[index], movements.get(direction.name), curve))
            if group:
                results.pictures += _strip(measurement, each)


def _movements(measurement: Measurement, group: list[Direction]) -> dict[str, Movement]:
    """What directions of a layer do to the attributes, by name; nothing without a scorer."""
    scorer = measurement.scorer
    if scorer is None or not group:
        return {}
    (read,) = measurement.pieces([measurement.readings(scorer, group)])
    return {direction.name: moved for direction, moved, _ in measurement.movements(scorer, group, read)}


def _changes(measurement: Measurement, direction: Direction) -> Piece[layer_survey.Changes]:
    suite = measurement.bench.suite
    piece = layer_survey.changes.piece(measurement.edit(direction), suite.survey.samples, suite.seed)
    return piece.but(note=direction.name)


def _strip(measurement: Measurement, found: DirectionSet) -> list[pictures.Row]:
    """The first code along the first direction of a layer."""
    direction = found[0]
    shifts = direction.shifts(measurement.bench.suite.strips.shifts).tolist()
    (strip,) = measurement.pieces([measurement.strip(direction, shifts, 1)])
    return pictures.write_layer(measurement.bench.folder, direction, shifts, strip)
