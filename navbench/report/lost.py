"""In how many images the scorer no longer sees its subject, a face for example."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from navbench.metrics.damage import BLANK
from navbench.metrics.shares import raised, wilson
from navbench.metrics.significance import decided
from navbench.report import views
from navbench.report.blocks import Block, Cell, Chart, Details, Table, Words
from navbench.report.charts import floor, make_chart, method_legend, method_spread
from navbench.report.drawing import DASHES, colour, finish, known_first, label_edges, panels, styled
from navbench.report.numbers import listed, short_direction, significant, with_stderr
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, Row, anchor, make_table
from navbench.texts import escaped

_MOST_NAMED = 3


def title(page: Page) -> str:
    """The question that the section answers."""
    subjects = page.tables.lost["subject"].unique()
    return f"Is the {' or '.join(subjects)} still there?" if len(subjects) else "Is the subject still there?"


def blocks(page: Page) -> Iterator[Block]:
    """What it says, the shares of all directions, whether it notices damage, and the numbers."""
    tables = page.tables
    if tables.lost.empty:
        return
    yield Words(" ".join(lost_sentences(tables)))
    yield from _charts(tables)
    yield from _charts_along(tables)
    yield from map(Words, damage_sentences(tables))
    yield Details("Directions that lose most", (_table(tables),))
    yield Details("Under known damage", (_damage_table(tables),))


def lost_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator: how many unshifted images do not show the subject, and which directions lose more of them."""
    for generator, rows in tables.lost.groupby("generator", sort=False):
        subject, scorer = (rows[name].iloc[0] for name in ("subject", "scorer"))
        as_they_are = tables.lost_damage[tables.lost_damage["damage"] == ""].set_index("generator").to_dict("index")
        yield (
            f"The share of unshifted images{tables.of(str(generator))} in which scorer {scorer} sees no {subject} is "
            f"{_share(as_they_are[generator])}. Where directions raise it, the scorer no longer sees the {subject}: it "
            "is broken, turned away, covered or small."
        )
        if not _failing(tables, str(generator)):
            yield from _named(rows)
        if unread := set(rows["name"]) - set(tables.attributes["name"]):
            yield (
                f"Of {len(unread)} of {rows['name'].nunique()} directions fewer than half of the codes keep the "
                f"{subject} along the whole range, so nothing is said of what they do."
            )


def _interval(row: Row) -> str:
    """The interval of a share of images, which has a width where all or none are counted, too."""
    low, high = (significant(end, 2) for end in wilson(row["value"], int(row["n"])))
    return f"{low} to {high}"


def _share(row: Row) -> str:
    """A share of images with its error, or with its interval where all or none are counted."""
    share, n = row["value"], int(row["n"])
    if 0 < share < 1:
        return f"{with_stderr(share, row['stderr'])} (n = {n})"
    return f"{significant(share)} (95 %: {_interval(row)}, n = {n})"


def _named(rows: pd.DataFrame) -> Iterator[str]:
    """The ends at which most more is lost than at t = 0, where that is significant; rows of one generator."""
    along = rows.groupby("name")["t"]
    is_end = (rows["t"] == along.transform("min")) | (rows["t"] == along.transform("max"))
    ends = rows[is_end & ~rows["is_control"]]
    tests = [raised(*each) for each in ends[["raised", "raised_stderr", "n"]].itertuples(index=False)]
    ends = ends.assign(error=[test.stderr for test in tests], decided=[each.decided for each in decided(tests)])
    risen = ends[ends["decided"] & (ends["raised"] > 0)].sort_values("raised", ascending=False, kind="stable")
    if risen.empty:
        yield "At no end of a direction does it rise significantly (Holm, 5 %)."
        return
    worst = risen.drop_duplicates("name").iloc[:_MOST_NAMED].to_dict("records")
    named = [f"{short_direction(row)} ({with_stderr(row['raised'], row['error'])})" for row in worst]
    yield (
        f"It rises significantly (Holm, 5 %) at {len(risen)} of {len(ends)} ends of directions, most at an end of "
        f"{listed(named)}; codes that lose the subject are in no number of attributes."
    )


