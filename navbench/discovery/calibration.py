"""Calibration: the shift at which an edit reaches a given effect (the paper chose its t ranges by hand)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from navbench.compute import Compute, finite_images
from navbench.generators.base import Codes
from navbench.metrics.perceptual import PerceptualDistance
from navbench.spaces import Space

LARGEST = 1e6  # shifts beyond this are not tried
ACCURACY = 0.01  # an effect this close to the target, relatively, has reached it
STEPS = 24


@dataclass(frozen=True)
class EffectMeter:
    """Measures effects, E_z d(G(z), G_t(z)), always on the same codes."""

    space: Space
    distance: PerceptualDistance
    codes: Codes
    compute: Compute

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
            return self.distance.features(finite_images(images, f"Generator {self.space.generator.name}"))

        return torch.cat(list(self.compute.over(range(len(self.codes)), work)))

    def reach(self, direction: Tensor, target: float, guess: float) -> float:
        """The shift t of the sign of `guess` at which `direction` has the effect `target`.

        For small t the effect is quadratic in t, so each step assumes a power law through the last two points
        and stays inside the bracket found so far. An effect that saturates below the target gives the largest
        shift that was tried; the effect at both ends of a range is always reported beside it.
        """
        low, high, t, power = 0.0, float("inf"), abs(guess), 2.0
        last: tuple[float, float] | None = None
        for _ in range(STEPS):
            effect = self.effect(direction * (t if guess > 0 else -t))
            if abs(effect / target - 1) <= ACCURACY or (t >= LARGEST and effect < target):
                break
            low, high = (t, high) if effect < target else (low, t)
            if last is not None and effect > 0 and last[1] > 0 and t != last[0]:
                slope = float(torch.tensor(effect / last[1]).log() / torch.tensor(t / last[0]).log())
                power = min(max(slope, 0.5), 4.0)
            last = (t, effect)
            step = (target / max(effect, 1e-12)) ** (1 / power)
            proposal = t * min(max(step, 0.1), 10.0)
            inside = low < proposal < high
            t = min(proposal if inside else (low + high) / 2, LARGEST)
        return t if guess > 0 else -t


def calibrate(meter: EffectMeter, directions: Tensor, target: float, guess: float = 1.0) -> tuple[Tensor, Tensor]:
    """Ranges (t_min, t_max), (K,) each, over which directions (K, *shape) reach the effect `target` at both ends."""
    ends: list[list[float]] = [[], []]
    for direction in directions:
        for side, sign in enumerate((-1.0, 1.0)):
            ends[side].append(meter.reach(direction, target, sign * guess))
            if abs(ends[side][-1]) < LARGEST:
                guess = abs(ends[side][-1])
    return torch.tensor(ends[0]), torch.tensor(ends[1])
