"""Whether an instrument may be read: it sees known damage, and tells a generator from its reference not too easily.

The instrument is an extractor with the distances of its features, for one generator and reference. Verdicts are
arithmetic, of distances that others measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from torch import Tensor

from navbench.metrics import estimate, shares
from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import Test, decided

WELL_ABOVE = 2.0
"""By how many floors the strongest damage must raise a distance."""
LEAST = 0.05
"""Precision, recall, density and coverage of unshifted images must be above."""
ROOM = 0.25
"""By how much the strongest damage must lower precision. That of unshifted images may be near 1, as it is of two halves
of one distribution (0.91 to 1); an instrument whose precision stays there is saturated."""

Series = Mapping[float, Estimate]
"""A distance by the strength of a damage, 0 among them, ascending, on the same codes."""
Key = tuple[str, str]
"""A damage and a metric."""


@dataclass(frozen=True)
class Verdict:
    """Whether a check was passed; the reason if not, as a part of a sentence."""

    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reason


def floor_of(estimates: Iterable[Estimate]) -> float:
    """The floor: what samples of one distribution score against each other, at most, and one standard error more."""
    return max(each.value + each.stderr for each in estimates)


def judge_floor(metric: str, estimates: Iterable[Estimate]) -> Verdict:
    """A Fréchet distance of finite samples is above 0, unless the extractor tells no image from another."""
    if max(each.value for each in estimates) > 1e-9:
        return Verdict()
    return Verdict(f"the {metric} of different images is 0, so the extractor ignores them")


def judge_damages(series: Mapping[Key, Series], floors: Mapping[str, float]) -> dict[Key, Verdict]:
    """Whether each distance rises steadily with each damage, and at the strongest by `WELL_ABOVE` floors.

    It falls where the paired difference of two steps is significant and negative; it rises where that of the strongest
    and of no damage is significant and positive. All differences of all series are one family.

    Args:
        series: of at least two strengths each.
        floors: by metric.
    """
    steps = [
        (key, low, high) for key, along in series.items() for low, high in (*pairwise(along), (min(along), max(along)))
    ]
    differences = [estimate.difference(series[key][high], series[key][low]) for key, low, high in steps]
    decisions = decided([Test.of(difference) for difference in differences])
    signs = {
        step: decision.decided * (1 if difference.value > 0 else -1)
        for step, difference, decision in zip(steps, differences, decisions, strict=True)
    }
    return {key: _judge(key, along, signs, floors[key[1]]) for key, along in series.items()}


def _judge(key: Key, along: Series, signs: Mapping[tuple[Key, float, float], int], floor: float) -> Verdict:
    """Of one series, from the signs of the significant differences, 0 of others."""
    damage, metric = key
    ends = (min(along), max(along))
    falls = [
        f"{along[low].value:.3g} to {along[high].value:.3g}"
        for low, high in pairwise(along)
        if signs[key, low, high] < 0
    ]
    if falls:
        return Verdict(f"{metric} falls under more {damage} (from {' and from '.join(falls)})")
    rise = along[ends[1]].value - along[ends[0]].value
    words = f"the strongest {damage} raises {metric} by {rise:.3g}"
    if signs[key, *ends] <= 0:
        return Verdict(f"{words}, which is not significant")
    if rise < WELL_ABOVE * floor:
        return Verdict(f"{words}, less than {WELL_ABOVE:g} floors of {floor:.3g}")
    return Verdict()


def judge_losses(lost: Mapping[str, Tensor]) -> dict[str, Verdict]:
    """Whether the share of images that lose a subject rises with each damage and never falls as that grows.

    It rises where the paired difference of the strongest and of no damage is significant, and falls where that of any
    two steps is. The rises are one family, as each has to be significant, and the steps another.

    Args:
        lost: by damage, whether the subject is lost, (S, n), in the images of n codes, those without damage first.
    """
    rises = _significant([(along[0], along[-1]) for along in lost.values()])
    steps = [(damage, pair) for damage, along in lost.items() for pair in combinations(along, 2)]
    changes = _significant([pair for _, pair in steps])
    falling = {damage for (damage, _), change in zip(steps, changes, strict=True) if change < 0}
    verdicts = {}
    for damage, rise in zip(lost, rises, strict=True):
        reason = "" if rise > 0 else f"the strongest {damage} does not raise the share lost significantly"
        verdicts[damage] = Verdict(f"the share lost falls under more {damage}" if damage in falling else reason)
    return verdicts


def _significant(steps: Sequence[tuple[Tensor, Tensor]]) -> list[float]:
    """By how much shares change from one step to another, (n,) each; 0 where that is not significant in the family."""
    changes = [estimate.mean(after.double() - before.double()) for before, after in steps]
    decisions = decided([shares.raised(change.value, change.stderr, change.n) for change in changes])
    return [change.value * decision.decided for change, decision in zip(changes, decisions, strict=True)]


def judge_share(name: str, unshifted: float, damaged: Mapping[str, float]) -> Verdict:
    """Whether a share of unshifted images is far from 0, and precision able to leave 1.

    Args:
        name: precision, recall, density or coverage.
        unshifted: the share at t = 0.
        damaged: by damage, the share at its strongest.
    """
    if unshifted < LEAST:
        return Verdict(f"{name} of unshifted images is {unshifted:.2g}, below {LEAST:g}")
    stays = [damage for damage, value in damaged.items() if value > unshifted - ROOM]
    if name == "precision" and stays:
        return Verdict(f"precision falls by less than {ROOM:g} under the strongest {' and '.join(stays)}")
    return Verdict()
