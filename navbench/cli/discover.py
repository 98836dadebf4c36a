"""The command that finds directions: `navbench discover`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from navbench.cli import completing
from navbench.cli.common import checkpoint_options, computing, example, stochastic_option
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.output import console, progress_console, quiet_option
from navbench.cli.running import compute_for, overridden, with_subjects
from navbench.errors import NavbenchError
from navbench.files import check_folder, remove_partial
from navbench.generators import zoo
from navbench.library import library
from navbench.methods import METHODS, admitted
from navbench.progress import stage
from navbench.words import LATENTS

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.spaces import Space
    from navbench.staff import Staff


@click.command(
    "discover",
    cls=Command,
    **example("navbench discover --method spectrum --method hybrid --layer main.6 --out my-directions"),
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    help=f"One of {', '.join(METHODS)}; again for more. Default: the suite's.",
)
@click.option(
    "--generator",
    shell_complete=completing.generators,
    help="A name, or the file of a checkpoint. Default: the suite's first.",
)
@checkpoint_options
@click.option("--layer", "layers", multiple=True, help="By name or index; again for more. Default: the suite's.")
@click.option(
    "--latent", "latents", multiple=True, type=click.Choice(LATENTS), help="In this latent space; again for more."
)
@click.option(
    "--preset",
    default="quick",
    show_default=True,
    shell_complete=completing.suites,
    help="A preset or suite file, for its settings.",
)
@click.option("--seed", type=click.IntRange(0), help="Default: the suite's.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="my-directions",
    show_default=True,
    help="The folder to write to.",
)
@click.option("--force", is_flag=True, help="Replace sets that are there already.")
@stochastic_option
@computing
@quiet_option
def discover(
    methods: tuple[str, ...], generator: str | None, options: Options, layers: tuple[str, ...],
    latents: tuple[str, ...], preset: str, seed: int | None, out: Path, force: bool,
    allow_stochastic: bool | None, staff: Staff, precision: str | None, batch: int | None,
) -> None:  # fmt: skip
    """Find directions and write them, one file per method and layer or latent space.

    With --layer or --latent, in those alone: '--generator cars --latent w --method ganspace'. Methods that are not
    defined in a space are passed over there. Sets that are there already are kept if they were found with the same
    seed and settings, and refused if not; a learning that was interrupted goes on from its checkpoint.
    """
    with loading():
        from navbench.experiments.guards import check_generator
        from navbench.runner.discover import discover as discover_sets
        from navbench.runner.executors import discoverer
        from navbench.runner.plan import layers_of
        from navbench.spaces import LatentSpace, ParameterSpace

    values = {"seed": seed, "allow_stochastic": allow_stochastic}
    chosen = with_subjects(overridden(preset, precision, batch, **values), generator, options)
    subject, compute = chosen.generators[0], compute_for(chosen, staff)
    made = zoo.create(subject.name, compute, subject.options)
    made.name = subject.alias or made.name
    made.check()
    check_folder(out)
    remove_partial(out)
    check_generator(made, compute, allow_stochastic=chosen.allow_stochastic)
    if layers or latents:
        subject = subject.model_copy(update={"layers": layers, "latents": latents})
    names = layers if latents else layers_of(subject, made, library(None))
    places: list[tuple[Space, tuple[str, ...]]] = [
        (ParameterSpace(made, made.layer(name)), methods or subject.methods) for name in names
    ]
    places += [(LatentSpace(made, kind), methods or subject.latent_methods) for kind in subject.latents]
    _refuse_homeless(methods, [space for space, _ in places])
    with discoverer(staff, out, compute) as executor:
        sets = discover_sets(
            made, places, chosen.discovery_of(subject), compute, chosen.seed, out,
            overwrite=force, stages=lambda title: stage(progress_console, title), executor=executor,
        )  # fmt: skip
    for found in sets:
        kept = ", kept as it was found before, with the same seed and settings" if found.kept else ""
        console.print(f"Directions: {found.path}{kept}")


def _refuse_homeless(methods: tuple[str, ...], spaces: list[Space]) -> None:
    """Refuse a method that was asked for and is defined in none of the spaces."""
    for method in methods:
        if not any(admitted([method], space.kind) for space in spaces):
            row = METHODS[method]
            raise NavbenchError(
                f"Method {method} is defined in {', '.join(row.spaces)} spaces only ({row.source}); "
                "name such a space by --layer or --latent."
            )
