"""Which end of each direction costs more realism, and whether the reference has fewer images there, in words."""

import pandas as pd

from navbench.report import views
from navbench.report.numbers import plain, significant, with_stderr
from navbench.report.tables import RunTables
from navbench.report.views import Cell, Column, Row, Table, make_table, word

ENDS = {"t_min": "t min", "t_max": "t max"}
_UNEQUAL = 0.1


def asymmetry_sentences(tables: RunTables) -> list[str]:
    """How many directions cost more at one end, and in how many of those that end is the rarer one, per generator."""
    return [
        _sentence(rows, f" of {plain(str(generator))}" if tables.several_generators else "")
        for generator, rows in tables.asymmetry.groupby("generator", sort=False)
    ]


def _sentence(rows: pd.DataFrame, of: str) -> str:
    even = rows[_even(rows)]
    sided = even[even["dearer"] != ""]
    words = (
        f"Of {len(even)} directions{of} whose ends have the same effect within {_UNEQUAL:.0%}, {len(sided)} cost more "
        f"realism at one end than at the other (significant, Holm over all directions, 5 %)."
    )
    if left := len(rows) - len(even):
        words += f" {left} more have ends of unequal effects."
    known = sided[sided["rarer"] != ""]
    if len(known):
        agree = int((known["dearer"] == known["rarer"]).sum())
        words += (
            f" Of {len(known)} of them, the reference has fewer images beyond one end than beyond the other, and that "
            f"end is the dearer in {agree}; the paper's explanation is that what data lack looks wrong."
        )
    return words


def _even(rows: pd.DataFrame) -> pd.Series:
    """Whether the effects at both ends are the same within a tenth."""
    ends = rows[["effect_min", "effect_max"]]
    return (ends.max(axis=1) - ends.min(axis=1)) <= _UNEQUAL * ends.max(axis=1)


def asymmetry_table(tables: RunTables) -> Table | None:
    """One row per direction with a curve."""
    frame = tables.asymmetry
    if frame.empty:
        return None
    fd, _ = views.metric_names(frame)
    columns = [
        *views.generator_column(frame),
        *views.who_columns(frame, set(tables.measured["name"]), labelled=False),
        Column("t max less t min", lambda row: Cell(with_stderr(row["difference"], row["stderr"]), row["difference"])),
        Column("Dearer end", lambda row: Cell(ENDS.get(row["dearer"], "")), ("dearer",)),
        word("Attribute", "attribute"),
        Column("at t min", lambda row: _share(row, "beyond_min"), ("beyond_min",), "Share of the reference beyond it"),
        Column("at t max", lambda row: _share(row, "beyond_max"), ("beyond_max",), "Share of the reference beyond it"),
        Column("Rarer end", lambda row: Cell(ENDS.get(row["rarer"], "")), ("rarer",)),
    ]
    caption = (
        f"{fd} at t max less that at t min, paired on the codes, ± one standard error; and how much of the reference "
        "is further out, in the attribute that the direction moves most, than its images at either end."
    )
    return make_table(frame, columns, " ".join([caption, *views.measured_with(fd, frame)]))


def _share(row: Row, column: str) -> Cell:
    return Cell(significant(row[column], 2), row[column])
