"""The command line: it parses, calls one function each, and prints."""

import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import click
import torch

from navbench import __version__, suite, weights
from navbench.cli_catalogue import directions, generators
from navbench.cli_common import (
    calibrate_option,
    checkpoint_options,
    compute_for,
    computing,
    console,
    directions_option,
    example,
    folding,
    fresh_option,
    library,
    overridden,
    run_suite,
    with_subjects,
)
from navbench.cli_experiments import edit, fid_curve, locality, reproduce, survey
from navbench.cli_report import compare, report
from navbench.cli_testbed import testbed
from navbench.discovery.methods import METHODS, admitted
from navbench.errors import NavbenchError
from navbench.experiments.reference import RESAMPLING
from navbench.generators import zoo
from navbench.generators.options import Options
from navbench.progress import stage
from navbench.runner.discover import discover as discover_sets
from navbench.runner.plan import layers_of
from navbench.spaces import LatentSpace, ParameterSpace, Space
from navbench.suite import PRESETS, Suite
from navbench.words import LATENTS


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


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def main(debug: bool) -> None:
    """Measure the editing directions of an image generator: how good, how far, how local, how latent."""
    # torch's own use of what it deprecates is nothing that a user can act on
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.")


for command in (fid_curve, locality, reproduce, edit, survey, directions, generators, testbed, report, compare):
    main.add_command(command)


@main.command("run-all", **example("navbench run-all quick --out runs/quick"))
@click.argument("source", metavar="[SUITE]", default="quick")
@click.option("--generator", help="Measure this one instead of the suite's: a name, or the file of a checkpoint.")
@checkpoint_options
@click.option("--layer", "layers", multiple=True, help="Only these layers, by name or index.")
@click.option("--reference", help="'unshifted', 'renderings', a folder or zip of real images, or their statistics.")
@click.option("--resize", type=click.Choice(list(RESAMPLING)), help="How its images of another size are resized.")
@click.option("--out", type=click.Path(path_type=Path), help="The run folder. Default: runs/NAME-OF-SUITE.")
@fresh_option
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
    chosen = with_subjects(chosen, generator, options, layers=list(layers) or None, reference=reference, resize=resize)
    run_suite(chosen, out or Path("runs") / chosen.name, library(folder), device, fresh=fresh)


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
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="my-directions",
    show_default=True,
    help="The folder to write to.",
)
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
    chosen = with_subjects(overridden(preset, precision, batch, seed=seed), generator, options)
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
