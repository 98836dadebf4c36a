"""The commands that run one experiment on one direction: `fid-curve`, `locality`, `reproduce` and `edit`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.common import calibrate_option, example, generator_option, given, installed
from navbench.cli.grouping import Command
from navbench.cli.naming import NAME_HELP, Wanted, run_option
from navbench.cli.output import rows_as_json, show_table
from navbench.cli.running import with_options
from navbench.cli.shared import Shared, run_options
from navbench.library import SetFile
from navbench.places import Place
from navbench.texts import file_name
from navbench.words import CONVERSIONS, KINDS, PROJECTIONS, RESAMPLING

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.suite import Suite


def one_direction(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that is about one direction: those of all, and the direction's.

    The command gets the direction as one `wanted: Wanted`.
    """
    declared = (
        click.option("--direction", required=True, shell_complete=completing.directions, help=NAME_HELP),
        run_option,
        generator_option,
        calibrate_option,
        run_options,
    )

    @functools.wraps(command)
    def gathered(direction: str, run: Place | None, **values: Any) -> Any:
        return command(wanted=Wanted(direction, run), **values)

    return functools.reduce(lambda inner, option: option(inner), reversed(declared), gathered)


def measure(
    command: str, shared: Shared, wanted: Wanted, experiments: Sequence[str], of_subject: dict[str, Any], **values: Any
) -> Place:
    """Run experiments on the one direction of that name; where the run lies.

    Args:
        command: what the folder is called after, beside the direction.
        shared: the options.
        wanted: the direction, as the user calls it.
        experiments: of the suite.
        of_subject: values of the suite's one generator, beside those that follow from the direction.
        values: others of the suite.
    """
    chosen = shared.suite()
    sets = wanted.library(shared.folder)
    file, index = wanted.find(sets)
    name = file.names()[index]
    subject = _subject_of(chosen, file, shared.generator or installed(file), shared.options) | of_subject
    narrow = {"only": [name], "experiments": list(experiments), "rediscover": False}
    chosen = chosen.with_values(generators=[subject], **narrow, **values)
    return shared.run(chosen, f"{command}-{file_name(name)}", sets)


def _subject_of(chosen: Suite, file: SetFile, generator: str, options: Options) -> dict[str, Any]:
    """A subject of one direction set, with the reference and scorer that the suite gives its generator."""
    from navbench.suite import Subject

    same = [subject for subject in chosen.generators if subject.name == generator]
    subject = with_options(same[0] if same else Subject(name=generator), options)
    if file.header["layer"] is None:
        where = {"methods": [], "latents": [file.header["space"]], "latent_methods": [file.header["method"]]}
    else:
        where = {"layers": [file.header["layer"]], "methods": [file.header["method"]], "latents": []}
    return subject | where | {"as": ""}


@click.command(
    "fid-curve",
    cls=Command,
    **example("navbench fid-curve --direction faces/svd/main.6/0 --samples 2000 --shifts 9"),
)
@click.option("--samples", type=click.IntRange(2), help="Images per point.")
@click.option("--shifts", type=click.IntRange(3), help="Points of the curve, an odd number.")
@click.option("--extractor", help="Only inception-v3-compat makes an FID.")
@click.option("--extractor-weights", help="A file with its weights, instead of downloading them.")
@click.option("--reference", help="As in run-all. Default: the suite's.")
@click.option("--resize", type=click.Choice(RESAMPLING), help="How its images of another size are resized.")
@click.option("--convert", type=click.Choice(CONVERSIONS), help="What its other images are converted to.")
@one_direction
@rows_as_json("curves")
def fid_curve(
    shared: Shared, wanted: Wanted, samples: int | None, shifts: int | None, extractor: str | None,
    extractor_weights: str | None, reference: str | None, resize: str | None, convert: str | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """FD or FID, KID and effect of one direction as functions of its shift."""
    compared = given(reference=reference, resize=resize, convert=convert)
    sizes = given(samples=samples, shifts=shifts, extractor=extractor, extractor_weights=extractor_weights)
    place = measure("fid-curve", shared, wanted, ["curves", "strips"], compared, curves=sizes)
    columns = ("t", "effect", "metric", "extractor", "reference", "n", "value", "stderr")
    return show_table(place, "curves", *columns)


@click.command(
    "locality",
    cls=Command,
    **example("navbench locality --direction faces/svd/main.6/0 --samples 1600 --shifts 20"),
)
@click.option("--samples", type=click.IntRange(2), help="Codes.")
@click.option("--shifts", type=click.IntRange(2), help="Points of the uniform grid of t.")
@one_direction
@rows_as_json("locality")
def locality(shared: Shared, wanted: Wanted, samples: int | None, shifts: int | None) -> list[dict[str, Any]]:
    """Where one direction changes the image: its heatmap and how concentrated it is."""
    sizes = given(samples=samples, shifts=shifts)
    place = measure("locality", shared, wanted, ["locality", "strips"], {}, locality=sizes)
    return show_table(place, "locality", "metric", "n", "value", "stderr")


@click.command(
    "reproduce",
    cls=Command,
    **example("navbench reproduce --direction faces/svd/main.6/0 --target z --steps 50"),
)
@click.option("--target", "targets", multiple=True, type=click.Choice(KINDS), help="Where to imitate it.")
@click.option("--codes", type=click.IntRange(1), help="Codes on which the imitation is found.")
@click.option("--held-out", type=click.IntRange(2), help="Codes on which it is measured.")
@click.option("--steps", type=click.IntRange(1), help="Steps of L-BFGS.")
@one_direction
@rows_as_json("reproduction")
def reproduce(
    shared: Shared, wanted: Wanted, targets: tuple[str, ...], codes: int | None, held_out: int | None, steps: int | None
) -> list[dict[str, Any]]:
    """Whether a latent code or an activation could have done what a direction does."""
    sizes = given(targets=targets or None, codes=codes, held_out=held_out, steps=steps)
    place = measure("reproduce", shared, wanted, ["reproduction", "strips"], {}, reproduction=sizes)
    columns = ("target", "t", "steps", "n", "unexplained_fraction", "unexplained_fraction_stderr")
    return show_table(place, "reproduction", *columns)


@click.command("edit", cls=Command, **example("navbench edit car.png --direction cars/hybrid/convs.1/0"))
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True)
@click.option(
    "--space",
    "spaces",
    multiple=True,
    type=click.Choice(PROJECTIONS),
    help="What photos are projected into; again for more. Default: w+, or without it z and z+activation.",
)
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Of the projector.")
@click.option("--shifts", type=click.IntRange(3), help="Columns of the strip, an odd number.")
@click.option("--count", type=click.IntRange(1), help="Photos of each folder or distribution.")
@one_direction
@rows_as_json("projection")
def edit(
    shared: Shared, wanted: Wanted, photos: tuple[str, ...], spaces: tuple[str, ...], steps: int, shifts: int | None,
    count: int | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Project photos into the generator, and move them along a direction.

    PHOTO is an image file, a folder of them, the name of a distribution such as renderings, codes that an earlier
    run wrote into its folder codes, or latents of another tool: projected_w.npz of StyleGAN2-ADA, latents.pt of pSp or
    e4e. A photo of other proportions is cut to the generator's, from the middle.
    """
    sizes = {"photos": given(spaces=spaces or None, steps=steps, count=count), "strips": given(shifts=shifts)}
    place = measure("edit", shared, wanted, ["photos"], {"photos": list(photos)}, **sizes)
    columns = ("photo", "space", "distance", "perceptual", "psnr_db", "seconds")
    return show_table(place, "projection", *columns)
