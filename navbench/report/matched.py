"""Realism at the same change of an attribute: methods compared there, and what it says of the paper's claims."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from navbench.metrics.estimate import BAND
from navbench.report import views
from navbench.report.blocks import Block, Cell, Chart, Details, Table, Words
from navbench.report.charts import BANDS, axis_name, make_chart, method_names, name_methods
from navbench.report.drawing import MUTED, colour, finish, known_first, label_edges, panels, styled
from navbench.report.numbers import (
    MINUS,
    SPACE,
    capital,
    listed,
    setting,
    short_direction,
    significant,
    with_stderr,
)
from navbench.report.page import Page
from navbench.report.shortfall import by_reason
from navbench.report.tables import RunTables
from navbench.report.views import Column, anchor, make_table

_MARKS = {"+": "^", "-": "v"}
_MOST_TOLD = 3
_OF_ONE_KIND = ["generator", "attribute", "change", "claim"]
_SIDES = {"+": "more", "-": "less"}
_BASELINE, _ASYMMETRY = "svd loses realism faster", "less costs more than more"


def blocks(page: Page) -> Iterator[Block]:
    """The claims, a chart per attribute, and the numbers."""
    tables = page.tables
    if tables.matched.empty:
        yield from map(Words, choice_sentences(tables))
        return
    yield Words(
        "Equal effect is not equal in meaning. Here each set’s best direction for one attribute is moved until the "
        "attribute has changed by the same amount, and realism is measured there."
    )
    yield from map(
        Words,
        (*choice_sentences(tables), *claim_sentences(tables), *unreached_sentences(tables), *seen_sentences(tables)),
    )
    yield from _matched_charts(tables)
    yield Details("All numbers", (_matched_table(tables),))
    if len(tables.claims):
        yield Details("All comparisons", (_claims_table(tables),))


def choice_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator which attribute it is, by whose choice, and how many sets have a direction of it."""
    told = tables.manifest.get("matched")
    for generator, choice in told.items() if isinstance(told, dict) else ():
        of, attribute, count = tables.of(str(generator)), choice["attribute"], choice["matched"]
        if not count:
            yield (
                f"No direction{of} has a verdict that names {attribute or 'an attribute'}, so methods are not compared "
                "at an equal change."
            )
            continue
        reason = ", as most methods have an interpretable direction of it" if choice["picked"] else ""
        have = "it" if count == 1 else "them"
        others = f"; the others have none and are not compared with {have}" if count < choice["sets"] else ""
        yield (
            f"The attribute{of} is {attribute}{reason}. In {count} of {choice['sets']} sets the verdict of a direction "
            f"names it{others}."
        )


def claim_sentences(tables: RunTables) -> Iterator[str]:
    """A paragraph per generator, attribute and claim: in how many comparisons it holds, and the clearest of them.

    Comparisons with controls say nothing of a claim about methods.
    """
    tables = tables.contenders
    for (generator, attribute, _, claim), rows in tables.claims.groupby(_OF_ONE_KIND, sort=False):
        amount = with_unit(tables, str(generator), str(attribute), rows["change"].iloc[0])
        tell = {_BASELINE: _baseline, _ASYMMETRY: _asymmetry}.get(str(claim), _other)
        yield tell(rows, f"{attribute}{tables.of(generator)}", amount)


def unreached_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator and attribute, the ends that could not be changed as much as the others, and how far they got."""
    for (generator, attribute, target), rows in matched_ends(tables):
        missed = rows[~rows["is_reached"]]
        if missed.empty:
            continue
        amount = with_unit(tables, generator, attribute, target)
        reasons = "; ".join(f"{reason}: {_ends(part)}" for reason, part in by_reason(missed))
        yield (
            f"{len(missed)} of {len(rows)} ends did not reach the change of {attribute}{tables.of(generator)} by "
            f"{amount} and {'is' if len(missed) == 1 else 'are'} left out of the claims: {reasons}."
        )


def seen_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator and attribute, over how many codes the change is a mean, where that differs from end to end."""
    for (generator, attribute, _), rows in matched_ends(tables):
        least, most = rows["n_change"].min(), rows["n_change"].max()
        if least < most:
            yield (
                f"The change of {attribute}{tables.of(generator)} is the mean over the codes whose images show what "
                f"the scorer reads both at t = 0 and at the end: from {least:.0f} to {most:.0f} codes."
            )


