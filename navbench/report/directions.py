"""The directions: those that were measured, those that were not, and how their ranges were calibrated."""

from collections.abc import Iterator

from navbench.declared.shared import IMITATORS
from navbench.report import views
from navbench.report.blocks import Block, Cell, Details, Heading, Table, Words
from navbench.report.matched import with_unit
from navbench.report.numbers import MINUS, listed, significant
from navbench.report.page import Page
from navbench.report.provenance import saturated_ends
from navbench.report.shortfall import by_reason
from navbench.report.tables import RunTables
from navbench.report.views import Column, Row, make_table

_SCORES = {
    "Rayleigh quotient": "rayleigh",
    "Solver residual": "solver_residual",
    "Singular value": "singular_value",
    "Reconstructor accuracy": "accuracy",
}


def blocks(page: Page) -> Iterator[Block]:
    """Tables of directions, and images of the generator itself."""
    tables = page.tables
    several = len(tables.measured) > 0
    yield _directions_table(page) if several else Words("No direction of this run has been measured.", "absent")
    yield from map(Words, (*saturation_sentences(tables), *calibration_sentences(tables)))
    unreached, others = _unreached_table(tables), _others_table(tables)
    yield Details(f"Ends that did not reach it ({len(unreached.rows)})", (unreached,))
    yield Details(f"{len(others.rows)} {'more ' if several else ''}directions, not measured", (others,))
    if samples := page.sheets("samples"):
        yield Heading("The generator itself")
        yield from samples


def _directions_table(page: Page) -> Table:
    """One row per measured direction.

    Where attributes need room, the last numbers are without standard errors, which the explorer has.
    """
    tables = page.tables
    frame = tables.measured
    fd, _ = views.metric_names(frame)
    column = views.number if frame["attribute_share"].notna().any() else views.measured
    columns = [
        *views.who_columns(tables, frame, labelled=True),
        *_range_columns(),
        views.measured("at t min", "fd_at_min", fd),
        views.measured("at t max", "fd_at_max", fd),
        views.number("Attribute share", "attribute_share"),
        column("area50", "area50"),
        *(column(kind, f"unexplained_fraction_{kind}", "Unexplained fraction") for kind in IMITATORS),
    ]
    caption = f"Measured directions; values ± one standard error.{views.measured_with(frame)} Click a heading to sort."
    return make_table(frame, columns, caption)


def _others_table(tables: RunTables) -> Table:
    """The directions that have a range, and nothing else."""
    frame = tables.directions[~tables.directions["measured"]]
    scored = frame["attribute_share"].notna().any()
    columns = [
        *views.who_columns(tables, frame, labelled=True),
        *_range_columns(),
        views.number("Attribute share", "attribute_share"),
        *(views.number(head, column) for head, column in (() if scored else _SCORES.items())),
    ]
    return make_table(frame, columns, "Directions that were found and calibrated, but not measured.")


def _range_columns() -> list[Column]:
    def shifts(row: Row) -> Cell:
        ends = significant(row["t_min"]), significant(row["t_max"])
        return Cell(" to ".join(ends).replace("-", MINUS), row["t_max"])

    def effects(row: Row) -> Cell:
        ends = significant(row["effect_min"], 2), significant(row["effect_max"], 2)
        return Cell(ends[0] if ends[0] == ends[1] else " / ".join(ends), row["effect_max"])

    return [Column("Range of t", shifts), Column("Effect", effects, ("effect_min", "effect_max"))]


def calibration_sentences(tables: RunTables) -> Iterator[str]:
    """Per generator and quantity, how many ends of the ranges reached what they were calibrated to."""
    for (generator, quantity, _), rows in tables.calibration.groupby(["generator", "quantity", "target"], sort=False):
        amount = with_unit(tables, str(generator), str(quantity), rows["target"].iloc[0])
        aim = f"an effect of {amount}" if quantity == "effect" else f"a change of {quantity} by {amount}"
        reasons = [reason for reason, _ in by_reason(rows[~rows["is_reached"]])]
        others = f" The others: {listed(reasons)}." if reasons else ""
        yield (
            f"{int(rows['is_reached'].sum())} of {len(rows)} ends of the ranges{tables.of(generator)} reached {aim}, "
            f"to within 5 %.{others}"
        )


def saturation_sentences(tables: RunTables) -> Iterator[str]:
    """Of sets whose discovery found effects that stop growing below the one that was asked for."""
    saturated = {name: ends for name, ends in saturated_ends(tables.manifest).items() if ends}
    if saturated:
        sets = [f"{name} ({ends})" for name, ends in saturated.items()]
        yield (
            "In discovery the effect of some ends stopped growing below the one that was asked for, and their ranges "
            f"are cut where it did: {listed(sets)}."
        )


def _unreached_table(tables: RunTables) -> Table:
    """The ends that did not reach what they were calibrated to, and how far they got."""
    frame = tables.calibration[~tables.calibration["is_reached"]]
    columns = [
        *views.who_columns(tables, frame, labelled=True),
        Column("End", lambda row: Cell(row["end"].replace("_", " "))),
        views.word("Quantity", "quantity"),
        views.number("Target", "target"),
        views.number("t", "t"),
        views.number("Reached", "reached"),
        views.word("Why not", "status"),
    ]
    return make_table(frame, columns, "The ends of ranges that did not reach the target.")
