"""What a run found, in a few lines: per generator the best direction, what the instrument said, what did not converge.

Everything is read from the tables of the run; the best is what the report recommends first.
"""

from collections.abc import Iterator
from typing import Any

from navbench.cli.output import console, folding
from navbench.report.instrument import refusals, trusted
from navbench.report.numbers import NOTHING, significant, with_stderr
from navbench.report.picks import picks
from navbench.report.reach import limit_text
from navbench.report.tables import RunTables
from navbench.report.views import metric_names
from navbench.words import LATENTS, NOT_CONVERGED

_LIMITS = ("t_min", "t_max", *(f"limit_{end}{part}" for end in ("min", "max") for part in ("", "_stderr", "_status")))
"""How far realism holds, as the columns of the table of directions."""
KEYS = (
    *("generator", "direction", "label", "verdict", *_LIMITS, "effect", "kid", "kid_stderr", "kid_rise", "area50"),
    *("unexplained_fraction", "imitated_in", "instrument"),
)
"""Of a finding, as JSON."""
_MOST = 6
"""Generators that the screen lists."""
_NAMED = 4
"""Sets that a sentence names."""
_LONGEST = 240
"""Signs of a sentence."""


def findings(tables: RunTables) -> list[dict[str, Any]]:
    """One finding per generator, with the keys `KEYS`; numbers that are not known are NaN, text ''."""
    return [_finding(tables, str(generator)) for generator in dict.fromkeys(tables.directions["generator"])]


def _finding(tables: RunTables, generator: str) -> dict[str, Any]:
    """What the report recommends first (`report.picks`)."""
    nothing = {"direction": "", "label": "", "verdict": "", "imitated_in": ""}
    nothing |= {"limit_min_status": "", "limit_max_status": ""}
    empty = {**dict.fromkeys(KEYS, float("nan")), **nothing, "generator": generator}
    empty["instrument"] = instrument_words(tables, generator)
    best = next(iter(picks(tables, generator, 1).to_dict("records")), None)
    if best is None:
        return empty
    left = {kind: best[f"unexplained_fraction_{kind}"] for kind in LATENTS}
    left = {kind: value for kind, value in left.items() if value == value}
    kind = min(left, key=lambda each: left[each], default="")
    return empty | {
        "direction": best["name"],
        "label": best["label"] or best["auto_label"],
        "verdict": best["verdict"],
        **{key: best[key] for key in _LIMITS},
        "effect": best["within"],
        "kid": best["kid_equal"],
        "kid_stderr": best["kid_equal_stderr"],
        "kid_rise": best["kid_equal"] - best["kid_at_zero"],
        "area50": best["area50"],
        "unexplained_fraction": left.get(kind, float("nan")),
        "imitated_in": kind,
    }


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
    heads = ("generator", "use", "label", "holds from", "to", "KID", "its rise", "area50", "imitation leaves")
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
        limit_text(row, "min") or NOTHING,
        limit_text(row, "max") or NOTHING,
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
