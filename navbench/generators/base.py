"""What every generator offers: codes that depend on (seed, index) only, and access to one layer at a time."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds
from navbench.compute import doubled
from navbench.errors import NavbenchError, unknown
from navbench.fingerprints import fingerprint_of
from navbench.generators.options import Options

Convolution = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class Codes:
    """What a generator consumes for N images; every field is a tensor whose first dimension is N, or `None`.

    Attributes:
        z: (N, latent_dim), float32, standard normal; (N, 0) of a generator that has no latent space.
    """

    z: Tensor

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, indices: slice) -> Self:
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: tensor[indices] for name, tensor in tensors.items() if tensor is not None})


@dataclass(frozen=True)
class State:
    """All work of a generator before one layer.

    Attributes:
        input: (N, C, H, W), the tensor that enters the layer.
        rest: all else that the layer and those after it need.
    """

    input: Tensor
    rest: Any = None


@dataclass(frozen=True)
class Layer:
    """One shiftable convolution.

    Attributes:
        name: its name in the module tree of the generator.
        index: its number in forward order; the first is 0, but for StyleGAN2 (see there).
        shape: of its kernel: (out, in, k, k), or (in, out, k, k) if transposed.
        transposed: whether it is a transposed convolution.
    """

    name: str
    index: int
    shape: torch.Size
    transposed: bool

    def flatten(self, kernel: Tensor) -> Tensor:
        """The kernel as a matrix (k * k * in, out), the paper's flattening (section 3.2, after Robb et al. 2020)."""
        order = (2, 3, 0, 1) if self.transposed else (2, 3, 1, 0)
        return kernel.permute(order).flatten(0, 2)

    def unflatten(self, matrix: Tensor) -> Tensor:
        """The kernels (..., *shape) of matrices (..., k * k * in, out); the inverse of `flatten`."""
        first, second, *window = self.shape
        inputs, outputs = (first, second) if self.transposed else (second, first)
        kernel = matrix.unflatten(-2, (*window, inputs))  # (..., k, k, in, out)
        assert kernel.shape[-1] == outputs
        order = (-2, -1, -4, -3) if self.transposed else (-1, -2, -4, -3)
        lead = tuple(range(kernel.ndim - 4))
        return kernel.permute(*lead, *(kernel.ndim + axis for axis in order))


@dataclass(frozen=True)
class Source:
    """The checkpoint that a generator was read from, and with which options."""

    path: Path
    options: Options


