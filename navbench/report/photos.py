"""Real images: how well they were projected, and what edits did to them (Figures 9 and 10 of the paper)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from navbench.report.blocks import Block, Cell, Sheets, Table, Words
from navbench.report.numbers import listed, significant
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, Row, make_table, measured, number, who_columns, whole, word


def blocks(page: Page) -> Iterator[Block]:
    """Projections, what directions move on photos, and sheets."""
    tables = page.tables
    if tables.projection.empty:
        return
    opening = "Photos, projected into the generator’s space and edited there."
    yield Words(" ".join([opening, *photo_sentences(tables)]))
    yield projection_table(tables)
    if table := photo_moves(tables):
        yield table
    yield Sheets(page.sheets("photos"))


def projection_table(tables: RunTables) -> Table:
    """One row per photo and space."""
    frame = tables.projection
    columns = [
        word("Photo", "photo"),
        Column("Into", lambda row: Cell(" ".join(filter(None, (row["space"], row["layer"]))))),
        whole("Steps", "steps"),
        number("before", "perceptual_start", "Perceptual distance"),
        number("after", "perceptual", "Perceptual distance"),
        number("PSNR (dB)", "psnr_db"),
        number("Seconds", "seconds"),
    ]
    names = listed(sorted(set(frame["distance"])))
    both = frame.loc[frame["pixel_weight"] > 0, "space"].unique()
    caption = f"Photos, projected by minimising {names}"
    caption += f", and in {listed(both)} the squared difference of pixels as well" if len(both) else ""
    return make_table(frame, columns, f"{caption}; seconds are each one's part.")


def photo_sentences(tables: RunTables) -> Iterator[str]:
    """How far the attributes of projections are from the truth, and whether edits move photos as they move codes."""
    frame = tables.photo_attributes
    for (generator, space), rows in frame.groupby(["generator", "projected_into"], sort=False):
        known = rows[(rows["t"] == 0) & rows["true_value"].notna()].drop_duplicates(["photo", "attribute"])
        if known.empty:
            continue
        errors = [
            f"{attribute} {significant(part['error'].abs().mean(), 2)} {part['unit'].iloc[0]}".strip()
            for attribute, part in known.groupby("attribute", sort=False)
        ]
        yield (
            f"The true attributes of {known['photo'].nunique()} photos of {generator} are known. What "
            f"their projections into {space} show is off by, in the mean: {listed(errors)}."
        )


def photo_moves(tables: RunTables) -> Table | None:
    """What each direction does to its attribute: on photos, beside what it does to the generator's own images."""
    frame = _moves(tables)
    if frame.empty:
        return None
    columns = [
        *who_columns(tables, frame),
        word("Attribute", "attribute"),
        word("Unit", "unit"),
        word("Into", "projected_into"),
        measured("on photos", "photos", "Change from end to end"),
        measured("on codes", "codes", "Change from end to end"),
        whole("Photos", "count"),
    ]
    caption = (
        "The attribute that a direction moves most on the generator's own images, and how far it moves it in the mean "
        "over photos and over codes, ± one standard error, as the scorer reads them."
    )
    return make_table(frame, columns, caption)


def _moves(tables: RunTables) -> pd.DataFrame:
    edits = tables.photo_attributes
    directions = tables.directions[tables.directions["attribute"] != ""].to_dict("records")
    known = {row["name"]: row for row in directions}
    rows: list[Row] = []
    for (name, _), part in edits.groupby(["name", "projected_into"], sort=False):
        if name not in known:
            continue
        moved = known[name]
        own = part[part["attribute"] == moved["attribute"]]
        ends = own[own["t"].isin([own["t"].min(), own["t"].max()])].pivot(index="photo", columns="t", values="change")
        if ends.shape[1] == 2 and np.allclose(ends.columns, [moved["t_min"], moved["t_max"]]):  # neither end is lost
            change = (ends.iloc[:, 1] - ends.iloc[:, 0]).dropna()
            row = own.to_dict("records")[0] | {"photos": change.mean(), "photos_stderr": change.sem()}
            row |= {"codes": moved["attribute_change"], "codes_stderr": moved["attribute_change_stderr"]}
            rows.append(row | {"count": len(change)})
    return pd.DataFrame(rows)
