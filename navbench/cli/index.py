"""The index of commands, and how every one of them ends."""

import sys
from typing import Any

import click

from navbench import __version__
from navbench.cli.ending import ended, shown_as_typed, warned_in_sentences
from navbench.cli.lazy import Index

VERBS = {
    "bake": (
        "navbench.cli.bake:bake_directions",
        "Write a checkpoint with edits inside, in the layout that it came in, for the code that it came from.",
    ),
    "compare": (
        "navbench.cli.report:compare",
        "Compare the numbers of two runs with their uncertainties, and write a table and a page.",
    ),
    "completion": (
        "navbench.cli.completion:completion",
        "Print the script by which a shell completes commands, options, directions, generators, presets and runs.",
    ),
    "directions": ("navbench.cli.directions:directions", "The directions that there are."),
    "discover": (
        "navbench.cli.discover:discover",
        "Find directions and write them, one file per method and layer or latent space.",
    ),
    "doctor": (
        "navbench.cli.doctor:doctor",
        "Say which weights are here, which are missing, and what each preset needs.",
    ),
    "edit": ("navbench.cli.one_direction:edit", "Project photos into the generator, and move them along a direction."),
    "fid-curve": (
        "navbench.cli.one_direction:fid_curve",
        "FD or FID, KID and effect of one direction as functions of its shift.",
    ),
    "generators": ("navbench.cli.generators:generators", "The generators that there are."),
    "inspect": ("navbench.cli.inspect:inspect", "Look at directions and name them, on a page in the browser."),
    "locality": (
        "navbench.cli.one_direction:locality",
        "Where one direction changes the image: its heatmap and how concentrated it is.",
    ),
    "open": ("navbench.cli.report:open_page", "Open the report of a run in the browser."),
    "plan": (
        "navbench.cli.plan:plan",
        "Say what a suite would take on this machine: images, passes, arithmetic, disk, memory and time.",
    ),
    "report": ("navbench.cli.report:report", "Write the report of a run folder anew, from what the folder holds."),
    "reproduce": (
        "navbench.cli.one_direction:reproduce",
        "Whether a latent code or an activation could have done what a direction does.",
    ),
    "run-all": ("navbench.cli.run_all:run_all", "Run a whole suite, write its report, and say what was found."),
    "show": ("navbench.cli.show:show_strip", "Show a direction: its strip, in a file and in terminals that can."),
    "survey": (
        "navbench.cli.survey:survey",
        "What directions change in each layer of a generator: scale, geometry or colour, where, and at what cost.",
    ),
    "testbed": (
        "navbench.cli.testbed:testbed",
        "The cars: images with known factors, a generator of them, and a scorer that reads them.",
    ),
}
"""name -> where it is, and the first sentence of its help."""


class Program(Index):
    """Turns every error into one sentence and an exit code: 2 for what the user can mend, 1 for what failed."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Parse, run a command and end; errors of click's show what was typed as `texts.shown` does."""
        with ended():
            return super().main(*args, **settings)

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """See `click.Command`."""
        with shown_as_typed():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; with --debug errors keep their traceback."""
        try:
            with shown_as_typed(), warned_in_sentences():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted; the same command (without --fresh) goes on where this one stopped.", err=True)
            sys.exit(130)
        except (Exception, SystemExit) as raised:
            from navbench.errors import NavbenchError, reason
            from navbench.files import FULL

            if isinstance(raised, OSError) and raised.errno in FULL and raised.filename is None:
                raise  # the output's, as files are told by name

            error = _explained(raised)
            if ctx.params.get("debug"):
                import traceback

                traceback.print_exc()
            known = isinstance(error, NavbenchError)
            text = str(error) if known else f"{type(error).__name__}: {reason(error)} (--debug shows where)."
            click.echo(f"Error: {text}", err=True)
            sys.exit(error.exit_code if isinstance(error, NavbenchError) else 1)


def _explained(raised: BaseException) -> BaseException:
    """What is said of an attempt to end the program and of memory that ran out; any other error as it is."""
    from navbench.errors import Failure
    from navbench.user_code import exit_refused

    if isinstance(raised, MemoryError) or (isinstance(raised, RuntimeError) and "torch" in sys.modules):
        from navbench.compute import out_of_memory

        if out_of_memory(raised):
            return Failure(
                "The memory ran out; free some, or take a smaller --batch, fewer --workers or another --device "
                "(--debug shows where)."
            )
    return exit_refused("Something that this command calls", raised)


@click.group(cls=Program, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def main(debug: bool) -> None:
    """Measure the editing directions of an image generator: how good, how far, how local, how latent."""
    import warnings

    # torch's own use of what it deprecates is nothing that a user can act on
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.")
