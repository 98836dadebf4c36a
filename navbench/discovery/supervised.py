"""Directions from a differentiable scorer: per attribute the offset that moves it most while the others stay.

A bound of what can be found in a space: the search sees the labels that others are judged by. It seeks the greatest
(E c_a)^2 / E sum_b c_b^2, over the changes c of the attributes in sigmas, from t = 0 to either end of a range that is
calibrated to an effect. To first order in the offset, and in the mean over codes, no other attribute need move at all
(`dual`); the search starts there and goes on with the images themselves.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench import seeds
from navbench.basis import DenseBasis
from navbench.compute import Compute, batches, doubled
from navbench.costs import (
    Pass,
    Rehearsed,
    Trial,
    added,
    preparing,
    rehearses,
    rendering,
    seeing,
    times,
    tried_images,
)
from navbench.discovery.calibration import TRIES, EffectMeter, Ends, calibrate
from navbench.discovery.settings import SupervisedSettings
from navbench.errors import NavbenchError
from navbench.generators.base import Codes
from navbench.metrics.attributes import Scorer, movement, seen, standardised_changes
from navbench.progress import Report, silent
from navbench.spaces import Space, describe
from navbench.work import pure

RIDGE = 1e-3
"""Of the mean gradients' Gram matrix, as a share of its mean diagonal: attributes that move alike stay apart by it."""
BETAS = (0.9, 0.99)  # of Adam; a search has some hundred steps
REMEMBERED = 0.9  # of the running means, by a step
LEAST = 0.1
"""Of the root mean squared change: the least mean change by which a step is scaled, as a search may begin at none."""


@dataclass(frozen=True)
class AttributeGradients:
    """Mean gradients of the attributes in sigmas by the offset, at none: (A, *shape)."""

    means: Tensor


def _read(scorer: Scorer, images: Tensor) -> Tensor:
    """What a scorer reads, (N, A), with gradients; an image in which it does not see its subject gives none."""
    scores = scorer.differentiable(images)
    kept = seen(scores).view(-1, 1, 1, 1)
    if not kept.all():
        images.register_hook(lambda gradient: torch.where(kept, gradient, 0.0))
    return scores


@pure()
def attribute_gradients(space: Space, scorer: Scorer, codes: int, compute: Compute, seed: int) -> AttributeGradients:
    """The gradients of what a scorer reads, in the mean over codes in whose images it sees its subject.

    Raises:
        NavbenchError: an attribute has no gradient.
    """
    compute, spread = compute.at("float32"), [attribute.spread for attribute in scorer.attributes]
    chosen = space.generator.sample(range(codes), seeds.derived(seed, "supervised"))

    def of(chunk: Sequence[int]) -> Tensor:
        with torch.no_grad():
            state = space.prepare(chosen[chunk[0] : chunk[-1] + 1])
        with torch.enable_grad():
            offset = torch.zeros(space.shape, device=compute.device, requires_grad=True)
            images = space.render(state, offset)
            scores = _read(scorer, images)
            totals = scores[seen(scores)].sum(dim=0) / scores.new_tensor(spread)
            pulled = [torch.autograd.grad(total, offset, retain_graph=True)[0] for total in totals]
        return torch.stack(pulled)

    means = sum(compute.over(range(codes), of), torch.zeros(1, device=compute.device)) / codes
    norms = means.flatten(1).norm(dim=1)
    for attribute, norm in zip(scorer.attributes, norms.tolist(), strict=True):
        if not 0 < norm < math.inf:
            raise NavbenchError(
                f"Scorer {scorer.name} has no gradient of {attribute.name!r} in {describe(space)}; take method "
                "interfacegan, which needs none, in z or w."
            )
    return AttributeGradients(means.cpu())


@rehearses(attribute_gradients)
def _gradients_rehearsed(
    space: Space, scorer: Scorer, codes: int, compute: Compute, seed: int
) -> Rehearsed[AttributeGradients]:
    """The first axes."""
    count = len(scorer.attributes)
    axes = torch.eye(count, space.shape.numel()).unflatten(1, space.shape)
    costs = times(codes, {preparing(space, compute): 1, pulling(space, scorer, compute): count})
    return Rehearsed(AttributeGradients(axes), costs)


def dual(gradients: Tensor) -> Tensor:
    """Unit offsets (A, *shape), each of which moves its own attribute alone, to first order in the mean over codes.

    Args:
        gradients: (A, *shape), of the attributes in sigmas.
    """
    rows = doubled(gradients).flatten(1)
    gram = rows @ rows.T
    ridge = RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    offsets = F.normalize(torch.linalg.solve(gram + ridge, rows), dim=1)
    return offsets.unflatten(1, gradients.shape[1:]).to(gradients)


