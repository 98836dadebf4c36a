"""Two runs side by side: numbers of one against the same numbers of the other.

What is compared is every number that has a standard error, of each direction, of each method in one place, and of each
layer that was surveyed.  Two numbers are compared only where they rest on the same: a distance on the same numbers of
images, what is measured at an end of a range on the same end, and so on (`FOOTINGS`).

The two errors are combined as if the runs were independent; where both used the same codes, as one suite and seed
give, that is cautious.  Another seed draws the reference `unshifted` anew, so errors of distances from it are then of
samples and reference together; every other reference is the same in both runs.  A difference is said to be real if it
is significant: by `metrics.significance`, with as many degrees of freedom as the less certain of the two errors has,
which is cautious as well, all numbers being one family.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from navbench.declared.shared import SHARES
from navbench.errors import Failure, NavbenchError
from navbench.files import write_atomically
from navbench.metrics.significance import Test, decided
from navbench.places import Where
from navbench.report.blocks import Block, Cell, Header, Items, Section, Table, Terms, Words
from navbench.report.html import render
from navbench.report.numbers import significant
from navbench.report.tables import RunTables, load_run
from navbench.report.views import Column, Row, make_table, measured, number, word
from navbench.texts import cell, escaped

KEYS = {"directions": ("name",), "methods": ("generator", "method", "layer"), "layers": ("generator", "layer")}
"""What a row of each compared table is known by."""
_GROUPS = 10
"""Over so many groups of codes locality is jackknifed, or one per code where there are fewer."""
_SAME = 1e-4
"""Shifts and effects that differ by a smaller share are the same: so much another device changes by itself."""
_MOST_ROWS, _SHOWN = 200, 12
"""Rows of a table on the page, and digits of a SHA-256."""
_CONDITION = re.compile(r"\s*(?P<measure>[a-z][a-z0-9_+]*)\s*>\s*(?P<amount>\d+(\.\d+)?)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True)
class Footing:
    """What some numbers rest on.

    Attributes:
        columns: the numbers, by what their columns begin with.
        samples: the column that counts the samples that their errors are from.
        basis: the columns in which both runs must agree for the numbers to be compared at all.
        grouped: whether the error is a jackknife over groups of the samples.
    """

    columns: tuple[str, ...]
    samples: str
    basis: tuple[str, ...]
    grouped: bool = False

    def freedom(self, row: Row) -> float:
        """The degrees of freedom of a number's error; the fewest possible if the number of samples is unknown."""
        count = np.fmin(row[self.samples], _GROUPS) if self.grouped else row[self.samples]
        return max(1.0, count - 1)  # in this order, as nothing is greater than NaN


_REALISM = ("metric", "extractor", "reference", "n", "n_reference", "resolution")
_KID = ("metric", "extractor", "reference", "n_kid", "n_reference_kid", "resolution")
_LOCALITY = ("area50", "area90", "participation", "entropy_area", "mean_change")
_MEAN = ("effect", "distance")
_SURVEY = ("survey_method", "survey_effect", "distance")
FOOTINGS = {
    "directions": (
        Footing(("fd_floor",), "n", _REALISM),
        Footing(("fd_at_min",), "n", (*_REALISM, "t_min")),
        Footing(("fd_at_max",), "n", (*_REALISM, "t_max")),
        Footing(("kid_floor",), "n_kid", _KID),
        Footing(("kid_at_min",), "n_kid", (*_KID, "t_min")),
        Footing(("kid_at_max",), "n_kid", (*_KID, "t_max")),
        Footing(("limit_min",), "n_limit", ("extractor", "reference", "n_limit", "t_min")),
        Footing(("limit_max",), "n_limit", ("extractor", "reference", "n_limit", "t_max")),
        Footing(("effect_min",), "n_effect", ("distance", "n_effect", "t_min")),
        Footing(("effect_max",), "n_effect", ("distance", "n_effect", "t_max")),
        Footing(_LOCALITY, "n_locality", ("t_min", "t_max", "shifts", "n_locality"), grouped=True),
        Footing(("unexplained_fraction_",), "n_reproduction", ("t_max", "n_train", "n_reproduction")),
        Footing(("lost_at_min",), "n_lost", ("scorer", "t_min", "n_lost")),
        Footing(("lost_at_max",), "n_lost", ("scorer", "t_max", "n_lost")),
        Footing(("attribute_change",), "n_attributes", ("attribute", "scorer", "t_min", "t_max", "codes_attributes")),
    ),
    "methods": (
        Footing(("fd_mean",), "fd_directions", (*_REALISM, *_MEAN, "fd_directions")),
        Footing(("kid_floor",), "n_kid", _KID),
        Footing(
            ("kid_mean", *(f"{share}_mean" for share in SHARES)), "kid_directions", (*_KID, *_MEAN, "kid_directions")
        ),
        Footing(("lost_",), "n_lost", ("directions", "effect_target", "n_lost")),
    ),
    "layers": (
        Footing(("coarse", "middle", "fine", "geometry"), "n_survey", (*_SURVEY, "survey_directions", "n_survey")),
        Footing(("area50",), "n_survey", (*_SURVEY, "survey_directions", "n_survey"), grouped=True),
        Footing(("fd",), "n", (*_REALISM, *_SURVEY, "fd_directions")),
        Footing(("effect",), "n_effect", (*_SURVEY, "fd_directions", "n_effect")),
    ),
}
"""Of every compared number; another range is another edit."""
_BESIDE = {
    "locality": {"n": "n_locality", "shifts": "shifts"},
    "reproduction": {"n_train": "n_train"},
    "attributes": {"n": "n_attributes", "scorer": "scorer"},
}
"""Columns of other tables, and what they are called beside a direction's numbers."""
_ASKED = ("attributes", "effect")
"""Numbers of codes that are the same for a whole run. Those of which attributes could be read differ by direction, as
some lose the scorer's subject: they say how sure a change is, not what it is of."""


