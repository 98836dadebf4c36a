"""Words with a fixed meaning, in a file that imports nothing: commands offer them without loading what uses them."""

from enum import StrEnum


class SpaceKind(StrEnum):
    """Where an offset is added: to a kernel, to the tensor that enters a layer, or to a code."""

    PARAMETER = "parameter"
    ACTIVATION = "activation"
    Z = "z"
    W = "w"
    W_PLUS = "w+"


INNER: tuple[str, ...] = (SpaceKind.PARAMETER.value, SpaceKind.ACTIVATION.value)
"""The kinds that belong to a layer."""
LATENTS: tuple[str, ...] = (SpaceKind.Z.value, SpaceKind.W.value, SpaceKind.W_PLUS.value)
"""The kinds that belong to none; which of them a generator has is in its `latents`."""
KINDS = (*INNER, *LATENTS)
