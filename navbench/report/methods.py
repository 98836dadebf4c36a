"""Methods compared, in plain words: sentences computed from the tables that claim no more than the numbers hold."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from navbench.declared.shared import IMITATORS, SHARES
from navbench.report import views
from navbench.report.attributes import found_sentences
from navbench.report.blocks import Block, Cell, Chart, Details, Table, Words
from navbench.report.charts import axis_name, by_generator, make_chart, method_spread
from navbench.report.controls import control_sentences
from navbench.report.instrument import headline_tables, refusals, unchecked
from navbench.report.matched import claim_sentences
from navbench.report.numbers import capital, duration, listed, setting, significant, span, with_stderr
from navbench.report.page import Page
from navbench.report.provenance import discovery_seconds
from navbench.report.reproduction import best_of_kind, chance_sentences, offset_of
from navbench.report.scatter import scatter_charts
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_table
from navbench.words import LATENTS, NOT_CONVERGED

_MOST_LAYERS_TOLD = 3


def blocks(page: Page) -> Iterator[Block]:
    """One figure per generator, what it decides, and the rest folded."""
    tables = page.tables
    told = headline_tables(tables.converged)
    yield from _method_charts(tables)
    yield Words(" ".join(_lead(tables, told.contenders)))
    yield Details("Every direction as a point", tuple(scatter_charts(tables)))
    edits = tables.converged.contenders
    notes = " ".join([*_unreached(tables), *unconverged_sentences(tables)])
    yield Details(
        "Beside their controls, what was found, and all numbers",
        (
            Words(" ".join(control_sentences(told))),
            *map(Words, claim_sentences(told)),
            Words(" ".join(found_sentences(tables.converged))),
            Words(" ".join([*_locality(edits.measured), *reproduction_sentences(edits)])),
            Words(notes, "note wide-note"),
            *_methods_tables(tables),
        ),
    )


def _lead(tables: RunTables, told: RunTables) -> list[str]:
    """What the run says of realism, or why it says nothing.

    Args:
        tables: of the run.
        told: what may be spoken of.
    """
    refused, realism = list(refusals(tables)), realism_sentences(told)
    if refused or realism:
        return [*refused, *realism, *unchecked(tables)]
    methods = tables.methods
    if methods["kid_mean"].notna().any():
        return [
            "Realism was measured of controls, methods that see labels and sets that have not converged alone, so no "
            "method is named."
        ]
    if methods["fd_mean"].notna().any():
        return ["KID is not known of this reference, by which methods are compared; Realism has their distances."]
    return ["This run has not measured realism, so it does not say which method keeps it best."]


def _groups(methods: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The methods of each layer or latent space that have a number, and how a sentence names it."""
    several = methods["generator"].nunique() > 1
    return [
        (f"{place} of {generator}" if several else str(place), rows[rows[column].notna()])
        for (generator, place), rows in methods.groupby(["generator", "place"], sort=False)
        if rows[column].notna().any()
    ]


def footing(tables: RunTables, generator: str) -> str:
    """Where the methods of a generator are compared: 'at equal effect', unless its ranges have another meaning."""
    calibrated = tables.calibration.loc[tables.calibration["generator"] == generator, "quantity"].unique()
    if len(calibrated) == 1 and calibrated[0] != "effect":
        return f"at the same change of {calibrated[0]}"
    methods = tables.methods[tables.methods["generator"] == generator]
    return "at equal effect" if methods["effect_target"].notna().any() else "at the ends of the ranges"


def unconverged_sentences(tables: RunTables) -> Iterator[str]:
    """Which learned sets have not converged, and that the sentences leave them out."""
    rows = tables.methods[tables.methods["status"] == NOT_CONVERGED].to_dict("records")
    named = [f"{row['generator']}/{row['method']}/{row['layer']}" for row in rows]
    if named:
        yield (
            f"The learning of {listed(named)} has not converged by the criteria under Provenance, so the sentences "
            f"above leave {'it' if len(named) == 1 else 'them'} out; tables and figures show what was measured."
        )


def realism_sentences(tables: RunTables) -> list[str]:
    """Per generator, which method keeps realism best by KID at an equal effect, and what unshifted images score."""
    told = []
    for generator, own in tables.methods.groupby("generator", sort=False):
        groups = [
            (f"{place}{tables.of(generator)}", rows, _pairs(tables, rows)) for place, rows in _groups(own, "kid_mean")
        ]
        if len(groups) > _MOST_LAYERS_TOLD:
            told += _many_layers(groups, tables.of(generator))
        else:
            told += [f"In {place}, {_compared(rows, pairs)}" for place, rows, pairs in groups]
    return [*told, *_floors(tables.methods)] if told else []


def _pairs(tables: RunTables, rows: pd.DataFrame) -> pd.DataFrame:
    """The comparisons by KID of the methods of a place."""
    ranking, first = tables.ranking, rows.iloc[0]
    where = (ranking["generator"] == first["generator"]) & (ranking["layer"] == first["layer"])
    return ranking[where & (ranking["metric"] == "KID")]