def _ends(missed: pd.DataFrame) -> str:
    """The first of some ends, each with how far it got."""
    first = missed.iloc[: 2 * _MOST_TOLD].to_dict("records")
    ends = [f"{short_direction(row)} ({_SIDES[row['side']]}, {significant(row['reached'], 2)})" for row in first]
    rest = len(missed) - len(first)
    return listed([*ends, f"{rest} more"] if rest else ends)


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


def _baseline(rows: pd.DataFrame, attribute: str, amount: str) -> str:
    told = (
        f"At the same change of {attribute} ({amount}), measured by {views.metric_names(rows)[0]}, the paper's claim "
        f"that svd loses realism faster than other methods, each by its best direction, {_tally(rows)}."
    )
    if faster := _clearest(rows, "yes", "against"):
        told += f" It loses realism faster than {faster}."
    if slower := _clearest(rows, "no", "against"):
        told += f" Against the paper, svd loses it more slowly than {slower}."
    return told


def _asymmetry(rows: pd.DataFrame, attribute: str, amount: str) -> str:
    yes, no, undecided = _counts(rows)
    told = (
        f"Reducing {attribute} by {amount} costs more realism ({views.metric_names(rows)[0]}) than increasing it as "
        f"much, as the paper claims, by the best direction of {yes or 'none'} of {len(rows)} sets; against the paper, "
        f"it costs less in {no or 'none'}, and {undecided or 'none'} {'is' if undecided <= 1 else 'are'} undecided."
    )
    less = _clearest(rows, "no", "method")
    return f"{told} It costs less with {less}." if less else told


def _other(rows: pd.DataFrame, attribute: str, amount: str) -> str:
    return f"At the same change of {attribute} ({amount}), the claim '{rows['claim'].iloc[0]}' {_tally(rows)}."


def _counts(rows: pd.DataFrame) -> tuple[int, int, int]:
    yes, no, undecided = (int((rows["holds"] == word).sum()) for word in ("yes", "no", "undecided"))
    return yes, no, undecided


def _tally(rows: pd.DataFrame) -> str:
    yes, no, undecided = _counts(rows)
    comparisons = f"{len(rows)} comparison{'s' if len(rows) > 1 else ''}"
    return f"holds in {yes or 'none'} of {comparisons}, is contradicted in {no}, undecided in {undecided} (Holm, 5 %)"


def _clearest(rows: pd.DataFrame, holds: str, column: str) -> str:
    """The comparisons of one outcome whose differences are the largest in standard errors; '' if there are none."""
    part = rows[rows["holds"] == holds]
    order = (part["difference"].abs() / part["stderr"]).sort_values(ascending=False, kind="stable").index
    words = [
        f"{row[column]} in {row['place']} (by {with_stderr(abs(row['difference']), row['stderr'])})"
        for row in part.loc[order[:_MOST_TOLD]].to_dict("records")
    ]
    more = f", to name the {len(words)} clearest of {len(part)}" if len(words) < len(part) else ""
    return f"{listed(words)}{more}" if words else ""


def _matched_charts(tables: RunTables) -> Iterator[Chart]:
    """Realism where each method's best direction changes one attribute by the same amount, a plot per generator."""
    frechet = tables.matched[tables.matched["metric"] != "KID"]
    for (generator, attribute, _), rows in frechet.groupby(["generator", "attribute", "target"], sort=False):
        rows = rows[rows["value"].notna()]
        if rows.empty:
            continue
        name, _ = views.metric_names(rows)
        amount = with_unit(tables, str(generator), str(attribute), rows["target"].iloc[0])
        missed = int((~rows["is_reached"]).sum())
        caption = (
            f"{name} of {generator} where each set's best direction changes {attribute} by {amount}. {BANDS}. "
            f"{f'Hollow marks: ends that did not reach it ({missed}). ' if missed else ''}{capital(setting(rows))}."
        )
        words = f"{name} at the same change of {attribute}: " + "; ".join(
            f"{short_direction(row)} {row['side']} {significant(row['value'])}" for row in rows.to_dict("records")
        )
        file = f"matched-{anchor(f'{generator}-{attribute}')}"
        yield make_chart(tables.run, file, _matched_dots(rows), words, caption)


