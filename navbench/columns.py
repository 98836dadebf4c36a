"""What a table of a run folder is: its name, what a row is, and its columns with kind, unit and meaning."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from navbench.errors import NavbenchError

Kind = Literal["text", "number", "count", "flag"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: as in the file; one that ends in `*` stands for all columns that begin so.
        kind: 'text', which may be an index or a size written in digits; 'number'; 'count', a whole number from 0 on;
            or 'flag', True or False. A cell of a number or count is empty where it is not known.
        words: what it says, one sentence without a full stop.
        unit: of a number; '' if it has none.
        empty: whether the column may be left out, and a cell of text be empty.
        stderr: the name of the column that holds its standard error, '' if there is none.
    """

    name: str
    kind: Kind
    words: str
    unit: str = ""
    empty: bool = False
    stderr: str = ""

    def covers(self, name: str) -> bool:
        """Whether a column of a file is this one."""
        return name.startswith(self.name[:-1]) if self.is_pattern else name == self.name

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for several columns."""
        return self.name.endswith("*")


@dataclass(frozen=True)
class Table:
    """A table of a run folder.

    Attributes:
        name: of its file, without '.csv'.
        row: what a row is.
        columns: in the order in which they are written.
        required: whether every run has it.

    Raises:
        NavbenchError: two columns have one name, or a standard error's column is not in the table.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    required: bool = False

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if twice := [name for name in names if names.count(name) > 1]:
            raise NavbenchError(f"Table {self.name} declares the column {twice[0]!r} twice.")
        if lost := [column.stderr for column in self.columns if column.stderr and column.stderr not in names]:
            raise NavbenchError(f"Table {self.name} declares no column {lost[0]!r}, which is to hold a standard error.")

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that a file of it must have."""
        return tuple(column.name for column in self.columns if not column.empty)

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns, without those that stand for several."""
        return tuple(column.name for column in self.columns if not column.is_pattern)

    def column(self, name: str) -> Column | None:
        """The declaration of a column of a file; `None` if it has none."""
        exact = (column for column in self.columns if column.name == name)
        return next(exact, None) or next((column for column in self.columns if column.covers(name)), None)

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Columns of a file in the order of the declarations."""
        present = list(dict.fromkeys(names))
        return [name for column in self.columns for name in present if self.column(name) is column]


def text(name: str, words: str, empty: bool = False) -> Column:
    """A column of text."""
    return Column(name, "text", words, empty=empty)


def flag(name: str, words: str, empty: bool = False) -> Column:
    """A column of True and False; one that may be left out is False in every row of a file that does."""
    return Column(name, "flag", words, empty=empty)


def count(name: str, words: str, empty: bool = False) -> Column:
    """A column of whole numbers from 0 on."""
    return Column(name, "count", words, empty=empty)


def number(name: str, words: str, unit: str = "", empty: bool = False, stderr: str = "") -> Column:
    """A column of numbers."""
    return Column(name, "number", words, unit, empty, stderr)


def estimated(name: str, words: str, unit: str = "", empty: bool = False, stderr: str = "") -> tuple[Column, Column]:
    """A number and its standard error, whose column is `name_stderr` unless `stderr` names it."""
    stderr = stderr or f"{name}_stderr"
    return (
        number(name, words, unit, empty, stderr),
        number(stderr, f"standard error of `{name}`", unit, empty),
    )


def levelled(name: str, words: str, unit: str = "") -> tuple[Column, ...]:
    """A mean over directions, its standard error, and that of either of its levels; they may be empty."""
    return (
        number(name, words, unit, empty=True, stderr=f"{name}_stderr"),
        number(f"{name}_stderr", f"standard error of `{name}`: other directions on other codes", unit, empty=True),
        number(f"{name}_stderr_directions", "the same of other directions on the same codes", unit, empty=True),
        number(f"{name}_stderr_codes", "the same of the same directions on other codes", unit, empty=True),
    )


def drawn(name: str, words: str, unit: str = "", empty: bool = False, stderr: str = "") -> tuple[Column, ...]:
    """A number from a reference that may be drawn: with the standard error of both, in a column `..._both`."""
    value, error = estimated(name, words, unit, empty, stderr)
    alone = f"standard error of `{name}` under other codes, the reference held fixed"
    both = f"standard error of `{name}` under other codes and another draw of the reference; empty if it is not drawn"
    return value, replace(error, words=alone), number(f"{error.name}_both", both, unit, empty=True)
