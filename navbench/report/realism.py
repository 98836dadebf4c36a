"""Realism along the shift: every distance against effect and t, what is lost, and which end costs more."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from navbench.report import views
from navbench.report.blocks import Block, Cell, Chart, Details, Heading, Table, Words
from navbench.report.charts import BANDS, axis_name, band, floor, make_chart, method_legend
from navbench.report.drawing import DASHES, INK, Dash, colour, finish, known_first, label_edges, panels, styled
from navbench.report.numbers import capital, counts, listed, metric_name, setting, significant, span
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_table
from navbench.texts import escaped

_ENDS = {"t_min": "t min", "t_max": "t max"}
_UNEQUAL = 0.1


def blocks(page: Page) -> Iterator[Block]:
    """Curves, what is lost with them, and both ends of each direction."""
    tables = page.tables
    curves = [*_against_effect(tables, tables.curves), *_against_shift(tables)]
    if not curves:
        return
    yield Words(
        "At equal effect, a curve that stays lower keeps realism better. A curve whose sides differ is an edit that "
        "the generator bears in one direction only."
    )
    yield from curves
    yield from _lost(tables)
    if len(tables.asymmetry):
        yield Heading("Which end costs more")
        yield from map(Words, asymmetry_sentences(tables))
        yield Details("Both ends of each direction", (asymmetry_table(tables),))


def _curve_groups(curves: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The curves of each generator and metric: what to call the metric, a file name's end, the rows."""
    known = curves[curves["value"].notna()]
    known = known.sort_values("metric", key=lambda metrics: metrics != "KID", kind="stable")  # what methods go by
    grouped = known.groupby(["metric", "extractor", "generator"], sort=False)
    several = curves["generator"].nunique() > 1
    for (metric, extractor, generator), rows in grouped:
        of = f" of {generator}" if several else ""
        slug = anchor(f"{generator}-{metric}-{extractor}").lower()
        yield f"{metric_name(str(metric), str(extractor))}{of}", slug, rows


def _against_effect(tables: RunTables, curves: pd.DataFrame) -> Iterator[Chart]:
    """Every number against effect."""
    for name, slug, rows in _curve_groups(curves[curves["effect"].notna()]):
        words = f"{name} against signed effect for {listed(rows['method'].unique())}: {ends(rows)}."
        caption = (
            f"{name} against effect, the equal footing: one line per direction, a colour per method, "
            f"negative where t is. {BANDS}; the dotted line is t = 0. {capital(setting(rows))}."
        )
        yield make_chart(tables.run, f"effect-{slug}", _curves_by_effect(rows), words, caption)


def _against_shift(tables: RunTables) -> Iterator[Chart]:
    """Every distance against t."""
    for name, slug, rows in _curve_groups(tables.curves):
        words = f"{name} against t for {listed(rows['method'].unique())}: {ends(rows)}."
        caption = (
            f"{name} against the shift t, in each method's own units (norms of t are not comparable between "
            f"methods). The legends number the directions. {BANDS}; the dotted line is t = 0. "
            f"{capital(setting(rows))}."
        )
        yield make_chart(tables.run, f"shift-{slug}", _curves_by_shift(rows), words, caption)


def ends(rows: pd.DataFrame) -> str:
    """What a curve is at t = 0 and at most, in words."""
    at_zero = rows.loc[rows["t"] == 0, "value"]
    return f"{f'{span(at_zero)} at t = 0, ' if len(at_zero) else ''}up to {significant(rows['value'].max())}"


@styled
def _curves_by_effect(curves: pd.DataFrame) -> Figure:
    """A metric against the signed effect, a panel per layer, a colour per method: the equal footing."""
    places = list(curves["place"].unique())
    figure, grid = panels(len(places), 2, 3.3, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        rows = curves[curves["place"] == place]
        for line, dash in _lines(rows):
            line = line.assign(signed=np.sign(line["t"]) * line["effect"]).sort_values("signed")
            band(axes, line["signed"], line, colour(line["method"].iloc[0]), dash)
        floor(axes, rows)
        axes.set_title(escaped(place))
    distances = escaped(", ".join(sorted(set(curves["distance"]) - {""})))
    label_edges(
        grid, f"effect{f' ({distances})' if distances else ''}, signed as t", axis_name(curves), numbers_inside=True
    )
    method_legend(figure, curves)
    return finish(figure)


@styled
def _curves_by_shift(curves: pd.DataFrame) -> Figure:
    """A metric against the shift t, a panel per layer and method: each in its own units of t."""
    methods = known_first(curves["method"])
    present = set(zip(curves["where"], curves["method"], strict=True))
    sets = [(where, method) for where in curves["where"].unique() for method in methods if (where, method) in present]
    figure, grid = panels(len(sets), min(len(methods), 4), 2.4, sharey=True)
    for axes, (where, method) in zip(grid, sets, strict=True):
        rows = curves[(curves["where"] == where) & (curves["method"] == method)]
        for line, dash in _lines(rows):
            band(axes, line["t"], line, colour(method), dash)
        floor(axes, rows)
        axes.set_title(f"{escaped(where)}, {escaped(method)}")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _direction_legend(axes, rows, colour(method))
    label_edges(grid, "shift t", "", numbers_inside=True)
    figure.supylabel(axis_name(curves), fontsize=9, color=INK)
    return finish(figure)


def _lines(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Dash]]:
    """The directions of some curves, each with its dash pattern: the place within its method."""
    for _, part in rows.groupby(["layer", "method"], sort=False):
        for place, (_, line) in enumerate(part.groupby("name", sort=False)):
            yield line.sort_values("t"), DASHES[place % len(DASHES)]


