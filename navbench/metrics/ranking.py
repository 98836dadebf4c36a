"""Which of several things is better, on the same codes, and where that is inside the noise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from scipy import stats

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate

LEVEL = 0.05
"""The chance that any of the differences that are called decided is none, for all pairs of a ranking together."""


@dataclass(frozen=True)
class Comparison:
    """Two of several, by the difference a - b on the same codes.

    Attributes:
        p: of Student's t test of the paired difference, adjusted for all pairs after Holm (1979).
    """

    a: str
    b: str
    difference: Estimate
    p: float

    @property
    def decided(self) -> bool:
        """Whether the difference is larger than the noise."""
        return self.p < LEVEL


def comparisons(estimates: Mapping[str, Estimate]) -> list[Comparison]:
    """Every pair of some estimates that were taken on the same codes, in their order."""
    pairs = [(a, b, estimate.difference(estimates[a], estimates[b])) for a, b in combinations(estimates, 2)]
    raw = [Comparison(a, b, difference, _chance(difference)) for a, b, difference in pairs]
    adjusted, least = list(raw), 0.0
    for place, index in enumerate(sorted(range(len(raw)), key=lambda index: raw[index].p)):
        least = max(least, min(1.0, raw[index].p * (len(raw) - place)))
        adjusted[index] = replace(raw[index], p=least)
    return adjusted


def ranks(estimates: Mapping[str, Estimate]) -> dict[str, tuple[int, int]]:
    """The best and the worst rank that each may have, 1 for the smallest value: equal ones where all is decided."""
    better, worse = dict.fromkeys(estimates, 0), dict.fromkeys(estimates, 0)
    for pair in comparisons(estimates):
        if pair.decided:
            first, second = (pair.a, pair.b) if pair.difference.value < 0 else (pair.b, pair.a)
            better[second] += 1
            worse[first] += 1
    return {name: (1 + better[name], len(estimates) - worse[name]) for name in estimates}


def _chance(difference: Estimate) -> float:
    if difference.value == 0:
        return 1.0
    if not difference.stderr > 0:  # NaN as well: of what has no uncertainty, nothing is decided
        return 1.0
    return float(2 * stats.t.sf(abs(difference.value) / difference.stderr, difference.n - 1))
