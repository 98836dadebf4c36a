"""The plots: each takes rows of one table and returns a figure; none reads or writes files."""

import textwrap
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from navbench.report.drawing import (
    DASHES,
    INK,
    MUTED,
    Dash,
    colour,
    finish,
    known_first,
    label_edges,
    panels,
    styled,
)
from navbench.report.numbers import BAND, MINUS, SPACE, counts, metric_name, plain

TARGETS = {"z": "#3b6ea5", "w": "#5d9b76", "w+": "#8a6fb0", "activation": "#c2703d", "parameter": "#a3456b"}


def axis_name(rows: pd.DataFrame, width: int = 44) -> str:
    """What the axis of a metric says: its name, the reference and n, in lines that fit."""
    name = metric_name(rows["metric"].iloc[0], rows["extractor"].iloc[0])
    reference = " or ".join(sorted(set(rows["reference"])))
    lines = textwrap.wrap(plain(f"reference: {reference}, n{SPACE}={SPACE}{counts(rows['n'])}"), width)
    return "\n".join([plain(name), *lines])


@styled
def curves_by_effect(curves: pd.DataFrame) -> Figure:
    """A metric against the signed effect, a panel per layer, a colour per method: the equal footing."""
    places = list(curves["place"].unique())
    figure, grid = panels(len(places), 2, 3.3, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        rows = curves[curves["place"] == place]
        for line, dash in _lines(rows):
            line = line.assign(signed=np.sign(line["t"]) * line["effect"]).sort_values("signed")
            _band(axes, line["signed"], line, colour(line["method"].iloc[0]), dash)
        _floor(axes, rows)
        axes.set_title(plain(place))
    label_edges(grid, f"effect{_distance(curves)}, signed as t", axis_name(curves), numbers_inside=True)
    _method_legend(figure, curves["method"])
    return finish(figure)


@styled
def curves_by_shift(curves: pd.DataFrame) -> Figure:
    """A metric against the shift t, a panel per layer and method: each in its own units of t."""
    methods = known_first(curves["method"])
    present = set(zip(curves["where"], curves["method"], strict=True))
    sets = [(where, method) for where in curves["where"].unique() for method in methods if (where, method) in present]
    figure, grid = panels(len(sets), min(len(methods), 4), 2.4, sharey=True)
    for axes, (where, method) in zip(grid, sets, strict=True):
        rows = curves[(curves["where"] == where) & (curves["method"] == method)]
        for line, dash in _lines(rows):
            _band(axes, line["t"], line, colour(method), dash)
        _floor(axes, rows)
        axes.set_title(f"{plain(where)}, {plain(method)}")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _direction_legend(axes, rows, colour(method))
    label_edges(grid, "shift t", "", numbers_inside=True)
    figure.supylabel(axis_name(curves), fontsize=9, color=INK)
    return finish(figure)


@styled
def direction_curve(curve: pd.DataFrame) -> Figure:
    """One metric of one direction against t."""
    figure, (axes,) = panels(1, 1, 2.8)
    figure.set_figwidth(4.2)
    method = curve["method"].iloc[0]
    _band(axes, curve["t"], curve.sort_values("t"), colour(method), DASHES[0])
    _floor(axes, curve)
    axes.set_xlabel("shift t")
    axes.set_ylabel(axis_name(curve, 36))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return finish(figure)


@styled
def method_dots(methods: pd.DataFrame, column: str, axis: str, floor: float = float("nan")) -> Figure:
    """One number of every method with its 95 % band, a panel per layer."""
    places, order = list(methods["place"].unique()), known_first(methods["method"])
    figure, grid = panels(len(places), 2, 0.95 + 0.29 * len(order), sharex=True, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        for row in methods[methods["place"] == place].to_dict("records"):
            reach = BAND * np.nan_to_num(row.get(f"{column}_stderr", 0.0))
            axes.errorbar(
                row[column],
                order.index(row["method"]),
                xerr=reach,
                fmt="o",
                color=colour(row["method"]),
                capsize=3,
            )
        if np.isfinite(floor):
            axes.axvline(floor, color=MUTED, linestyle=":", linewidth=1.1)
        axes.set_yticks(range(len(order)), [plain(method) for method in order])
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.set_title(plain(place))
        axes.grid(axis="y", linewidth=0.7)
        axes.tick_params(axis="y", length=0)
    label_edges(grid, axis, "")
    return finish(figure)


@styled
def residual_bars(reproduction: pd.DataFrame) -> Figure:
    """What the best imitation leaves of each edit, by kind of target, a panel per layer; of several layers the best."""
    reproduction = best_of_kind(reproduction)
    places = list(reproduction["place"].unique())
    most = max(len(_edits(reproduction[reproduction["place"] == place])) for place in places)
    figure, grid = panels(len(places), 2, 0.95 + 0.36 * most, sharex=True)
    targets = _targets(reproduction)
    thick = 0.74 / len(targets)
    for axes, place in zip(grid, places, strict=True):
        rows = reproduction[reproduction["place"] == place]
        edits = _edits(rows)
        for step, target in enumerate(targets):
            part = rows[target_kinds(rows) == target]
            where = [edits.index(edit) + (step - (len(targets) - 1) / 2) * thick for edit in _edit(part)]
            error = BAND * part["residual_stderr"].fillna(0.0)
            axes.barh(where, part["residual"], thick * 0.9, color=targets[target])
            axes.errorbar(part["residual"], where, xerr=error, fmt="none", ecolor=INK, elinewidth=0.9)
        axes.axvline(1.0, color=MUTED, linestyle=":", linewidth=1.1)
        axes.set_yticks(range(len(edits)), edits)
        axes.set_ylim(len(edits) - 0.4, -0.6)
        axes.set_title(plain(place))
        axes.set_xlabel("residual: 0 perfect imitation, 1 none")
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelbottom=True)
    handles = [Line2D([], [], color=targets[target], linewidth=5, label=f"best {plain(target)}") for target in targets]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return finish(figure)


@styled
def residual_steps(steps: pd.DataFrame) -> Figure:
    """The residual on training codes as each imitation was sought, a panel per target."""
    targets = list(_targets(steps))
    figure, grid = panels(len(targets), 2, 2.9, sharey=True)
    for axes, target in zip(grid, targets, strict=True):
        rows = steps[target_kinds(steps) == target]
        for _, line in rows.groupby(["name", "t", "target"], sort=False):
            shade = colour(line["method"].iloc[0])
            axes.plot(line["step"], line["residual_train"], color=shade, linewidth=1.1, alpha=0.85)
        axes.axhline(1.0, color=MUTED, linestyle=":", linewidth=1.1)
        axes.set_ylim(bottom=0)
        axes.set_title(f"best {plain(target)}")
    label_edges(grid, "optimiser step", "residual on training codes", numbers_inside=True)
    _method_legend(figure, steps["method"])
    return finish(figure)


def _lines(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Dash]]:
    """The directions of some curves, each with its dash pattern: the place within its method."""
    for _, part in rows.groupby(["layer", "method"], sort=False):
        for place, (_, line) in enumerate(part.groupby("name", sort=False)):
            yield line.sort_values("t"), DASHES[place % len(DASHES)]


