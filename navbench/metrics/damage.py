"""Known damage: changes of images that everybody calls worse, in steps, to see whether an instrument notices."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from navbench import seeds

_GOLDEN = (math.sqrt(5) - 1) / 2
_LEVEL = 2 / 255
"""One grey level of images in [-1, 1]."""
BLANK = "blank images"
"""The name of the damage that leaves nothing of an image."""


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        name: in tables.
        unit: of a strength, in words.
        strengths: ascending, above 0, which leaves images as they are.
        apply: from images (N, 3, H, W), a strength, their indices and a seed to images of that shape; what happens to
            an image depends on itself, its index and the seed only.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Tensor, float, Sequence[int], int], Tensor]


def blurred(images: Tensor, strength: float, indices: Sequence[int], seed: int) -> Tensor:
    """Convolved with a Gaussian whose standard deviation is a share of the shorter side."""
    if strength == 0:
        return images
    side = min(images.shape[2:])
    sigma = strength * side
    reach = min(math.ceil(3 * sigma), side - 1)
    return gaussian_blur(images, [2 * reach + 1] * 2, [sigma] * 2)


def grained(images: Tensor, strength: float, indices: Sequence[int], seed: int) -> Tensor:
    """With white noise of a standard deviation in grey levels; more strength is more of the same noise."""
    noise = seeds.normal(seed, list(indices), tuple(images.shape[1:]))
    return images + strength * _LEVEL * noise.to(images.device)


def shuffled(images: Tensor, strength: float, indices: Sequence[int], seed: int) -> Tensor:
    """Cut into so many blocks along each side, which change places; what is left of sides stays where it is."""
    count = min(int(strength), *images.shape[2:])
    if count < 2:
        return images
    height, width = (side // count for side in images.shape[2:])
    top = images[:, :, : count * height, : count * width]
    blocks = top.unflatten(2, (count, height)).unflatten(4, (count, width)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    orders = np.stack([seeds.stream(seed, index).permutation(count * count) for index in indices])
    order = torch.from_numpy(orders).to(images.device)
    moved = blocks[torch.arange(len(images), device=images.device)[:, None], order]
    result = images.clone()
    result[:, :, : count * height, : count * width] = (
        moved.unflatten(1, (count, count)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    )
    return result


def blanked(images: Tensor, strength: float, indices: Sequence[int], seed: int) -> Tensor:
    """A share of the images replaced by their mean colour, up to all; more strength replaces these and others."""
    place = torch.tensor([(index + 1) * _GOLDEN % 1 for index in indices], device=images.device)
    blank = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    return torch.where((place < strength)[:, None, None, None], blank, images)


def occluded(images: Tensor, strength: float, indices: Sequence[int], seed: int) -> Tensor:
    """A rectangle of a share of the image, in its proportions and mean colour, at a random place of each image.

    More strength covers the same and more, so what is hidden stays hidden.
    """
    height, width = images.shape[2:]
    rows, columns = (round(side * math.sqrt(strength)) for side in (height, width))
    places = np.stack([seeds.stream(seed, index).uniform(size=2) for index in indices])  # where it is all that remains
    free = torch.from_numpy(places * [height - rows, width - columns]).round().to(images.device)[..., None]
    y, x = (torch.arange(side, device=images.device) for side in (height, width))
    in_rows = (y >= free[:, 0]) & (y < free[:, 0] + rows)
    in_columns = (x >= free[:, 1]) & (x < free[:, 1] + columns)
    blank = images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    return torch.where((in_rows[:, :, None] & in_columns[:, None, :])[:, None], blank, images)


DAMAGES = (
    Damage("blur", "standard deviation, share of the side", (1 / 128, 1 / 64, 1 / 32), blurred),
    Damage("grain", "standard deviation, grey levels", (6.0, 12.0, 24.0), grained),
    Damage("block shuffle", "blocks along a side", (2.0, 4.0, 8.0), shuffled),
    Damage(BLANK, "share of the images", (0.25, 0.5, 1.0), blanked),
)
STEPS = tuple((damage.name, strength) for damage in DAMAGES for strength in damage.strengths)
"""Every damage at each of its strengths."""
OCCLUSION = Damage("occlusion", "share of the image", (0.1, 0.2, 0.4), occluded)
"""Beside these, for scorers that look for a subject: it hides that. The check of distances goes without it."""


def damaged(images: Tensor, step: tuple[str, float], indices: Sequence[int], seed: int) -> Tensor:
    """Images (N, 3, H, W), float, [-1, 1], with a damage of a name and strength; the result may lie beyond [-1, 1]."""
    name, strength = step
    (damage,) = (each for each in (*DAMAGES, OCCLUSION) if each.name == name)
    return damage.apply(images, strength, indices, seeds.derived(seed, "damage", name))
