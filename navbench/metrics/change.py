"""What kind of change an edit makes: of which spatial scale, and of geometry or of colour."""

import torch
from torch import Tensor

from navbench.compute import doubled

SCALES = ("coarse", "middle", "fine")
CYCLES = (4.0, 16.0)
"""The borders of `SCALES`, in cycles per image side: what is larger than an eighth of the image is coarse, what is
smaller than a thirty-second of it is fine, at any resolution."""


def scale_energies(before: Tensor, after: Tensor) -> Tensor:
    """The squared change of images (N, 3, H, W) in each of `SCALES`, (N, 3), float64.

    By its discrete Fourier transform: the energies sum to the squared change of the pixels (Parseval's theorem).
    """
    change = (doubled(after) - doubled(before)).flatten(0, 1)
    height, width = change.shape[1:]
    spectrum = torch.fft.fft2(change, norm="ortho").abs().square().unflatten(0, (len(before), -1)).sum(dim=1)
    # In cycles per side, so that a wave across an image of any proportions counts by its own length.
    down = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64, device=change.device)
    across = torch.fft.fftfreq(width, 1 / width, dtype=torch.float64, device=change.device)
    radius = (down[:, None].square() + across[None].square()).sqrt()
    low, high = CYCLES
    rings = torch.stack([radius <= low, (radius > low) & (radius <= high), radius > high])
    return torch.einsum("nhw,rhw->nr", spectrum, rings.double())


def recoloured(images: Tensor, like: Tensor) -> Tensor:
    """Images (N, 3, H, W) whose histogram of each channel is made that of `like`, exactly.

    The darkest pixel gets the darkest value, and so on (Gonzalez & Woods, Digital Image Processing, section 3.3);
    pixels of one value get their values in reading order.
    """
    order = images.flatten(2).argsort(dim=2, stable=True)
    values = like.flatten(2).sort(dim=2).values.to(images.dtype)
    return torch.empty_like(values).scatter_(2, order, values).view_as(images)


def geometry_and_colour(before: Tensor, after: Tensor) -> Tensor:
    """The squared change that survives when colours are matched, and the one that this takes away, (N, 2), float64.

    The colours of the edited images are matched to those of the unshifted ones, channel by channel. What is then left
    of the difference is geometry, what matching has moved is colour: a translation has no colour, and a recolouring
    that keeps the order of values in each channel has no geometry.
    """
    matched = doubled(recoloured(after, before))
    survived = (matched - doubled(before)).square().sum(dim=(1, 2, 3))
    removed = (doubled(after) - matched).square().sum(dim=(1, 2, 3))
    return torch.stack([survived, removed], dim=1)
