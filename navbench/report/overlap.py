"""How much of what one method's directions span lies in what another's do: a matrix per layer or latent space."""

import pandas as pd

from navbench.report.drawing import known_first
from navbench.report.numbers import plain, significant
from navbench.report.tables import RunTables
from navbench.report.views import Cell, Table


def overlap_matrices(tables: RunTables) -> list[Table]:
    """A table per layer or latent space of which there are several methods' sets."""
    groups = tables.overlap.groupby(["generator", "place"], sort=False)
    return [_matrix(rows, str(place), str(name), tables.several_generators) for (name, place), rows in groups]


def _matrix(rows: pd.DataFrame, place: str, generator: str, several: bool) -> Table:
    methods = known_first(rows["method"])
    shares = {(row["method"], row["other"]): row["share"] for row in rows.to_dict("records")}
    body = tuple(
        (Cell(plain(method)), *(_share(shares.get((method, other))) for other in methods)) for method in methods
    )
    chances = sorted({significant(value, 2) for value in rows["chance"]})
    of = f" of {plain(generator)}" if several else ""
    caption = (
        f"{plain(place)[:1].upper()}{plain(place)[1:]}{of}: the share of a row's span that lies in a column's. "
        f"By chance it would be {' or '.join(chances)}."
    )
    return Table(caption, ("Method", *map(plain, methods)), body)


def _share(value: float | None) -> Cell:
    return Cell("·") if value is None else Cell(significant(value, 2), value)
