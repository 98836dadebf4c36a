"""The command line: it parses, calls one function each, and prints."""

import functools
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from navbench import __version__, suite, weights
from navbench.cli_catalogue import directions, generators
from navbench.cli_common import checkpoint_options, console, directions_option, example, folding, installed, library
from navbench.cli_report import compare, report
from navbench.cli_testbed import testbed
from navbench.compute import Compute
from navbench.directions import SetFile
from navbench.discovery.methods import METHODS, admitted
from navbench.errors import NavbenchError
from navbench.experiments.projection import SPACES
from navbench.experiments.reference import RESAMPLING
from navbench.generators import zoo
from navbench.generators.options import Options
from navbench.progress import stage
from navbench.report.html import write_report
from navbench.runner.discover import discover as discover_sets
from navbench.runner.local import Run, check_folder
from navbench.runner.plan import layers_of
from navbench.spaces import KINDS, LATENTS, LatentSpace, ParameterSpace, Space
from navbench.suite import PRESETS, Subject, Suite


class Program(click.Group):
    """Turns every error into one sentence and an exit code: 2 for what the user can mend, 1 for what failed."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; with --debug errors keep their traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted; the same command (without --fresh) goes on where this one stopped.", err=True)
            sys.exit(130)
        except Exception as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            known = isinstance(error, NavbenchError)
            first = (str(error).strip().splitlines() or ["no message"])[0]
            text = str(error) if known else f"{type(error).__name__}: {first} (--debug shows where)."
            click.echo(f"Error: {text}", err=True)
            sys.exit(error.exit_code if isinstance(error, NavbenchError) else 1)


def computing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where and how to compute."""
    options = (
        click.option("--device", default="cpu", show_default=True, help="'cpu', 'cuda' or 'cuda:N'."),
        click.option("--precision", type=click.Choice(["float32", "bf16"]), help="Default: what the suite says."),
        click.option("--batch", type=click.IntRange(1), help="Images per forward pass; changes no result."),
    )
    return functools.reduce(lambda inner, option: option(inner), reversed(options), command)


def calibrate_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that solves for the ranges of directions."""
    text = "Solve every range for 'effect=0.2', say, or 'wheel radius=+1px'. Default: what the suite says."
    return click.option("--calibrate", metavar="WHAT=AMOUNT", help=text)(command)


def compute_for(chosen: Suite, device: str) -> Compute:
    """The compute of a suite; at float32, CUDA is kept from rounding to TF32."""
    torch.backends.cudnn.allow_tf32 = False
    return Compute(device, chosen.precision, chosen.batch)


def overridden(source: str, precision: str | None, batch: int | None, **values: Any) -> Suite:
    """A suite with the command line's values in place of its own."""
    given = {"precision": precision, "batch": batch, **values}
    return suite.read(source).with_values(**{key: value for key, value in given.items() if value is not None})


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def main(debug: bool) -> None:
    """Measure the editing directions of an image generator: how good, how far, how local, how latent."""
    # torch's own use of what it deprecates is nothing that a user can act on
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.")


for command in (directions, generators, testbed, report, compare):
    main.add_command(command)


@main.command("run-all", **example("navbench run-all quick --out runs/quick"))
@click.argument("source", metavar="[SUITE]", default="quick")
@click.option("--generator", help="Measure this one instead of the suite's: a name, or the file of a checkpoint.")
@checkpoint_options
@click.option("--layer", "layers", multiple=True, help="Only these layers, by name or index.")
@click.option("--reference", help="'unshifted', 'renderings', a folder or zip of real images, or their statistics.")
@click.option("--resize", type=click.Choice(list(RESAMPLING)), help="How its images of another size are resized.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder. Default: runs/NAME-OF-SUITE.")
@click.option("--fresh", is_flag=True, help="Start over, instead of going on with the run in the folder.")
@click.option("--rediscover", is_flag=True, default=None, help="Find the directions anew.")
@calibrate_option
@directions_option
@computing
def run_all(
    source: str, generator: str | None, options: Options, layers: tuple[str, ...], reference: str | None,
    resize: str | None, out: Path | None, fresh: bool, rediscover: bool | None, calibrate: str | None,
    folder: Path | None, device: str, precision: str | None, batch: int | None,
) -> None:  # fmt: skip
    """Run a whole suite and write its report.

    SUITE is a preset (smoke, quick, standard, paper) or a TOML file. Run again in the same folder, it does only
    what is left.
    """
    survey = {"layers": list(layers)} if layers else None
    chosen = overridden(source, precision, batch, rediscover=rediscover, calibrate=calibrate, survey=survey)
    chosen = _with_subjects(chosen, generator, options, layers=list(layers) or None, reference=reference, resize=resize)
    _run(chosen, out or Path("runs") / chosen.name, folder, device, fresh=fresh)


