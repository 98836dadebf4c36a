"""The answer: per generator which direction to use, how far it goes, what it costs, and what speaks against it."""

from collections.abc import Iterator

import pandas as pd
from markupsafe import Markup

from navbench.metrics.limits import BEYOND, UNDECIDED, WITHIN
from navbench.report.blocks import Block, Chips, Details, Pick, Picks, Words
from navbench.report.frames import strip_of
from navbench.report.instrument import refusals
from navbench.report.numbers import capital, percent, significant, with_stderr
from navbench.report.page import Page
from navbench.report.picks import INTERPRETABLE, doubts, picks
from navbench.report.provenance import shown_codes_words
from navbench.report.reach import limit_text, limit_words, within_text
from navbench.report.tables import RunTables
from navbench.report.views import Row, automatic_label, permalink
from navbench.texts import escaped
from navbench.words import LATENTS

_SHOWN = 4
"""Cards of a generator."""
_ORDER = (
    "Best first: directions of one attribute, then those with a curve, then by the effect within limits. Pictures go "
    "over the whole range of t and back."
)
_RULE = (
    "Chosen by rule: interpretable directions before others, those with a curve before those that were measured at "
    "their ends alone, and among these the one first whose two ends both reach the largest effect before realism "
    "breaks, or are shown to reach it (95 %) where a break is undecided; each attribute, or each method in a place, is "
    "there once. Controls, methods that see labels and sets that have not converged take no part."
)


def blocks(page: Page) -> Iterator[Block]:
    """Per generator a sentence, doubts, and the best directions as cards."""
    tables = page.tables
    refused = dict(zip(_failing(tables), refusals(tables), strict=True))
    for generator in tables.directions["generator"].unique():
        rows = picks(tables, generator, _SHOWN).to_dict("records")
        if rows:
            yield Words(_advice(tables, rows[0]), "lead")
        else:
            yield Words(refused.get(generator) or _nothing(tables, generator), "lead")
        yield Chips(tuple(doubts(tables, generator)))
        yield Picks(tuple(_pick(page, row) for row in rows), _ORDER)
    yield Details(
        "How they were chosen", (Words(f"{_RULE} {limit_words(tables)}"), Words(shown_codes_words(tables.manifest)))
    )


def _failing(tables: RunTables) -> list[str]:
    failed = tables.instrument[~tables.instrument["passed"]]["generator"]
    return [str(name) for name in tables.instrument["generator"].unique() if name in set(failed)]


def _nothing(tables: RunTables, generator: str) -> str:
    """Why no direction of a generator is recommended."""
    of = tables.of(generator)
    if tables.limits[tables.limits["generator"] == generator].empty:
        return f"This run does not say how far directions{of} can go before realism breaks, so it recommends none."
    return (
        f"No direction{of} but those of controls, of methods that see labels and of sets that have not converged was "
        "measured, so none is recommended."
    )


def _advice(tables: RunTables, row: Row) -> Markup:
    """Which direction to use: what it changes, how far it goes, what it costs, and whether a code could do it."""
    name = Markup('<a href="{}"><code>{}</code></a>').format(permalink(row["name"]), escaped(row["name"]))
    of = f"For {row['generator']}, " if tables.several_generators else ""
    is_named = row["verdict"] == INTERPRETABLE or row["label"]
    use = f"{of}use" if is_named else f"{of}{_unnamed(tables, row)}"
    label = f" ({_label(row)})" if _label(row) else ""
    use = Markup("<strong>{} {}</strong>{}.").format(escaped(use[:1].upper() + use[1:]), name, escaped(label))
    parts = [_what(tables, row), _how_far(row), _cost(row), _imitated(tables, row)]
    return Markup("{} {}").format(use, escaped(" ".join(filter(None, parts))))


def _unnamed(tables: RunTables, row: Row) -> str:
    """What is recommended where no direction is of one attribute."""
    scored = row["generator"] in set(tables.attributes["generator"])
    why = "no direction changes one attribute alone" if scored else "nothing names what directions do"
    which = "of those with a curve, the one" if row["curved"] else "the one"
    return f"{why}; {which} that goes furthest is"


