"""The kit of tables: columns, each of which turns a row into a cell of text with the number that it sorts by."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import quote

import pandas as pd

from navbench.report.blocks import Cell, Table
from navbench.report.numbers import MINUS, count, method_name, metric_name, setting, significant, with_stderr
from navbench.report.tables import RunTables

Row = dict
Cells = Mapping[tuple[str, str], Cell]


@dataclass(frozen=True)
class Column:
    """A heading, how a row becomes a cell, what it needs to have anything to show, and a heading above."""

    head: str
    cell: Callable[[Row], Cell]
    needs: tuple[str, ...] = ()
    group: str = ""


def make_table(frame: pd.DataFrame, columns: list[Column], caption: str, sortable: bool = True) -> Table:
    """A table of the columns that have something to show, after the generator if there are several."""
    if "generator" in frame and frame["generator"].nunique() > 1:
        columns = [word("Generator", "generator"), *columns]
    shown = [
        column
        for column in columns
        if not column.needs or any(frame[need].replace("", None).notna().any() for need in column.needs)
    ]
    rows = frame.to_dict("records")
    groups = [(group, len(list(members))) for group, members in groupby(shown, lambda column: column.group)]
    return Table(
        caption=caption,
        heads=tuple(column.head for column in shown),
        rows=tuple(tuple(column.cell(row) for column in shown) for row in rows),
        groups=tuple(groups) if any(group for group, _ in groups) else (),
        sortable=sortable,
    )


def make_matrix(
    caption: str, corner: str, rows: list[str], columns: list[str], cells: Cells, totals: tuple[Cell, ...] = ()
) -> Table:
    """A table of the cells of rows and columns, '·' where there is none; the last row are the totals, if any."""
    body = [(Cell(row), *(cells.get((row, column), Cell("·")) for column in columns)) for row in rows]
    return Table(caption, (corner, *columns), (*body, totals) if totals else tuple(body), total=bool(totals))


def word(head: str, column: str) -> Column:
    """A column of text."""
    return Column(head, lambda row: Cell(row[column]), (column,))


def number(head: str, column: str, group: str = "", digits: int = 3) -> Column:
    """A column of numbers without an uncertainty."""
    return Column(head, lambda row: Cell(significant(row[column], digits), row[column]), (column,), group)


def whole(head: str, column: str, group: str = "") -> Column:
    """A column of whole numbers."""
    return Column(head, lambda row: Cell(count(row[column]), row[column]), (column,), group)


def measured(head: str, column: str, group: str = "", stderr: str = "") -> Column:
    """A column of values ± standard errors, which are in the column `stderr`, by default that of the value."""
    return Column(head, lambda row: Cell(estimate(row, column, stderr), row[column]), (column,), group)


def estimate(row: Row, column: str, stderr: str = "") -> str:
    """A value ± its standard error."""
    return with_stderr(row[column], row[stderr or f"{column}_stderr"])


def place_column(frame: pd.DataFrame) -> Column:
    """The layer, or the latent space if there is any."""
    return word("Layer or space" if (frame["where"] != frame["layer"]).any() else "Layer", "where")


def method_column() -> Column:
    """The method; a control is marked as such, and so is one that sees labels."""

    def cell(row: Row) -> Cell:
        return Cell(method_name(row["method"], row["is_control"], row["is_labelled"]))

    return Column("Method", cell, ("method",))


def who_columns(tables: RunTables, frame: pd.DataFrame, labelled: bool = False) -> list[Column]:
    """Which direction a row is about, a link to where the explorer shows it."""
    shown = set(tables.directions["name"])

    def direction(row: Row) -> Cell:
        index = float(row["direction"]) if row["direction"].isdecimal() else math.nan
        return Cell(row["direction"], index, link=permalink(row["name"]) if row["name"] in shown else "")

    def label(row: Row) -> Cell:
        return Cell(row["label"], automatic=automatic_label(row))

    columns = [place_column(frame), method_column(), Column("No.", direction)]
    if labelled and any((frame[name] != "").any() for name in ("label", "auto_label") if name in frame):
        columns.append(Column("Label", label))
    return columns


def widened(rows: pd.DataFrame, column: str, value: str, stderr: str) -> pd.DataFrame:
    """One row per direction, with the columns `KEY` and `KEY_stderr` for each of the entries KEY of a column."""
    rows = rows.drop_duplicates(["name", column], keep="last")
    frame = rows.drop_duplicates("name").set_index("name", drop=False)
    for numbers, end in ((value, ""), (stderr, "_stderr")):
        wide = rows.pivot(index="name", columns=column, values=numbers)
        frame = frame.join(wide.add_suffix(end))
    return frame


def automatic_label(row: Row) -> str:
    """The label that a network gave, where a human gave none or another; '' where there is nothing more to show."""
    given = str(row.get("auto_label", ""))
    return "" if given == row["label"] else re.sub(" -$", f" {MINUS}", given)


def metric_names(frame: pd.DataFrame) -> tuple[str, str]:
    """What the Fréchet and the kernel distance of a table are called."""
    named = frame[frame["metric"] != ""]
    if named.empty:
        return "FD", "KID"
    first = named.iloc[0]
    return metric_name(first["metric"], first["extractor"]), metric_name("KID", first["extractor"])


def measured_with(frame: pd.DataFrame) -> str:
    """What the Fréchet distances of a table were measured with, as a sentence after others; '' if it has none."""
    return f" {metric_names(frame)[0]}: {setting(frame)}." if frame["n"].notna().any() else ""


def anchor(name: str) -> str:
    """A name as a fragment of a link, and as a file name: nothing but letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def permalink(name: str) -> str:
    """The fragment by which the explorer opens a direction."""
    return f"#{quote(name, safe='/+.~-_')}"
