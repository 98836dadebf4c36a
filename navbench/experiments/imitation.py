"""The reproduction test (eq. 5, section 4.3): the offset of space B that best imitates an edit of space A.

    min_h  E_z || B_h(z) - A_{t xi}(z) ||^2,    one h for all z.

The expectation is over a fixed set of codes, so this is a deterministic least-squares problem, solved by
L-BFGS with a line search until it stops falling; what is reported is measured on other codes. Always in float32.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from navbench.compute import doubled
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
from navbench.experiments.least_squares import BestOfEach, Edited, Imitation, LeastSquares
from navbench.experiments.strips import to_bytes
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.seeds import Role
from navbench.spaces import Space, describe
from navbench.work import pure

ROWS = 3
"""Of how many held-out codes the images are kept."""
AGREEMENT = 0.05
"""Training and held-out codes agree when their unexplained fractions differ by no more than this."""
NOT_CONVERGED, MORE_CODES = "not converged", "more codes needed"
"""What limits an imitation: it was still improving at the last step, or held-out codes tell that it is overfitted."""
_EVALUATIONS = 1.1
"""Gradients per step of L-BFGS, typically; for plans."""
TYPICAL_STEPS = {"z": 20, "w": 60, "w+": 160, "s": 250, "activation": 250, "parameter": 250}
"""Steps of a search by the kind of its space, for plans: about the medians of reports/full, which stops at 300.

That has none in `s`, for which the number of a layer stands."""


@dataclass(frozen=True)
class Reproduction:
    """How well an edit was imitated.

    Attributes:
        offset: h, (*space.shape).
        steps: (S + 1,), the unexplained fraction on the codes it was found on, before the first and after each step.
        converged: (), bool, whether the search ended because it had stopped falling.
        errors: (n,), mean squared pixel difference between imitation and edit, per held-out code.
        sizes: (n,), the same between the unshifted image and the edit; sum(errors) / sum(sizes) is the unexplained
            fraction: 0 for a perfect imitation, 1 for one that is no better than no edit at all.
        perceptual, perceptual_sizes: (n,), the same two in the perceptual distance.
        best_errors: (m,), of the first m held-out codes what the best offset of each code singly leaves; m may be 0.
        panel: (rows, 3, 3, H, W), uint8: unshifted, edit and imitation of the first held-out codes.
    """

    offset: Tensor
    steps: Tensor
    converged: Tensor
    errors: Tensor
    sizes: Tensor
    perceptual: Tensor
    perceptual_sizes: Tensor
    best_errors: Tensor
    panel: Tensor

    @property
    def unexplained_fraction(self) -> Estimate:
        """What the imitation leaves of the edit."""
        return estimate.ratio(self.errors, self.sizes)

    @property
    def bound(self) -> Estimate | None:
        """What the best offset per image leaves, never more than one offset for all does; `None` of fewer than 2 codes.

        The unexplained fraction of all n codes times the share of their error that is left of the first m, so that
        which codes the m are matters little (a ratio estimator).
        """
        n, m = len(self.errors), len(self.best_errors)
        if m < 2:
            return None
        whole, share = self.unexplained_fraction, estimate.ratio(self.best_errors, self.errors[:m])
        influence = share.value * whole.influence
        # The standard error of n codes has a factor 1 / (n (n - 1)), where that of the share has m's.
        influence[:m] += whole.value * share.influence * math.sqrt(n * (n - 1) / (m * (m - 1)))
        return Estimate(whole.value * share.value, influence)

    @property
    def agrees(self) -> bool:
        """Whether the held-out codes leave as much as those that the offset was found on."""
        return not abs(self.unexplained_fraction.value - float(self.steps[-1])) > AGREEMENT

    @property
    def status(self) -> str:
        """What limits the imitation, in the words of its table; '' if nothing does."""
        limits = {NOT_CONVERGED: not bool(self.converged), MORE_CODES: not self.agrees}
        return "; ".join(words for words, holds in limits.items() if holds)


@dataclass(frozen=True)
class Sizes:
    """How much is spent on an imitation.

    Attributes:
        codes: on which the offset is found.
        held_out: others, on which it is measured.
        steps: of L-BFGS, at most.
        bound: of how many held-out codes the best offset of each is sought.
    """

    codes: int
    held_out: int
    steps: int
    bound: int = 0


def solve(problems: Sequence[Imitation], sizes: Sizes, rows: int = ROWS, report: Report = silent) -> list[Reproduction]:
    """Solve problems that differ in their spaces alone; the images of the edit are made once for all of them."""
    first = problems[0]
    compute = first.edit.compute.at("float32")
    edited = Edited(first, compute, range(sizes.codes))
    searches = [LeastSquares(problem.space, edited).minimise(sizes.steps, report) for problem in problems]
    offsets = [search.offset for search in searches]
    held_out = range(sizes.held_out)
    parts = compute.over(held_out, lambda chunk: _measure(problems, offsets, chunk, rows))
    errors, changes, perceptual, perceptual_changes, panels = map(torch.cat, zip(*parts, strict=True))
    singly = Edited(first, compute, held_out[: sizes.bound], Role.HELD_OUT)
    bests = [
        BestOfEach(problem.space, singly).minimise(offset, sizes.steps)
        for problem, offset in zip(problems, offsets, strict=True)
    ]
    return [
        Reproduction(
            offset=search.offset.cpu(),
            steps=torch.tensor(search.curve, dtype=torch.float64),
            converged=torch.tensor(search.converged),
            errors=errors[:, index],
            sizes=changes,
            perceptual=perceptual[:, index],
            perceptual_sizes=perceptual_changes,
            best_errors=torch.minimum(best, errors[: sizes.bound, index]),
            panel=panels[:, index],
        )
        for index, (search, best) in enumerate(zip(searches, bests, strict=True))
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
        errors.append(doubled(imitation - edit).square().mean(dim=(1, 2, 3)))
        perceptual.append((distance.features(imitation) - features).square().sum(1))
        panels.append(to_bytes(torch.stack([original[:shown], edit[:shown], imitation[:shown]], dim=1)))
    return (
        torch.stack(errors, dim=1).cpu(),
        doubled(original - edit).square().mean(dim=(1, 2, 3)).cpu(),
        torch.stack(perceptual, dim=1).cpu(),
        (distance.features(original) - features).square().sum(1).cpu(),
        torch.stack(panels, dim=1),
    )


def _imitate_into_all(given: Sequence[Mapping[str, Any]]) -> list[Reproduction]:
    """`imitate` for several spaces, of which the edit's images are made once."""
    names, sizes = ("edit", "t", "space", "distance", "seed"), ("codes", "held_out", "steps", "bound")
    problems = [Imitation(*(each[name] for name in names)) for each in given]
    return solve(problems, Sizes(*(given[0][name] for name in sizes)))


