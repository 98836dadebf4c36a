"""The commands `navbench directions import` and `export`: from and to the files of the paper's authors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from navbench.cli import completing
from navbench.cli.common import checkpoint_options, created, directions_option, example, generator_option, installed
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.naming import Wanted, run_option
from navbench.cli.output import console
from navbench.errors import NavbenchError
from navbench.library import SetFile, set_path
from navbench.words import LATENTS

if TYPE_CHECKING:
    from navbench.directions import DirectionSet
    from navbench.generators.options import Options
    from navbench.places import Place

_FILE = click.Path(path_type=Path)


@click.command(
    "import",
    cls=Command,
    **example("navbench directions import nose.pt eyes.pt --generator stylegan2-ffhq.pt --out my-directions"),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--generator", required=True, help="The one that they were found on: a name or a file.")
@checkpoint_options
@click.option("--layer", help="Name or index; eigenvectors do not say theirs, but by their file's name.")
@click.option("--eigenvectors", type=_FILE, help="The file of those that a hybrid's checkpoint combines. Default: the "
              "one that args.json names.")  # fmt: skip
@click.option("--space", type=click.Choice(LATENTS), help="Of latent directions, where their file does not say it.")
@click.option("--annotation", type=_FILE, help="Labels, lines 'index: name'. Default: a folder's human_annotation.txt.")
@click.option("--out", type=_FILE, default="my-directions", show_default=True, help="The folder to write to.")
@click.option("--force", is_flag=True, help="Replace sets that are there already.")
def import_directions(
    files: tuple[Path, ...], generator: str, options: Options, layer: str | None, eigenvectors: Path | None,
    space: str | None, annotation: Path | None, out: Path, force: bool,
) -> None:  # fmt: skip
    """Import directions of navigan, the code of the paper's authors, and latent directions of other tools.

    FILE of navigan is a direction (again for more), a folder of them, a file of eigenvectors, or a training's
    checkpoint.pt; there will be one set per layer. FILE of others is a boundary of InterFaceGAN (.npy, again for more),
    components of GANSpace (.npz), rosinality's factor.pt, or GANLatentDiscovery's deformator.pt beside its args.json.
    """
    with loading():
        from navbench import latent_files, navigan
        from navbench.directions import write_set

    made = created(generator, options)
    if latent_files.holds_latent_directions(files[0]):
        if layer is not None or eigenvectors is not None:
            raise NavbenchError(f"{files[0]} holds latent directions; leave --layer and --eigenvectors out.")
        sets = [latent_files.read_set(files, made, space, annotation)]
    elif space is not None:
        raise NavbenchError(f"{files[0]} holds no latent directions; leave --space out.")
    else:
        sets = navigan.read_sets(files, made, layer, eigenvectors, annotation)
    paths = [set_path(out, found.set_id) for found in sets]
    for path in paths:
        if path.exists() and not force:  # before any is written
            raise NavbenchError(f"{path} exists already; choose another --out, or say --force to replace it.")
    for found, path in zip(sets, paths, strict=True):
        write_set(found, path, overwrite=force)
        console.print(f"Directions: {path}")
        console.print(f"  {len(found)} of {found.place}, range {found.provenance['range']}")


@click.command("export", cls=Command, **example("navbench directions export cars/hybrid/convs.3/0 --out wheels.pt"))
@click.argument("name", shell_complete=completing.directions)
@run_option
@click.option("--out", type=_FILE, required=True, help="A file for a direction, a folder for a set.")
@generator_option
@checkpoint_options
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@directions_option
def export_directions(
    name: str, run: Place | None, out: Path, generator: str | None, options: Options, force: bool, folder: Path | None
) -> None:
    """Export a direction, or a set, for navigan, the code of the paper's authors.

    NAME is a direction's name, a unique part of it, or its label; or a set's name, such as 'cars/hybrid/convs.3'. A set
    becomes a folder with a file of eigenvectors, whatever its method, and its labels.
    """
    wanted = Wanted(name, run)
    found = wanted.library(folder)
    with loading():
        from navbench import navigan

    if name in found.sets:
        written = navigan.write(_loaded(found.sets[name], generator, options), out, overwrite=force)
    else:
        file, index = wanted.find(found)
        written = navigan.write(_loaded(file, generator, options)[index], out, overwrite=force)
    for path in written:
        console.print(f"Written: {path}")


def _loaded(file: SetFile, generator: str | None, options: Options) -> DirectionSet:
    return file.load(created(generator or installed(file), options))