def _with_subjects(chosen: Suite, generator: str | None, options: Options, **others: Any) -> Suite:
    """The suite with the command line's generator, its options, and other values of it in place of its own."""
    subjects = list(chosen.generators)
    if generator is not None:
        same = [subject for subject in subjects if subject.name == generator]
        subjects = same or [Subject(name=generator, methods=subjects[0].methods)]
    contents = [_with_options(subject, options) | given(**others) for subject in subjects]
    return chosen.with_values(generators=contents)


def _with_options(subject: Subject, options: Options) -> dict[str, Any]:
    """The content of a subject, with the options that were given in place of its own."""
    content = subject.model_dump(mode="json")
    return content | {"options": content["options"] | options.model_dump(mode="json", exclude_defaults=True)}


def _run(chosen: Suite, out: Path, folder: Path | None, device: str, *, fresh: bool) -> None:
    compute, found = compute_for(chosen, device), library(folder)
    check_folder(out, chosen, fresh=fresh)
    Run(out, chosen, compute, found, console).execute(fresh=fresh)
    with stage(console, "report") as tick:
        page = write_report(out)
        tick(1, 1)
    console.print(f"Report: {page.resolve()}")


COLUMNS = {
    "curves": ("t", "effect", "metric", "extractor", "reference", "n", "value", "stderr"),
    "locality": ("metric", "n", "value", "stderr"),
    "reproduction": ("target", "t", "steps", "n", "residual", "residual_stderr"),
}


def show(frame: pd.DataFrame) -> None:
    """Print a table, numbers with four digits; what all its rows share stands above it."""
    shared = [name for name in ("extractor", "reference", "n") if name in frame and frame[name].nunique() == 1]
    if shared:
        console.print(", ".join(f"{name} {frame[name].iloc[0]}" for name in shared))
    frame = frame.drop(columns=shared)
    table = folding(*frame.columns)
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    console.print(table)