# --- the search --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steered:
    """What the search for the offset of one attribute gave.

    Attributes:
        offset: of unit norm, *shape: of all that were checked, the best for held-out codes.
        t_min, t_max: (), the range in which that was checked.
        share, consistency: (), float64, of the attribute on held-out codes (see `metrics.attributes.Movement`).
        shares: (C,), float64, the share at every check, the start first.
        seconds: (), float64, spent.
    """

    offset: Tensor
    t_min: Tensor
    t_max: Tensor
    share: Tensor
    consistency: Tensor
    shares: Tensor
    seconds: Tensor


@dataclass(frozen=True)
class Objective:
    """(E gain)^2 / E sum_b c_b^2 of changes c, in sigmas, where the gain is the change of one attribute.

    Attributes:
        attribute: its place.
        most: what the attribute changes beyond that is no gain.
    """

    attribute: int
    most: float

    def sums(self, changes: Tensor) -> Tensor:
        """Of changes (m, A), (2,): the sum of squares, and the sum of gains."""
        return torch.stack([changes.square().sum(), changes[:, self.attribute].clamp_max(self.most).sum()])

    def value(self, means: Tensor) -> float:
        """The objective, of the sums over their number; below 0 where the attribute moves the other way."""
        squares, gain = means.tolist()
        return gain * abs(gain) / squares if squares > 0 else 0.0

    def weights(self, means: Tensor) -> Tensor:
        """What each sum weighs in the gradient of the objective's logarithm; that of a small gain is bounded."""
        squares, gain = means.clamp_min(torch.finfo(means.dtype).tiny).tolist()
        return means.new_tensor([-1 / squares, 2 / max(gain, LEAST * math.sqrt(squares))])


@dataclass(frozen=True)
class _Check:
    """An offset on the way, its range, and what it does to held-out codes there.

    Attributes:
        means: (2,), of the objective's sums.
        is_read: whether the scorer sees its subject in enough of their images.
        share, consistency: of the attribute; 0 where it does not.
    """

    offset: Tensor
    ends: Ends
    means: Tensor
    is_read: bool
    share: float
    consistency: float


class _Search:
    """The search for the offset of one attribute, by Adam on the unit sphere."""

    def __init__(
        self,
        meter: EffectMeter,
        scorer: Scorer,
        start: Tensor,
        objective: Objective,
        how: SupervisedSettings,
        seed: int,
    ) -> None:
        self.meter, self.scorer, self.objective, self.how = meter, scorer, objective, how
        self.space, self.compute = meter.space, meter.compute
        sample = self.space.generator.sample
        self.codes = sample(range(how.codes), seeds.derived(seed, "supervised"))
        self.held_out = sample(range(how.held_out), seeds.derived(seed, "supervised held out"))
        self.offset = (start / start.norm()).to(self.compute.device).requires_grad_()
        self.adam = torch.optim.Adam([self.offset], betas=BETAS)
        self.unshifted, self.held_out_unshifted = (
            self._scores(codes, torch.zeros_like(self.offset), [1.0])[0] for codes in (self.codes, self.held_out)
        )
        self.step = 0
        self.last: _Check | None = None
        self.means = torch.zeros(2)  # running, of the objective's sums

    @torch.no_grad()
    def _scores(self, codes: Codes, offset: Tensor, shifts: Sequence[float]) -> Tensor:
        """What the scorer reads of images under multiples of an offset, (T, n, A)."""

        def of(chunk: Sequence[int]) -> Tensor:
            state = self.space.prepare(codes[chunk[0] : chunk[-1] + 1])
            return torch.stack([self.scorer(self.space.render(state, t * offset)) for t in shifts])

        return torch.cat(list(self.compute.over(range(len(codes)), of)), dim=1)

    def _changes(self, low: Tensor, unshifted: Tensor, high: Tensor) -> Tensor:
        """The changes (m, A) towards t_max of both halves of a range, of codes whose subject the scorer sees."""
        kept = seen(torch.stack([low.detach(), unshifted, high.detach()])).all(dim=0)
        halves = ((low, unshifted), (unshifted, high))
        return torch.cat([standardised_changes(a[kept], b[kept], self.scorer.attributes) for a, b in halves])

    def check(self, target: float) -> _Check:
        """Solve for the range in which the offset has an effect, and try it there on held-out codes."""
        begin = (float(self.last.ends.t_max), float(self.last.ends.power)) if self.last else ()
        offset = self.offset.detach().clone()
        basis, row = DenseBasis(offset[None]), torch.ones(1, device=self.compute.device)
        ends = calibrate(self.meter, basis, row, target, *begin)
        shifts = (float(ends.t_min), 0.0, float(ends.t_max))
        low, high = self._scores(self.held_out, offset, [shifts[0], shifts[-1]])
        scores = torch.stack([low, self.held_out_unshifted, high])
        moved, changes = movement(scores.cpu(), shifts, self.scorer.attributes), self._changes(*scores)
        means = self.objective.sums(changes).cpu() / max(len(changes), 1)
        own = self.objective.attribute
        told = (0.0, 0.0) if moved is None else (float(moved.share[own]), float(moved.consistency[own]))
        self.last = _Check(offset, ends, means, moved is not None, *told)
        if not self.step:
            self.means = means
        return self.last

    def take_step(self) -> None:
        """One step in the last range, whose rate falls as half a cosine over the steps."""
        blocks = batches(len(self.codes), self.how.batch)
        parts = list(self.compute.over(blocks[self.step % len(blocks)], self._pulled))
        count = sum(count for _, _, count in parts)
        self.offset.grad = torch.stack([pulled for pulled, _, _ in parts]).sum(dim=0) / max(count, 1)
        if count:
            sums = torch.stack([sums for _, sums, _ in parts]).sum(dim=0)
            self.means = torch.lerp(self.means, sums / count, 1 - REMEMBERED)
        share = (1 + math.cos(math.pi * self.step / self.how.steps)) / 2
        self.adam.param_groups[0]["lr"] = self.how.learning_rate * share / math.sqrt(self.offset.numel())
        self.adam.step()
        with torch.no_grad():
            self.offset /= self.offset.norm()
        self.step += 1

    def _pulled(self, chunk: Sequence[int]) -> tuple[Tensor, Tensor, int]:
        """Of some codes: the gradient that leads down, summed; the objective's sums; and of how many changes."""
        assert self.last is not None
        part = slice(chunk[0], chunk[-1] + 1)
        with torch.no_grad():
            state = self.space.prepare(self.codes[part])
        with torch.enable_grad():
            unit = self.offset / self.offset.norm()
            low, high = (_read(self.scorer, self.space.render(state, t * unit)) for t in self.last.ends.range)
            changes = self._changes(low, self.unshifted[part], high)
            sums = self.objective.sums(changes)
            loss = -(self.objective.weights(self.means).to(sums) * sums).sum()
            (pulled,) = torch.autograd.grad(loss, self.offset)
        return pulled, sums.detach().cpu(), len(changes)


