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
from navbench.report.tables import RESIDUALS, RunTables

Row = dict


@dataclass(frozen=True)
class Cell:
    """What one place of a table shows; `sort` is the number it is sorted by, where it is a number.

    Attributes:
        automatic: a label that no human gave, shown after the text and marked as such.
        strong: the best of its row.
    """

    text: str
    sort: float | None = None
    link: str = ""
    picture: Picture | None = None
    automatic: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table with its caption; groups are headings over several heads, each with how many it spans.

    Where `total` is set, the last row sums up the others.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    total: bool = False

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
        *generator_column(methods),
        place_column(methods),
        word("Method", "method"),
        whole("found", "directions", "Directions"),
        whole("with curves", "curves", "Directions"),
        measured(fd, "fd_mean"),
        measured(kid, "kid_mean"),
        number("area50", "area50_mean"),
        *(number(kind, f"residual_{kind}_mean", "Residual") for kind in RESIDUALS),
        number("Reconstructor accuracy", "accuracy"),
        Column("Discovery", lambda row: Cell(duration(row["seconds"]), row["seconds"]), ("seconds",)),
    ]
    target = ", ".join(sorted({significant(value) for value in methods["effect_target"].dropna()}))
    caption = [f"Methods at an effect of {target}." if target else "Methods at the ends of the ranges."]
    if methods["fd_mean"].notna().any():
        caption.append(f"{fd} and {kid} are means over both ends of the directions with curves, ± one standard error.")
    if methods[["area50_mean", *(f"residual_{kind}_mean" for kind in RESIDUALS)]].notna().any(axis=None):
        caption.append("Means of area50 and of residuals are over the directions that have them, and carry none.")
    return make_table(methods, columns, " ".join([*caption, *measured_with(fd, methods)]))


def directions_table(tables: RunTables, thumbnails: dict[str, Picture]) -> Table:
    """One row per measured direction, with the strip in small."""
    frame = tables.measured
    fd, _ = metric_names(frame)
    columns = [
        *generator_column(frame),
        Column("Strip", lambda row: Cell("", picture=thumbnails.get(row["name"]))),
        *who_columns(frame, set(frame["name"])),
        *_range_columns(),
        measured("at t min", "fd_at_min", fd),
        measured("at t max", "fd_at_max", fd),
        *_bare_or_measured(frame),
    ]
    if not thumbnails:
        columns = [column for column in columns if column.head != "Strip"]
    caption = ["Measured directions; values ± one standard error.", *measured_with(fd, frame)]
    return make_table(frame, columns, " ".join([*caption, "Click a heading to sort."]))


def other_directions_table(tables: RunTables) -> Table:
    """The directions that have a range, and nothing else."""
    frame = tables.directions[~tables.directions["measured"]]
    columns = [
        *generator_column(frame),
        *who_columns(frame, set()),
        *_range_columns(),
        number("Attribute share", "attribute_share"),
        *([] if frame["attribute_share"].notna().any() else _score_columns()),
    ]
    return make_table(frame, columns, "Directions that were found and calibrated, but not measured.")


def _score_columns() -> list[Column]:
    return [
        number("Rayleigh quotient", "rayleigh"),
        number("Solver residual", "solver_residual"),
        number("Singular value", "singular_value"),
        number("Reconstructor accuracy", "accuracy"),
    ]


def _bare_or_measured(frame: pd.DataFrame) -> list[Column]:
    """The last columns; where attributes need room, without standard errors, which stand on the cards."""
    column = number if frame["attribute_share"].notna().any() else measured
    return [
        number("Attribute share", "attribute_share"),
        column("area50", "area50"),
        *(column(kind, f"residual_{kind}", "Residual") for kind in RESIDUALS),
    ]


def layers_table(tables: RunTables) -> Table:
    """One row per layer of each generator."""
    frame = tables.layers
    columns = [
        *generator_column(frame),
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
        ("Verdict", plain(row["verdict"]) or NOTHING),
        ("Attribute", plain(row["attribute"]) or NOTHING),
        ("Its change from end to end", _pair(row, "attribute_change")),
        ("Its share of all changes", significant(row["attribute_share"])),
        ("Monotonicity", significant(row["monotonicity"])),
        ("Attribute dependency", significant(row["attribute_dependency"])),
        *((f"Residual, best {kind}", _pair(row, f"residual_{kind}")) for kind in RESIDUALS),
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


def measured_with(name: str, frame: pd.DataFrame) -> list[str]:
    """What the Fréchet distances of a table were measured with, as a sentence; none where it has none."""
    return [f"{name}: {setting(frame)}."] if frame["n"].notna().any() else []


def generator_column(frame: pd.DataFrame) -> list[Column]:
    """A column that names the generator, where there are several."""
    return [word("Generator", "generator")] if frame["generator"].nunique() > 1 else []


def place_column(frame: pd.DataFrame) -> Column:
    """Which layer, or which latent space, where there are any."""
    return word("Layer or space" if (frame["where"] != frame["layer"]).any() else "Layer", "where")


def who_columns(frame: pd.DataFrame, cards: set[str], labelled: bool = True) -> list[Column]:
    """Which direction a row is about; one of which there is a card is a link to it."""

    def direction(row: Row) -> Cell:
        index = float(row["direction"]) if row["direction"].isdecimal() else math.nan
        return Cell(plain(row["direction"]), index, link=f"#{anchor(row['name'])}" if row["name"] in cards else "")

    def label(row: Row) -> Cell:
        return Cell(plain(row["label"]), automatic=automatic_label(row))

    needs = ("label", "auto_label") if "auto_label" in frame else ("label",)
    columns = [place_column(frame), word("Method", "method"), Column("No.", direction)]
    if labelled and any((frame[need] != "").any() for need in needs):
        columns.append(Column("Label", label))
    return columns


def automatic_label(row: Row) -> str:
    """The label that a network gave, where a human gave none or another; '' where there is nothing more to show."""
    given = str(row.get("auto_label", ""))
    return "" if given == row["label"] else re.sub(" -$", f" {MINUS}", plain(given))


def _range_columns() -> list[Column]:
    def shifts(row: Row) -> Cell:
        ends = significant(row["t_min"]), significant(row["t_max"])
        return Cell(" to ".join(ends).replace("-", MINUS), row["t_max"])

    def effects(row: Row) -> Cell:
        ends = significant(row["effect_min"], 2), significant(row["effect_max"], 2)
        return Cell(ends[0] if ends[0] == ends[1] else " / ".join(ends), row["effect_max"])

    return [Column("Range of t", shifts), Column("Effect", effects, ("effect_min", "effect_max"))]
