"""StyleGAN2 (Karras et al., CVPR 2020): mapping, weight demodulation, skip architecture, noise.

The module tree, and so the names of tensors and layers, is that of rosinality/stylegan2-pytorch, which the paper
used: `convs.3` is its layer 3.  Tensors are named and shaped as in its files, but for the kernels, which have no
leading dimension of 1, for `w_avg`, which is a buffer, and for `embed`, which only class-conditional networks have.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds
from navbench.errors import NavbenchError, unknown
from navbench.generators.base import Codes, Generator, Layer, State
from navbench.generators.channels import CHANNELS, to_rgb
from navbench.generators.classes import check_classes, classes_variant, draw_classes, no_class
from navbench.generators.options import Noise
from navbench.generators.stylegan2_layers import (
    Activation,
    ConstantInput,
    EqualLinear,
    PixelNorm,
    StyledConv,
    ToRGB,
)
from navbench.generators.stylegan2_noise import drawn, unflattened
from navbench.generators.stylegan2_styles import Reader, channel_names, channels_of, deviations, readers, split

PUBLISHED_CLAMP = 256
"""Of NVIDIA's networks; an order of magnitude beyond what they reach (StyleGAN2-ADA, appendix on mixed precision)."""
_LARGEST_CONSTANT = 64
_DEVIATION_CODES = 4096


@dataclass(frozen=True)
class StyleCodes(Codes):
    """Codes of a generator with an intermediate latent space.

    Attributes:
        z: (N, latent_dim); (N, 0) for codes that are given in w+.
        w: (N, L, style_dim), one style per modulated layer, or `None` before the mapping network.
        label: (N,), int64, the class of each; `None` without classes.
        noise_seeds: (N, 2), int64, the seed and index of each code's noise, on the CPU, which draws it; `None` unless
            noise is random.
        maps: (N, P), flattened noise maps of each code, in forward order, as projection finds them; else `None`.
        s: (N, S), what is added to the style channels that follow from w; `None` for nothing.
    """

    w: Tensor | None = None
    label: Tensor | None = None
    noise_seeds: Tensor | None = None
    maps: Tensor | None = None
    s: Tensor | None = None


@dataclass(frozen=True)
class _Rest:
    """What the synthesis network carries beside its activations."""

    w: Tensor
    noise: Sequence[Tensor | None]  # of each convolution, (1 or N, 1, h, w)
    skip: Tensor | None = None
    added: Mapping[str, Tensor] = field(default_factory=dict)  # to the style channels of convolutions, (N, channels)


