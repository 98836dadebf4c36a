"""StyleGAN2's discriminator: residual blocks, minibatch standard deviation; only training needs it."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench.generators.stylegan2_layers import EqualLinear, activated, blur


class EqualConv2d(nn.Module):
    """A convolution with scaled weights, maybe halving the image behind the resampling filter."""

    def __init__(self, inputs: int, outputs: int, size: int, down: bool = False, activate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.gain, self.down, self.size = 1 / math.sqrt(inputs * size**2), down, size

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, h) to (N, out, h, h), or half as large."""
        weight = self.weight * self.gain
        if not self.down:
            x = F.conv2d(x, weight, self.bias, padding=self.size // 2)
        elif self.size == 1:
            x = F.conv2d(blur(x, 1.0, 1)[..., ::2, ::2], weight, self.bias)
        else:
            x = F.conv2d(blur(x, 1.0, 2), weight, self.bias, stride=2)
        return x if self.bias is None else activated(x)


class ResidualBlock(nn.Module):
    """Two convolutions beside a 1x1 one, at half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = EqualConv2d(inputs, inputs, 3)
        self.conv2 = EqualConv2d(inputs, outputs, 3, down=True)
        self.skip = EqualConv2d(inputs, outputs, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, h) to (N, out, h/2, h/2)."""
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)


class Discriminator(nn.Module):
    """Images (N, 3, H, H) to logits (N,), large for real ones."""

    GROUP = 4
    """Images over which the minibatch standard deviation goes."""

    def __init__(self, resolution: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        sizes = [2**k for k in range(2, resolution.bit_length())][::-1]
        channels = [min(channel_base // size, channel_max) for size in sizes]
        self.from_rgb = EqualConv2d(3, channels[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in itertools.pairwise(channels)))
        self.last = EqualConv2d(channels[-1] + 1, channels[-1], 3)
        self.hidden = EqualLinear(channels[-1] * 16, channels[-1], activation="lrelu")
        self.logit = EqualLinear(channels[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the images."""
        x = self.blocks(self.from_rgb(images))
        x = self.last(torch.cat([x, self._deviation(x)], dim=1))
        return self.logit(self.hidden(x.flatten(1)))[:, 0]

    def _deviation(self, x: Tensor) -> Tensor:
        """The mean standard deviation within groups of images, as one more channel (ProGAN, section 3)."""
        group = math.gcd(self.GROUP, len(x))
        grouped = x.float().unflatten(0, (group, -1))
        deviation = (grouped.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        return deviation.to(x.dtype).repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])
