"""The layers of StyleGAN2 (Karras et al., CVPR 2020), with their stored gains and the [1, 3, 3, 1] resampling filter.

Kernels are stored without gain and without the flip of a transposed convolution, as both published codes store them.
Activations are channels-last from the constant input on, in which order a CPU's transposed convolutions and blurs take
0.6 to 0.9 of the time. A blur that is part of the kernel, then of 6x6 elements, took about 2 to 4 times as long.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PixelNorm(nn.Module):
    """Each code scaled to a mean square of one."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) to (N, D)."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class EqualLinear(nn.Module):
    """A linear layer whose weights are stored at unit variance and scaled as it runs (ProGAN, section 4.1).

    It runs at the precision of its weights also under autocast, as the published half-precision networks have it:
    small steps of a style would be lost otherwise.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0, activate: bool = False):
        """Build it; `rate` slows its learning by being left out of the stored weights."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias)))
        self.gain, self.rate, self.activate = rate / math.sqrt(inputs), rate, activate

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        with torch.autocast(x.device.type, enabled=False):
            x = F.linear(x.to(self.weight.dtype), self.weight * self.gain, self.bias * self.rate)
        return activated(x) if self.activate else x


class ConstantInput(nn.Module):
    """The learned 4x4 tensor that every image begins as."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, count: int) -> Tensor:
        """(count, channels, 4, 4)."""
        return self.input.expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose outputs are brought back to unit variance.

    Scaling the kernel by styles, as the paper writes it, is scaling its input; demodulation is scaling its output
    (its appendix B), and the sum of squares that it divides by splits into styles and kernel.  So one kernel
    serves the batch; a kernel per image is a grouped convolution.
    """

    def __init__(self, inputs: int, outputs: int, size: int, style_dim: int, demodulate: bool = True, up: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.modulation = EqualLinear(style_dim, inputs, bias=1.0)
        self.gain, self.demodulate, self.up = 1 / math.sqrt(inputs * size**2), demodulate, up

    def forward(self, x: Tensor, w: Tensor, weight: Tensor | None = None) -> Tensor:
        """(N, in, h, h) to (N, out, h, h), or twice as large; `weight` replaces the raw kernel, or one per image."""
        weight = self.weight if weight is None else weight
        style = self.modulation(w) * self.gain  # rather than the kernel, of which there may be one per image
        x = x * style[:, :, None, None].to(x.dtype)  # at the precision of x, also under autocast
        x = self._convolve(x, weight) if weight.ndim == 4 else self._convolve_each(x, weight)
        if self.demodulate:
            energy = weight.square().sum(dim=(-2, -1)) @ style.square()[:, :, None]  # (N, out, 1)
            x = x * torch.rsqrt(energy + 1e-8)[..., None].to(x.dtype)
        return blur(x) if self.up else x

    def _convolve(self, x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
        if self.up:
            # A transposed convolution wants (in, out) of each group.
            weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
            return F.conv_transpose2d(x, weight, stride=2, groups=groups)
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)

    def _convolve_each(self, x: Tensor, weight: Tensor) -> Tensor:
        count = len(x)
        x = self._convolve(x.reshape(1, -1, *x.shape[2:]), weight.flatten(0, 1), groups=count)
        return x.reshape(count, -1, *x.shape[2:]).contiguous(memory_format=torch.channels_last)


class NoiseInjection(nn.Module):
    """Noise, the same for all channels, times a learned strength."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """(N, C, h, h) plus noise (1 or N, 1, h, h)."""
        return x if noise is None else x + (self.weight * noise).to(x.dtype)


class BiasedActivation(nn.Module):
    """A bias per channel, then the leaky rectifier."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, h) to the same."""
        return activated(x + self.bias[:, None, None].to(x.dtype))


class StyledConv(nn.Module):
    """A modulated convolution with noise, bias and activation."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, up=up)
        self.noise = NoiseInjection()
        self.activate = BiasedActivation(outputs)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, weight: Tensor | None = None) -> Tensor:
        """(N, in, h, h) to (N, out, h, h), or twice as large."""
        return self.activate(self.noise(self.conv(x, w, weight), noise))


class ToRGB(nn.Module):
    """What a resolution adds to the image: a modulated 1x1 convolution, not demodulated (the skip architecture)."""

    def __init__(self, inputs: int, style_dim: int, up: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.up = up

    def forward(self, x: Tensor, w: Tensor, skip: Tensor | None) -> Tensor:
        """(N, in, h, h) to (N, 3, h, h), plus the image of half the size."""
        x = self.conv(x, w) + self.bias.to(x.dtype)
        return x + upsampled(skip) if self.up and skip is not None else x


def activated(x: Tensor) -> Tensor:
    """The leaky rectifier of slope 0.2 and gain sqrt(2), which keeps the variance."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def binomial(channels: int, gain: float, like: Tensor) -> Tensor:
    """The [1, 3, 3, 1] filter of all resampling, as a depthwise kernel (channels, 1, 4, 4)."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], device=like.device, dtype=like.dtype)
    return (line[:, None] * line * (gain / 64)).expand(channels, 1, 4, 4)


def blur(x: Tensor, gain: float = 4.0, padding: int = 1) -> Tensor:
    """The filter over (N, C, h, w); behind a transposed convolution of stride 2, whose zeros it fills, with gain 4."""
    return F.conv2d(x, binomial(x.shape[1], gain, x), padding=padding, groups=x.shape[1])


def upsampled(image: Tensor) -> Tensor:
    """(N, C, h, w) twice as large: zeros between pixels, then the filter."""
    channels = image.shape[1]
    return F.conv_transpose2d(image, binomial(channels, 4.0, image), stride=2, padding=1, groups=channels)
