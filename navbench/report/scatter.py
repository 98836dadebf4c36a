"""Every direction as a point: what it changes, and how purely, against what it costs in realism."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from navbench.report.blocks import Chart
from navbench.report.charts import by_generator, make_chart, method_legend
from navbench.report.drawing import colour, finish, known_first, panels, styled
from navbench.report.numbers import capital, setting
from navbench.report.reach import with_equal_kid
from navbench.report.tables import RunTables
from navbench.report.views import anchor, metric_names


def scatter_charts(tables: RunTables) -> Iterator[Chart]:
    """Per generator, effect and attribute share against KID."""
    purity = with_equal_kid(tables)
    ends = tables.ends[tables.ends["metric"] == "KID"]
    for generator, points in by_generator(ends, "value"):
        shares = purity[
            (purity["generator"] == generator) & purity[["attribute_share", "kid_equal"]].notna().all(axis=1)
        ]
        _, name = metric_names(points)
        words = f"{name} of the {points['name'].nunique()} directions of {generator} against effect"
        caption = (
            f"Every direction{tables.of(generator)} at both ends: effect against {name} ↓. "
            + ("Beside it, the share of the squared change that falls on one attribute ↑ against the KID at equal "
               "effect ↓: bottom right is best. " if len(shares) else "")
            + f"{capital(setting(points))}."
        )  # fmt: skip
        figure = _scatter(points, shares)
        yield make_chart(tables.run, f"scatter-{anchor(generator)}", figure, f"{words}.", caption)


@styled
def _scatter(points: pd.DataFrame, shares: pd.DataFrame) -> Figure:
    figure, grid = panels(2 if len(shares) else 1, 2, 3.4)
    _points(grid[0], points, "effect", "value")
    grid[0].set_xlabel("effect at an end of the range")
    grid[0].set_ylabel("KID ↓")
    if len(shares):
        _points(grid[1], shares, "attribute_share", "kid_equal")
        grid[1].set_xlabel("attribute share ↑")
        grid[1].set_ylabel("KID at equal effect ↓")
    method_legend(figure, points)
    return finish(figure)


def _points(axes: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    """A mark per row, hollow for controls."""
    for method in known_first(rows["method"]):
        part = rows[rows["method"] == method]
        shade, is_control = colour(method), bool(part["is_control"].iloc[0])
        face = "none" if is_control else shade
        axes.plot(part[x], part[y], "o", color=shade, markerfacecolor=face, markersize=3.2, alpha=0.6, linestyle="none")
