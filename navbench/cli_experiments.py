"""The commands that run one experiment: on one direction, on photos along one, or on all layers of a generator."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import pandas as pd

from navbench.cli_common import (
    calibrate_option,
    checkpoint_options,
    computing,
    console,
    directions_option,
    example,
    folding,
    fresh_option,
    given,
    installed,
    library,
    overridden,
    run_suite,
    with_options,
    with_subjects,
)
from navbench.discovery.methods import METHODS
from navbench.experiments.projection import SPACES
from navbench.experiments.reference import RESAMPLING
from navbench.generators import zoo
from navbench.generators.checkpoints import generator_name
from navbench.generators.options import Options
from navbench.library import SetFile
from navbench.suite import Subject, Suite
from navbench.words import KINDS

_SHARED_COLUMNS = ("metric", "extractor", "reference", "distance", "n", "n_survey")
"""What is said once, above a table, where all its rows have it in common."""


@dataclass(frozen=True)
class Shared:
    """What is said by the options that all commands of this file have; `folder` is of directions."""

    generator: str | None
    options: Options
    preset: str
    out: Path | None
    fresh: bool
    folder: Path | None
    device: str
    precision: str | None
    batch: int | None
    calibrate: str | None = None

    def suite(self) -> Suite:
        """The preset, with the values that were given in place of its own."""
        return overridden(self.preset, self.precision, self.batch, calibrate=self.calibrate)

    def run(self, chosen: Suite, name: str) -> Path:
        """Run a suite in the folder that was named, or in one of that name under `runs`; the folder."""
        place = self.out or Path("runs") / name
        run_suite(chosen, place, library(self.folder), self.device, fresh=self.fresh)
        return place


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all commands of this file have; the command gets them as one `shared: Shared`."""
    declared = (
        checkpoint_options,
        click.option("--preset", default="quick", show_default=True, help="Sizes that no option gives."),
        click.option("--out", type=click.Path(path_type=Path), help="The run folder. Default: one under runs."),
        fresh_option,
        directions_option,
        computing,
    )

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        names = [field.name for field in fields(Shared) if field.name in values]
        return command(shared=Shared(**{name: values.pop(name) for name in names}), **values)

    return functools.reduce(lambda inner, option: option(inner), reversed(declared), gathered)


