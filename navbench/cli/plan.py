"""The command that says what a run would take, before it makes anything: `navbench plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table

from navbench.cli.common import PLACE, console, example
from navbench.cli.loading import loading
from navbench.cli.running import compute_for
from navbench.cli.suites import suite_options
from navbench.files import write_atomically
from navbench.library import library
from navbench.places import Place

if TYPE_CHECKING:
    from navbench.runner.forecast import Effort, Forecast
    from navbench.staff import Staff
    from navbench.suite import Suite

_EVERY = 10**6
_UNPLANNED = (
    "Where there is a ~, a typical number of steps stands for one that follows from results on the way. Not in it: "
    "loading, tables, pictures and the report, which take seconds to minutes."
)


@click.command("plan", cls=click.Command, **example("navbench plan quick --workers 2"))
@suite_options
@click.option("--out", type=PLACE, help="The place of a run: what it has already is not counted.")
@click.option("--racing", is_flag=True, help="Compare a race with measuring every direction at full n.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all of it to this file, too.")
def plan(
    chosen: Suite, folder: Path | None, staff: Staff, out: Place | None, racing: bool, file: Path | None
) -> None:  # fmt: skip
    """Say what a suite would take on this machine: images, passes, arithmetic, disk, memory and time.

    SUITE is a preset (smoke, quick, standard, paper) or a TOML file. Nothing is made but a few images of each
    network's, to time it.
    """
    with loading():
        from navbench.runner.forecast import forecast
        from navbench.runner.rehearsal import rehearsed

    compute, suites = compute_for(chosen, staff.devices[0]), _races(chosen) if racing else {"": chosen}
    planned = [rehearsed(suite, compute, library(folder), out) for suite in suites.values()]
    expected = dict(zip(suites, forecast(planned, compute, staff.count or 1), strict=True))
    for name, each in expected.items():
        if racing:
            console.print(f"{name}:")
        _show(each)
    console.print(_UNPLANNED)
    if file is not None:
        contents = {name: each.content() for name, each in expected.items()}
        write_atomically(file, json.dumps(contents if racing else contents[""], indent=1))


def _races(chosen: Suite) -> dict[str, Suite]:
    """The suite with curves of every direction at full n, and with those of the winners of a race alone."""
    from navbench.experiments.racing import STAGES, Racing

    stages = chosen.section(Racing).stages or STAGES
    words = ", ".join(f"the best {stage.keep} of each set by {stage.codes} codes" for stage in stages)
    values = [stage.model_dump() for stage in stages]
    return {
        "Every direction at full n": chosen.with_values(curves={"directions": _EVERY}, racing={"stages": []}),
        f"By a race ({words})": chosen.with_values(curves={"directions": stages[-1].keep}, racing={"stages": values}),
    }


def _show(expected: Forecast) -> None:
    headings = ("pieces", "images", "TFLOP", "disk", "time", f"by {expected.workers}")
    columns = (Column(name, justify="right", no_wrap=True) for name in headings)
    table = Table(Column("experiment", no_wrap=True), *columns, box=None, padding=(0, 2, 0, 0))
    for row in (*expected.rows, expected.total):
        table.add_row(*_cells(row))
    console.print(table)
    for sentence in (*_sentences(expected), *expected.left_out):
        console.print(sentence)


def _cells(row: Effort) -> list[str]:
    from navbench.report.numbers import count, duration, significant

    times = [f"{'~' if row.about else ''}{duration(each)}" for each in (row.seconds, row.seconds_of_workers)]
    amounts = [count(row.pieces), count(row.images), significant(row.flops / 1e12, 2)]
    return [row.experiment, *amounts, _size(row.disk), *times]


def _sentences(expected: Forecast) -> list[str]:
    from navbench.report.numbers import count, duration

    total, workers = expected.total, expected.workers
    memory = "" if expected.memory is None else f", {_size(expected.memory)} of memory per worker"
    by_network = (f"{name} {count(amount)}" for name, amount in sorted(total.passes.items()) if name != "store")
    return [
        f"About {duration(total.seconds)} on this machine, {duration(total.seconds_of_workers)} on {workers} workers, "
        f"{_size(total.disk)} on disk ({_size(total.kept)} at the end){memory}.",
        f"Passes: {', '.join(by_network)}.",
    ]


def _size(size: float) -> str:
    """Bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
