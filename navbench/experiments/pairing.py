"""Which direction of another method does most nearly the same, by the changes of pixels over many codes.

The paper sets the same effect of several methods side by side, found by eye (Figures 5, 6 and 15).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from navbench.compute import doubled
from navbench.costs import Rehearsed, added, blank, preparing, rehearses, rendering, times
from navbench.experiments.edit import Edit, codes_for, reduced
from navbench.generators.base import Codes
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.seeds import Role
from navbench.work import pure

_LARGEST_SIDE = 64
"""Changes are compared at this size at most, averaged over pixels: an edit is not another one for a pixel's shift."""


@dataclass(frozen=True)
class Pairing:
    """Inner products of the changes of pixels, of each code; references at t_max, candidates at both ends.

    Attributes:
        products: (n, R, K, 2), float64, of each reference and each candidate at t_min and at t_max.
        references: (n, R), squared norms; candidates: (n, K, 2), likewise.
    """

    products: Tensor
    references: Tensor
    candidates: Tensor

    def cosine(self, reference: int, candidate: int, end: int, indices: slice = slice(None)) -> Estimate:
        """The cosine of both changes over some codes: their correlation, where a change is a difference from none."""
        return estimate.cosine(
            self.products[indices, reference, candidate, end],
            self.references[indices, reference],
            self.candidates[indices, candidate, end],
        )

    def closest(self, reference: int, among: Sequence[int]) -> tuple[int, int, float]:
        """The candidate among some and its end most alike on the first half of the codes, with its cosine there."""
        half = len(self.products) // 2
        products, norms = self.products[:half, reference].sum(0), self.candidates[:half].sum(0)
        cosines = products / (norms * self.references[:half, reference].sum()).sqrt().clamp_min(1e-300)
        best = int(cosines[list(among)].argmax())
        return among[best // 2], best % 2, float(cosines[among[best // 2], best % 2])

    def measured(self, reference: int, candidate: int, end: int) -> Estimate:
        """The cosine on the second half of the codes, which had no part in the choice."""
        return self.cosine(reference, candidate, end, slice(len(self.products) // 2, None))


@pure()
def pairing(references: Sequence[Edit], candidates: Sequence[Edit], codes: int, seed: int) -> Pairing:
    """Compare directions of one generator over `codes` codes; a batch of codes and one offset in memory at a time.

    Args:
        references: to which others are compared, at t_max.
        candidates: those others, at both ends.
        codes: how many.
        seed: of the run.
    """
    generator, compute = references[0].space.generator, references[0].compute

    def work(indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        drawn = codes_for(generator, Role.PAIRS, indices, seed)
        own = torch.stack([change[1] for change in _changes(references, drawn)], dim=1)  # (n, R, P)
        products, norms = [], []
        for ends in _changes(candidates, drawn):
            both = torch.stack(ends, dim=1)  # (n, 2, P)
            products.append(torch.einsum("nrp,nep->nre", own, both))
            norms.append(both.square().sum(2))
        return torch.stack(products, dim=2).cpu(), own.square().sum(2).cpu(), torch.stack(norms, dim=1).cpu()

    return Pairing(*(torch.cat(each) for each in zip(*compute.over(range(codes), work), strict=True)))


@rehearses(pairing)
def _pairing_rehearsed(
    references: Sequence[Edit], candidates: Sequence[Edit], codes: int, seed: int
) -> Rehearsed[Pairing]:
    """Candidates that have nothing in common with the references."""
    parts = []
    for edits in (references, candidates):
        for _, group in groupby(edits, key=_place):
            first, *rest = group
            space, compute, images = first.space, first.compute, 1 + 2 * (1 + len(rest))
            parts.append(times(codes, {preparing(space, compute): 1, rendering(space, compute): images}))
    products = blank(codes, len(references), len(candidates), 2, dtype=torch.float64)
    norms = torch.ones((), dtype=torch.float64)
    sketch = Pairing(products, norms.expand(codes, len(references)), norms.expand(codes, len(candidates), 2))
    return Rehearsed(sketch, added(*parts))


def _place(edit: Edit) -> tuple[str, str]:
    return edit.direction.space, edit.direction.place


def _changes(edits: Sequence[Edit], codes: Codes) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each direction the changes at t_min and at t_max, (n, P) each; the work before a place is shared."""
    for _, group in groupby(edits, key=_place):
        state = before = None
        for edit in group:
            if before is None:
                state = edit.state(codes)
                before = edit.renderer(state)(0.0)
            render, direction = edit.renderer(state), edit.direction
            low, high = (
                doubled(reduced(render(t) - before, _LARGEST_SIDE).flatten(1))
                for t in (direction.t_min, direction.t_max)
            )
            yield low, high
