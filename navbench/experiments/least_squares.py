"""The least-squares problem of eq. 5, and its search: L-BFGS with a line search until the residual stops falling."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from threadpoolctl import ThreadpoolController
from torch import Tensor

from navbench.compute import Compute, doubled
from navbench.experiments.edit import Edit, codes_for
from navbench.generators.base import Codes
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.seeds import Role
from navbench.spaces import Space

PLATEAU = 0.005
"""A search has converged when the residual falls by less than this share of itself ..."""
PATIENCE = 5
"""... over so many steps."""
CORRECTIONS = 20
"""Pairs of steps and gradients that L-BFGS keeps of an offset."""


@dataclass(frozen=True)
class Imitation:
    """The problem: an edit at shift t, and the space in which it is to be imitated."""

    edit: Edit
    t: float
    space: Space
    distance: PerceptualDistance
    seed: int

    def images(self, codes: Codes) -> tuple[Tensor, Tensor]:
        """The unshifted images and the edit."""
        state = self.edit.space.prepare(codes)
        offset = self.edit.offset
        return self.edit.space.render(state, torch.zeros_like(offset)), self.edit.space.render(state, self.t * offset)


class Edited:
    """The edit on the codes on which offsets are found, batch by batch, made once.

    Attributes:
        size: the sum of its squared changes of pixels.
    """

    def __init__(
        self, imitation: Imitation, compute: Compute, indices: Sequence[int], role: Role = Role.REPRODUCTION
    ) -> None:
        self.imitation, self.compute, self.indices, self.role = imitation, compute, indices, role
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
            codes = codes_for(problem.space.generator, self.role, chunk, problem.seed)
            original, edit = problem.images(codes)
            self._batches[key] = codes, edit, doubled(original - edit).square().sum()
        return self._batches[key]


@dataclass(frozen=True)
class Search:
    """The offset at the end, the residual before the first and after each step, and whether that stopped falling."""

    offset: Tensor
    curve: list[float]
    converged: bool


Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def has_stopped_falling(curve: Sequence[float]) -> bool:
    """Whether a residual fell by less than `PLATEAU` of itself over the last `PATIENCE` steps."""
    if len(curve) <= PATIENCE:
        return False
    before, now = curve[-1 - PATIENCE], curve[-1]
    return before - now < PLATEAU * before


def _descend(
    objective: Objective, start: np.ndarray, first: float, steps: int, corrections: int, report: Report
) -> tuple[np.ndarray, list[float], bool]:
    """L-BFGS from `start`, whose residual is `first`: the end, the residual along the way, whether it has converged."""
    curve = [first]

    def log(intermediate_result: OptimizeResult) -> None:
        curve.append(float(intermediate_result.fun))
        report(len(curve) - 1, steps, f"unexplained fraction {curve[-1]:.3f}")
        if has_stopped_falling(curve):
            raise StopIteration

    options = {"maxiter": steps, "maxcor": corrections, "ftol": 1e-7, "gtol": 0.0}
    # After a call, threads of OpenBLAS spin for a while, which takes the cores from torch's, that do the work.
    with ThreadpoolController().select(internal_api="openblas").limit(limits=1):
        end = minimize(objective, start, jac=True, method="L-BFGS-B", callback=log, options=options)
    report(steps, steps, f"unexplained fraction {curve[-1]:.3f}")
    return end.x, curve, has_stopped_falling(curve) or bool(end.success)


class _Residual:
    """||B_h(z) - A(z)||^2 of some codes, over the sum of ||G(z) - A(z)||^2 of all."""

    def __init__(self, space: Space, edited: Edited) -> None:
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

    def _errors(self, chunk: Sequence[int], offset: Tensor) -> tuple[Tensor, Tensor]:
        """Of a batch each error, (n,), float64, and the gradient of their sum in one offset, or in one per image."""
        codes, edit = self.edited.images(chunk)
        state = self._state(chunk, codes)
        with torch.enable_grad():  # plainly, which takes a tenth less than torch.func
            h = offset.detach().requires_grad_()
            images = self.space.render(state, h)
            errors = doubled((images - edit).square().sum(dim=(1, 2, 3))) / self.edited.size
            (gradient,) = torch.autograd.grad(errors.sum(), h)
        return errors.detach(), gradient


class LeastSquares(_Residual):
    """One offset for all codes: E ||B_h(z) - A(z)||^2 / E ||G(z) - A(z)||^2 and its gradient in h, batch by batch."""

    def part(self, chunk: Sequence[int], offset: Tensor) -> Tensor:
        """Of a batch the error and its gradient, (1 + numel,), float64, on the device."""
        errors, gradient = self._errors(chunk, offset)
        return torch.cat([errors.sum()[None], doubled(gradient.flatten())])

    def minimise(self, steps: int, report: Report) -> Search:
        """The best offset, and the unexplained fraction before the first and after each step of L-BFGS."""
        shape, device = self.space.shape, self.compute.device

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            offset = torch.from_numpy(flat).float().view(shape).to(device)
            parts = list(self.compute.over(self.codes, lambda chunk: self.part(chunk, offset)))
            value, gradient = torch.stack(parts).sum(0).cpu().split([1, offset.numel()])  # the one copy from the device
            return float(value), gradient.numpy()

        start = np.zeros(shape.numel())  # h = 0 is the unshifted generator, in any space, which leaves all
        end, curve, converged = _descend(objective, start, 1.0, steps, CORRECTIONS, report)
        return Search(torch.from_numpy(end).float().view(shape).to(device), curve, converged)


class BestOfEach(_Residual):
    """An offset for each code: a bound of what one offset for all codes can do."""

    def minimise(self, start: Tensor, steps: int) -> Tensor:
        """Of each code, (n,), float64, the least mean squared difference of a pixel that was met from `start` on."""
        count = len(self.codes)
        if not count or not self.edited.size:
            return torch.zeros(count, dtype=torch.float64)
        shape, device = torch.Size((count, *self.space.shape)), self.compute.device
        least = torch.full((count,), math.inf, dtype=torch.float64)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            offsets = torch.from_numpy(flat).float().view(shape).to(device)
            parts = list(self.compute.over(self.codes, lambda chunk: self._parts(chunk, offsets)))
            errors, gradients = (torch.cat(each).cpu() for each in zip(*parts, strict=True))
            torch.minimum(least, errors, out=least)
            return float(errors.sum()), gradients.flatten().double().numpy()

        flat = start.cpu().double().expand(shape).flatten().numpy()
        first = objective(flat)[0]
        # All codes descend together, so the corrections of all take as much memory as those of one offset.
        _descend(objective, flat, first, steps, max(CORRECTIONS // count, 3), silent)
        pixels = math.prod(self.space.generator.size) * 3
        return least * self.edited.size / pixels

    def _parts(self, chunk: Sequence[int], offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Of a batch each code's error, (n,), and its gradient, (n, *shape)."""
        return self._errors(chunk, offsets[chunk[0] : chunk[0] + len(chunk)])
