"""What a run found, in a few lines: per generator the best direction, what the instrument said, what did not converge.

Everything is read from the tables of the run. Controls, and sets whose learning has not converged, are never the best;
what an instrument measured that fails its checks is not told.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from navbench.cli.output import console, folding
from navbench.declared.shared import IMITATORS
from navbench.report.instrument import headline_tables, refusals, trusted
from navbench.report.numbers import NOTHING, significant, with_stderr
from navbench.report.tables import RunTables
from navbench.report.views import metric_names
from navbench.words import NOT_CONVERGED

KEYS = (
    *("generator", "direction", "label", "verdict", "effect", "kid", "kid_stderr", "kid_rise", "area50"),
    *("unexplained_fraction", "imitated_in", "instrument"),
)
"""Of a finding, as JSON."""
_STUDIED = ["fd_at_max", "area50", *(f"unexplained_fraction_{kind}" for kind in IMITATORS)]
"""The columns of directions of costly experiments, which measure few directions of a set."""
_MOST = 6
"""Generators that the screen lists."""
_NAMED = 4
"""Sets that a sentence names."""
_LONGEST = 240
"""Signs of a sentence."""


def findings(tables: RunTables) -> list[dict[str, Any]]:
    """One finding per generator, with the keys `KEYS`; numbers that are not known are NaN, text ''."""
    told = headline_tables(tables.converged).without_controls
    return [_finding(tables, told, str(generator)) for generator in dict.fromkeys(tables.directions["generator"])]


def _finding(tables: RunTables, told: RunTables, generator: str) -> dict[str, Any]:
    nothing = {"direction": "", "label": "", "verdict": "", "imitated_in": ""}
    empty = {**dict.fromkeys(KEYS, float("nan")), **nothing, "generator": generator}
    empty["instrument"] = instrument_words(tables, generator)
    best = _best(told, generator)
    if best is None:
        return empty
    left = {kind: best[f"unexplained_fraction_{kind}"] for kind in IMITATORS}
    left = {kind: value for kind, value in left.items() if pd.notna(value)}
    kind = min(left, key=lambda each: left[each], default="")
    return empty | {
        "direction": best["name"],
        "label": best["label"] or best["auto_label"],
        "verdict": best["verdict"],
        **{key: best[key] for key in ("effect", "kid", "kid_stderr", "kid_rise", "area50")},
        "unexplained_fraction": left.get(kind, float("nan")),
        "imitated_in": kind,
    }


def _best(told: RunTables, generator: str) -> pd.Series | None:
    """The interpretable direction that costs least realism at one effect; without verdicts, of all directions.

    Those come first of which the run measured a curve, where they change images, or what an imitation leaves; where
    realism is not told, that whose attribute has the greatest share of all changes.
    """
    rows = told.directions[told.directions["generator"] == generator]
    rows = rows.join(_realism(told, generator), on="name")
    judged = (rows["verdict"] != "").any()
    rows = rows[rows["verdict"] == "interpretable"] if judged else rows[rows["kid"].notna()]
    if rows.empty:
        return None
    rows = rows.assign(studied=rows[_STUDIED].notna().any(axis=1))
    order = {"studied": False, "kid": True, "attribute_share": False, "name": True}
    return rows.sort_values([*order], ascending=[*order.values()], na_position="last", kind="stable").iloc[0]


def _realism(told: RunTables, generator: str) -> pd.DataFrame:
    """By name: effect, KID at it, its standard error and its rise above t = 0; no rows if the instrument fails."""
    equal = told.equal[(told.equal["generator"] == generator) & (told.equal["metric"] == "KID")]
    if not trusted(told, generator):
        equal = equal.iloc[:0]
    equal = equal[equal["reached"] & equal["value"].notna()].set_index("name")
    floors = told.methods.loc[told.methods["generator"] == generator, "kid_floor"].dropna()
    floor = floors.iloc[0] if len(floors) else float("nan")
    frame = equal[["effect", "value", "stderr"]].set_axis(["effect", "kid", "kid_stderr"], axis=1)
    return frame.assign(kid_rise=frame["kid"] - floor)


def instrument_words(tables: RunTables, generator: str) -> str:
    """'passes', 'fails', or 'not checked'; '' where realism was not measured either."""
    if (tables.instrument["generator"] == generator).any():
        return "passes" if trusted(tables, generator) else "fails"
    measured = tables.methods.loc[tables.methods["generator"] == generator, "kid_mean"].notna().any()
    return "not checked" if measured else ""


def not_converged(tables: RunTables) -> list[str]:
    """The names of the sets whose learning has not converged."""
    rows = tables.methods[tables.methods["status"] == NOT_CONVERGED]
    return [f"{row['generator']}/{row['method']}/{row['layer']}" for row in rows.to_dict("records")]


def show_findings(tables: RunTables) -> list[dict[str, Any]]:
    """Print the findings, in at most a dozen lines; all of them, for JSON."""
    found = findings(tables)
    heads = ("generator", "best direction", "label", "effect", "KID", "its rise", "area50", "imitation leaves")
    table = folding(*heads, "instrument")
    for row in found[:_MOST]:
        table.add_row(*_cells(row), row["instrument"] or NOTHING)
    console.print(table)
    if len(found) > _MOST:
        console.print(f"and {len(found) - _MOST} generators more")
    for sentence in _sentences(tables):
        console.print(sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}... (see the report)")
    return found


def _cells(row: dict[str, Any]) -> list[str]:
    left = significant(row["unexplained_fraction"], 2)
    return [
        row["generator"],
        row["direction"] or "none to name",
        row["label"] or NOTHING,
        significant(row["effect"], 2),
        with_stderr(row["kid"], row["kid_stderr"]),
        significant(row["kid_rise"], 2),
        significant(row["area50"], 2),
        f"{left} in {row['imitated_in']}" if row["imitated_in"] else NOTHING,
    ]


def _sentences(tables: RunTables) -> Iterator[str]:
    """With what KID was measured, which instruments fail and why, and what has not converged."""
    if (tables.equal["metric"] == "KID").any():
        yield f"{metric_names(tables.methods)[1]}: lower is better; its rise is above that of unshifted images."
    if refused := " ".join(refusals(tables)):
        yield refused
    if names := not_converged(tables):
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"Not converged, and left out here: {', '.join(names[:_NAMED])}{more}."
