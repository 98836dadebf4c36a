"""Which of many images stand for all of them where only a few can be shown."""

import torch
from torch import Tensor

RULE = (
    "of the brighter nine tenths of the images, those nearest to the middles of equal groups along the leading "
    "principal component of their perceptual features"
)
"""The rule in words."""
_BRIGHTEST = 0.9
"""What is darker is left out: little can be seen of it."""


def typical(features: Tensor, brightness: Tensor, count: int) -> Tensor:
    """The indices (count,), int64, of images that are spread over their distribution, by `RULE`, in that order.

    Args:
        features: (n, D), of each image.
        brightness: (n,), the mean of its pixels.
        count: at most n; where fewer than that are bright enough, all take part.
    """
    bright = brightness.argsort(descending=True, stable=True)[: max(round(_BRIGHTEST * len(brightness)), count)]
    kept = features[bright].double()
    centred = kept - kept.mean(0)
    leading = torch.linalg.eigh(centred @ centred.T).eigenvectors[:, -1]
    leading = leading * (1 if leading @ brightness[bright].double() >= 0 else -1)  # from dark to bright
    order = leading.argsort(stable=True)
    places = [int((step + 0.5) * len(order) / count) for step in range(count)]
    return bright[order[places]]
