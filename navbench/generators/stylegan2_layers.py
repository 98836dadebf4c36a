"""The layers of StyleGAN2 (Karras et al., CVPR 2020), with their stored gains and the [1, 3, 3, 1] resampling filter.

Kernels are stored without gain and without the flip of a transposed convolution, as both published codes store them.
Activations are channels-last from the constant input on, in which order a CPU's transposed convolutions and blurs take
0.6 to 0.9 of the time. A blur that is part of the kernel, then of 6x6 elements, took about 2 to 4 times as long.
"""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"]
ACTIVATIONS: Mapping[Activation, tuple[Callable[[Tensor], Tensor], float]] = {
    "linear": (lambda x: x, 1.0),
    "relu": (F.relu, math.sqrt(2)),
    "lrelu": (lambda x: F.leaky_relu(x, 0.2), math.sqrt(2)),
    "tanh": (torch.tanh, 1.0),
    "sigmoid": (torch.sigmoid, 1.0),
    "elu": (F.elu, 1.0),
    "selu": (F.selu, 1.0),
    "softplus": (F.softplus, 1.0),
    "swish": (F.silu, math.sqrt(2)),
}
"""Each activation and its gain (torch_utils/ops/bias_act.py of stylegan2-ada-pytorch); published ones have lrelu."""


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

    def __init__(
        self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0, activation: Activation = "linear"
    ) -> None:
        """Build it; `rate` slows its learning by being left out of the stored weights."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), float(bias)))
        self.gain, self.rate, self.activation = rate / math.sqrt(inputs), rate, activation

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        with torch.autocast(x.device.type, enabled=False):
            x = F.linear(x.to(self.weight.dtype), self.weight * self.gain, self.bias * self.rate)
        return activated(x, self.activation)


class ConstantInput(nn.Module):
    """The learned tensor that every image begins as, 4x4 unless its images are not square."""

    def __init__(self, channels: int, size: tuple[int, int] = (4, 4)) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, *size))

    def forward(self, count: int) -> Tensor:
        """(count, channels, h, w)."""
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
        """(N, in, h, w) to (N, out, h, w), or twice as large; `weight` replaces the raw kernel, or one per image."""
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
        """(N, C, h, w) plus noise (1 or N, 1, h, w)."""
        return x if noise is None else x + (self.weight * noise).to(x.dtype)


class BiasedActivation(nn.Module):
    """A bias per channel, then the activation, then the clamp."""

    def __init__(self, channels: int, activation: Activation = "lrelu", clamp: float | None = None) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.activation, self.clamp = activation, clamp

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        return clamped(activated(x + self.bias[:, None, None].to(x.dtype), self.activation), self.clamp)


class StyledConv(nn.Module):
    """A modulated convolution with noise, bias and activation."""

    def __init__(
        self, inputs: int, outputs: int, style_dim: int, up: bool = False, activation: Activation = "lrelu",
        clamp: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, up=up)
        self.noise = NoiseInjection()
        self.activate = BiasedActivation(outputs, activation, clamp)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None, weight: Tensor | None = None) -> Tensor:
        """(N, in, h, w) to (N, out, h, w), or twice as large."""
        return self.activate(self.noise(self.conv(x, w, weight), noise))


class ToRGB(nn.Module):
    """What a resolution adds to the image: a modulated 1x1 convolution, not demodulated (the skip architecture)."""

    def __init__(
        self, inputs: int, style_dim: int, up: bool, channels: int = 3, clamp: float | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = ModulatedConv2d(inputs, channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.up, self.clamp = up, clamp

    def forward(self, x: Tensor, w: Tensor, skip: Tensor | None) -> Tensor:
        """(N, in, h, w) to (N, channels, h, w), plus the image of half the size."""
        x = clamped(self.conv(x, w) + self.bias.to(x.dtype), self.clamp)
        return x + upsampled(skip) if self.up and skip is not None else x


def activated(x: Tensor, activation: Activation = "lrelu") -> Tensor:
    """The activation times its gain, which keeps the variance; by default the leaky rectifier of slope 0.2."""
    function, gain = ACTIVATIONS[activation]
    return function(x) if gain == 1 else function(x) * gain


def clamped(x: Tensor, limit: float | None) -> Tensor:
    """Cut at -limit and limit, if there is one: what keeps half precision from overflowing (`conv_clamp`)."""
    return x if limit is None else x.clamp(-limit, limit)


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