@dataclass(frozen=True)
class Condition:
    """When a comparison fails: a number of a measure changed by more than an amount, or may have.

    A number may have changed by any amount, and meets the condition, where it cannot be compared: if only one of the
    runs has it, whichever, or if it rests on something else in the other.

    Attributes:
        measure: a column, or what several begin with: 'fd' is of fd_at_min, fd_at_max, fd_floor, fd_mean, and the fd of
            a layer.
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
        """The rows of `compared` that meet it: changed by more, either way, or with a status.

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

    `status` is '' for numbers that can be compared, and otherwise says why these cannot; `other` says what they were
    measured on is not the same, weights or direction set, which forbids nothing. `p` is the chance of such a difference
    where there is none, for this number alone; `real` is whether it is beyond chance among all.
    """
    names = ("a", "a_stderr", "b", "b_stderr", "freedom")
    rows = [row for table in KEYS for row in _rows(table, first, second)]
    changes = pd.DataFrame(rows, columns=["table", "where", "column", *names, "status", "other"])
    changes = changes.astype(dict.fromkeys(names, float))
    alike = changes["status"] == ""
    changes["difference"] = (changes["b"] - changes["a"]).where(alike)
    changes["stderr"] = np.hypot(changes["a_stderr"], changes["b_stderr"])
    changes["sigmas"] = changes["difference"].abs() / changes["stderr"]
    changes["relative"] = changes["difference"] / changes["a"].abs()
    tested = changes.loc[alike, ["difference", "stderr", "freedom"]].itertuples(index=False)
    decisions = decided([Test(*map(float, each)) for each in tested])
    changes["p"] = pd.Series([each.p for each in decisions], changes.index[alike], dtype=float).reindex(changes.index)
    changes["real"] = pd.Series([each.decided for each in decisions], changes.index[alike]).reindex(
        changes.index, fill_value=False
    )
    return changes


def _rows(table: str, first: RunTables, second: RunTables) -> Iterator[tuple]:
    frames = [_by_key(table, run) for run in (first, second)]
    hashes = [_hashes(run) for run in (first, second)]
    redrawn = first.manifest.get("seed") != second.manifest.get("seed")
    columns = [name for name in getattr(first, table) if f"{name}_stderr" in getattr(first, table)]
    footings = {name: next(each for each in FOOTINGS[table] if name.startswith(each.columns)) for name in columns}
    for where in dict.fromkeys([*frames[0], *frames[1]]):
        rows = [frame.get(where) for frame in frames]
        other = _other(next(row for row in rows if row is not None), *hashes)
        for column, footing in footings.items():
            pairs = [
                (math.nan, math.nan) if row is None else (row[column], number_error(row, column, redrawn))
                for row in rows
            ]
            there = [math.isfinite(value) for value, _ in pairs]
            if any(there):
                freedom = min(footing.freedom(row) for row in rows if row is not None)
                yield (table, where, column, *pairs[0], *pairs[1], freedom, _status(footing, rows, there), other)


def number_error(row: Row, column: str, redrawn: bool) -> float:
    """The standard error of a number: of samples and reference, if it is known, where the reference was drawn anew."""
    alone, both = row[f"{column}_stderr"], row.get(f"{column}_stderr_both", math.nan)
    return both if redrawn and row.get("reference") == "unshifted" and math.isfinite(both) else alone


def _by_key(table: str, run: RunTables) -> dict[str, Row]:
    """The rows of a table by what they are known by, with what stands elsewhere of what their numbers rest on."""
    frame = getattr(run, table)
    samples = run.manifest.get("samples")
    known = samples if isinstance(samples, dict) else {}
    asked = {name: count if isinstance(count := known.get(name), int | float) else math.nan for name in _ASKED}
    if table == "directions":
        for name, columns in _BESIDE.items():
            beside = getattr(run, name).drop_duplicates("name").set_index("name")
            frame = frame.assign(**{new: frame["name"].map(beside[old]) for old, new in columns.items()})
        frame = frame.assign(codes_attributes=asked["attributes"])
    else:
        frame = frame.assign(distance=str(run.manifest.get("distance", "")), n_effect=asked["effect"])
    if "n_kid" in frame:  # without a limit, as in earlier runs, KID is of all images
        counts = ("n", "n_reference")
        frame = frame.assign(**{f"{count}_kid": frame[f"{count}_kid"].fillna(frame[count]) for count in counts})
    rows = frame.to_dict("records")
    names = ["/".join(row[key] for key in KEYS[table]) for row in rows]
    twice = pd.Index(names).duplicated()
    if twice.any():
        raise NavbenchError(f"{run.run / 'tables' / table}.csv lists {names[twice.argmax()]!r} twice.")
    return dict(zip(names, rows, strict=True))


def _status(footing: Footing, rows: list[Row | None], there: list[bool]) -> str:
    """Why two numbers cannot be compared; '' if they can."""
    a, b = rows
    if a is None or b is None or not all(there):
        return f"only in {'a' if there[0] else 'b'}"
    for name in footing.basis:
        values = [row.get(name, "") for row in (a, b)]
        if not _alike(*values):
            return f"{name} {_said(values[0])} and {_said(values[1])}"
    return ""


def _alike(a: str | float, b: str | float) -> bool:
    """Whether two entries are the same: counts to the last, other numbers nearly."""
    if _said(a) == _said(b):
        return True
    if isinstance(a, str) or isinstance(b, str):
        return False
    counts = float(a).is_integer() and float(b).is_integer()
    return not counts and math.isclose(a, b, rel_tol=_SAME)


def _said(value: str | float) -> str:
    """An entry in words; a number in a column of text, such as a resolution, may be written in several ways."""
    try:
        number = math.nan if value == "" else float(value)
    except ValueError:
        return str(value)
    return "not said" if math.isnan(number) else f"{number:.8g}"


def _hashes(run: RunTables) -> dict[str, str]:
    """The SHA-256 of all that was measured, by what it is called; read without trusting the manifest's shape."""
    generators, sets = run.manifest.get("generators"), run.manifest.get("direction_sets")
    found: dict[str, str] = {}
    for name, entry in generators.items() if isinstance(generators, dict) else ():
        found[f"weights of {name}"] = str(entry.get("weights_sha256", "")) if isinstance(entry, dict) else ""
    for entry in sets if isinstance(sets, list) else ():
        if isinstance(entry, dict):
            found[f"direction set {entry.get('set_id', '')}"] = str(entry.get("sha256", ""))
    return found