class StyleGAN2(Generator):
    """The published generator at any size: codes z to styles w, styles to an image.

    Every convolution is a shiftable layer.  Layer i is `convs.i`, as in the paper; `conv1`, which stands before
    `convs.0`, has the index -1.

    Attributes:
        truncation: psi of the truncation trick, w_avg + psi (w - w_avg) (section 3 of StyleGAN); 1 for no truncation.
        noise: 'const', the stored noise of the checkpoint; 'none'; or 'random', drawn by each code's seed and index,
            so the same for every edit.
        class_count: of a class-conditional generator (Karras et al., NeurIPS 2020); 0 for an unconditional one.
        classes: those that codes are drawn from, uniformly; empty for all.
        w_avg: (style_dim,), the mean of w, over all classes.
        constant: height and width of what every image begins as; 4 and 4 unless the canvas is not square.
        channels: of the images as the network makes them; `forward` gives RGB (see `channels.to_rgb`).
        activation, mapping_activation: of the convolutions, and of the mapping network.
        clamp: what leaves a convolution, or is added to the image, is cut at +-clamp; `None` for no clamp.
    """

    latents = ("z", "w", "w+", "s")
    w_avg: Tensor

    def __init__(
        self, name: str, description: str, resolution: int, latent_dim: int = 512, style_dim: int = 512,
        mapping_layers: int = 8, channel_base: int = 32768, channel_max: int = 512, truncation: float = 1.0,
        noise: Noise = "const", class_count: int = 0, classes: Sequence[int] = (),
        size: tuple[int, int] | None = None, constant: tuple[int, int] = (4, 4), channels: int = 3,
        activation: Activation = "lrelu", mapping_activation: Activation = "lrelu", clamp: float | None = None,
    ) -> None:  # fmt: skip
        """Build the networks, with random weights.

        Args:
            name: of the generator.
            description: one line.
            resolution: of the canvas that the network makes, a power of two from 4; of one that is not square, that
                of a square one with as many blocks, after which blocks are named.
            latent_dim: of z.
            style_dim: of w.
            mapping_layers: of the network from z to w.
            channel_base: a block at resolution r has channel_base / r channels; 32768 is config f, 16384 config e.
            channel_max: ... but not more than that.
            size: height and width of the images, the middle of the canvas; `None` for all of it.
            truncation, noise, class_count, classes, constant, channels, activation, mapping_activation, clamp: see
                the attributes.
        """
        super().__init__()
        if resolution < 4 or resolution & (resolution - 1):
            raise NavbenchError(f"StyleGAN2 makes images of 4, 8, 16, ... pixels, not {resolution}.")
        if not all(1 <= extent <= _LARGEST_CONSTANT for extent in constant):
            raise NavbenchError(
                f"StyleGAN2 begins with a constant of 1 to {_LARGEST_CONSTANT} pixels a side, not of "
                f"{constant[0]}x{constant[1]}."
            )
        if channels not in CHANNELS:
            raise NavbenchError(f"StyleGAN2 makes images of 1, 3 or 4 channels here, not of {channels}.")
        if noise not in get_args(Noise):
            raise unknown("noise of StyleGAN2", noise, get_args(Noise))
        self.name, self.description = name, description
        self.latent_dim, self.style_dim, self.resolution = latent_dim, style_dim, resolution
        self.mapping_layers, self.channel_base, self.channel_max = mapping_layers, channel_base, channel_max
        self.truncation, self.noise = truncation, noise
        self.constant, self.channels = (constant[0], constant[1]), channels
        self.activation, self.mapping_activation, self.clamp = activation, mapping_activation, clamp
        self.class_count, self.classes = class_count, tuple(classes)
        check_classes(name, class_count, self.classes)
        self._size = self._checked(size)
        if class_count:
            self.embed = EqualLinear(class_count, style_dim)
        widths = [latent_dim + (style_dim if class_count else 0), *[style_dim] * mapping_layers]
        mapping = (EqualLinear(a, b, rate=0.01, activation=mapping_activation) for a, b in pairwise(widths))
        self.style = nn.Sequential(PixelNorm(), *mapping)
        self.register_buffer("w_avg", torch.zeros(style_dim))
        sides = [2**k for k in range(2, resolution.bit_length())]
        widths = [min(channel_base // side, channel_max) for side in sides]
        convolve = partial(StyledConv, style_dim=style_dim, activation=activation, clamp=clamp)
        colour = partial(ToRGB, style_dim=style_dim, channels=channels, clamp=clamp)
        self.input = ConstantInput(widths[0], self.constant)
        self.conv1 = convolve(widths[0], widths[0])
        self.to_rgb1 = colour(widths[0], up=False)
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        for inputs, outputs in pairwise(widths):
            self.convs.append(convolve(inputs, outputs, up=True))
            self.convs.append(convolve(outputs, outputs))
            self.to_rgbs.append(colour(outputs, up=True))
        for index, extents in enumerate(self.noise_sizes()):
            self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, *extents))
        self.styles_per_image = len(self.convs) + 2

    def noise_sizes(self) -> list[tuple[int, int]]:
        """Height and width of each layer's noise, in forward order."""
        height, width = self.constant
        scales = [1, *(2 ** (1 + index // 2) for index in range(len(self.convs)))]
        return [(height * scale, width * scale) for scale in scales]

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of what the network makes."""
        height, width = self.constant
        return height * self.resolution // 4, width * self.resolution // 4

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, which may be less than the canvas (LSUN Car: 384 rows of 512)."""
        return self._size

    @property
    def variant(self) -> str:
        """The truncation, the noise, the classes, the size and the functions, where they differ from the defaults.

        A clamp is a part of it only below that of the published networks, which no whole network reaches: NVIDIA's
        file of a network and rosinality's, which knows no clamp, are one generator to direction sets.
        """
        parts = []
        if (self.truncation, self.noise) != (1.0, "const"):
            parts.append(f"truncation {self.truncation:g}, noise {self.noise}")
        if self.classes:
            parts.append(classes_variant(self.classes))
        if self.size != self.canvas:
            parts.append(f"size {self.size[0]}x{self.size[1]}")
        if (self.activation, self.mapping_activation) != ("lrelu", "lrelu"):
            parts.append(f"activation {self.activation}, of the mapping {self.mapping_activation}")
        if self.clamp is not None and self.clamp < PUBLISHED_CLAMP:
            parts.append(f"clamp {self.clamp:g}")
        return ", ".join(parts)

    @cached_property
    def cache_key(self) -> dict[str, str]:
        """As of every generator, and the clamp: results far from t = 0 may depend on the published one, too."""
        return super().cache_key | ({} if self.clamp is None else {"clamp": f"{self.clamp:g}"})

    @property
    def conversion(self) -> str:
        """See `channels.CHANNELS`."""
        return CHANNELS[self.channels]

    @property
    def details(self) -> dict[str, str]:
        """What was read of the file, the clamp, and what differs from the published networks."""
        own = {"clamp": "none" if self.clamp is None else f"{self.clamp:g}"}
        if (self.activation, self.mapping_activation) != ("lrelu", "lrelu"):
            own["activation"] = f"{self.activation}; of the mapping network {self.mapping_activation}"
        if self.constant != (4, 4):
            own["constant"] = f"{self.constant[0]}x{self.constant[1]}"
        return super().details | own

    def _checked(self, size: tuple[int, int] | None) -> tuple[int, int]:
        height, width = self.canvas
        if size is None:
            return height, width
        if not (0 < size[0] <= height and 0 < size[1] <= width):
            raise NavbenchError(
                f"Images of {size[0]}x{size[1]} pixels are no part of the {height}x{width} of generator {self.name}; "
                "give its height and width, such as 384, 512."
            )
        return size[0], size[1]

    # --- codes and latent spaces

    def sample(self, indices: Sequence[int], seed: int) -> StyleCodes:
        """Codes on the generator's device; code i, with its class and noise, depends on (seed, i) only."""
        indices, device = tuple(indices), self.device
        z = seeds.normal(seed, indices, (self.latent_dim,)).to(device)
        label = noise_seeds = None
        if self.class_count:
            label = draw_classes(indices, seed, self.class_count, self.classes).to(device)
        if self.noise == "random":
            role = seeds.derived(seed, "noise")
            noise_seeds = torch.tensor([[role, index] for index in indices], dtype=torch.int64).reshape(-1, 2)
        return StyleCodes(z, None, label, noise_seeds)

    def map_to_w(self, codes: Codes) -> StyleCodes:
        """The codes with their styles; codes that have styles are returned unchanged, and not truncated."""
        codes = _style_codes(codes)
        if codes.w is not None:
            return codes
        w = self._mapped(codes)
        if self.truncation != 1:
            w = self.w_avg.lerp(w, self.truncation)
        return replace(codes, w=w[:, None].expand(-1, self.styles_per_image, -1))

    def _mapped(self, codes: StyleCodes) -> Tensor:
        """One style per code; a class enters as an embedding, normalised as z is, beside it."""
        if not self.class_count:
            return self.style(codes.z)
        if codes.label is None:
            raise no_class(self.name)
        normalise, *mapping = self.style
        embedded = self.embed(F.one_hot(codes.label, self.class_count))
        w = torch.cat([normalise(codes.z), normalise(embedded)], dim=1)
        for layer in mapping:
            w = layer(w)
        return w

    def latent_shape(self, kind: str) -> torch.Size:
        """(latent_dim,) of z, (style_dim,) of w, (L, style_dim) of w+, (S,) of s, a number per style channel."""
        if kind == "s":
            return torch.Size((sum(reader.channels for reader in self._readers),))
        shapes = {"w": (self.style_dim,), "w+": (self.styles_per_image, self.style_dim)}
        return torch.Size(shapes[kind]) if kind in shapes else super().latent_shape(kind)

    def latent(self, codes: Codes, kind: str) -> Tensor:
        """Of w, the first layer's style, which is every layer's for codes that come from z; of s, in deviations."""
        self.latent_shape(kind)  # refuses an unknown kind
        if kind == "z":
            return codes.z
        codes = self.map_to_w(codes)
        assert codes.w is not None
        if kind == "s":
            channels = channels_of(self._readers, codes.w)
            return (channels if codes.s is None else channels + codes.s) / self.style_deviations.to(channels)
        return codes.w if kind == "w+" else codes.w[:, 0]

    def noise_inputs(self) -> Sequence[tuple[int, int]]:
        """Height and width of each layer's noise, in forward order; empty if noise is 'none'."""
        return () if self.noise == "none" else self.noise_sizes()

    def with_noise(self, codes: Codes, maps: Sequence[Tensor]) -> StyleCodes:
        """The codes with these noise maps, (N, 1, h, w) for each (h, w) of `noise_inputs()`."""
        return replace(_style_codes(codes), maps=torch.cat([part.flatten(1) for part in maps], dim=1))

    def latent_weights(self, kind: str) -> Tensor:
        """Of w, the modulations of all convolutions and of the last ToRGB, as they run.

        These are the layers of genforce/sefa (`factorize_weight`, 'all'). Of z, which that code does not decompose for
        a StyleGAN, the first layer of the mapping network.
        """
        if kind == "z":
            first = cast(EqualLinear, self.style[1])
            return first.weight[:, : self.latent_dim] * first.gain  # the rest reads the class
        if kind != "w":
            return super().latent_weights(kind)
        maps = [part.conv.modulation for part in (self.conv1, *self.convs, (self.to_rgb1, *self.to_rgbs)[-1])]
        return torch.cat([modulation.weight * modulation.gain for modulation in maps])

    def shift_latent(self, codes: Codes, kind: str, offset: Tensor) -> Codes:
        """The codes with an offset added in z, in w (to every layer's style alike), in w+, or to the style channels."""
        self.latent_shape(kind)  # refuses an unknown kind
        if kind == "z":
            return replace(_style_codes(codes), z=codes.z + offset, w=None)
        codes = self.map_to_w(codes)
        assert codes.w is not None
        if kind == "s":
            added = (offset * self.style_deviations.to(offset)).expand(len(codes), -1)
            return replace(codes, s=added if codes.s is None else codes.s + added)
        return replace(codes, w=codes.w + (offset if kind == "w+" else offset[..., None, :]))

    def latent_as_weights(self, kind: str, offset: Tensor) -> dict[str, Tensor]:
        """Of w, w+ and s, the biases of what reads the styles, which stands behind any truncation."""
        if kind == "z":
            return super().latent_as_weights(kind, offset)
        if kind == "s":
            added = split(self._readers, offset * self.style_deviations.to(offset))
            return {reader.bias: added[reader.layer] for reader in self._readers}
        styles = offset.expand(self.styles_per_image, -1)
        return {reader.bias: reader.linear(styles[reader.style]) for reader in self._readers}

    @property
    def _readers(self) -> tuple[Reader, ...]:
        """What reads the styles, in forward order."""
        return readers(self, len(self.convs) + 1)

    @cached_property
    def style_deviations(self) -> Tensor:
        """(S,), the standard deviation of each style channel over codes, untruncated: a step in s."""
        with torch.no_grad():
            codes = self.sample(range(_DEVIATION_CODES), seeds.derived(0, "style deviations"))
            return deviations(self._readers, self._mapped(codes))

    def latent_names(self, kind: str) -> tuple[str, ...]:
        """Of s, the convolution and its input channel that each number scales: 'convs.3:17'."""
        return channel_names(self._readers) if kind == "s" else super().latent_names(kind)

    # --- images

    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W); mostly in [-1, 1], as the published networks do not clip."""
        return self._synthesised(self._rest(codes))

    def synthesise(self, w: Tensor, noise: Sequence[Tensor | None] | None = None) -> Tensor:
        """Images of styles w, (N, L, style_dim); with other noise than the stored if given, (N, 1, h, w) per layer."""
        return self._synthesised(_Rest(w, self._fixed_noise() if noise is None else noise))

    def _synthesised(self, rest: _Rest) -> Tensor:
        return self._finished(self._run(self.input(len(rest.w)), rest, 0, len(self.convs) + 1)[1])

    def _rest(self, codes: Codes) -> _Rest:
        """What the synthesis network starts from, beside its constant input."""
        codes = self.map_to_w(codes)
        assert codes.w is not None
        added = {} if codes.s is None else split(self._readers, codes.s)
        return _Rest(codes.w, self._noise(codes), added=added)

    def layers(self) -> tuple[Layer, ...]:
        """The convolutions, first to last; those that make RGB are left out."""
        names = ["conv1", *(f"convs.{index}" for index in range(len(self.convs)))]
        pairs = ((name, self._conv(place).conv.weight.shape) for place, name in enumerate(names))
        return tuple(Layer(name, index, shape, False) for index, (name, shape) in enumerate(pairs, start=-1))

    def layer(self, name: str) -> Layer:
        """The layer of that name or index; NVIDIA's name, such as 'synthesis.b16.conv1', is also accepted."""
        found = re.fullmatch(r"(?:synthesis\.)?b(\d+)\.conv([01])", name)
        if found is not None and (side := int(found[1])) >= 4 and side & (side - 1) == 0:
            place = 2 * (side.bit_length() - 4) + int(found[2])  # b8.conv0 is convs.0
            return super().layer("conv1" if place == -1 else f"convs.{place}")
        return super().layer(name)

    def kernel(self, layer: Layer) -> Tensor:
        """The layer's raw kernel, before any scaling or modulation."""
        return self._conv(layer.index + 1).conv.weight

    def before(self, codes: Codes, layer: Layer) -> State:
        """The mapping network, and the synthesis up to the layer."""
        rest = self._rest(codes)
        x, skip = self._run(self.input(len(codes)), rest, 0, layer.index + 1)
        return State(x, replace(rest, skip=skip))

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The layer with its own or another kernel, and the synthesis after it."""
        return self._finished(self._run(state.input, state.rest, layer.index + 1, len(self.convs) + 1, weight)[1])

    def _conv(self, place: int) -> StyledConv:
        return cast(StyledConv, self.convs[place - 1]) if place else self.conv1

    def _run(
        self, x: Tensor, rest: _Rest, start: int, stop: int, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Convolutions number `start` to `stop`, conv1 being 0, the first of them with another kernel."""
        skip = rest.skip
        for place in range(start, stop):
            added = rest.added.get(f"convs.{place - 1}" if place else "conv1")
            own = weight if place == start else None
            x = self._conv(place)(x, rest.w[:, place], rest.noise[place], own, added)
            if place % 2 == 0:  # the last convolution of its resolution
                to_rgb = self.to_rgbs[place // 2 - 1] if place else self.to_rgb1
                added = rest.added.get(f"to_rgbs.{place // 2 - 1}" if place else "to_rgb1")
                skip = to_rgb(x, rest.w[:, place + 1], skip, added)
        return x, skip  # type: ignore[return-value]  # `None` only before the first image

    def _finished(self, made: Tensor) -> Tensor:
        """The images in the middle of the canvas, as RGB."""
        (height, width), canvas = self.size, self.canvas
        top, left = (canvas[0] - height) // 2, (canvas[1] - width) // 2
        return to_rgb(made[..., top : top + height, left : left + width])

    def _noise(self, codes: StyleCodes) -> Sequence[Tensor | None]:
        """The noise of each convolution, under these codes."""
        if codes.maps is not None:
            return unflattened(codes.maps, self.noise_sizes())
        if self.noise != "random":
            return self._fixed_noise()
        if codes.noise_seeds is None:
            raise NavbenchError(
                f"Generator {self.name} draws noise by code, which these codes do not say; sample them."
            )
        pairs = tuple((seed, index) for seed, index in codes.noise_seeds.tolist())
        sizes = tuple(self.noise_sizes())
        return unflattened(drawn(pairs, sizes, self.device), sizes)

    def _fixed_noise(self) -> Sequence[Tensor | None]:
        """The stored noise of each layer, or `None` for each."""
        stored = [self.noises.get_buffer(f"noise_{place}") for place in range(len(self.convs) + 1)]
        return [None] * len(stored) if self.noise == "none" else stored


def _style_codes(codes: Codes) -> StyleCodes:
    return codes if isinstance(codes, StyleCodes) else StyleCodes(codes.z)
