"""Calibration of a direction's range: the shifts at which it reaches a perceptual effect, or a change of an attribute.

Directions are then compared where they do the same amount, not at the same t, whose scale differs from layer to
layer (the paper chose its ranges by hand, section 4.2).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from navbench import seeds
from navbench.costs import Rehearsed, preparing, rehearses, rendering, seeing, times
from navbench.discovery.calibration import STOPS, TRIES, EffectMeter, nearest_root
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit, codes_for
from navbench.metrics import estimate
from navbench.metrics.attributes import Attribute, Scorer, changes, enough, index_of, nearly_all
from navbench.metrics.estimate import Estimate
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.significance import Decision, Test, decided
from navbench.seeds import Role
from navbench.work import pure

TOLERANCE = 0.05
"""An end that misses its target by more than this share has not reached it."""
REACHED = ""
SAME_WAY, UNREAD, SATURATED, TOO_FAR, LOST = "same way", "no change", "saturated", "too far", "subject lost"
"""Why an end does not count: the attribute moves the same way at both ends, which is an artefact of the scorer; the
scorer reads no significant change; the change stops growing before; it still grows at the largest shift tried; before,
too many images lose the subject of the scorer (see `metrics.attributes.nearly_all`)."""
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
    if math.isinf(amount):
        raise NavbenchError(f"Cannot calibrate to {text!r}: the amount is not finite.")
    if amount == 0:
        raise NavbenchError(f"Cannot calibrate to {text!r}: the target is zero, which t = 0 reaches; name a change.")
    if quantity == "effect" and (unit or match[2].startswith("-")):
        raise NavbenchError(f"Cannot calibrate to {text!r}: an effect is a positive number without a unit.")
    return Target(quantity, amount, unit)


@dataclass(frozen=True)
class Range:
    """A calibrated range, and what was reached at its ends; float64, for t_min and t_max.

    Attributes:
        t: (2,), the ends, t_min < 0 < t_max.
        changes: (2, n), of each code the effect, or the change of the attribute with its sign; NaN of codes whose image
            does not show the subject of the scorer.
        slopes: (2,), how the mean of these goes with t there; NaN of an effect.
        limits: (2,), the largest shifts that were tried.
        is_lost: (2,), bool, whether a little further out too few images show the subject of the scorer.
    """

    t: Tensor
    changes: Tensor
    slopes: Tensor
    limits: Tensor
    is_lost: Tensor

    @cached_property
    def at(self) -> tuple[Estimate, Estimate]:
        """The mean over codes at either end; over those that show the subject of the scorer."""
        low, high = (estimate.mean_of(changes, ~changes.isnan()) for changes in self.changes)
        return low, high

    @property
    def counts(self) -> tuple[int, ...]:
        """How many codes the mean at either end is of."""
        return tuple((~self.changes.isnan()).sum(dim=1).tolist())

    @property
    def reached(self) -> Tensor:
        """(2,), the effect, or the mean change of the attribute, with its sign."""
        return torch.tensor([end.value for end in self.at], dtype=torch.float64)

    def statuses(self, target: Target) -> tuple[str, ...]:
        """Of either end why it does not count, '' where it is within `TOLERANCE` of the target.

        An attribute has to go up at one end and down at the other: if it goes the same way, neither end counts.
        """
        decisions = decided([Test.of(end) for end in self.at])
        changed = [_is_changed(end, decision) for end, decision in zip(self.at, decisions, strict=True)]
        return tuple(self._status(end, target, changed[end]) for end in (0, 1))

    def _status(self, end: int, target: Target, is_changed: bool) -> str:
        if not enough(~self.changes[end].isnan()):
            return LOST
        is_there = abs(abs(self.at[end].value) / target.amount - 1) <= TOLERANCE
        same_way = not target.is_effect and self.at[0].value * self.at[1].value > 0
        if is_there:
            return SAME_WAY if same_way else REACHED
        if self.is_lost[end]:
            return LOST
        if not target.is_effect and not is_changed:
            return UNREAD
        if same_way:
            return SAME_WAY
        return TOO_FAR if abs(float(self.t[end])) >= abs(float(self.limits[end])) else SATURATED

    def is_reached(self, target: Target) -> Tensor:
        """(2,), whether each end has reached the target."""
        return torch.tensor([status == REACHED for status in self.statuses(target)])


def _is_changed(change: Estimate, decision: Decision) -> bool:
    """Whether a mean change is significantly not zero; without a spread over codes, every change is."""
    return change.value != 0 and (decision.decided or not change.stderr > 0)


@pure(revision=4)
def by_effect(edit: Edit, distance: PerceptualDistance, amount: float, codes: int, seed: int) -> Range:
    """The range over which a direction has an effect of `amount` at both ends, measured on `codes` codes.

    An end whose effect saturates before is where that stops growing.
    """
    generator, own = edit.space.generator, edit.direction
    sample = generator.sample(range(codes), seeds.derived(seed, Role.CALIBRATION))
    meter = EffectMeter(edit.space, distance, sample, edit.compute)
    offset = edit.offset
    wanted = [meter.reach(offset, amount, guess) for guess in (own.t_min, own.t_max)]
    limits = [_WIDEST_EFFECT * own.t_min, _WIDEST_EFFECT * own.t_max]
    ends = [min(t, limit, key=abs) for t, limit in zip(wanted, limits, strict=True)]
    return _range(ends, [meter.effects(offset * t) for t in ends], [math.nan, math.nan], limits)


@rehearses(by_effect)
def _by_effect_rehearsed(
    edit: Edit, distance: PerceptualDistance, amount: float, codes: int, seed: int
) -> Rehearsed[Range]:
    """The direction's own range, which reaches the effect."""
    meter = EffectMeter(edit.space, distance, edit.space.generator.sample(range(codes), seed=0), edit.compute)
    return Rehearsed(_reached(edit, [amount, amount], codes), times(1 + TRIES, meter.costs), about=True)


