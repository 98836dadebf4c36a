"""Style channels of a StyleGAN2: StyleSpace (Wu, Lischinski, Shechtman, CVPR 2021).

Every modulated convolution, those that make RGB among them, scales each of its input channels by a number that an
affine map reads from its style. These numbers, of all convolutions in forward order, are the space `s`. Their scales
differ by layer and channel, so an offset in `s` is in standard deviations of each over codes, in which the paper
normalises them, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from navbench.compute import doubled
from navbench.generators.stylegan2_layers import EqualLinear


@dataclass(frozen=True)
class Reader:
    """What reads one style for one convolution.

    Attributes:
        layer: the name of the convolution, such as 'convs.3' or 'to_rgb1'.
        style: the number of the style that it reads.
        affine: reads it: (N, style_dim) to (N, channels).
    """

    layer: str
    style: int
    affine: EqualLinear

    @property
    def channels(self) -> int:
        """How many channels it scales."""
        return len(self.affine.bias)

    @property
    def bias(self) -> str:
        """The name of its bias among the generator's tensors."""
        return f"{self.layer}.conv.modulation.bias"

    def linear(self, w: Tensor) -> Tensor:
        """What a difference of styles, (..., style_dim), makes in its channels, (..., channels)."""
        return w @ (self.affine.weight * self.affine.gain).T


def readers(generator: nn.Module, convolutions: int) -> tuple[Reader, ...]:
    """What reads the styles of a StyleGAN2 with so many convolutions, in forward order."""
    found = []
    for place in range(convolutions):
        names = [(f"convs.{place - 1}" if place else "conv1", place)]
        if place % 2 == 0:  # the last convolution of its resolution
            names.append((f"to_rgbs.{place // 2 - 1}" if place else "to_rgb1", place + 1))
        for layer, style in names:
            affine = cast(EqualLinear, generator.get_submodule(f"{layer}.conv.modulation"))
            found.append(Reader(layer, style, affine))
    return tuple(found)


def channel_names(read: Sequence[Reader]) -> tuple[str, ...]:
    """'convs.3:17' for channel 17 of the input of convs.3, and so on."""
    return tuple(f"{reader.layer}:{channel}" for reader in read for channel in range(reader.channels))


def channels_of(read: Sequence[Reader], w: Tensor) -> Tensor:
    """Style channels (N, S) of styles (N, L, style_dim)."""
    return torch.cat([reader.affine(w[:, reader.style]) for reader in read], dim=1)


def split(read: Sequence[Reader], channels: Tensor) -> dict[str, Tensor]:
    """Style channels (..., S) by the name of their convolution."""
    parts = channels.split([reader.channels for reader in read], dim=-1)
    return {reader.layer: part for reader, part in zip(read, parts, strict=True)}


def deviations(read: Sequence[Reader], w: Tensor) -> Tensor:
    """(S,), the standard deviation of each style channel over styles (N, style_dim); 1 of one that is constant.

    Channels are linear in w, so they follow from its covariance.
    """
    covariance = doubled(w).T.cov()
    parts = []
    for reader in read:
        matrix = doubled(reader.affine.weight * reader.affine.gain)
        parts.append(((matrix @ covariance) * matrix).sum(dim=1).clamp_min(0).sqrt())
    found = torch.cat(parts).float().to(w.device)
    return torch.where(found > 0, found, 1.0)
