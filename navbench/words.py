"""Words with a fixed meaning, in a file that imports nothing: commands offer them without loading what uses them."""

from enum import StrEnum


class SpaceKind(StrEnum):
    """Where an offset is added: to a kernel, to the tensor that enters a layer, or to a code."""

    PARAMETER = "parameter"
    ACTIVATION = "activation"
    Z = "z"
    W = "w"
    W_PLUS = "w+"
    S = "s"


INNER: tuple[str, ...] = (SpaceKind.PARAMETER.value, SpaceKind.ACTIVATION.value)
"""The kinds that belong to a layer."""
LATENTS: tuple[str, ...] = (SpaceKind.Z.value, SpaceKind.W.value, SpaceKind.W_PLUS.value, SpaceKind.S.value)
"""The kinds that belong to none; which of them a generator has is in its `latents`."""
KINDS = (*INNER, *LATENTS)

RESAMPLING = ("box", "bilinear", "bicubic", "lanczos")
"""How real images of another size may be resized."""
CONVERSIONS = ("rgb",)
"""What real images of another kind may be converted to."""
NOISES = ("const", "none", "random")
"""What a StyleGAN2 adds to its activations."""
PRECISIONS = ("float32", "bf16")
"""In which numbers networks compute."""
PROJECTIONS = ("w+", "w", "z", "z+activation")
"""Where a photo may be projected: the last is z, and then the tensor that enters the layer of the direction."""
CONVERGED, NOT_CONVERGED = "converged", "not converged"
"""The status of a learned direction set (`discovery.convergence`); sets of other methods have none."""
DISTANCE = "stlpips-alex"
"""The default perceptual distance."""
EXTRACTOR = "efficientnet-lite0"
"""The default network of the features."""
PRESETS = ("smoke", "quick", "full", "standard", "paper")
"""The suites that come with navbench."""
