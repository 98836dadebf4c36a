"""The kit of charts: a figure on the page and in the run's folder, and the plots that several sections draw."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from navbench.files import write_atomically
from navbench.metrics.estimate import BAND
from navbench.report.blocks import Chart, Picture
from navbench.report.drawing import DASHES, MUTED, colour, finish, known_first, label_edges, panels, styled, to_svg
from navbench.report.numbers import SPACE, counts, method_name, metric_name
from navbench.report.pictures import data_uri
from navbench.texts import escaped

_NARROW = 8.0
"""Inches up to which a figure has a single panel in a row."""
BANDS = "Bands and bars are ± 1.96 standard errors"


def make_chart(run: Path, file: str, figure: Figure, alt: str, caption: str) -> Chart:
    """The figure as the page holds it; it is written into the run's folder as well, as `file`.svg."""
    svg = to_svg(figure).encode("utf-8")
    write_atomically(run / "figures" / f"{file}.svg", svg)
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    picture = Picture(data_uri(svg, "image/svg+xml"), width, height, alt)
    return Chart(picture, caption.replace(" = ", f"{SPACE}={SPACE}"))


def by_generator(frame: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows that have a number, of each generator."""
    for generator, rows in frame[frame[column].notna()].groupby("generator", sort=False):
        yield str(generator), rows


def axis_name(rows: pd.DataFrame, width: int = 44) -> str:
    """What the axis of a metric says: its name, the reference and n, in lines that fit."""
    name = metric_name(rows["metric"].iloc[0], rows["extractor"].iloc[0])
    reference = " or ".join(sorted(set(rows["reference"])))
    lines = textwrap.wrap(escaped(f"reference: {reference}, n{SPACE}={SPACE}{counts(rows['n'])}"), width)
    return "\n".join([escaped(name), *lines])


@styled
def direction_curve(curve: pd.DataFrame) -> Figure:
    """One metric of one direction against t."""
    figure, (axes,) = panels(1, 1, 2.8)
    figure.set_figwidth(4.2)
    curve = curve.sort_values("t")
    band(axes, curve["t"], curve, colour(curve["method"].iloc[0]), DASHES[0])
    floor(axes, curve)
    axes.set_xlabel("shift t")
    axes.set_ylabel(axis_name(curve, 36))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return finish(figure)


@styled
def method_dots(rows: pd.DataFrame, column: str, stderr: str, axis: str) -> Figure:
    """One number of every method with its 95 % band, a panel per layer.

    Controls have hollow marks.
    """
    places, order = list(rows["place"].unique()), known_first(rows["method"])
    figure, grid = panels(len(places), 2, 0.95 + 0.29 * len(order), sharex=True, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        for row in rows[rows["place"] == place].to_dict("records"):
            line, reach = order.index(row["method"]), BAND * np.nan_to_num(row[stderr])
            shade = colour(row["method"])
            face = "none" if row["is_control"] else shade
            axes.errorbar(row[column], line, xerr=reach, fmt="o", color=shade, markerfacecolor=face, capsize=3)
        name_methods(axes, method_names(rows, order), place)
    label_edges(grid, axis, "")
    return finish(figure)


@styled
def method_spread(rows: pd.DataFrame, points: pd.DataFrame, column: str, axis: str, at_zero: float) -> Figure:
    """One number of every direction as a small point, and of every method its mean, a panel per layer.

    The thin bar is the 95 % band of other directions on other codes, the thick one that of other codes alone.

    Args:
        rows: of the table of methods, with the mean in `column` and its errors beside it.
        points: of the table `equal`, of the same number.
        column: of the mean.
        axis: the name of the axis.
        at_zero: the number of unshifted images; NaN if unknown.
    """
    places, order = list(rows["place"].unique()), known_first(rows["method"])
    figure, grid = panels(len(places), 2, 0.95 + 0.29 * len(order), sharex=True, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        for row in rows[rows["place"] == place].to_dict("records"):
            line, shade, mean = order.index(row["method"]), colour(row["method"]), row[column]
            own = points[(points["place"] == place) & (points["method"] == row["method"])]["value"].dropna()
            axes.plot(own, [line + 0.22] * len(own), "o", color=shade, markersize=2.2, alpha=0.45, markeredgewidth=0)
            for level, width in (("", 1.1), ("_codes", 3.0)):
                reach = BAND * np.nan_to_num(row[f"{column}_stderr{level}"])
                face = "none" if row["is_control"] else shade
                axes.errorbar(
                    mean, line, xerr=reach, fmt="o", color=shade, markerfacecolor=face, elinewidth=width, capsize=0,
                    markersize=4.5,
                )  # fmt: skip
        if np.isfinite(at_zero):
            axes.axvline(at_zero, color=MUTED, linestyle=":", linewidth=1.1)
        name_methods(axes, method_names(rows, order), place)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    label_edges(grid, axis, "")
    return finish(figure)


def name_methods(axes: Axes, names: list[str], title: str) -> None:
    """Methods from the top down at the left of a panel."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_title(escaped(title))
    axes.grid(axis="y", linewidth=0.7)
    axes.tick_params(axis="y", length=0)


def band(axes: Axes, x: pd.Series, line: pd.DataFrame, shade: str, dash: tuple, label: str | None = None) -> None:
    """Values along x with their 95 % band."""
    error = BAND * line["stderr"].fillna(0.0)
    axes.fill_between(x, line["value"] - error, line["value"] + error, color=shade, alpha=0.16, linewidth=0)
    axes.plot(x, line["value"], color=shade, linestyle=dash, marker="o", markersize=2.4, label=label)


def floor(axes: Axes, rows: pd.DataFrame) -> None:
    """A line at what unshifted images score."""
    at_zero = rows.loc[rows["t"] == 0, "value"].mean()
    if np.isfinite(at_zero):
        axes.axhline(at_zero, color=MUTED, linestyle=":", linewidth=1.1)
    axes.grid(axis="y", linewidth=0.6)


def method_names(rows: pd.DataFrame, order: list[str]) -> list[str]:
    """What a figure calls some methods of a table, in this order: controls as such, and those that see labels."""
    controls, labelled = (set(rows.loc[rows[flag], "method"]) for flag in ("is_control", "is_labelled"))
    return [escaped(method_name(method, method in controls, method in labelled)) for method in order]


def method_legend(figure: Figure, rows: pd.DataFrame) -> None:
    """The colours of a table's methods above a figure."""
    order = known_first(rows["method"])
    names = zip(order, method_names(rows, order), strict=True)
    handles = [Line2D([], [], color=colour(method), label=name) for method, name in names]
    across = 6 if figure.get_figwidth() > _NARROW else 3
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), across))
