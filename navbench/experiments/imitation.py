"""The reproduction test (eq. 5, section 4.3): the offset of space B that best imitates an edit of space A.

    min_h  E_z || B_h(z) - A_{t xi}(z) ||^2,    one h for all z.

The expectation is over a fixed set of codes, so this is a deterministic least-squares problem, solved by
L-BFGS with a line search; what is reported is measured on other codes. Always in float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from navbench.compute import Compute
from navbench.costs import (
    Pass,
    Rehearsed,
    Trial,
    added,
    blank,
    preparing,
    rehearses,
    rendering,
    seeing,
    times,
    tried_images,
)
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.strips import to_bytes
from navbench.generators.base import Codes
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.seeds import Role
from navbench.spaces import Space, describe
from navbench.work import pure

ROWS = 3
"""Of how many held-out codes the images are kept."""
_EVALUATIONS = 1.25
"""Gradients per step of L-BFGS, typically; for plans."""


@dataclass(frozen=True)
class Reproduction:
    """How well an edit was imitated.

    Attributes:
        offset: h, (*space.shape).
        steps: (S + 1,), the unexplained fraction on the codes it was found on, before the first and after each step.
        errors: (n,), mean squared pixel difference between imitation and edit, per held-out code.
        sizes: (n,), the same between the unshifted image and the edit; sum(errors) / sum(sizes) is the unexplained
            fraction: 0 for a perfect imitation, 1 for one that is no better than no edit at all.
        perceptual, perceptual_sizes: (n,), the same two in the perceptual distance.
        panel: (rows, 3, 3, H, W), uint8: unshifted, edit and imitation of the first held-out codes.
    """

    offset: Tensor
    steps: Tensor
    errors: Tensor
    sizes: Tensor
    perceptual: Tensor
    perceptual_sizes: Tensor
    panel: Tensor

    @property
    def unexplained_fraction(self) -> Estimate:
        """What the imitation leaves of the edit."""
        return estimate.ratio(self.errors, self.sizes)


@dataclass(frozen=True)
class Imitation:
    """The problem: an edit at shift t, and the space in which it is to be imitated."""

    edit: Edit
    t: float
    space: Space
    distance: PerceptualDistance
    seed: int

    def solve(self, codes: int, held_out: int, steps: int, rows: int = ROWS, report: Report = silent) -> Reproduction:
        """Find the best offset on `codes` codes and measure it on `held_out` others."""
        return solve([self], codes, held_out, steps, rows, report)[0]

    def images(self, codes: Codes) -> tuple[Tensor, Tensor]:
        """The unshifted images and the edit."""
        state = self.edit.space.prepare(codes)
        offset = self.edit.offset
        return self.edit.space.render(state, torch.zeros_like(offset)), self.edit.space.render(state, self.t * offset)


def solve(
    problems: Sequence[Imitation], codes: int, held_out: int, steps: int, rows: int = 3, report: Report = silent
) -> list[Reproduction]:
    """Solve problems that differ in their spaces alone; the images of the edit are made once for all of them."""
    first = problems[0]
    compute = first.edit.compute.at("float32")
    edited = _Edited(first, compute, range(codes))
    found = [_LeastSquares(problem.space, edited).minimise(steps, report) for problem in problems]
    offsets = [offset for offset, _ in found]
    parts = compute.over(range(held_out), lambda chunk: _measure(problems, offsets, chunk, rows))
    errors, sizes, perceptual, perceptual_sizes, panels = map(torch.cat, zip(*parts, strict=True))
    return [
        Reproduction(
            offset.cpu(),
            torch.tensor(curve, dtype=torch.float64),
            errors[:, index],
            sizes,
            perceptual[:, index],
            perceptual_sizes,
            panels[:, index],
        )
        for index, (offset, curve) in enumerate(found)
    ]


@torch.no_grad()
def _measure(
    problems: Sequence[Imitation], offsets: Sequence[Tensor], chunk: Sequence[int], rows: int
) -> tuple[Tensor, ...]:
    """What a `Reproduction` holds, of a batch of held-out codes: errors (n, problems), sizes (n,), ..."""
    first, distance = problems[0], problems[0].distance
    codes = codes_for(first.space.generator, Role.HELD_OUT, chunk, first.seed)
    original, edit = first.images(codes)
    features = distance.features(edit)
    shown = max(0, rows - chunk[0])
    errors, perceptual, panels = [], [], []
    for problem, offset in zip(problems, offsets, strict=True):
        imitation = problem.space.render(problem.space.prepare(codes), offset)
        errors.append((imitation - edit).double().square().mean(dim=(1, 2, 3)))
        perceptual.append((distance.features(imitation) - features).square().sum(1))
        panels.append(to_bytes(torch.stack([original[:shown], edit[:shown], imitation[:shown]], dim=1)))
    return (
        torch.stack(errors, dim=1).cpu(),
        (original - edit).double().square().mean(dim=(1, 2, 3)).cpu(),
        torch.stack(perceptual, dim=1).cpu(),
        (distance.features(original) - features).square().sum(1).cpu(),
        torch.stack(panels, dim=1),
    )


def _imitate_into_all(given: Sequence[Mapping[str, Any]]) -> list[Reproduction]:
    """`imitate` for several spaces, of which the edit's images are made once."""
    names, sizes = ("edit", "t", "space", "distance", "seed"), ("codes", "held_out", "steps")
    problems = [Imitation(*(each[name] for name in names)) for each in given]
    return solve(problems, *(given[0][name] for name in sizes))


