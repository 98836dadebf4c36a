"""The directions that a reader would use first, per generator, and what speaks against believing the numbers."""

from collections.abc import Iterator

import pandas as pd

from navbench.report.instrument import trusted
from navbench.report.numbers import FID_EXTRACTOR, counts, listed, metric_name
from navbench.report.reach import effect_within_limits, with_equal_kid
from navbench.report.tables import RunTables

INTERPRETABLE = "interpretable"
_FEW = 1000
"""Images of a point of a curve below which that is said to be few."""


def picks(tables: RunTables, generator: str, count: int) -> pd.DataFrame:
    """The best directions of a generator, best first; no rows where nothing may be recommended.

    Controls, methods that see labels, sets that have not converged and generators whose instrument fails take no part.
    Interpretable directions come before others, then those with a curve, whose numbers are of more codes; among these,
    the one comes first whose ends both reach the largest effect before realism breaks, or are shown to. Each attribute,
    or else each method in a place, is there once.

    Args:
        tables: of the run.
        generator: its name.
        count: of directions, at most.
    """
    rows = with_equal_kid(tables.converged.contenders)
    rows = rows[rows["generator"] == generator]
    if rows.empty or not trusted(tables, generator):
        return rows.iloc[:0]
    records = rows.to_dict("records")
    rows = rows.assign(
        is_pure=rows["verdict"] == INTERPRETABLE,
        curved=rows["name"].isin(tables.curved["name"]),
        within=[effect_within_limits(row) for row in records],
    )
    rows = rows[rows["within"].notna()]
    order = ["is_pure", "curved", "within"]
    rows = rows.sort_values(order, ascending=False, kind="stable")
    kinds = rows["attribute"].where(rows["is_pure"], rows["method"] + "/" + rows["layer"])
    return rows[~kinds.duplicated()].iloc[:count]


def doubts(tables: RunTables, generator: str) -> Iterator[str]:
    """What a reader should know before believing the numbers of a generator, in a few words each."""
    directions, methods = (frame[frame["generator"] == generator] for frame in (tables.directions, tables.methods))
    if not trusted(tables, generator):
        yield "the instrument fails its check: distances are not to be read"
    elif len(methods[methods["kid_mean"].notna()]) and generator not in set(tables.instrument["generator"]):
        yield "the instrument was not checked"
    curved = directions[directions["name"].isin(tables.curved["name"])]
    if len(curved) and curved["n"].min() < _FEW:
        yield f"few images: {counts(curved['n'])} per point of a curve"
    if methods["n_kid"].notna().any() and methods["n_kid"].min() < _FEW:
        yield f"{counts(methods['n_kid'])} codes where all directions are compared"
    if extractors := sorted(set(methods["extractor"]) - {"", FID_EXTRACTOR}):
        yield f"{metric_name('FD', listed(extractors))}: no FID"
    if len(curved) < len(directions):
        yield f"{len(curved)} of {len(directions)} directions have a curve"
    if failed := int((methods["status"] == "not converged").sum()):
        yield f"{failed} learned {'set has' if failed == 1 else 'sets have'} not converged"
    if len(directions):
        yield "the best of many look better than they are"