@pure(revision=2, together=_imitate_into_all)
def imitate(
    space: Space, edit: Edit, t: float, distance: PerceptualDistance, seed: int, codes: int, held_out: int, steps: int,
    bound: int,
) -> Reproduction:  # fmt: skip
    """Imitate an edit at shift t by one offset of a space (see `Sizes`)."""
    problem = Imitation(edit, t, space, distance, seed)
    return solve([problem], Sizes(codes, held_out, steps, bound))[0]


@rehearses(imitate)
def _imitate_rehearsed(
    space: Space, edit: Edit, t: float, distance: PerceptualDistance, seed: int, codes: int, held_out: int, steps: int,
    bound: int,
) -> Rehearsed[Reproduction]:  # fmt: skip
    """Nothing is imitated, in as many steps as usual; the edit's images may be shared with other spaces."""
    compute, usual = edit.compute.at("float32"), min(steps, TYPICAL_STEPS[space.kind])
    seen = seeing("distance", distance.name, distance.features, space.generator, compute)
    costs = added(
        times(codes + held_out + bound, {preparing(edit.space, compute): 1, rendering(edit.space, compute): 2}),
        times(held_out, {preparing(space, compute): 1, rendering(space, compute): 1, seen: 3}),
        {
            preparing(space, compute): codes + bound,
            _descent(Imitation(edit, t, space, distance, seed), codes): (codes + bound) * _EVALUATIONS * usual,
        },
    )
    curve, errors = torch.ones(usual + 1, dtype=torch.float64), torch.ones(held_out, dtype=torch.float64)
    panel = blank(min(ROWS, held_out), 3, 3, *space.generator.size, dtype=torch.uint8)
    perceptual = errors.float()
    numbers = (errors, errors, perceptual, perceptual, errors[:bound])
    sketch = Reproduction(torch.zeros(space.shape), curve, torch.tensor(True), *numbers, panel)
    return Rehearsed(sketch, costs, about=True)


def _descent(imitation: Imitation, codes: int) -> Pass:
    """One code's part of the squared error and its gradient."""
    edit, space = imitation.edit, imitation.space

    def trial() -> Trial:
        compute = edit.compute.at("float32")
        chunk = range(min(codes, tried_images(compute)))
        problem = LeastSquares(space, Edited(imitation, compute, chunk))

        def once() -> float:
            problem.part(chunk, torch.zeros(space.shape, device=compute.device))
            return len(chunk)

        return once

    key = (space.generator.name, describe(space), codes)
    return Pass("imitation", key, trial, images=1)
