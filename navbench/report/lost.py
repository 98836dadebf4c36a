"""In how many images the scorer no longer sees its subject, a face for example."""

from collections.abc import Iterator

import pandas as pd

from navbench.report import views
from navbench.report.blocks import Block, Chart, Details, Table, Words
from navbench.report.charts import make_chart, method_spread
from navbench.report.numbers import listed, short_direction, significant, with_stderr
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import anchor, make_table

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
    yield from map(Words, damage_sentences(tables))
    yield Details("Directions that lose most", (_table(tables),))
    yield Details("Under known damage", (_damage_table(tables),))


def lost_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator: how many unshifted images do not show the subject, and which directions lose most."""
    for generator, rows in tables.lost.groupby("generator", sort=False):
        subject, scorer, n = (rows[name].iloc[0] for name in ("subject", "scorer", "n"))
        as_they_are = tables.lost_damage[tables.lost_damage["damage"] == ""].set_index("generator").to_dict("index")
        zero = as_they_are[generator]
        share, of = with_stderr(zero["value"], zero["stderr"]), tables.of(str(generator))
        yield (
            f"Scorer {scorer} sees no {subject} in {share} of the unshifted images{of} (n = {significant(n)}); where "
            "directions raise that share, edits break images."
        )
        worst = _ends(tables, str(generator)).iloc[:_MOST_NAMED].to_dict("records")
        named = [f"{short_direction(row)} ({significant(row['worst'], 2)})" for row in worst if row["worst"] > 0]
        if named:
            yield f"Most is lost at an end of {listed(named)}; codes that lose it are in no number of attributes."


def damage_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator, the kinds of known damage that raise the share, and those that do not."""
    for generator, rows in tables.lost_damage.groupby("generator", sort=False):
        zero = rows.loc[rows["damage"] == "", "value"].iloc[0]
        strongest = rows[rows["damage"] != ""].sort_values("strength").groupby("damage", sort=False).last()
        told = [f"{damage} to {significant(row['value'], 2)}" for damage, row in strongest.iterrows()]
        yield (
            f"The check: of unshifted images{tables.of(str(generator))}, the strongest damage raises the share from "
            f"{significant(zero, 2)} so far: {listed(told)}. What does not raise it goes unnoticed by this measure."
        )


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
            "on other codes, and thick ones of other codes. Hollow: controls. Dotted: unshifted images. Lower is "
            "better."
        )
        yield make_chart(tables.run, f"lost-{anchor(generator)}", figure, words, caption)


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
        views.whole("n", "n"),
    ]
    return make_table(tables.lost_damage, columns, "Unshifted images under known damage, ± one standard error.")
