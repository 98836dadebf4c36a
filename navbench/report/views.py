"""The tables that the page shows: cells of text, ready to print, with the numbers they sort by."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from navbench.report.numbers import (
    MINUS,
    NOTHING,
    count,
    duration,
    metric_name,
    plain,
    setting,
    significant,
    with_stderr,
)
from navbench.report.pictures import Picture
from navbench.report.tables import RunTables

Row = dict


@dataclass(frozen=True)
class Cell:
    """What one place of a table shows; `sort` is the number it is sorted by, where it is a number."""

    text: str
    sort: float | None = None
    link: str = ""
    picture: Picture | None = None


@dataclass(frozen=True)
class Table:
    """A table with its caption; groups are headings over several heads, each with how many it spans."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, and are set flush right."""
        return tuple(any(row[place].sort is not None for row in self.rows) for place in range(len(self.heads)))


@dataclass(frozen=True)
class Column:
    """A heading, how a row becomes a cell, what it needs to have anything to show, and a heading above."""

    head: str
    cell: Callable[[Row], Cell]
    needs: tuple[str, ...] = ()
    group: str = ""


def make_table(frame: pd.DataFrame, columns: list[Column], caption: str) -> Table:
    """A table of the columns that have something to show."""
    shown = [
        column
        for column in columns
        if not column.needs or any(frame[need].replace("", None).notna().any() for need in column.needs)
    ]
    rows = frame.to_dict("records")
    cells = tuple(tuple(column.cell(row) for column in shown) for row in rows)
    groups = [(group, len(list(members))) for group, members in groupby(shown, lambda column: column.group)]
    return Table(
        caption=caption,
        heads=tuple(column.head for column in shown),
        rows=cells,
        groups=tuple(groups) if any(group for group, _ in groups) else (),
    )


def methods_table(tables: RunTables, seconds: dict[str, float]) -> Table:
    """One row per layer and method: the summary, with the seconds that finding each set took, by its reference."""
    methods = tables.methods
    references = methods["generator"] + "/" + methods["method"] + "/" + methods["layer"]
    methods = methods.assign(seconds=references.map(seconds).astype(float))
    fd, kid = metric_names(methods)
    columns = [
        *_generator_column(methods),
        word("Layer", "layer"),
        word("Method", "method"),
        whole("found", "directions", "Directions"),
        whole("with curves", "curves", "Directions"),
        measured(fd, "fd_mean"),
        measured(kid, "kid_mean"),
        number("area50", "area50_mean"),
        number("z", "residual_z_mean", "Residual"),
        number("activation", "residual_activation_mean", "Residual"),
        number("Reconstructor accuracy", "accuracy"),
        Column("Discovery", lambda row: Cell(duration(row["seconds"]), row["seconds"]), ("seconds",)),
    ]
    target = ", ".join(sorted({significant(value) for value in methods["effect_target"].dropna()}))
    caption = [f"Methods at an effect of {target}." if target else "Methods at the ends of the ranges."]
    if methods["fd_mean"].notna().any():
        caption.append(f"{fd} and {kid} are means over both ends of the directions with curves, ± one standard error.")
    if methods[["area50_mean", "residual_z_mean", "residual_activation_mean"]].notna().any(axis=None):
        caption.append("Means of area50 and of residuals are over the directions that have them, and carry none.")
    return make_table(methods, columns, " ".join([*caption, *_measured_with(fd, methods)]))


def directions_table(tables: RunTables, thumbnails: dict[str, Picture]) -> Table:
    """One row per measured direction, with the strip in small."""
    frame = tables.measured
    fd, _ = metric_names(frame)
    columns = [
        *_generator_column(frame),
        Column("Strip", lambda row: Cell("", picture=thumbnails.get(row["name"]))),
        *_who_columns(),
        *_range_columns(),
        measured("at t min", "fd_at_min", fd),
        measured("at t max", "fd_at_max", fd),
        measured("area50", "area50"),
        measured("z", "residual_z", "Residual"),
        measured("activation", "residual_activation", "Residual"),
    ]
    if not thumbnails:
        columns = [column for column in columns if column.head != "Strip"]
    caption = ["Measured directions; values ± one standard error.", *_measured_with(fd, frame)]
    return make_table(frame, columns, " ".join([*caption, "Click a heading to sort."]))


def other_directions_table(tables: RunTables) -> Table:
    """The directions that have a range, and nothing else."""
    frame = tables.directions[~tables.directions["measured"]]
    columns = [
        *_generator_column(frame),
        *_who_columns(linked=False),
        *_range_columns(),
        number("Rayleigh quotient", "rayleigh"),
        number("Solver residual", "solver_residual"),
        number("Singular value", "singular_value"),
        number("Reconstructor accuracy", "accuracy"),
    ]
    return make_table(frame, columns, "Directions that were found and calibrated, but not measured.")


