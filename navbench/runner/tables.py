"""From experiments to a run folder: what they find on one generator, as rows of tables and as files."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from navbench.directions import Direction
from navbench.experiments.experiment import Experiment
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, Tested, control_columns, who
from navbench.places import Place

SCORES = {
    "rayleigh": "rayleigh",
    "residual": "solver_residual",
    "accuracy": "accuracy",
    "singular_value": "singular_value",
    "variance": "variance",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
"""The columns of what methods know of their directions."""
Outcomes = dict[Experiment[Any, Any], Any]


def run_all(place: Place, on: Measurement) -> tuple[dict[str, list[Row | Tested]], list[dict[str, Any]]]:
    """Run every experiment of a measurement, and write its files to the run's place as soon as it is done.

    The experiments run side by side where many compute.

    Returns:
        The rows by table, of which some wait for the tests of all generators; and what the manifest is to tell.
    """
    wanted = [experiment for experiment in on.bench.catalogue if on.wants(type(experiment))]
    ran = on.bench.executor.side_by_side([partial(_carried_out, place, on, experiment) for experiment in wanted])
    outcomes: Outcomes = {experiment: outcome for experiment, (outcome, _) in zip(wanted, ran, strict=True)}
    rows: dict[str, list[Row | Tested]] = {"images": [row for _, images in ran for row in images]}
    for experiment, outcome in outcomes.items():
        for name, more in experiment.rows(on, outcome).items():
            rows.setdefault(name, []).extend(more)
    measured = {row["name"] for _, images in ran for row in images if row["kind"] != "strip"}  # which all have
    measured = measured.union(*(experiment.measured(outcome) for experiment, outcome in outcomes.items()))
    rows["directions"] = list(_direction_rows(on, outcomes, measured))
    rows["methods"] = list(_method_rows(on, outcomes))
    facts = [dict(experiment.facts(on, outcome)) for experiment, outcome in outcomes.items()]
    return rows, facts + [dict(shared.facts) for shared in on.shared()]


def _carried_out(place: Place, on: Measurement, experiment: Experiment[Any, Any]) -> tuple[Any, list[Row]]:
    """The outcome of an experiment, and the rows of its files, which are written."""
    outcome = on.outcome(type(experiment))
    return outcome, list(_write_files(place, on, experiment, outcome))


def _write_files(place: Place, on: Measurement, experiment: Experiment[Any, Any], outcome: Any) -> Iterator[Row]:
    """Write the files of an experiment; the rows of those that the report shows."""
    for file in experiment.files(on, outcome):
        place.write(file.path, file.content)
        if file.row is not None:
            yield file.row


def score_columns(direction: Direction) -> Row:
    """What its method knows of a direction, under names that no other column has."""
    return {SCORES.get(name, f"score_{name}"): value for name, value in direction.scores.items()}


def _direction_rows(on: Measurement, outcomes: Outcomes, measured: set[str]) -> Iterator[Row]:
    """Per direction, every summary number that an experiment gives."""
    for direction in on.plan.all_directions():
        row = {**who(direction), **control_columns(direction.method)}
        row |= {"t_min": direction.t_min, "t_max": direction.t_max, **score_columns(direction)}
        for experiment, outcome in outcomes.items():
            row |= experiment.direction_columns(on, outcome, direction)
        yield row | {"measured": direction.name in measured}


def _method_rows(on: Measurement, outcomes: Outcomes) -> Iterator[Row]:
    """Per direction set; its means are over its directions."""
    for directions in on.plan.sets:
        row: Row = {
            "generator": directions.generator,
            "layer": directions.place,
            "space": directions.space,
            "method": directions.method,
            **control_columns(directions.method),
            "directions": len(directions),
            "accuracy": directions.provenance.get("accuracy"),
            "status": directions.provenance.get("status"),
        }
        for experiment, outcome in outcomes.items():
            row |= experiment.set_columns(on, outcome, directions)
        yield row