def one_direction(experiment: str, text: str) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., Any]]:
    """Turn a function from options to suite values into a command that runs one experiment on one direction."""

    def decorate(values: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
        @click.option("--direction", "name", required=True, help="Its name, a unique part of it, or its label.")
        @click.option("--generator", help="Its file or 'package.module:callable', if it is not installed by its name.")
        @checkpoint_options
        @click.option("--preset", default="quick", show_default=True, help="Sizes that no option gives.")
        @click.option("--out", type=click.Path(path_type=Path), help="The run folder.")
        @click.option("--fresh", is_flag=True, help="Start over.")
        @calibrate_option
        @directions_option
        @computing
        @functools.wraps(values)
        def command(
            name: str, generator: str | None, options: Options, preset: str, out: Path | None, fresh: bool,
            calibrate: str | None, folder: Path | None, device: str, precision: str | None, batch: int | None,
            **own: Any,
        ) -> None:  # fmt: skip
            chosen = overridden(preset, precision, batch, calibrate=calibrate)
            file, index = library(folder).find(name)
            full = file.names()[index]
            compared = {name: own.pop(name, None) for name in ("reference", "resize")}
            subject = _subject_of(chosen, file, generator or installed(file), options) | given(**compared)
            wanted = {"only": [full], "experiments": [experiment, "strips"], "rediscover": False}
            chosen = chosen.with_values(generators=[subject], **wanted, **values(**own))
            place = out or Path("runs") / f"{experiment}-{full.replace('/', '-')}"
            _run(chosen, place, folder, device, fresh=fresh)
            show(pd.read_csv(place / "tables" / f"{experiment}.csv")[list(COLUMNS[experiment])])

        command.__doc__ = text
        return command

    return decorate


def _subject_of(chosen: Suite, file: SetFile, generator: str, options: Options) -> dict[str, Any]:
    """A subject of one direction set, with the reference and scorer that the suite gives its generator."""
    same = [subject for subject in chosen.generators if subject.name == generator]
    subject = _with_options(same[0] if same else Subject(name=generator), options)
    if file.header["layer"] is None:
        where = {"methods": [], "latents": [file.header["space"]], "latent_methods": [file.header["method"]]}
    else:
        where = {"layers": [file.header["layer"]], "methods": [file.header["method"]], "latents": []}
    return subject | where


def given(**values: Any) -> dict[str, Any]:
    """The values that were given."""
    return {key: value for key, value in values.items() if value is not None}


@main.command("fid-curve", **example("navbench fid-curve --direction faces/svd/main.6/0 --samples 2000 --shifts 9"))
@click.option("--samples", type=click.IntRange(2), help="Images per point.")
@click.option("--shifts", type=click.IntRange(3), help="Points of the curve, an odd number.")
@click.option("--extractor", help="Only inception-v3-compat makes an FID.")
@click.option("--extractor-weights", help="A file with its weights, instead of downloading them.")
@click.option("--reference", help="As in run-all. Default: the suite's.")
@click.option("--resize", type=click.Choice(list(RESAMPLING)), help="How its images of another size are resized.")
@one_direction("curves", "FD or FID, KID and effect of one direction as functions of its shift.")
def fid_curve(
    samples: int | None, shifts: int | None, extractor: str | None, extractor_weights: str | None
) -> dict[str, Any]:
    """The values for the suite."""
    curves = given(samples=samples, shifts=shifts, extractor=extractor, extractor_weights=extractor_weights)
    return {"curves": curves}


@main.command("locality", **example("navbench locality --direction faces/svd/main.6/0 --samples 1600 --shifts 20"))
@click.option("--samples", type=click.IntRange(2), help="Codes.")
@click.option("--shifts", type=click.IntRange(2), help="Points of the uniform grid of t.")
@one_direction("locality", "Where one direction changes the image: its heatmap and how concentrated it is.")
def locality(samples: int | None, shifts: int | None) -> dict[str, Any]:
    """The values for the suite."""
    return {"locality": given(samples=samples, shifts=shifts)}


@main.command("reproduce", **example("navbench reproduce --direction faces/svd/main.6/0 --target z --steps 50"))
@click.option("--target", "targets", multiple=True, type=click.Choice(KINDS), help="Where to imitate it.")
@click.option("--codes", type=click.IntRange(1), help="Codes on which the imitation is found.")
@click.option("--held-out", type=click.IntRange(2), help="Codes on which it is measured.")
@click.option("--steps", type=click.IntRange(1), help="Steps of L-BFGS.")
@one_direction("reproduction", "Whether a latent code or an activation could have done what a direction does.")
def reproduce(targets: tuple[str, ...], codes: int | None, held_out: int | None, steps: int | None) -> dict[str, Any]:
    """The values for the suite."""
    return {"reproduction": given(targets=targets or None, codes=codes, held_out=held_out, steps=steps)}


@main.command("edit", **example("navbench edit car.png --direction cars/hybrid/convs.1/0"))
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True)
@click.option("--direction", "name", required=True, help="Its name, a unique part of it, or its label.")
@click.option("--generator", help="Its file or 'package.module:callable', if it is not installed by its name.")
@checkpoint_options
@click.option(
    "--space",
    "spaces",
    multiple=True,
    type=click.Choice(SPACES),
    help="Where to. Default: w+, or without it z and z+activation.",
)
@click.option("--steps", type=click.IntRange(1), default=1000, show_default=True, help="Of the projector.")
@click.option("--shifts", type=click.IntRange(3), help="Columns of the strip, an odd number.")
@click.option("--count", type=click.IntRange(1), help="Photos of each folder or distribution.")
@click.option("--preset", default="quick", show_default=True, help="Sizes that no option gives.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder.")
@click.option("--fresh", is_flag=True, help="Start over.")
@calibrate_option
@directions_option
@computing
def edit(
    photos: tuple[str, ...], name: str, generator: str | None, options: Options, spaces: tuple[str, ...], steps: int,
    shifts: int | None, count: int | None, preset: str, out: Path | None, fresh: bool, calibrate: str | None,
    folder: Path | None, device: str, precision: str | None, batch: int | None,
) -> None:  # fmt: skip
    """Project photos into the generator, and move them along a direction.

    PHOTO is an image file, a folder of them, the name of a distribution such as renderings, or codes that an earlier
    run wrote into its folder codes. A photo of other proportions is cut to the generator's, from the middle.
    """
    chosen = overridden(preset, precision, batch, calibrate=calibrate)
    file, index = library(folder).find(name)
    full = file.names()[index]
    subject = _subject_of(chosen, file, generator or installed(file), options) | {"photos": list(photos)}
    values = {"photos": given(spaces=spaces or None, steps=steps, count=count), "strips": given(shifts=shifts)}
    wanted = {"only": [full], "experiments": ["photos"], "rediscover": False}
    place = out or Path("runs") / f"edit-{full.replace('/', '-')}"
    _run(chosen.with_values(generators=[subject], **wanted, **values), place, folder, device, fresh=fresh)
    show(pd.read_csv(place / "tables" / "projection.csv")[["photo", "space", "perceptual", "psnr_db", "seconds"]])


