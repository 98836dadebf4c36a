"""An extractor of a perceptual distance's trunk: what it sees at five depths, each averaged over positions.

A classifier of ImageNet at 224 pixels sees texture that people do not: noise of one grey level moves its features of
a smooth image further than another image does. The shift-tolerant trunk blurs before it subsamples.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
import torch_fidelity
from torch import Tensor

from navbench import weights
from navbench.metrics.perceptual import shift_tolerant

NAME = "stlpips-alex-pooled"
WEIGHTS = "stlpips-alex"
"""The file of weights, which the distance of that name has as well."""


class PooledAlexNet(torch_fidelity.FeatureExtractorBase):
    """The AlexNet of ST-LPIPS (Ghildyal & Liu, ECCV 2022): its activations at five depths, pooled; '1152'.

    Activations are as they are: neither normalised nor weighted by the heads, which are the distance's own.
    """

    SIDE = 224
    """Larger images are reduced to it: the first layers do not subsample, so time grows with the area."""

    CPU_CHUNK = 16
    """Images per pass on a CPU: of 64 pixels, more are no faster."""

    def __init__(
        self,
        name: str,
        features_list: Sequence[str],
        feature_extractor_weights_path: str | Path | None = None,
        **options: object,
    ) -> None:
        """Build the network, for torch-fidelity.

        Args:
            name: 'stlpips-alex-pooled'.
            features_list: ['1152'].
            feature_extractor_weights_path: another file of the same weights; by default, they are fetched.
            options: the rest of torch-fidelity's settings, which this extractor does not use.
        """
        super().__init__(name, list(features_list))
        path = feature_extractor_weights_path
        self.network = shift_tolerant(WEIGHTS, weights.load(WEIGHTS) if path is None else weights.load_file(path))
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the features (N, 1152), float32, of images, (N, 3, H, W), uint8; H and W at least 21."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"Expected uint8 images (N, 3, H, W), got {images.dtype} {tuple(images.shape)}.")
        x, longest = images.float() / 127.5 - 1, max(images.shape[2:])
        if longest > self.SIDE:
            size = [round(side * self.SIDE / longest) for side in images.shape[2:]]
            x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        pooled = [activations.float().mean(dim=(2, 3)) for activations in self.network.activations(x)]
        return (torch.cat(pooled, dim=1),)

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        """Return the names of the features that can be asked for."""
        return ("1152",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Return '1152' for torch-fidelity's 'fid', 'kid' and 'prc'; there are no logits for 'isc'."""
        return {"fid": "1152", "kid": "1152", "prc": "1152"}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        """Return that torch.compile may wrap it."""
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """Return a small valid input."""
        return torch.zeros(1, 3, 24, 24, dtype=torch.uint8)
