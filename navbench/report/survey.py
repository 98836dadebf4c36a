"""What directions change in each layer: figures of depth, a table, and one strip per layer (Figure 20 of the paper)."""

from operator import itemgetter

import pandas as pd
from matplotlib.figure import Figure

from navbench.report import views
from navbench.report.charts import Chart, make_chart
from navbench.report.drawing import colour, finish, label_edges, panels, styled
from navbench.report.numbers import BAND, counts, listed, metric_name, plain, setting, significant
from navbench.report.tables import RunTables
from navbench.report.views import Cell, Column, Table, anchor, make_table

_SHARES = {"coarse": "#3b6ea5", "middle": "#c2703d", "fine": "#5d9b76"}


def survey_charts(tables: RunTables) -> list[Chart]:
    """Depth against everything that was measured, a figure per generator."""
    charts = []
    for generator, rows in _surveyed(tables).groupby("generator", sort=False):
        method, of = rows["survey_method"].iloc[0], f" of {generator}" if tables.several_generators else ""
        words = f"What {method} directions{of} change, by layer: " + "; ".join(
            f"{row['layer']} coarse {significant(row['coarse'], 2)}, geometry {significant(row['geometry'], 2)}"
            for row in rows.to_dict("records")
        )
        caption = (
            f"Means over the first {counts(rows['survey_directions'])} directions of {method} in each layer{of}, at "
            f"both ends of their ranges, n = {counts(rows['n_survey'])} codes; shallow layers are at the left. "
            f"{_cost_words(rows)}Bands are ± 1.96 standard errors of sampling codes."
        )
        charts.append(make_chart(tables.run, f"layers-{anchor(str(generator))}", _depth(rows), words, caption))
    return charts


def survey_table(tables: RunTables) -> Table | None:
    """One row per surveyed layer."""
    frame = _surveyed(tables)
    if frame.empty:
        return None
    fd = (
        plain(metric_name(*frame.loc[frame["metric"] != "", ["metric", "extractor"]].iloc[0])) if _costed(frame) else ""
    )
    columns = [
        *views.generator_column(frame),
        views.word("Layer", "layer"),
        views.word("Method", "survey_method"),
        *(views.measured(name, name, "Share of the change") for name in (*_SHARES, "geometry")),
        views.measured("area50", "area50"),
        views.whole("reached", "attributes_reached", "Attributes"),
        Column("which", lambda row: Cell(plain(row["attributes"])), ("attributes",), "Attributes"),
        views.measured(fd, "fd"),
        views.measured("Effect", "effect"),
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
    name = plain(metric_name(*rows[["metric", "extractor"]].iloc[0]))
    return f"{name} is of the first {counts(rows['fd_directions'])}; {setting(rows)}. "


def _surveyed(tables: RunTables) -> pd.DataFrame:
    return tables.layers[tables.layers["coarse"].notna()]


def _costed(frame: pd.DataFrame) -> bool:
    return bool(frame["fd"].notna().any())


@styled
def _depth(rows: pd.DataFrame) -> Figure:
    """Panels of numbers against the layer."""
    wanted = [("share of the change, by scale", tuple(_SHARES)), ("geometry, a share of the change", ("geometry",))]
    wanted += [("area50, a share of the image", ("area50",))]
    if rows["attributes_reached"].notna().any():
        wanted.append(("attributes reached", ("attributes_reached",)))
    if _costed(rows):
        first = rows[rows["metric"] != ""].iloc[0]
        wanted.append((plain(metric_name(first["metric"], first["extractor"])), ("fd",)))
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
        axes.set_xticks(list(places), [plain(layer) for layer in rows["layer"]], rotation=40, ha="right")
        axes.set_title(title)
        axes.grid(axis="y", linewidth=0.6)
    label_edges(grid, "", "", numbers_inside=True)
    for axes in grid:  # each has a scale of its own
        axes.tick_params(labelleft=True)
    return finish(figure)


def _footing(rows: pd.DataFrame, of: str) -> str:
    """Whether layers can be compared: at the same effect, and with directions found with the same settings."""
    effects, efforts = (rows[column].nunique(dropna=False) for column in ("survey_effect", "survey_settings"))
    effect = rows["survey_effect"].iloc[0]
    at = f"to the same effect, {significant(effect)}" if effects == 1 and pd.notna(effect) else "not to the same effect"
    found = "with the same settings" if efforts == 1 else "with different settings"
    return f"Directions{of} were found {found} in all its layers, and calibrated {at}."


def survey_sentences(tables: RunTables) -> list[str]:
    """What stands out with depth, per generator: where the change is coarsest, most of colour, and most local."""
    told = []
    for generator, rows in _surveyed(tables).groupby("generator", sort=False):
        if len(rows) < 2:
            continue
        of = f" of {plain(str(generator))}" if tables.several_generators else ""
        records = rows.to_dict("records")
        coarse, fine = (max(records, key=itemgetter(name)) for name in ("coarse", "fine"))
        colourful, local = (min(records, key=itemgetter(name)) for name in ("geometry", "area50"))
        told.append(_footing(rows, of))
        told.append(
            f"Changes{of} are coarsest in {plain(coarse['layer'])} (a share of {significant(coarse['coarse'], 2)} "
            f"up to 4 cycles) and finest in {plain(fine['layer'])} ({significant(fine['fine'], 2)} beyond 16); colour "
            f"has the largest part in {plain(colourful['layer'])} ({significant(1 - colourful['geometry'], 2)}); they "
            f"are most local in {plain(local['layer'])} (area50 {significant(local['area50'], 2)})."
        )
        bare = tables.layers[(tables.layers["generator"] == generator) & tables.layers["coarse"].isna()]
        if len(bare):
            told.append(f"Not surveyed{of}: {plain(listed(bare['layer']))}.")
    return told
