"""Networks that packages add (attribute scorers, segmentations, embeddings): opened, placed and fed in one way."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from navbench import plugins
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.fingerprints import fingerprint_of
from navbench.metrics.repeatability import Repeatability, repeatability
from navbench.user_code import running

_DUTY = "it must take images of any size, so resize them inside"


class PluginNetwork(ABC):
    """A network of images, on a device, in float32; its subclasses check its outputs.

    Attributes:
        kind: what it is, for sentences.
        name: in tables.
        unit: below which differences of its answers are absolute (see `repeatability`).
        noise: a sentence for the report on one that is measured although it does not repeat; '' for all others.
    """

    kind: ClassVar[str]
    unit: Tensor | float | None = None
    noise: str = ""

    def __init__(self, name: str, network: nn.Module, compute: Compute) -> None:
        self.name, self._device = name, compute.device
        self._network = network.to(compute.device).float()
        network.eval()  # whatever it returns
        network.requires_grad_(False)

    @property
    def module(self) -> nn.Module:
        """The network itself."""
        return self._network

    def __str__(self) -> str:
        """What it is and its name."""
        return f"{self.kind} {self.name}"

    @cached_property
    def cache_key(self) -> list[Any]:
        """What its outputs depend on, as JSON."""
        return [self.name, fingerprint_of(self._network.state_dict()), *self._meaning()]

    def _meaning(self) -> list[Any]:
        """What its outputs mean, beyond what its weights say."""
        return []

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Answers (N, ...) for images (N, 3, H, W), float, [-1, 1]."""

    def repeatability(self, images: Tensor) -> Repeatability:
        """Whether it is a function of images: two of them, (2, 3, H, W)."""
        return repeatability(lambda part: self(images[part]), self.unit)

    @torch.no_grad()
    def _answer(self, images: Tensor) -> Any:
        """The network's output for images (N, 3, H, W), float, clipped to [-1, 1], as generators overshoot a little."""
        return self._traced(images)

    def _traced(self, images: Tensor) -> Any:
        """The same, through which gradients flow to the images if the network lets them."""
        inputs = images.to(self._device).float().clamp(-1, 1)
        with running(f"{self} ({type(self._network).__name__})", {"images": inputs}, _DUTY):
            return self._network(inputs)


def open_network(group: str, kind: str, name: str) -> nn.Module:
    """The network of that name: an installed entry point of the group, or 'package.module:callable'.

    Raises:
        NavbenchError: the name is unknown, or the callable raises an error or does not return an `nn.Module`.
    """
    network = plugins.make(group, kind, name)
    if not isinstance(network, nn.Module):
        raise NavbenchError(f"{kind.capitalize()} {name!r} is a {type(network).__name__}; it must be an nn.Module.")
    return network


def shape_of(answer: object) -> object:
    """The shape of an output, or the name of its type, for an error."""
    return tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