def one_direction(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that is about one direction: those of all, and the direction's."""
    declared = (
        click.option("--direction", required=True, help="Its name, a unique part of it, or its label."),
        click.option("--generator", help="Its file or 'package.module:callable', if it is not installed by its name."),
        calibrate_option,
        run_options,
    )
    return functools.reduce(lambda inner, option: option(inner), reversed(declared), command)


def measure(
    command: str, shared: Shared, direction: str, experiments: Sequence[str], of_subject: dict[str, Any], **values: Any
) -> Path:
    """Run experiments on the one direction of that name; the run's folder.

    Args:
        command: what the folder is called after, beside the direction.
        shared: the options.
        direction: as the user named it.
        experiments: of the suite.
        of_subject: values of the suite's one generator, beside those that follow from the direction.
        values: others of the suite.
    """
    chosen = shared.suite()
    file, index = library(shared.folder).find(direction)
    name = file.names()[index]
    subject = _subject_of(chosen, file, shared.generator or installed(file), shared.options) | of_subject
    wanted = {"only": [name], "experiments": list(experiments), "rediscover": False}
    chosen = chosen.with_values(generators=[subject], **wanted, **values)
    return shared.run(chosen, f"{command}-{name.replace('/', '-')}")


def _subject_of(chosen: Suite, file: SetFile, generator: str, options: Options) -> dict[str, Any]:
    """A subject of one direction set, with the reference and scorer that the suite gives its generator."""
    same = [subject for subject in chosen.generators if subject.name == generator]
    subject = with_options(same[0] if same else Subject(name=generator), options)
    if file.header["layer"] is None:
        where = {"methods": [], "latents": [file.header["space"]], "latent_methods": [file.header["method"]]}
    else:
        where = {"layers": [file.header["layer"]], "methods": [file.header["method"]], "latents": []}
    return subject | where


def show(frame: pd.DataFrame, *columns: str) -> None:
    """Print columns of a table, those that it has; what all its rows share stands above it."""
    frame = frame[[name for name in columns if name in frame]]
    shared = [name for name in frame if name in _SHARED_COLUMNS and frame[name].nunique(dropna=False) == 1]
    if shared:
        console.print(", ".join(f"{name} {_words(frame[name].iloc[0])}" for name in shared))
    frame = frame.drop(columns=shared)
    printed = folding(*frame.columns)
    for row in frame.itertuples(index=False):
        printed.add_row(*map(_words, row))
    console.print(printed)


def _words(value: Any) -> str:
    """A cell: numbers with four digits, whole ones whole."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"


# --- one direction ---------------------------------------------------------------------------------------------


@click.command(
    "fid-curve",
    cls=click.Command,
    **example("navbench fid-curve --direction faces/svd/main.6/0 --samples 2000 --shifts 9"),
)
@click.option("--samples", type=click.IntRange(2), help="Images per point.")
@click.option("--shifts", type=click.IntRange(3), help="Points of the curve, an odd number.")
@click.option("--extractor", help="Only inception-v3-compat makes an FID.")
@click.option("--extractor-weights", help="A file with its weights, instead of downloading them.")
@click.option("--reference", help="As in run-all. Default: the suite's.")
@click.option("--resize", type=click.Choice(list(RESAMPLING)), help="How its images of another size are resized.")
@one_direction
def fid_curve(
    shared: Shared, direction: str, samples: int | None, shifts: int | None, extractor: str | None,
    extractor_weights: str | None, reference: str | None, resize: str | None,
) -> None:  # fmt: skip
    """FD or FID, KID and effect of one direction as functions of its shift."""
    compared = given(reference=reference, resize=resize)
    sizes = given(samples=samples, shifts=shifts, extractor=extractor, extractor_weights=extractor_weights)
    place = measure("fid-curve", shared, direction, ["curves", "strips"], compared, curves=sizes)
    columns = ("t", "effect", "metric", "extractor", "reference", "n", "value", "stderr")
    show(pd.read_csv(place / "tables" / "curves.csv"), *columns)


@click.command(
    "locality",
    cls=click.Command,
    **example("navbench locality --direction faces/svd/main.6/0 --samples 1600 --shifts 20"),
)
@click.option("--samples", type=click.IntRange(2), help="Codes.")
@click.option("--shifts", type=click.IntRange(2), help="Points of the uniform grid of t.")
@one_direction
def locality(shared: Shared, direction: str, samples: int | None, shifts: int | None) -> None:
    """Where one direction changes the image: its heatmap and how concentrated it is."""
    sizes = given(samples=samples, shifts=shifts)
    place = measure("locality", shared, direction, ["locality", "strips"], {}, locality=sizes)
    show(pd.read_csv(place / "tables" / "locality.csv"), "metric", "n", "value", "stderr")


@click.command(
    "reproduce",
    cls=click.Command,
    **example("navbench reproduce --direction faces/svd/main.6/0 --target z --steps 50"),
)
@click.option("--target", "targets", multiple=True, type=click.Choice(KINDS), help="Where to imitate it.")
@click.option("--codes", type=click.IntRange(1), help="Codes on which the imitation is found.")
@click.option("--held-out", type=click.IntRange(2), help="Codes on which it is measured.")
@click.option("--steps", type=click.IntRange(1), help="Steps of L-BFGS.")
@one_direction
def reproduce(
    shared: Shared, direction: str, targets: tuple[str, ...], codes: int | None, held_out: int | None, steps: int | None
) -> None:
    """Whether a latent code or an activation could have done what a direction does."""
    sizes = given(targets=targets or None, codes=codes, held_out=held_out, steps=steps)
    place = measure("reproduce", shared, direction, ["reproduction", "strips"], {}, reproduction=sizes)
    columns = ("target", "t", "steps", "n", "residual", "residual_stderr")
    show(pd.read_csv(place / "tables" / "reproduction.csv"), *columns)


@click.command("edit", cls=click.Command, **example("navbench edit car.png --direction cars/hybrid/convs.1/0"))
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True)
@click.option(
    "--space",
    "spaces",
    multiple=True,
    type=click.Choice(SPACES),
    help="What photos are projected into; again for more. Default: w+, or without it z and z+activation.",
)
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Of the projector.")
@click.option("--shifts", type=click.IntRange(3), help="Columns of the strip, an odd number.")
@click.option("--count", type=click.IntRange(1), help="Photos of each folder or distribution.")
@one_direction
def edit(
    shared: Shared, direction: str, photos: tuple[str, ...], spaces: tuple[str, ...], steps: int, shifts: int | None,
    count: int | None,
) -> None:  # fmt: skip
    """Project photos into the generator, and move them along a direction.

    PHOTO is an image file, a folder of them, the name of a distribution such as renderings, or codes that an earlier
    run wrote into its folder codes. A photo of other proportions is cut to the generator's, from the middle.
    """
    sizes = {"photos": given(spaces=spaces or None, steps=steps, count=count), "strips": given(shifts=shifts)}
    place = measure("edit", shared, direction, ["photos"], {"photos": list(photos)}, **sizes)
    columns = ("photo", "space", "distance", "perceptual", "psnr_db", "seconds")
    show(pd.read_csv(place / "tables" / "projection.csv"), *columns)


# --- all layers ------------------------------------------------------------------------------------------------


@click.command("survey", cls=click.Command, **example("navbench survey --generator cars --method spectrum"))
@click.option("--generator", required=True, help="A name, or the file of a checkpoint.")
@click.option(
    "--method",
    type=click.Choice([row.name for row in METHODS.values() if "parameter" in row.spaces]),
    default="spectrum",
    show_default=True,
    help="Whose directions.",
)
@click.option("--layer", "layers", multiple=True, help="Only these layers, by name or index.")
@click.option("--top", type=click.IntRange(1), help="The first this many directions of each layer.")
@click.option("--samples", type=click.IntRange(2), help="Codes.")
@click.option("--rediscover", is_flag=True, help="Find the directions of every layer first, all with the same effort.")
@run_options
def survey(
    shared: Shared, method: str, layers: tuple[str, ...], top: int | None, samples: int | None, rediscover: bool
) -> None:
    """What directions change in each layer of a generator: scale, geometry or colour, where, and at what cost."""
    chosen = with_subjects(shared.suite(), shared.generator, shared.options)
    subject = chosen.generators[0].model_dump(mode="json") | {"methods": [method], "latents": [], "photos": []}
    sizes = given(method=method, layers=list(layers) or None, directions=top, samples=samples)
    wanted = {"experiments": ["survey", "curves"], "curves": {"directions": 0}, "rediscover": rediscover}
    chosen = chosen.with_values(generators=[subject | {"layers": list(layers)}], survey=sizes, **wanted)
    place = shared.run(chosen, f"survey-{_file_name(chosen.generators[0].name)}-{method}")
    found = pd.read_csv(place / "tables" / "layers.csv").dropna(subset=["coarse"])  # the others were not surveyed
    changes = ("layer", "coarse", "middle", "fine", "geometry", "area50", "attributes_reached", "n_survey")
    show(found, *changes, "fd", "metric", "extractor", "reference", "n")


def _file_name(generator: str) -> str:
    """What a folder calls a generator, which is not built for that: a checkpoint by its file's name."""
    return generator_name(Path(generator)) if zoo.is_file(generator) else generator.replace(":", ".")
