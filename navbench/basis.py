"""Bases of a space: B unit-norm offsets, kept in whatever form is smallest, and combined by one matrix product."""

from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from navbench import seeds
from navbench.fingerprints import tensor_hash
from navbench.generators.base import Layer


class Basis(Protocol):
    """B offsets of unit norm.

    Attributes:
        count: B.
        shape: of one offset.
    """

    count: int
    shape: torch.Size

    @property
    def cache_key(self) -> Any:
        """What results depend on: the offsets."""

    def combine(self, coefficients: Tensor) -> Tensor:
        """Offsets (K, *shape) from coefficients (K, B); never anything of size K x B x offset."""

    def to(self, device: torch.device) -> "Basis":
        """The basis on a device."""


class DenseBasis:
    """A basis that is stored as it is: eigenvectors, random offsets."""

    def __init__(self, vectors: Tensor) -> None:
        """Take `vectors`, (B, *shape), and scale each to unit norm (a half-precision file loses it)."""
        vectors = vectors.float()
        norms = vectors.flatten(1).norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        self.vectors = vectors / norms.view(-1, *[1] * (vectors.ndim - 1))
        self.count, self.shape = len(vectors), vectors.shape[1:]

    @cached_property
    def cache_key(self) -> list[str]:
        """What results depend on: the vectors."""
        return ["dense", tensor_hash(self.vectors)]

    def combine(self, coefficients: Tensor) -> Tensor:
        """Coefficients (K, B) times the basis, (K, *shape)."""
        return (coefficients @ self.vectors.flatten(1)).unflatten(1, self.shape)

    def to(self, device: torch.device) -> "DenseBasis":
        """The basis on a device."""
        return DenseBasis(self.vectors.to(device))


class SvdBasis:
    """The rank-one terms u_i v_i of a flattened kernel U diag(s) V, in falling order of s (section 3.2).

    A direction with coefficients c is U diag(c) V, the paper's shift of the singular values. The terms are
    determined by the kernel alone: the signs of u_i and v_i cancel.
    """

    def __init__(self, layer: Layer, kernel: Tensor) -> None:
        """Decompose `kernel`, (*layer.shape)."""
        self.layer = layer
        u, s, v = torch.linalg.svd(layer.flatten(kernel.detach().cpu().double()), full_matrices=False)
        self.left, self.singular_values, self.right = u.float(), s.float(), v.float()
        self.count, self.shape = len(s), layer.shape

    @cached_property
    def cache_key(self) -> list[str]:
        """What results depend on: the terms."""
        return ["svd", tensor_hash(self.left), tensor_hash(self.right)]

    def combine(self, coefficients: Tensor) -> Tensor:
        """U diag(c) V for each row of coefficients (K, B), as kernels (K, *shape)."""
        return self.layer.unflatten((self.left * coefficients[:, None, :]) @ self.right)

    def to(self, device: torch.device) -> "SvdBasis":
        """The basis on a device."""
        moved = object.__new__(SvdBasis)
        moved.__dict__ = {
            key: value.to(device) if isinstance(value, Tensor) else value for key, value in self.__dict__.items()
        }
        return moved


class IdentityBasis:
    """The axes of a space: coefficients are the offset itself."""

    def __init__(self, shape: torch.Size) -> None:
        """Take the shape of one offset."""
        self.shape, self.count = shape, shape.numel()

    @property
    def cache_key(self) -> list[Any]:
        """What results depend on: the shape."""
        return ["identity", *self.shape]

    def combine(self, coefficients: Tensor) -> Tensor:
        """Coefficients (K, B) as offsets (K, *shape)."""
        return coefficients.unflatten(1, self.shape)

    def to(self, device: torch.device) -> "IdentityBasis":
        """Itself, as it holds no tensor."""
        return self


def random_basis(shape: torch.Size, count: int, seed: int) -> DenseBasis:
    """`count` offsets drawn uniformly from the unit sphere; offset i depends on (seed, i) only."""
    return DenseBasis(seeds.normal(seeds.derived(seed, "random basis"), range(count), tuple(shape)))


def random_combinations(directions: int, count: int, seed: int) -> Tensor:
    """Unit-norm coefficients (K, B) of random combinations of a basis; row i depends on (seed, i) only."""
    rows = seeds.normal(seeds.derived(seed, "random in basis"), range(directions), (count,))
    return torch.nn.functional.normalize(rows, dim=1)
