"""Single channels of a latent whose numbers are something of their own: those that matter, and those of attributes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute, doubled
from navbench.costs import Pass, Rehearsed, Trial, preparing, rehearses, rendering, seeing, times, tried_images
from navbench.metrics.attributes import LEAST_SEEN, Scores, seen, standardised_changes
from navbench.metrics.perceptual import PerceptualDistance
from navbench.spaces import Space, describe
from navbench.work import pure


@dataclass(frozen=True)
class Sensitivities:
    """How much each channel changes images: (S,), the mean squared perceptual change per squared step, for small steps.

    That is half the diagonal of the perceptual Hessian.
    """

    values: Tensor


@dataclass(frozen=True)
class ChannelChanges:
    """What channels do to attributes: (C, A), mean change in sigmas from one step down to one step up."""

    means: Tensor


@pure()
def channel_sensitivities(
    space: Space, distance: PerceptualDistance, codes: int, probes: int, compute: Compute, seed: int
) -> Sensitivities:
    """The sensitivity of every number of an offset, by random probes.

    With features f and Jacobian J of a code, that of channel c is |J e_c|^2, which is E (J' r)_c^2 over standard normal
    r: a backward pass per probe gives it for all channels. Its relative error is sqrt(2 / (codes probes)) where codes
    are alike, and more, up to sqrt(2 / probes), where few of them make the mean.
    """
    compute = compute.at("float32")
    chosen = space.generator.sample(range(codes), seeds.derived(seed, "channels"))

    def of(chunk: Sequence[int]) -> Tensor:
        state = space.prepare(chosen[chunk[0] : chunk[-1] + 1])
        total = torch.zeros(space.shape, dtype=torch.float64, device=compute.exact)
        with torch.enable_grad():
            offsets = torch.zeros(len(chunk), *space.shape, device=compute.device, requires_grad=True)
            features = distance.features(space.render(state, offsets))
            for probe in range(probes):
                r = seeds.normal(seeds.derived(seed, "channel probes", probe), tuple(chunk), features.shape[1:])
                (pulled,) = torch.autograd.grad(features, offsets, r.to(features), retain_graph=probe + 1 < probes)
                total += doubled(pulled).square().sum(dim=0)
        return total

    total = sum(compute.over(range(codes), of), torch.zeros(space.shape, dtype=torch.float64, device=compute.exact))
    return Sensitivities((total / (codes * probes)).float().cpu())


@rehearses(channel_sensitivities)
def _sensitivities_rehearsed(
    space: Space, distance: PerceptualDistance, codes: int, probes: int, compute: Compute, seed: int
) -> Rehearsed[Sensitivities]:
    """All the same."""

    def trial() -> Trial:
        count = min(tried_images(compute), codes)

        def once() -> float:
            channel_sensitivities(space, distance, count, 1, compute, seed)
            return count

        return once

    probing = Pass("channel probe", (space.generator.name, describe(space)), trial, images=1)
    return Rehearsed(Sensitivities(torch.ones(space.shape)), {probing: codes * probes}, about=True)


@pure()
@torch.no_grad()
def channel_changes(
    space: Space, scorer: Scores, channels: Sequence[int], codes: int, compute: Compute, seed: int
) -> ChannelChanges:
    """What one step of each of some channels, down and up, does to the attributes of a scorer.

    Codes that lose its subject are left out; a channel under which too many do moves nothing.
    """
    compute = compute.at("float32")
    chosen = space.generator.sample(range(codes), seeds.derived(seed, "channel changes"))

    def of(chunk: Sequence[int]) -> Tensor:
        state = space.prepare(chosen[chunk[0] : chunk[-1] + 1])
        sums: list[Tensor] = []
        for channel in channels:
            step = torch.zeros(space.shape, device=compute.device)
            step[channel] = 1
            down, up = (scorer(space.render(state, sign * step)) for sign in (-1, 1))
            change = standardised_changes(down, up, scorer.attributes)
            sums.append(torch.cat([change.nansum(dim=0), seen(change).sum(dim=0, keepdim=True)]))
        return torch.stack(sums)

    total = torch.stack(list(compute.over(range(codes), of))).sum(dim=0)  # (C, A + 1)
    counts = total[:, -1:]
    means = torch.where(counts >= LEAST_SEEN * codes, total[:, :-1] / counts.clamp_min(1), 0.0)
    return ChannelChanges(means.float().cpu())


@rehearses(channel_changes)
def _changes_rehearsed(
    space: Space, scorer: Scores, channels: Sequence[int], codes: int, compute: Compute, seed: int
) -> Rehearsed[ChannelChanges]:
    """All the same."""
    read, images = seeing("scorer", scorer.name, scorer, space.generator, compute), 2 * len(channels)
    costs = times(codes, {preparing(space, compute): 1, rendering(space, compute): images, read: images})
    return Rehearsed(ChannelChanges(torch.ones(len(channels), len(scorer.attributes))), costs)


@dataclass(frozen=True)
class Specific:
    """A channel of an attribute.

    Attributes:
        place: of the channel among those that were read.
        attribute: its number.
        share: of the attribute in all that the channel changes, by magnitude in sigmas.
    """

    place: int
    attribute: int
    share: float


def most_specific(means: Tensor, count: int) -> list[Specific]:
    """The channels that move one attribute most, and others least, the attributes taking turns; at most `count`.

    A channel stands for the attribute whose magnitude times share is the largest; one that moves nothing for none.

    Args:
        means: (C, A), the mean changes of attributes in sigmas, by channel.
        count: how many.
    """
    magnitudes = means.double().abs()
    shares = magnitudes / magnitudes.sum(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    merit, attributes = (magnitudes * shares).max(dim=1)
    ranked = [int(place) for place in merit.argsort(descending=True, stable=True) if merit[place] > 0]
    turns: dict[int, int] = {}
    order = []
    for rank, place in enumerate(ranked):
        attribute = int(attributes[place])
        turns[attribute] = turns.get(attribute, -1) + 1
        order.append((turns[attribute], rank, Specific(place, attribute, float(shares[place, attribute]))))
    return [specific for _, _, specific in sorted(order, key=lambda each: each[:2])[:count]]
