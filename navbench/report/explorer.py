"""The explorer: every direction of the run, with its strip, its numbers and what was measured of it, as data.

`templates/explorer.js` shows it; what it is given is JSON, never markup.
"""

import json
import math
import shlex
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from markupsafe import Markup

from navbench.declared.shared import IMITATORS
from navbench.report import views
from navbench.report.blocks import Block, Explorer, Frames, Words
from navbench.report.drawing import colour
from navbench.report.frames import strips
from navbench.report.instrument import trusted
from navbench.report.numbers import SPACE, setting, significant, with_stderr
from navbench.report.page import Page
from navbench.report.picks import picks
from navbench.report.provenance import shown_codes_words
from navbench.report.reach import effect_within_limits, is_at_least, limit_text, limit_words, with_equal_kid
from navbench.report.views import Row
from navbench.texts import legible
from navbench.words import LATENTS, NOT_CONVERGED

_MOST_ATTRIBUTES = 5


@dataclass(frozen=True)
class Number:
    """A number by which directions are sorted and filtered.

    Attributes:
        key: of the page's data.
        head: its name.
        better: 'lower', 'higher' or ''.
        words: what it is, a sentence.
        value: from a row of the table of directions.
    """

    key: str
    head: str
    better: str
    words: str
    value: Callable[[Row], float]


def unexplained(row: Row) -> float:
    """What the best imitation by a latent code leaves; NaN if none was sought."""
    known = [row[f"unexplained_fraction_{kind}"] for kind in LATENTS]
    return min((value for value in known if value == value), default=math.nan)


NUMBERS = (
    Number(
        "within", "Effect within limits", "higher",
        "The effect that both ends reach before realism breaks; ≥: where it is not known to, what is shown (95 %).",
        effect_within_limits,
    ),
    Number(
        "kid", "KID at equal effect", "lower",
        "The KID at the effect at which directions are compared, in the mean over both sides.",
        lambda row: row["kid_equal"],
    ),
    Number(
        "share", "Attribute share", "higher",
        "The share of the squared change of all attributes that falls on the one that moves most.",
        lambda row: row["attribute_share"],
    ),
    Number(
        "effect", "Effect at the ends", "",
        "The mean perceptual distance between an image and its edit, the larger of both ends.",
        lambda row: max(row["effect_min"], row["effect_max"]),
    ),
    Number(
        "area50", "area50", "lower",
        "The smallest share of the pixels that holds half of the squared change; smaller is more local.",
        lambda row: row["area50"],
    ),
    Number(
        "left", "Left by a latent code", "",
        "The unexplained fraction of the best imitation by a latent code: 0 is a perfect one.",
        unexplained,
    ),
)  # fmt: skip
"""In the order in which the page offers them."""


def blocks(page: Page) -> Iterator[Block]:
    """The explorer of all directions, unless there are none."""
    tables = page.tables
    if tables.directions.empty:
        return
    records = Records(page)
    yield Explorer(Markup(_json(records.data())), len(tables.directions))
    yield Words(shown_codes_words(tables.manifest), "note")


