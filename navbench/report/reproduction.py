"""Could another space have done the same: how well offsets elsewhere imitate each edit."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from navbench.metrics.estimate import BAND
from navbench.report import views
from navbench.report.blocks import Block, Chart, Details, Sheets, Table, Words
from navbench.report.charts import BANDS, by_generator, make_chart, method_legend
from navbench.report.drawing import INK, MUTED, colour, finish, label_edges, panels, styled
from navbench.report.numbers import MINUS, counts, span
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import anchor, make_table
from navbench.texts import escaped
from navbench.words import LATENTS

TARGETS = {
    "z": "#3b6ea5",
    "w": "#5d9b76",
    "w+": "#8a6fb0",
    "s": "#4f8f8c",
    "activation": "#c2703d",
    "parameter": "#a3456b",
}


def title(page: Page) -> str:
    """The question that the section answers."""
    other = "another space" if "latent" in edited_spaces(page.tables) else "a latent code"
    return f"Could {other} have done the same?"


def blocks(page: Page) -> Iterator[Block]:
    """What was sought, what was left, and how it fell."""
    tables = page.tables
    charts, edited = list(_reproduction_charts(tables)), edited_spaces(tables)
    if charts and "parameter" in edited:
        yield Words(
            f"For each edit{' of a kernel' if 'latent' in edited else ''}, one offset of {latent_targets(tables)}, or "
            "of the activation that enters the layer, was sought that imitates it best: the same offset for all codes, "
            "as the edit is the same for all."
        )
    if charts and "latent" in edited:
        yield Words(
            "The other way round: for each edit of a latent code, one offset of one layer’s kernel was sought that "
            "imitates it best. A small unexplained fraction says that this kernel can do what the latent "
            "direction does."
        )
    yield from map(Words, (*chance_sentences(tables), *bound_sentences(tables)))
    yield from charts
    if charts:
        yield Details("All imitations", (_imitations_table(tables),))
    yield Sheets(page.sheets("reproduction"))


def chance_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator and kind of target, which edits leave more than a random direction does, and what limits that.

    That a space cannot imitate an edit is said against this control alone.
    """
    rows = tables.contenders.reproduction
    for (generator, kind), part in rows.assign(kind=target_kinds(rows)).groupby(["generator", "kind"], sort=False):
        if part["control"].notna().any():
            yield _against_control(part, f"One offset of {offset_of(str(kind))}", tables.of(str(generator)))


def _against_control(rows: pd.DataFrame, offset: str, of: str) -> str:
    verdicts = rows["than_control"].fillna("")
    compared, limits = rows[verdicts != ""], list(_limits(rows[verdicts == ""]))
    if compared.empty:
        reasons = f" ({'; '.join(limits)})" if limits else ""
        return f"{offset} is not compared with a control{of}{reasons}."
    if overfitted := int(_says(compared, "more codes").any(axis=1).sum()):
        limits.append(
            f"in {overfitted} of those compared the held-out codes leave another fraction than those of the fit, of "
            "the edit or of the random directions, so more codes are needed"
        )
    more, less = (int((verdicts == word).sum()) for word in ("more", "less"))
    claim = f"{more} {'is' if more == 1 else 'are'} harder to imitate" if more else "none is shown to be beyond it"
    return (
        f"{offset} leaves more of {more or 'none'} of {len(compared)} edits{of} than of random directions of the same "
        f"space at an effect within a quarter ({span(compared['control'])}), and less of {less or 'none'} (Holm, 5 %), "
        f"so against this control {claim}{'; ' if limits else ''}{'; '.join(limits)}."
    )


def _limits(rows: pd.DataFrame) -> Iterator[str]:
    """Why some imitations are not compared with their control."""
    own, random = (_says(rows, "not converged")[name] for name in ("status", "control_status"))
    if own.any():
        yield f"searches that had not converged: {own.sum()}"
    if (random & ~own).any():
        yield f"edits beside whose random directions the searches had not: {(random & ~own).sum()}"
    if other := int((~own & ~random & rows["control"].notna()).sum()):
        yield f"edits of another effect than the random directions: {other}"


