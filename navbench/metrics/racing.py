"""Racing: which of many candidates deserve more samples, decided in stages by a rule that knows only their numbers.

Successive halving (Karnin et al., ICML 2013; Jamieson & Talwalkar, AISTATS 2016): every stage measures what is left on
more codes, and keeps the best few. Their number is fixed, so a race's price is known before it is run; to drop only
what is significantly worse would keep nearly all at few codes, as the family is large. What is dropped without being
significantly worse is told. Each stage has codes of its own: the best of many look better than they are on the codes
that they were chosen by (the winner's curse), so no number of a stage, and none after the race, has seen those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Test, decided

KEPT, WORSE, CLOSE = "among the best", "significantly worse", "worse, not significantly"
MISSED = "misses the effect"
"""Why a candidate was kept or dropped; the others are worse than the last one that was kept."""


@dataclass(frozen=True)
class Standing:
    """How a candidate did in a stage.

    Attributes:
        value: the lower the better, with the influence of each code; `None` if it could not be compared.
        rank: from 1; `None` likewise.
        rule: why it was kept or dropped.
    """

    name: str
    value: Estimate | None
    rank: int | None
    rule: str

    @property
    def kept(self) -> bool:
        """Whether it goes on."""
        return self.rule == KEPT


def standings(values: Mapping[str, Estimate | None], keep: int) -> list[Standing]:
    """The candidates of a stage, best first, of which `keep` go on; values are paired, on the same codes.

    The differences of those dropped from the last one kept are a family (see `significance.decided`).
    """
    known = sorted(
        ((name, value) for name, value in values.items() if value is not None), key=lambda item: item[1].value
    )
    best, others = known[:keep], known[keep:]
    decisions = decided([Test.of(estimate.difference(value, best[-1][1])) for _, value in others])
    rules = [KEPT] * len(best) + [WORSE if each.decided else CLOSE for each in decisions]
    ranked = zip(known, rules, strict=True)
    missed = [Standing(name, None, None, MISSED) for name, value in values.items() if value is None]
    return [Standing(name, value, rank, rule) for rank, ((name, value), rule) in enumerate(ranked, start=1)] + missed


def at_equal_effect(increase: Estimate, effect: Estimate, target: float) -> Estimate:
    """An increase as it would be at another effect, on the line from no effect: near 0 both go with the square of t.

    The error of the effect, which is of the same codes, is in that of the result.
    """
    ratio = estimate.quotient(increase, effect)
    return Estimate(target * ratio.value, target * ratio.influence)


def reaches(effect: Estimate, target: float, tolerance: float) -> bool:
    """Whether an effect is not below its target by more than a tolerance, to two standard errors."""
    return effect.value + 2 * effect.stderr >= target * (1 - tolerance)


@dataclass(frozen=True)
class Lap:
    """One stage of the race of one direction set.

    Attributes:
        set_id: of the set.
        stage: from 1.
        codes: how many, none of which another stage has seen.
        target: the effect at which directions are compared.
        standings: best first.
        ends: by the direction's name, how many ends of its range reach the effect.
    """

    set_id: str
    stage: int
    codes: int
    target: float
    standings: Sequence[Standing]
    ends: Mapping[str, int]

    @property
    def kept(self) -> list[str]:
        """The names of those that go on, best first."""
        return [standing.name for standing in self.standings if standing.kept]
