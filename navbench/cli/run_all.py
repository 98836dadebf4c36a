"""The command that runs a whole suite: `navbench run-all`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from navbench.cli.common import PLACE, example, fresh_option
from navbench.cli.running import run_suite
from navbench.cli.suites import suite_options
from navbench.library import library
from navbench.places import Place, place_at

if TYPE_CHECKING:
    from navbench.staff import Staff
    from navbench.suite import Suite


@click.command("run-all", cls=click.Command, **example("navbench run-all quick --out runs/quick"))
@suite_options
@click.option("--out", type=PLACE, help="The run folder, or s3://BUCKET/PREFIX. Default: runs/NAME-OF-SUITE.")
@fresh_option
def run_all(chosen: Suite, folder: Path | None, staff: Staff, out: Place | None, fresh: bool) -> None:
    """Run a whole suite and write its report.

    SUITE is a preset (smoke, quick, standard, paper) or a TOML file. Run again in the same folder, it does only
    what is left.
    """
    run_suite(chosen, out or place_at(Path("runs") / chosen.name), library(folder), staff, fresh=fresh)