def _direction_legend(axes: Axes, rows: pd.DataFrame, shade: str) -> None:
    handles = [
        Line2D([], [], color=shade, linestyle=dash, label=escaped(line["direction"].iloc[0]))
        for line, dash in _lines(rows)
    ]
    if handles:
        axes.legend(handles=handles, loc="upper center", ncols=len(handles), handlelength=2.4)


def _lost(tables: RunTables) -> Iterator[Block]:
    """Precision, recall, density and coverage against effect, of generators of which they say something."""
    known = tables.prdc[tables.prdc["value"].notna()]
    silent = [str(name) for name, rows in known.groupby("generator", sort=False) if (rows["value"] == 0).all()]
    charts = tuple(_against_effect(tables, tables.prdc[~tables.prdc["generator"].isin(silent)]))
    if not charts and not silent:
        return
    yield Heading("What is lost: quality or variety")
    yield Words(
        "Precision is the share of edited images that lie within the reference, recall the share of the reference that "
        "edited images still reach; density and coverage are the same two, less moved by outliers. All depend on n "
        f"and on the number of nearest neighbours, here {counts(tables.prdc['neighbours'])}: as their authors have it, "
        "3 of precision and recall, and 5 of density and coverage."
    )
    for name in silent:
        yield Words(
            f"Of {name} all four are 0 at every shift, t = 0 among them: none of its images lies within the "
            "reference, according to this extractor, so they say nothing of edits."
        )
    yield Details("Precision, recall, density and coverage against effect", charts)


def asymmetry_sentences(tables: RunTables) -> Iterator[str]:
    """How many directions cost more at one end, and in how many of those that end is the rarer one, per generator."""
    for generator, rows in tables.asymmetry.groupby("generator", sort=False):
        effects = rows[["effect_min", "effect_max"]]
        even = rows[effects.max(axis=1) - effects.min(axis=1) <= _UNEQUAL * effects.max(axis=1)]
        sided = even[even["costlier_end"] != ""]
        words = (
            f"Of {len(even)} directions{tables.of(generator)} whose ends have the same effect within {_UNEQUAL:.0%}, "
            f"{len(sided)} cost more realism at one end than at the other (significant, Holm over all tests of the "
            "run, 5 %)."
        )
        if left := len(rows) - len(even):
            words += f" {left} more have ends of unequal effects."
        known = sided[sided["rarer_end"] != ""]
        if len(known):
            agree = int((known["costlier_end"] == known["rarer_end"]).sum())
            words += (
                f" Of {len(known)} of them, the reference has fewer images beyond one end than beyond the other, and "
                f"that end is the costlier in {agree}; the paper's explanation is that what data lack looks wrong."
            )
        yield words


def asymmetry_table(tables: RunTables) -> Table:
    """One row per direction with a curve."""
    frame = tables.asymmetry
    columns = [
        *views.who_columns(tables, frame),
        views.measured("t max less t min", "difference", stderr="stderr"),
        Column("Costlier end", lambda row: Cell(_ENDS.get(row["costlier_end"], "")), ("costlier_end",)),
        views.word("Attribute", "attribute"),
        views.number("at t min", "fraction_beyond_min", "Share of the reference beyond it", 2),
        views.number("at t max", "fraction_beyond_max", "Share of the reference beyond it", 2),
        Column("Rarer end", lambda row: Cell(_ENDS.get(row["rarer_end"], "")), ("rarer_end",)),
    ]
    caption = (
        f"{views.metric_names(frame)[0]} at t max less that at t min, paired on the codes, ± one standard error; and "
        "how much of the reference is further out, in the attribute that the direction moves most, than its images at "
        "either end."
    )
    return make_table(frame, columns, caption + views.measured_with(frame))