def _other(row: Row, first: dict[str, str], second: dict[str, str]) -> str:
    """What a row was measured on that is not the same in both runs, as far as both tell."""
    method = row["method"] if "method" in row else row["survey_method"]
    made = {
        "weights": f"weights of {row['generator']}",
        "direction set": f"direction set {row['generator']}/{method}/{row['layer']}",
    }
    told = {short: (first.get(name), second.get(name)) for short, name in made.items()}
    return " and ".join(short for short, (a, b) in told.items() if a and b and a != b)


# --- what comes out ------------------------------------------------------------------------------------------


def write_comparison(
    first: Where, second: Where, out: Path, conditions: list[Condition]
) -> tuple[Path, pd.DataFrame, pd.DataFrame]:
    """Write `comparison.csv` and `index.html`; the page's path, all rows, and those that meet a condition."""
    runs = load_run(first), load_run(second)
    changes = compared(*runs)
    met = pd.concat([condition.met_by(changes) for condition in conditions]) if conditions else changes.iloc[:0]
    met = met[~met.index.duplicated()]
    try:
        cells = changes.map(lambda value: cell(value) if isinstance(value, str) else value)
        write_atomically(out / "comparison.csv", cells.to_csv(index=False, float_format="%.8g"))
        write_atomically(out / "index.html", render(_header(runs), SECTIONS, Comparison(runs, changes, met)).encode())
    except OSError as error:
        raise Failure(f"The comparison could not be written to {out}: {error}.") from error
    return out / "index.html", changes, met


