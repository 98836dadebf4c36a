"""What all files of the command line share: where it prints, options, and what the names in options mean."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from navbench.directions import SHIPPED, Library, SetFile
from navbench.errors import NavbenchError
from navbench.generators import zoo

console = Console(soft_wrap=True, markup=False, emoji=False, highlight=False)  # names and paths stay as they are


def example(text: str) -> dict[str, str]:
    """The part of a command's help that shows how it is used."""
    return {"epilog": f"\b\nExample:\n  {text}"}


def directions_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names another folder of directions."""
    folder = click.Path(file_okay=False, path_type=Path)
    text = "A folder of direction sets, before the shipped ones."
    return click.option("--directions", "folder", type=folder, help=text)(command)


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