@pure()
def steered_offset(
    meter: EffectMeter,
    scorer: Scorer,
    start: Tensor,
    attribute: int,
    target: float,
    settings: SupervisedSettings,
    seed: int,
    report: Report = silent,
) -> Steered:
    """The offset that moves one attribute most while the others stay, where images change by an effect.

    Args:
        meter: of effects.
        start: an offset, *shape, from which the search begins.
        attribute: its place among the scorer's.
        target: the effect at both ends of the range.
    """
    begun, objective = time.monotonic(), Objective(attribute, settings.change)
    search, checks = _Search(meter, scorer, start, objective, settings, seed), []
    for step in range(settings.steps + 1):
        if step % settings.check == 0 or step == settings.steps:
            checks.append(search.check(target))
            report(step, settings.steps, f"{scorer.attributes[attribute].name}, share {checks[-1].share:.2f}")
        if step < settings.steps:
            search.take_step()
    best = max(checks, key=lambda check: (check.is_read, objective.value(check.means)))
    numbers = (best.share, best.consistency, [check.share for check in checks], time.monotonic() - begun)
    exact = (torch.tensor(each, dtype=torch.float64) for each in numbers)
    return Steered(best.offset.cpu(), best.ends.t_min, best.ends.t_max, *exact)


@rehearses(steered_offset)
def _steered_rehearsed(
    meter: EffectMeter,
    scorer: Scorer,
    start: Tensor,
    attribute: int,
    target: float,
    settings: SupervisedSettings,
    seed: int,
) -> Rehearsed[Steered]:
    """The start, as if it were the best."""
    space, compute = meter.space, meter.compute
    checks = 1 + -(-settings.steps // settings.check)
    images = settings.codes + settings.held_out * (1 + 2 * checks)
    passes = {preparing(space, compute): 1, rendering(space, compute): 1}
    passes[seeing("scorer", scorer.name, scorer, space.generator, compute)] = 1
    one, exact = torch.ones(()), torch.ones((), dtype=torch.float64)
    result = Steered(start, -one, one, exact, exact, exact.expand(checks), 0 * exact)
    searched = {pulling(space, scorer, compute): 2.0 * settings.batch * settings.steps}
    return Rehearsed(result, added(times(images, passes), times(TRIES * checks, meter.costs), searched), about=True)


def pulling(space: Space, scorer: Scorer, compute: Compute) -> Pass:
    """One image that is rendered under an offset and read, and the gradient back to the offset."""

    def trial() -> Trial:
        count = tried_images(compute)
        with torch.no_grad():
            state = space.prepare(space.generator.sample(range(count), seed=0))

        def once() -> float:
            with torch.enable_grad():
                offset = torch.zeros(space.shape, device=compute.device, requires_grad=True)
                torch.autograd.grad(_read(scorer, space.render(state, offset)).sum(), offset)
            return count

        return once

    return Pass("scorer gradient", (space.generator.name, describe(space), scorer.name), trial, images=1)
