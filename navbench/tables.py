"""The tables of a run folder, declared once: what is written, read, checked and documented follows from `TABLES`.

`python -m navbench.tables` prints the page that documents every column.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navbench import plugins
from navbench.columns import Column, Table
from navbench.declared import DECLARED
from navbench.errors import Failure, NavbenchError
from navbench.places import Where, place_at
from navbench.texts import cell, text_of

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 8
"""Significant digits of written numbers, which is more than they are worth."""
GROUP = "navbench.tables"
"""The entry points by which other packages add a `Table` each."""


class Tables(Mapping[str, Table]):
    """Every declared table by its name; those of other packages are loaded when the first one is asked for.

    Attributes:
        declared: navbench's own.
    """

    def __init__(self) -> None:
        self.declared: dict[str, Table] = {}

    @cached_property
    def added(self) -> dict[str, Table]:
        """Those of other packages.

        Raises:
            NavbenchError: an entry point gives no table, or one of a name that is taken.
        """
        tables: dict[str, Table] = {}
        for name in sorted(plugins.known(GROUP)):
            table: object = plugins.find(GROUP, "table", name)
            if not isinstance(table, Table):
                raise NavbenchError(f"Entry point {name!r} of {GROUP} gives {table!r}, not a Table.")
            _check_name(table, self.declared | tables)
            tables[table.name] = table
        return tables

    def __getitem__(self, name: str) -> Table:
        return self.declared[name] if name in self.declared else self.added[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.declared, *self.added))

    def __len__(self) -> int:
        return len(self.declared) + len(self.added)


TABLES = Tables()

_TRUE, _FALSE = ("true", "1"), ("false", "0")
_DEFAULTS: dict[str, Any] = {"text": "", "number": float("nan"), "count": float("nan"), "flag": False}
_WANTED = {"number": "not a number", "count": "not a whole number from 0 on", "flag": "neither True nor False"}


def declare(table: Table) -> None:
    """Add a table.

    Raises:
        NavbenchError: there is one of that name, or the name is none of a file.
    """
    _check_name(table, TABLES.declared)
    TABLES.declared[table.name] = table


def _check_name(table: Table, known: Mapping[str, Table]) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", table.name):
        raise NavbenchError(f"Table {table.name!r} needs a name of small letters, digits and underscores.")
    if table.name in known:
        raise NavbenchError(f"The table {table.name!r} is declared twice; give one of them another name.")


for _table in DECLARED:
    declare(_table)


# --- writing -----------------------------------------------------------------------------------------------------


def write(where: Where, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write every table that has rows, and remove the files of those that have none; other files are left alone.

    Columns that no row has are left out. All rows of all tables are checked before the first file is written.

    Raises:
        Failure: a table or column is not declared, a column is missing, or a cell is not of the column's kind.
    """
    for name, rows in tables.items():
        if name not in TABLES:
            raise Failure(
                f"The table {name!r} is not declared; another package declares it as an entry point of {GROUP}."
            )
        for index, row in enumerate(rows):
            _check_row(TABLES[name], index, row)
    place = place_at(where)
    for name, rows in tables.items():
        if rows:
            place.write(f"{name}.csv", _csv(TABLES[name], rows))
        else:
            place.delete(f"{name}.csv")


