"""The command that looks at all layers of a generator: `navbench survey`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from navbench.cli import completing
from navbench.cli.common import example, given
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.output import records_of, rows_as_json, show, table_of
from navbench.cli.running import with_subjects
from navbench.cli.shared import Shared, run_options
from navbench.generators import zoo
from navbench.methods import BUILT_IN, METHODS
from navbench.words import SpaceKind


@click.command("survey", cls=Command, **example("navbench survey --generator cars --method spectrum"))
@click.option(
    "--generator", required=True, shell_complete=completing.generators, help="A name, or the file of a checkpoint."
)
@click.option(
    "--method",
    type=click.Choice(
        [name for name in METHODS if name not in BUILT_IN or SpaceKind.PARAMETER in BUILT_IN[name].spaces]
    ),
    default="spectrum",
    show_default=True,
    help="The method whose directions the survey uses.",
)
@click.option("--layer", "layers", multiple=True, help="Only these layers, by name or index.")
@click.option("--top", type=click.IntRange(1), help="The first this many directions of each layer.")
@click.option("--samples", type=click.IntRange(2), help="Codes.")
@click.option("--rediscover", is_flag=True, help="Find the directions of every layer first, all with the same effort.")
@run_options
@rows_as_json("layers")
def survey(
    shared: Shared, method: str, layers: tuple[str, ...], top: int | None, samples: int | None, rediscover: bool
) -> list[dict[str, Any]]:
    """What directions change in each layer of a generator: scale, geometry or colour, where, and at what cost."""
    chosen = with_subjects(shared.suite(), shared.generator, shared.options)
    subject = chosen.generators[0].model_dump(mode="json") | {"methods": [method], "latents": [], "photos": []}
    sizes = given(method=method, layers=list(layers) or None, directions=top, samples=samples)
    wanted = {"experiments": ["survey", "curves"], "curves": {"directions": 0}, "rediscover": rediscover}
    chosen = chosen.with_values(generators=[subject | {"layers": list(layers)}], survey=sizes, **wanted)
    place = shared.run(chosen, f"survey-{_file_name(chosen.generators[0].name)}-{method}")
    found = table_of(place, "layers").dropna(subset=["coarse"])  # the others were not surveyed
    changes = ("layer", "coarse", "middle", "fine", "geometry", "area50", "attributes_reached", "n_survey")
    show(found, *changes, "fd", "metric", "extractor", "reference", "n")
    return records_of(place, "layers")


def _file_name(generator: str) -> str:
    """What a folder calls a generator, which is not built for that: a checkpoint by its file's name."""
    if not zoo.is_file(generator):
        return generator.replace(":", ".")
    with loading():
        from navbench.generators.checkpoints import generator_name

    return generator_name(Path(generator))
