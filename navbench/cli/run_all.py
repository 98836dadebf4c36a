"""The command that runs a whole suite: `navbench run-all`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from navbench.cli.common import (
    PLACE,
    calibrate_option,
    checkpoint_options,
    computing,
    directions_option,
    example,
    fresh_option,
)
from navbench.cli.running import overridden, run_suite, with_subjects
from navbench.library import library
from navbench.places import Place, place_at
from navbench.words import RESAMPLING

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.staff import Staff


@click.command("run-all", cls=click.Command, **example("navbench run-all quick --out runs/quick"))
@click.argument("source", metavar="[SUITE]", default="quick")
@click.option("--generator", help="Measure this one instead of the suite's: a name, or the file of a checkpoint.")
@checkpoint_options
@click.option("--layer", "layers", multiple=True, help="Only these layers, by name or index.")
@click.option("--reference", help="'unshifted', 'renderings', a folder or zip of real images, or their statistics.")
@click.option("--resize", type=click.Choice(RESAMPLING), help="How its images of another size are resized.")
@click.option("--out", type=PLACE, help="The run folder, or s3://BUCKET/PREFIX. Default: runs/NAME-OF-SUITE.")
@fresh_option
@click.option("--rediscover", is_flag=True, default=None, help="Find the directions anew.")
@calibrate_option
@directions_option
@computing
def run_all(
    source: str, generator: str | None, options: Options, layers: tuple[str, ...], reference: str | None,
    resize: str | None, out: Place | None, fresh: bool, rediscover: bool | None, calibrate: str | None,
    folder: Path | None, staff: Staff, precision: str | None, batch: int | None,
) -> None:  # fmt: skip
    """Run a whole suite and write its report.

    SUITE is a preset (smoke, quick, standard, paper) or a TOML file. Run again in the same folder, it does only
    what is left.
    """
    survey = {"layers": list(layers)} if layers else None
    chosen = overridden(source, precision, batch, rediscover=rediscover, calibrate=calibrate, survey=survey)
    chosen = with_subjects(chosen, generator, options, layers=list(layers) or None, reference=reference, resize=resize)
    run_suite(chosen, out or place_at(Path("runs") / chosen.name), library(folder), staff, fresh=fresh)
