"""How good directions are beyond realism, and which method is better where that can be told."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from navbench.declared.shared import SHARES
from navbench.report import views
from navbench.report.blocks import Block, Cell, Chart, Details, Heading, Items, Table, Words
from navbench.report.charts import make_chart
from navbench.report.drawing import FAINT, finish, known_first, styled
from navbench.report.numbers import capital, listed, metric_name, significant
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_table, measured, method_column, number, who_columns, whole, word

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
UNLIKE_PUBLISHED = (
    "DVN and RCA differ from Voynov & Babenko's (2020, section 4.1). DVN: logistic regressions on features stand in "
    "for networks on images, the images are of both ends of each direction's own range, and its value is of codes that "
    "trained neither. RCA: a fresh network learns the finished directions of every method, as theirs does for random "
    "directions alone; shifts are shares of each direction's own range, and it does not predict them."
)
"""What is not as its authors define it."""
_MOST_WRITTEN = 16
"""Directions of a set whose confusions are written into the squares."""
_GROUPS = {"feature coherence": "Feature coherence", "id_similarity": "ID similarity"}


def blocks(page: Page) -> Iterator[Block]:
    """Qualities, rankings, stability, directions as a code, compositions and confusions."""
    tables = page.tables
    if quality := _quality_table(tables):
        yield Words(
            "Path speed CV: the coefficient of variation of the perceptual speed along t, 0 for a steady change; it is "
            "not StyleGAN's path length (PPL), which is the mean squared speed of random paths. "
            "Coherence: the mean cosine of the changes of two codes, of attributes or of features; 1 if a direction "
            "does the same to all. DVN (direction variation naturalness): near 1 if the images of the reference vary "
            f"in the same way, 0.5 if they do not.{dvn_words(tables)} RCA (reconstructor classification accuracy): "
            "of pairs of images with and without the shift, the share whose direction a network names correctly among "
            "those of the set. ID similarity: the cosine of identity embeddings with and without the shift. "
            f"{UNLIKE_PUBLISHED}"
        )
        yield quality
    if len(tables.ranking):
        yield Heading("Whose numbers are better, where that can be told")
        yield Items(tuple(ranking_sentences(tables)))
        yield Details("Every pair of methods", (ranking_table(tables),))
    if len(tables.stability):
        yield Heading("Are they found again?")
        yield stability_table(tables)
    if len(tables.disentanglement):
        yield Heading("Are they a disentangled code?")
        yield code_table(tables)
    if len(tables.composition):
        yield Heading("Do two of them add up?")
        yield composition_table(tables)
    if len(tables.confusion):
        yield Heading("Can they be told apart?")
        yield Words("A reconstructor learned the directions of each set, as they are, and named pairs of other codes.")
        yield from confusion_charts(tables)
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
        method_column(),
        word("Against", "against"),
        measured("Difference", "difference", stderr="stderr"),
        number("p", "p", digits=2),
        Column("Lower", lambda row: Cell(row["lower"] or row["status"] or "not significant")),
    ]
    caption = (
        "Differences of means over directions on the same codes, ± one standard error of other directions on other "
        "codes. A lower distance, a higher precision, recall, density or coverage is more real, a lower area50 more "
        "local, a smaller share lost more real; a lower unexplained fraction says that another space imitates the "
        "edits better. p is of Student's t test, adjusted for all tests of the run after Holm; a difference is "
        "significant below 0.05. It does not cover the seed of discovery."
    )
    return make_table(frame, columns, caption)


def stability_table(tables: RunTables) -> Table:
    """One row per set and time that it was found again."""
    frame = tables.stability
    columns = [
        views.place_column(frame),
        method_column(),
        word("Varied", "varied"),
        whole("to", "value"),
        number("Share of the span found again", "share"),
        number("by chance", "chance"),
        number("smallest", "smallest_angle", "Principal angles (degrees)"),
        number("median", "median_angle", "Principal angles (degrees)"),
        number("largest", "largest_angle", "Principal angles (degrees)"),
        whole("Directions", "labelled", "Automatic labels"),
        measured("found again", "labels_kept", "Automatic labels"),
        number("by chance", "labels_chance", "Automatic labels"),
    ]
    caption = (
        "Sets that were found again, with one thing changed; more of the span and more of the labels is better. Each "
        "direction is matched to one of the second search by the cosine of their offsets, which is read over the same "
        "range: the share of automatic labels that this one has, too, ± one standard error over directions."
    )
    return make_table(frame, columns, caption)


def code_table(tables: RunTables) -> Table:
    """One row per set, with the measures of its shifts as a code."""
    keys = ["generator", "layer", "space", "method"]
    frame = tables.disentanglement
    frame = frame.assign(name=frame[keys].agg("/".join, axis=1))
    columns = [
        views.place_column(frame),
        word("Method", "method"),
        whole("Directions", "directions"),
        measured("Disentanglement", "disentanglement"),
        measured("Completeness", "completeness"),
        measured("Informativeness", "informativeness"),
        measured("MIG", "mig"),
    ]
    caption = (
        "The directions of each set as a code: all are shifted together, at random, and the changes of the attributes "
        "are predicted from the shifts by lasso (DCI, Eastwood & Williams 2018). Disentanglement: each direction moves "
        "one attribute; completeness: each attribute is moved by one direction (both weighed by importance); "
        "informativeness: the share of the changes' variance that is predicted (one minus their error); MIG (Chen et "
        "al. 2018): how much more the best direction tells of an attribute than the next, in bins of equal counts. 1 "
        "is best; ± one standard error over codes. 'random' is the control. Where little is predicted, disentanglement "
        "and completeness are of little."
    )
    return make_table(views.widened(frame, "metric", "value", "stderr"), columns, caption)


def composition_table(tables: RunTables) -> Table:
    """One row per relation of two places and methods, a mean over pairs."""
    frame = tables.composition
    both = frame["method"] + " and " + frame["other_method"]
    methods = frame["method"].where(frame["method"] == frame["other_method"], both)
    keys = ["generator", "relation", "methods"]
    groups = frame.assign(methods=methods).groupby(keys, sort=False)
    rows = pd.DataFrame([dict(zip(keys, key, strict=True)) | _over_pairs(pairs) for key, pairs in groups])
    columns = [
        word("Where", "relation"),
        word("Methods", "methods"),
        whole("Pairs", "pairs"),
        measured("of pixels", "interaction", "Interaction"),
        measured("of attributes", "interaction_attributes", "Interaction"),
        number("Effect of the order, at most", "order", digits=2),
    ]
    caption = (
        "Two directions at t max together: what their change lacks of the sum of the changes by either, squared, over "
        "the squared change by both; 0 if two edits add up, lower is better. Means over pairs ± one standard error "
        "over pairs, some of which share a direction, or over codes for a single one. The order of two edits does not "
        "matter where both are offsets of one tensor or of two: what is left is rounding."
    )
    return make_table(rows, columns, caption)


def _over_pairs(pairs: pd.DataFrame) -> dict[str, float]:
    """The number of pairs, means over them with their standard errors, and the largest effect of the order."""
    numbers = {"pairs": len(pairs), "order": pairs["order"].max()}
    for column in ("interaction", "interaction_attributes"):
        numbers[column] = pairs[column].mean()
        numbers[f"{column}_stderr"] = pairs[column].sem() if len(pairs) > 1 else pairs[f"{column}_stderr"].iloc[0]
    return numbers


def confusion_charts(tables: RunTables) -> Iterator[Chart]:
    """Per set, which directions a network takes for which, as colours."""
    for (generator, place, method), rows in tables.confusion.groupby(["generator", "place", "method"], sort=False):
        order = sorted(rows["direction"].unique(), key=int)
        shares = rows.pivot(index="direction", columns="named", values="share").loc[order, order]
        accuracy = significant(float(np.trace(shares)) / len(order))
        caption = f"{generator}, {place}, {method}: accuracy {accuracy}; by chance {significant(1 / len(order), 2)}."
        file = f"confusion-{anchor(f'{generator}-{method}-{place}')}"
        yield make_chart(tables.run, file, _confusion(shares), f"Confusions of {caption}", caption)


@styled
def _confusion(shares: pd.DataFrame) -> Figure:
    """A square of shares, written where there is room, on a scale from 0 to 1."""
    side = max(3.0, min(6.5, 0.34 * len(shares) + 1.2))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    sns.heatmap(
        shares.astype(float), vmin=0, vmax=1, cmap="crest", square=True, ax=axes, linewidths=0.5, linecolor=FAINT,
        annot=len(shares) <= _MOST_WRITTEN, fmt=".2f", annot_kws={"size": 6.5},
        cbar_kws={"label": "share of pairs", "shrink": 0.7},
    )  # fmt: skip
    axes.set_xlabel("direction that was named")
    axes.set_ylabel("direction that was shown")
    return finish(figure)


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
