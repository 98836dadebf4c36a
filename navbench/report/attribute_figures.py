"""The plots of attributes: what each direction moves, and methods where they move one attribute equally."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from navbench.report.drawing import INK, MUTED, colour, finish, known_first, label_edges, panels, styled
from navbench.report.figures import axis_name
from navbench.report.numbers import BAND, MINUS, SPACE, plain, significant

UP, DOWN = "#0173b2", "#de8f05"
_MARKS = {"+": "^", "-": "v"}
_STRONGEST, _WORTH_WRITING = 0.8, 0.5


@styled
def movement_matrix(changes: pd.DataFrame, own: dict[str, str], names: dict[str, str]) -> Figure:
    """The standardised change of every attribute (columns) by every direction (rows of `changes`).

    A cell's opacity is its size, so that it suits any background. `own` names the attribute that a direction was
    found to be one of, whose cell is framed; `names` gives the words for each direction.
    """
    values = changes.to_numpy(dtype=float)
    top = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    down, across = values.shape
    figure = Figure(figsize=(10.9, 1.25 + 0.2 * down), layout="constrained")
    axes = figure.subplots()
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            shade = to_rgba(UP if value > 0 else DOWN, _STRONGEST * abs(value) / top)
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=shade))
            if abs(value) > _WORTH_WRITING:
                text = f"{value:+.1f}".replace("-", MINUS)
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=INK)
    for row, name in enumerate(changes.index):
        if own.get(name) in changes.columns:
            column = list(changes.columns).index(own[name])
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.1))
    axes.set_xlim(-0.5, across - 0.5)
    axes.set_ylim(down - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(across), [plain(name) for name in changes.columns], rotation=35, ha="left", rotation_mode="anchor"
    )
    axes.set_yticks(range(down), [plain(names[name]) for name in changes.index], fontsize=8)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(across + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(down + 1) - 0.5, minor=True)
    axes.grid(which="minor", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    handles = [
        Patch(color=to_rgba(UP, _STRONGEST), label=f"increases, up to {significant(top, 2)} spreads"),
        Patch(color=to_rgba(DOWN, _STRONGEST), label="decreases"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    finish(figure)
    axes.spines[:].set_visible(False)
    return figure


@styled
def matched_dots(ends: pd.DataFrame) -> Figure:
    """A metric where each method changes the attribute by the same amount, up and down, a panel per layer.

    Hollow marks are of ends that did not reach the change.
    """
    places, order = list(ends["place"].unique()), known_first(ends["method"])
    figure, grid = panels(len(places), 2, 0.95 + 0.42 * len(order), sharex=True, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        for row in ends[ends["place"] == place].to_dict("records"):
            _end(axes, order.index(row["method"]), row)
        axes.set_yticks(range(len(order)), [plain(method) for method in order])
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.set_title(plain(place))
        axes.grid(axis="y", linewidth=0.7)
        axes.tick_params(axis="y", length=0)
    label_edges(grid, axis_name(ends), "")
    figure.legend(handles=_side_handles(ends), loc="outside upper left", ncols=3)
    return finish(figure)


def _end(axes: Axes, line: int, row: dict) -> None:
    shade = colour(row["method"])
    axes.errorbar(
        row["value"],
        line + (-0.2 if row["side"] == "+" else 0.2),
        xerr=BAND * np.nan_to_num(row["stderr"]),
        fmt=_MARKS.get(row["side"], "o"),
        color=shade,
        markerfacecolor=shade if row["is_reached"] else "none",
        markersize=5,
        capsize=2.5,
        alpha=1.0 if row["is_reached"] else 0.6,
    )


def _side_handles(ends: pd.DataFrame) -> list[Line2D]:
    words = {"+": f"more (+{SPACE}side)", "-": f"less ({MINUS}{SPACE}side)"}
    marks = [(_MARKS[side], MUTED, words[side]) for side in words]
    if not ends["is_reached"].all():
        marks.append(("o", "none", "target not reached"))
    return [
        Line2D([], [], linestyle="none", color=MUTED, markersize=5, marker=mark, markerfacecolor=face, label=label)
        for mark, face, label in marks
    ]
