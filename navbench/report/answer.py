"""The answer in plain words: sentences computed from the tables that claim no more than the numbers hold."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from navbench.declared.shared import IMITATORS
from navbench.report import views
from navbench.report.attributes import found_sentences
from navbench.report.blocks import Block, Cell, Chart, Table, Words
from navbench.report.charts import BANDS, axis_name, by_generator, make_chart, method_dots
from navbench.report.matched import claim_sentences
from navbench.report.numbers import LATENT, capital, counts, duration, listed, setting, significant, span, with_stderr
from navbench.report.page import Page
from navbench.report.provenance import discovery_seconds
from navbench.report.reproduction import best_of_kind, control_sentences, offset_of
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_table

_MOST_LAYERS_TOLD = 3
_OFF_TARGET = 0.1


def blocks(page: Page) -> Iterator[Block]:
    """The opening of the report."""
    tables = page.tables
    if realism := realism_sentences(tables):
        yield Words(" ".join(realism), "lead")
    else:
        yield Words("This run has not measured realism, so it does not say which method keeps it best.", "lead")
    yield from map(Words, (*claim_sentences(tables), " ".join(found_sentences(tables))))
    yield Words(" ".join([*_locality(tables.measured), *reproduction_sentences(tables)]))
    if realism:
        yield Words(" ".join([*_off_target(tables), _caution(tables.methods)]), "note wide-note")
    yield from _method_charts(tables)
    yield _methods_table(tables)


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


def realism_sentences(tables: RunTables) -> list[str]:
    """Per generator, which method keeps realism best, what unshifted images score, and whether KID agrees."""
    told, methods = [], tables.methods
    several = methods["generator"].nunique() > 1
    for generator, own in methods.groupby("generator", sort=False):
        at, of = footing(tables, str(generator)), f" of {generator}" if several else ""
        groups = [(f"{place}{of}", rows) for place, rows in _groups(own, "fd_mean")]
        if len(groups) > _MOST_LAYERS_TOLD:
            told += _many_layers(groups, at, of)
        else:
            told += [f"In {place}, {_compared(rows, at)}" for place, rows in groups]
    return [*told, *_floors(tables), *_kernel(methods)] if told else []


def _floors(tables: RunTables) -> list[str]:
    """What unshifted images score; left out where directions do not share it, or there are many layers."""
    floors = tables.curved.drop_duplicates(["generator", "fd_floor"])
    once = floors["generator"].is_unique and floors["fd_floor"].notna().all() and len(floors) > 0
    if not once or (len(floors) == 1 and len(_groups(tables.methods, "fd_mean")) > _MOST_LAYERS_TOLD):
        return []
    scores = [with_stderr(row["fd_floor"], row["fd_floor_stderr"]) for row in floors.to_dict("records")]
    if len(scores) == 1:
        return [f"Unshifted images score {scores[0]} against the same reference."]
    named = [f"{score} for {generator}" for score, generator in zip(scores, floors["generator"], strict=True)]
    return [f"Unshifted images score {listed(named)}, each against the reference of its generator."]


def _compared(rows: pd.DataFrame, at: str) -> str:
    rows = rows.sort_values("fd_mean", kind="stable")
    first = rows.iloc[0]
    name, _ = views.metric_names(rows)
    least = with_stderr(first["fd_mean"], first["fd_mean_stderr"])
    if len(rows) == 1:
        chosen = "at the chosen effect" if at == "at equal effect" else at
        return f"only {first['method']} was measured: its mean {name} {chosen} is {least}."
    if unfair := _unequal(rows):
        return f"the methods are not compared, as their numbers were taken with different {unfair}."
    if rows["fd_mean_stderr"].isna().any():
        return "the methods are not compared, as some numbers carry no uncertainty."
    if rows["fd_rank_best"].isna().any():
        return "the methods are not compared, as their numbers were not taken on the same footing."
    tied, worse = rows[rows["fd_rank_best"] == 1], rows[rows["fd_rank_best"] > 1]
    values = [with_stderr(row["fd_mean"], row["fd_mean_stderr"]) for row in tied.to_dict("records")]
    if worse.empty:
        return (
            f"{listed(tied['method'])} cannot be told apart: their mean {name} {at}, {values[0]} to {values[-1]}, "
            "does not differ significantly (Holm, 5 %)."
        )
    after = worse.iloc[0]
    next_best = f"{after['method']} at {with_stderr(after['fd_mean'], after['fd_mean_stderr'])}"
    if len(tied) == 1:
        return (
            f"{tied['method'].iloc[0]} keeps realism best {at}: its mean {name} is {values[0]}, "
            f"the next is {next_best}, and the difference is significant (Holm, 5 %)."
        )
    return (
        f"{listed(tied['method'])} keep realism best {at}, as none is significantly worse than another (Holm, 5 %; "
        f"mean {name} of {listed(values)}); {next_best} is significantly worse than one of them."
    )


def _unequal(rows: pd.DataFrame) -> str:
    columns = {"effect_target": "effects", "n": "sample counts", "reference": "references", "extractor": "extractors"}
    columns |= {"metric": "metrics", "curves": "numbers of directions"}
    names = [words for column, words in columns.items() if rows[column].nunique(dropna=False) > 1]
    return listed(names) if names else ""


def _many_layers(groups: list[tuple[str, pd.DataFrame]], at: str, of: str) -> list[str]:
    fair = [
        rows.sort_values("fd_mean", kind="stable")
        for _, rows in groups
        if len(rows) > 1 and not _unequal(rows) and rows[["fd_mean_stderr", "fd_rank_best"]].notna().all(axis=None)
    ]
    if not fair:
        return [f"The methods cannot be compared in any layer{of}."]
    firsts = [rows.loc[rows["fd_rank_best"] == 1, "method"] for rows in fair]
    best = [first.iloc[0] for first in firsts if len(first) == 1]
    wins = [f"{method} in {times}" for method, times in pd.Series(best, dtype=str).value_counts().items()]
    latent = any(rows["place"].iloc[0].startswith("latent") for rows in fair)
    return [
        f"Methods were compared {at} in {len(fair)} {'layers and latent spaces' if latent else 'layers'}{of}. One "
        f"method is significantly better than all others (Holm, 5 %) in {len(best)} of them"
        f"{f' ({listed(wins)})' if wins else ''}; in {len(fair) - len(best)} the best cannot be told from the next."
    ]


def _off_target(tables: RunTables) -> Iterator[str]:
    targets = tables.methods.set_index(["generator", "layer", "method"])["effect_target"]
    targets = targets[~targets.index.duplicated()]
    curved = tables.curved
    keys = pd.MultiIndex.from_frame(curved[["generator", "layer", "method"]])
    wanted = targets.reindex(keys).to_numpy()
    ends = pd.concat([(curved[end] - wanted).abs() / wanted for end in ("effect_min", "effect_max")])
    if missed := int((ends > _OFF_TARGET).sum()):
        yield (
            f"{missed} of {ends.notna().sum()} ends of the ranges with curves miss the chosen effect by more than "
            f"{_OFF_TARGET:.0%}, so they are not on an equal footing."
        )


def _kernel(methods: pd.DataFrame) -> list[str]:
    differ, compared = [], 0
    for place, rows in _groups(methods[methods["kid_mean"].notna()], "fd_mean"):
        if len(rows) < 2 or _unequal(rows):
            continue
        compared += 1
        by_fd, by_kid = (
            rows.sort_values(column, kind="stable")["method"].iloc[0] for column in ("fd_mean", "kid_mean")
        )
        if by_fd != by_kid:
            differ.append(f"{by_kid} first in {place}")
    if not compared:
        return []
    if len(differ) > _MOST_LAYERS_TOLD:
        return [f"KID, which is unbiased in n, puts another method first in {len(differ)} of {compared} of them."]
    if differ:
        return [f"KID, which is unbiased in n, puts {listed(differ)}."]
    return ["KID, which is unbiased in n, puts the same method first" + (" in each." if compared > 1 else ".")]


def _locality(measured: pd.DataFrame) -> Iterator[str]:
    if measured["area50"].notna().any():
        yield f"Half of the squared change of an edit falls on a fraction {span(measured['area50'])} of the image."


def reproduction_sentences(tables: RunTables) -> Iterator[str]:
    """What imitations left of edits, of parameters and of latent codes."""
    rows = tables.reproduction[tables.reproduction["unexplained_fraction"].notna()]
    latent = rows["space"].isin(LATENT)
    scale = " (0 is a perfect imitation, 1 no better than doing nothing)"
    if (~latent).any():
        left = _unexplained_fractions(rows[~latent])
        yield f"Imitating the edits from a latent space left an unexplained fraction of {left}{scale}."
        scale = ""
    if latent.any():
        left = _unexplained_fractions(rows[latent])
        yield f"Imitating latent edits left an unexplained fraction of {left}{scale}."
    yield from control_sentences(tables)


def _unexplained_fractions(rows: pd.DataFrame) -> str:
    """The least and greatest by kind of target, and by generator; of several layers, each edit's best."""
    several = rows["generator"].nunique() > 1
    return listed(
        f"{span(part['unexplained_fraction'])} with one offset of {offset_of(str(kind))}"
        + (f" of {generator}" if several else "")
        for (generator, kind), part in best_of_kind(rows).groupby(["generator", "kind"], sort=False)
    )


