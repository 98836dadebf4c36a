"""Shares of few images: how far they can be off, also where all images or none are counted."""

import math

from navbench.metrics.estimate import BAND
from navbench.metrics.significance import Test


def raised(difference: float, stderr: float, n: int) -> Test:
    """The test of a difference of two shares of the same n images.

    Where all images change alike, their spread is 0 and says nothing. The error is taken as at least 1/n, which is what
    it would be with a single image otherwise; no smaller one is possible in between.
    """
    return Test(difference, max(stderr, 1 / n), n - 1)


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of n images (Wilson, 1927), which has a width for shares of 0 and 1, too."""
    weight = BAND**2 / n
    centre = (share + weight / 2) / (1 + weight)
    reach = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return max(0.0, centre - reach), min(1.0, centre + reach)
