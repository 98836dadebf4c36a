"""The plots of one run: which are drawn, with which captions, and words for who cannot see."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from navbench.files import write_atomically
from navbench.report import attribute_figures, figures
from navbench.report.claims import with_unit
from navbench.report.drawing import to_svg
from navbench.report.numbers import (
    SPACE,
    counts,
    listed,
    metric_name,
    plain,
    setting,
    short_direction,
    significant,
    span,
)
from navbench.report.pictures import (
    Picture,
    data_uri,
    example_image,
    heatmap_image,
    png,
    read_examples,
    read_heatmap,
    webp,
)
from navbench.report.tables import RunTables
from navbench.report.views import anchor, metric_names

_MOST_ROWS, _HEATMAP_QUALITY = 40, 85
_BAND = "Bands and bars are ± 1.96 standard errors"


@dataclass(frozen=True)
class Chart:
    """A plot on the page, and its caption."""

    picture: Picture
    caption: str


@dataclass(frozen=True)
class Heatmap:
    """Where one direction changes images: on a scale of its own, and on that of all of its generator."""

    own: Picture
    shared: Picture
    top: str
    shared_top: str
    examples: tuple[Picture, ...] = ()


def make_chart(run: Path, file: str, figure: Figure, alt: str, caption: str) -> Chart:
    """The figure as the page holds it; it is written into the run's folder as well, as `file`.svg."""
    svg = to_svg(figure).encode("utf-8")
    write_atomically(run / "figures" / f"{file}.svg", svg)
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    return Chart(
        Picture(data_uri(svg, "image/svg+xml"), width, height, plain(alt)),
        plain(caption).replace(" = ", f"{SPACE}={SPACE}"),
    )


