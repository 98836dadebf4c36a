"""The race that chose which directions costly experiments measure."""

from collections.abc import Iterator

from navbench.metrics.racing import CLOSE
from navbench.report import views
from navbench.report.blocks import Block, Cell, Items, Words
from navbench.report.numbers import count
from navbench.report.page import Page
from navbench.report.tables import RunTables
from navbench.report.views import Column, make_table


def blocks(page: Page) -> Iterator[Block]:
    """How it went, and where every direction ended."""
    tables = page.tables
    if tables.racing.empty:
        return
    yield Words(
        "Directions of each set raced by how far they raise the KID above that of unshifted images, at an equal "
        "effect; every stage has codes of its own, and what follows the race has others again."
    )
    yield Items(list(stage_sentences(tables)))
    columns = [
        *views.who_columns(tables, tables.racing, labelled=True),
        views.whole("Stage", "stage"),
        views.whole("n", "n"),
        views.measured("KID increase", "value", stderr="stderr"),
        views.whole("Rank", "rank"),
        Column("Goes on", lambda row: Cell("yes" if row["kept"] else "no")),
        views.word("Why", "rule"),
    ]
    yield make_table(tables.racing, columns, "Every direction in every stage; a lower increase is better.")


def stage_sentences(tables: RunTables) -> Iterator[str]:
    """Of each stage how many directions went on, and how many were dropped that may be as good."""
    for (generator, stage), rows in tables.racing.groupby(["generator", "stage"], sort=False):
        kept, close = int(rows["kept"].sum()), int((rows["rule"] == CLOSE).sum())
        codes = count(rows["n"].iloc[0])
        yield (
            f"Stage {stage:.0f}{tables.of(generator)}, {codes} codes: {kept} of {len(rows)} went on; "
            f"{close} of those dropped were not significantly worse than the last one kept of their set."
        )
