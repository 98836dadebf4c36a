"""Images of one and of four channels as RGB, which all that measures images expects."""

from torch import Tensor

CHANNELS = {1: "grey, repeated to RGB", 3: "", 4: "RGB and alpha, composed on white"}
"""By the number of channels, what images are, and how they become RGB; '' for those that are."""
_BACKGROUND = 1.0
"""White, in [-1, 1]."""


def to_rgb(images: Tensor) -> Tensor:
    """Images (N, 1, 3 or 4, H, W) as (N, 3, H, W), in [-1, 1].

    Grey is repeated. Alpha is in [-1, 1], too, as networks learn it from files whose bytes are scaled alike; -1, or
    less, is transparent.
    """
    if images.shape[1] == 1:
        return images.expand(-1, 3, -1, -1)
    if images.shape[1] == 4:
        opacity = ((images[:, 3:] + 1) / 2).clamp(0, 1)
        return images[:, :3] * opacity + _BACKGROUND * (1 - opacity)
    return images
