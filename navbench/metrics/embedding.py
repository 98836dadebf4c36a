"""Identity: whether an edited image shows the same person, or car, according to an embedding network.

Packages add theirs, such as a face recognition network, as entry points of the group `navbench.embeddings`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.metrics.networks import PluginNetwork, open_network, shape_of

GROUP = "navbench.embeddings"


class Embedder(PluginNetwork):
    """An embedding network from images (N, 3, H, W), float, [-1, 1], to (N, D), whose every answer is checked."""

    kind = "Embedding"

    def __call__(self, images: Tensor) -> Tensor:
        """Embeddings of unit norm, (N, D), float32, of images (N, 3, H, W), float, [-1, 1]."""
        embeddings = self._answer(images)
        if not isinstance(embeddings, Tensor) or embeddings.ndim != 2 or len(embeddings) != len(images):
            raise NavbenchError(
                f"Embedding {self.name} gave {shape_of(embeddings)} for {len(images)} images; it must give (N, D)."
            )
        if not torch.isfinite(embeddings).all():
            raise Failure(f"Embedding {self.name} gave NaN or infinity; check its weights.")
        return F.normalize(embeddings.float(), dim=1)


def create_embedder(name: str, compute: Compute) -> Embedder:
    """The embedding of that name: an entry point of `navbench.embeddings`, or 'package.module:callable'."""
    return Embedder(name, open_network(GROUP, "embedding", name), compute)
