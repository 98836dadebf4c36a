"""The reproduction test (eq. 5, section 4.3): the offset of space B that best imitates an edit of space A.

    min_h  E_z || B_h(z) - A_{t xi}(z) ||^2,    one h for all z.

The expectation is over a fixed set of codes, so this is a deterministic least-squares problem, solved by
L-BFGS with a line search; what is reported is measured on other codes. Always in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from navbench.compute import Compute
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.strips import to_bytes
from navbench.generators.base import Codes
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.seeds import Role
from navbench.spaces import Space
from navbench.work import pure


@dataclass(frozen=True)
class Reproduction:
    """How well an edit was imitated.

    Attributes:
        offset: h, (*space.shape).
        steps: (S + 1,), the residual on the codes it was found on, before the first and after each step.
        errors: (n,), mean squared pixel difference between imitation and edit, per held-out code.
        sizes: (n,), the same between the unshifted image and the edit; sum(errors) / sum(sizes) is the residual:
            0 for a perfect imitation, 1 for one that is no better than no edit at all.
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


@dataclass(frozen=True)
class Imitation:
    """The problem: an edit at shift t, and the space in which it is to be imitated."""

    edit: Edit
    t: float
    space: Space
    distance: PerceptualDistance
    seed: int

    def solve(self, codes: int, held_out: int, steps: int, rows: int = 3, report: Report = silent) -> Reproduction:
        """Find the best offset on `codes` codes and measure it on `held_out` others."""
        compute = Compute(str(self.edit.compute.device), "float32", self.edit.compute.batch)
        problem = _LeastSquares(self, compute, codes)
        offset, curve = problem.minimise(steps, report)
        parts = compute.over(range(held_out), lambda chunk: self._measure(chunk, offset, rows))
        errors, sizes, perceptual, perceptual_sizes, panel = zip(*parts, strict=True)
        return Reproduction(
            offset.cpu(),
            torch.tensor(curve, dtype=torch.float64),
            torch.cat(errors),
            torch.cat(sizes),
            torch.cat(perceptual),
            torch.cat(perceptual_sizes),
            torch.cat(panel),
        )

    def images(self, codes: Codes) -> tuple[Tensor, Tensor]:
        """The unshifted images and the edit."""
        state = self.edit.space.prepare(codes)
        offset = self.edit.offset
        return self.edit.space.render(state, torch.zeros_like(offset)), self.edit.space.render(state, self.t * offset)

    @torch.no_grad()
    def _measure(self, chunk: Sequence[int], offset: Tensor, rows: int) -> tuple[Tensor, ...]:
        codes = codes_for(self.space.generator, Role.HELD_OUT, chunk, self.seed)
        original, edit = self.images(codes)
        imitation = self.space.render(self.space.prepare(codes), offset)
        features = self.distance.features(edit)
        shown = max(0, rows - chunk[0])
        panel = torch.stack([original[:shown], edit[:shown], imitation[:shown]], dim=1)
        return (
            (imitation - edit).double().square().mean(dim=(1, 2, 3)).cpu(),
            (original - edit).double().square().mean(dim=(1, 2, 3)).cpu(),
            (self.distance.features(imitation) - features).square().sum(1).cpu(),
            (self.distance.features(original) - features).square().sum(1).cpu(),
            to_bytes(panel),
        )


@pure()
def imitate(
    edit: Edit, t: float, space: Space, distance: PerceptualDistance, seed: int, codes: int, held_out: int, steps: int
) -> Reproduction:
    """Imitate an edit at shift t by one offset of a space, found on `codes` codes and measured on `held_out` others."""
    return Imitation(edit, t, space, distance, seed).solve(codes, held_out, steps)


class _LeastSquares:
    """E ||B_h(z) - A(z)||^2 / E ||G(z) - A(z)||^2 over fixed codes, and its gradient in h, batch by batch."""

    def __init__(self, imitation: Imitation, compute: Compute, codes: int) -> None:
        self.imitation, self.compute, self.codes = imitation, compute, range(codes)
        self._prepared: dict[tuple[int, int], tuple[Any, Tensor, float]] = {}
        self.size = sum(compute.over(self.codes, lambda chunk: self._prepare(chunk)[2]))

    @torch.no_grad()
    def _prepare(self, chunk: Sequence[int]) -> tuple[Any, Tensor, float]:
        """Of a batch: the work of space B that no h changes, the edit, and the edit's size; made once."""
        key = (chunk[0], len(chunk))
        if key not in self._prepared:
            space = self.imitation.space
            codes = codes_for(space.generator, Role.REPRODUCTION, chunk, self.imitation.seed)
            original, edit = self.imitation.images(codes)
            size = float((original - edit).double().square().sum())
            self._prepared[key] = space.prepare(codes), edit, size
        return self._prepared[key]

    def _part(self, chunk: Sequence[int], offset: Tensor) -> tuple[float, Tensor]:
        state, edit, _ = self._prepare(chunk)

        def error(h: Tensor) -> Tensor:
            images = self.imitation.space.render(state, h)
            return (images - edit).square().sum(dim=(1, 2, 3)).double().sum() / self.size

        gradient, value = torch.func.grad_and_value(error)(offset)
        return float(value), gradient

    def minimise(self, steps: int, report: Report) -> tuple[Tensor, list[float]]:
        """The best offset, and the residual before the first and after each step of L-BFGS."""
        shape, device = self.imitation.space.shape, self.compute.device

        def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
            offset = torch.from_numpy(flat).float().view(shape).to(device)
            values, gradients = zip(
                *self.compute.over(self.codes, lambda chunk: self._part(chunk, offset)), strict=True
            )
            return sum(values), torch.stack(gradients).sum(0).flatten().double().cpu().numpy()

        curve = [1.0]  # h = 0 is the unshifted generator, in any space

        def log(intermediate_result: OptimizeResult) -> None:
            curve.append(float(intermediate_result.fun))
            report(len(curve) - 1, steps, f"residual {curve[-1]:.3f}")

        options = {"maxiter": steps, "maxcor": 20, "ftol": 1e-7, "gtol": 0.0}
        start = np.zeros(shape.numel())
        found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", callback=log, options=options)
        report(steps, steps, f"residual {found.fun:.3f}")
        return torch.from_numpy(found.x).float().view(shape).to(device), curve