def _label(row: Row) -> str:
    """What a person called it, or else what a scorer did, which is marked."""
    given = automatic_label(row)
    return str(row["label"]) or (f"{given}, auto" if given else "")


def _what(tables: RunTables, row: Row) -> str:
    if row["verdict"] == INTERPRETABLE:
        return f"Of its change in all scored attributes, {percent(row['attribute_share'])} is the {row['attribute']}."
    if row["generator"] in set(tables.attributes["generator"]):
        return "It changes no attribute alone."
    return "A person named it." if row["label"] else "Look at what it changes."


def _how_far(row: Row) -> str:
    """How far realism holds towards both ends; beyond a range it is not known, and within it a break may be missed."""
    status = {end: row[f"limit_{end}_status"] for end in ("min", "max")}
    ends = {end: significant(row[f"t_{end}"]) for end in status}
    if set(status.values()) == {WITHIN}:
        return f"Realism holds from t = {limit_text(row, 'min')} to {limit_text(row, 'max')}."
    if set(status.values()) == {BEYOND}:
        return f"No break of realism is shown within its range, t = {ends['min']} to {ends['max']}."
    if set(status.values()) == {UNDECIDED}:
        return f"Whether realism breaks within its range, t = {ends['min']} to {ends['max']}, is undecided."
    told = sorted(status, key=lambda end: (WITHIN, BEYOND, UNDECIDED).index(status[end]))
    return f"{capital('; '.join(_towards(row, end) for end in told))}."


def _towards(row: Row, end: str) -> str:
    """How far realism holds towards one end."""
    status, way = row[f"limit_{end}_status"], {"min": "down", "max": "up"}[end]
    if status == WITHIN:
        return f"realism holds {way} to t = {limit_text(row, end)}"
    far = f"{way} to {significant(row[f't_{end}'])}, the end of its range,"
    return f"{far} no break is shown" if status == BEYOND else f"whether it breaks {far} is undecided"


def _cost(row: Row) -> str:
    if row["kid_equal"] != row["kid_equal"]:
        return ""
    score = with_stderr(row["kid_equal"], row["kid_equal_stderr"])
    zero = with_stderr(row["kid_at_zero"], row["kid_at_zero_stderr"])
    return f"At equal effect its KID is {score}, that of unshifted images {zero}."


def _imitated(tables: RunTables, row: Row) -> str:
    """Whether a latent code could have done the same."""
    if row["space"] in LATENTS:
        return f"It is an offset of the code {row['space']}, so no weight changes."
    rows = tables.reproduction[tables.reproduction["name"] == row["name"]]
    rows = rows[rows["unexplained_fraction"].notna() & rows["target"].isin(LATENTS)]
    if rows.empty:
        return "Whether a latent code could do it was not tried."
    best = rows.sort_values("unexplained_fraction").iloc[0]
    left = f"A latent code (one offset of {best['target']}) leaves {percent(best['unexplained_fraction'])} of the edit"
    asides = "; ".join(_asides(best))
    return f"{left} ({asides})." if asides else f"{left}."


def _asides(imitation: pd.Series) -> Iterator[str]:
    """What limits an imitation, how much better one offset per image is, and what is left of a random edit."""
    if imitation["status"]:
        yield imitation["status"]
    if imitation["bound"] == imitation["bound"]:
        yield f"an offset per image {percent(imitation['bound'])}, of {imitation['n_bound']:.0f} codes"
    if imitation["control"] == imitation["control"]:
        decided = {"less": "significantly more", "more": "significantly less", "undecided": "no significant difference"}
        verdict = decided.get(str(imitation["than_control"]), "not compared")
        yield f"of a random edit {percent(imitation['control'])}, {verdict}"


def _pick(page: Page, row: Row) -> Pick:
    facts = (
        ("Realism holds", f"{limit_text(row, 'min')} to {limit_text(row, 'max')}"),
        ("Effect within limits", within_text(row)),
        ("KID at equal effect", with_stderr(row["kid_equal"], row["kid_equal_stderr"])),
        *((("Attribute share", percent(row["attribute_share"])),) if row["verdict"] == INTERPRETABLE else ()),
    )
    return Pick(row["name"], permalink(row["name"]), _label(row), facts, strip_of(page, row["name"]))
