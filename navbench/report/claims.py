"""The paper's claims at an equal change of an attribute, in plain words: what holds, and what is contradicted."""

from collections.abc import Callable, Iterator

import pandas as pd

from navbench.report.numbers import listed, metric_name, plain, short_direction, significant, with_stderr
from navbench.report.tables import RunTables

_MOST_TOLD = 3
_OF_ONE_KIND = ["generator", "attribute", "change", "claim"]
_SIDES = {"+": "more", "-": "less"}
_BASELINE, _ASYMMETRY = "svd loses realism faster", "less costs more than more"


def claim_sentences(tables: RunTables) -> list[str]:
    """A paragraph per generator, attribute and claim: in how many comparisons it holds, and the clearest of them."""
    told = []
    for (generator, attribute, _, claim), rows in tables.claims.groupby(_OF_ONE_KIND, sort=False):
        of = f" of {generator}" if tables.several_generators else ""
        amount = with_unit(tables, str(generator), str(attribute), rows["change"].iloc[0])
        told.append(plain(_words(str(claim))(rows, f"{attribute}{of}", amount, str(claim))))
    return told


def unreached_sentences(tables: RunTables) -> list[str]:
    """Per generator and attribute, the ends that could not be changed as much as the others, and how far they got."""
    told = []
    for (generator, attribute, target), rows in matched_ends(tables):
        missed = rows[~rows["is_reached"]]
        if missed.empty:
            continue
        of = f" of {generator}" if tables.several_generators else ""
        amount = with_unit(tables, generator, attribute, target)
        first = missed.iloc[: 2 * _MOST_TOLD].to_dict("records")
        ends = [f"{short_direction(row)} ({_SIDES[row['side']]}, {significant(row['reached'], 2)})" for row in first]
        rest = len(missed) - len(first)
        more = [*ends, f"{rest} more"] if rest else ends
        told.append(
            plain(
                f"{len(missed)} of {len(rows)} ends did not reach the change of {attribute}{of} by {amount} "
                f"and {'is' if len(missed) == 1 else 'are'} left out of the claims: {listed(more)}."
            )
        )
    return told


def matched_ends(tables: RunTables) -> Iterator[tuple[tuple[str, str, float], pd.DataFrame]]:
    """Per generator, attribute and target, one row per direction's end, whatever the metrics."""
    ends = tables.matched.drop_duplicates(["name", "attribute", "target", "t"])
    for (generator, attribute, _), rows in ends.groupby(["generator", "attribute", "target"], sort=False):
        yield (str(generator), str(attribute), float(rows["target"].iloc[0])), rows


def with_unit(tables: RunTables, generator: str, attribute: str, amount: float) -> str:
    """An amount of an attribute in the unit that the table of attributes gives."""
    rows = tables.attributes
    units = rows.loc[(rows["generator"] == generator) & (rows["attribute"] == attribute), "unit"]
    unit = f" {units.iloc[0]}" if len(units) and units.iloc[0] else ""
    return f"{abs(amount):.4g}{unit}"


def _words(claim: str) -> Callable[[pd.DataFrame, str, str, str], str]:
    return {_BASELINE: _baseline, _ASYMMETRY: _asymmetry}.get(claim, _other)


def _counts(rows: pd.DataFrame) -> tuple[int, int, int]:
    yes, no, undecided = (int((rows["holds"] == word).sum()) for word in ("yes", "no", "undecided"))
    return yes, no, undecided


def _baseline(rows: pd.DataFrame, attribute: str, amount: str, _: str) -> str:
    told = [
        f"At the same change of {attribute} ({amount}), measured by {_metric(rows)}, the paper's claim that svd loses "
        f"realism faster than other methods {_tally(rows, 'comparison')}."
    ]
    for holds, speed in (
        ("yes", "It loses realism faster than"),
        ("no", "Against the paper, svd loses it more slowly than"),
    ):
        pairs = [
            f"{row['against']} in {row['place']} (by {with_stderr(abs(row['difference']), row['stderr'])})"
            for row in _clearest(rows, holds)
        ]
        if pairs:
            told.append(f"{speed} {_among(pairs, int((rows['holds'] == holds).sum()))}.")
    return " ".join(told)


def _asymmetry(rows: pd.DataFrame, attribute: str, amount: str, _: str) -> str:
    yes, no, undecided = _counts(rows)
    told = (
        f"Reducing {attribute} by {amount} costs more realism ({_metric(rows)}) than increasing it as much, as the "
        f"paper claims, in {yes or 'none'} of {len(rows)} sets of directions; against the paper, it costs less in "
        f"{no or 'none'}, and {undecided or 'none'} {'is' if undecided <= 1 else 'are'} undecided."
    )
    costly = [
        f"{row['method']} in {row['place']} (by {with_stderr(abs(row['difference']), row['stderr'])})"
        for row in _clearest(rows, "no")
    ]
    return f"{told} It costs less with {_among(costly, no)}." if costly else told


def _other(rows: pd.DataFrame, attribute: str, amount: str, claim: str) -> str:
    return f"At the same change of {attribute} ({amount}), the claim '{claim}' {_tally(rows, 'comparison')}."


def _tally(rows: pd.DataFrame, noun: str) -> str:
    yes, no, undecided = _counts(rows)
    several = "s" if len(rows) > 1 else ""
    return f"holds in {yes or 'none'} of {len(rows)} {noun}{several}, is contradicted in {no}, undecided in {undecided}"


def _metric(rows: pd.DataFrame) -> str:
    return metric_name(rows["metric"].iloc[0], rows["extractor"].iloc[0])


def _clearest(rows: pd.DataFrame, holds: str) -> list[dict]:
    """The comparisons of one outcome whose differences are the largest in standard errors."""
    part = rows[rows["holds"] == holds]
    order = (part["difference"].abs() / part["stderr"]).sort_values(ascending=False, kind="stable").index
    return part.loc[order[:_MOST_TOLD]].to_dict("records")


def _among(words: list[str], of: int) -> str:
    return listed(words) if len(words) == of else f"{listed(words)}, to name the {len(words)} clearest of {of}"
