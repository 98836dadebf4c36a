"""The command that runs a whole suite: `navbench run-all`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.common import PLACE, example, fresh_option
from navbench.cli.grouping import Command
from navbench.cli.output import console, json_option
from navbench.cli.running import executed, with_instruments
from navbench.cli.suites import suite_options
from navbench.library import library
from navbench.places import Place, place_at
from navbench.texts import file_name

if TYPE_CHECKING:
    from navbench.staff import Staff
    from navbench.suite import Suite


_JSON = (
    "an object with findings (per generator generator, direction, label, verdict, t_min, t_max, limit_min, "
    "limit_min_stderr, limit_min_status, limit_max, limit_max_stderr, limit_max_status, effect, kid, kid_stderr, "
    "kid_rise, area50, unexplained_fraction, imitated_in, instrument), not_converged, the names of sets, and report, "
    "the page"
)


@click.command("run-all", cls=Command, **example("navbench run-all quick --out runs/quick"))
@suite_options
@click.option(
    "--out",
    type=PLACE,
    shell_complete=completing.runs,
    help="The run folder, or s3://BUCKET/PREFIX. Default: runs/NAME-OF-SUITE.",
)
@fresh_option
@json_option(_JSON)
def run_all(
    chosen: Suite, fit: bool, folder: Path | None, staff: Staff, out: Place | None, fresh: bool
) -> dict[str, Any]:  # fmt: skip
    """Run a whole suite, write its report, and say what was found.

    SUITE is a preset (smoke, quick, full, standard, paper) or a TOML file. Run again in the same folder, it does only
    what is left.

    On a terminal a bar shows how far all stages are. Its estimate is a plan, as navbench plan makes it but in a few
    seconds, corrected by the pace of this run as stages go on; what cannot be planned so quickly is estimated from the
    stages that are done.
    """
    place = out or place_at(completing.RUNS / file_name(chosen.name))
    if fit:
        chosen = with_instruments(chosen, staff, None if fresh else place)
    page = executed(chosen, place, library(folder), staff, fresh=fresh)
    from navbench.cli.findings import not_converged, show_findings
    from navbench.report.tables import load_run

    tables = load_run(place)
    found = show_findings(tables)
    console.print(f"Report: {page}")
    return {"findings": found, "not_converged": [*not_converged(tables)], "report": page}
