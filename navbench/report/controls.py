"""Methods beside their controls: which numbers are better than those of directions drawn at random."""

from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd

from navbench.report.numbers import listed, metric_name
from navbench.report.tables import RunTables

_BETTER = {
    **dict.fromkeys(("FID", "FD", "KID", "area50", "lost"), "lower"),
    **dict.fromkeys(("precision", "recall", "density", "coverage"), "higher"),
}
"""Which side of a number is the better one, by what its name begins with; other numbers are not told of.

Unexplained fractions have a control of their own (`reproduction.chance_sentences`).
"""
_VERDICTS = {
    "better": "significantly better than {control} (Holm, 5 %)",
    "undecided": "no better than chance (no significant difference from {control})",
    "worse": "no better than chance (significantly worse than {control}; Holm, 5 %)",
    "not compared": "not compared with {control}",
}
"""What is said of a method beside its control."""
_MOST_NAMED = 3
"""So many methods that do not differ from their controls are named."""


def control_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator, which methods are better than their control, and which are no better than chance.

    Methods that see labels are no part of it: what leads them is what they are judged by. Numbers by which the same is
    told share a sentence.
    """
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for (generator, metric), rows in _beside_controls(tables).groupby(["generator", "metric"], sort=False):
        if (rows["outcome"] == "not compared").all():
            continue  # the ranking says why
        key = str(generator), str(rows["extractor"].iloc[0]), _better(str(metric)), _told(rows)
        alike.setdefault(key, []).append(str(metric))
    for (generator, extractor, side, told), metrics in alike.items():
        yield f"In {metric_name(listed(metrics), extractor)}{tables.of(generator)}, where {side} is better, {told}."
    yield from _without_control(tables)


def _beside_controls(tables: RunTables) -> pd.DataFrame:
    """The pairs of a method and its control, with `outcome`: a key of `_VERDICTS`."""
    rows = tables.ranking
    flipped = rows.rename(columns={"method": "against", "against": "method"})
    labelled = set(tables.methods.loc[tables.methods["is_labelled"], "method"])
    pairs = pd.concat([rows, flipped], ignore_index=True)
    pairs = pairs[~pairs["method"].isin(labelled)]
    keys = pd.MultiIndex.from_frame(pairs[["generator", "layer", "method"]])
    control = _control_of(tables).reindex(keys).fillna("").to_numpy()
    pairs = pairs[(pairs["against"] == control) & (pairs["metric"].map(_better) != "")]
    return pairs.assign(outcome=[_outcome(row) for row in pairs.to_dict("records")])


def _control_of(tables: RunTables) -> pd.Series:
    """The name of each method's control, by generator, layer and method; '' of a control."""
    keys = ["generator", "layer", "method"]
    return tables.methods.drop_duplicates(keys).set_index(keys)["control"]


def _better(metric: str) -> str:
    return next((side for name, side in _BETTER.items() if metric.startswith(name)), "")


def _outcome(row: dict[Hashable, Any]) -> str:
    if row["status"]:
        return "not compared"
    if not row["lower"]:
        return "undecided"
    is_lower = row["lower"] == row["method"]
    return "better" if is_lower == (_better(row["metric"]) == "lower") else "worse"


def _told(rows: pd.DataFrame) -> str:
    """The methods by how they compare with their controls, each with its places; many that do not differ by number."""
    parts: list[str] = []
    for outcome, verdict in _VERDICTS.items():
        chosen = rows[rows["outcome"] == outcome]
        methods = [f"{method} ({', '.join(part['where'])})" for method, part in chosen.groupby("method", sort=False)]
        if not methods:
            continue
        several = len(methods) > 1
        control = "their controls" if several else f"its control {chosen['against'].iloc[0]}"
        if outcome == "undecided" and len(methods) > _MOST_NAMED:
            named = "the others" if parts else f"all {len(chosen)} methods and places"
        else:
            named = listed(methods)
        parts.append(f"{named} {'are' if several else 'is'} {verdict.format(control=control)}")
    return "; ".join(parts)


def _without_control(tables: RunTables) -> Iterator[str]:
    """Methods that are compared, but whose control is not part of the run in their place."""
    if tables.ranking.empty:
        return
    methods = tables.methods
    measured = set(zip(methods["generator"], methods["layer"], methods["method"], strict=True))
    lone = [
        f"{row['method']} ({row['where']}{tables.of(row['generator'])})"
        for row in methods.to_dict("records")
        if row["control"] and (row["generator"], row["layer"], row["control"]) not in measured
    ]
    if lone:
        yield f"Their controls are not part of this run, so nothing tells these from chance: {listed(lone)}."
