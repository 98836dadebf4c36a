"""Calibration of a direction's range: the shifts at which it reaches a perceptual effect, or a change of an attribute.

Directions are then compared where they do the same amount, not at the same t, whose scale differs from layer to
layer (the paper chose its ranges by hand, section 4.2).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from navbench import seeds
from navbench.costs import Rehearsed, preparing, rehearses, rendering, seeing, times
from navbench.discovery.calibration import TRIES, EffectMeter, nearest_root
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit, codes_for
from navbench.metrics import estimate
from navbench.metrics.attributes import Attribute, Scorer, changes, index_of
from navbench.metrics.perceptual import PerceptualDistance
from navbench.seeds import Role
from navbench.work import pure

TOLERANCE = 0.05
"""An end that misses its target by more than this share has not reached it."""
_ACCURACY = 0.005
_WIDEST = 4.0
"""Shifts are tried up to this multiple of the direction's own range: beyond it, images are rubble."""
_WIDEST_EFFECT = 16.0
"""The same for an effect, which grows with the square of the shift at first."""
_STEPS = 12
_TRIES = 22
"""How many changes of an attribute are measured for both ends of a range, typically; for plans."""


@dataclass(frozen=True)
class Target:
    """What both ends of a range are to reach.

    Attributes:
        quantity: 'effect', or the name of an attribute.
        amount: of the effect, or of the attribute's change in its unit, up at one end and down at the other; > 0.
        unit: as the user wrote it; '' for none.
    """

    quantity: str
    amount: float
    unit: str = ""

    @property
    def is_effect(self) -> bool:
        """Whether it is the perceptual effect that is to be reached."""
        return self.quantity == "effect"


def parse_target(text: str) -> Target:
    """The target in words such as 'effect=0.2' or 'wheel radius=+2px'."""
    match = re.fullmatch(r"\s*([^=]+?)\s*=\s*([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)\s*([^\d\s].*?)?\s*", text)
    if match is None:
        raise NavbenchError(f"Cannot calibrate to {text!r}; write 'effect=0.2' or 'wheel radius=+2px'.")
    quantity, amount, unit = match[1], abs(float(match[2])), match[3] or ""
    if amount == 0:
        raise NavbenchError(f"Cannot calibrate to {text!r}: the target is zero, which t = 0 reaches; name a change.")
    if quantity == "effect" and (unit or match[2].startswith("-")):
        raise NavbenchError(f"Cannot calibrate to {text!r}: an effect is a positive number without a unit.")
    return Target(quantity, amount, unit)


@dataclass(frozen=True)
class Range:
    """A calibrated range, and what was reached at its ends: (2,) each, float64, for t_min and t_max.

    Attributes:
        t: the ends, t_min < 0 < t_max.
        reached: the effect, or the mean change of the attribute, with its sign.
        stderr: the standard error of that mean over codes: how well the ends are known.
    """

    t: Tensor
    reached: Tensor
    stderr: Tensor

    def is_reached(self, target: Target) -> Tensor:
        """(2,), whether each end is within `TOLERANCE` of the target.

        An attribute has to go up at one end and down at the other: if it goes the same way, neither end counts.
        """
        near = (self.reached.abs() / target.amount - 1).abs() <= TOLERANCE
        return near if target.is_effect or float(self.reached.prod()) < 0 else torch.zeros_like(near)


@pure(revision=2)
def by_effect(edit: Edit, distance: PerceptualDistance, amount: float, codes: int, seed: int) -> Range:
    """The range over which a direction has an effect of `amount` at both ends, measured on `codes` codes."""
    generator, own = edit.space.generator, edit.direction
    sample = generator.sample(range(codes), seeds.derived(seed, Role.CALIBRATION))
    meter = EffectMeter(edit.space, distance, sample, edit.compute)
    offset = edit.offset
    wanted = [meter.reach(offset, amount, guess) for guess in (own.t_min, own.t_max)]
    limits = [_WIDEST_EFFECT * own.t_min, _WIDEST_EFFECT * own.t_max]
    ends = [min(t, limit, key=abs) for t, limit in zip(wanted, limits, strict=True)]
    return _range(ends, [meter.effects(offset * t) for t in ends])


@rehearses(by_effect)
def _by_effect_rehearsed(
    edit: Edit, distance: PerceptualDistance, amount: float, codes: int, seed: int
) -> Rehearsed[Range]:
    """The direction's own range, which reaches the effect."""
    meter = EffectMeter(edit.space, distance, edit.space.generator.sample(range(codes), seed=0), edit.compute)
    return Rehearsed(_reached(edit, [amount, amount]), times(1 + TRIES, meter.costs), about=True)


