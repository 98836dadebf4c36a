"""On which parts of images the change of each direction lies."""

from functools import partial

import pandas as pd

from navbench.report import views
from navbench.report.numbers import listed, plain, significant, with_stderr
from navbench.report.tables import RunTables
from navbench.report.views import Cell, Column, Row, Table, make_table


def region_tables(tables: RunTables) -> list[Table]:
    """A table per generator whose images were segmented: the share of each direction's change on each region."""
    groups = tables.regions.groupby("generator", sort=False)
    return [_table(tables, rows, str(generator)) for generator, rows in groups]


def _table(tables: RunTables, rows: pd.DataFrame, generator: str) -> Table:
    regions = list(dict.fromkeys(rows["region"]))
    frame = rows.drop_duplicates("name").set_index("name", drop=False)
    for column in ("share", "share_stderr"):
        wide = rows.pivot(index="name", columns="region", values=column)
        frame = frame.join(wide.rename(columns={region: f"{column} {region}" for region in regions}))
    labels = tables.directions.set_index("name")["auto_label"]
    frame = frame.assign(auto_label=labels.reindex(frame.index).fillna(""))
    columns = [
        *views.who_columns(frame, set(tables.measured["name"])),
        *(Column(plain(region), partial(_share, region)) for region in regions),
    ]
    areas = [f"{region} {significant(rows.loc[rows['region'] == region, 'area'].mean(), 2)}" for region in regions]
    of = f" of {plain(generator)}" if tables.several_generators else ""
    caption = (
        f"The share of the squared change{of} that lies on each part, ± one standard error. Of the unshifted images "
        f"the parts take {plain(listed(areas))}. Click a heading to sort."
    )
    return make_table(frame, columns, caption)


def _share(region: str, row: Row) -> Cell:
    value = row[f"share {region}"]
    return Cell(with_stderr(value, row[f"share_stderr {region}"]), value)
