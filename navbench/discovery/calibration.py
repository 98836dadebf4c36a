"""Calibration: the shift at which an edit reaches a given effect (the paper chose its t ranges by hand)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import Any

import torch
from scipy.optimize import brentq
from torch import Tensor

from navbench.basis import Basis
from navbench.compute import Compute
from navbench.costs import Costs, Rehearsed, preparing, rehearses, rendering, seeing, times
from navbench.generators.base import Codes
from navbench.metrics.perceptual import PerceptualDistance
from navbench.spaces import Space
from navbench.work import SentOnce, content_of, pure

LARGEST = 1e6  # shifts beyond this are not tried
ACCURACY = 0.01  # an effect this close to the target, relatively, has reached it
STEPS = 24
FLAT = 0.1  # an effect that goes with a lower power of t may have stopped growing ...
GROWTH = (
    0.1  # ... and has, if ten times the shift adds no more than this share to it, and there is an effect at all, ...
)
FAINTEST = 1e-3  # ... this share of the target or more
SHORT = 0.05
"""An effect that misses its target by more than this share has not reached it."""
STOPS = 0.95
"""An effect stops growing where it first has this share of the most that it reaches."""
TRIES = 7
"""How many effects are measured for both ends of a range, typically; for plans."""


@dataclass(frozen=True)
class EffectMeter(SentOnce):
    """Measures effects, E_z d(G(z), G_t(z)), always on the same codes."""

    space: Space
    distance: PerceptualDistance
    codes: Codes
    compute: Compute

    @cached_property
    def cache_key(self) -> Any:
        """What effects depend on: the space, the distance, the codes and the precision."""
        codes = [getattr(self.codes, field.name) for field in fields(self.codes)]
        return content_of([self.space, self.distance, self.compute, codes])

    @cached_property
    def originals(self) -> Tensor:
        """Features of the unshifted images, (N, D), computed once for all offsets."""
        return self._features(torch.zeros(self.space.shape, device=self.compute.device))

    def effect(self, offset: Tensor) -> float:
        """The mean distance of images under `offset` from the unshifted ones."""
        return float(self.effects(offset).mean())

    def effects(self, offset: Tensor) -> Tensor:
        """(N,), the distance of each code's image under `offset` from its unshifted one."""
        return (self._features(offset) - self.originals).square().sum(1)

    @torch.no_grad()
    def _features(self, offset: Tensor) -> Tensor:
        def work(indices: Sequence[int]) -> Tensor:
            chunk = self.codes[indices[0] : indices[0] + len(indices)]
            with self.compute.autocast():
                images = self.space.render(self.space.prepare(chunk), offset)
            return self.distance.features(self.compute.finite(images, f"Generator {self.space.generator.name}"))

        return torch.cat(list(self.compute.over(range(len(self.codes)), work)))

    @property
    def costs(self) -> Costs:
        """Of one effect."""
        seen = seeing("distance", self.distance.name, self.distance.features, self.space.generator, self.compute)
        passes = {preparing(self.space, self.compute): 1, rendering(self.space, self.compute): 1, seen: 1}
        return times(len(self.codes), passes)

    def reach(self, direction: Tensor, target: float, guess: float) -> float:
        """The shift t of the sign of `guess` at which `direction` has the effect `target`."""
        return self.reach_by(direction, target, guess, 2.0).t

    def reach_by(self, direction: Tensor, target: float, guess: float, power: float) -> "End":
        """The shift of `reach`, the effect there, and the power of t that it goes with, of which `power` is a guess.

        For small t the effect is a power of t, so both are taken by their logarithms. An effect that saturates below
        the target gives the shift at which it stops growing, and a direction without effect the largest that is tried.
        """
        sign = math.copysign(1.0, guess)

        @cache
        def miss(x: float) -> float:
            return math.log10(max(self.effect(direction * (sign * 10.0**x)), 1e-12) / target)

        x, power = _root_of_power_law(miss, math.log10(abs(guess)), power)
        return End(sign * 10.0**x, target * 10.0 ** miss(x), power)


@dataclass(frozen=True)
class End:
    """An end of a range: the shift, the effect there, and the power of t that the effect goes with."""

    t: float
    effect: float
    power: float


Miss = Callable[[float], float]
"""The log of an effect over its target at the log of a shift."""


