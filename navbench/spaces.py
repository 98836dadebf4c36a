"""Where an edit happens: an offset is added to a kernel, to a code, or to the tensor that enters a layer."""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from navbench.errors import NavbenchError, unknown
from navbench.generators.base import Codes, Generator, Layer, State
from navbench.words import KINDS, LATENTS


class Space(ABC):
    """A space of offsets of one generator.

    Attributes:
        kind: one of `KINDS`.
        layer: the layer that the space belongs to; `None` for a latent space.
        shape: of one offset.
    """

    generator: Generator
    kind: str
    layer: Layer | None
    shape: torch.Size

    @property
    def place(self) -> str:
        """Where offsets are added: the layer's name, or the latent space's."""
        return self.kind if self.layer is None else self.layer.name

    @property
    def cache_key(self) -> list[Any]:
        """What results depend on: the generator, and where in it offsets are added."""
        return [self.generator.cache_key, self.kind, self.place]

    @abstractmethod
    def prepare(self, codes: Codes) -> Any:
        """All work that no offset changes, shared by every offset; what `render` takes."""

    @abstractmethod
    def render(self, state: Any, offset: Tensor) -> Tensor:
        """Images under an offset, `shape`, or one per image, (N, *shape)."""

    @abstractmethod
    def as_weights(self, offset: Tensor) -> dict[str, Tensor]:
        """What to add to which of the generator's tensors, by name, so that its images are those under an offset.

        Raises:
            NavbenchError: no change of its weights does exactly that.
        """


class ParameterSpace(Space):
    """Offsets of one layer's kernel: G_{theta + offset}(z), the paper's subject (section 3.1)."""

    kind = "parameter"
    layer: Layer

    def __init__(self, generator: Generator, layer: Layer) -> None:
        self.generator, self.layer, self.shape = generator, layer, layer.shape

    def prepare(self, codes: Codes) -> State:
        """The generator up to the layer."""
        return self.generator.before(codes, self.layer)

    def render(self, state: State, offset: Tensor) -> Tensor:
        """The rest of the generator with a shifted kernel."""
        return self.generator.after(state, self.layer, self.generator.kernel(self.layer) + offset)

    def as_weights(self, offset: Tensor) -> dict[str, Tensor]:
        """The offset of the kernel itself."""
        return {self.generator.kernel_name(self.layer): offset}


class ActivationSpace(Space):
    """Offsets of the tensor that enters a layer (eq. 5, section 4.3)."""

    kind = "activation"
    layer: Layer

    def __init__(self, generator: Generator, layer: Layer) -> None:
        self.generator, self.layer = generator, layer
        with torch.no_grad():
            self.shape = generator.before(generator.sample([0], seed=0), layer).input.shape[1:]

    def prepare(self, codes: Codes) -> State:
        """The generator up to the layer."""
        return self.generator.before(codes, self.layer)

    def render(self, state: State, offset: Tensor) -> Tensor:
        """The rest of the generator from a shifted tensor, at the precision that the tensor had."""
        shifted = (state.input + offset).to(state.input.dtype)
        return self.generator.after(replace(state, input=shifted), self.layer)

    def as_weights(self, offset: Tensor) -> dict[str, Tensor]:
        """Refused, as each position of the tensor has an offset of its own, and no kernel or bias has."""
        raise NavbenchError(
            f"A shift of the tensor that enters {self.layer.name} is no change of weights, so no checkpoint can hold "
            "it; take a direction of a kernel."
        )


class LatentSpace(Space):
    """Offsets of a code: of z, or of what a mapping network makes of it; what latent editing does."""

    layer = None

    def __init__(self, generator: Generator, kind: str = "z") -> None:
        if kind not in generator.latents:
            raise unknown(f"latent space of generator {generator.name}", kind, generator.latents)
        self.generator, self.kind, self.shape = generator, kind, generator.latent_shape(kind)

    def prepare(self, codes: Codes) -> Codes:
        """The codes, past the mapping network where the offset is added behind it."""
        return codes if self.kind == "z" else self.generator.map_to_w(codes)

    def render(self, state: Codes, offset: Tensor) -> Tensor:
        """The generator on shifted codes."""
        return self.generator(self.generator.shift_latent(state, self.kind, offset))

    def as_weights(self, offset: Tensor) -> dict[str, Tensor]:
        """See `Generator.latent_as_weights`."""
        return self.generator.latent_as_weights(self.kind, offset)


def create(generator: Generator, kind: str, layer: str | None = None) -> Space:
    """The space of that kind; `layer` is a name or an index, and only latent spaces go without."""
    if kind not in KINDS:
        raise unknown("space", kind, KINDS)
    if kind in LATENTS:
        return LatentSpace(generator, kind)
    if layer is None:
        raise NavbenchError(f"A {kind} space belongs to a layer; name one of generator {generator.name}.")
    found = generator.layer(layer)
    return ParameterSpace(generator, found) if kind == "parameter" else ActivationSpace(generator, found)


def describe(space: Space) -> str:
    """The space in words, as tables name it: 'z', 'activation main.6'."""
    return space.kind if space.layer is None else f"{space.kind} {space.layer.name}"
