"""StyleGAN2 (Karras et al., CVPR 2020): mapping, weight demodulation, skip architecture, noise.

The module tree, and so the names of tensors and layers, is that of rosinality/stylegan2-pytorch, which the paper
used: `convs.3` is its layer 3.  Tensors are named and shaped as in its files, but for the kernels, which have no
leading dimension of 1, for `w_avg`, which is a buffer, and for `embed`, which only class-conditional networks have.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds
from navbench.errors import NavbenchError, unknown
from navbench.generators.base import Codes, Generator, Layer, State
from navbench.generators.options import Noise
from navbench.generators.stylegan2_layers import ConstantInput, EqualLinear, PixelNorm, StyledConv, ToRGB


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
    """

    w: Tensor | None = None
    label: Tensor | None = None
    noise_seeds: Tensor | None = None
    maps: Tensor | None = None


@dataclass(frozen=True)
class _Rest:
    """What the synthesis network carries beside its activations."""

    w: Tensor
    noise: Sequence[Tensor | None]  # of each convolution, (1 or N, 1, h, h)
    skip: Tensor | None = None


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
    """

    latents = ("z", "w", "w+")
    w_avg: Tensor

    def __init__(
        self, name: str, description: str, resolution: int, latent_dim: int = 512, style_dim: int = 512,
        mapping_layers: int = 8, channel_base: int = 32768, channel_max: int = 512, truncation: float = 1.0,
        noise: Noise = "const", class_count: int = 0, classes: Sequence[int] = (),
        size: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Build the networks, with random weights.

        Args:
            name: of the generator.
            description: one line.
            resolution: of the canvas that the network makes, a power of two from 8.
            latent_dim: of z.
            style_dim: of w.
            mapping_layers: of the network from z to w.
            channel_base: a block at resolution r has channel_base / r channels; 32768 is config f, 16384 config e.
            channel_max: ... but not more than that.
            truncation: see the attributes.
            noise: see the attributes.
            class_count: see the attributes.
            classes: see the attributes.
            size: height and width of the images, the middle of the canvas; `None` for all of it.
        """
        super().__init__()
        if resolution < 8 or resolution & (resolution - 1):
            raise NavbenchError(f"StyleGAN2 makes images of 8, 16, 32, ... pixels, not {resolution}.")
        if noise not in get_args(Noise):
            raise unknown("noise of StyleGAN2", noise, get_args(Noise))
        self.name, self.description = name, description
        self.latent_dim, self.style_dim, self.resolution = latent_dim, style_dim, resolution
        self.mapping_layers, self.channel_base, self.channel_max = mapping_layers, channel_base, channel_max
        self.truncation, self.noise = truncation, noise
        self.class_count, self.classes = class_count, tuple(classes)
        self._check_classes()
        self._size = self._checked(size)
        if class_count:
            self.embed = EqualLinear(class_count, style_dim)
        widths = [latent_dim + (style_dim if class_count else 0), *[style_dim] * mapping_layers]
        mapping = (EqualLinear(a, b, rate=0.01, activate=True) for a, b in pairwise(widths))
        self.style = nn.Sequential(PixelNorm(), *mapping)
        self.register_buffer("w_avg", torch.zeros(style_dim))
        sides = [2**k for k in range(2, resolution.bit_length())]
        channels = [min(channel_base // side, channel_max) for side in sides]
        self.input = ConstantInput(channels[0])
        self.conv1 = StyledConv(channels[0], channels[0], style_dim)
        self.to_rgb1 = ToRGB(channels[0], style_dim, up=False)
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        for inputs, outputs in pairwise(channels):
            self.convs.append(StyledConv(inputs, outputs, style_dim, up=True))
            self.convs.append(StyledConv(outputs, outputs, style_dim))
            self.to_rgbs.append(ToRGB(outputs, style_dim, up=True))
        for index, side in enumerate(self.noise_sizes()):
            self.noises.register_buffer(f"noise_{index}", torch.randn(1, 1, side, side))
        self.styles_per_image = len(self.convs) + 2

    def noise_sizes(self) -> list[int]:
        """The side of each layer's noise, in forward order."""
        return [4] + [2 ** (3 + index // 2) for index in range(len(self.convs))]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, which may be less than the canvas (LSUN Car: 384 rows of 512)."""
        return self._size

    @property
    def variant(self) -> str:
        """The truncation, the noise, the classes and the size, where they differ from the defaults."""
        parts = []
        if (self.truncation, self.noise) != (1.0, "const"):
            parts.append(f"truncation {self.truncation:g}, noise {self.noise}")
        if self.classes:
            parts.append(f"classes {' '.join(map(str, self.classes))}")
        if self.size != (self.resolution, self.resolution):
            parts.append(f"size {self.size[0]}x{self.size[1]}")
        return ", ".join(parts)

    def _check_classes(self) -> None:
        if self.classes and not self.class_count:
            raise NavbenchError(f"Generator {self.name} has no classes; leave out the option 'classes'.")
        for label in self.classes:
            if not 0 <= label < self.class_count:
                raise NavbenchError(f"Generator {self.name} has the classes 0 to {self.class_count - 1}, not {label}.")

    def _checked(self, size: tuple[int, int] | None) -> tuple[int, int]:
        side = self.resolution
        if size is not None and not all(0 < extent <= side for extent in size):
            raise NavbenchError(
                f"Images of {size[0]}x{size[1]} pixels are no part of the {side}x{side} of generator {self.name}; "
                "give its height and width, such as 384, 512."
            )
        return (side, side) if size is None else (size[0], size[1])

    # --- codes and latent spaces

    def sample(self, indices: Sequence[int], seed: int) -> StyleCodes:
        """Codes on the generator's device; code i, with its class and noise, depends on (seed, i) only."""
        indices, device = tuple(indices), self.device
        z = seeds.normal(seed, indices, (self.latent_dim,)).to(device)
        label = noise_seeds = None
        if self.class_count:
            among, role = self.classes or range(self.class_count), seeds.derived(seed, "class")
            drawn = [among[seeds.stream(role, index).integers(len(among))] for index in indices]
            label = torch.tensor(drawn, dtype=torch.int64, device=device)
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
            raise NavbenchError(f"Generator {self.name} is class-conditional, so its codes need classes; sample them.")
        normalise, *mapping = self.style
        embedded = self.embed(F.one_hot(codes.label, self.class_count))
        w = torch.cat([normalise(codes.z), normalise(embedded)], dim=1)
        for layer in mapping:
            w = layer(w)
        return w

    def latent_shape(self, kind: str) -> torch.Size:
        """(latent_dim,) of z, (style_dim,) of w, (L, style_dim) of w+."""
        shapes = {"w": (self.style_dim,), "w+": (self.styles_per_image, self.style_dim)}
        return torch.Size(shapes[kind]) if kind in shapes else super().latent_shape(kind)

    def latent(self, codes: Codes, kind: str) -> Tensor:
        """Of w, the first layer's style, which is every layer's for codes that come from z."""
        self.latent_shape(kind)  # refuses an unknown kind
        if kind == "z":
            return codes.z
        w = self.map_to_w(codes).w
        assert w is not None
        return w if kind == "w+" else w[:, 0]

    def noise_inputs(self) -> Sequence[int]:
        """The side of each layer's noise, in forward order; empty if noise is 'none'."""
        return () if self.noise == "none" else self.noise_sizes()

    def with_noise(self, codes: Codes, maps: Sequence[Tensor]) -> StyleCodes:
        """The codes with these noise maps, (N, 1, h, h) for each h of `noise_inputs()`."""
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
        maps = [part.conv.modulation for part in (self.conv1, *self.convs, self.to_rgbs[-1])]
        return torch.cat([modulation.weight * modulation.gain for modulation in maps])

    def shift_latent(self, codes: Codes, kind: str, offset: Tensor) -> Codes:
        """The codes with an offset added in z, in w (to every layer's style alike) or in w+."""
        self.latent_shape(kind)  # refuses an unknown kind
        if kind == "z":
            return replace(_style_codes(codes), z=codes.z + offset, w=None)
        codes = self.map_to_w(codes)
        assert codes.w is not None
        return replace(codes, w=codes.w + (offset if kind == "w+" else offset[..., None, :]))

    # --- images

    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W); mostly in [-1, 1], as the published networks do not clip."""
        codes = self.map_to_w(codes)
        assert codes.w is not None
        return self.synthesise(codes.w, self._noise(codes))

    def synthesise(self, w: Tensor, noise: Sequence[Tensor | None] | None = None) -> Tensor:
        """Images of styles w, (N, L, style_dim); with other noise than the stored if given, (N, 1, h, h) per layer."""
        rest = _Rest(w, self._fixed_noise() if noise is None else noise)
        return self._cropped(self._run(self.input(len(w)), rest, 0, len(self.convs) + 1)[1])

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
        codes = self.map_to_w(codes)
        assert codes.w is not None
        rest = _Rest(codes.w, self._noise(codes))
        x, skip = self._run(self.input(len(codes)), rest, 0, layer.index + 1)
        return State(x, replace(rest, skip=skip))

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The layer with its own or another kernel, and the synthesis after it."""
        return self._cropped(self._run(state.input, state.rest, layer.index + 1, len(self.convs) + 1, weight)[1])

    def _conv(self, place: int) -> StyledConv:
        return cast(StyledConv, self.convs[place - 1]) if place else self.conv1

    def _run(
        self, x: Tensor, rest: _Rest, start: int, stop: int, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Convolutions number `start` to `stop`, conv1 being 0, the first of them with another kernel."""
        skip = rest.skip
        for place in range(start, stop):
            x = self._conv(place)(x, rest.w[:, place], rest.noise[place], weight if place == start else None)
            if place % 2 == 0:  # the last convolution of its resolution
                to_rgb = self.to_rgbs[place // 2 - 1] if place else self.to_rgb1
                skip = to_rgb(x, rest.w[:, place + 1], skip)
        return x, skip  # type: ignore[return-value]  # `None` only before the first image

    def _cropped(self, canvas: Tensor) -> Tensor:
        """The images in the middle of the canvas."""
        (height, width), side = self.size, self.resolution
        top, left = (side - height) // 2, (side - width) // 2
        return canvas[..., top : top + height, left : left + width]

    def _noise(self, codes: StyleCodes) -> Sequence[Tensor | None]:
        """The noise of each convolution, under these codes."""
        if codes.maps is not None:
            return self._unflattened(codes.maps)
        if self.noise != "random":
            return self._fixed_noise()
        if codes.noise_seeds is None:
            raise NavbenchError(
                f"Generator {self.name} draws noise by code, which these codes do not say; sample them."
            )
        pairs = tuple((seed, index) for seed, index in codes.noise_seeds.tolist())
        return self._unflattened(_drawn(pairs, tuple(self.noise_sizes()), self.device))

    def _unflattened(self, maps: Tensor) -> Sequence[Tensor]:
        """Maps (N, P) as one (N, 1, h, h) per convolution."""
        sides = self.noise_sizes()
        flattened = maps.split([side * side for side in sides], dim=1)
        return [flat.view(-1, 1, side, side) for flat, side in zip(flattened, sides, strict=True)]

    def _fixed_noise(self) -> Sequence[Tensor | None]:
        """The stored noise of each layer, or `None` for each."""
        stored = [self.noises.get_buffer(f"noise_{place}") for place in range(len(self.convs) + 1)]
        return [None] * len(stored) if self.noise == "none" else stored


def _style_codes(codes: Codes) -> StyleCodes:
    return codes if isinstance(codes, StyleCodes) else StyleCodes(codes.z)


@lru_cache(maxsize=1)
def _drawn(pairs: tuple[tuple[int, int], ...], sides: tuple[int, ...], device: torch.device) -> Tensor:
    """Noise maps (N, P) by pairs of seed and index, in one transfer; the last are kept, for the codes' next edit."""
    parts = [
        torch.cat([seeds.normal(seeds.derived(seed, place), [index], (side * side,)) for seed, index in pairs])
        for place, side in enumerate(sides)
    ]
    maps = torch.cat(parts, dim=1)
    return maps.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else maps.to(device)
