"""What a generator of somebody else's returns: where the images are in it, and whether they are images at all."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.generators.channels import CHANNELS

LARGEST = 1.5
"""Images in [-1, 1] may overshoot; those with values beyond this magnitude are on another scale."""
OUTLIERS = 0.01
"""The share of values that may be beyond: networks that end without a tanh have some."""


def images_in(answer: Any) -> Any:
    """The images in what a module returns: `.sample` or `.images`, by attribute or key, else the first tensor of all.

    Where there is none, the answer itself, which `check_shape` refuses.
    """
    if isinstance(answer, Tensor):
        return answer
    inside = answer if isinstance(answer, Mapping) else {}
    named = [inside.get(name, getattr(answer, name, None)) for name in ("sample", "images")]
    rest = answer if isinstance(answer, tuple | list) else inside.values()
    return next((each for each in (*named, *rest) if isinstance(each, Tensor)), answer)


def check_shape(images: Any, count: int, what: str) -> None:
    """Refuse what is not (count, 1, 3 or 4, H, W) of a floating type; `what` made it.

    Raises:
        NavbenchError: the sentence says what it is, and what it must be.
    """
    if not isinstance(images, Tensor):
        raise NavbenchError(f"{what} returns a {type(images).__name__}; it must return images, a tensor (N, 3, H, W).")
    if images.ndim != 4 or images.shape[1] not in CHANNELS:
        raise NavbenchError(
            f"{what} makes tensors of shape {tuple(images.shape)}; they must be (N, 3, H, W), or have 1 or 4 channels."
        )
    if len(images) != count:
        raise NavbenchError(
            f"{what} makes {len(images)} images of {count} codes; it must make one of each, whatever the batch size."
        )
    if not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        raise NavbenchError(f"{what} makes images of {kind}; they must be floating-point numbers in [-1, 1].")


def check_range(images: Tensor, what: str) -> None:
    """Refuse images far outside [-1, 1], and those of one value; NaN and infinity are found where they are measured."""
    if not torch.isfinite(images).all():
        return
    low, high = float(images.min()), float(images.max())
    if low == high:
        raise NavbenchError(f"{what} makes images of nothing but {low:.3g}; check its weights.")
    if float((images.abs() > LARGEST).float().mean()) > OUTLIERS:
        raise NavbenchError(f"{what} makes images in [{low:.3g}, {high:.3g}]; scale its images to [-1, 1].")
    if 0 <= low < high <= 1:
        warnings.warn(
            f"{what} makes images in [{low:.3g}, {high:.3g}], which looks like [0, 1]; if it is, "
            "scale its images to [-1, 1].",
            NavbenchWarning,
            stacklevel=4,
        )
