"""What directions do to attributes, as a scorer reads them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from navbench.report.blocks import Block, Cell, Chart, Details, Table, Terms, Words
from navbench.report.bounds import bound_sentences, bound_tables
from navbench.report.charts import by_generator, make_chart, method_names
from navbench.report.drawing import INK, finish, known_first, styled
from navbench.report.numbers import MINUS, listed, method_name, short_direction, significant
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import (
    Row,
    anchor,
    make_matrix,
    make_table,
    method_column,
    number,
    permalink,
    place_column,
    whole,
)
from navbench.texts import escaped

UP, DOWN = "#0173b2", "#de8f05"
_STRONGEST, _WORTH_WRITING = 0.8, 0.5
_MOST_ROWS, _MOST_NAMED = 40, 4
_TERMS = {
    "Standardised change": "The mean change of an attribute from t min to t max, divided by its spread (standard "
    "deviation) over the data, so that attributes can be set side by side.",
    "Share": "The square of the mean size of an attribute’s standardised changes, over the sum of these squares for "
    "all attributes: 1 is a direction that moves nothing else, and two that move alike have a half each.",
    "Attribute dependency": "The mean size of the other attributes’ changes over that of the attribute that moves most "
    "(StyleSpace, Wu et al. 2021). Lower is purer.",
    "Consistency": "The size of the mean change over the mean size of the changes: 1 if all codes change to the same "
    "side, 0 if they change either way.",
    "Monotonicity": "The rank correlation of t and the attribute, in the mean over codes: ±1 if it always grows, or "
    "always falls, with t.",
    "Verdict": Markup(
        "<em>Interpretable</em>: one attribute has at least half of the squared change and moves twice as much as "
        "any other, for nearly all codes to the same side, and steadily in t. <em>Entangled</em>: an attribute "
        "moves, but not so. <em>None</em>: none moves much in the mean."
    ),
}


def blocks(page: Page) -> Iterator[Block]:
    """What was found, and what every direction moves."""
    tables = page.tables
    if tables.attributes.empty:
        return
    yield Words(" ".join(found_sentences(tables)))
    yield Words(" ".join(bound_sentences(tables)))
    yield from _movement_charts(tables)
    yield from _found_matrices(tables)
    yield from bound_tables(tables)
    yield _methods_found(tables)
    yield Details("The terms", (Terms(tuple(_TERMS.items())),))


def found_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator, of how many attributes a direction was found without a human, by which methods that compete."""
    rivals = " without labels" if tables.methods["is_labelled"].any() else ""
    tables = tables.contenders
    for generator, names in _attributes(tables):
        found = tables.found[tables.found["generator"] == generator]
        missing = [name for name in names if name not in set(found["attribute"])]
        rows = tables.methods[tables.methods["generator"] == generator]
        counts = found.groupby("method")["attribute"].nunique().reindex(known_first(rows["method"]), fill_value=0)
        counts = counts.sort_values(ascending=False, kind="stable")
        each = ", ".join(f"{method} {count}" for method, count in counts.items())
        by_method = f" ({each})" if each else ""
        yield (
            f"Directions{tables.of(generator)} that change one attribute and leave the others alone were found, "
            f"without a human, for {len(names) - len(missing)} of {len(names)} attributes{by_method}."
        )
        if 0 < len(missing) <= _MOST_NAMED:
            yield f"No method{rivals} found one for {listed(missing)}."


def _attributes(tables: RunTables) -> Iterator[tuple[str, list[str]]]:
    """Per generator that was looked at, its attributes in the order of the table."""
    for generator, rows in tables.attributes.groupby("generator", sort=False):
        yield str(generator), list(rows["attribute"].unique())


def _found_matrices(tables: RunTables) -> Iterator[Table]:
    """Per generator, which method's best direction is one of which attribute: Table 1 of the paper, without a human."""
    shown = set(tables.directions["name"])
    for generator, names in _attributes(tables):
        found, rows = (frame[frame["generator"] == generator] for frame in (tables.found, tables.methods))
        methods = known_first(rows["method"])
        heads = dict(zip(methods, method_names(rows, methods), strict=True))
        cells = {(row["attribute"], heads[row["method"]]): _found_cell(row, shown) for row in found.to_dict("records")}
        counts = found.groupby("method")["attribute"].nunique().reindex(methods, fill_value=0)
        totals = (Cell(f"Found, of {len(names)}"), *(Cell(str(count)) for count in counts))
        caption = (
            f"Which attributes{tables.of(generator)} each method found: where its best interpretable direction lies, "
            "that direction's number and the share of its change that falls on the attribute. The best of each "
            "attribute is bold and underlined; controls and methods that see labels take no part in that."
        )
        yield make_matrix(caption, "Attribute", names, list(heads.values()), cells, totals)