def _says(rows: pd.DataFrame, words: str) -> pd.DataFrame:
    """Whether the status of an imitation, or of its control's, says something."""
    return rows[["status", "control_status"]].fillna("").map(lambda told: words in told).astype(bool)


def bound_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator and kind of target, what the best offset of each image singly leaves."""
    rows = tables.reproduction[tables.reproduction["bound"].notna()]
    for (generator, kind), part in rows.assign(kind=target_kinds(rows)).groupby(["generator", "kind"], sort=False):
        yield (
            f"An offset of {offset_of(str(kind))} for each image{tables.of(str(generator))}, sought on "
            f"{counts(part['n_bound'])} codes, leaves {span(part['bound'])}, which is about the least that a single "
            "one could leave."
        )


def offset_of(kind: str) -> str:
    """What an offset of a kind of target space is added to, in words."""
    return {"activation": "the activation", "parameter": "one layer's kernel"}.get(kind, kind)


def _imitations_table(tables: RunTables) -> Table:
    """Every imitation beside its control and its bound."""
    frame = tables.reproduction
    columns = [
        *views.who_columns(tables, frame),
        views.word("Target", "target"),
        views.number("Effect", "effect"),
        views.measured("Unexplained", "unexplained_fraction"),
        views.number("On codes of the fit", "unexplained_fraction_train"),
        views.measured("Per image", "bound"),
        views.measured("Control", "control"),
        views.word("Than control", "than_control"),
        views.whole("Steps", "steps"),
        views.word("Limited by", "status"),
    ]
    caption = (
        "Unexplained fractions (lower is a better imitation) ± one standard error, of the edit, of the best offset per "
        "image, and of a random direction of the same space; more or less is left than of that, where it is "
        "significant (Student's t, Holm over all tests of the run, 5 %)."
    )
    return make_table(frame, columns, caption)


def edited_spaces(tables: RunTables) -> set[str]:
    """Which kinds of edits were imitated: 'latent', 'parameter'."""
    return {"latent" if space in LATENTS else "parameter" for space in tables.reproduction["space"]}


def latent_targets(tables: RunTables) -> str:
    """The latent spaces in which imitations were sought; z if there were none."""
    kinds = set(target_kinds(tables.reproduction))
    return ", of ".join(space for space in LATENTS if space in kinds) or "z"


def _reproduction_charts(tables: RunTables) -> Iterator[Chart]:
    """The unexplained fractions of imitations, and how they fell, per generator."""
    for generator, rows in by_generator(tables.reproduction, "unexplained_fraction"):
        words = f"Unexplained fractions of imitations of {generator}'s edits: {span(rows['unexplained_fraction'])}."
        caption = (
            f"What the best imitation leaves of an edit, on held-out codes (n = "
            f"{counts(rows['n'])}). {BANDS}; the dotted line is an imitation no better than doing nothing."
        )
        if rows["control"].notna().any():
            caption += " Diamonds: random directions of the same space at an effect within a quarter."
        if rows["bound"].notna().any():
            caption += " Strokes: the best offset per image."
        if len(best_of_kind(rows)) < len(rows):
            caption += " Where several layers were tried, the bar is of the best."
        yield make_chart(tables.run, f"unexplained-{anchor(generator)}", _unexplained_bars(rows), words, caption)
    for generator, rows in by_generator(tables.reproduction_steps, "unexplained_fraction_train"):
        words = f"Unexplained fractions on training codes over optimiser steps, for {generator}."
        trained = tables.reproduction.loc[tables.reproduction["generator"] == generator, "n_train"]
        caption = f"The unexplained fraction on training codes (n = {counts(trained)}) as imitations were sought."
        yield make_chart(tables.run, f"unexplained-steps-{anchor(generator)}", _unexplained_steps(rows), words, caption)


@styled
def _unexplained_bars(reproduction: pd.DataFrame) -> Figure:
    """What the best imitation leaves of each edit, by kind of target, a panel per layer; of several layers the best."""
    reproduction = best_of_kind(reproduction).assign(edit=_edits)
    places = list(reproduction["place"].unique())
    most = int(reproduction.groupby("place")["edit"].nunique().max())
    figure, grid = panels(len(places), 2, 0.95 + 0.36 * most, sharex=True)
    targets = _targets(reproduction)
    thick = 0.74 / len(targets)
    for axes, place in zip(grid, places, strict=True):
        rows = reproduction[reproduction["place"] == place]
        edits = list(rows["edit"].unique())
        for step, target in enumerate(targets):
            part = rows[rows["kind"] == target]
            where = [edits.index(edit) + (step - (len(targets) - 1) / 2) * thick for edit in part["edit"]]
            error = BAND * part["unexplained_fraction_stderr"].fillna(0.0)
            axes.barh(where, part["unexplained_fraction"], thick * 0.9, color=targets[target])
            axes.errorbar(part["unexplained_fraction"], where, xerr=error, fmt="none", ecolor=INK, elinewidth=0.9)
            axes.plot(part["control"], where, linestyle="none", marker="D", markersize=3, color=INK, fillstyle="none")
            axes.plot(part["bound"], where, linestyle="none", marker="|", markersize=6, color=INK)
        axes.axvline(1.0, color=MUTED, linestyle=":", linewidth=1.1)
        axes.set_yticks(range(len(edits)), edits)
        axes.set_ylim(len(edits) - 0.4, -0.6)
        axes.set_title(escaped(place))
        axes.set_xlabel("unexplained fraction: 0 perfect imitation, 1 none")
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelbottom=True)
    handles = [
        Line2D([], [], color=targets[target], linewidth=5, label=f"best {escaped(target)}") for target in targets
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return finish(figure)


@styled
def _unexplained_steps(steps: pd.DataFrame) -> Figure:
    """The unexplained fraction on training codes as each imitation was sought, a panel per target."""
    targets = list(_targets(steps))
    figure, grid = panels(len(targets), 2, 2.9, sharey=True)
    for axes, target in zip(grid, targets, strict=True):
        rows = steps[target_kinds(steps) == target]
        for _, line in rows.groupby(["name", "t", "target"], sort=False):
            shade = colour(line["method"].iloc[0])
            axes.plot(line["step"], line["unexplained_fraction_train"], color=shade, linewidth=1.1, alpha=0.85)
        axes.axhline(1.0, color=MUTED, linestyle=":", linewidth=1.1)
        axes.set_ylim(bottom=0)
        axes.set_title(f"best {escaped(target)}")
    label_edges(grid, "optimiser step", "unexplained fraction on training codes", numbers_inside=True)
    method_legend(figure, steps)
    return finish(figure)


def target_kinds(rows: pd.DataFrame) -> pd.Series:
    """The space that each imitation was sought in, without the layer's name: z, w, activation, parameter."""
    return rows["target"].str.split(" ").str[0]


def best_of_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """Of imitations of one edit in several layers, the one that explains most; the column `kind` is new."""
    order = rows.assign(kind=target_kinds(rows)).sort_values("unexplained_fraction", kind="stable")
    return order.drop_duplicates(["name", "t", "kind"]).sort_index()


def _targets(rows: pd.DataFrame) -> dict[str, str]:
    """The target kinds of some rows and their colours, known ones first."""
    found = set(target_kinds(rows))
    return {kind: TARGETS.get(kind, MUTED) for kind in [*TARGETS, *sorted(found - set(TARGETS))] if kind in found}


def _edits(rows: pd.DataFrame) -> list[str]:
    """Each row's edit in a few words: method, direction, and the sign of t if both ends were imitated."""
    both = rows.groupby("name")["t"].nunique().max() > 1
    signs = np.where(rows["t"] > 0, " +", f" {MINUS}") if both else [""] * len(rows)
    parts = zip(rows["method"], rows["direction"], signs, strict=True)
    return [escaped(f"{method} {direction}{sign}") for method, direction, sign in parts]
