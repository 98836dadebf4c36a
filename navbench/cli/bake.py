"""The command that writes a checkpoint with edits inside: `navbench bake`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from navbench.cli import completing
from navbench.cli.common import checkpoint_options, created, directions_option, example, generator_option, installed
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.naming import Wanted, run_option, split_shift
from navbench.cli.output import console
from navbench.errors import NavbenchError

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.places import Place


@click.command("bake", cls=Command, **example("navbench bake cars/hybrid/convs.5/10 --t 4 --out wheels.pt"))
@click.argument("names", metavar="DIRECTION...", nargs=-1, required=True, shell_complete=completing.directions)
@click.option("--t", type=float, help="The shift of each DIRECTION that says none by @T.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file.")
@click.option("--folded", is_flag=True, help="BigGAN's kernels as they convolve, without spectral normalisation.")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@run_option
@generator_option
@checkpoint_options
@directions_option
def bake_directions(
    names: tuple[str, ...], t: float | None, out: Path, folded: bool, force: bool, run: Place | None,
    generator: str | None, options: Options, folder: Path | None,
) -> None:  # fmt: skip
    """Write a checkpoint with edits inside, in the layout that it came in, for the code that it came from.

    DIRECTION is a full name, a unique part of it, or a label; with @T behind it, as in 'sky tone +@4', its shift.
    Several are baked together. Directions of kernels can be baked, and those of w, w+ and s of StyleGAN2. NVIDIA's
    networks are written as .safetensors, with NVIDIA's names, or as rosinality's .pt. Options of the generator, such as
    a truncation, are those that the directions were found with; they are no part of a checkpoint.
    """
    asked = [(Wanted(name, run), shift) for name, shift in (_shifted(name, t) for name in names)]
    known = asked[0][0].library(folder)
    found = [(*wanted.find(known), shift) for wanted, shift in asked]
    with loading():
        from navbench.baking import bake

    opened = created(generator or installed(found[0][0]), options)
    files = {file.path: file for file, *_ in found}
    sets = {path: file.load(opened) for path, file in files.items()}
    shifts = [(sets[file.path][index], shift) for file, index, shift in found]
    card = bake(opened, shifts, out, overwrite=force, folded=folded)
    for told in card["directions"]:
        console.print(f"Baked: {told['direction']} at t = {told['t']:g}")
    console.print(f"Written: {out} ({out.stat().st_size:,} bytes)")


def _shifted(name: str, t: float | None) -> tuple[str, float]:
    """A direction's name, and its shift."""
    plain, own = split_shift(name)
    if own is None and t is None:
        raise NavbenchError(f"{name!r} says no shift; say it by --t, or as {name}@4.")
    return plain, t if own is None else own  # type: ignore[return-value]  # one of them is there
