"""How far directions go before realism breaks, and what they cost at equal effect, as the page says it."""

import math

import numpy as np
import pandas as pd

from navbench.metrics.limits import BEYOND, UNDECIDED
from navbench.report.numbers import SPACE, significant, with_stderr
from navbench.report.tables import RunTables
from navbench.report.views import Row


def effect_within_limits(row: Row) -> float:
    """The effect that both ends reach before realism breaks, or are shown to reach, where it is not known to break.

    Near t = 0 an effect goes with the square of t, as `metrics.limits` takes the KID to.
    """
    ends = [_effect_at_limit(row, end) for end in ("min", "max")]
    return math.nan if any(math.isnan(effect) for effect in ends) else min(ends)


def is_at_least(row: Row) -> bool:
    """Whether `effect_within_limits` is a lower bound: the end that decides it has no limit within its range."""
    ends = {end: _effect_at_limit(row, end) for end in ("min", "max")}
    return row[f"limit_{min(ends, key=ends.__getitem__)}_status"] in (BEYOND, UNDECIDED)


def within_text(row: Row) -> str:
    """`effect_within_limits`: '0.11', or '≥ 0.11' where it is a lower bound; '–' if unknown."""
    return f"{f'≥{SPACE}' if is_at_least(row) else ''}{significant(effect_within_limits(row), 2)}"


def _effect_at_limit(row: Row, end: str) -> float:
    """By the curve, between its points; of a direction without one by the square of t."""
    effect, status = row[f"effect_{end}"], row[f"limit_{end}_status"]
    if not status:
        return math.nan
    if status == BEYOND:
        return effect
    known = row.get(f"limit_{end}_effect", math.nan)
    if known == known:
        return known
    t = row.get(f"limit_{end}_shown", math.nan) if status == UNDECIDED else row[f"limit_{end}"]
    return effect * (t / row[f"t_{end}"]) ** 2


def _by_end(rows: pd.DataFrame, values: pd.Series) -> dict[str, dict[str, float]]:
    """Values of rows of limits.csv, by end and name."""
    ends = {end: rows["end"] == f"t_{end}" for end in ("min", "max")}
    return {end: dict(zip(rows["name"][own], values[own], strict=True)) for end, own in ends.items()}


def _effects_at(tables: RunTables, shifts: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """By end and name, the effect at some shifts, on lines in t² between the points of curves; others have none."""
    curves = tables.curves[(tables.curves["metric"] == "KID") & tables.curves["effect"].notna()]
    found: dict[str, dict[str, float]] = {"min": {}, "max": {}}
    for name, points in curves.groupby("name", sort=False):
        for end, sign in (("min", -1), ("max", 1)):
            side = points[points["t"] * sign >= 0].sort_values("t", key=abs)
            t = shifts[end].get(str(name), math.nan)
            if t == t and len(side) > 1:
                found[end][str(name)] = float(np.interp(t**2, side["t"] ** 2, side["effect"]))
    return found


def with_equal_kid(tables: RunTables) -> pd.DataFrame:
    """The table of directions with the KID at the effect of the comparison, and at t = 0 on the same codes."""
    equal = tables.equal[tables.equal["metric"] == "KID"].drop_duplicates("name").set_index("name")
    floors = tables.methods.drop_duplicates(["generator", "layer", "method"])
    floors = floors.rename(columns={"kid_floor": "kid_at_zero", "kid_floor_stderr": "kid_at_zero_stderr"})
    columns = ["generator", "layer", "method", "kid_at_zero", "kid_at_zero_stderr"]
    directions = tables.directions.merge(floors[columns], how="left", on=columns[:3])
    own = directions["name"]
    limits = tables.limits
    shown = _by_end(limits, limits["shown"])
    effects = _effects_at(tables, _by_end(limits, limits["limit"].fillna(limits["shown"])))
    return directions.assign(
        limit_min_effect=own.map(effects["min"]).astype(float),
        limit_max_effect=own.map(effects["max"]).astype(float),
        limit_min_shown=own.map(shown["min"]).astype(float),
        limit_max_shown=own.map(shown["max"]).astype(float),
        kid_equal=own.map(equal["value"]).astype(float),
        kid_equal_stderr=own.map(equal["stderr"]).astype(float),
    )


def limit_words(tables: RunTables) -> str:
    """What a limit is, in a sentence; '' of a run without any."""
    if tables.limits.empty:
        return ""
    first = tables.limits.iloc[0]
    return (
        f"The limit, up to which realism is said to hold, is where the KID has risen as much as {first['damage']} of "
        f"{significant(first['strength'], 2)} ({first['unit'].rpartition(', ')[2]}) raises it."
    )


def limit_text(row: Row, end: str) -> str:
    """The limit at an end: '−4.1 ± 0.3', or the end of the range that it lies beyond: '≥ 9.0'; '' if unknown.

    Where it is undecided whether that is so, the end of the range: '9.0 (undecided)'.
    """
    status = row[f"limit_{end}_status"]
    if status == BEYOND:
        return f"{'≤' if end == 'min' else '≥'}{SPACE}{significant(row[f't_{end}'])}"
    if status == UNDECIDED:
        return f"{significant(row[f't_{end}'])} ({UNDECIDED})"
    return with_stderr(row[f"limit_{end}"], row[f"limit_{end}_stderr"]) if status else ""
