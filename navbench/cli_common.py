"""What all files of the command line share: where it prints, options, what their names mean, and how a run starts."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
import torch
from rich.console import Console
from rich.table import Column, Table

from navbench import suite
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.generators import zoo
from navbench.generators.options import Noise, Options
from navbench.library import SHIPPED, Library, SetFile
from navbench.progress import stage
from navbench.report.html import write_report
from navbench.runner.local import Run, check_folder
from navbench.suite import Subject, Suite

console = Console(soft_wrap=True, markup=False, emoji=False, highlight=False)  # names and paths stay as they are


def example(text: str) -> dict[str, str]:
    """The part of a command's help that shows how it is used."""
    return {"epilog": f"\b\nExample:\n  {text}"}


def directions_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names another folder of directions."""
    folder = click.Path(file_okay=False, path_type=Path)
    text = "A folder of direction sets, before the shipped ones."
    return click.option("--directions", "folder", type=folder, help=text)(command)


def checkpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a generator from a checkpoint; the command gets them as one `options: Options`."""
    path = click.Path(path_type=Path)
    declared = (
        click.option("--truncation", type=click.FloatRange(0), help="StyleGAN2's psi, or that of BigGAN's z."),
        click.option("--noise", type=click.Choice(get_args(Noise)), help="StyleGAN2's. Default: the stored, const."),
        click.option("--classes", callback=_classes, help="Of a conditional generator, such as 207,250. Default: all."),
        click.option("--labels", type=path, help="pix2pixHD's codes: a folder of label maps."),
        click.option("--instances", type=path, help="Its instance maps: a folder, with the same file names."),
        click.option("--size", callback=_size, help="HEIGHTxWIDTH of what is used of StyleGAN2's canvas, or of maps."),
    )

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
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


def fresh_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that starts a run over."""
    text = "Start over, instead of going on with the run in the folder."
    return click.option("--fresh", is_flag=True, help=text)(command)


def given(**values: Any) -> dict[str, Any]:
    """The values that were given."""
    return {key: value for key, value in values.items() if value is not None}


def library(folder: Path | None) -> Library:
    """The direction sets of a folder, then the shipped ones."""
    shipped = [SHIPPED] if SHIPPED.is_dir() else []
    return Library([folder, *shipped] if folder else shipped)


def installed(file: SetFile) -> str:
    """The name of the generator that a set was found on; files do not get to name code to import."""
    name = file.header["generator"]
    if name not in zoo.known():
        raise NavbenchError(
            f"{file.path} was found on generator {name!r}, which is not installed; name it by --generator."
        )
    return name


def folding(*columns: str, header: bool = True) -> Table:
    """A table that folds what is too wide for the screen, and cuts nothing off."""
    return Table(*(Column(name, overflow="fold") for name in columns), box=None, show_header=header)


# --- runs ------------------------------------------------------------------------------------------------------


def overridden(source: str, precision: str | None, batch: int | None, **values: Any) -> Suite:
    """A suite with the command line's values in place of its own."""
    return suite.read(source).with_values(**given(precision=precision, batch=batch, **values))


def with_subjects(chosen: Suite, generator: str | None, options: Options, **others: Any) -> Suite:
    """The suite with the command line's generator, its options, and other values of it in place of its own."""
    subjects = list(chosen.generators)
    if generator is not None:
        same = [subject for subject in subjects if subject.name == generator]
        subjects = same or [Subject(name=generator, methods=subjects[0].methods)]
    contents = [with_options(subject, options) | given(**others) for subject in subjects]
    return chosen.with_values(generators=contents)


def with_options(subject: Subject, options: Options) -> dict[str, Any]:
    """The content of a subject, with the options that were given in place of its own."""
    content = subject.model_dump(mode="json")
    return content | {"options": content["options"] | options.model_dump(mode="json", exclude_defaults=True)}


def compute_for(chosen: Suite, device: str) -> Compute:
    """The compute of a suite; at float32, CUDA is kept from rounding to TF32."""
    torch.backends.cudnn.allow_tf32 = False
    return Compute(device, chosen.precision, chosen.batch)


def run_suite(chosen: Suite, out: Path, found: Library, device: str, *, fresh: bool) -> None:
    """Run a suite in a folder, or go on with it, and write its report."""
    compute = compute_for(chosen, device)
    check_folder(out, chosen, fresh=fresh)
    Run(out, chosen, compute, found, console).execute(fresh=fresh)
    with stage(console, "report") as tick:
        page = write_report(out)
        tick(1, 1)
    console.print(f"Report: {page.resolve()}")
