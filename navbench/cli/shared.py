"""The options that the commands of one experiment have in common, as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.common import (
    PLACE,
    checkpoint_options,
    computing,
    directions_option,
    fresh_option,
    stochastic_option,
)
from navbench.cli.output import quiet_option
from navbench.cli.running import overridden, run_suite
from navbench.library import Library, library
from navbench.places import Place, place_at

if TYPE_CHECKING:
    from navbench.generators.options import Options
    from navbench.staff import Staff
    from navbench.suite import Suite


@dataclass(frozen=True)
class Shared:
    """What is said by the options that all commands of this file have; `folder` is of directions."""

    generator: str | None
    options: Options
    preset: str
    out: Place | None
    fresh: bool
    folder: Path | None
    staff: Staff
    precision: str | None
    batch: int | None
    allow_stochastic: bool | None
    calibrate: str | None = None

    def suite(self) -> Suite:
        """The preset, with the values that were given in place of its own."""
        values = {"calibrate": self.calibrate, "allow_stochastic": self.allow_stochastic}
        return overridden(self.preset, self.precision, self.batch, **values)

    def run(self, chosen: Suite, name: str, sets: Library | None = None) -> Place:
        """Run a suite in the folder that was named, or in one of that name under `runs`; the folder."""
        place = self.out or place_at(completing.RUNS / name)
        run_suite(chosen, place, sets or library(self.folder), self.staff, fresh=self.fresh)
        return place


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all commands of this file have; the command gets them as one `shared: Shared`."""
    declared = (
        quiet_option,
        checkpoint_options,
        click.option(
            "--preset",
            default="quick",
            show_default=True,
            shell_complete=completing.suites,
            help="Sizes that no option gives.",
        ),
        click.option("--out", type=PLACE, help="The run folder, or s3://BUCKET/PREFIX. Default: one under runs."),
        fresh_option,
        stochastic_option,
        directions_option,
        computing,
    )

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        names = [field.name for field in fields(Shared) if field.name in values]
        return command(shared=Shared(**{name: values.pop(name) for name in names}), **values)

    return functools.reduce(lambda inner, option: option(inner), reversed(declared), gathered)