@main.command("survey", **example("navbench survey --generator cars --method spectrum"))
@click.option("--generator", required=True, help="A name, or the file of a checkpoint.")
@checkpoint_options
@click.option(
    "--method", type=click.Choice(list(METHODS)), default="spectrum", show_default=True, help="Whose directions."
)
@click.option("--layer", "layers", multiple=True, help="Only these layers, by name or index.")
@click.option("--count", type=click.IntRange(1), help="Directions of each layer.")
@click.option("--samples", type=click.IntRange(2), help="Codes.")
@click.option("--rediscover", is_flag=True, help="Find the directions of every layer first, all with the same effort.")
@click.option("--preset", default="quick", show_default=True, help="Sizes that no option gives.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder.")
@click.option("--fresh", is_flag=True, help="Start over.")
@directions_option
@computing
def survey(
    generator: str, options: Options, method: str, layers: tuple[str, ...], count: int | None, samples: int | None,
    rediscover: bool, preset: str, out: Path | None, fresh: bool, folder: Path | None, device: str,
    precision: str | None, batch: int | None,
) -> None:  # fmt: skip
    """What directions change in each layer of a generator: scale, geometry or colour, where, and at what cost."""
    chosen = _with_subjects(overridden(preset, precision, batch), generator, options)
    subject = chosen.generators[0].model_dump(mode="json") | {"methods": [method], "latents": [], "photos": []}
    sizes = given(method=method, layers=list(layers) or None, directions=count, samples=samples)
    wanted = {"experiments": ["survey", "curves"], "curves": {"directions": 0}, "rediscover": rediscover}
    chosen = chosen.with_values(generators=[subject | {"layers": list(layers)}], survey=sizes, **wanted)
    place = out or Path("runs") / f"survey-{zoo.create(generator, Compute(), options).name}-{method}"
    _run(chosen, place, folder, device, fresh=fresh)
    found = pd.read_csv(place / "tables" / "layers.csv")
    columns = ("layer", "coarse", "middle", "fine", "geometry", "area50", "attributes_reached", "fd")
    show(found[[column for column in columns if column in found]].dropna(subset=["coarse"]))