def _band(axes: Axes, x: pd.Series, line: pd.DataFrame, shade: str, dash: Dash) -> None:
    error = BAND * line["stderr"].fillna(0.0)
    axes.fill_between(x, line["value"] - error, line["value"] + error, color=shade, alpha=0.16, linewidth=0)
    axes.plot(x, line["value"], color=shade, linestyle=dash, marker="o", markersize=2.4)


def _floor(axes: Axes, rows: pd.DataFrame) -> None:
    floor = rows.loc[rows["t"] == 0, "value"].mean()
    if np.isfinite(floor):
        axes.axhline(floor, color=MUTED, linestyle=":", linewidth=1.1)
    axes.grid(axis="y", linewidth=0.6)


def _distance(rows: pd.DataFrame) -> str:
    names = sorted(set(rows["distance"]) - {""})
    return f" ({plain(', '.join(names))})" if names else ""


def _method_legend(figure: Figure, methods: pd.Series) -> None:
    order = known_first(methods)
    handles = [Line2D([], [], color=colour(name), label=plain(name)) for name in order]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 6))


def _direction_legend(axes: Axes, rows: pd.DataFrame, shade: str) -> None:
    handles = [
        Line2D([], [], color=shade, linestyle=dash, label=plain(line["direction"].iloc[0]))
        for line, dash in _lines(rows)
    ]
    if handles:
        axes.legend(handles=handles, loc="upper center", ncols=len(handles), handlelength=2.4)


def target_kinds(rows: pd.DataFrame) -> pd.Series:
    """The space that each imitation was sought in, without the layer's name: z, w, activation, parameter."""
    return rows["target"].str.split(" ").str[0]


def best_of_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """Of imitations of one edit in several layers, the one with the least residual; the column `kind` is new."""
    order = rows.assign(kind=target_kinds(rows)).sort_values("residual", kind="stable")
    return order.drop_duplicates(["name", "t", "kind"]).sort_index()


def _targets(rows: pd.DataFrame) -> dict[str, str]:
    """The target kinds of some rows and their colours, known ones first."""
    found = set(target_kinds(rows))
    return {kind: TARGETS.get(kind, MUTED) for kind in [*TARGETS, *sorted(found - set(TARGETS))] if kind in found}


def _edit(rows: pd.DataFrame) -> list[str]:
    """Each row's edit in a few words: method, direction, and the sign of t where both ends were imitated."""
    both = rows.groupby("name")["t"].nunique().max() > 1
    signs = np.where(rows["t"] > 0, " +", f" {MINUS}") if both else [""] * len(rows)
    return [
        plain(f"{method} {direction}{sign}")
        for method, direction, sign in zip(rows["method"], rows["direction"], signs, strict=True)
    ]


def _edits(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(_edit(rows)))
