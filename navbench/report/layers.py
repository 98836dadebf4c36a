"""What directions change in each layer, and how much of what methods span is the same (Figure 20 of the paper)."""

from collections.abc import Iterator
from operator import itemgetter

import pandas as pd
from matplotlib.figure import Figure

from navbench.metrics.estimate import BAND
from navbench.report.blocks import Block, Cell, Chart, Heading, Sheets, Table, Words
from navbench.report.charts import make_chart
from navbench.report.drawing import colour, finish, known_first, label_edges, panels, styled
from navbench.report.numbers import capital, counts, listed, setting, significant
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_matrix, make_table, measured, metric_names, whole, word
from navbench.texts import escaped

_SHARES = {"coarse": "#3b6ea5", "middle": "#c2703d", "fine": "#5d9b76"}


def blocks(page: Page) -> Iterator[Block]:
    """The survey, the layers themselves, and overlaps."""
    tables = page.tables
    if tables.layers.empty:
        return
    if len(_surveyed(tables)):
        yield Words(" ".join(["What directions of one method change in each layer.", *survey_sentences(tables)]))
        yield from survey_charts(tables)
        yield survey_table(tables)
        yield Sheets(page.sheets("layer"))
    yield _layers_table(tables)
    if overlaps := list(overlap_matrices(tables)):
        yield Heading("Do the methods find the same?")
        yield Words(
            "All directions of a method span a subspace of offsets. Of a row’s span, this share lies in a column’s: 1 "
            "is all of it, and two random spans share as little as chance says."
        )
        yield from overlaps


def _layers_table(tables: RunTables) -> Table:
    """One row per layer of each generator."""
    columns = [
        whole("Index", "index"),
        word("Layer", "layer"),
        word("Kernel", "shape"),
        whole("Parameters", "parameters"),
        whole("Input size", "input_size"),
        whole("Directions", "directions"),
    ]
    return make_table(tables.layers, columns, "The shiftable layers, in forward order; sizes in pixels.")


def survey_sentences(tables: RunTables) -> Iterator[str]:
    """What stands out with depth, per generator: where the change is coarsest, most of colour, and most local."""
    for generator, rows in _surveyed(tables).groupby("generator", sort=False):
        if len(rows) < 2:
            continue
        of, records = tables.of(generator), rows.to_dict("records")
        coarse, fine = (max(records, key=itemgetter(name)) for name in ("coarse", "fine"))
        colourful, local = (min(records, key=itemgetter(name)) for name in ("geometry", "area50"))
        yield _footing(rows, of)
        yield (
            f"Changes{of} are coarsest in {coarse['layer']} (a share of {significant(coarse['coarse'], 2)} "
            f"up to 4 cycles) and finest in {fine['layer']} ({significant(fine['fine'], 2)} beyond 16); colour "
            f"has the largest part in {colourful['layer']} ({significant(1 - colourful['geometry'], 2)}); they "
            f"are most local in {local['layer']} (area50 {significant(local['area50'], 2)})."
        )
        bare = tables.layers[(tables.layers["generator"] == generator) & tables.layers["coarse"].isna()]
        if len(bare):
            yield f"Not surveyed{of}: {listed(bare['layer'])}."


def _footing(rows: pd.DataFrame, of: str) -> str:
    """Whether layers can be compared: at the same effect, and with directions found with the same settings."""
    effects, efforts = (rows[column].nunique(dropna=False) for column in ("survey_effect", "survey_settings"))
    effect = rows["survey_effect"].iloc[0]
    at = f"to the same effect, {significant(effect)}" if effects == 1 and pd.notna(effect) else "not to the same effect"
    alike = [listed(part["layer"]) for _, part in rows.groupby("survey_settings", sort=False, dropna=False)]
    found = "the same settings in all its layers" if efforts == 1 else f"different settings in {'; in '.join(alike)}"
    return f"Directions{of} were found with {found}, and calibrated {at}."


