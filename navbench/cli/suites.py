"""The options by which a command takes a whole suite, as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.common import calibrate_option, checkpoint_options, computing, directions_option, stochastic_option
from navbench.cli.output import quiet_option
from navbench.cli.running import described, overridden, with_subjects
from navbench.words import CONVERSIONS, RESAMPLING

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.suite import Suite


def suite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add a suite, and the options whose values stand in place of its own.

    The command gets it as `chosen: Suite`, and whether instruments are to be found for its generator as `fit: bool`:
    nothing describes it but its name.
    """
    declared = (
        quiet_option,
        click.argument("source", metavar="[SUITE]", default="quick", shell_complete=completing.suites),
        click.option(
            "--generator",
            shell_complete=completing.generators,
            help="Measure this one instead of the suite's: a name, or a checkpoint's file.",
        ),
        checkpoint_options,
        click.option("--layer", "layers", multiple=True, help="Only these layers, by name or index."),
        click.option("--reference", help="'unshifted', 'renderings', a folder or zip of images, or their statistics."),
        click.option("--resize", type=click.Choice(RESAMPLING), help="How its images of another size are resized."),
        click.option("--convert", type=click.Choice(CONVERSIONS), help="What its other images are converted to."),
        click.option(
            "--scorer",
            shell_complete=completing.scorers,
            help="The attribute scorer, or 'none'. Default: the suite's; of a generator that is not in the suite, "
            "faces, as segmentation and embedding, too, if most of 32 samples show a face.",
        ),
        click.option("--rediscover", is_flag=True, default=None, help="Find the directions anew."),
        calibrate_option,
        stochastic_option,
        directions_option,
        computing,
    )

    @functools.wraps(command)
    def gathered(
        source: str, generator: str | None, options: Options, layers: tuple[str, ...], reference: str | None,
        resize: str | None, convert: str | None, scorer: str | None, rediscover: bool | None,
        calibrate: str | None, allow_stochastic: bool | None, precision: str | None, batch: int | None, **others: Any,
    ) -> Any:  # fmt: skip
        survey = {"layers": list(layers)} if layers else None
        values = {"rediscover": rediscover, "calibrate": calibrate, "allow_stochastic": allow_stochastic}
        chosen: Suite = overridden(source, precision, batch, survey=survey, **values)
        own = {"layers": list(layers) or None, "reference": reference, "resize": resize, "convert": convert}
        own["scorer"] = "" if scorer == "none" else scorer
        fit = scorer is None and not described(chosen, generator)
        return command(chosen=with_subjects(chosen, generator, options, **own), fit=fit, **others)

    return functools.reduce(lambda inner, option: option(inner), reversed(declared), gathered)
