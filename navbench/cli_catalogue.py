"""The commands that tell what there is: `navbench directions` and `navbench generators`."""

from pathlib import Path

import click
import pandas as pd

from navbench.cli_common import checkpoint_options, console, directions_option, example, folding, installed, library
from navbench.cli_navigan import export_directions, import_directions
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.files import sha256
from navbench.generators import zoo
from navbench.generators.checkpoints import convert, read_checkpoint
from navbench.generators.options import Options
from navbench.library import open_set, relabel
from navbench.words import INNER, KINDS


@click.group("directions", cls=click.Group, **example("navbench directions list"))
def directions() -> None:
    """The directions that there are."""


directions.add_command(import_directions)
directions.add_command(export_directions)


@directions.command("list", **example("navbench directions list --generator faces"))
@click.option("--generator", help="Only those of one generator.")
@click.option("--csv", is_flag=True, help="As a table for programs, such as directions/index.csv.")
@directions_option
def list_directions(generator: str | None, csv: bool, folder: Path | None) -> None:
    """List the direction sets."""
    rows = [
        (reference, str(file.count), "; ".join(filter(None, file.header["labels"])), file.sha256)
        for reference, file in sorted(library(folder).sets.items())
        if generator in (None, file.header["generator"])
    ]
    columns = ("set", "directions", "labels", "sha256")
    if csv:
        click.echo(pd.DataFrame(rows, columns=columns).to_csv(index=False), nl=False)
        return
    table = folding(*columns)
    for row in rows:
        table.add_row(*row[:3], row[3][:12])
    console.print(table)


@directions.command("label", **example('navbench directions label my-directions/faces/svd/main.6.safetensors 3 "hair"'))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("index", type=click.IntRange(0))
@click.argument("label")
def label_direction(file: Path, index: int, label: str) -> None:
    """Name a direction by hand; from then on it answers to that name."""
    found = open_set(file)
    if index >= found.count:
        raise NavbenchError(f"{file} has directions 0 to {found.count - 1}; there is no {index}.")
    relabel(found, index, label)
    console.print(f"{found.names()[index]} is now {label!r}")


@directions.command("show", **example("navbench directions show faces/hybrid/main.6/3"))
@click.argument("name")
@click.option("--generator", help="Its file or 'package.module:callable', if it is not installed by its name.")
@checkpoint_options
@directions_option
def show_direction(name: str, generator: str | None, options: Options, folder: Path | None) -> None:
    """Show what is known of one direction."""
    file, index = library(folder).find(name)
    direction = file.load(zoo.create(generator or installed(file), Compute(), options))[index]
    table = folding("", "", header=False)
    table.add_row("name", direction.name)
    table.add_row("label", direction.label or "-")
    table.add_row("space", f"{direction.space}, {tuple(direction.offset.shape)}")
    table.add_row("layer", direction.layer or "-")
    table.add_row("t", f"[{direction.t_min:.4g}, {direction.t_max:.4g}]")
    for key, value in direction.scores.items():
        table.add_row(key.replace("_", " "), f"{value:.4g}")
    for key, value in file.header["provenance"].items():
        if key != "log":
            table.add_row(key, str(value))
    table.add_row("file", str(file.path))
    table.add_row("sha256", file.sha256)
    console.print(table)


@click.group("generators", cls=click.Group, **example("navbench generators list"))
def generators() -> None:
    """The generators that there are."""


@generators.command("list", **example("navbench generators list"))
def list_generators() -> None:
    """List the installed generators."""
    table = folding("name", "from")
    for name, point in sorted(zoo.known().items()):
        table.add_row(name, point.value)
    console.print(table)


@generators.command("show", **example("navbench generators show stylegan2-car-config-f.pkl"))
@click.argument("name", metavar="NAME_OR_FILE")
@checkpoint_options
def show_generator(name: str, options: Options) -> None:
    """Show what a generator is: its size, its spaces, its layers and their kernels."""
    made = zoo.create(name, Compute(), options)
    height, width = made.size
    sizes = {kind: "x".join(map(str, made.latent_shape(kind))) for kind in made.latents}
    spaces = [f"{kind} ({sizes[kind]})" if kind in sizes else kind for kind in KINDS if kind in (*sizes, *INNER)]
    console.print(f"{made.name}: {made.description}")
    console.print(f"images of {height}x{width}, spaces {', '.join(spaces)}")
    console.print(f"{sum(tensor.numel() for tensor in made.parameters()):,} parameters, sha256 {made.fingerprint}")
    if zoo.is_file(name):
        console.print(f"file of {Path(name).stat().st_size:,} bytes, sha256 {sha256(Path(name))}")
    table = folding("index", "layer", "kernel", "parameters")
    for layer in made.layers():
        table.add_row(str(layer.index), layer.name, "x".join(map(str, layer.shape)), f"{layer.shape.numel():,}")
    console.print(table)


@generators.command("convert", **example("navbench generators convert stylegan2-ffhq.pkl ffhq.safetensors --half"))
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@checkpoint_options
@click.option("--half", is_flag=True, help="At half precision: half the size, images within a grey level or so.")
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def convert_generator(source: Path, target: Path, options: Options, half: bool, force: bool) -> None:
    """Convert a checkpoint of StyleGAN2: OUT.safetensors is navbench's own layout, OUT.pt rosinality's."""
    if target.exists() and not force:
        raise NavbenchError(f"{target} exists already; choose another name, or say --force to replace it.")
    convert(read_checkpoint(source, options), target, "half" if half else "float32")
    console.print(f"Written: {target} ({target.stat().st_size:,} bytes)")