@main.command(**example("navbench discover --method spectrum --method hybrid --layer main.6 --out my-directions"))
@click.option(
    "--method",
    "methods",
    multiple=True,
    help=f"One of {', '.join(METHODS)}; again for more. Default: the suite's.",
)
@click.option("--generator", help="A name, or the file of a checkpoint. Default: the suite's first.")
@checkpoint_options
@click.option("--layer", "layers", multiple=True, help="By name or index; again for more. Default: the suite's.")
@click.option(
    "--latent", "latents", multiple=True, type=click.Choice(LATENTS), help="In this latent space; again for more."
)
@click.option("--preset", default="quick", show_default=True, help="A preset or suite file, for its settings.")
@click.option("--seed", type=click.IntRange(0), help="Default: the suite's.")
@click.option("--out", type=click.Path(path_type=Path), default="my-directions", show_default=True, help="Where to.")
@click.option("--force", is_flag=True, help="Replace sets that are there already.")
@computing
def discover(
    methods: tuple[str, ...], generator: str | None, options: Options, layers: tuple[str, ...],
    latents: tuple[str, ...], preset: str, seed: int | None, out: Path, force: bool, device: str,
    precision: str | None, batch: int | None,
) -> None:  # fmt: skip
    """Find directions and write them, one file per method and layer or latent space.

    With --layer or --latent, in those alone: '--generator cars --latent w --method ganspace'. Methods that are not
    defined in a space are passed over there. Sets that are there already are kept; a learning that was interrupted
    goes on from its checkpoint.
    """
    chosen = _with_subjects(overridden(preset, precision, batch, seed=seed), generator, options)
    subject, compute = chosen.generators[0], compute_for(chosen, device)
    made = zoo.create(subject.name, compute, subject.options)
    made.check()
    if layers or latents:
        subject = subject.model_copy(update={"layers": layers, "latents": latents})
    names = layers if latents else layers_of(subject, made, library(None))
    places: list[tuple[Space, tuple[str, ...]]] = [
        (ParameterSpace(made, made.layer(name)), methods or subject.methods) for name in names
    ]
    places += [(LatentSpace(made, kind), methods or subject.latent_methods) for kind in subject.latents]
    _refuse_homeless(methods, [space for space, _ in places])
    paths = discover_sets(
        made, places, chosen.discovery_of(subject), compute, chosen.seed, out,
        overwrite=force, stages=lambda title: stage(console, title),
    )  # fmt: skip
    for path in paths:
        console.print(f"Directions: {path}")


def _refuse_homeless(methods: tuple[str, ...], spaces: list[Space]) -> None:
    """Refuse a method that was asked for and is defined in none of the spaces."""
    for method in methods:
        if not any(admitted([method], space.kind) for space in spaces):
            row = METHODS[method]
            raise NavbenchError(
                f"Method {method} is defined in {', '.join(row.spaces)} spaces only ({row.source}); "
                "name such a space by --layer or --latent."
            )


@main.command(**example("navbench doctor"))
def doctor() -> None:
    """Say which weights are here, which are missing, and what each preset needs."""
    table = folding("weights", "here", "from")
    present = {}
    for item in weights.status():
        present[item.name] = item.present
        table.add_row(item.name, "yes" if item.present else "no", item.source)
    console.print(table)
    console.print(f"cache: {weights.cache_folder()}")
    for name in PRESETS:
        needs = sorted(_needs(suite.read(name)))
        missing = [need for need in needs if not present.get(need, True)]
        verdict = f"missing {', '.join(missing)}, fetched when first used" if missing else "all here"
        console.print(f"preset {name}: needs {', '.join(needs)}; {verdict}")
    cuda = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
    console.print(f"torch {torch.__version__}, {cuda}, {torch.get_num_threads()} threads")


def _needs(chosen: Suite) -> set[str]:
    names = {subject.name for subject in chosen.generators}
    distances = {chosen.discovery_of(subject).distance for subject in chosen.generators}
    return names | {chosen.distance, chosen.curves.extractor} | distances


if __name__ == "__main__":
    main()
