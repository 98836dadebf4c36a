"""Where images change: how local each direction is, heatmaps on one scale, and shares by region."""

from collections.abc import Iterator
from itertools import groupby

from navbench.report.blocks import Block, Cell, Chart, Figure, Gallery, Table
from navbench.report.charts import BANDS, by_generator, make_chart, method_dots
from navbench.report.numbers import SPACE, counts, listed, short_direction, significant, span
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import anchor, make_table, measured, permalink, who_columns, widened


def blocks(page: Page) -> Iterator[Block]:
    """Areas, heatmaps and regions; nothing without the first two."""
    shown = [*_locality_charts(page.tables), *_galleries(page), *_examples(page)]
    yield from shown
    yield from region_tables(page.tables) if shown else ()


def _locality_charts(tables: RunTables) -> Iterator[Chart]:
    """How local each direction is, as the area that holds half of the squared change."""
    for generator, rows in by_generator(tables.locality[tables.locality["metric"] == "area50"], "value"):
        figure = method_dots(rows, "value", "stderr", "area50, a fraction of the image")
        words = f"area50 of {generator}'s directions, by method: {span(rows['value'])}."
        n = f"n{SPACE}={SPACE}{counts(rows['n'])} codes"
        caption = f"area50 of each direction (smaller is more local), {n}. {BANDS}."
        yield make_chart(tables.run, f"area50-{anchor(generator)}", figure, words, caption)


def _galleries(page: Page) -> Iterator[Gallery]:
    """The heatmaps of each generator, which is a scale of its own."""
    shown = [row for row in page.tables.measured.to_dict("records") if row["name"] in page.heatmaps]
    groups = [list(rows) for _, rows in groupby(shown, key=lambda row: row["generator"])]
    caption = (
        "Mean squared change of each pixel over the range of t, summed over channels (images in [−1, 1]), over the "
        f"mean image. One scale for all{' of a generator' if len(groups) > 1 else ''}."
    )
    for rows in groups:
        maps = [page.heatmaps[row["name"]] for row in rows]
        cells = [
            Cell(short_direction(row), link=permalink(row["name"]), picture=heatmap.shared)
            for row, heatmap in zip(rows, maps, strict=True)
        ]
        yield Gallery(tuple(cells), maps[0].shared_top, caption)


def _examples(page: Page) -> Iterator[Figure]:
    """Single images of each direction, before and after, and where they changed."""
    for name, heatmap in page.heatmaps.items():
        caption = f"{name}: single images, unshifted, at t max, and the squared change averaged over t."
        yield Figure(heatmap.examples, caption, "examples")


def region_tables(tables: RunTables) -> Iterator[Table]:
    """A table per generator whose images were segmented: the share of each direction's change on each region."""
    labels = tables.directions.set_index("name")["auto_label"]
    for generator, rows in tables.regions.groupby("generator", sort=False):
        frame = widened(rows, "region", "share", "share_stderr")
        frame = frame.assign(auto_label=labels.reindex(frame.index).fillna(""))
        areas = rows.groupby("region", sort=False)["area"].mean()
        columns = [*who_columns(tables, frame, labelled=True), *(measured(region, region) for region in areas.index)]
        parts = listed(f"{region} {significant(area, 2)}" for region, area in areas.items())
        caption = (
            f"The share of the squared change{tables.of(generator)} that lies on each part, ± one standard error. Of "
            f"the unshifted images the parts take {parts}. Click a heading to sort."
        )
        yield make_table(frame, columns, caption)