def layers_table(tables: RunTables) -> Table:
    """One row per layer of each generator."""
    frame = tables.layers
    columns = [
        *_generator_column(frame),
        Column("Index", lambda row: Cell(count(row["index"]), row["index"])),
        word("Layer", "layer"),
        word("Kernel", "shape"),
        whole("Parameters", "parameters"),
        whole("Input size", "input_size"),
        whole("Directions", "directions"),
    ]
    return make_table(frame, columns, "The shiftable layers, in forward order; sizes in pixels.")


def card_numbers(row: Row) -> list[tuple[str, str]]:
    """The summary numbers of one direction, as terms and values."""
    fd, kid = (metric_name(metric, row["extractor"]) for metric in (row["metric"] or "FD", "KID"))
    terms = [
        ("Range of t", f"{significant(row['t_min'])} to {significant(row['t_max'])}"),
        ("Effect at t min", _pair(row, "effect_min")),
        ("Effect at t max", _pair(row, "effect_max")),
        (f"{fd} at t min", _pair(row, "fd_at_min")),
        (f"{fd} at t = 0", _pair(row, "fd_floor")),
        (f"{fd} at t max", _pair(row, "fd_at_max")),
        (f"{kid} at t min", _pair(row, "kid_at_min")),
        (f"{kid} at t = 0", _pair(row, "kid_floor")),
        (f"{kid} at t max", _pair(row, "kid_at_max")),
        ("area50", _pair(row, "area50")),
        ("area90", _pair(row, "area90")),
        ("Participation", _pair(row, "participation")),
        ("Area by entropy", _pair(row, "entropy_area")),
        ("Mean squared change", _pair(row, "mean_change")),
        ("Residual, best z", _pair(row, "residual_z")),
        ("Residual, best activation", _pair(row, "residual_activation")),
        ("Rayleigh quotient", significant(row["rayleigh"])),
        ("Solver residual", significant(row["solver_residual"])),
        ("Singular value", significant(row["singular_value"])),
        ("Reconstructor accuracy", significant(row["accuracy"])),
    ]
    return [(term, value) for term, value in terms if value != NOTHING]


def metric_names(frame: pd.DataFrame) -> tuple[str, str]:
    """What the Fréchet and the kernel distance of a table are called."""
    named = frame[frame["metric"] != ""]
    if named.empty:
        return "FD", "KID"
    first = named.iloc[0]
    return plain(metric_name(first["metric"], first["extractor"])), plain(metric_name("KID", first["extractor"]))


def anchor(name: str) -> str:
    """A name as a fragment of a link, and as a file name: nothing but letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def word(head: str, column: str) -> Column:
    """A column of text."""
    return Column(head, lambda row: Cell(plain(row[column])), (column,))


def number(head: str, column: str, group: str = "") -> Column:
    """A column of numbers without an uncertainty."""
    return Column(head, lambda row: Cell(significant(row[column]), row[column]), (column,), group)


def whole(head: str, column: str, group: str = "") -> Column:
    """A column of whole numbers."""
    return Column(head, lambda row: Cell(count(row[column]), row[column]), (column,), group)


def measured(head: str, column: str, group: str = "") -> Column:
    """A column of values ± standard errors."""
    return Column(head, lambda row: Cell(_pair(row, column), row[column]), (column,), group)


def _pair(row: Row, column: str) -> str:
    return with_stderr(row[column], row[f"{column}_stderr"])


def _measured_with(name: str, frame: pd.DataFrame) -> list[str]:
    """What the Fréchet distances of a table were measured with, as a sentence; none where it has none."""
    return [f"{name}: {setting(frame)}."] if frame["n"].notna().any() else []


def _generator_column(frame: pd.DataFrame) -> list[Column]:
    return [word("Generator", "generator")] if frame["generator"].nunique() > 1 else []


def _who_columns(linked: bool = True) -> list[Column]:
    def direction(row: Row) -> Cell:
        index = float(row["direction"]) if row["direction"].isdecimal() else math.nan
        return Cell(plain(row["direction"]), index, link=f"#{anchor(row['name'])}" if linked else "")

    return [
        word("Layer", "layer"),
        word("Method", "method"),
        Column("No.", direction),
        word("Label", "label"),
    ]


def _range_columns() -> list[Column]:
    def shifts(row: Row) -> Cell:
        ends = significant(row["t_min"]), significant(row["t_max"])
        return Cell(" to ".join(ends).replace("-", MINUS), row["t_max"])

    def effects(row: Row) -> Cell:
        ends = significant(row["effect_min"], 2), significant(row["effect_max"], 2)
        return Cell(ends[0] if ends[0] == ends[1] else " / ".join(ends), row["effect_max"])

    return [Column("Range of t", shifts), Column("Effect", effects, ("effect_min", "effect_max"))]