def _caution(methods: pd.DataFrame) -> str:
    methods = methods[methods["fd_mean"].notna()]
    measured, found = counts(methods["curves"]), counts(methods["directions"])
    return (
        "The uncertainty is that of sampling images, not of choosing directions: "
        f"{measured} of {found} directions of each set have curves, "
        "so a difference between methods speaks for these directions."
    )


def _method_charts(tables: RunTables) -> Iterator[Chart]:
    """The mean Fréchet distance of every method at equal effect, a plot per generator."""
    for generator, rows in by_generator(tables.methods, "fd_mean"):
        name, _ = views.metric_names(rows)
        floors = tables.curved.loc[tables.curved["generator"] == generator, "fd_floor"].dropna().unique()
        at_zero = float(floors[0]) if len(floors) == 1 else float("nan")
        figure = method_dots(rows, "fd_mean", "fd_mean_stderr", axis_name(rows), at_zero)
        targets = rows["effect_target"].notna().any()
        at = f"at an effect of {span(rows['effect_target'])}" if targets else "at the ends of their ranges"
        caption = (
            f"Mean {name} of each method's directions{tables.of(generator)} with curves {at}. {BANDS} of sampling "
            f"images{'; the dotted line is t = 0' if np.isfinite(at_zero) else ''}. {capital(setting(rows))}."
        )
        words = f"{name} by method: " + "; ".join(
            f"{row['where']} {row['method']} {significant(row['fd_mean'])}" for row in rows.to_dict("records")
        )
        yield make_chart(tables.run, f"methods-{anchor(generator)}", figure, words, caption)