def _found_cell(row: Row, shown: set[str]) -> Cell:
    link = permalink(row["name"]) if row["name"] in shown else ""
    text = f"{row['where']}, no. {row['direction']} ({row['share']:.2f})".replace(" ", "\N{NO-BREAK SPACE}")
    return Cell(text.replace(",\N{NO-BREAK SPACE}", ", ", 1), link=link, strong=bool(row["best"]))


def _methods_found(tables: RunTables) -> Table:
    """Per set of directions, how many of them are directions of an attribute."""
    frame = tables.methods[tables.methods["attributes_found"].notna()]
    columns = [
        place_column(frame),
        method_column(),
        whole("Directions", "directions"),
        whole("Attributes found", "attributes_found"),
        whole("Interpretable", "interpretable"),
        whole("Entangled", "entangled"),
        number("Mean dependency", "dependency_mean"),
        number("Reconstructor accuracy", "accuracy"),
    ]
    caption = (
        "How many directions of each set are directions of an attribute; the mean dependency is over those that are "
        "interpretable or entangled (lower is purer): the mean change of the other attributes over that of the "
        "dominant one, where StyleSpace's attribute dependency is the former at a fixed change of the latter."
    )
    return make_table(frame, columns, caption)


def _movement_charts(tables: RunTables) -> Iterator[Chart]:
    """What the directions of each generator do to the attributes."""
    for generator, rows in by_generator(tables.attributes, "standardised"):
        directions, left = _worth_showing(tables, generator, rows)
        if directions.empty:
            continue
        changes = rows.drop_duplicates(["name", "attribute"]).pivot(
            index="name", columns="attribute", values="standardised"
        )
        changes = changes.loc[directions["name"], list(rows["attribute"].unique())]
        pure = directions[directions["verdict"] == "interpretable"]
        own = dict(zip(pure["name"], pure["attribute"], strict=True))
        names = {row["name"]: _marked(row) for row in directions.to_dict("records")}
        words = f"What {len(changes)} directions of {generator} do to {len(changes.columns)} attributes, as colours."
        caption = (
            f"The change of each attribute of {generator} from end to end of each direction's range, in units of its "
            "spread over the data. A frame is around the attribute that an interpretable direction is one of."
            f"{f' Of {left} more directions, with labels and of controls above all, tables tell.' if left else ''}"
        )
        figure = _movement_matrix(changes, own, names)
        yield make_chart(tables.run, f"attributes-{anchor(generator)}", figure, words, caption)


def _worth_showing(
    tables: RunTables, generator: str, rows: pd.DataFrame, most: int = _MOST_ROWS
) -> tuple[pd.DataFrame, int]:
    """The directions that are some attribute's, else those measured; by attribute; and how many are left.

    Where they are too many, those of methods that compete are first, then those with labels, then controls.
    """
    directions = tables.directions[tables.directions["name"].isin(rows["name"])]
    judged = directions[directions["verdict"].isin(["interpretable", "entangled"])]
    chosen = judged if len(judged) else directions[directions["measured"]]
    order = {name: place for place, name in enumerate(rows["attribute"].unique())}
    by = ["is_control", "is_labelled", "verdict", "attribute_share"]
    ranked = chosen.sort_values(by, ascending=[True, True, False, False], kind="stable")
    first = ranked.iloc[:most]
    first = first.assign(place_of=first["attribute"].map(order)).sort_values("place_of", kind="stable")
    return first, len(chosen) - len(first)


def _marked(row: Row) -> str:
    """A direction, and whether it is of a control or of labels."""
    return short_direction({**row, "method": method_name(row["method"], row["is_control"], row["is_labelled"])})


@styled
def _movement_matrix(changes: pd.DataFrame, own: dict[str, str], names: dict[str, str]) -> Figure:
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
        range(across), [escaped(name) for name in changes.columns], rotation=35, ha="left", rotation_mode="anchor"
    )
    axes.set_yticks(range(down), [escaped(names[name]) for name in changes.index], fontsize=8)
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