def _csv(table: Table, rows: Sequence[Mapping[str, Any]]) -> str:
    import pandas as pd

    columns = table.ordered(name for row in rows for name in row)
    cells = [{name: cell(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows]
    return pd.DataFrame(cells, columns=columns).to_csv(index=False, float_format=f"%.{DIGITS}g")


def _check_row(table: Table, index: int, row: Mapping[str, Any]) -> None:
    where = f"Table {table.name}, row {index + 1}"
    for name, value in row.items():
        column = table.column(name)
        if column is None:
            raise Failure(f"{where}: the column {name!r} is not declared.")
        if value is None or value == "":
            if not column.empty:
                raise Failure(f"{where}: column {name!r} is empty.")
        elif not _is_of_kind(value, column):
            raise Failure(f"{where}: column {name!r} holds {value!r}, not a {column.kind}.")
    if missing := [name for name in table.needed if name not in row]:
        raise Failure(f"{where} lacks the column {missing[0]!r}.")


def _is_of_kind(value: Any, column: Column) -> bool:
    is_flag = type(value).__name__ in ("bool", "bool_")  # numpy's is not Python's
    if column.kind == "flag" or is_flag:
        return column.kind == "flag" and is_flag
    if column.kind == "text":
        return isinstance(value, str) or hasattr(value, "__index__")
    if column.kind == "count":
        return hasattr(value, "__index__") and value >= 0
    return not isinstance(value, str) and hasattr(value, "__float__")


# --- reading -----------------------------------------------------------------------------------------------------


def read(run: Path, name: str) -> "pd.DataFrame":
    """A table of a run: every declared column, text as str, numbers and counts as float, flags as bool.

    What is empty is '', or NaN. Columns that the file leaves out are so in every row; a table without a file has no
    rows.

    Raises:
        NavbenchError: a required table is missing, the columns are others than those declared, or a cell is not of
            its column's kind.
    """
    import pandas as pd

    table, path = TABLES[name], Path(run) / "tables" / f"{name}.csv"
    if path.is_file() and (table.required or not _has_no_rows(path)):
        frame = _text_of(path)
    elif table.required:
        raise NavbenchError(f"{path} is missing; if the run was interrupted, start it again to finish it.")
    else:
        frame = pd.DataFrame(columns=list(table.needed), dtype=str)
    _check_columns(table, frame.columns, path)
    columns = {}
    for each in table.ordered([*table.names, *frame.columns]):
        column = table.column(each)
        assert column is not None
        columns[each] = _typed(frame[each], column, path) if each in frame else _absent(frame.index, column)
    return pd.DataFrame(columns, index=frame.index)


def check(run: Path) -> None:
    """Read every table of a run; what is wrong is refused as by `read`, and so is a table that is not declared."""
    for path in sorted((Path(run) / "tables").glob("*.csv")):
        if path.stem not in TABLES:
            raise NavbenchError(f"{path} is no table that is known: {_of_another_version(path)}.")
    for name in TABLES:
        read(run, name)


def _has_no_rows(path: Path) -> bool:
    """Whether a file is the bare line end that pandas writes for a table without rows."""
    return path.stat().st_size <= 2 and path.read_bytes() in (b"\n", b"\r\n")


def _text_of(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # so are the parser's, the empty file's and the decoder's errors
        raise NavbenchError(f"{path} is not a CSV table: {error}.") from error


def _check_columns(table: Table, found: Iterable[str], path: Path) -> None:
    names = list(found)
    if absent := [name for name in table.needed if name not in names]:
        raise NavbenchError(f"{path} lacks the column {absent[0]!r}: {_of_another_version(path)}.")
    if unknown := [name for name in names if table.column(name) is None]:
        raise NavbenchError(f"{path} has an unknown column {unknown[0]!r}: {_of_another_version(path)}.")


def _of_another_version(path: Path) -> str:
    """What a run is whose tables are others, with the version that its manifest names."""
    try:
        version = json.loads((path.parent.parent / "manifest.json").read_text(encoding="utf-8"))["navbench"]
    except (OSError, ValueError, LookupError, TypeError):
        version = None
    named = f" ({version}, by the field 'navbench' of its manifest)" if isinstance(version, str) else ""
    return f"the run was written by another version of navbench{named}; run it again"


def _absent(index: "pd.Index", column: Column) -> "pd.Series":
    import pandas as pd

    return pd.Series(_DEFAULTS[column.kind], index=index, dtype={"text": str, "flag": bool}.get(column.kind, float))


def _typed(cells: "pd.Series", column: Column, path: Path) -> "pd.Series":
    """The cells of a column as what it is declared to be."""
    import pandas as pd

    words = cells.str.strip().str.lower()
    if column.kind == "text":
        if not column.empty:
            _refuse(cells, cells == "", path, "nothing")
        return cells.map(text_of).astype(cells.dtype)  # as of a table without rows
    if column.kind == "flag":
        _refuse(cells, ~words.isin([*_TRUE, *_FALSE]), path, _WANTED["flag"])
        return words.isin(_TRUE)
    numbers = pd.to_numeric(cells, errors="coerce").astype(float)
    wrong = numbers.isna() & ~words.isin(["", "nan"])
    if column.kind == "count":
        wrong |= numbers.notna() & ~((numbers >= 0) & (numbers % 1 == 0))
    _refuse(cells, wrong, path, _WANTED[column.kind])
    return numbers


def _refuse(cells: "pd.Series", wrong: "pd.Series", path: Path, why: str) -> None:
    if wrong.any():
        first = cells[wrong]
        held = f"{first.iloc[0]!r}, {why}" if first.iloc[0] else "nothing"
        raise NavbenchError(f"{path}, line {int(first.index[0]) + 2}: column {cells.name!r} holds {held}.")


# --- documentation -----------------------------------------------------------------------------------------------


def listed(tables: Iterable[Table] | None = None) -> str:
    """The tables and what a row of each is, in Markdown."""
    rows = [f"| `tables/{table.name}.csv` | {table.row} |" for table in tables or TABLES.values()]
    return "\n".join(["| table | a row is |", "| --- | --- |", *rows]) + "\n"


def page() -> str:
    """The page that documents every column of every table, in Markdown."""
    parts = [
        "# The tables of a run folder",
        "Written by `python -m navbench.tables > docs/tables.md` from the declarations in `navbench/declared`.",
        "Every table is a CSV file with a header; a table without rows has no file. Numbers have "
        f"{DIGITS} significant digits. The kinds of columns are text, number, count (a whole number from 0 on) and "
        "flag (True or False). A text that a spreadsheet would take for a formula, as it begins with `=`, `+`, `-` or "
        "`@`, has an apostrophe before it, which `navbench` takes away as it reads the table; so has one that begins "
        "with an apostrophe. A column that may be left out is in the file if any row has it. A cell is empty where "
        "a number is not known. A standard error is of the images or codes that the number is measured on, with the "
        "reference held fixed. The unit *distance* is that of the perceptual distance in the column `distance`; "
        "*sigma* is an attribute's standard deviation.",
    ]
    for table in TABLES.values():
        parts += [f"## `{table.name}.csv`", f"A row is {table.row}.", _documented(table)]
    return "\n\n".join(parts) + "\n"


def _documented(table: Table) -> str:
    rows = ["| column | kind | unit | what it is | standard error | may be left out |", "| --- " * 6 + "|"]
    for column in table.columns:
        stderr, empty = f"`{column.stderr}`" if column.stderr else "", "yes" if column.empty else ""
        rows.append(f"| `{column.name}` | {column.kind} | {column.unit} | {column.words} | {stderr} | {empty} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(page(), end="")