def survey_table(tables: RunTables) -> Table:
    """One row per surveyed layer."""
    frame = _surveyed(tables)
    columns = [
        word("Layer", "layer"),
        word("Method", "survey_method"),
        *(measured(name, name, "Share of the change") for name in (*_SHARES, "geometry")),
        measured("area50", "area50"),
        whole("reached", "attributes_reached", "Attributes"),
        whole("directions read", "directions_read", "Attributes"),
        Column("which", lambda row: Cell(row["attributes"]), ("attributes",), "Attributes"),
        measured(metric_names(frame)[0], "fd"),
        measured("Effect", "effect"),
    ]
    caption = (
        "Coarse is up to 4 cycles per image side, fine beyond 16, by the Fourier transform of the change. Geometry is "
        "the share that is left when colours are matched by the histogram of each channel; the rest is colour. "
        f"{_cost_words(frame)}"
    )
    return make_table(frame, columns, caption)


def _cost_words(frame: pd.DataFrame) -> str:
    """What the Fréchet distances are of, as a sentence; '' where there are none."""
    rows = frame[frame["fd"].notna()]
    if rows.empty:
        return ""
    return f"{metric_names(rows)[0]} is of the first {counts(rows['fd_directions'])}; {setting(rows)}. "


def _surveyed(tables: RunTables) -> pd.DataFrame:
    return tables.layers[tables.layers["coarse"].notna()]


def survey_charts(tables: RunTables) -> Iterator[Chart]:
    """Depth against everything that was measured, a figure per generator."""
    for generator, rows in _surveyed(tables).groupby("generator", sort=False):
        method, of = rows["survey_method"].iloc[0], tables.of(generator)
        words = f"What {method} directions{of} change, by layer: " + "; ".join(
            f"{row['layer']} coarse {significant(row['coarse'], 2)}, geometry {significant(row['geometry'], 2)}"
            for row in rows.to_dict("records")
        )
        caption = (
            f"Means over the first {counts(rows['survey_directions'])} directions of {method} in each layer{of}, at "
            f"both ends of their ranges, n = {counts(rows['n_survey'])} codes; shallow layers are at the left. "
            f"{_cost_words(rows)}Bands are ± 1.96 standard errors of sampling codes."
        )
        yield make_chart(tables.run, f"layers-{anchor(str(generator))}", _depth(rows), words, caption)


@styled
def _depth(rows: pd.DataFrame) -> Figure:
    """Panels of numbers against the layer."""
    wanted = [("share of the change, by scale", tuple(_SHARES)), ("geometry, a share of the change", ("geometry",))]
    wanted += [("area50, a share of the image", ("area50",))]
    if rows["attributes_reached"].notna().any():
        wanted.append(("attributes reached", ("attributes_reached",)))
    if rows["fd"].notna().any():
        wanted.append((escaped(metric_names(rows)[0]), ("fd",)))
    figure, grid = panels(len(wanted), 2, 2.7)
    places = range(len(rows))
    for axes, (title, columns) in zip(grid, wanted, strict=True):
        for column in columns:
            shade = _SHARES.get(column, colour(rows["survey_method"].iloc[0]))
            axes.plot(places, rows[column], color=shade, marker="o", markersize=3.2, label=column)
            if f"{column}_stderr" in rows:
                error = BAND * rows[f"{column}_stderr"].fillna(0.0)
                axes.fill_between(
                    places, rows[column] - error, rows[column] + error, color=shade, alpha=0.16, linewidth=0
                )
        if len(columns) > 1:
            axes.legend(loc="best", ncols=len(columns))
        axes.set_ylim(bottom=0)
        axes.set_xticks(list(places), [escaped(layer) for layer in rows["layer"]], rotation=40, ha="right")
        axes.set_title(title)
        axes.grid(axis="y", linewidth=0.6)
    label_edges(grid, "", "", numbers_inside=True)
    for axes in grid:  # each has a scale of its own
        axes.tick_params(labelleft=True)
    return finish(figure)


def overlap_matrices(tables: RunTables) -> Iterator[Table]:
    """A table per layer or latent space of which there are several methods' sets."""
    for (generator, place), rows in tables.overlap.groupby(["generator", "place"], sort=False):
        methods, chances = known_first(rows["method"]), sorted({significant(value, 2) for value in rows["chance"]})
        caption = (
            f"{capital(str(place))}{tables.of(generator)}: the share of a row's span that lies in a column's. By "
            f"chance it would be {' or '.join(chances)}."
        )
        cells = {
            (row["method"], row["other"]): Cell(significant(row["share"], 2), row["share"])
            for row in rows.to_dict("records")
        }
        yield make_matrix(caption, "Method", methods, methods, cells)
