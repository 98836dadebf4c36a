"""What all files of the command line share: options, and what their names mean."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navbench.cli import completing
from navbench.cli.loading import loading
from navbench.errors import NavbenchError
from navbench.generators import zoo
from navbench.library import SetFile
from navbench.places import Place, place_at
from navbench.staff import staff
from navbench.words import NOISES, PRECISIONS

if TYPE_CHECKING:
    from navbench.generators.base import Generator
    from navbench.generators.options import Options

_DEVICES = "'auto', 'cpu', 'cuda', 'mps', or several: 'cuda:0,cuda:1'."
_RAY = "Compute by Ray: 'auto', HOST:6379, or without an address a cluster of this machine alone. Needs navbench[ray]."


class _PlaceType(click.ParamType):
    """A folder, or the URL of a prefix in an object store."""

    name = "PLACE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """See `place_at`."""
        return place_at(value)


PLACE = _PlaceType()


class _DeviceType(click.ParamType):
    """A device, or several with commas between them; 'auto' is the best there is, and which that is is said."""

    name = "DEVICE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `compute.best_device`."""
        if value != "auto":
            return str(value)
        with loading():
            from navbench.compute import best_device

        device = best_device()
        click.echo(f"Device: {device}, chosen by --device auto.", err=True)
        return device


DEVICE = _DeviceType()
device_option = click.option(
    "--device", type=DEVICE, default="cpu", show_default=True, help="'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'."
)
"""Adds the option of a command that computes in one process."""


class FiniteRange(click.FloatRange):
    """A number in a range; click's own takes nan for one in any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.FloatRange`."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def example(text: str) -> dict[str, str]:
    """The part of a command's help that shows how it is used."""
    return {"epilog": f"\b\nExample:\n  {text}"}


def directions_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names another folder of directions."""
    folder = click.Path(file_okay=False, path_type=Path)
    text = "A folder of direction sets, before the shipped ones."
    return click.option("--directions", "folder", type=folder, help=text)(command)


def generator_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names the generator of a direction."""
    text = "Its file or 'package.module:callable', if it is not installed by its name."
    return click.option("--generator", shell_complete=completing.generators, help=text)(command)


def checkpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a generator from a checkpoint; the command gets them as one `options: Options`."""
    path = click.Path(path_type=Path)
    declared = (
        click.option("--truncation", type=FiniteRange(0), help="StyleGAN2's psi, or that of BigGAN's z."),
        click.option("--noise", type=click.Choice(NOISES), help="StyleGAN2's. Default: the stored, const."),
        click.option("--classes", callback=_classes, help="Of a conditional generator, such as 207,250. Default: all."),
        click.option("--labels", type=path, help="pix2pixHD's codes: a folder of label maps."),
        click.option("--instances", type=path, help="Its instance maps: a folder, with the same file names."),
        click.option("--size", callback=_size, help="HEIGHTxWIDTH of what is used of StyleGAN2's canvas, or of maps."),
    )

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        from navbench.generators.options import Options

        chosen = {name: values.pop(name) for name in Options.model_fields}
        return command(
            options=Options(**{name: value for name, value in chosen.items() if value is not None}), **values
        )

    return functools.reduce(lambda inner, option: option(inner), reversed(declared), gathered)


def _classes(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is not None and not re.fullmatch(r"\d{1,6}(,\d{1,6})*", text):
        raise click.BadParameter(f"{text!r} is no list of class numbers with commas, such as 207,250.")
    return None if text is None else tuple(map(int, text.split(",")))


def _size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text or "")
    if text is not None and found is None:
        raise click.BadParameter(f"{text!r} is no height and width, such as 384x512.")
    return None if found is None else (int(found[1]), int(found[2]))


def computing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where and how to compute; the command gets who computes as one `staff: Staff`."""
    options = (
        click.option("--device", type=DEVICE, default="cpu", show_default=True, help=_DEVICES),
        click.option("--workers", type=click.IntRange(1), help="Processes. Default: one per device."),
        click.option("--ray", "address", metavar="[ADDRESS]", is_flag=False, flag_value="local", help=_RAY),
        click.option("--precision", type=click.Choice(PRECISIONS), help="Default: what the suite says."),
        click.option(
            "--batch", type=click.IntRange(1), help="Images per forward pass; moves results by rounding alone."
        ),
    )

    @functools.wraps(command)
    def gathered(device: str, workers: int | None, address: str | None, **values: Any) -> Any:
        return command(staff=staff(device, workers, address), **values)

    return functools.reduce(lambda inner, option: option(inner), reversed(options), gathered)


def stochastic_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that allows what gives other answers to the same inputs."""
    text = "Measure also what gives other answers to the same codes or images, and say in the report how noisy it is."
    return click.option("--allow-stochastic", is_flag=True, default=None, help=text)(command)


def calibrate_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that solves for the ranges of directions."""
    text = "Solve every range for 'effect=0.2', say, or 'wheel radius=+1px'. Default: what the suite says."
    return click.option("--calibrate", metavar="WHAT=AMOUNT", help=text)(command)


def fresh_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that starts a run over."""
    text = "Start over, instead of going on with the run in the folder."
    return click.option("--fresh", is_flag=True, help=text)(command)


def given(**values: Any) -> dict[str, Any]:
    """The values that were given."""
    return {key: value for key, value in values.items() if value is not None}


def installed(file: SetFile) -> str:
    """The name of the generator that a set was found on; files do not get to name code to import."""
    name = file.header["generator"]
    if name not in zoo.known():
        raise NavbenchError(
            f"{file.path} was found on generator {name!r}, which is not installed; name it by --generator."
        )
    return name


def created(name: str, options: Options) -> Generator:
    """The generator of that name, on the CPU."""
    with loading():
        from navbench.compute import Compute

    return zoo.create(name, Compute(), options)
