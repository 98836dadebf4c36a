"""Where commands print: results on stdout, as tables or as JSON; progress on stderr."""

from __future__ import annotations

import csv
import functools
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, ConsoleDimensions
from rich.table import Column, Table

from navbench.cli.loading import silenced
from navbench.errors import NavbenchError
from navbench.places import Place, mirrored
from navbench.texts import as_json, escaped, escaped_lines, text_of

if TYPE_CHECKING:
    import pandas as pd

WIDE = 100_000
"""Columns of what is no terminal: a line of a file, or of another program, is as long as it is."""
_SHARED_COLUMNS = ("metric", "extractor", "reference", "distance", "n", "n_survey")
"""What is said once, above a table, where all its rows have it in common."""


class Screen(Console):
    """A console that breaks and cuts no line, but for tables in a terminal that is too narrow."""

    @property
    def size(self) -> ConsoleDimensions:
        """That of the terminal; without one, wide."""
        is_terminal = getattr(self.file, "isatty", lambda: False)()
        return super().size if is_terminal else ConsoleDimensions(WIDE, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def on_broken_pipe(self) -> None:
        """Leave it to the program to end; rich's own ends as code does that must not."""
        raise BrokenPipeError

    def print(self, *objects: Any, **settings: Any) -> None:
        """See `Console`; of a text each line as `texts.escaped`, for names in it may be from files."""
        super().print(*(escaped_lines(each) if isinstance(each, str) else each for each in objects), **settings)


class _Folding(Table):
    """A table whose cells are of one line each."""

    def add_row(self, *cells: Any, **settings: Any) -> None:
        """See `Table`; texts as `texts.escaped`."""
        super().add_row(*(escaped(each) if isinstance(each, str) else each for each in cells), **settings)


_AS_IT_STANDS: dict[str, Any] = {"soft_wrap": True, "markup": False, "emoji": False, "highlight": False}
console = Screen(**_AS_IT_STANDS)
"""For results, on stdout; names and paths stay as they are."""
progress_console = Screen(stderr=True, **_AS_IT_STANDS)
"""For progress and warnings, on stderr."""


@contextmanager
def muted(screen: Console) -> Iterator[None]:
    """Print nothing on a console meanwhile."""
    before, screen.quiet = screen.quiet, True
    try:
        yield
    finally:
        screen.quiet = before


def quiet_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that keeps progress off the screen; it is the outermost of those that load anything."""

    @functools.wraps(command)
    def called(quiet: bool, **values: Any) -> Any:
        if not quiet:
            return command(**values)
        with muted(progress_console), silenced():
            return command(**values)

    text = "Show no progress on stderr, only warnings and errors."
    return click.option("--quiet", "-q", is_flag=True, help=text)(called)


# --- JSON ------------------------------------------------------------------------------------------------------


def json_flag(content: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the flag alone, for a command that prints its JSON itself; `content` is what that is, in words."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON instead, on stdout alone: {content}.")


def json_option(content: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option that prints what a command returns as JSON, in place of what it prints.

    Args:
        content: what that is, in words for the command's help.
    """

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def called(as_json: bool, **values: Any) -> None:
            if not as_json:
                command(**values)
                return
            with muted(console):
                content = command(**values)
            print_json(content)

        return json_flag(content)(called)

    return added


def rows_as_json(table: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option that prints the rows of a run's table as JSON."""
    return json_option(f"an object per row of tables/{table}.csv, its columns the keys, null for an unknown number")


def print_json(content: Any) -> None:
    """Print content on stdout; what is no number is null."""
    click.echo(as_json(_without_nan(content), indent=1))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    if hasattr(value, "item"):  # a scalar of numpy's
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def records_of(place: Place, name: str) -> list[dict[str, Any]]:
    """The rows of a table of a run, with the columns of its file, each cell as the column is declared.

    Numbers are float, counts int, flags bool, and all else text; a number that is not known is `None`.

    Raises:
        NavbenchError: the run has no such table.
    """
    from navbench.tables import TABLES

    file = f"tables/{name}.csv"
    try:
        text = place.read(file).decode()
    except FileNotFoundError:
        raise NavbenchError(
            f"{place.address(file)} is missing; run the same command again to finish the run."
        ) from None
    columns = TABLES[name]

    def typed(column: str, cell: str) -> Any:
        declared = columns.column(column)
        kind = "text" if declared is None else declared.kind
        if kind == "flag":
            return cell.lower() in ("true", "1")
        if kind == "text":
            return text_of(cell)
        if not cell:
            return None
        return int(float(cell)) if kind == "count" else float(cell)

    return [{key: typed(key, cell) for key, cell in row.items()} for row in csv.DictReader(io.StringIO(text))]


# --- tables ----------------------------------------------------------------------------------------------------


def folding(*columns: str, header: bool = True) -> Table:
    """A table that folds what is too wide for the screen, and cuts nothing off."""
    return _Folding(*(Column(name, overflow="fold") for name in columns), box=None, show_header=header)


def show(frame: pd.DataFrame, *columns: str) -> None:
    """Print columns of a table, those that it has; what all its rows share stands above it."""
    frame = frame[[name for name in columns if name in frame]]
    shared = [name for name in frame if name in _SHARED_COLUMNS and frame[name].nunique(dropna=False) == 1]
    if shared:
        console.print(", ".join(f"{name} {_words(frame[name].iloc[0])}" for name in shared))
    frame = frame.drop(columns=shared)
    printed = folding(*frame.columns)
    for row in frame.itertuples(index=False):
        printed.add_row(*map(_words, row))
    console.print(printed)


def table_of(place: Place, name: str) -> pd.DataFrame:
    """A table of a run, as it stands in its file."""
    import pandas as pd

    file = f"tables/{name}.csv"
    with mirrored(place, (file,)) as run:
        frame = pd.read_csv(run / file)
    return frame.map(lambda cell: text_of(cell) if isinstance(cell, str) else cell)


def show_table(place: Place, name: str, *columns: str) -> list[dict[str, Any]]:
    """Print columns of a table of a run; all its rows, for JSON."""
    show(table_of(place, name), *columns)
    return records_of(place, name)


def _words(value: Any) -> str:
    """A cell: numbers with four digits, whole ones whole."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