def _methods_table(tables: RunTables) -> Table:
    """One row per layer and method: the summary, with the seconds that finding each set took."""
    methods = tables.methods
    sets = methods["generator"] + "/" + methods["method"] + "/" + methods["layer"]
    methods = methods.assign(seconds=sets.map(discovery_seconds(tables.manifest)).astype(float))
    fd, kid = views.metric_names(methods)
    columns = [
        views.place_column(methods),
        views.word("Method", "method"),
        views.whole("found", "directions", "Directions"),
        views.whole("with curves", "curves", "Directions"),
        views.measured(fd, "fd_mean"),
        views.measured(kid, "kid_mean"),
        views.number("area50", "area50_mean"),
        *(views.number(kind, f"unexplained_fraction_{kind}_mean", "Unexplained fraction") for kind in IMITATORS),
        views.number("Reconstructor accuracy", "accuracy"),
        Column("Discovery", lambda row: Cell(duration(row["seconds"]), row["seconds"]), ("seconds",)),
    ]
    target = ", ".join(sorted({significant(value) for value in methods["effect_target"].dropna()}))
    caption = f"Methods at an effect of {target}." if target else "Methods at the ends of the ranges."
    if methods["fd_mean"].notna().any():
        caption += f" {fd} and {kid} are means over both ends of the directions with curves, ± one standard error."
    if methods[["area50_mean", *(f"unexplained_fraction_{kind}_mean" for kind in IMITATORS)]].notna().any(axis=None):
        caption += (
            " Means of area50 and of unexplained fractions are over the directions that have them, and carry none."
        )
    return make_table(methods, columns, caption + views.measured_with(methods), sortable=False)
