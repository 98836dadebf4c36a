"""What rows of tables have in common."""

from typing import Any

from navbench.directions import Direction
from navbench.generators.base import Generator
from navbench.methods import control_of, is_control
from navbench.metrics.estimate import Estimate

Row = dict[str, Any]
ENDS = ("t_min", "t_max")


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
    return {"control": control_of(method), "is_control": is_control(method)}


def estimated(name: str, value: Estimate) -> Row:
    """A number and its standard error, in columns of its name."""
    return {name: value.value, f"{name}_stderr": value.stderr}


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