_READING = (
    "Compared is every number that has a standard error in three tables: of each direction, its effects, its "
    "distances of realism at both ends and at t = 0, its locality, its unexplained fractions and the change of its "
    "attribute; of each method in one place, its mean distances; of each surveyed layer, the shares of its changes, "
    "its area50, distance and effect.",
    "Not compared are numbers without a standard error, such as accuracies, verdicts and means of area50 and of "
    "unexplained fractions; curves between the ends; and the other tables, among them regions, quality, asymmetry, "
    "rankings, pairs, claims, stability and photos.",
    "Two numbers are compared only where they rest on the same. Distances of realism: metric, extractor, reference, "
    "numbers of images and resolution; effects: the perceptual distance; the change of an attribute: the attribute "
    "and its scorer; effects, changes, locality and unexplained fractions: the numbers of codes, and of shifts; what "
    "is measured at an end of the range, or between both: those ends, for another range is another edit; means: how "
    "many directions they are over, and at which effect.",
    "Other weights of a generator, or another direction set under the same name, are told and forbid nothing. A set "
    "that was found again is another file, even if its directions are the same.",
    "Errors of the two runs are combined as if the runs were independent. Where both used the same codes this is "
    "cautious: a change of the code that moves no image leaves differences of zero.",
    "A difference is beyond chance where so large a one, in any of all numbers together, has a probability below 5 "
    "%. Holm's adjustment sees to that. Errors are estimated from samples too, those of locality from ten groups of "
    "codes: the fewer, the larger a difference has to be (Student's t).",
    "A number that cannot be compared meets every condition on it, as it may have changed.",
)


@dataclass(frozen=True)
class Comparison:
    """Two runs, the rows of `compared`, and those of them that meet a condition."""

    runs: tuple[RunTables, RunTables]
    changes: pd.DataFrame
    met: pd.DataFrame


def _answer(comparison: Comparison) -> Iterator[Block]:
    yield Words(summary_of(comparison.changes, comparison.met), "lead")
    if facts := _facts(comparison.runs):
        yield Words("The runs differ in:")
        yield Terms(facts, "terms")
    yield _table(comparison.met, "Numbers that meet a condition.")


def _differences(comparison: Comparison) -> list[Block]:
    real = comparison.changes[comparison.changes["real"]].sort_values(["p", "sigmas"], ascending=[True, False])
    return [_table(real, "Differences beyond chance, the surest first.")]


def _incomparable(comparison: Comparison) -> list[Block]:
    odd = comparison.changes[comparison.changes["status"] != ""]
    return [_table(odd, "Numbers that cannot be compared, and why.")]


SECTIONS: tuple[Section[Comparison], ...] = (
    Section("answer", "The answer", "", _answer),
    Section("differences", "What differs", "", _differences),
    Section("odd", "What cannot be compared", "", _incomparable),
    Section("limits", "How to read this", "", lambda _: [Items(_READING)], look="box"),
)


def _header(runs: tuple[RunTables, RunTables]) -> Header:
    a, b = (escaped(run.address) for run in runs)
    return Header(
        title=f"{a} against {b}",
        kicker="navbench comparison",
        heading=Markup("Two runs: <em>{}</em> (a) and <em>{}</em> (b)").format(a, b),
        subtitle="Numbers of one run against the same numbers of the other, as far as they have a standard error.",
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
    if other := int((changes["other"] != "").sum()):
        words += f" The weights or the direction set behind {other:,} numbers are not the same in both."
    return f"{words} {len(met):,} meet a condition." if len(met) else words


def _facts(runs: tuple[RunTables, RunTables]) -> list[tuple[str, str]]:
    """What the manifests say that differs; of weights and direction sets, the beginnings of their SHA-256."""
    names = [
        *("suite", "suite_sha256", "seed", "navbench", "device", "precision"),
        *("extractor", "extractor_precision", "distance", "versions"),
    ]
    facts = []
    for name in names:
        a, b = (escaped(str(run.manifest.get(name, ""))) for run in runs)
        if a != b:
            facts.append((name.replace("_", " "), f"{a or 'not said'} and {b or 'not said'}"))
    first, second = (_hashes(run) for run in runs)
    for name in dict.fromkeys([*first, *second]):
        a, b = (escaped(hashes.get(name, "")) for hashes in (first, second))
        if a != b:
            facts.append((escaped(name), f"{a[:_SHOWN] or 'not said'} and {b[:_SHOWN] or 'not said'}"))
    return facts


def _table(frame: pd.DataFrame, caption: str) -> Table:
    left = len(frame) - _MOST_ROWS
    more = f" {left:,} more are in comparison.csv." if left > 0 else ""
    columns = [
        word("Of", "where"),
        word("Number", "column"),
        measured("a", "a"),
        measured("b", "b"),
        measured("b less a", "difference", stderr="stderr"),
        number("in errors", "sigmas", digits=2),
        Column("in percent", lambda row: Cell(significant(100 * row["relative"], 2), row["relative"]), ("relative",)),
        word("Why not", "status"),
        word("Not the same", "other"),
    ]
    return make_table(frame.iloc[:_MOST_ROWS], columns, caption + more)
