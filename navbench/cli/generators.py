"""The commands that tell which generators there are: `navbench generators`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.common import checkpoint_options, created, example
from navbench.cli.grouping import Family
from navbench.cli.loading import loading
from navbench.cli.output import console, folding, json_option
from navbench.errors import NavbenchError
from navbench.files import sha256
from navbench.generators import zoo
from navbench.words import INNER, KINDS

if TYPE_CHECKING:
    from navbench.generators.options import Options


@click.group("generators", cls=Family, **example("navbench generators list"))
def generators() -> None:
    """The generators that there are."""


@generators.command("list", **example("navbench generators list"))
@json_option("an object per generator, with the keys name and from")
def list_generators() -> list[dict[str, str]]:
    """List the installed generators."""
    rows = [{"name": name, "from": point.value} for name, point in sorted(zoo.known().items())]
    table = folding("name", "from")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    return rows


@generators.command("show", **example("navbench generators show stylegan2-car-config-f.pkl"))
@click.argument("name", metavar="NAME_OR_FILE", shell_complete=completing.generators)
@checkpoint_options
@json_option(
    "an object with name, description, size, latents, parameters, sha256, details, and layers, each with the keys "
    "index, layer, kernel and parameters"
)
def show_generator(name: str, options: Options) -> dict[str, Any]:
    """Show what a generator is: its size, its spaces, what was read of its file, its layers and their kernels."""
    made = created(name, options)
    height, width = made.size
    sizes = {kind: "x".join(map(str, made.latent_shape(kind))) for kind in made.latents}
    spaces = [f"{kind} ({sizes[kind]})" if kind in sizes else kind for kind in KINDS if kind in (*sizes, *INNER)]
    console.print(f"{made.name}: {made.description}")
    console.print(f"images of {height}x{width}, spaces {', '.join(spaces)}")
    console.print(f"{sum(tensor.numel() for tensor in made.parameters()):,} parameters, sha256 {made.fingerprint}")
    if zoo.is_file(name):
        console.print(f"file of {Path(name).stat().st_size:,} bytes, sha256 {sha256(Path(name))}")
    for detail, words in made.details.items():
        console.print(f"{detail}: {words}")
    table = folding("index", "layer", "kernel", "parameters")
    for layer in made.layers():
        table.add_row(str(layer.index), layer.name, "x".join(map(str, layer.shape)), f"{layer.shape.numel():,}")
    console.print(table)
    return {
        "name": made.name,
        "description": made.description,
        "size": [height, width],
        "latents": {kind: [*made.latent_shape(kind)] for kind in made.latents},
        "parameters": sum(tensor.numel() for tensor in made.parameters()),
        "sha256": made.fingerprint,
        "details": made.details,
        "layers": [
            {"index": layer.index, "layer": layer.name, "kernel": [*layer.shape], "parameters": layer.shape.numel()}
            for layer in made.layers()
        ],
    }


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
    with loading():
        from navbench.generators.checkpoints import convert, read_checkpoint

    convert(read_checkpoint(source, options), target, "half" if half else "float32")
    console.print(f"Written: {target} ({target.stat().st_size:,} bytes)")
