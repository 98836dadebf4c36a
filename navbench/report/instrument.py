"""Whether the distances of this run may be read: what they say of known damage, before they say anything of edits."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from navbench.report import views
from navbench.report.blocks import Block, Cell, Chart, Details, Words
from navbench.report.charts import BANDS, axis_name, band, make_chart
from navbench.report.drawing import DASHES, MUTED, finish, panels, styled
from navbench.report.numbers import counts, listed, metric_name, significant, span
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_table
from navbench.texts import escaped

_SHADE = "#3b6ea5"
_TOLD = 3
"""Reasons that a sentence gives."""


def blocks(page: Page) -> Iterator[Block]:
    """The verdict on each generator, its distances against the strength of damage, and every check."""
    tables = page.tables
    if tables.instrument.empty:
        return
    yield Words(" ".join(verdict_sentences(tables)))
    yield Words(
        "Images of the generator were damaged in known ways, each in growing strength. Distances that may be read rise "
        "with each damage, and well above the floor, which is what two samples of one distribution score; and images "
        "without damage overlap with the reference."
    )
    for generator, rows in tables.instrument.groupby("generator", sort=False):
        yield _chart(tables, str(generator), rows)
    yield Details("Every check", (_table(tables),))


def trusted(tables: RunTables, generator: str) -> bool:
    """Whether the generator's instrument failed no check; a run without checks has none that failed."""
    return bool(_of(tables, generator)["passed"].all())


def headline_tables(tables: RunTables) -> RunTables:
    """The tables that headlines are written from: what an instrument measured that fails is not in them."""
    failing = {name for name in tables.instrument["generator"].unique() if not trusted(tables, name)}

    methods, ranking = tables.methods, tables.ranking
    numbers = [str(name) for name in methods if str(name).startswith(("fd_", "kid_"))]
    is_failing = methods["generator"].isin(failing)
    methods = methods.assign(**{name: methods[name].mask(is_failing) for name in numbers})
    ranking = ranking[~(ranking["generator"].isin(failing) & (ranking["extractor"].fillna("") != ""))]
    claims = tables.claims[~tables.claims["generator"].isin(failing)]
    return tables.with_tables(methods=methods, ranking=ranking, claims=claims)


def refusals(tables: RunTables) -> Iterator[str]:
    """Of each generator whose instrument fails, that no headline is written of its realism, and why."""
    for generator, rows in tables.instrument.groupby("generator", sort=False):
        if not trusted(tables, str(generator)):
            yield f"{_failure(str(generator), rows)} No headline is written of the realism of its edits."


def unchecked(tables: RunTables) -> Iterator[str]:
    """Generators whose realism was measured by an instrument that was not checked."""
    measured = tables.methods.loc[tables.methods["kid_mean"].notna(), "generator"].unique()
    if names := [name for name in measured if name not in set(tables.instrument["generator"])]:
        yield f"The instrument was not checked on {listed(names)}, so its numbers are no better than it is."


def verdict_sentences(tables: RunTables) -> Iterator[str]:
    """Of each generator, whether its instrument may be read."""
    for generator, rows in tables.instrument.groupby("generator", sort=False):
        is_trusted = trusted(tables, str(generator))
        yield _success(str(generator), rows) if is_trusted else _failure(str(generator), rows)


def _of(tables: RunTables, generator: str) -> pd.DataFrame:
    return tables.instrument[tables.instrument["generator"] == generator]