def _root_of_power_law(miss: Miss, x: float, power: float) -> tuple[float, float]:
    """Where `miss` is zero, and its slope near there; where it stops growing if that is below zero.

    The search starts at x with a guess of the slope, `power`. Steps follow the line through the last two tries until
    the root lies between them.
    """
    accuracy, largest = math.log10(1 + ACCURACY), math.log10(LARGEST)
    last = x
    for _ in range(STEPS):
        if abs(miss(x)) <= accuracy or (x >= largest and miss(x) < 0):
            return x, power
        if x != last:
            slope = (miss(x) - miss(last)) / (x - last)
            if slope < FLAT and _is_flat(miss, x):
                return _where_growth_stops(miss, x), power
            power = min(max(slope, 0.5), 4.0)
        if miss(last) * miss(x) < 0:
            return nearest_root(miss, last, x, accuracy), power
        last, x = x, min(x + min(max(-miss(x) / power, -1.0), 1.0), largest)
    return last, power


def _is_flat(miss: Miss, x: float) -> bool:
    """Whether the effect at x is short of its target, and hardly greater at ten times the shift."""
    return math.log10(FAINTEST) < miss(x) < 0 and miss(x + 1) - miss(x) < math.log10(1 + GROWTH) and miss(x + 1) < 0


def _where_growth_stops(miss: Miss, x: float) -> float:
    """The least x where a saturated effect has `STOPS` of the greater of what it has at x and ten times as far."""
    level = max(miss(x), miss(x + 1)) + math.log10(STOPS)
    high = x if miss(x) >= level else x + 1
    for _ in range(STEPS):
        low = high - 1
        if miss(low) < level:
            return nearest_root(lambda tried: miss(tried) - level, low, high, math.log10(1 + ACCURACY))
        high = low
    return high


def nearest_root(miss: Miss, low: float, high: float, accuracy: float) -> float:
    """The try at which `miss` comes nearest to zero, by Brent's method between two points where its signs differ.

    The search ends with the first try within `accuracy` of zero, or after `STEPS` steps.
    """
    tries: dict[float, float] = {}

    def rounded(x: float) -> float:
        tries[x] = miss(x)
        return tries[x] if abs(tries[x]) > accuracy else 0.0

    brentq(rounded, low, high, maxiter=STEPS, disp=False)
    return min(tries, key=lambda x: abs(tries[x]))


@dataclass(frozen=True)
class Ends:
    """The range of a direction, t_min < 0 < t_max, the effects there, and the power of t that the latter goes with.

    Each is (), float32; (K,) of several directions.
    """

    t_min: Tensor
    t_max: Tensor
    effect_min: Tensor
    effect_max: Tensor
    power: Tensor

    @classmethod
    def of(cls, low: End, high: End) -> "Ends":
        """From both ends of a range."""
        return cls(*map(torch.tensor, (low.t, high.t, low.effect, high.effect, high.power)))

    @property
    def range(self) -> tuple[float, float]:
        """Both ends of one direction."""
        return float(self.t_min), float(self.t_max)

    @classmethod
    def stacked(cls, every: Sequence["Ends"]) -> "Ends":
        """Those of several directions."""
        return cls(*(torch.stack([getattr(each, field.name) for each in every]) for field in fields(cls)))

    def saturated(self, target: float) -> int:
        """How many ends have an effect short of `target`: it has stopped growing there, or there is none."""
        return int((torch.stack([self.effect_min, self.effect_max]) < target * (1 - SHORT)).sum())


@pure(revision=2)
def calibrate(
    meter: EffectMeter, basis: Basis, coefficients: Tensor, target: float, guess: float = 1.0, power: float = 2.0
) -> Ends:
    """The range over which the direction of coefficients (B,) reaches the effect `target` at both ends.

    The search for t_min starts at -`guess` as if the effect went with t to the `power`, that for t_max at -t_min.
    """
    direction = basis.combine(coefficients[None])[0]
    low = meter.reach_by(direction, target, -guess, power)
    return Ends.of(low, meter.reach_by(direction, target, guess if low.t <= -LARGEST else -low.t, low.power))


@rehearses(calibrate)
def _calibrate_rehearsed(
    meter: EffectMeter, basis: Basis, coefficients: Tensor, target: float, guess: float = 1.0, power: float = 2.0
) -> Rehearsed[Ends]:
    """From -1 to 1."""
    costs = times(TRIES, meter.costs)
    return Rehearsed(Ends.of(End(-1.0, target, 2.0), End(1.0, target, 2.0)), costs, about=True)