def damage_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator, how far known damage raises the share, and whether the check is passed."""
    for generator, rows in tables.lost_damage.groupby("generator", sort=False):
        zero = rows.loc[rows["damage"] == "", "value"].iloc[0]
        damaged = rows[~rows["damage"].isin(["", BLANK])]
        strongest = damaged.loc[damaged.groupby("damage", sort=False)["strength"].idxmax(), ["damage", "value"]]
        told = [f"{significant(value, 2)} by {damage}" for damage, value in strongest.itertuples(index=False)]
        failing = _failing(tables, str(generator))
        if failing:
            verdict = f" It fails, as {listed(failing)}; so methods are not compared by what is lost."
        else:
            verdict = " Each raises it significantly, and none lowers it." if rows["passed"].any() else ""
        yield (
            f"The check: damage at its strongest changes the share of unshifted images{tables.of(str(generator))} from "
            f"{significant(zero, 2)} to {listed(told)}.{verdict}"
        )


def _failing(tables: RunTables, generator: str) -> list[str]:
    """Why the check by damage fails; nothing of a run that was not checked."""
    reasons = tables.lost_damage.loc[tables.lost_damage["generator"] == generator, "reason"]
    return [reason for reason in dict.fromkeys(reasons) if reason]


def _ends(tables: RunTables, generator: str) -> pd.DataFrame:
    """The directions of a generator with what the worse of their ends loses as `worst`, controls left out."""
    rows = tables.directions
    rows = rows[(rows["generator"] == generator) & rows["lost_at_min"].notna() & ~rows["is_control"]]
    worst = rows[["lost_at_min", "lost_at_max"]].max(axis=1)
    return rows.assign(worst=worst).sort_values("worst", ascending=False, kind="stable")


def _charts(tables: RunTables) -> Iterator[Chart]:
    for generator, rows in _methods_of(tables):
        subject = tables.lost.loc[tables.lost["generator"] == generator, "subject"].iloc[0]
        points = tables.directions[tables.directions["generator"] == generator]
        points = points.assign(value=points[["lost_at_min", "lost_at_max"]].mean(axis=1))
        axis = f"share of images without a {subject}, both ends"
        figure = method_spread(rows, points, "lost_mean", axis, float(rows["lost_at_zero"].iloc[0]))
        words = f"Share of images{tables.of(generator)} that lose the {subject}, by method."
        caption = (
            f"Share of images{tables.of(generator)} in which no {subject} is seen, in the mean over both ends: small "
            "points are directions, large ones means of methods, whose thin bars are the 95 % band of other directions "
            "on other codes, and thick ones of other codes. Hollow: controls. Dotted: unshifted images."
        )
        yield make_chart(tables.run, f"lost-{anchor(generator)}", figure, words, caption)


def _charts_along(tables: RunTables) -> Iterator[Chart]:
    """The mean share over the directions of each method, along their ranges."""
    for generator, rows in tables.lost.groupby("generator", sort=False):
        subject = rows["subject"].iloc[0]
        words = f"Share of images{tables.of(generator)} that lose the {subject} along the range, by method."
        caption = (
            f"Share of images{tables.of(generator)} in which no {subject} is seen, in the mean over the directions of "
            "each method, against the shift as a share of the end of each direction’s range, whose effect is in the "
            "table of directions. Hollow: controls. Dotted: unshifted images."
        )
        figure = _along(rows, f"share of images without a {subject}")
        yield make_chart(tables.run, f"lost-along-{anchor(str(generator))}", figure, words, caption)


@styled
def _along(rows: pd.DataFrame, axis: str) -> Figure:
    """The share against the shift, from -1 at t_min to 1 at t_max: a panel per layer, a line per method."""
    ends = rows.groupby("name")["t"].transform(lambda t: np.where(t < 0, -t.min(), t.max()))
    rows = rows.assign(part=(rows["t"] / ends).round(6))
    places = list(rows["place"].unique())
    figure, grid = panels(len(places), 2, 2.6, sharex=True, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        here = rows[rows["place"] == place]
        for method in known_first(here["method"]):
            own = here[here["method"] == method]
            mean, face = own.groupby("part")["value"].mean(), "none" if own["is_control"].iloc[0] else colour(method)
            axes.plot(mean.index, mean, color=colour(method), linestyle=DASHES[0], marker="o", markersize=3.5,
                      markerfacecolor=face)  # fmt: skip
        floor(axes, here)
        axes.set_title(escaped(place))
    label_edges(grid, "t, share of the end of the range", axis)
    method_legend(figure, rows)
    return finish(figure)


def _methods_of(tables: RunTables) -> Iterator[tuple[str, pd.DataFrame]]:
    """The methods that have a share, of each generator."""
    rows = tables.methods[tables.methods["lost_mean"].notna()]
    for generator, part in rows.groupby("generator", sort=False):
        yield str(generator), part


def _table(tables: RunTables) -> Table:
    frames = [_ends(tables, str(generator)) for generator in tables.lost["generator"].unique()]
    frame = pd.concat(frames, ignore_index=True)
    columns = [
        *views.who_columns(tables, frame),
        views.measured("at t min", "lost_at_min", "Share lost"),
        views.measured("at t max", "lost_at_max", "Share lost"),
        views.whole("n", "n_lost"),
    ]
    return make_table(frame[frame["worst"] > 0], columns, "Share of images that lose it, ± one standard error.")


def _damage_table(tables: RunTables) -> Table:
    columns = [
        views.word("Damage", "damage"),
        views.number("Strength", "strength"),
        views.word("In", "unit"),
        views.measured("Share lost", "value", stderr="stderr"),
        Column("95 %", lambda row: Cell(_interval(row))),
        views.whole("n", "n"),
        views.word("Why not", "reason"),
    ]
    return make_table(
        tables.lost_damage,
        columns,
        "Unshifted images under known damage, ± one standard error, and the interval of the share (Wilson).",
    )
