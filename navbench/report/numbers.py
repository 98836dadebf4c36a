"""How numbers and what they were measured with are written, the same everywhere in the report."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from navbench.words import LATENTS

FID_EXTRACTOR = "inception-v3-compat"
NOTHING = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"
"""The spaces of codes; a latent direction's `layer` is the name of its space."""
MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def metric_name(metric: str, extractor: str) -> str:
    """What a column, an axis or a heading calls a metric: only FID's own network lends its bare name."""
    if extractor == FID_EXTRACTOR and metric in ("FID", "KID"):
        return metric
    return f"{metric} ({extractor})" if extractor else metric


def method_name(method: str, is_control: bool, is_labelled: bool) -> str:
    """What a table or a figure calls a method: 'svd', 'random (control)', 'supervised (labels)'."""
    return f"{method} (control)" if is_control else f"{method} (labels)" if is_labelled else method


def place(layer: str, space: str = "") -> str:
    """Where a direction lies, as headings and sentences call it: 'layer main.6', 'latent space w'."""
    return f"latent space {space}" if space in LATENTS else f"layer {layer}"


def short_place(layer: str, space: str = "") -> str:
    """The same where there is little room: 'main.6', 'w space'."""
    return f"{space}{SPACE}space" if space in LATENTS else layer


def short_direction(row: Mapping[Any, Any]) -> str:
    """A direction in few words: 'svd 0, main.6'."""
    return f"{row['method']} {row['direction']}, {row['where']}"


def significant(value: float, digits: int = 3) -> str:
    """A number without an uncertainty, to a few significant digits."""
    if not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 6:
        return _minus(f"{value / 10.0**exponent:.{digits - 1}f}") + _times_ten(exponent)
    return _minus(f"{value:,.{max(digits - 1 - exponent, 0)}f}")


def with_stderr(value: float, stderr: float) -> str:
    """A value ± its standard error, both to the error's second significant digit."""
    if not math.isfinite(value):
        return NOTHING
    if not math.isfinite(stderr) or stderr <= 0:
        return significant(value)
    size = max(abs(value), stderr)
    exponent = math.floor(math.log10(size))
    decimals = 1 - math.floor(math.log10(stderr))
    if exponent < -4:
        scale, places = 10.0**exponent, max(decimals + exponent, 0)
        return _minus(f"({value / scale:z.{places}f}{SPACE}±{SPACE}{stderr / scale:.{places}f})") + _times_ten(exponent)
    value, stderr = round(value, decimals), round(stderr, decimals)
    places = max(decimals, 0)
    return _minus(f"{value:z,.{places}f}{SPACE}±{SPACE}{stderr:,.{places}f}")


def count(value: float) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,.0f}" if math.isfinite(value) else NOTHING


def percent(share: float) -> str:
    """A share as '67 %'."""
    return f"{_minus(f'{100 * share:z.0f}')}{SPACE}%" if math.isfinite(share) else NOTHING


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 100:
        return f"{significant(seconds, 2)} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def listed(words: Iterable[str]) -> str:
    """Words as a sentence lists them: a, b and c."""
    *most, last = list(words) or [NOTHING]
    return f"{', '.join(most)} and {last}" if most else last


def capital(text: str) -> str:
    """Text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def span(values: pd.Series) -> str:
    """The least and the greatest of some numbers, or the one number that they are."""
    values = values.dropna()
    if values.empty:
        return NOTHING
    least, greatest = significant(values.min(), 2), significant(values.max(), 2)
    return least if least == greatest else f"{least} to {greatest}"


def counts(values: pd.Series) -> str:
    """The different whole numbers of a column, such as sample counts."""
    found = sorted(set(values.dropna()))
    return " or ".join(count(value) for value in found) if found else NOTHING


def setting(rows: pd.DataFrame) -> str:
    """What stands beside every Fréchet or kernel distance: reference, sample counts, resolution.

    Where it differs between generators, it is told for each.
    """
    generators = list(rows["generator"].unique()) if "generator" in rows else []
    told = {name: _setting(rows[rows["generator"] == name]) for name in generators}
    if len(set(told.values())) > 1:
        return "; ".join(f"{name}: {words}" for name, words in told.items() if words)
    return _setting(rows)


def _setting(rows: pd.DataFrame) -> str:
    rows = rows[rows["n"].notna()]
    if rows.empty:
        return ""
    references = sorted(set(rows["reference"]) - {""})
    parts = [f"reference: {' or '.join(references)}"] if references else []
    size = f"n{SPACE}={SPACE}{counts(rows['n'])}"
    if "n_reference" in rows and rows["n_reference"].notna().any():
        size += f" (reference {counts(rows['n_reference'])})"
    if "n_kid" in rows and (rows["n_kid"] < rows["n"]).any():
        size += f", KID of {counts(rows['n_kid'])}"
    if "n_reference_kid" in rows and (rows["n_reference_kid"] < rows["n_reference"]).any():
        size += f", KID's reference {counts(rows['n_reference_kid'])}"
    parts.append(size)
    if "resolution" in rows and (sides := sorted(set(rows["resolution"]) - {""})):
        parts.append(f"{' or '.join(sides)}{SPACE}px")
    return ", ".join(parts)


def _times_ten(exponent: int) -> str:
    return f"{SPACE}\N{MULTIPLICATION SIGN}{SPACE}10{str(exponent).translate(_SUPERSCRIPTS)}"


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
