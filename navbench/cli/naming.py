"""Which direction a user means: names, parts of names, labels by hand, and the automatic labels of a run."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from navbench.cli import completing
from navbench.cli.common import PLACE
from navbench.errors import NavbenchError
from navbench.library import SHIPPED, Library, SetFile, library
from navbench.naming import content_key
from navbench.places import Place
from navbench.texts import text_of

NAME_HELP = "A full name, a unique part of it, or a label."


@dataclass(frozen=True)
class Wanted:
    """A direction as the user calls it.

    Attributes:
        name: its name, a part of it, or a label.
        run: whose automatic labels and sets count, too; `None` for none.
    """

    name: str
    run: Place | None = None

    def library(self, folder: Path | None) -> Library:
        """The sets of a folder, if one is given, then those that the run found, then the shipped ones."""
        found = None if self.run is None else self.run.file("directions")
        if found is None or not found.is_dir():
            return library(folder)
        return Library([root for root in (folder, found, SHIPPED) if root is not None and root.is_dir()])

    def find(self, sets: Library) -> tuple[SetFile, int]:
        """The set's file, and the index in it.

        Raises:
            NavbenchError: there is no such direction, or several, which are listed.
        """
        try:
            return sets.find(self.name, {} if self.run is None else automatic_labels(self.run, sets))
        except NavbenchError as error:
            if self.run is None and re.search(r" [+\-\N{MINUS SIGN}]$", self.name):
                more = " Automatic labels, such as 'sky tone +', are known with --run RUN, the run that gave them."
                raise NavbenchError(f"{error.args[0]}{more}", *error.args[1:]) from None
            raise


def split_shift(name: str) -> tuple[str, float | None]:
    """A direction as the user calls it, and the shift that stands behind it, as in 'sky tone +@4'; `None` without one.

    Raises:
        NavbenchError: the shift is not finite.
    """
    plain, _, text = name.rpartition("@")
    try:
        shift = float(text.replace("\N{MINUS SIGN}", "-")) if plain else None
    except ValueError:
        shift = None
    if shift is None:
        return name, None
    if not abs(shift) < float("inf"):
        raise NavbenchError(f"{name!r} says a shift that is not finite.")
    return plain, shift


def run_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names the run whose labels are known."""
    text = "A run whose automatic labels, such as 'sky tone +', are names, too."
    option = click.option("--run", type=PLACE, metavar="RUN", shell_complete=completing.runs, help=text)
    return option(command)


def automatic_labels(run: Place, sets: Library) -> dict[str, str]:
    """The automatic labels that a run gave, by full name, of the sets that are the same now as they were measured.

    Raises:
        NavbenchError: the place holds no finished run.
    """
    try:
        told = json.loads(run.read("manifest.json"))["direction_sets"]
        measured = {each["set_id"]: each.get("content") for each in told}
        text = run.read("tables/directions.csv").decode()
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise NavbenchError(f"{run} holds no run with a table of directions; name one for --run.") from None
    same = {each for each, key in measured.items() if each in sets.sets and content_key(sets.sets[each]) == key}
    rows = csv.DictReader(io.StringIO(text))
    return {
        text_of(row["name"]): text_of(row["auto_label"])
        for row in rows
        if row.get("auto_label") and row["name"].rpartition("/")[0] in same
    }
