"""Bases that take long to compute: eigenvectors of the perceptual Hessian, and principal components of a latent."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute
from navbench.costs import Pass, Rehearsed, Trial, preparing, rehearses
from navbench.discovery.hessian import PerceptualHessian, krylov, power
from navbench.discovery.settings import SpectrumSettings
from navbench.metrics.frechet import Moments
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report, silent
from navbench.spaces import Space, describe
from navbench.work import pure


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
    report: Report = silent,
) -> Eigenvectors:
    """Leading eigenvectors of the perceptual Hessian, by the solver of the settings.

    All of one space are one piece: its products, each of which needs the one before, would take thrice its room.
    """
    begun = time.monotonic()
    codes = space.generator.sample(range(settings.codes), seeds.derived(seed, "spectrum"))
    hessian = PerceptualHessian(space, distance, codes, compute)
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


def _product(space: Space, distance: PerceptualDistance, settings: SpectrumSettings, compute: Compute) -> Pass:
    """One code's part of a Hessian-vector product."""

    def trial() -> Trial:
        count = min(compute.batch, settings.codes)
        hessian = PerceptualHessian(space, distance, space.generator.sample(range(count), seed=0), compute)
        vectors = torch.zeros(min(settings.block, hessian.size), hessian.size, device=compute.device)

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


@pure()
@torch.no_grad()
def principal_components(space: Space, count: int, samples: int, compute: Compute, seed: int) -> Components:
    """The first principal components of a latent over `samples` codes, streamed in float64."""
    moments = Moments.empty(space.shape.numel(), compute.device)
    for indices in compute.over(range(samples), lambda indices: indices):
        codes = space.generator.sample(indices, seeds.derived(seed, "ganspace"))
        moments.update(space.generator.latent(codes, space.kind).flatten(1))
    values, vectors = torch.linalg.eigh(moments.covariance)
    leading = vectors.flip(1).T[:count].unflatten(1, space.shape).float().cpu()
    return Components(leading, (values.flip(0)[:count] / values.sum()).float().cpu())


@rehearses(principal_components)
def _components_rehearsed(space: Space, count: int, samples: int, compute: Compute, seed: int) -> Rehearsed[Components]:
    """The first axes."""
    count = min(count, space.shape.numel())
    axes = torch.eye(count, space.shape.numel()).unflatten(1, space.shape)
    return Rehearsed(Components(axes, torch.full((count,), 1 / count)), {preparing(space, compute): samples})