class Generator(nn.Module, ABC):
    """A pretrained image generator; images are float32, (N, 3, H, W), in [-1, 1].

    Subclasses with a cheap way to stop before a layer and to go on after it override `before` and `after`
    together; a curve over T shifts then does the work before the layer once.
    """

    name: str
    description: str
    latent_dim: int
    resolution: int
    latents: tuple[str, ...] = ("z",)
    """The kinds of its latent spaces: z first, or empty."""
    source: Source | None = None
    """Where its weights stand in a file, as they are; `None` if in none."""
    origin: Mapping[str, str] = {}
    """What was read of its file beside tensors, or had to be assumed, by name; empty for what is no file's."""

    @abstractmethod
    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W), in [-1, 1]."""

    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The shiftable convolutions in forward order."""

    @abstractmethod
    def before(self, codes: Codes, layer: Layer) -> State:
        """All work up to the layer's input."""

    @abstractmethod
    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The rest, optionally with another kernel: (*layer.shape), or (N, *layer.shape) for one per image."""

    def sample(self, indices: Sequence[int], seed: int) -> Codes:
        """Codes on the generator's device; code i depends on (seed, i) only."""
        z = seeds.normal(seed, tuple(indices), (self.latent_dim,))
        return Codes(z.to(self.device))

    def configure(self, options: Options) -> None:
        """Set how it runs, before it is used; one that comes as it is refuses all options.

        Raises:
            NavbenchError: it does not have an option that was given, or cannot be what the option says.
        """
        options.refuse(*Options.model_fields, family=f"Generator {self.name}")

    def check(self) -> None:
        """Check the files that codes are read from, before any work is done."""

    def map_to_w(self, codes: Codes) -> Codes:
        """The codes mapped to w, for generators with a mapping network; unchanged for others."""
        return codes

    def latent_shape(self, kind: str) -> torch.Size:
        """The shape of one offset in the latent space of that kind, one of `latents`."""
        if kind != "z" or kind not in self.latents:
            raise unknown(f"latent space of generator {self.name}", kind, self.latents)
        return torch.Size((self.latent_dim,))

    def shift_latent(self, codes: Codes, kind: str, offset: Tensor) -> Codes:
        """The codes with an offset added in a latent space: of `latent_shape(kind)`, or one per code."""
        self.latent_shape(kind)  # refuses an unknown kind
        return replace(codes, z=codes.z + offset)

    def latent(self, codes: Codes, kind: str) -> Tensor:
        """The latents of the codes, (N, *latent_shape(kind)): what an offset is added to."""
        self.latent_shape(kind)  # refuses an unknown kind
        return codes.z

    def with_latent(self, codes: Codes, kind: str, latent: Tensor) -> Codes:
        """The codes with another latent, (N, *latent_shape(kind)), and all else unchanged."""
        return self.shift_latent(codes, kind, latent - self.latent(codes, kind))

    def noise_inputs(self) -> Sequence[tuple[int, int]]:
        """Height and width of the noise maps that enter it beside the code, in forward order; empty for most."""
        return ()

    def with_noise(self, codes: Codes, maps: Sequence[Tensor]) -> Codes:
        """The codes with these noise maps, (N, 1, h, w) for each (h, w) of `noise_inputs()`."""
        raise NavbenchError(f"Generator {self.name} takes no noise maps.")

    def latent_weights(self, kind: str) -> Tensor:
        """The weights of the first linear maps of a latent, stacked, (outputs, dimensions): what SeFa decomposes.

        SeFa scales each row to unit norm, so the scale of an output does not matter.
        """
        raise NavbenchError(
            f"Generator {self.name} does not say which linear maps read {kind}, so sefa has nothing to decompose; "
            "override `latent_weights`."
        )

    def latent_names(self, kind: str) -> tuple[str, ...]:
        """What each number of a latent is, where each is something of its own; empty for most latents."""
        return ()

    def latent_as_weights(self, kind: str, offset: Tensor) -> dict[str, Tensor]:
        """What to add to which of its tensors, by name, so that it makes of every code the image of the shifted code.

        Raises:
            NavbenchError: no change of its weights does exactly that.
        """
        self.latent_shape(kind)  # refuses an unknown kind
        raise NavbenchError(
            f"A shift of the code {kind} of generator {self.name} is no change of its weights, so no checkpoint can "
            "hold it; take a direction of a kernel."
        )

    def kernel(self, layer: Layer) -> Tensor:
        """The layer's own kernel, in the shape of `layer.shape`."""
        return self.convolution(layer).weight

    def kernel_name(self, layer: Layer) -> str:
        """The name of the layer's kernel among its tensors."""
        kernel = self.kernel(layer)
        return next(name for name, tensor in self.named_parameters() if tensor is kernel)

    def convolution(self, layer: Layer) -> Convolution:
        """The module of a layer."""
        return cast(Convolution, self.get_submodule(layer.name))

    def layer(self, name: str) -> Layer:
        """The layer of that name or index; an unknown one is refused with the nearest known."""
        for layer in self.layers():
            if name in (layer.name, str(layer.index)):
                return layer
        raise unknown(f"layer of generator {self.name}", name, [layer.name for layer in self.layers()])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images; the resolution twice, unless they are not square."""
        return self.resolution, self.resolution

    @property
    def conversion(self) -> str:
        """How its images become RGB, in a few words; '' if they are."""
        return ""

    @property
    def details(self) -> dict[str, str]:
        """What a user may want to know of it that neither weights nor sizes tell, by name."""
        return {**self.origin, **({"images": self.conversion} if self.conversion else {})}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def variant(self) -> str:
        """Settings beside the weights that its images depend on, such as a truncation; '' for the defaults."""
        return ""

    @cached_property
    def cache_key(self) -> dict[str, str]:
        """What results depend on: weights, class, and statistics of one image, as the code of its class may change."""
        with torch.no_grad():
            image = doubled(self(self.sample([0], seed=0)))
        kind = type(getattr(self, "module", self))
        return {
            "weights": self.fingerprint,
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "probe": f"{float(image.abs().mean()):.3f} {float(image.std()):.3f}",
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the named weights and the variant, which results and direction sets record."""
        return fingerprint_of(self.state_dict(), self.variant)


def convolve(module: Convolution, inputs: Tensor, weight: Tensor | None) -> Tensor:
    """The module on (N, C, H, W) inputs with another kernel: its own shape, or (N, *shape) for one per image.

    One kernel per image is a grouped convolution: the images become groups of one wide image.
    """
    if weight is None:
        return module(inputs)
    if weight.ndim == 4:
        return torch.func.functional_call(module, {"weight": weight}, (inputs,))
    if type(module) not in (nn.Conv2d, nn.ConvTranspose2d) or module.padding_mode != "zeros":

        def one(image: Tensor, kernel: Tensor) -> Tensor:
            return torch.func.functional_call(module, {"weight": kernel}, (image[None],))[0]

        return torch.func.vmap(one)(inputs, weight)
    count = len(inputs)
    wide = inputs.reshape(1, -1, *inputs.shape[2:])
    bias = None if module.bias is None else module.bias.repeat(count)
    groups = count * module.groups
    if isinstance(module, nn.ConvTranspose2d):
        out = F.conv_transpose2d(
            wide,
            weight.flatten(0, 1),
            bias,
            module.stride,
            cast(tuple[int, ...], module.padding),  # a string only for Conv2d
            module.output_padding,
            groups,
            module.dilation,
        )
    else:
        out = F.conv2d(wide, weight.flatten(0, 1), bias, module.stride, module.padding, module.dilation, groups)
    return out.reshape(count, -1, *out.shape[2:])


def check_kernel(module: nn.Module, name: str) -> None:
    """Refuse a layer whose kernel is not a plain parameter, such as one under spectral normalisation."""
    if "weight" not in dict(module.named_parameters(recurse=False)):
        raise NavbenchError(
            f"Layer {name} computes its kernel from other parameters (a normalisation or parametrisation); "
            "bake it into a plain weight first, for example with torch.nn.utils.parametrize.remove_parametrizations."
        )
