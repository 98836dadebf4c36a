"""pix2pixHD's state dicts (`latest_net_G.pth`) as a `Pix2PixHD`: its sizes are read from the names and shapes."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.generators.label_maps import LabelMaps
from navbench.generators.loading import load_strictly
from navbench.generators.options import Options
from navbench.generators.pix2pixhd import Pix2PixHD, Sizes

FAMILY = "pix2pixHD"
_SOURCE = "the pix2pixHD in it"
"""How errors name what is in a file; the reader of the file puts its path before it."""
_BLOCK = r"\.(\d{1,3})\.conv_block\.1\.weight"


def recognised(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of pix2pixHD's generator, of either kind."""
    first = state.get("model.1.weight")
    return first is not None and first.shape[2:] == (7, 7) and bool(_blocks(state, "model"))


def build(state: Mapping[str, Tensor], name: str, options: Options) -> Pix2PixHD:
    """The generator of a state dict, frozen, float32, on the CPU.

    Args:
        state: of `GlobalGenerator` or `LocalEnhancer`.
        name: of the generator.
        options: labels, instances and size are pix2pixHD's; it needs labels.

    Raises:
        NavbenchError: the tensors are not those of one pix2pixHD, an option is not its, or its maps cannot be used.
    """
    options.refuse("truncation", "noise", "classes", family=FAMILY)
    sizes = _sizes(state)
    classes = sizes.inputs - (options.instances is not None)
    if options.labels is None:
        raise NavbenchError(
            f"{_SOURCE} makes images from label maps of {sizes.inputs - 1} classes and instance maps, or from label "
            f"maps of {sizes.inputs} classes; name their folders, by --labels and --instances or labels and instances."
        )
    maps = LabelMaps(options.labels, options.instances, classes, options.size)
    kind = "LocalEnhancer" if sizes.local_blocks else "GlobalGenerator"
    height, width = maps.shape
    description = f"{FAMILY} ({kind}), {classes} classes, {height}x{width}, from a file"
    with torch.device("meta"):  # allocates no memory, and draws no random numbers
        generator = Pix2PixHD(name, description, sizes, maps)
    return load_strictly(generator, state, _SOURCE)


def stored(_: Pix2PixHD, changed: Mapping[str, Tensor], _state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file's tensors become, by its names, which are ours."""
    return dict(changed)


def _sizes(state: Mapping[str, Tensor]) -> Sizes:
    enhancers = sum(bool(re.fullmatch(r"model\d{1,2}_1\.1\.weight", key)) for key in state)
    first = state.get(f"model{enhancers}_1.1.weight", state["model.1.weight"])  # of the highest resolution
    blocks = _blocks(state, "model")
    # A border, a convolution, a normalisation and a ReLU come first, then three modules per halving.
    downsamplings, rest = divmod(min(blocks) - 4, 3)
    if rest or downsamplings < 0 or first.ndim != 4 or blocks != list(range(blocks[0], blocks[0] + len(blocks))):
        raise NavbenchError(f"{_SOURCE} has residual blocks at {blocks}, where pix2pixHD has none; fetch it again.")
    width, inputs = first.shape[:2]
    local = tuple(len(_blocks(state, f"model{number}_2")) for number in range(1, enhancers + 1))
    return Sizes(inputs, width, downsamplings, len(blocks), local)


def _blocks(state: Mapping[str, Tensor], path: str) -> list[int]:
    """The numbers of the residual blocks in a sequence of modules."""
    return sorted(int(found[1]) for key in state if (found := re.fullmatch(re.escape(path) + _BLOCK, key)))