def _floors(methods: pd.DataFrame) -> Iterator[str]:
    """What unshifted images score."""
    floors = methods[methods["kid_floor"].notna()].drop_duplicates("generator")
    scores = [with_stderr(row["kid_floor"], row["kid_floor_stderr"]) for row in floors.to_dict("records")]
    if len(scores) == 1:
        yield f"Unshifted images score {scores[0]} against the same reference."
    elif scores:
        named = [f"{score} for {generator}" for score, generator in zip(scores, floors["generator"], strict=True)]
        yield f"Unshifted images score {listed(named)}, each against the reference of its generator."


def _scored(row: pd.Series) -> str:
    """A method's mean, and over how many of its directions."""
    return f"{with_stderr(row['kid_mean'], row['kid_mean_stderr'])} over {row['kid_directions']:.0f} directions"


def _compared(rows: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """What can be said of the methods of a place; what limits it stands in the same sentence."""
    rows = rows.sort_values("kid_mean", kind="stable")
    _, name = views.metric_names(rows)
    at = f"at an effect of {significant(rows['effect'].iloc[0], 2)}"
    if len(rows) == 1:
        first = rows.iloc[0]
        return (
            f"{first['method']} stands alone, as others were not measured, are controls, see labels or have not "
            f"converged: its mean {name} {at} is {_scored(first)}."
        )
    alike = pairs[pairs["status"] == ""]
    if alike.empty:
        status = pairs["status"].iloc[0] if len(pairs) else "of runs without comparisons"
        return f"the methods are not compared, as they are {status}."
    tied, worse = _tied(rows, alike)
    values = [_scored(row) for _, row in tied.iterrows()]
    left = _left(rows, alike)
    if worse.empty:
        return (
            f"{listed(tied['method'])} cannot be told apart: their mean {name} {at}, {values[0]} to {values[-1]}, does "
            f"not differ significantly over directions and codes (Holm, 5 %){left}."
        )
    after = f"{worse.iloc[0]['method']} at {_scored(worse.iloc[0])}"
    if len(tied) == 1:
        return (
            f"{tied['method'].iloc[0]} keeps realism best {at}: its mean {name}, lower being better, is {values[0]}, "
            f"the next is {after}, and every difference from it is significant over directions and codes "
            f"(Holm, 5 %){left}."
        )
    return (
        f"no method keeps realism significantly better {at} than {listed(tied['method'])} do, over directions and "
        f"codes (Holm, 5 %; mean {name}, lower being better, of {listed(values)}); {after} is significantly worse than "
        f"one of them{left}."
    )


def _tied(rows: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The methods of which none is significantly worse than another one of the place, and the others."""
    decided = pairs[pairs["lower"] != ""]
    beaten = set(decided["method"].where(decided["lower"] != decided["method"], decided["against"]))
    is_compared = rows["method"].isin({*pairs["method"], *pairs["against"]})
    is_beaten = rows["method"].isin(beaten)
    return rows[is_compared & ~is_beaten], rows[is_compared & is_beaten]


def _left(rows: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """The methods of a place that take no part in the comparison."""
    left = [method for method in rows["method"] if method not in {*pairs["method"], *pairs["against"]}]
    return f"; {listed(left)} {'is' if len(left) == 1 else 'are'} not compared" if left else ""


def _many_layers(groups: list[tuple[str, pd.DataFrame, pd.DataFrame]], of: str) -> list[str]:
    fair = [(rows, alike) for _, rows, pairs in groups if len(alike := pairs[pairs["status"] == ""])]
    if not fair:
        return [f"The methods cannot be compared in any layer{of}."]
    firsts = [tied["method"] for tied, worse in (_tied(*each) for each in fair) if len(tied) == 1 and len(worse)]
    wins = [
        f"{method} in {times}" for method, times in pd.Series(map("".join, firsts), dtype=str).value_counts().items()
    ]
    latent = any(rows["place"].iloc[0].startswith("latent") for rows, _ in fair)
    effect = significant(fair[0][0]["effect"].iloc[0], 2)
    return [
        f"Methods were compared by KID, lower being better, at an effect of {effect} in {len(fair)} "
        f"{'layers and latent spaces' if latent else 'layers'}{of}. One method is significantly better than all others "
        f"over directions and codes (Holm, 5 %) in {len(firsts)} of them{f' ({listed(wins)})' if wins else ''}; in "
        f"{len(fair) - len(firsts)} the best cannot be told from the next."
    ]


def _unreached(tables: RunTables) -> Iterator[str]:
    """How many directions do not reach the effect of the comparison, of each generator with any."""
    kernel = tables.equal[tables.equal["metric"] == "KID"]
    for generator, rows in kernel.groupby("generator", sort=False):
        if missed := int((~rows["reached"]).sum()):
            yield (
                f"{missed} of {len(rows)} directions{tables.of(generator)} do not reach an effect of "
                f"{significant(rows['effect'].iloc[0], 2)} at both ends and are not compared."
            )


def _locality(measured: pd.DataFrame) -> Iterator[str]:
    if measured["area50"].notna().any():
        yield f"Half of the squared change of an edit falls on a fraction {span(measured['area50'])} of the image."


def reproduction_sentences(tables: RunTables) -> Iterator[str]:
    """What imitations left of edits, of parameters and of latent codes."""
    rows = tables.reproduction[tables.reproduction["unexplained_fraction"].notna()]
    latent = rows["space"].isin(LATENTS)
    scale = " (0 is a perfect imitation, 1 no better than doing nothing)"
    if (~latent).any():
        left = _unexplained_fractions(rows[~latent])
        yield f"Imitating the edits from a latent space left an unexplained fraction of {left}{scale}."
        scale = ""
    if latent.any():
        left = _unexplained_fractions(rows[latent])
        yield f"Imitating latent edits left an unexplained fraction of {left}{scale}."
    yield from chance_sentences(tables)


def _unexplained_fractions(rows: pd.DataFrame) -> str:
    """The least and greatest by kind of target, and by generator; of several layers, each edit's best."""
    several = rows["generator"].nunique() > 1
    return listed(
        f"{span(part['unexplained_fraction'])} with one offset of {offset_of(str(kind))}"
        + (f" of {generator}" if several else "")
        for (generator, kind), part in best_of_kind(rows).groupby(["generator", "kind"], sort=False)
    )


def _method_charts(tables: RunTables) -> Iterator[Chart]:
    """The KID of all directions and of every method at an equal effect, a plot per generator."""
    for generator, rows in by_generator(tables.methods, "kid_mean"):
        _, name = views.metric_names(rows)
        floor = rows["kid_floor"].iloc[0]
        points = tables.equal[(tables.equal["generator"] == generator) & (tables.equal["metric"] == "KID")]
        sizes = rows.assign(metric="KID", n=rows["n_kid"], n_reference=rows["n_reference_kid"])
        figure = method_spread(rows, points, "kid_mean", axis_name(sizes), floor)
        caption = (
            f"{name} of each direction{tables.of(generator)} at an effect of {significant(rows['effect'].iloc[0], 2)} "
            "(small points), and the mean of each method: lower is better. Thick bars are ± 1.96 standard errors of "
            "other codes, thin ones of other directions on other codes"
            f"{'; the dotted line is t = 0' if np.isfinite(floor) else ''}. {capital(setting(sizes))}."
        )
        words = f"{name} by method: " + "; ".join(
            f"{row['where']} {row['method']} {significant(row['kid_mean'])}" for row in rows.to_dict("records")
        )
        yield make_chart(tables.run, f"methods-{anchor(generator)}", figure, words, caption)


def _methods_tables(tables: RunTables) -> Iterator[Table]:
    """One row per layer and method: what it costs; and how it was found, how local it is and what imitates it."""
    methods = tables.methods
    sets = methods["generator"] + "/" + methods["method"] + "/" + methods["layer"]
    methods = methods.assign(seconds=sets.map(discovery_seconds(tables.manifest)).astype(float))
    fd, kid = views.metric_names(methods)
    which = [views.place_column(methods), views.method_column()]
    realism = [
        *which,
        views.whole("compared", "kid_directions", "Directions"),
        views.whole("with curves", "curves", "Directions"),
        views.measured(kid, "kid_mean"),
        *(views.measured(name, f"{name}_mean", "Higher is better") for name in SHARES),
        views.measured(fd, "fd_mean"),
    ]
    others = [
        *which,
        views.word("Control", "control"),
        views.whole("Directions found", "directions"),
        views.number("area50", "area50_mean"),
        *(views.number(kind, f"unexplained_fraction_{kind}_mean", "Unexplained fraction") for kind in IMITATORS),
        views.number("Reconstructor accuracy", "accuracy"),
        *([views.word("Learning", "status")] if methods["status"].notna().any() else []),
        Column("Discovery", lambda row: Cell(duration(row["seconds"]), row["seconds"]), ("seconds",)),
    ]
    if methods["kid_mean"].notna().any():
        effects = ", ".join(sorted({significant(value, 2) for value in methods["effect"].dropna()}))
        caption = (
            f"Methods at an effect of {effects}. {kid} (lower is better) and shares are means over all directions that "
            f"reach it, {fd} over those with curves, ± one standard error of other directions on other codes."
        )
        yield make_table(methods, realism, caption + views.measured_with(methods), sortable=False)
    caption = "Methods: their controls, how they were found, and means over the directions that have such numbers"
    yield make_table(methods, others, f"{caption}, which carry no error.", sortable=False)
