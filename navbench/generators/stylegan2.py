"""StyleGAN2 (Karras et al., CVPR 2020): mapping, weight demodulation, skip architecture, stored noise.

The module tree, and so the names of tensors and layers, is that of rosinality/stylegan2-pytorch, which the paper
used: `convs.3` is its layer 3.  Tensors are named and shaped as in its files, but for the kernels, which have no
leading dimension of 1, and for `w_avg`, which is a buffer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds
from navbench.errors import NavbenchError, unknown
from navbench.generators.base import Codes, Generator, Layer, State

Noise = Literal["const", "none"]


@dataclass(frozen=True)
class StyleCodes(Codes):
    """Codes of a generator with an intermediate latent space.

    Attributes:
        z: (N, latent_dim); (N, 0) for codes that are given in w+.
        w: (N, L, style_dim), one style per modulated layer, once the mapping network has made it; else none.
    """

    w: Tensor | None = None


@dataclass(frozen=True)
class _Rest:
    """What the synthesis network carries beside its activations."""

    w: Tensor
    skip: Tensor | None


class StyleGAN2(Generator):
    """The published generator at any size: codes z to styles w, styles to an image.

    Every convolution is a shiftable layer.  Layer i is `convs.i`, as in the paper; `conv1`, which stands before
    `convs.0`, has the index -1.

    Attributes:
        truncation: psi of the truncation trick, w_avg + psi (w - w_avg) (section 3 of StyleGAN); 1 is none.
        noise: 'const', the stored noise of the checkpoint; or 'none'.
        w_avg: (style_dim,), the mean of w.
    """

    latents = ("z", "w", "w+")
    w_avg: Tensor

    def __init__(
        self, name: str, description: str, resolution: int, latent_dim: int = 512, style_dim: int = 512,
        mapping_layers: int = 8, channel_base: int = 32768, channel_max: int = 512, truncation: float = 1.0,
        noise: Noise = "const",
    ) -> None:  # fmt: skip
        """Build the networks, with random weights.

        Args:
            name: of the generator.
            description: one line.
            resolution: of the images, a power of two from 8.
            latent_dim: of z.
            style_dim: of w.
            mapping_layers: of the network from z to w.
            channel_base: a block at resolution r has channel_base / r channels; 32768 is config f, 16384 config e.
            channel_max: ... but not more than that.
            truncation: see the attributes.
            noise: see the attributes.
        """
        super().__init__()
        if resolution < 8 or resolution & (resolution - 1):
            raise NavbenchError(f"StyleGAN2 makes images of 8, 16, 32, ... pixels, not {resolution}.")
        if noise not in ("const", "none"):
            raise unknown("noise of StyleGAN2", noise, ("const", "none"))
        self.name, self.description = name, description
        self.latent_dim, self.style_dim, self.resolution = latent_dim, style_dim, resolution
        self.mapping_layers, self.channel_base, self.channel_max = mapping_layers, channel_base, channel_max
        self.truncation, self.noise = truncation, noise
        widths = [latent_dim, *[style_dim] * mapping_layers]
        mapping = (EqualLinear(a, b, rate=0.01, activate=True) for a, b in pairwise(widths))
        self.style = nn.Sequential(PixelNorm(), *mapping)
        self.register_buffer("w_avg", torch.zeros(style_dim))
        sizes = [2**k for k in range(2, resolution.bit_length())]
        channels = [min(channel_base // size, channel_max) for size in sizes]
        self.input = ConstantInput(channels[0])
        self.conv1 = StyledConv(channels[0], channels[0], style_dim)
        self.to_rgb1 = ToRGB(channels[0], style_dim, up=False)
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        for inputs, outputs in pairwise(channels):
            self.convs.append(StyledConv(inputs, outputs, style_dim, up=True))
            self.convs.append(StyledConv(outputs, outputs, style_dim))
            self.to_rgbs.append(ToRGB(outputs, style_dim, up=True))
        for index, size in enumerate(self.noise_sizes()):
            self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, size, size))
        self.styles_per_image = len(self.convs) + 2

    def noise_sizes(self) -> list[int]:
        """The side of each layer's noise, in forward order."""
        return [4] + [2 ** (3 + index // 2) for index in range(len(self.convs))]

    @property
    def variant(self) -> str:
        """The truncation and the noise, where they are not the usual ones."""
        usual = (self.truncation, self.noise) == (1.0, "const")
        return "" if usual else f"truncation {self.truncation:g}, noise {self.noise}"

    # --- codes and latent spaces

    def sample(self, indices: Sequence[int], seed: int) -> StyleCodes:
        """Codes on the generator's device; code i depends on (seed, i) only."""
        return StyleCodes(seeds.normal(seed, tuple(indices), (self.latent_dim,)).to(self.device))

    def resolved(self, codes: Codes) -> StyleCodes:
        """The codes with their styles; those that have them already stay as they are, and are not truncated."""
        if isinstance(codes, StyleCodes) and codes.w is not None:
            return codes
        w = self.style(codes.z)
        if self.truncation != 1:
            w = self.w_avg.lerp(w, self.truncation)
        return StyleCodes(codes.z, w[:, None].expand(-1, self.styles_per_image, -1))

    def latent_shape(self, kind: str) -> torch.Size:
        """(latent_dim,) of z, (style_dim,) of w, (L, style_dim) of w+."""
        shapes = {"w": (self.style_dim,), "w+": (self.styles_per_image, self.style_dim)}
        return torch.Size(shapes[kind]) if kind in shapes else super().latent_shape(kind)

    def latent(self, codes: Codes, kind: str) -> Tensor:
        """Of w, the first layer's style, which is every layer's for codes that come from z."""
        self.latent_shape(kind)  # refuses a kind that is not there
        if kind == "z":
            return codes.z
        w = self.resolved(codes).w
        assert w is not None
        return w if kind == "w+" else w[:, 0]

    def readers(self, kind: str) -> Tensor:
        """Of w, the modulations of all layers as they run; of z, the first layer of the mapping network."""
        if kind == "z":
            first = cast(EqualLinear, self.style[1])
            return first.weight * first.gain
        if kind != "w":
            return super().readers(kind)
        convolutions = [self.conv1, self.to_rgb1, *self.convs, *self.to_rgbs]
        maps = [each.conv.modulation for each in convolutions]
        return torch.cat([modulation.weight * modulation.gain for modulation in maps])

    def moved(self, codes: Codes, kind: str, offset: Tensor) -> Codes:
        """The codes with an offset added in z, in w (to every layer's style alike) or in w+."""
        self.latent_shape(kind)  # refuses a kind that is not there
        if kind == "z":
            return StyleCodes(codes.z + offset)
        codes = self.resolved(codes)
        assert codes.w is not None
        return replace(codes, w=codes.w + (offset if kind == "w+" else offset[..., None, :]))

    # --- images

    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W); mostly in [-1, 1], as the published networks do not clip."""
        codes = self.resolved(codes)
        assert codes.w is not None
        return self.synthesise(codes.w)

    def synthesise(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Images of styles w, (N, L, style_dim); with other noise than the stored if given, (N, 1, h, h) per layer."""
        return self._run(self.input(len(w)), _Rest(w, None), 0, len(self.convs) + 1, noise=noise)[1]

    def layers(self) -> tuple[Layer, ...]:
        """The convolutions, first to last; those that make RGB are left out."""
        names = ["conv1", *(f"convs.{index}" for index in range(len(self.convs)))]
        pairs = ((name, self._conv(place).conv.weight.shape) for place, name in enumerate(names))
        return tuple(Layer(name, index, shape, False) for index, (name, shape) in enumerate(pairs, start=-1))

    def kernel(self, layer: Layer) -> Tensor:
        """The layer's raw kernel, before any scaling or modulation."""
        return self._conv(layer.index + 1).conv.weight

    def before(self, codes: Codes, layer: Layer) -> State:
        """The mapping network, and the synthesis up to the layer."""
        codes = self.resolved(codes)
        assert codes.w is not None
        x, skip = self._run(self.input(len(codes)), _Rest(codes.w, None), 0, layer.index + 1)
        return State(x, _Rest(codes.w, skip))

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The layer with its own or another kernel, and the synthesis after it."""
        return self._run(state.input, state.rest, layer.index + 1, len(self.convs) + 1, weight=weight)[1]

    def _conv(self, place: int) -> "StyledConv":
        return cast(StyledConv, self.convs[place - 1]) if place else self.conv1

    def _run(
        self, x: Tensor, rest: _Rest, start: int, stop: int, weight: Tensor | None = None,
        noise: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Convolutions number `start` to `stop`, conv1 being 0, the first of them with another kernel."""
        skip = rest.skip
        for place in range(start, stop):
            grain = noise[place] if noise is not None else self._stored_noise(place)
            x = self._conv(place)(x, rest.w[:, place], grain, weight if place == start else None)
            if place % 2 == 0:  # the last convolution of its resolution
                to_rgb = self.to_rgbs[place // 2 - 1] if place else self.to_rgb1
                skip = to_rgb(x, rest.w[:, place + 1], skip)
        return x, skip  # type: ignore[return-value]  # none only before the first image

    def _stored_noise(self, place: int) -> Tensor | None:
        return self.noises.get_buffer(f"noise_{place}") if self.noise == "const" else None


# --- the published layers ------------------------------------------------------------------------------------


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
        return self.input.expand(count, -1, -1, -1)


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
        weight = (self.weight if weight is None else weight) * self.gain
        style = self.modulation(w)
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
        return x.reshape(count, -1, *x.shape[2:])


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
