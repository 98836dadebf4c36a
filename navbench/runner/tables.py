"""From outcomes to a run folder: the rows of every experiment, and its files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from navbench import tables
from navbench.directions import Direction
from navbench.experiments.measurement import Measurement
from navbench.experiments.rows import Row, who
from navbench.files import write_atomically

SCORES = {
    "rayleigh": "rayleigh",
    "residual": "solver_residual",
    "accuracy": "accuracy",
    "singular_value": "singular_value",
    "variance": "variance",
}
"""The columns of what methods know of their directions."""


def write_all(folder: Path, measurements: Sequence[Measurement]) -> None:
    """Write every file and every table of the experiments that were run."""
    rows: dict[str, list[Row]] = {name: [] for name in tables.TABLES}
    for on in measurements:
        images = _write_files(folder, on)
        rows["images"] += images
        for experiment in on.bench.catalogue:
            if on.wants(type(experiment)):
                for name, found in experiment.rows(on, on.outcome(type(experiment))).items():
                    rows[name] += found
        rows["directions"] += _direction_rows(on, {row["name"] for row in images})
        rows["methods"] += _method_rows(on)
    tables.write(folder / "tables", rows)


def _write_files(folder: Path, on: Measurement) -> list[Row]:
    """Write the files of all experiments; the rows of those that the report shows."""
    rows = []
    for experiment in on.bench.catalogue:
        if on.wants(type(experiment)):
            for file in experiment.files(on, on.outcome(type(experiment))):
                write_atomically(folder / file.path, file.content)
                rows += [file.row] if file.row is not None else []
    return rows


def score_columns(direction: Direction) -> Row:
    """What its method knows of a direction, under names that no other column has."""
    return {SCORES.get(name, f"score_{name}"): value for name, value in direction.scores.items()}


def _direction_rows(on: Measurement, pictured: set[str]) -> Iterator[Row]:
    """Per direction, every summary number that an experiment gives."""
    outcomes = {each: on.outcome(type(each)) for each in on.bench.catalogue if on.wants(type(each))}
    measured = pictured.union(*(each.measured(outcome) for each, outcome in outcomes.items()))
    for direction in on.plan.all_directions():
        row = {**who(direction), "t_min": direction.t_min, "t_max": direction.t_max, **score_columns(direction)}
        for experiment, outcome in outcomes.items():
            row |= experiment.direction_columns(on, outcome, direction)
        yield row | {"measured": direction.name in measured}


def _method_rows(on: Measurement) -> Iterator[Row]:
    """Per direction set; means over its directions are paired over codes, as all see the same."""
    outcomes = {each: on.outcome(type(each)) for each in on.bench.catalogue if on.wants(type(each))}
    for found in on.plan.sets:
        row: Row = {
            "generator": found.generator,
            "layer": found.place,
            "space": found.space,
            "method": found.method,
            "directions": len(found),
            "accuracy": found.provenance.get("accuracy"),
        }
        for experiment, outcome in outcomes.items():
            row |= experiment.set_columns(on, outcome, found)
        yield row