def _reached(edit: Edit, reached: list[float]) -> Range:
    """The own range of a direction, for sketches."""
    columns = ([edit.direction.t_min, edit.direction.t_max], reached, [0.0, 0.0])
    return Range(*(torch.tensor(column, dtype=torch.float64) for column in columns))


@pure(revision=2)
def by_attribute(edit: Edit, scorer: Scorer, attribute: str, amount: float, codes: int, seed: int) -> Range:
    """The range over which a direction changes an attribute by `amount` at both ends, in the mean over `codes` codes.

    An end that cannot reach it is where it came nearest.
    """
    meter = _ChangeMeter(edit, scorer, index_of(scorer, attribute), range(codes), seed)
    ends = [meter.reach(end, amount) for end in (edit.direction.t_min, edit.direction.t_max)]
    return _range(ends, [meter.changes(t) for t in ends])


@rehearses(by_attribute)
def _by_attribute_rehearsed(
    edit: Edit, scorer: Scorer, attribute: str, amount: float, codes: int, seed: int
) -> Rehearsed[Range]:
    """The direction's own range, which reaches the change."""
    space, compute = edit.space, edit.compute
    read = seeing("scorer", scorer.name, scorer, space.generator, compute)
    costs = times(_TRIES * codes, {preparing(space, compute): 1, rendering(space, compute): 1, read: 1})
    return Rehearsed(_reached(edit, [-amount, amount]), costs, about=True)


def _range(ends: list[float], reached: list[Tensor]) -> Range:
    """From both ends and what each code reached there, (n,) each."""
    means = [estimate.mean(values) for values in reached]
    columns = (ends, [mean.value for mean in means], [mean.stderr for mean in means])
    return Range(*(torch.tensor(column, dtype=torch.float64) for column in columns))


class _ChangeMeter:
    """The mean change of one attribute at a shift; turns of a circular one are followed from t = 0 outward."""

    def __init__(self, edit: Edit, scorer: Scorer, index: int, indices: Sequence[int], seed: int) -> None:
        self.edit, self.scorer, self.indices, self.seed = edit, scorer, indices, seed
        self.index, self.attribute = index, scorer.attributes[index]
        self._known = {0.0: torch.zeros((), dtype=torch.float64)}

    @cached_property
    def _unshifted(self) -> Tensor:
        return self._scores(0.0)

    def change(self, t: float) -> float:
        """The mean over codes of the change from t = 0, in the attribute's unit."""
        return float(self.changes(t).mean())

    def changes(self, t: float) -> Tensor:
        """(n,), the change of each code from t = 0, in the attribute's unit."""
        if t not in self._known:
            nearer = [other for other in self._known if other * t > 0 and abs(other) < abs(t)]
            start = max(nearer, key=abs, default=0.0)
            behind = self._known[start]
            here = torch.stack([_wrapped(self._unshifted + behind, self.attribute), self._scores(t)])
            self._known[t] = behind + changes(here[..., None], 0, (self.attribute,))[1, :, 0]
        return self._known[t]

    def reach(self, end: float, amount: float) -> float:
        """The shift on the side of `end` at which the change first has the size `amount`, or comes nearest to it."""
        below, tried = 0.0, []
        for share in torch.linspace(0, 1, _STEPS + 1)[1:].square().tolist():
            t = end * _WIDEST * share
            if abs(self.change(t)) >= amount:
                return nearest_root(lambda t: abs(self.change(t)) - amount, below, t, _ACCURACY * amount)
            tried.append(t)
            below = t
        return max(tried, key=lambda t: abs(self.change(t)))

    def _scores(self, t: float) -> Tensor:
        """(n,), float64."""

        def work(chunk: Sequence[int]) -> Tensor:
            codes = codes_for(self.edit.space.generator, Role.CALIBRATION, chunk, self.seed)
            return self.scorer(self.edit.prepare(codes)(t))[:, self.index].double().cpu()

        return torch.cat(list(self.edit.compute.over(self.indices, work)))


def _wrapped(values: Tensor, attribute: Attribute) -> Tensor:
    return values if attribute.period is None else values % attribute.period


def check_target(target: Target, scorer: Scorer | None, generator: str) -> None:
    """Refuse a target that the scorer of a generator does not know, or has in another unit."""
    if target.is_effect:
        return
    if scorer is None:
        raise NavbenchError(
            f"Cannot calibrate {generator} to {target.quantity!r}: it has no attribute scorer; "
            "name one as scorer in the suite, or calibrate to 'effect=0.2'."
        )
    unit = scorer.attributes[index_of(scorer, target.quantity)].unit
    if target.unit and target.unit != unit:
        raise NavbenchError(f"{target.quantity!r} is measured in {unit or 'no unit'}, not in {target.unit}.")
