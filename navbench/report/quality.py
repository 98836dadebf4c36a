"""How good directions are beyond realism, and which method is better where that can be told."""

from collections.abc import Iterator

import pandas as pd

from navbench.declared.shared import SHARES
from navbench.report import views
from navbench.report.blocks import Block, Cell, Details, Heading, Items, Table, Words
from navbench.report.drawing import known_first
from navbench.report.numbers import capital, listed, metric_name, significant
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, make_table, measured, number, who_columns, whole, word

_COLUMNS = {
    "path_speed_cv ": "Path speed CV",
    "attribute coherence ": "Attribute coherence",
    "feature coherence t_min": "at t min",
    "feature coherence t_max": "at t max",
    "dvn ": "DVN",
    "id_similarity t_min": "at t min",
    "id_similarity t_max": "at t max",
    "rca ": "RCA",
}
"""Numbers by metric and end, and their headings."""
_GROUPS = {"feature coherence": "Feature coherence", "id_similarity": "ID similarity"}


def blocks(page: Page) -> Iterator[Block]:
    """Qualities, rankings, stability and confusions."""
    tables = page.tables
    if quality := _quality_table(tables):
        yield Words(
            "Path speed CV: the coefficient of variation of the perceptual speed along t, 0 for a steady change. "
            "Coherence: the mean cosine of the changes of two codes, of attributes or of features; 1 if a direction "
            "does the same to all. DVN (direction variation naturalness): near 1 if the images of the reference vary "
            f"in the same way, 0.5 if they do not.{dvn_words(tables)} RCA (reconstructor classification accuracy): "
            "of pairs of images with and without the shift, the share whose direction a network names correctly among "
            "those of the set. ID similarity: the cosine of identity embeddings with and without the shift."
        )
        yield quality
    if len(tables.ranking):
        yield Heading("Whose numbers are better, where that can be told")
        yield Items(tuple(ranking_sentences(tables)))
        yield Details("Every pair of methods", (ranking_table(tables),))
    if len(tables.stability):
        yield Heading("Are they found again?")
        yield _stability_table(tables)
    if len(tables.confusion):
        yield Heading("Can they be told apart?")
        yield Words("A reconstructor learned the directions of each set, as they are, and named pairs of other codes.")
        yield from (Details(table.caption, (table,)) for table in confusion_tables(tables))


def _quality_table(tables: RunTables) -> Table:
    """One row per direction of which anything but the scorer's readings is known."""
    frame = tables.quality
    known = frame.loc[frame["metric"] != "attribute coherence", "name"].unique()
    frame = frame[frame["name"].isin(known)]
    wide = views.widened(frame.assign(number=frame["metric"] + " " + frame["end"]), "number", "value", "stderr")
    columns = [
        *who_columns(tables, wide),
        *(
            measured(head, key, _GROUPS.get(key.partition(" t_")[0], ""))
            for key, head in _COLUMNS.items()
            if key in wide
        ),
    ]
    return make_table(wide, columns, "Quality of directions, ± one standard error. Click a heading to sort.")


def dvn_words(tables: RunTables) -> str:
    """Of which generators the reference of DVN is not of real images, as a sentence; '' if there are none."""
    own = tables.quality[(tables.quality["metric"] == "dvn") & (tables.quality["reference"] == "unshifted")]
    names = list(dict.fromkeys(own["generator"]))
    return f" The reference of {listed(names)} is the generator itself." if names else ""


def ranking_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator, place and number: whose is lowest, or highest, or that the differences are not significant."""
    for (generator, place), rows in tables.ranking.groupby(["generator", "place"], sort=False):
        parts = []
        for metric, pairs in rows.groupby("metric", sort=False):
            alike = pairs[pairs["status"] == ""]
            name = metric_name(str(metric), pairs["extractor"].iloc[0])
            if alike.empty:
                parts.append(f"{name}: not compared, as the methods are {pairs['status'].iloc[0]}")
                continue
            decided = int((alike["lower"] != "").sum())
            parts.append(f"{name}: {_leaders(alike, metric in SHARES)} ({decided} of {len(alike)} pairs decided)")
        yield f"{capital(str(place))}{tables.of(generator)}. {'; '.join(parts)}."


def _leaders(pairs: pd.DataFrame, is_higher_better: bool) -> str:
    """The methods than which none is decidedly lower; higher, where that is better."""
    methods = known_first([*pairs["method"], *pairs["against"]])
    beaten = {
        row["against"] if (row["lower"] == row["method"]) != is_higher_better else row["method"]
        for row in pairs.to_dict("records")
        if row["lower"]
    }
    leaders, way = [method for method in methods if method not in beaten], "high" if is_higher_better else "low"
    return f"{listed(leaders)} {way}est" if len(leaders) == 1 else f"none {way}er than {listed(leaders)}"


def ranking_table(tables: RunTables) -> Table:
    """Every pair of methods, number by number."""
    frame = tables.ranking
    columns = [
        views.place_column(frame),
        Column("Number", lambda row: Cell(metric_name(row["metric"], row["extractor"]))),
        word("Method", "method"),
        word("Against", "against"),
        measured("Difference", "difference", stderr="stderr"),
        number("p", "p", digits=2),
        Column("Lower", lambda row: Cell(row["lower"] or row["status"] or "not significant")),
    ]
    caption = (
        "Differences of means over directions on the same codes, ± one standard error of other directions on other "
        "codes. A lower distance, a higher precision, recall, density or coverage is more real, and a lower area50 "
        "more local; a lower unexplained fraction says that another space imitates the edits better. p is of Student's "
        "t test, adjusted for all tests of the run after Holm; a difference is significant below 0.05. It does not "
        "cover the seed of discovery."
    )
    return make_table(frame, columns, caption)


def _stability_table(tables: RunTables) -> Table:
    """One row per set and time that it was found again."""
    frame = tables.stability
    columns = [
        views.place_column(frame),
        word("Method", "method"),
        word("Varied", "varied"),
        whole("to", "value"),
        number("Share of the span found again", "share"),
        number("by chance", "chance"),
        number("smallest", "smallest_angle", "Principal angles (degrees)"),
        number("median", "median_angle", "Principal angles (degrees)"),
        number("largest", "largest_angle", "Principal angles (degrees)"),
    ]
    return make_table(frame, columns, "Sets that were found again, with one thing changed.")


def confusion_tables(tables: RunTables) -> Iterator[Table]:
    """Per set, which directions a network takes for which, the rows adding up to 1."""
    for (generator, place, method), rows in tables.confusion.groupby(["generator", "place", "method"], sort=False):
        cells = {
            (row["direction"], row["named"]): Cell(significant(row["share"], 2), row["share"])
            for row in rows.to_dict("records")
        }
        order = sorted(rows["direction"].unique(), key=int)
        accuracy = rows.loc[rows["direction"] == rows["named"], "share"].sum(skipna=False) / len(order)
        caption = (
            f"{generator}, {place}, {method}: rows are shown, columns are named; accuracy {significant(accuracy)}."
        )
        yield views.make_matrix(caption, "No.", order, order, cells)
