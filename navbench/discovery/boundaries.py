"""Boundaries of attributes in a latent space: InterFaceGAN (Shen, Gu, Tang & Zhou, CVPR 2020), by any scorer.

A linear support vector machine tells the codes whose images have much of an attribute from those that have little; the
unit normal of its boundary is the direction. The paper's attributes are answers of classifiers, of which the codes of
the highest confidence on either side are taken (section 3.1); here they are numbers, whose highest and lowest are. A
circular attribute has no more and less, so it has no boundary, and is left out. Normals are not made orthogonal to
each other (the conditional manipulation of section 3.2), as that is a choice of attributes to keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.svm import LinearSVC
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute
from navbench.costs import Rehearsed, preparing, rehearses, rendering, seeing, times
from navbench.discovery.settings import InterfaceganSettings
from navbench.errors import NavbenchError
from navbench.metrics.attributes import Attribute, Scores, seen
from navbench.spaces import Space
from navbench.work import pure

STEPS = 10_000  # of the solver, at most


@dataclass(frozen=True)
class Boundaries:
    """Unit normals (B, *shape), towards more of each attribute, and held-out accuracies (B,), float64.

    B counts the attributes that have a boundary: see `bounded`.
    """

    normals: Tensor
    accuracies: Tensor


def bounded(attributes: Sequence[Attribute]) -> list[int]:
    """The places of attributes that can have a boundary: those that are not circular."""
    return [index for index, attribute in enumerate(attributes) if attribute.period is None]


@pure()
@torch.no_grad()
def attribute_boundaries(
    space: Space, scorer: Scores, settings: InterfaceganSettings, compute: Compute, seed: int
) -> Boundaries:
    """The boundaries of a scorer's attributes in a latent space.

    Raises:
        NavbenchError: too few images are read, or an attribute is the same in all.
    """
    compute = compute.at("float32")
    chosen = space.generator.sample(range(settings.samples), seeds.derived(seed, "interfacegan"))
    offset = torch.zeros(space.shape, device=compute.device)

    def of(chunk: Sequence[int]) -> tuple[Tensor, Tensor]:
        codes = chosen[chunk[0] : chunk[-1] + 1]
        scores = scorer(space.render(space.prepare(codes), offset))
        return space.generator.latent(codes, space.kind).flatten(1).cpu(), scores.cpu()

    latents, scores = map(torch.cat, zip(*compute.over(range(settings.samples), of), strict=True))
    kept = seen(scores)
    latents, scores = latents[kept], scores[kept]
    if not settings.held_out < 2 * settings.extremes <= len(latents):
        raise NavbenchError(
            f"Scorer {scorer.name} read {len(latents)} of {settings.samples} images, which do not hold two ends of "
            f"{settings.extremes} with {settings.held_out} to judge by; give [discovery.interfacegan] more samples."
        )
    found = []
    for index in bounded(scorer.attributes):
        if not scores[:, index].std() > 0:
            raise NavbenchError(f"Scorer {scorer.name} reads the same {scorer.attributes[index].name} in all images.")
        found.append(boundary(latents, scores[:, index], settings, seed))
    normals, accuracies = zip(*found, strict=True)
    return Boundaries(torch.stack(normals).unflatten(1, space.shape), torch.tensor(accuracies, dtype=torch.float64))


@rehearses(attribute_boundaries)
def _boundaries_rehearsed(
    space: Space, scorer: Scores, settings: InterfaceganSettings, compute: Compute, seed: int
) -> Rehearsed[Boundaries]:
    """The first axes."""
    count = len(bounded(scorer.attributes))
    axes = torch.eye(count, space.shape.numel()).unflatten(1, space.shape)
    passes = {preparing(space, compute): 1, rendering(space, compute): 1}
    passes[seeing("scorer", scorer.name, scorer, space.generator, compute)] = 1
    accuracies = torch.ones(count, dtype=torch.float64)
    return Rehearsed(Boundaries(axes, accuracies), times(settings.samples, passes))


def boundary(latents: Tensor, levels: Tensor, settings: InterfaceganSettings, seed: int) -> tuple[Tensor, float]:
    """The unit normal (D,) of the boundary between the least and the greatest levels, and its held-out accuracy.

    Args:
        latents: (N, D).
        levels: (N,), of an attribute.
    """
    order, count = levels.argsort(stable=True), settings.extremes
    chosen = torch.cat([order[:count], order[-count:]])
    more = torch.arange(2 * count) >= count
    shuffled = torch.from_numpy(seeds.stream(seeds.derived(seed, "boundaries"), 0).permutation(2 * count))
    held_out, trained = shuffled[: settings.held_out], shuffled[settings.held_out :]
    if len(set(more[trained].tolist())) < 2:
        raise NavbenchError(
            f"Of {2 * count} codes {settings.held_out} are held out, and those that are left to learn from are all of "
            "one end; give [discovery.interfacegan] more extremes, or fewer held_out."
        )
    machine = LinearSVC(C=settings.penalty, max_iter=STEPS, random_state=0)
    inputs, answers = latents[chosen].double().numpy(), more.numpy()
    machine.fit(inputs[trained], answers[trained])
    normal = torch.from_numpy(np.ascontiguousarray(machine.coef_[0])).float()
    return F.normalize(normal, dim=0), float(machine.score(inputs[held_out], answers[held_out]))
