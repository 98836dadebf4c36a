"""Bases that take long to compute: eigenvectors of the perceptual Hessian, and principal components of a latent."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute, batches, exact
from navbench.costs import Pass, Rehearsed, Trial, preparing, rehearses, tried_images
from navbench.discovery.hessian import PerceptualHessian, krylov, power
from navbench.discovery.settings import SpectrumSettings
from navbench.fingerprints import tensor_hash
from navbench.generators.base import Codes
from navbench.metrics.frechet import Moments
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.spaces import Space, describe
from navbench.work import UNSTORED, Executor, pure


@dataclass(frozen=True)
class Products:
    """What some codes give to the products of a Hessian with m offsets, (m, P)."""

    products: Tensor


@dataclass(frozen=True)
class Block:
    """Offsets (m, P) that are multiplied once, and travel with their piece."""

    vectors: Tensor

    @property
    def cache_key(self) -> str:
        """What results depend on: the offsets."""
        return tensor_hash(self.vectors)

    def __reduce__(self) -> tuple[Any, ...]:
        return _block, (save({"vectors": self.vectors.cpu()}),)


def _block(content: bytes) -> Block:
    return Block(load(content)["vectors"])


@pure()
def hessian_products(hessian: PerceptualHessian, indices: Sequence[int], block: Block) -> Products:
    """Of H times each offset what codes number `indices` give, without the factor."""
    return Products(hessian.part(indices, block.vectors.to(hessian.compute.device)).cpu())


class SpreadHessian(PerceptualHessian):
    """A perceptual Hessian whose products are computed batch by batch of codes, by whoever computes."""

    def __init__(
        self, space: Space, distance: PerceptualDistance, codes: Codes, compute: Compute, executor: Executor
    ) -> None:
        super().__init__(space, distance, codes, compute)
        self._whole, self._executor = PerceptualHessian(space, distance, codes, compute), executor
        self._batches = batches(len(codes), compute.batch)

    def _parts(self, vectors: Tensor) -> Iterable[Tensor]:
        block = Block(vectors)
        pieces = [hessian_products.piece(self._whole, indices, block) for indices in self._batches]
        parts = self._executor.results(pieces)
        self._executor.forget(pieces)
        return [part.products.to(vectors.device) for part in parts]


@dataclass(frozen=True)
class Eigenvectors:
    """Leading eigenvectors of a Hessian, in falling order of the eigenvalue.

    Attributes:
        vectors: (k, *space.shape), orthonormal.
        values, residuals: (k,), as in `Spectrum`.
        products: (), int64, Hessian-vector products spent.
        seconds: (), float64, spent.
    """

    vectors: Tensor
    values: Tensor
    residuals: Tensor
    products: Tensor
    seconds: Tensor


@pure()
def hessian_eigenvectors(
    space: Space,
    distance: PerceptualDistance,
    settings: SpectrumSettings,
    compute: Compute,
    seed: int,
    executor: Executor = UNSTORED,
    report: Report = silent,
) -> Eigenvectors:
    """Leading eigenvectors of the perceptual Hessian, by the solver of the settings.

    Its products are pieces, which are forgotten at once: to keep them would take thrice the room of the result.
    """
    begun = time.monotonic()
    codes = space.generator.sample(range(settings.codes), seeds.derived(seed, "spectrum"))
    hessian = SpreadHessian(space, distance, codes, compute, executor)
    if settings.solver == "krylov":
        found = krylov(
            hessian,
            settings.vectors,
            block=settings.block,
            tolerance=settings.tolerance,
            products=settings.products,
            seed=seed,
            report=report,
        )
    else:
        found = power(
            hessian,
            settings.vectors,
            epsilon=settings.epsilon,
            iterations=settings.iterations,
            seed=seed,
            report=report,
        )
    return Eigenvectors(
        found.vectors.unflatten(1, space.shape).cpu(),
        found.values.cpu(),
        found.residuals.cpu(),
        torch.tensor(found.products),
        torch.tensor(time.monotonic() - begun, dtype=torch.float64),
    )


@rehearses(hessian_eigenvectors)
def _eigenvectors_rehearsed(
    space: Space, distance: PerceptualDistance, settings: SpectrumSettings, compute: Compute, seed: int
) -> Rehearsed[Eigenvectors]:
    """The first axes, after all products that the settings allow."""
    size = space.shape.numel()
    count = min(settings.vectors, size)
    products = min(settings.products, size)
    if settings.solver == "power":  # each step takes two gradients, and each vector a product in the end
        products = count * (2 * settings.iterations + 1)
    axes = torch.eye(count, size).unflatten(1, space.shape)
    values, residuals = torch.ones(count), torch.zeros(count)
    result = Eigenvectors(axes, values, residuals, torch.tensor(products), torch.zeros((), dtype=torch.float64))
    return Rehearsed(result, {_product(space, distance, settings, compute): settings.codes * products}, about=True)


_TRIED = 2
"""Vectors of a product that is tried for plans, at most; they are multiplied one by one."""


def _product(space: Space, distance: PerceptualDistance, settings: SpectrumSettings, compute: Compute) -> Pass:
    """One code's part of a Hessian-vector product."""

    def trial() -> Trial:
        count = min(tried_images(compute), settings.codes)
        hessian = PerceptualHessian(space, distance, space.generator.sample(range(count), seed=0), compute)
        vectors = torch.zeros(min(_TRIED, settings.block, hessian.size), hessian.size, device=compute.device)

        def once() -> float:
            hessian.product(vectors)
            return count * len(vectors)

        return once

    return Pass("Hessian product", (space.generator.name, describe(space), settings.block), trial, images=1)


@dataclass(frozen=True)
class Components:
    """Principal components in falling order of variance.

    Attributes:
        vectors: (k, *space.shape), orthonormal.
        shares: (k,), of all variance.
    """

    vectors: Tensor
    shares: Tensor


_MAPPED = 1024
"""Codes that are mapped to latents at once, at least: no images are made of them."""


@pure()
@torch.no_grad()
def principal_components(space: Space, count: int, samples: int, compute: Compute, seed: int) -> Components:
    """The first principal components of a latent over `samples` codes, streamed in float64.

    GANSpace's (Härkönen et al., NeurIPS 2020) are of a million, in single precision and incrementally.
    """
    moments = Moments.empty(space.shape.numel(), compute.exact)
    for indices in batches(samples, max(compute.batch, _MAPPED)):
        codes = space.generator.sample(indices, seeds.derived(seed, "ganspace"))
        moments.update(exact(space.generator.latent(codes, space.kind).flatten(1)))
    values, vectors = torch.linalg.eigh(moments.covariance)
    leading = vectors.flip(1).T[:count].unflatten(1, space.shape).float().cpu()
    return Components(leading, (values.flip(0)[:count] / values.sum()).float().cpu())


@rehearses(principal_components)
def _components_rehearsed(space: Space, count: int, samples: int, compute: Compute, seed: int) -> Rehearsed[Components]:
    """The first axes."""
    count = min(count, space.shape.numel())
    axes = torch.eye(count, space.shape.numel()).unflatten(1, space.shape)
    return Rehearsed(Components(axes, torch.full((count,), 1 / count)), {preparing(space, compute): samples})
