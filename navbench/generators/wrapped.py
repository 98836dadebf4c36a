"""Any `nn.Module` as a generator: its convolutions are found by running it, and exchanged while it runs."""

import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.generators.base import Codes, Convolution, Generator, Layer, State, check_kernel, convolve
from navbench.generators.channels import CHANNELS, to_rgb
from navbench.generators.outputs import check_range, check_shape, images_in
from navbench.user_code import running

TRACED_CODES = 4
"""Codes whose images are looked at when a module is wrapped."""
_RUNNING = threading.RLock()
"""Held while a wrapped module runs, as its layers are exchanged for the time of a pass, and threads share it."""


class _ReachedError(BaseException):
    """Raised at a layer's input to stop the forward pass there; no error, or the module might handle it."""


@contextmanager
def _replaced(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The module with another forward, for a while; under a name in the instance, so the class stays as it is."""
    module.forward = forward
    try:
        yield
    finally:
        module.__dict__.pop("forward", None)


class Wrapped(Generator):
    """A generator around any module that maps (N, *code_shape) codes to (N, 3, H, W) images in [-1, 1].

    Images of one channel are repeated to RGB, and those of four composed on white, with a warning.

    `before` runs the module up to the layer; `after` runs it whole and exchanges the layer's input and kernel,
    so nothing needs to be known about the module's structure, at the price of the early work for every shift.

    Args:
        module: maps codes to images, or to something that holds them (see `images_in`); it is made float32, and its
            parameters are not changed otherwise.
        code_shape: the shape of one code, (latent_dim,) or (latent_dim, 1, 1), say; codes are standard normal.
    """

    def __init__(self, module: nn.Module, code_shape: tuple[int, ...], name: str = "wrapped", description: str = ""):
        super().__init__()
        self.module = module.float()
        module.eval()  # whatever it returns
        self.code_shape = code_shape
        self.name, self.description = name, description or f"{type(module).__name__}, wrapped"
        self.latent_dim = int(torch.Size(code_shape).numel())
        self._layers, images = self._trace()
        self.channels = images.shape[1]
        check_range(images, f"Generator {name}")
        if self.conversion:
            warnings.warn(f"Generator {name}: its images are {self.conversion}.", NavbenchWarning, stacklevel=2)
        self._size = images.shape[-2], images.shape[-1]
        self.resolution = max(self._size)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self._size

    @property
    def conversion(self) -> str:
        """See `channels.CHANNELS`."""
        return CHANNELS[self.channels]

    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W), in [-1, 1].

        Raises:
            NavbenchError: the module raised an error, which is told with what it was given, or makes no images.
        """
        return to_rgb(self._made(codes))

    def _made(self, codes: Codes) -> Tensor:
        """The module's own images, of 1, 3 or 4 channels."""
        what, inputs = f"Generator {self.name}", codes.z.reshape(-1, *self.code_shape)
        with _RUNNING, running(f"{what} ({type(self.module).__name__})", {"codes": inputs}):
            answer = self.module(inputs)
        images = images_in(answer)
        check_shape(images, len(inputs), what)
        return images

    def layers(self) -> tuple[Layer, ...]:
        """The convolutions that run exactly once per forward pass, in the order in which they run."""
        return self._layers

    def before(self, codes: Codes, layer: Layer) -> State:
        """The module up to the layer's input."""
        caught: list[Tensor] = []

        def stop(inputs: Tensor) -> Tensor:
            caught.append(inputs)
            raise _ReachedError

        with _RUNNING, _replaced(self.convolution(layer), stop):
            try:
                self(codes)
            except _ReachedError:
                return State(caught[0], codes)
        raise NavbenchError(f"Layer {layer.name} of generator {self.name} was not reached by a forward pass.")

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The whole module, with the layer's input and kernel exchanged."""
        module = self.convolution(layer)

        def exchanged(_: Tensor) -> Tensor:
            del module.forward  # the layer runs once, so from here on it is itself again
            return convolve(module, state.input, weight)

        with _RUNNING, _replaced(module, exchanged):
            return self(state.rest)

    def convolution(self, layer: Layer) -> Convolution:
        """The module of a layer; names are those of the wrapped module's own tree."""
        return cast(Convolution, self.module.get_submodule(layer.name))

    def _trace(self) -> tuple[tuple[Layer, ...], Tensor]:
        names = {module: name for name, module in self.module.named_modules() if isinstance(module, Convolution)}
        calls: Counter[Convolution] = Counter()
        hooks = [module.register_forward_pre_hook(lambda module, _: calls.update([module])) for module in names]
        try:
            with torch.no_grad():
                images = self._made(self.sample(range(TRACED_CODES), seed=0))
        finally:
            for hook in hooks:
                hook.remove()
        once = [module for module, count in calls.items() if count == 1]
        for module in once:
            check_kernel(module, names[module])
        if not once:
            raise NavbenchError(f"Generator {self.name} has no Conv2d or ConvTranspose2d that runs once per image.")
        layers = (
            Layer(names[module], index, module.weight.shape, isinstance(module, nn.ConvTranspose2d))
            for index, module in enumerate(once)
        )
        return tuple(layers), images
