"""Racing: which of many candidates deserve more samples, decided in stages by a rule that knows only their numbers.

Successive halving (Karnin et al., ICML 2013; Jamieson & Talwalkar, AISTATS 2016): every stage measures what is left on
more codes, and keeps the best few. Their number is fixed, so a race's price is known before it is run; to drop only
what is significantly worse would keep nearly all at few codes, as the family is large. What is dropped without being
significantly worse is told. Each stage has codes of its own: the best of many look better than they are on the codes
that they were chosen by (the winner's curse), so no number of a stage, and none after the race, has seen those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.interpolation import Point, on_line, unshifted
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

    Who was the last one kept follows from the same values, so the family of its differences from those dropped is all
    pairs (see `significance.decided`).
    """
    known = sorted(
        ((name, value) for name, value in values.items() if value is not None), key=lambda item: item[1].value
    )
    pairs = list(combinations(range(len(known)), 2))
    tests = [Test.of(estimate.difference(known[behind][1], known[ahead][1])) for ahead, behind in pairs]
    apart = {pair for pair, decision in zip(pairs, decided(tests), strict=True) if decision.decided}
    rules = [KEPT if k < keep else WORSE if (keep - 1, k) in apart else CLOSE for k in range(len(known))]
    ranked = zip(known, rules, strict=True)
    missed = [Standing(name, None, None, MISSED) for name, value in values.items() if value is None]
    return [Standing(name, value, rank, rule) for rank, ((name, value), rule) in enumerate(ranked, start=1)] + missed


def at_equal_effect(increase: Estimate, effect: Estimate, target: float) -> Estimate:
    """An increase as it would be at another effect, on the line from no effect."""
    none = Estimate(0.0, torch.zeros_like(increase.influence))
    return on_line(unshifted(none), Point(effect, increase), target)


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
