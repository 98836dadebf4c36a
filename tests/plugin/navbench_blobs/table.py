"""The table that the experiment writes."""

from navbench.columns import Table, number
from navbench.declared.shared import WHO, N

COLOURS = ("red", "green", "blue")

TINTS = Table(
    "tints",
    "a direction: what it adds to the mean colour of images at t_max",
    (*WHO, *(number(colour, f"change of the mean of the channel {colour}") for colour in COLOURS), N),
)