def _reached(edit: Edit, reached: list[float], codes: int) -> Range:
    """The own range of a direction, for sketches."""
    ends = [edit.direction.t_min, edit.direction.t_max]
    return _range(ends, [torch.full((codes,), value) for value in reached], [1.0, 1.0], ends)


@pure(revision=4)
def by_attribute(edit: Edit, scorer: Scorer, attribute: str, amount: float, codes: int, seed: int) -> Range:
    """The range over which a direction changes an attribute by `amount` at both ends, in the mean over `codes` codes.

    An end that cannot reach it is where the change stops growing, or the last shift before too many images lose the
    subject of the scorer.
    """
    meter = _ChangeMeter(edit, scorer, index_of(scorer, attribute), range(codes), seed)
    own = (edit.direction.t_min, edit.direction.t_max)
    ends = [meter.reach(end, amount) for end in own]
    slopes = [meter.slope(t) for t in ends]
    limits, lost = [_WIDEST * end for end in own], [meter.is_lost_beyond(t) for t in ends]
    return _range(ends, [meter.changes(t) for t in ends], slopes, limits, lost)


@rehearses(by_attribute)
def _by_attribute_rehearsed(
    edit: Edit, scorer: Scorer, attribute: str, amount: float, codes: int, seed: int
) -> Rehearsed[Range]:
    """The direction's own range, which reaches the change."""
    space, compute = edit.space, edit.compute
    read = seeing("scorer", scorer.name, scorer, space.generator, compute)
    costs = times(_TRIES * codes, {preparing(space, compute): 1, rendering(space, compute): 1, read: 1})
    return Rehearsed(_reached(edit, [-amount, amount], codes), costs, about=True)


def _range(
    ends: list[float],
    changes: list[Tensor],
    slopes: list[float],
    limits: list[float],
    lost: Sequence[bool] = (False, False),
) -> Range:
    """From both ends and what each code reached there, (n,) each."""
    t, slope, limit = (torch.tensor(pair, dtype=torch.float64) for pair in (ends, slopes, limits))
    return Range(t, torch.stack([each.cpu().double() for each in changes]), slope, limit, torch.tensor(lost))


class _ChangeMeter:
    """The mean change of one attribute at a shift; turns of a circular one are followed from t = 0 outward."""

    def __init__(self, edit: Edit, scorer: Scorer, index: int, indices: Sequence[int], seed: int) -> None:
        self.edit, self.scorer, self.indices, self.seed = edit, scorer, indices, seed
        self.index, self.attribute = index, scorer.attributes[index]
        self._known = {0.0: torch.zeros(len(indices), dtype=torch.float64)}

    @cached_property
    def _unshifted(self) -> Tensor:
        return self._scores(0.0)

    def change(self, t: float) -> float:
        """The mean over codes of the change from t = 0, in the attribute's unit; NaN where too few can be read."""
        changes = self.changes(t)
        is_seen = ~changes.isnan()
        is_read = enough(is_seen) and nearly_all(is_seen, ~self._unshifted.isnan())
        return float(changes[is_seen].mean()) if is_read else math.nan

    def changes(self, t: float) -> Tensor:
        """(n,), the change of each code from t = 0, in the attribute's unit; NaN of those that lose the subject."""
        if t not in self._known:
            nearer = [other for other in self._known if other * t > 0 and abs(other) < abs(t)]
            start = max(nearer, key=abs, default=0.0)
            behind = self._known[start].nan_to_num(0.0)  # one that was lost on the way is followed from t = 0
            here = torch.stack([_wrapped(self._unshifted + behind, self.attribute), self._scores(t)])
            self._known[t] = behind + changes(here[..., None], 0, (self.attribute,))[1, :, 0]
        return self._known[t]

    def reach(self, end: float, amount: float) -> float:
        """The shift on the side of `end` at which the change first has the size `amount`, or else stops growing.

        Where it can no longer be read before either, the last shift at which it can.
        """

        def miss(t: float) -> float:
            short = abs(self.change(t)) - amount
            return amount if math.isnan(short) else short  # as if beyond, so the search is for either

        below, tried = 0.0, []
        for share in torch.linspace(0, 1, _STEPS + 1)[1:].square().tolist():
            t = end * _WIDEST * share
            if miss(t) >= 0:
                return nearest_root(miss, below, t, _ACCURACY * amount) or t  # 0 where nothing can be read
            tried.append(t)
            below = t
        most = max(abs(self.change(t)) for t in tried)
        return next(t for t in tried if abs(self.change(t)) >= STOPS * most)

    def slope(self, t: float) -> float:
        """How the mean change goes with the shift at t: by the nearest known one that differs by a hundredth.

        NaN if the change cannot be read there.
        """
        others = [known for known in self._known if abs(known - t) >= 0.01 * abs(t) and self._is_read(known)]
        other = min(others, key=lambda known: abs(known - t))
        return (self.change(t) - self.change(other)) / (t - other)

    def is_lost_beyond(self, t: float) -> bool:
        """Whether the change could not be read at t, or at a larger shift that was tried."""
        return not all(self._is_read(known) for known in self._known if known * t > 0 and abs(known) >= abs(t))

    def _is_read(self, t: float) -> bool:
        return not math.isnan(self.change(t))

    def _scores(self, t: float) -> Tensor:
        """(n,), float64."""

        def work(chunk: Sequence[int]) -> Tensor:
            codes = codes_for(self.edit.space.generator, Role.CALIBRATION, chunk, self.seed)
            return self.scorer(self.edit.prepare(codes)(t))[:, self.index].cpu().double()

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