def _which(generator: str, rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"{generator} ({first['extractor']} against {first['reference']}, n = {counts(rows['n'])})"


def _failure(generator: str, rows: pd.DataFrame) -> str:
    reasons = list(dict.fromkeys(rows.loc[~rows["passed"], "reason"]))
    more = f"; and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
    return f"The instrument fails on {_which(generator, rows)}: {'; '.join(reasons[:_TOLD])}{more}."


def _success(generator: str, rows: pd.DataFrame) -> str:
    shares = rows[rows["metric"].isin(("precision", "recall"))]
    at_zero = [f"{row['metric']} is {significant(row['value'], 2)}" for row in shares.to_dict("records")]
    told = f"; at t = 0, {listed(at_zero)}" if at_zero else ""
    frechet, floors = _frechet(rows), _floors(rows)
    strongest = frechet.loc[frechet.groupby("check")["strength"].idxmax(), "value"]
    metric = frechet["metric"].iloc[0]
    return (
        f"The instrument passes on {_which(generator, rows)}: every damage raises {metric} and KID steadily, at its "
        f"strongest to {span(strongest / floors[metric])} times the floor in {metric}{told}."
    )


def _damages(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of damage, which alone have a strength in some unit."""
    return rows[rows["unit"] != ""]


def _frechet(rows: pd.DataFrame) -> pd.DataFrame:
    damages = _damages(rows)
    return damages[damages["metric"] != "KID"]


def _floors(rows: pd.DataFrame) -> pd.Series:
    """By metric, the greatest number of two samples of one distribution."""
    damaged = set(_damages(rows)["metric"])
    bare = rows[(rows["unit"] == "") & rows["metric"].isin(damaged)]
    return bare.groupby("metric")["value"].max()


def _chart(tables: RunTables, generator: str, rows: pd.DataFrame) -> Chart:
    ends = _damages(rows).sort_values("strength").groupby(["metric", "check"], sort=False).last().reset_index()
    told = [f"{row['metric']} under {row['check']} {significant(row['value'])}" for row in ends.to_dict("records")]
    words = f"Distances of {generator} against damage; at the strongest, {', '.join(told)}."
    caption = (
        f"Distances{tables.of(generator)} under known damage in four steps, from none to the strongest, on a scale "
        f"that is linear below the floor and logarithmic above. {BANDS}; the dotted line is the floor."
    )
    return make_chart(tables.run, f"instrument-{anchor(generator)}", _figure(rows), words, caption)


@styled
def _figure(rows: pd.DataFrame) -> Figure:
    """A panel per metric, a line per damage."""
    damages, floors = _damages(rows), _floors(rows)
    metrics, kinds = list(damages["metric"].unique()), list(damages["check"].unique())
    dashes = {kind: DASHES[place % len(DASHES)] for place, kind in enumerate(kinds)}
    figure, grid = panels(len(metrics), 2, 2.6)
    for axes, metric in zip(grid, metrics, strict=True):
        of_metric = damages[damages["metric"] == metric]
        for kind, line in of_metric.groupby("check", sort=False):
            line = line.sort_values("strength")
            band(axes, pd.Series(np.arange(len(line))), line.reset_index(), _SHADE, dashes[str(kind)])
        floor = float(floors[metric])
        if floor > 0:
            axes.set_yscale("symlog", linthresh=floor)
            axes.axhline(floor, color=MUTED, linestyle=":", linewidth=1.1)
        axes.set_xticks(range(int(of_metric.groupby("check").size().max())))
        axes.set_xlabel("step of damage, 0 for none")
        axes.set_ylabel(axis_name(of_metric))
        axes.set_title(escaped(metric_name(metric, of_metric["extractor"].iloc[0])))
    handles = [Line2D([], [], color=_SHADE, linestyle=dash, label=escaped(kind)) for kind, dash in dashes.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=3)
    return finish(figure)


def _table(tables: RunTables) -> Block:
    columns = [
        views.word("Check", "check"),
        views.number("Strength", "strength"),
        views.word("In", "unit"),
        Column("Number", lambda row: Cell(metric_name(row["metric"], row["extractor"])), ("metric",)),
        views.measured("Value", "value", stderr="stderr"),
        views.whole("n", "n"),
        Column("Passed", lambda row: Cell("yes" if row["passed"] else "no")),
        views.word("Why not", "reason"),
    ]
    caption = (
        "Every check of the instrument, ± one standard error. A lower distance is closer; precision, recall, density "
        "and coverage are higher for images that overlap more."
    )
    return make_table(tables.instrument, columns, caption)
