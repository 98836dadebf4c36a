"""The commands that only read run folders: `navbench report` and `navbench compare`."""

import sys
from pathlib import Path

import click

from navbench.cli.common import PLACE, console, example
from navbench.cli.loading import loading
from navbench.errors import NavbenchError
from navbench.places import Place

CHANGED = 3
"""The exit code where a condition is met: neither the user's mistake (2) nor a failure (1)."""


@click.command("report", cls=click.Command, **example("navbench report runs/quick"))
@click.argument("run", type=PLACE)
def report(run: Place) -> None:
    """Write the report of a run folder anew, from what the folder holds."""
    with loading("pandas"):
        from navbench.report.html import publish

    console.print(f"Report: {publish(run)}")


@click.command(
    "compare",
    cls=click.Command,
    **example("navbench compare runs/before runs/after --fail-on 'fd>5%' --fail-on 'area50>0.02'"),
)
@click.argument("first", metavar="RUN_A", type=PLACE)
@click.argument("second", metavar="RUN_B", type=PLACE)
@click.option("--fail-on", "conditions", multiple=True, help="End with code 3 where a number changed by more.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write to. Default: runs/compare-A-B.")
@click.option("--force", is_flag=True, help="Replace a comparison that is there already.")
def compare(first: Place, second: Place, conditions: tuple[str, ...], out: Path | None, force: bool) -> None:
    """Compare the numbers of two runs with their uncertainties, and write a table and a page.

    A condition such as 'fd>5%' is met where any number that begins with fd changed by more than 5 percent, either way,
    or cannot be compared: it is in one run only, or rests on something else, such as other numbers of images.
    """
    with loading("pandas"):
        from navbench.report.compare import Condition, summary_of, write_comparison

    parsed = [Condition.parse(text) for text in conditions]
    place = out or Path("runs") / f"compare-{first.name}-{second.name}"
    if place.exists() and not force and any(place.iterdir()):
        raise NavbenchError(f"{place} is not empty; choose another folder with --out, or say --force to replace it.")
    page, changes, met = write_comparison(first, second, place, parsed)
    console.print(summary_of(changes, met))
    for row in met.head(10).to_dict("records"):
        why = row["status"] or f"{row['a']:.4g} -> {row['b']:.4g}"
        console.print(f"  {row['where']} {row['column']}: {why}")
    if len(met) > 10:
        console.print(f"  and {len(met) - 10:,} more")
    console.print(f"Comparison: {page.resolve()}")
    if len(met):
        sys.exit(CHANGED)