def _matched_table(tables: RunTables) -> Table:
    """The distances where each method's best direction changes the attribute by the same amount."""
    frame = _both_metrics(tables.matched)
    fd, kid = views.metric_names(frame)
    columns = [
        *views.who_columns(tables, frame),
        views.word("Side", "side"),
        views.number("t", "t"),
        views.number("Change reached", "reached"),
        Column("Reached", lambda row: Cell("yes" if row["is_reached"] else row["status"] or "no")),
        views.number("Effect", "effect"),
        views.measured(fd, "value"),
        views.measured(kid, "kid"),
    ]
    goals = [
        f"{attribute} by {with_unit(tables, generator, attribute, target)}"
        + (f" ({generator})" if tables.several_generators else "")
        for (generator, attribute, target), _ in matched_ends(tables)
    ]
    caption = (
        f"Each set's best direction at a change of {listed(goals)}, ± one standard error, which includes how well the "
        "change is known."
    )
    return make_table(frame, columns, caption + views.measured_with(frame))


def _both_metrics(matched: pd.DataFrame) -> pd.DataFrame:
    """One row per end with its Fréchet distance as `value`, and its kernel distance as `kid`."""
    key = ["name", "attribute", "t"]
    frechet, kernel = matched[matched["metric"] != "KID"], matched[matched["metric"] == "KID"]
    kernel = kernel[[*key, "value", "stderr"]].rename(columns={"value": "kid", "stderr": "kid_stderr"})
    return frechet.rename(columns={"stderr": "value_stderr"}).merge(kernel, on=key, how="left")


def _claims_table(tables: RunTables) -> Table:
    """Every comparison behind the claims."""
    frame = tables.claims
    columns = [
        views.word("Claim", "claim"),
        views.place_column(frame),
        views.method_column(),
        views.word("Against", "against"),
        views.measured("Difference", "difference", stderr="stderr"),
        views.word("Holds", "holds"),
    ]
    goals = dict.fromkeys(
        f"{row['attribute']} by {with_unit(tables, row['generator'], row['attribute'], row['change'])}"
        for row in frame.to_dict("records")
    )
    caption = (
        f"The paper's claims at a change of {listed(goals)}: differences of {views.metric_names(frame)[0]} ± one "
        "standard error, positive where the claim holds; undecided where they are not significant (Student's t, Holm "
        "over all tests of the run, 5 %)."
    )
    return make_table(frame, columns, caption + views.measured_with(frame))


@styled
def _matched_dots(ends: pd.DataFrame) -> Figure:
    """A metric where each method changes the attribute by the same amount, up and down, a panel per layer.

    Hollow marks are of ends that did not reach the change.
    """
    places, order = list(ends["place"].unique()), known_first(ends["method"])
    figure, grid = panels(len(places), 2, 0.95 + 0.42 * len(order), sharex=True, sharey=True)
    for axes, place in zip(grid, places, strict=True):
        for row in ends[ends["place"] == place].to_dict("records"):
            _end(axes, order.index(row["method"]), row)
        name_methods(axes, method_names(ends, order), place)
    label_edges(grid, axis_name(ends), "")
    figure.legend(handles=_side_handles(ends), loc="outside upper left", ncols=3)
    return finish(figure)


def _end(axes: Axes, line: int, row: dict) -> None:
    shade = colour(row["method"])
    axes.errorbar(
        row["value"],
        line + (-0.2 if row["side"] == "+" else 0.2),
        xerr=BAND * np.nan_to_num(row["stderr"]),
        fmt=_MARKS.get(row["side"], "o"),
        color=shade,
        markerfacecolor=shade if row["is_reached"] else "none",
        markersize=5,
        capsize=2.5,
        alpha=1.0 if row["is_reached"] else 0.6,
    )


def _side_handles(ends: pd.DataFrame) -> list[Line2D]:
    words = {"+": f"more (+{SPACE}side)", "-": f"less ({MINUS}{SPACE}side)"}
    marks = [(_MARKS[side], MUTED, words[side]) for side in words]
    if not ends["is_reached"].all():
        marks.append(("o", "none", "target not reached"))
    return [
        Line2D([], [], linestyle="none", color=MUTED, markersize=5, marker=mark, markerfacecolor=face, label=label)
        for mark, face, label in marks
    ]
