"""State dicts of the DCGAN of PyTorch's tutorial as a `DCGAN`: its sizes are read from the shapes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.generators.dcgan import DCGAN
from navbench.generators.loading import load_strictly
from navbench.generators.options import Options

FAMILY = "DCGAN"
_SOURCE = "the DCGAN in it"
"""How errors name what is in a file; the reader of the file puts its path before it."""
_LARGEST = 1024


def recognised(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of the tutorial's generator."""
    first = state.get("main.0.weight")
    return first is not None and first.shape[2:] == (4, 4) and "main.1.running_mean" in state


def build(state: Mapping[str, Tensor], name: str, options: Options) -> DCGAN:
    """The generator of a state dict, frozen, float32, on the CPU.

    Raises:
        NavbenchError: the tensors are not those of one DCGAN that doubles from 4x4 to an RGB image, or an option was
            given, as it has none.
    """
    options.refuse(*Options.model_fields, family=FAMILY)
    latent_dim, width = state["main.0.weight"].shape[:2]
    stages = sum(key.startswith("main.") and value.ndim == 4 for key, value in state.items())
    resolution = 4 * 2 ** (stages - 1)
    channels, rest = divmod(8 * width, resolution)
    if rest or not 8 <= resolution <= _LARGEST:
        raise NavbenchError(
            f"{_SOURCE} has {width} channels at 4x4 and {stages} stages, which is no DCGAN whose width halves as its "
            "size doubles; run it through an entry point."
        )
    with torch.device("meta"):  # allocates no memory, and draws no random numbers
        generator = DCGAN(name, f"{FAMILY}, {resolution}x{resolution}, from a file", latent_dim, channels, resolution)
    return load_strictly(generator, state, _SOURCE)


def stored(_: DCGAN, changed: Mapping[str, Tensor], _state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file's tensors become, by its names, which are ours."""
    return dict(changed)
