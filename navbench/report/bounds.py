"""What can be found of each attribute: its largest share in a direction without labels, drawn at random, and with them.

A direction that labels lead to shows that there is one: it bounds from below what can be found.
"""

from collections.abc import Iterator

import pandas as pd

from navbench.metrics.attributes import LEAST_CONSISTENCY, LEAST_SHARE
from navbench.report.blocks import Cell, Table
from navbench.report.charts import method_names
from navbench.report.drawing import known_first
from navbench.report.numbers import listed, short_direction
from navbench.report.tables import RunTables
from navbench.report.views import make_matrix, permalink

_MOST_NAMED = 4
_WITHOUT, _RANDOM, _LABELS = "Best without labels", "Best of controls", "labels"


def bound_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator, what methods reach without labels, at random and with labels, and what no method reaches."""
    for generator, rows in tables.attributes.groupby("generator", sort=False):
        names, best, of = list(rows["attribute"].unique()), _best(rows), tables.of(generator)
        kind = _kinds(best)
        reached = {each: _reached(best[kind == each]) for each in (_WITHOUT, _RANDOM, _LABELS)}
        if len(methods := known_first(best.loc[kind == _LABELS, "method"])):
            counts = [f"{method} {len(_reached(best[best['method'] == method]))}" for method in methods]
            both = reached[_WITHOUT] & reached[_RANDOM]
            drawn = f"; directions drawn at random reach {len(reached[_RANDOM])}, {len(both)} of them among these"
            yield (
                f"A share of {LEAST_SHARE:g} or more of the squared change is reached without labels for "
                f"{len(reached[_WITHOUT])} of {len(names)} attributes{of}{drawn if rows['is_control'].any() else ''}. "
                f"Told by a scorer what images show, {listed(counts)}. These show what can at least be found; the "
                "scorer that leads them also judges them, and they take no part in what is called best."
            )
        missing = [name for name in names if name not in reached[_WITHOUT] | reached[_LABELS]]
        for name in missing[:_MOST_NAMED]:
            yield _not_reached(best[(best["attribute"] == name) & (kind != _RANDOM)], name, of)
        if len(missing) > _MOST_NAMED:
            yield f"Nor does any for {listed(missing[_MOST_NAMED:])}."


def bound_tables(tables: RunTables) -> Iterator[Table]:
    """Per generator, the largest share of every attribute without labels, at random, and by each method with labels."""
    shown = set(tables.directions["name"])
    for generator, rows in tables.attributes.groupby("generator", sort=False):
        best = _best(rows)
        kind = _kinds(best)
        methods = known_first(best.loc[kind == _LABELS, "method"])
        heads = dict(zip(methods, method_names(rows, methods), strict=True))
        best = best.assign(head=[heads.get(*pair) for pair in zip(best["method"], kind, strict=True)])
        best = best.drop_duplicates(["attribute", "head"])
        cells = {(row["attribute"], row["head"]): _cell(row, shown) for row in best.to_dict("records")}
        caption = (
            f"The largest share of the squared change that each attribute{tables.of(generator)} takes in any direction "
            "that moves it for nearly all codes to the same side."
            f"{' Methods that see labels show what can at least be found.' if methods else ''}"
        )
        columns = [_WITHOUT, *[_RANDOM] * bool(rows["is_control"].any()), *heads.values()]
        yield make_matrix(caption, "Attribute", list(rows["attribute"].unique()), columns, cells)


def _kinds(rows: pd.DataFrame) -> pd.Series:
    """Of each row, whether its method sees labels, is a control, or neither."""
    return pd.Series(_WITHOUT, rows.index).mask(rows["is_control"], _RANDOM).mask(rows["is_labelled"], _LABELS)


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each attribute and method the direction of the largest share, of those that move it consistently."""
    steady = rows[rows["consistency"] >= LEAST_CONSISTENCY]
    return steady.sort_values("share", ascending=False, kind="stable").drop_duplicates(["attribute", "method"])


def _reached(best: pd.DataFrame) -> set[str]:
    """The attributes that reach the share of an interpretable direction."""
    return set(best.loc[best["share"] >= LEAST_SHARE, "attribute"])


def _not_reached(best: pd.DataFrame, name: str, of: str) -> str:
    """That no method reaches an attribute, and which comes nearest."""
    told = f"No method reaches a share of {LEAST_SHARE:g} for {name}{of}"
    if best.empty:
        return f"{told}; no direction moves it for nearly all codes to the same side."
    row = best.sort_values("share", ascending=False, kind="stable").to_dict("records")[0]
    return f"{told}; the best is {short_direction(row)}, with {row['share']:.2f}."


def _cell(row: dict, shown: set[str]) -> Cell:
    text = f"{short_direction(row)} ({row['share']:.2f})"
    return Cell(text, link=permalink(row["name"]) if row["name"] in shown else "")