class Records:
    """What the page knows of each direction, from the tables of a run."""

    def __init__(self, page: Page) -> None:
        self._page, self._tables = page, page.tables

    def data(self) -> dict[str, Any]:
        """Everything that the explorer shows, as JSON."""
        rows = self.rows.to_dict("records")
        known = [number for number in NUMBERS if any(_finite(number.value(row)) is not None for row in rows)]
        return {
            "numbers": [[each.key, each.head, each.better, each.words] for each in known],
            "limit": limit_words(self._tables),
            "setting": {name: setting(part) for name, part in self._kernel.groupby("generator", sort=False)},
            "colours": {method: colour(method) for method in dict.fromkeys(self.rows["method"])},
            "first": self._first(),
            "found": self._found(),
            "rows": [self._record(row, known) for row in rows],
        }

    def _found(self) -> dict[str, str]:
        """Where sets lie that the run found, as a shell and Python say it; they may be called as shipped ones."""
        if not (self._tables.run / "directions").is_dir():
            return {}
        folder = f"{self._tables.address}/directions"
        return {"shell": shlex.quote(folder), "python": json.dumps(folder)}

    def _first(self) -> str:
        """The direction that is chosen before the reader chooses one; '' for none."""
        generators = dict.fromkeys(self.rows["generator"])
        names = (name for generator in generators for name in picks(self._tables, generator, 1)["name"])
        return next(names, "")

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The table of directions, with the KID at the effect of the comparison as `kid_equal`, and `failed`."""
        tables = self._tables
        directions = with_equal_kid(tables)
        failed = tables.methods[tables.methods["status"] == NOT_CONVERGED]
        keys = ["generator", "layer", "method"]
        is_failed = pd.MultiIndex.from_frame(directions[keys]).isin(pd.MultiIndex.from_frame(failed[keys]))
        return directions.assign(failed=is_failed)

    @cached_property
    def _untrusted(self) -> set[str]:
        """The generators whose instrument fails."""
        return {name for name in self.rows["generator"].unique() if not trusted(self._tables, name)}

    @cached_property
    def _kernel(self) -> pd.DataFrame:
        """The KID of directions along t: of curves, of directions without one of the ends."""
        curves, ends = (
            frame[(frame["metric"] == "KID") & frame["value"].notna()]
            for frame in (self._tables.curves, self._tables.ends)
        )
        ends = ends[~ends["name"].isin(set(curves["name"]))]
        columns = ["generator", "name", "t", "effect", "value", "stderr", "n", "n_reference", "reference", "resolution"]
        present = [frame[columns] for frame in (curves, ends) if len(frame)]
        return pd.concat(present, ignore_index=True) if present else curves[columns]

    @cached_property
    def _points(self) -> Mapping[Hashable, pd.DataFrame]:
        return dict(iter(self._kernel.groupby("name", sort=False)))

    @cached_property
    def _attributes(self) -> Mapping[Hashable, pd.DataFrame]:
        rows = self._tables.attributes
        rows = rows[rows["standardised"].notna()]
        rows = rows.assign(size=rows["standardised"].abs()).sort_values("size", ascending=False, kind="stable")
        return dict(iter(rows.groupby("name", sort=False)))

    @cached_property
    def _imitations(self) -> Mapping[Hashable, pd.DataFrame]:
        rows = self._tables.reproduction
        return dict(iter(rows[rows["unexplained_fraction"].notna()].groupby("name", sort=False)))

    @cached_property
    def _strips(self) -> dict[str, Frames]:
        return strips(self._page)

    def _record(self, row: Row, known: list[Number]) -> dict[str, Any]:
        """One direction; what is not known of it is left out."""
        name = row["name"]
        record: dict[str, Any] = {
            "name": name,
            "generator": row["generator"],
            "method": row["method"],
            "place": row["where"],
            "space": row["space"],
            "label": row["label"],
            "auto": views.automatic_label(row),
            "verdict": row["verdict"],
            "attribute": row["attribute"],
            "control": bool(row["is_control"]),
            "labels": bool(row["is_labelled"]),
            "failed": bool(row["failed"]),
            "untrusted": row["generator"] in self._untrusted,
            "t": [row["t_min"], row["t_max"]],
            "least": is_at_least(row),
            "numbers": [_finite(number.value(row)) for number in known],
            "facts": [[term, value] for term, value in facts(row) if value],
            "limit": [_finite(row[f"limit_{end}"]) for end in ("min", "max")],
            "status": [row[f"limit_{end}_status"] for end in ("min", "max")],
            "curve": self._curve(row),
            "moves": self._moves(name),
            "imitations": self._imitated(name),
        }
        if name in self._strips:
            frames = self._strips[name]
            record["strip"] = {
                "source": frames.source, "rows": frames.rows, "shifts": frames.shifts, "ratio": frames.ratio
            }  # fmt: skip
        if heatmap := self._page.heatmaps.get(name):
            record["heat"] = {"source": heatmap.own.uri, "top": heatmap.top}
        return {key: value for key, value in record.items() if value not in ("", [], False, None)}

    def _curve(self, row: Row) -> list[list[float]]:
        """Points of t, effect, KID and its standard error, ascending; t = 0 is there where it is known."""
        points = self._points.get(row["name"])
        if points is None:
            return []
        points = points[points[["t", "effect", "value", "stderr"]].notna().all(axis=1)]
        curve = [[point["t"], point["effect"], point["value"], point["stderr"]] for point in points.to_dict("records")]
        if all(point[0] != 0 for point in curve) and _finite(row["kid_at_zero"]) is not None:
            curve.append([0.0, 0.0, row["kid_at_zero"], row["kid_at_zero_stderr"]])
        return [[float(f"{value:.5g}") for value in point] for point in sorted(curve)]

    def _moves(self, name: str) -> list[list[Any]]:
        """The attributes that it moves most: their names, and changes in spreads of the data."""
        rows = self._attributes.get(name)
        if rows is None:
            return []
        first = rows.iloc[:_MOST_ATTRIBUTES]
        return [[row["attribute"], round(row["standardised"], 2)] for row in first.to_dict("records")]

    def _imitated(self, name: str) -> list[list[str]]:
        """Into what it was imitated, what is left of it, and what is left of a control."""
        rows = self._imitations.get(name)
        if rows is None:
            return []
        return [
            [
                row["target"],
                with_stderr(row["unexplained_fraction"], row["unexplained_fraction_stderr"]),
                with_stderr(row["control"], row["control_stderr"]) if _finite(row["control"]) is not None else "",
                row["than_control"] or "",
                row["status"] or "",
            ]
            for row in rows.to_dict("records")
        ]


def facts(row: Row) -> Iterator[tuple[str, str]]:
    """What is known of a direction, as terms and values; a value is '' where it is not known."""
    yield "Range of t", f"{significant(row['t_min'])} to {significant(row['t_max'])}"
    yield "Realism holds from", limit_text(row, "min")
    yield "to", limit_text(row, "max")
    yield "Effect at the ends", _both(row, "effect_min", "effect_max")
    yield "KID at equal effect", _estimate(row, "kid_equal")
    yield "KID at t = 0", _estimate(row, "kid_floor") or _estimate(row, "kid_at_zero")
    yield "KID at the ends", _both(row, "kid_at_min", "kid_at_max")
    yield f"{row['metric'] or 'FD'} at the ends", _both(row, "fd_at_min", "fd_at_max")
    yield "area50", _estimate(row, "area50")
    yield "Verdict", row["verdict"]
    yield "Images that lose the subject at the ends", _both(row, "lost_at_min", "lost_at_max")
    yield "Attribute share", _number(row, "attribute_share")
    yield "Monotonicity", _number(row, "monotonicity")
    yield "Attribute dependency", _number(row, "attribute_dependency")
    for kind in IMITATORS:
        yield f"Left by the best {kind}", _estimate(row, f"unexplained_fraction_{kind}")
    yield "Rayleigh quotient", _number(row, "rayleigh")
    yield "Solver residual", _number(row, "solver_residual")
    yield "Singular value", _number(row, "singular_value")
    yield "Reconstructor accuracy", _number(row, "accuracy")


def _both(row: Row, low: str, high: str) -> str:
    values = [_estimate(row, name) for name in (low, high)]
    return f"{values[0]} and{SPACE}{values[1]}" if all(values) else ""


def _estimate(row: Row, column: str) -> str:
    return views.estimate(row, column) if _finite(row[column]) is not None else ""


def _number(row: Row, column: str) -> str:
    return significant(row[column]) if _finite(row[column]) is not None else ""


def _finite(value: Any) -> float | None:
    """A number to five digits, for JSON; `None` if it is not known."""
    return float(f"{value:.5g}") if isinstance(value, int | float) and math.isfinite(value) else None


def _json(data: Any) -> str:
    """JSON that may stand within a script element: no character of it ends that, or begins a comment."""
    text = json.dumps(legible(data, sys.maxsize), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
