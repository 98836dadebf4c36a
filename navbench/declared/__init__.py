"""The tables of a run folder that navbench itself writes; `navbench.tables` writes, reads and documents by them."""

from navbench.declared.attributes import SCORED
from navbench.declared.comparisons import PAIRS
from navbench.declared.effects import LOCAL, OVERLAP, SURVEY
from navbench.declared.photos import IMAGES, PHOTOS, QUALITY
from navbench.declared.realism import (
    ASYMMETRY,
    CURVES,
    DIRECTIONS,
    ENDS,
    EQUAL,
    INSTRUMENT,
    LIMITS,
    METHODS,
    PRDC,
    RACING,
)

DECLARED = (
    *(INSTRUMENT, DIRECTIONS, LIMITS, ENDS, EQUAL, CURVES, PRDC, ASYMMETRY, RACING),
    *LOCAL,
    *(METHODS, SURVEY, OVERLAP),
    *SCORED,
    *PAIRS,
    *QUALITY,
    *PHOTOS,
    IMAGES,
)
"""All of them, in the order in which they are listed."""
