"""The commands that only read run folders: `navbench report`, `navbench open` and `navbench compare`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from navbench.cli import completing
from navbench.cli.common import PLACE, example
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.output import console, json_flag, print_json
from navbench.errors import Failure, NavbenchError
from navbench.places import Place, place_at

if TYPE_CHECKING:
    import pandas as pd

CHANGED = 3
"""The exit code where a condition is met: neither the user's mistake (2) nor a failure (1)."""


@click.command("report", cls=Command, **example("navbench report runs/quick"))
@click.argument("run", type=PLACE, shell_complete=completing.runs)
def report(run: Place) -> None:
    """Write the report of a run folder anew, from what the folder holds."""
    with loading("pandas"):
        from navbench.report.html import publish

    console.print(f"Report: {publish(run)}")


@click.command("open", cls=Command, **example("navbench open runs/quick"))
@click.argument("run", metavar="[RUN]", type=PLACE, required=False, shell_complete=completing.runs)
def open_page(run: Place | None) -> None:
    """Open the report of a run in the browser.

    RUN is a run folder. Default: the run in the folder runs that was written to last.
    """
    if run is None:
        if not (newest := completing.newest_runs()):
            raise NavbenchError(f"There is no run in the folder {completing.RUNS}; name the folder of one.")
        run = place_at(newest[0])
    page = run.file("index.html")
    if page is None:
        raise NavbenchError(f"{run.address('index.html')} lies in an object store; download it, and open that file.")
    if not page.is_file():
        raise NavbenchError(f"{run} has no index.html; navbench report {run} writes it, if there is a run.")
    console.print(f"Report: {page.resolve()}")
    if not webbrowser.open(page.resolve().as_uri()):
        raise Failure("No browser was found on this machine; open that file yourself.")


@click.command(
    "compare",
    cls=Command,
    **example("navbench compare runs/before runs/after --fail-on 'fd>5%' --fail-on 'area50>0.02'"),
)
@click.argument("first", metavar="RUN_A", type=PLACE, shell_complete=completing.runs)
@click.argument("second", metavar="RUN_B", type=PLACE, shell_complete=completing.runs)
@click.option("--fail-on", "conditions", multiple=True, help="End with code 3 where a number changed by more.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write to. Default: runs/compare-A-B.")
@click.option("--force", is_flag=True, help="Replace a comparison that is there already.")
@json_flag("an object per row of comparison.csv, its columns the keys, with met, whether a condition is met")
def compare(
    first: Place, second: Place, conditions: tuple[str, ...], out: Path | None, force: bool, as_json: bool
) -> None:
    """Compare the numbers of two runs with their uncertainties, and write a table and a page.

    A condition such as 'fd>5%' is met where any number that begins with fd changed by more than 5 percent, either way,
    or cannot be compared: it is in one run only, or rests on something else, such as other numbers of images.
    """
    with loading("pandas"):
        from navbench.report.compare import Condition, summary_of, write_comparison

    parsed = [Condition.parse(text) for text in conditions]
    place = out or Path("runs") / f"compare-{first.name}-{second.name}"
    if place.exists() and not place.is_dir():
        raise NavbenchError(f"{place} is a file; choose another folder with --out.")
    if place.exists() and not force and any(place.iterdir()):
        raise NavbenchError(f"{place} is not empty; choose another folder with --out, or say --force to replace it.")
    page, changes, met = write_comparison(first, second, place, parsed)
    if as_json:
        print_json(changes.assign(met=changes.index.isin(met.index)).to_dict("records"))
    else:
        _show(summary_of(changes, met), met, page)
    if len(met):
        click.get_current_context().exit(CHANGED)


def _show(summary: str, met: pd.DataFrame, page: Path) -> None:
    """Print the first of the numbers that meet a condition, and where all are."""
    console.print(summary)
    for row in met.head(10).to_dict("records"):
        why = row["status"] or f"{row['a']:.4g} -> {row['b']:.4g}"
        console.print(f"  {row['where']} {row['column']}: {why}")
    if len(met) > 10:
        console.print(f"  and {len(met) - 10:,} more")
    console.print(f"Comparison: {page.resolve()}")
