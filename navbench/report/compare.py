"""Two runs side by side: every number of one against the same number of the other.

What is compared is every summary number of a direction, and of a method in one place, that has a standard error.
The two errors are combined as if the runs were independent; where both used the same codes, as one suite and seed
give, that is cautious.  A difference is said to be real where it is beyond what chance gives for so many numbers
(Bonferroni, 5 % for all together).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import jinja2
import numpy as np
import pandas as pd

from navbench.errors import Failure, NavbenchError
from navbench.files import write_atomically
from navbench.report.html import assets, environment
from navbench.report.numbers import plain, significant, with_stderr
from navbench.report.tables import RunTables, load_run
from navbench.report.views import Cell, Column, Table, make_table

KEYS = {"directions": ("name",), "methods": ("generator", "layer", "method")}
"""What a row of each compared table is known by."""
_REALISM = ("fd_", "kid_")
_BASIS = ("extractor", "reference", "n", "n_reference")
"""What numbers of realism must have in common to be compared at all."""
_CONFIDENCE = 0.05
_MOST_ROWS = 200
_CONDITION = re.compile(r"\s*(?P<measure>[a-z][a-z0-9_+]*)\s*>\s*(?P<amount>\d+(\.\d+)?)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True)
class Condition:
    """When a comparison fails: a number of a measure changed by more than an amount, either way, or is gone.

    Attributes:
        measure: a column, or what several begin with: 'fd' is of fd_at_min, fd_at_max, fd_floor and fd_mean.
        amount: in the number's own unit, or in percent of the first run's.
    """

    measure: str
    amount: float
    percent: bool

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """From 'fd>5%' or 'area50>0.02'."""
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise NavbenchError(f"Cannot read the condition {text!r}; write a measure and an amount, such as 'fd>5%'.")
        return cls(found["measure"], float(found["amount"]), bool(found["percent"]))

    def met_by(self, changes: pd.DataFrame) -> pd.DataFrame:
        """The rows of `compared` that meet it.

        Raises:
            NavbenchError: there is no such measure in either run.
        """
        columns = changes["column"]
        own = changes[(columns == self.measure) | columns.str.startswith(f"{self.measure}_")]
        if own.empty:
            known = ", ".join(sorted({column.split("_")[0] for column in columns})) or "none"
            raise NavbenchError(f"Neither run has a measure {self.measure!r} to compare; there are: {known}.")
        size = own["difference"].abs()
        if self.percent:
            size = 100 * size / own["a"].abs()
        return own[(size > self.amount) | (own["status"] != "")]


def compared(first: RunTables, second: RunTables) -> pd.DataFrame:
    """A row per number: where, column, a, b, their errors, the difference and its error, in sigmas and relative.

    `status` is '' for numbers that can be compared, and otherwise says why these cannot; `real` is whether a difference
    is beyond chance.
    """
    rows = [row for table, keys in KEYS.items() for row in _rows(table, keys, first, second)]
    columns = ("table", "where", "column", "a", "a_stderr", "b", "b_stderr", "status")
    changes = pd.DataFrame(rows, columns=list(columns))
    changes["difference"] = (changes["b"] - changes["a"]).where(changes["status"] == "")
    changes["stderr"] = np.hypot(changes["a_stderr"], changes["b_stderr"])
    changes["sigmas"] = changes["difference"].abs() / changes["stderr"]
    changes["relative"] = changes["difference"] / changes["a"].abs()
    count = max(int((changes["status"] == "").sum()), 1)
    limit = NormalDist().inv_cdf(1 - _CONFIDENCE / 2 / count)
    changes["real"] = (changes["sigmas"] > limit) & (changes["status"] == "")
    return changes


def _rows(table: str, keys: tuple[str, ...], first: RunTables, second: RunTables) -> Iterator[tuple]:
    frames = [getattr(run, table).set_index(list(keys), drop=False) for run in (first, second)]
    columns = [name for name in frames[0] if f"{name}_stderr" in frames[0]]
    for key in frames[0].index.union(frames[1].index, sort=False):
        rows = [frame.loc[key] if key in frame.index else None for frame in frames]
        where = key if isinstance(key, str) else "/".join((key[0], key[2], key[1]))
        for column in columns:
            pairs = [(np.nan, np.nan) if row is None else (row[column], row[f"{column}_stderr"]) for row in rows]
            there = [np.isfinite(value) for value, _ in pairs]
            if any(there):
                status = _status(column, rows, there)
                yield (table, where, column, *pairs[0], *pairs[1], status)


def _status(column: str, rows: list[pd.Series | None], there: list[bool]) -> str:
    """Why two numbers cannot be compared; '' if they can."""
    if not all(there):
        return f"only in {'a' if there[0] else 'b'}"
    a, b = rows
    assert a is not None
    assert b is not None
    if column.startswith(_REALISM):
        for name in _BASIS:
            if str(a[name]) != str(b[name]):
                return f"{name} {_short(a[name])} and {_short(b[name])}"
    return ""


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


# --- what comes out ------------------------------------------------------------------------------------------


def write_comparison(
    first: Path, second: Path, out: Path, conditions: list[Condition]
) -> tuple[Path, pd.DataFrame, pd.DataFrame]:
    """Write `comparison.csv` and `index.html`; the page's path, all rows, and those that meet a condition."""
    runs = load_run(first), load_run(second)
    changes = compared(*runs)
    met = pd.concat([condition.met_by(changes) for condition in conditions]) if conditions else changes.iloc[:0]
    met = met[~met.index.duplicated()]
    try:
        write_atomically(out / "comparison.csv", changes.to_csv(index=False, float_format="%.8g"))
        write_atomically(out / "index.html", _page(runs, changes, met).encode())
    except OSError as error:
        raise Failure(f"The comparison could not be written to {out}: {error}.") from error
    return out / "index.html", changes, met


