"""State dicts of the DCGAN of PyTorch's tutorial as a `DCGAN`: its sizes are read from the shapes.

One with dropout behind its first stage, as that of the published `eyes`, is class-conditional.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.generators.dcgan import DCGAN, ConditionalDCGAN
from navbench.generators.loading import load_strictly
from navbench.generators.options import Options

FAMILY = "DCGAN"
_SOURCE = "the DCGAN in it"
"""How errors name what is in a file; the reader of the file puts its path before it."""
_LARGEST = 1024
_LATENT_DIM = 100
"""Of published DCGANs: no tensor tells how many of the numbers that enter a conditional one are its classes."""


def recognised(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of the tutorial's generator."""
    first = state.get("main.0.weight")
    return first is not None and first.shape[2:] == (4, 4) and "main.1.running_mean" in state


def build(state: Mapping[str, Tensor], name: str, options: Options) -> DCGAN:
    """The generator of a state dict, frozen, float32, on the CPU.

    Raises:
        NavbenchError: the tensors are not those of one DCGAN that doubles from 4x4 to an RGB image, or an option was
            given that it does not have: it has `classes` if it is conditional, and no other.
    """
    inputs, width = state["main.0.weight"].shape[:2]
    stages = sum(key.startswith("main.") and value.ndim == 4 for key, value in state.items())
    resolution = 4 * 2 ** (stages - 1)
    channels, rest = divmod(8 * width, resolution)
    if rest or not 8 <= resolution <= _LARGEST:
        raise NavbenchError(
            f"{_SOURCE} has {width} channels at 4x4 and {stages} stages, which is no DCGAN whose width halves as its "
            "size doubles; run it through an entry point."
        )
    with torch.device("meta"):  # allocates no memory, and draws no random numbers
        network = _conditional if _has_dropout(state) else _unconditional
        generator = network(name, inputs, channels, resolution)
    generator.configure(options)
    return load_strictly(generator, state, _SOURCE)


def _has_dropout(state: Mapping[str, Tensor]) -> bool:
    """Whether the second kernel stands one place further on, behind dropout."""
    return "main.3.weight" not in state and "main.4.weight" in state and state["main.4.weight"].ndim == 4


def _unconditional(name: str, inputs: int, channels: int, resolution: int) -> DCGAN:
    return DCGAN(name, f"{FAMILY}, {resolution}x{resolution}, from a file", inputs, channels, resolution)


def _conditional(name: str, inputs: int, channels: int, resolution: int) -> ConditionalDCGAN:
    class_count = inputs - _LATENT_DIM
    if class_count < 2:
        raise NavbenchError(
            f"{_SOURCE} has dropout, as class-conditional ones have, but reads {inputs} numbers, which are no z of "
            f"{_LATENT_DIM} and classes; run it through an entry point."
        )
    description = f"{FAMILY}, {resolution}x{resolution}, {class_count} classes, from a file"
    generator = ConditionalDCGAN(name, description, class_count, _LATENT_DIM, channels, resolution)
    generator.origin = {"inputs": f"{_LATENT_DIM} of z, and then {class_count} classes (assumed)"}
    return generator


def stored(_: DCGAN, changed: Mapping[str, Tensor], _state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file's tensors become, by its names, which are ours."""
    return dict(changed)
