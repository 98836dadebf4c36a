"""Which of several things is better, on the same codes, and which differences are significant."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Decision, Test, decided


@dataclass(frozen=True)
class Comparison:
    """Two of several, by the difference a - b on the same codes, decided among all pairs."""

    a: str
    b: str
    difference: Estimate
    decision: Decision

    @property
    def p(self) -> float:
        """Adjusted for all pairs."""
        return self.decision.p

    @property
    def decided(self) -> bool:
        """Whether the difference is significant."""
        return self.decision.decided


def comparisons(estimates: Mapping[str, Estimate]) -> list[Comparison]:
    """Every pair of some estimates that were taken on the same codes, in their order."""
    pairs = [(a, b, estimate.difference(estimates[a], estimates[b])) for a, b in combinations(estimates, 2)]
    decisions = decided([Test.of(difference) for *_, difference in pairs])
    return [Comparison(*pair, decision) for pair, decision in zip(pairs, decisions, strict=True)]


def ranks(estimates: Mapping[str, Estimate]) -> dict[str, tuple[int, int]]:
    """The best and the worst rank that each may have, 1 for the smallest value: equal ones where all is decided."""
    better, worse = dict.fromkeys(estimates, 0), dict.fromkeys(estimates, 0)
    for pair in comparisons(estimates):
        if pair.decided:
            first, second = (pair.a, pair.b) if pair.difference.value < 0 else (pair.b, pair.a)
            better[second] += 1
            worse[first] += 1
    return {name: (1 + better[name], len(estimates) - worse[name]) for name in estimates}
