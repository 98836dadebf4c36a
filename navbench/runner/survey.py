"""The survey of a generator's layers: what directions of one method change in each, at the same effect."""

from collections.abc import Callable

from navbench.directions import Direction, DirectionSet
from navbench.experiments import attributes, layer_survey, strips
from navbench.metrics.attributes import Movement, movement
from navbench.runner import pictures
from navbench.runner.bench import Measurement
from navbench.runner.curves import CurveMeasurement
from navbench.runner.results import Results, Surveyed

_ENDS = 3
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
            movements = _movements(measurement, group)
            for index, direction in enumerate(group):
                changes = _changes(measurement, direction)
                tick(direction.name)
                curve = curves.curve(direction, _ENDS, tick) if curves is not None and index < wanted else None
                results.survey.append(Surveyed(direction, changes, movements.get(direction.name), curve))
            if group:
                results.pictures += _strip(measurement, each)


def _changes(measurement: Measurement, direction: Direction) -> layer_survey.Changes:
    suite, samples = measurement.bench.suite, measurement.bench.suite.survey.samples

    def make() -> layer_survey.Changes:
        return layer_survey.changes(measurement.edit(direction), samples, suite.seed)

    return measurement.bench.store.get(layer_survey.Changes, measurement.key(direction, samples=samples), make)


def _movements(measurement: Measurement, group: list[Direction]) -> dict[str, Movement]:
    """What directions of one layer do to the attributes, by their names; of none where there is no scorer."""
    scorer, suite = measurement.scorer, measurement.bench.suite
    if scorer is None or not group:
        return {}
    samples, shifts = suite.attributes.samples, suite.attributes.shifts
    identities = [direction.identity for direction in group]
    key = measurement.key(scorer=measurement.scorer_key, directions=identities, samples=samples, shifts=shifts)

    def make() -> attributes.Readings:
        edits = [measurement.edit(direction) for direction in group]
        return attributes.readings(edits, shifts, range(samples), suite.seed, scorer)

    scores = measurement.bench.store.get(attributes.Readings, key, make).scores
    return {
        direction.name: movement(own, direction.shifts(shifts).tolist(), scorer.attributes)
        for direction, own in zip(group, scores, strict=True)
    }


def _strip(measurement: Measurement, found: DirectionSet) -> list[pictures.Row]:
    """The first code along the first direction of a layer."""
    suite, direction = measurement.bench.suite, found[0]
    shifts = direction.shifts(suite.strips.shifts).tolist()

    def make() -> strips.Strip:
        return strips.strip(measurement.edit(direction), shifts, 1, suite.seed)

    strip = measurement.bench.store.get(strips.Strip, measurement.key(direction, shifts=shifts, codes=1), make)
    return pictures.write_layer(measurement.bench.folder, direction, shifts, strip)
