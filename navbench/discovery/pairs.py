"""Pairs of images, before and after a shift along a direction, that a reconstructor learns from (eq. 1)."""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench import seeds
from navbench.basis import Basis
from navbench.discovery.linearised import FrozenKernels
from navbench.spaces import Space


@dataclass(frozen=True)
class Pairs:
    """Training pairs: pair i of step s depends on (seed, s, i) only, so a resumed training sees the same ones."""

    space: Space
    basis: Basis
    limit: float  # T
    floor: float  # the smallest |t| / T
    codes: int  # how many different ones; 0 for new ones at each step
    seed: int

    @property
    def cache_key(self) -> list[Any]:
        """What results depend on: everything."""
        return [self.space, self.basis, self.limit, self.floor, self.codes, self.seed]

    @property
    def held_out(self) -> "Pairs":
        """Pairs of other codes, directions and shifts, all of which are new."""
        return replace(self, codes=0, seed=seeds.derived(self.seed, "held out"))

    def draw(self, step: int, batch: int, directions: int) -> tuple[range, Tensor, Tensor]:
        """Code indices, direction indices (N,) and shifts t / T (N,) of one step.

        Codes come in the same batches again, so that what is prepared for a batch serves as it is.
        """
        rng = seeds.stream(seeds.derived(self.seed, "pairs"), step)
        k = torch.from_numpy(rng.integers(directions, size=batch))
        size = torch.from_numpy(rng.uniform(self.floor, 1, size=batch)).float()
        sign = torch.from_numpy(rng.choice([-1.0, 1.0], size=batch)).float()
        number = step % -(-self.codes // batch) if self.codes else step
        return range(number * batch, (number + 1) * batch), k, size * sign

    @torch.no_grad()
    def prepare(self, indices: range) -> tuple[Any, Tensor]:
        """What no offset changes of some codes: their state, and their images G(z)."""
        codes = self.space.generator.sample(indices, seeds.derived(self.seed, "codes"))
        state = self.space.prepare(codes)
        return state, self.space.render(state, torch.zeros(self.space.shape, device=codes.z.device))

    def shift(self, state: Any, coefficients: Tensor, k: Tensor, t: Tensor) -> Tensor:
        """The images G_t(z) of a state; they have a graph from the coefficients on, if those are learned."""
        unit = F.normalize(coefficients[k], dim=1)
        offset = self.basis.combine(unit * (t * self.limit)[:, None])
        with FrozenKernels():
            return self.space.render(state, offset)