def _page(runs: tuple[RunTables, RunTables], changes: pd.DataFrame, met: pd.DataFrame) -> str:
    template: jinja2.Template = environment().get_template("compare.html")
    real = changes[changes["real"]].sort_values("sigmas", ascending=False)
    odd = changes[changes["status"] != ""]
    return template.render(
        **assets(),
        names=[plain(str(run.run)) for run in runs],
        summary=summary_of(changes, met),
        facts=_facts(runs),
        real=_table(real, "Differences beyond chance, the surest first.") if len(real) else None,
        met=_table(met, "Numbers that meet a condition.") if len(met) else None,
        odd=_table(odd, "Numbers that cannot be compared, and why.") if len(odd) else None,
    )


def summary_of(changes: pd.DataFrame, met: pd.DataFrame) -> str:
    """What was found, in a sentence or two."""
    alike = changes[changes["status"] == ""]
    equal = int((alike["difference"] == 0).sum())
    real = int(alike["real"].sum())
    words = (
        f"{len(alike):,} numbers are in both runs: {equal:,} are equal, and {real:,} differ by more than chance gives "
        "among so many."
    )
    if odd := len(changes) - len(alike):
        words += f" {odd:,} cannot be compared."
    return f"{words} {len(met):,} meet a condition." if len(met) else words


def _facts(runs: tuple[RunTables, RunTables]) -> list[tuple[str, str]]:
    """What the manifests say that differs."""
    names = ("suite", "suite_sha256", "seed", "navbench", "device", "precision", "extractor", "distance", "versions")
    facts = []
    for name in names:
        a, b = (plain(str(run.manifest.get(name, ""))) for run in runs)
        if a != b:
            facts.append((name.replace("_", " "), f"{a or 'not said'} and {b or 'not said'}"))
    return facts


def _table(frame: pd.DataFrame, caption: str) -> Table:
    left = len(frame) - _MOST_ROWS
    more = f" {left:,} more are in comparison.csv." if left > 0 else ""
    columns = [
        Column("Of", lambda row: Cell(plain(row["where"]))),
        Column("Number", lambda row: Cell(row["column"])),
        Column("a", lambda row: Cell(with_stderr(row["a"], row["a_stderr"]), row["a"])),
        Column("b", lambda row: Cell(with_stderr(row["b"], row["b_stderr"]), row["b"])),
        Column("b less a", lambda row: Cell(with_stderr(row["difference"], row["stderr"]), row["difference"])),
        Column("in errors", lambda row: Cell(significant(row["sigmas"], 2), row["sigmas"]), ("sigmas",)),
        Column("in percent", lambda row: Cell(significant(100 * row["relative"], 2), row["relative"]), ("relative",)),
        Column("Why not", lambda row: Cell(plain(row["status"])), ("status",)),
    ]
    return make_table(frame.iloc[:_MOST_ROWS], columns, caption + more)