def _curve_groups(curves: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The curves of each generator and metric: what to call the metric, a file name's end, the rows."""
    grouped = curves[curves["value"].notna()].groupby(["generator", "metric", "extractor"], sort=False)
    several = curves["generator"].nunique() > 1
    for (generator, metric, extractor), rows in grouped:
        of = f" of {generator}" if several else ""
        yield (
            f"{metric_name(str(metric), str(extractor))}{of}",
            anchor(f"{generator}-{metric}-{extractor}").lower(),
            rows,
        )


def effect_charts(tables: RunTables) -> list[Chart]:
    """Every distance against effect."""
    return _against_effect(tables, tables.curves)


def support_charts(tables: RunTables) -> list[Chart]:
    """Precision, recall, density and coverage against effect, of generators of which they say something."""
    return _against_effect(tables, tables.support[~tables.support["generator"].isin(_unsupported(tables))])


def support_sentences(tables: RunTables) -> list[str]:
    """Of which generators precision and recall say nothing, as not even unshifted images come near the reference."""
    return [
        f"Of {plain(name)} all four are 0 at every shift, t = 0 among them: none of its images lies within the "
        "reference, to the eyes of this extractor, so they say nothing of edits."
        for name in _unsupported(tables)
    ]


def _unsupported(tables: RunTables) -> list[str]:
    known = tables.support[tables.support["value"].notna()]
    return [str(name) for name, rows in known.groupby("generator", sort=False) if (rows["value"] == 0).all()]


def _against_effect(tables: RunTables, curves: pd.DataFrame) -> list[Chart]:
    charts = []
    for name, slug, rows in _curve_groups(curves):
        rows = rows[rows["effect"].notna()]
        if rows.empty:
            continue
        words = f"{name} against signed effect for {listed(rows['method'].unique())}: {_ends(rows)}."
        caption = (
            f"{name} against effect, the equal footing: one line per direction, a colour per method, "
            f"negative where t is. {_BAND}; the dotted line is t = 0. {_upper(setting(rows))}."
        )
        figure = figures.curves_by_effect(rows)
        charts.append(make_chart(tables.run, f"effect-{slug}", figure, words, caption))
    return charts


def shift_charts(tables: RunTables) -> list[Chart]:
    """Every metric against t."""
    charts = []
    for name, slug, rows in _curve_groups(tables.curves):
        words = f"{name} against t for {listed(rows['method'].unique())}: {_ends(rows)}."
        caption = (
            f"{name} against the shift t, in each method's own units (norms of t are not comparable between "
            f"methods). The legends number the directions. {_BAND}; the dotted line is t = 0. "
            f"{_upper(setting(rows))}."
        )
        charts.append(make_chart(tables.run, f"shift-{slug}", figures.curves_by_shift(rows), words, caption))
    return charts


def direction_charts(tables: RunTables) -> dict[str, Chart]:
    """The Fréchet distance of each direction against t, by name."""
    charts = {}
    curves = tables.curves[tables.curves["value"].notna() & tables.curves["metric"].isin(["FD", "FID"])]
    for name, rows in curves.groupby("name", sort=False):
        rows = rows[rows["extractor"] == rows["extractor"].iloc[0]]
        metric = metric_name(rows["metric"].iloc[0], rows["extractor"].iloc[0])
        words = f"{metric} of {name} against t: {_ends(rows)}."
        caption = f"{metric}; {setting(rows)}."
        figure = figures.direction_curve(rows)
        charts[str(name)] = make_chart(tables.run, f"curve-{anchor(str(name))}", figure, words, caption)
    return charts


def method_charts(tables: RunTables) -> list[Chart]:
    """The mean Fréchet distance of every method at equal effect, a plot per generator."""
    charts = []
    rows = tables.methods[tables.methods["fd_mean"].notna()]
    for generator, part in rows.groupby("generator", sort=False):
        name = metric_names(part)[0]
        floors = tables.curved.loc[tables.curved["generator"] == generator, "fd_floor"].dropna().unique()
        floor = float(floors[0]) if len(floors) == 1 else float("nan")
        figure = figures.method_dots(part, "fd_mean", figures.axis_name(part), floor)
        of = f" of {generator}" if tables.several_generators else ""
        targets = part["effect_target"].notna().any()
        at = f"at an effect of {span(part['effect_target'])}" if targets else "at the ends of their ranges"
        caption = (
            f"Mean {name} of each method's directions{of} with curves {at}. {_BAND} of sampling "
            f"images{'; the dotted line is t = 0' if np.isfinite(floor) else ''}. {_upper(setting(part))}."
        )
        words = f"{name} by method: " + "; ".join(
            f"{row['where']} {row['method']} {significant(row['fd_mean'])}" for row in part.to_dict("records")
        )
        charts.append(make_chart(tables.run, f"methods-{anchor(str(generator))}", figure, words, caption))
    return charts


def reproduction_charts(tables: RunTables) -> list[Chart]:
    """The residuals of imitations, and how they fell, per generator."""
    charts = []
    for generator, rows in _by_generator(tables.reproduction, "residual"):
        words = f"Residuals of imitations of {generator}'s edits: {span(rows['residual'])}."
        caption = (
            f"What the best imitation leaves of an edit, on held-out codes (n{SPACE}={SPACE}"
            f"{counts(rows['n'])}). {_BAND}; the dotted line is an imitation no better than doing nothing."
        )
        if rows.assign(kind=figures.target_kinds(rows)).duplicated(["name", "t", "kind"]).any():
            caption += " Where several layers were tried, the bar is of the best."
        figure = figures.residual_bars(rows)
        charts.append(make_chart(tables.run, f"residual-{anchor(generator)}", figure, words, caption))
    for generator, rows in _by_generator(tables.reproduction_steps, "residual_train"):
        words = f"Residuals on training codes over optimiser steps, for {generator}."
        trained = tables.reproduction.loc[tables.reproduction["generator"] == generator, "n_train"]
        caption = f"The residual on training codes (n{SPACE}={SPACE}{counts(trained)}) as imitations were sought."
        figure = figures.residual_steps(rows)
        charts.append(make_chart(tables.run, f"residual-steps-{anchor(generator)}", figure, words, caption))
    return charts


def movement_charts(tables: RunTables) -> list[Chart]:
    """What the directions of each generator do to the attributes."""
    charts = []
    for generator, rows in _by_generator(tables.attributes, "standardised"):
        directions, left = _worth_showing(tables, generator, rows)
        if directions.empty:
            continue
        changes = rows.drop_duplicates(["name", "attribute"]).pivot(
            index="name", columns="attribute", values="standardised"
        )
        changes = changes.loc[directions["name"], list(rows["attribute"].unique())]
        pure = directions[directions["verdict"] == "interpretable"]
        own = dict(zip(pure["name"], pure["attribute"], strict=True))
        names = {row["name"]: short_direction(row) for row in directions.to_dict("records")}
        words = f"What {len(changes)} directions of {generator} do to {len(changes.columns)} attributes, as colours."
        caption = (
            f"The change of each attribute of {generator} from end to end of each direction's range, in units of its "
            "spread over the data. A frame is around the attribute that an interpretable direction is one of"
            f"{f'; {left} more directions are in the tables' if left else ''}."
        )
        figure = attribute_figures.movement_matrix(changes, own, names)
        charts.append(make_chart(tables.run, f"attributes-{anchor(generator)}", figure, words, caption))
    return charts


def _worth_showing(tables: RunTables, generator: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The directions that are some attribute's, else those measured; by attribute; and how many are left."""
    directions = tables.directions[tables.directions["name"].isin(rows["name"])]
    judged = directions[directions["verdict"].isin(["interpretable", "entangled"])]
    chosen = judged if len(judged) else directions[directions["measured"]]
    order = {name: place for place, name in enumerate(rows["attribute"].unique())}
    ranked = chosen.sort_values(["verdict", "attribute_share"], ascending=[False, False], kind="stable")
    first = ranked.iloc[:_MOST_ROWS]
    first = first.assign(place_of=first["attribute"].map(order)).sort_values("place_of", kind="stable")
    return first, len(chosen) - len(first)


def matched_charts(tables: RunTables) -> list[Chart]:
    """Realism where each method's best direction changes one attribute by the same amount, a plot per generator."""
    charts = []
    frechet = tables.matched[tables.matched["metric"] != "KID"]
    for (generator, attribute, _), rows in frechet.groupby(["generator", "attribute", "target"], sort=False):
        rows = rows[rows["value"].notna()]
        if rows.empty:
            continue
        name = metric_name(rows["metric"].iloc[0], rows["extractor"].iloc[0])
        amount = with_unit(tables, str(generator), str(attribute), rows["target"].iloc[0])
        missed = int((~rows["is_reached"]).sum())
        caption = (
            f"{name} of {generator} where each set's best direction changes {attribute} by {amount}. {_BAND}. "
            f"{f'Hollow marks: ends that did not reach it ({missed}). ' if missed else ''}{_upper(setting(rows))}."
        )
        words = f"{name} at the same change of {attribute}: " + "; ".join(
            f"{short_direction(row)} {row['side']} {significant(row['value'])}" for row in rows.to_dict("records")
        )
        file = f"matched-{anchor(f'{generator}-{attribute}')}"
        charts.append(make_chart(tables.run, file, attribute_figures.matched_dots(rows), words, caption))
    return charts


def locality_charts(tables: RunTables) -> list[Chart]:
    """How local each direction is, as the area that holds half of the squared change."""
    charts = []
    area = tables.locality[tables.locality["metric"] == "area50"]
    for generator, rows in _by_generator(area, "value"):
        named = rows.rename(columns={"value": "area50", "stderr": "area50_stderr"})
        figure = figures.method_dots(named, "area50", "area50, a fraction of the image")
        words = f"area50 of {generator}'s directions, by method: {span(rows['value'])}."
        n = f"n{SPACE}={SPACE}{counts(rows['n'])} codes"
        caption = f"area50 of each direction (smaller is more local), {n}. {_BAND}."
        charts.append(make_chart(tables.run, f"area50-{anchor(generator)}", figure, words, caption))
    return charts


def heatmaps(tables: RunTables) -> dict[str, Heatmap]:
    """Where each direction changes images, by name, for the directions that have a heatmap."""
    paths = {name: tables.run / "figures" / f"heatmap-{name.replace('/', '-')}.npz" for name in tables.measured["name"]}
    arrays = {name: read_heatmap(path) for name, path in paths.items() if path.is_file()}
    tops: dict[str, float] = {}  # one scale per generator: what is much in one may be little in another
    for name, (heatmap, _) in arrays.items():
        generator = name.partition("/")[0]
        tops[generator] = max(tops.get(generator, 0.0), float(heatmap.max()))
    return {name: _heatmap(tables.run, name, *pair, tops[name.partition("/")[0]]) for name, pair in arrays.items()}


def _heatmap(run: Path, name: str, heatmap: np.ndarray, mean_image: np.ndarray, top: float) -> Heatmap:
    pictures = []
    for scale, most in (("own", heatmap.max()), ("shared", top)):
        image = heatmap_image(heatmap, mean_image, most)
        write_atomically(run / "figures" / f"heatmap-{anchor(name)}-{scale}.png", png(image))
        alt = plain(f"Where {name} changes images: heatmap over the mean image, brightest at {significant(most)}.")
        pictures.append(Picture(data_uri(webp(image, _HEATMAP_QUALITY), "image/webp"), *image.size, alt))
    own, shared = pictures
    examples = _examples(run / "figures" / f"heatmap-{name.replace('/', '-')}.npz", name)
    return Heatmap(own, shared, significant(heatmap.max(), 2), significant(top, 2), examples)


def _examples(path: Path, name: str) -> tuple[Picture, ...]:
    """Single images before and after, and where they changed."""
    pictures = []
    for (before, after), change in zip(*read_examples(path), strict=True):
        image = example_image(before, after, change)
        alt = plain(f"One image before and after {name}, and its squared change, averaged over t.")
        pictures.append(Picture(data_uri(webp(image, _HEATMAP_QUALITY), "image/webp"), *image.size, alt))
    return tuple(pictures)


def _by_generator(frame: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    for generator, rows in frame[frame[column].notna()].groupby("generator", sort=False):
        yield str(generator), rows


def _ends(rows: pd.DataFrame) -> str:
    floor = rows.loc[rows["t"] == 0, "value"]
    at_zero = f"{span(floor)} at t = 0, " if len(floor) else ""
    return f"{at_zero}up to {significant(rows['value'].max())}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
