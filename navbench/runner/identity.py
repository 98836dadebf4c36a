"""The columns that say which direction a row of a table is about."""

from typing import Any

from navbench.directions import Direction
from navbench.runner.results import Results

Row = dict[str, Any]


def identity(direction: Direction) -> Row:
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


def identities(result: Results) -> dict[str, Row]:
    """The identifying columns of every direction of the plan, surveyed ones among them, by its full name."""
    surveyed = (direction for found in result.plan.surveyed for direction in found)
    return {direction.name: identity(direction) for direction in (*surveyed, *result.plan.all_directions())}


def by_name(result: Results) -> dict[str, Direction]:
    """Every direction of the plan, by its full name."""
    return {direction.name: direction for direction in result.plan.all_directions()}
