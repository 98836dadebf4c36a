"""The command that says what a run would take, before it makes anything: `navbench plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Column, Table

from navbench.cli import completing
from navbench.cli.common import PLACE, example
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.output import console, print_json
from navbench.cli.running import compute_for, with_instruments
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


_STDOUT = "-"


def _checked(_context: click.Context, _parameter: click.Parameter, target: str | None) -> str | None:
    """Refuse what is no file of JSON: in 'plan --json quick', the suite would be taken for one."""
    if target not in (None, _STDOUT) and Path(str(target)).suffix != ".json":
        raise click.BadParameter(f"{target!r} is no .json file; to print JSON, say --json after SUITE.")
    return target


@click.command("plan", cls=Command, **example("navbench plan quick --workers 2"))
@suite_options
@click.option(
    "--out", type=PLACE, shell_complete=completing.runs, help="The place of a run: what it has already is not counted."
)
@click.option("--racing", is_flag=True, help="Compare a race with measuring every direction at full n.")
@click.option(
    "--json",
    "target",
    metavar="[FILE]",
    is_flag=False,
    flag_value=_STDOUT,
    callback=_checked,
    help="Print JSON instead, on stdout alone, or write it to FILE.json, too: experiments, total, workers, "
    "memory_per_worker, left_out and prices; with --racing, one such object per plan.",
)
def plan(
    chosen: Suite, fit: bool, folder: Path | None, staff: Staff, out: Place | None, racing: bool, target: str | None
) -> None:  # fmt: skip
    """Say what a suite would take on this machine: images, passes, arithmetic, disk, memory and time.

    SUITE is a preset (smoke, quick, full, standard, paper) or a TOML file. Nothing is made but a few images of each
    network's, to time it.
    """
    with loading():
        from navbench.runner.forecast import forecast
        from navbench.runner.rehearsal import rehearsed

    if fit:
        chosen = with_instruments(chosen, staff, out)
    compute, suites = compute_for(chosen, staff), _races(chosen) if racing else {"": chosen}
    planned = [rehearsed(suite, compute, library(folder), out) for suite in suites.values()]
    expected = dict(zip(suites, forecast(planned, compute, staff.count or 1), strict=True))
    contents = {name: each.content() for name, each in expected.items()}
    content = contents if racing else contents[""]
    if target == _STDOUT:
        print_json(content)
        return
    for name, each in expected.items():
        if racing:
            console.print(f"{name}:")
        _show(each)
    console.print(_UNPLANNED)
    if target is not None:
        write_atomically(Path(target), json.dumps(content, indent=1))


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
    columns = (Column(name, justify="right", overflow="fold") for name in headings)
    table = Table(Column("experiment", overflow="fold"), *columns, box=None, padding=(0, 2, 0, 0))
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
