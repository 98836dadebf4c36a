"""What rows of tables have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from navbench.directions import Direction
from navbench.generators.base import Generator
from navbench.methods import control_of, is_control, is_labelled
from navbench.metrics.estimate import Estimate
from navbench.metrics.levels import Levelled
from navbench.metrics.significance import Decision, Test, decided

Row = dict[str, Any]
ENDS = ("t_min", "t_max")


@dataclass(frozen=True)
class Tested:
    """A row that says what its tests decide, which is known once there are all tests of a run: they are one family.

    Attributes:
        row: what is known already.
        tests: of the row.
        told: the other columns, from a decision per test.
    """

    __test__ = False  # no class of tests for pytest

    row: Row
    tests: tuple[Test, ...]
    told: Callable[..., Row]


def settled(tables: Mapping[str, Sequence[Row | Tested]]) -> dict[str, list[Row]]:
    """All rows of a run, with what all their tests decide as one family (see `significance.decided`)."""
    family = [test for rows in tables.values() for row in rows if isinstance(row, Tested) for test in row.tests]
    decisions = iter(decided(family))

    def whole(row: Row | Tested) -> Row:
        if not isinstance(row, Tested):
            return row
        own: list[Decision] = [next(decisions) for _ in row.tests]
        return {**row.row, **row.told(*own)}

    return {name: [whole(row) for row in rows] for name, rows in tables.items()}


def who(direction: Direction) -> Row:
    """The columns that say which direction a row is about; a latent direction's `layer` is its latent space."""
    return {
        "generator": direction.generator,
        "method": direction.method,
        "layer": direction.place,
        "space": direction.space,
        "direction": direction.index,
        "name": direction.name,
        "label": direction.label,
    }


def control_columns(method: str) -> Row:
    """The columns that say with what a method is compared."""
    return {"control": control_of(method), "is_control": is_control(method), "is_labelled": is_labelled(method)}


def estimated(name: str, value: Estimate) -> Row:
    """A number and its standard error, in columns of its name."""
    return {name: value.value, f"{name}_stderr": value.stderr}


def levelled(name: str, value: Levelled) -> Row:
    """A mean over directions, its standard error, and that of either level alone; empty where it is not known."""
    errors = {"": value.stderr, "_directions": value.stderr_directions, "_codes": value.stderr_codes}
    return {name: value.value, **{f"{name}_stderr{level}": error for level, error in errors.items()}}


def drawn(name: str, value: Estimate, is_drawn: bool) -> Row:
    """The same, and the standard error of other samples and another reference where the reference is drawn."""
    both = value.stderr_both if is_drawn else None
    return {**estimated(name, value), f"{name}_stderr_both": both}


def resolution(generator: Generator) -> int | str:
    """The side of square images, or height and width."""
    height, width = generator.size
    return height if height == width else f"{height}x{width}"


def quality_row(direction: Direction, metric: str, by: str, value: Estimate, end: str = "") -> Row:
    """A row of tables/quality.csv.

    Args:
        direction: that it is about.
        metric: what it is a number of.
        by: the network or distance that saw it.
        value: with the influence of each code.
        end: 't_min' or 't_max', '' for the whole range.
    """
    numbers = {"n": value.n, "value": value.value, "stderr": value.stderr}
    return {**who(direction), "metric": metric, "end": end, "by": by, **numbers}
