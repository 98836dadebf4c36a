"""Identity: whether the same person, or car, is seen in an edited image, as an embedding network sees it.

Packages add theirs, such as a face recognition network, as entry points of the group `navbench.embeddings`.
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import plugins
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.fingerprints import fingerprint_of

GROUP = "navbench.embeddings"


class Embedder:
    """An embedding network on a device, in float32, whose every answer is checked."""

    def __init__(self, name: str, network: nn.Module, compute: Compute) -> None:
        """Take a network from images (N, 3, H, W), float, [-1, 1], to (N, D); `name` is what tables call it."""
        self.name, self._device = name, compute.device
        self._network = network.to(compute.device).float().eval().requires_grad_(False)

    @cached_property
    def cache_key(self) -> list[str]:
        """What its embeddings depend on, as JSON."""
        return [self.name, fingerprint_of(self._network.state_dict())]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Embeddings of unit norm, (N, D), float32, of images (N, 3, H, W), float, [-1, 1]."""
        found = self._network(images.to(self._device).float().clamp(-1, 1))  # generators overshoot a little
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise NavbenchError(f"Embedding {self.name} gave {shape} for {len(images)} images; it must give (N, D).")
        if not torch.isfinite(found).all():
            raise Failure(f"Embedding {self.name} gave NaN or infinity; check its weights.")
        return F.normalize(found.float(), dim=1)


def create_embedder(name: str, compute: Compute) -> Embedder:
    """The embedding of that name: an entry point of `navbench.embeddings`, or 'package.module:callable'."""
    network = plugins.find(GROUP, "embedding", name)()
    if not isinstance(network, nn.Module):
        raise NavbenchError(f"Embedding {name!r} is a {type(network).__name__}; it must be an nn.Module.")
    return Embedder(name, network, compute)
