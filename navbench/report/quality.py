"""How good directions are beyond realism, and which method is better where that can be told."""

from collections.abc import Callable

import pandas as pd

from navbench.report import views
from navbench.report.drawing import known_first
from navbench.report.numbers import listed, metric_name, plain, significant, with_stderr
from navbench.report.tables import RunTables
from navbench.report.views import Cell, Column, Row, Table, make_table

_COLUMNS = (
    ("unevenness", "", "Unevenness"),
    ("attribute coherence", "", "Attribute coherence"),
    ("feature coherence", "t_min", "at t min"),
    ("feature coherence", "t_max", "at t max"),
    ("naturalness", "", "Naturalness (DVN)"),
    ("identity kept", "t_min", "kept at t min"),
    ("identity kept", "t_max", "kept at t max"),
    ("recognised", "", "Recognised (RCA)"),
)
_GROUPS = {"feature coherence": "Feature coherence", "identity kept": "Identity"}


def quality_table(tables: RunTables) -> Table | None:
    """One row per direction of which anything but the scorer's readings is known."""
    frame = tables.quality
    measured = frame.loc[frame["metric"] != "attribute coherence", "name"].unique()
    frame = frame[frame["name"].isin(measured)]
    if frame.empty:
        return None
    rows = []
    for _, part in frame.groupby("name", sort=False):
        numbers = {(row["metric"], row["end"]): row for row in part.to_dict("records")}
        rows.append({**part.iloc[0].to_dict(), "numbers": numbers})
    present = {(metric, end) for metric, end in zip(frame["metric"], frame["end"], strict=True)}
    wide = pd.DataFrame(rows)
    columns = [
        *views.generator_column(wide),
        *views.who_columns(wide, set(tables.measured["name"]), labelled=False),
        *(
            Column(head, _cell(metric, end), group=_GROUPS.get(metric, ""))
            for metric, end, head in _COLUMNS
            if (metric, end) in present
        ),
    ]
    return make_table(wide, columns, "Quality of directions, ± one standard error. Click a heading to sort.")


def _cell(metric: str, end: str) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        found = row["numbers"].get((metric, end))
        return Cell("") if found is None else Cell(with_stderr(found["value"], found["stderr"]), found["value"])

    return cell


def natural_words(tables: RunTables) -> str:
    """Of which generators the reference of naturalness is not of real images, as a sentence; '' if there are none."""
    own = tables.quality[(tables.quality["metric"] == "naturalness") & (tables.quality["reference"] == "unshifted")]
    names = list(dict.fromkeys(own["generator"]))
    return f" The reference of {plain(listed(names))} is the generator itself." if names else ""


def ranking_sentences(tables: RunTables) -> list[str]:
    """Per generator, place and number: whose is lowest, or that the differences are not significant."""
    told = []
    for (generator, place), rows in tables.ranking.groupby(["generator", "place"], sort=False):
        of = f" of {plain(str(generator))}" if tables.several_generators else ""
        parts = []
        for metric, pairs in rows.groupby("metric", sort=False):
            alike = pairs[pairs["status"] == ""]
            name = plain(metric_name(str(metric), pairs["extractor"].iloc[0]))
            if alike.empty:
                parts.append(f"{name}: not compared, as the methods are {plain(pairs['status'].iloc[0])}")
                continue
            decided = int((alike["lower"] != "").sum())
            parts.append(f"{name}: {_leaders(alike)} ({decided} of {len(alike)} pairs decided)")
        told.append(f"{plain(str(place))[:1].upper()}{plain(str(place))[1:]}{of}. {'; '.join(parts)}.")
    return told


def _leaders(pairs: pd.DataFrame) -> str:
    """The methods than which none is decidedly lower."""
    methods = known_first([*pairs["method"], *pairs["against"]])
    beaten = {
        row["against"] if row["lower"] == row["method"] else row["method"]
        for row in pairs.to_dict("records")
        if row["lower"]
    }
    leaders = [plain(method) for method in methods if method not in beaten]
    return f"{listed(leaders)} lowest" if len(leaders) == 1 else f"none lower than {listed(leaders)}"


def ranking_table(tables: RunTables) -> Table | None:
    """Every pair of methods, number by number."""
    frame = tables.ranking
    if frame.empty:
        return None
    columns = [
        *views.generator_column(frame),
        views.place_column(frame),
        Column("Number", lambda row: Cell(plain(metric_name(row["metric"], row["extractor"])))),
        views.word("Method", "method"),
        views.word("Against", "against"),
        Column("Difference", lambda row: Cell(with_stderr(row["difference"], row["stderr"]), row["difference"])),
        Column("p", lambda row: Cell(significant(row["p"], 2), row["p"])),
        Column("Lower", lambda row: Cell(plain(row["lower"] or row["status"]) or "not significant")),
    ]
    caption = (
        "Paired differences on the same codes, ± one standard error. A lower distance is more real and a lower area50 "
        "more local; a lower residual says that another space imitates the edits better. p is of Student's t test, "
        "adjusted for all pairs of a place after Holm; a difference is decided below 0.05. It covers the choice of "
        "codes, not that of directions or of the seed of discovery."
    )
    return make_table(frame, columns, caption)


def stability_table(tables: RunTables) -> Table | None:
    """One row per set and time that it was found again."""
    frame = tables.stability
    if frame.empty:
        return None
    columns = [
        *views.generator_column(frame),
        views.place_column(frame),
        views.word("Method", "method"),
        views.word("Varied", "varied"),
        views.whole("to", "value"),
        views.number("Share of the span found again", "share"),
        views.number("by chance", "chance"),
        views.number("smallest", "smallest_angle", "Principal angles (degrees)"),
        views.number("median", "median_angle", "Principal angles (degrees)"),
        views.number("largest", "largest_angle", "Principal angles (degrees)"),
    ]
    return make_table(frame, columns, "Sets that were found again, with one thing changed.")


def confusion_tables(tables: RunTables) -> list[Table]:
    """Per set, which directions a network takes for which, the rows adding up to 1."""
    groups = tables.confusion.groupby(["generator", "place", "method"], sort=False)
    return [_confusion(rows, f"{generator}, {place}, {method}") for (generator, place, method), rows in groups]


def _confusion(rows: pd.DataFrame, which: str) -> Table:
    shares = {(row["direction"], row["named"]): row["share"] for row in rows.to_dict("records")}
    order = sorted({shown for shown, _ in shares}, key=int)
    body = tuple(
        (Cell(shown), *(Cell(significant(shares[shown, named], 2), shares[shown, named]) for named in order))
        for shown in order
    )
    accuracy = sum(shares[shown, shown] for shown in order) / len(order)
    caption = f"{plain(which)}: rows are shown, columns are named; accuracy {significant(accuracy, 3)}."
    return Table(caption, ("No.", *order), body)
