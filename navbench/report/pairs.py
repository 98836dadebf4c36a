"""The same edit by other methods: a table, curves of both, and sheets on the same codes (Figures 5, 6, 14 and 15)."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from navbench.report.blocks import Block, Cell, Chart, Details, Heading, Sheets, Table, Words
from navbench.report.charts import axis_name, band, make_chart
from navbench.report.drawing import DASHES, MUTED, colour, finish, label_edges, panels, styled
from navbench.report.methods import footing
from navbench.report.numbers import listed, setting, significant
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_table, measured, metric_names, who_columns
from navbench.texts import escaped


def blocks(page: Page) -> Iterator[Block]:
    """Sheets of several methods, and how alike their directions are."""
    tables, matched, paired = page.tables, page.sheets("matched"), page.sheets("paired")
    if tables.pairs.empty and not matched:
        return
    opening = "The same codes, one per sheet; every row is a direction, from one end of its range to the other."
    yield Words(" ".join([opening, *pair_sentences(tables)]))
    if matched:
        yield Heading("At the same change of an attribute")
        yield Sheets(matched)
    if paired:
        yield Heading(f"The closest direction of each method{_pair_footing(tables)}")
        yield Sheets(paired)
    yield from _pair_charts(tables)
    if len(tables.pairs):
        yield Details("The closest direction of every other set", (_pair_table(tables),))


def pair_sentences(tables: RunTables) -> Iterator[str]:
    """Which latent direction does most nearly the same as each direction of weights."""
    closest = tables.pairs[tables.pairs["closest"]]
    for generator, best in closest.groupby("generator", sort=False):
        each = listed(
            f"{row['other'].partition('/')[2]} for {row['name'].partition('/')[2]} ({significant(row['cosine'], 2)})"
            for row in best.to_dict("records")
        )
        yield (f"The closest latent direction{tables.of(generator)}, by the cosine of the changes of pixels: {each}.")


def _pair_footing(tables: RunTables) -> str:
    """Where the ranges of what is paired end, if that is the same for all generators, as a clause."""
    words = {footing(tables, str(generator)) for generator in tables.pairs["generator"].unique()}
    return f", {words.pop()}" if len(words) == 1 else ""


def _pair_charts(tables: RunTables) -> Iterator[Chart]:
    """The curves of directions beside those of their closest latent ones, a figure per generator."""
    for generator, rows in tables.pair_curves.groupby("generator", sort=False):
        name, _ = metric_names(rows)
        members = listed(member.partition("/")[2] for member in rows["member"].unique())
        caption = (
            f"{name} against effect, signed so that both do the same on either side: a direction of weights (solid), "
            f"and the latent direction that is closest to it (dashed). Bands are ± 1.96 standard errors; "
            f"{setting(rows)}."
        )
        words = f"{name} against signed effect of {members}."
        yield make_chart(tables.run, f"pairs-{anchor(str(generator))}", _curves(rows), words, caption)


@styled
def _curves(rows: pd.DataFrame) -> Figure:
    """A panel per direction, with both curves."""
    names = list(rows["name"].unique())
    figure, grid = panels(len(names), 2, 3.0, sharey=True)
    for axes, name in zip(grid, names, strict=True):
        for member, line in rows[rows["name"] == name].groupby("member", sort=False):
            line = line.sort_values("signed_effect")
            own = member == name
            shade = colour(line["method" if own else "other_method"].iloc[0])
            label = escaped(str(member).partition("/")[2])
            band(axes, line["signed_effect"], line, shade, DASHES[0 if own else 1], label)
        axes.axvline(0, color=MUTED, linestyle=":", linewidth=0.9)
        axes.legend(loc="upper center")
        axes.set_title(escaped(name))
    label_edges(grid, "effect, signed as the edit", axis_name(rows), numbers_inside=True)
    return finish(figure)


def _pair_table(tables: RunTables) -> Table:
    """One row per direction and other set."""
    frame = tables.pairs
    columns = [
        *who_columns(tables, frame),
        Column("The other", lambda row: Cell(row["other"].partition("/")[2])),
        Column("at its", lambda row: Cell(row["other_end"].replace("_", " "))),
        measured("Cosine of the changes", "cosine"),
        Column("Chosen by", lambda row: Cell("label" if row["by_label"] else "cosine")),
    ]
    caption = (
        "For each direction, the one of every other set that does most nearly the same at t max: by the cosine of the "
        "changes of pixels, chosen on one half of the codes and measured on the other, ± one standard error. 1 is the "
        "same change, 0 an unrelated one."
    )
    return make_table(frame, columns, caption)