@pure(together=_imitate_into_all)
def imitate(
    space: Space, edit: Edit, t: float, distance: PerceptualDistance, seed: int, codes: int, held_out: int, steps: int
) -> Reproduction:
    """Imitate an edit at shift t by one offset of a space, found on `codes` codes and measured on `held_out` others."""
    return Imitation(edit, t, space, distance, seed).solve(codes, held_out, steps)


@rehearses(imitate)
def _imitate_rehearsed(
    space: Space, edit: Edit, t: float, distance: PerceptualDistance, seed: int, codes: int, held_out: int, steps: int
) -> Rehearsed[Reproduction]:
    """Nothing is imitated, in all steps that there are; the edit's images may be shared with other spaces."""
    compute = edit.compute.at("float32")
    descent = _descent(Imitation(edit, t, space, distance, seed), codes)
    seen = seeing("distance", distance.name, distance.features, space.generator, compute)
    costs = added(
        times(codes + held_out, {preparing(edit.space, compute): 1, rendering(edit.space, compute): 2}),
        times(held_out, {preparing(space, compute): 1, rendering(space, compute): 1, seen: 3}),
        {preparing(space, compute): codes, descent: codes * _EVALUATIONS * steps},
    )
    curve, errors = torch.ones(steps + 1, dtype=torch.float64), torch.ones(held_out, dtype=torch.float64)
    panel = blank(min(ROWS, held_out), 3, 3, *space.generator.size, dtype=torch.uint8)
    perceptual = errors.float()
    sketch = Reproduction(torch.zeros(space.shape), curve, errors, errors, perceptual, perceptual, panel)
    return Rehearsed(sketch, costs, about=True)


def _descent(imitation: Imitation, codes: int) -> Pass:
    """One code's part of the squared error and its gradient."""
    edit, space = imitation.edit, imitation.space

    def trial() -> Trial:
        compute = edit.compute.at("float32")
        chunk = range(min(codes, tried_images(compute)))
        problem = _LeastSquares(space, _Edited(imitation, compute, chunk))

        def once() -> float:
            problem._part(chunk, torch.zeros(space.shape, device=compute.device))
            return len(chunk)

        return once

    key = (space.generator.name, describe(space), codes)
    return Pass("imitation", key, trial, images=1)


class _Edited:
    """The edit on the codes on which offsets are found, batch by batch, made once.

    Attributes:
        size: the sum of its squared changes of pixels.
    """

    def __init__(self, imitation: Imitation, compute: Compute, indices: Sequence[int]) -> None:
        self.imitation, self.compute, self.indices = imitation, compute, indices
        self._batches: dict[tuple[int, int], tuple[Codes, Tensor, Tensor]] = {}
        self.size = float(sum(compute.over(indices, lambda chunk: self._batch(chunk)[2])))

    def images(self, chunk: Sequence[int]) -> tuple[Codes, Tensor]:
        """Codes, and their images under the edit."""
        codes, edit, _ = self._batch(chunk)
        return codes, edit

    @torch.no_grad()
    def _batch(self, chunk: Sequence[int]) -> tuple[Codes, Tensor, Tensor]:
        key = (chunk[0], len(chunk))
        if key not in self._batches:
            problem = self.imitation
            codes = codes_for(problem.space.generator, Role.REPRODUCTION, chunk, problem.seed)
            original, edit = problem.images(codes)
            self._batches[key] = codes, edit, (original - edit).double().square().sum()
        return self._batches[key]


class _LeastSquares:
    """E ||B_h(z) - A(z)||^2 / E ||G(z) - A(z)||^2 over fixed codes, and its gradient in h, batch by batch."""

    def __init__(self, space: Space, edited: _Edited) -> None:
        self.space, self.edited = space, edited
        self.compute, self.codes = edited.compute, edited.indices
        self._states: dict[tuple[int, int], Any] = {}

    @torch.no_grad()
    def _state(self, chunk: Sequence[int], codes: Codes) -> Any:
        """The work of space B that no h changes, made once for a batch."""
        key = (chunk[0], len(chunk))
        if key not in self._states:
            self._states[key] = self.space.prepare(codes)
        return self._states[key]

    def _part(self, chunk: Sequence[int], offset: Tensor) -> Tensor:
        """Of a batch the error and its gradient, (1 + numel,), float64, on the device."""
        codes, edit = self.edited.images(chunk)
        state = self._state(chunk, codes)

        def error(h: Tensor) -> Tensor:
            images = self.space.render(state, h)
            return (images - edit).square().sum(dim=(1, 2, 3)).double().sum() / self.edited.size

        gradient, value = torch.func.grad_and_value(error)(offset)
        return torch.cat([value[None], gradient.flatten().double()])

    def minimise(self, steps: int, report: Report) -> tuple[Tensor, list[float]]:
        """The best offset, and the unexplained fraction before the first and after each step of L-BFGS."""
        shape, device = self.space.shape, self.compute.device

        def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
            offset = torch.from_numpy(flat).float().view(shape).to(device)
            parts = list(self.compute.over(self.codes, lambda chunk: self._part(chunk, offset)))
            value, gradient = torch.stack(parts).sum(0).cpu().split([1, offset.numel()])  # the one copy from the device
            return float(value), gradient.numpy()

        curve = [1.0]  # h = 0 is the unshifted generator, in any space

        def log(intermediate_result: OptimizeResult) -> None:
            curve.append(float(intermediate_result.fun))
            report(len(curve) - 1, steps, f"unexplained fraction {curve[-1]:.3f}")

        options = {"maxiter": steps, "maxcor": 20, "ftol": 1e-7, "gtol": 0.0}
        start = np.zeros(shape.numel())
        found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", callback=log, options=options)
        report(steps, steps, f"unexplained fraction {found.fun:.3f}")
        return torch.from_numpy(found.x).float().view(shape).to(device), curve
