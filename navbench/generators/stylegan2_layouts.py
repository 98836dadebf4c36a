"""StyleGAN2's tensors as NVIDIA's and rosinality's files name and shape them, and as `StyleGAN2` does.

Both store the same numbers in the same order, so going from one to the other is naming and reshaping: no kernel is
flipped, and none is rescaled.  (rosinality multiplies convolutions by 1/sqrt(fan in), NVIDIA does not, and
demodulation takes it away again; where there is none, before RGB, NVIDIA scales the style by as much.)

What a record of NVIDIA's says beside tensors is honoured or refused (`stylegan2_settings`), but for `num_fp16_res`,
which runs some resolutions at half precision; here all run at float32.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from navbench import seeds
from navbench.errors import NavbenchError
from navbench.generators.channels import CHANNELS
from navbench.generators.loading import check_expected, check_finite, load_strictly
from navbench.generators.options import Options
from navbench.generators.stylegan2 import PUBLISHED_CLAMP, StyleCodes, StyleGAN2
from navbench.generators.stylegan2_layers import binomial

FAMILY = "StyleGAN2"
_SOURCE = "the StyleGAN2 in it"
"""How errors name what is in a file; the reader of the file puts its path before it."""
_LARGEST = 4096
_MEAN_STYLE_CODES = 4096
"""As many as rosinality's own script takes where a file has no mean style."""


def recognised(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of a StyleGAN2 generator, in either layout."""
    return _layout(state) is not None


def build(
    state: Mapping[str, Tensor], name: str, options: Options, functions: Mapping[str, Any] = MappingProxyType({})
) -> StyleGAN2:
    """The generator of a state dict of either layout, frozen, float32, on the CPU.

    Args:
        state: of NVIDIA's G_ema, or of rosinality's g_ema with `latent_avg` among the tensors, if there is one.
        name: of the generator.
        options: truncation, noise, classes and size are StyleGAN2's.
        functions: arguments of `StyleGAN2` that no tensor shows: activations and the clamp.

    Raises:
        NavbenchError: the tensors are not those of one StyleGAN2 of the skip architecture, or an option is not its.
    """
    options.refuse("labels", "instances", family=FAMILY)
    layout = _layout(state)
    if layout is NVIDIA:
        ours, has_mean = from_nvidia(state), NVIDIA.key("w_avg") in state
        noise = "the file's" if any("noise_" in key for key in state) else "none, as it was trained without"
    else:
        mean = state.get("latent_avg")
        ours = from_rosinality({key: value for key, value in state.items() if key != "latent_avg"}, mean)
        has_mean, noise = mean is not None, "the file's"
    generator = _empty(_sizes(ours, OURS) | dict(functions), name, options)
    noises = {key: torch.zeros(value.shape) for key, value in generator.noises.named_buffers(prefix="noises")}
    if not ours.keys() >= noises.keys():
        if generator.noise == "const":
            raise NavbenchError(f"{_SOURCE} stores no noise; choose the option noise, 'random' or 'none'.")
        noise = "not in the file"
    generator = load_strictly(generator, noises | ours, _SOURCE)
    if not has_mean:
        generator.w_avg.copy_(mean_style(generator))
    mean_words = "the file's" if has_mean else f"not in the file, estimated from {_MEAN_STYLE_CODES:,} codes"
    generator.origin = {"noise maps": noise, "w_avg": mean_words}
    return generator


def stored(_: StyleGAN2, changed: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file's tensors become, by its names, where some of ours change: the inverse of what `build` does.

    Args:
        changed: of ours, by name.
        state: of the file.
    """
    layout = _layout(state)
    assert layout is not None
    return {layout.key(key): value.reshape(state[layout.key(key)].shape) for key, value in changed.items()}


def from_nvidia(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of NVIDIA's generator (repositories stylegan2-ada-pytorch and stylegan3) by our names and shapes.

    Networks that were trained without noise get none, and those that kept no mean style, too: zeros.

    Raises:
        NavbenchError: a tensor is missing, superfluous or of another shape, or the architecture is not 'skip'.
    """
    if any(key.endswith(".skip.weight") for key in state):
        raise NavbenchError(f"{_SOURCE} is of the architecture 'resnet'; only 'skip' is read.")
    if [key.startswith("synthesis.b4.") for key in state if key.endswith(".torgb.weight")] == [False]:
        raise NavbenchError(f"{_SOURCE} is of the architecture 'orig'; only 'skip' is read.")
    noiseless = not any("noise_" in key for key in state)
    absent = [r"noise"] * noiseless + [r"^w_avg$"] * (NVIDIA.key("w_avg") not in state)
    ours = _renamed(state, NVIDIA, absent="|".join(absent))
    shapes = _shapes(_sizes(ours, OURS)) if absent else {}
    return ours | {key: torch.zeros(shape) for key, shape in shapes.items() if key not in ours}


def from_rosinality(state: Mapping[str, Tensor], latent_avg: Tensor | None = None) -> dict[str, Tensor]:
    """The tensors of rosinality's g_ema by our names and shapes; without noise, if the file has none.

    Args:
        state: g_ema.
        latent_avg: the mean style, which stands beside g_ema in the file; zeros take its place.

    Raises:
        NavbenchError: a tensor is missing, superfluous or of another shape.
    """
    if latent_avg is not None:
        state = {**state, "latent_avg": _one_style(latent_avg)}
    noises = any(key.startswith("noises.") for key in state)
    absent = [] if noises else [r"^noises"]
    ours = _renamed(state, ROSINALITY, absent="|".join(absent + ([] if latent_avg is not None else ["^w_avg$"])))
    return {"w_avg": torch.zeros(_sizes(ours, OURS)["style_dim"])} | ours


def to_rosinality(generator: StyleGAN2) -> dict[str, Any]:
    """The file that rosinality's scripts load strictly: g_ema, with noise and filters, and latent_avg, float32.

    Raises:
        NavbenchError: the generator has what rosinality's has not: classes, other sizes or channels, another
            activation, or a clamp that its activations may reach.
    """
    if lacking := list(_beyond_rosinality(generator)):
        raise NavbenchError(f"Generator {generator.name} has {lacking[0]}, which rosinality's layout has no place for.")
    own = {key: value.detach().cpu().float() for key, value in generator.state_dict().items()}
    shapes = {key: ROSINALITY.shape(key, value.shape) for key, value in own.items()}
    state = {ROSINALITY.key(key): value.reshape(shapes[key]).clone() for key, value in own.items()}
    latent_avg = state.pop(ROSINALITY.key("w_avg"))
    kernel = binomial(1, 4.0, latent_avg)[0, 0]
    for index in range(len(generator.to_rgbs)):
        state[f"convs.{2 * index}.conv.blur.kernel"] = kernel.clone()
        state[f"to_rgbs.{index}.upsample.kernel"] = kernel.clone()
    return {"g_ema": state, "latent_avg": latent_avg}


def _beyond_rosinality(generator: StyleGAN2) -> Iterator[str]:
    """What its scripts have no place for, in words."""
    if generator.class_count:
        yield "classes"
    if generator.constant != (4, 4):
        yield "a canvas that is not square"
    if generator.channels != 3:
        yield f"{generator.channels} channels"
    if (generator.activation, generator.mapping_activation) != ("lrelu", "lrelu"):
        yield "another activation"
    if generator.clamp is not None and generator.clamp < PUBLISHED_CLAMP:
        yield f"a clamp at {generator.clamp:g}"


def _one_style(mean: Tensor) -> Tensor:
    """The mean style (D,) of a file, which may be (1, D), or as pSp and e4e have it, (L, D), once per layer."""
    repeated = mean.ndim == 2 and len(mean) and bool((mean == mean[0]).all())
    return mean[0] if repeated else mean.flatten()


@torch.no_grad()
def mean_style(generator: StyleGAN2) -> Tensor:
    """The mean of w, (style_dim,), over codes that are drawn for this alone, where a file does not store it.

    Classes take turns. In float64, then rounded to half precision, so every machine finds the same and the fingerprint
    does not depend on which.
    """
    z = seeds.normal(seeds.derived(0, "mean style"), range(_MEAN_STYLE_CODES), (generator.latent_dim,))
    double, classes = deepcopy(generator).double(), generator.class_count
    double.truncation = 1.0  # which is by this very mean
    codes = StyleCodes(z.double(), label=torch.arange(len(z)) % classes if classes else None)
    w = double.map_to_w(codes).w
    assert w is not None
    return w[:, 0].mean(dim=0).half().float()


# --- names and shapes -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How files name and shape our tensors.

    Attributes:
        key: the name there of one of our names.
        shape: there, of our name and shape; of as many numbers.
        blocks: matches names there, the group of which counts the resolutions beyond 4x4.
        mapping: matches names there, the group of which counts the layers of the mapping network.
        filters: matches the names there of the resampling filter, and the sum that it has there.
    """

    key: Callable[[str], str]
    shape: Callable[[str, tuple[int, ...]], tuple[int, ...]]
    blocks: re.Pattern[str]
    mapping: re.Pattern[str]
    filters: re.Pattern[str]
    filter_sum: float


_NVIDIA_PARTS = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}


def _nvidia_key(ours: str) -> str:
    head, _, rest = ours.partition(".")
    index, _, part = rest.partition(".")
    if head in ("embed", "w_avg"):
        return f"mapping.{ours}"
    if head == "style":
        return f"mapping.fc{int(index) - 1}.{part}"
    if head == "input":
        return "synthesis.b4.const"
    if head == "noises":
        place = int(index.removeprefix("noise_"))
        return f"{_nvidia_layer(place - 1)}.noise_const"
    if head in ("conv1", "to_rgb1"):
        layer = _nvidia_layer(-1) if head == "conv1" else "synthesis.b4.torgb"
        return f"{layer}.{_NVIDIA_PARTS[rest]}"
    layer = _nvidia_layer(int(index)) if head == "convs" else f"synthesis.b{2 ** (int(index) + 3)}.torgb"
    return f"{layer}.{_NVIDIA_PARTS[part]}"


def _nvidia_layer(index: int) -> str:
    """Of convs.{index}; conv1 has -1."""
    return f"synthesis.b{2 ** (index // 2 + 3)}.conv{index % 2}"


def _nvidia_shape(ours: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if ours == "input.input":
        return shape[1:]
    if ours.startswith("noises."):
        return shape[2:]
    if ours.endswith("noise.weight"):
        return ()
    return shape[1:2] if ours.startswith("to_rgb") and ours.endswith("bias") and len(shape) == 4 else shape


def _rosinality_shape(ours: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape) if ours.endswith("conv.weight") else shape


_BLOCKS, _STYLE = re.compile(r"to_rgbs\.(\d+)\..+"), re.compile(r"style\.(\d+)\..+")
OURS = Layout(lambda ours: ours, lambda _, shape: shape, _BLOCKS, _STYLE, re.compile(r"(?!)"), 0.0)
ROSINALITY = Layout(
    lambda ours: "latent_avg" if ours == "w_avg" else ours, _rosinality_shape, _BLOCKS, _STYLE,
    re.compile(r"convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel"), 4.0,
)  # fmt: skip
NVIDIA = Layout(
    _nvidia_key, _nvidia_shape, re.compile(r"synthesis\.b(?!4\.)(\d+)\..+"),
    re.compile(r"mapping\.fc(\d+)\..+"), re.compile(r"synthesis\.b\d+\.(conv[01]\.)?resample_filter"), 1.0,
)  # fmt: skip


def _layout(state: Mapping[str, Tensor]) -> Layout | None:
    if "synthesis.b4.const" in state or any(NVIDIA.blocks.fullmatch(key) for key in state):
        return NVIDIA
    marks = ("conv1.conv.modulation.weight", "to_rgb1.conv.weight", "convs.0.conv.modulation.weight")
    return ROSINALITY if sum(mark in state for mark in marks) > 1 else None


def _renamed(state: Mapping[str, Tensor], layout: Layout, absent: str) -> dict[str, Tensor]:
    """The tensors by our names and shapes; ours that match `absent`, if it is not empty, are not to be there."""
    state = dict(_without_filters(state, layout))
    expected = {
        key: (layout.key(key), layout.shape(key, shape), shape)
        for key, shape in _shapes(_sizes(state, layout)).items()
        if not absent or not re.search(absent, key)
    }
    theirs = {name: shape for name, shape, _ in expected.values()}
    check_expected({key: value.shape for key, value in state.items()}, theirs, _SOURCE)
    check_finite(state, _SOURCE)  # here, where tensors have the names of the file
    return {key: state[name].reshape(shape) for key, (name, _, shape) in expected.items()}


def _without_filters(state: Mapping[str, Tensor], layout: Layout) -> Iterator[tuple[str, Tensor]]:
    """The tensors that were learned; the filters are refused unless they are [1, 3, 3, 1]."""
    for key, value in state.items():
        if not layout.filters.fullmatch(key):
            yield key, value
            continue
        expected = binomial(1, layout.filter_sum, torch.empty(0))[0, 0]
        if value.shape != expected.shape or not torch.allclose(value.float(), expected, atol=1e-3):
            raise NavbenchError(f"{_SOURCE}: {key!r} is not the filter [1, 3, 3, 1], the only one that is supported.")


# --- sizes ----------------------------------------------------------------------------------------------------


def _empty(arguments: Mapping[str, Any], name: str, options: Options) -> StyleGAN2:
    """The generator without its numbers, from arguments of `StyleGAN2`."""
    height, width = (extent * arguments["resolution"] // 4 for extent in arguments["constant"])
    truncation = 1.0 if options.truncation is None else options.truncation
    with torch.device("meta"):
        return StyleGAN2(
            name, f"{FAMILY}, {height}x{width}, from a file", truncation=truncation, noise=options.noise or "const",
            classes=options.classes, size=options.size, **arguments,
        )  # fmt: skip


def _shapes(sizes: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Our tensors, by the sizes of a generator."""
    return {key: tuple(value.shape) for key, value in _empty(sizes, "sized", Options()).state_dict().items()}


def _sizes(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Any]:
    """What a `StyleGAN2` is built from, as the shapes of its tensors say it."""

    def extent(ours: str, axis: int) -> int:
        key = layout.key(ours)
        if key not in state:
            raise NavbenchError(f"{_SOURCE} lacks the tensor {key!r}.")
        shape = state[key].shape
        if len(shape) < -axis or not shape[axis]:
            raise NavbenchError(f"{_SOURCE}: {key!r} is {'x'.join(map(str, shape)) or 'a single number'}, which no "
                                "generator of its kind has.")  # fmt: skip
        return shape[axis]

    resolution = 2 ** (2 + _distinct(layout.blocks, state))
    if resolution > _LARGEST:
        raise NavbenchError(f"{_SOURCE} has layers up to {resolution} pixels; up to {_LARGEST} are possible.")
    names = ["conv1", *(f"convs.{2 * index + 1}" for index in range(resolution.bit_length() - 3))]
    channels = {f"{name}.conv.weight": extent(f"{name}.conv.weight", -4) for name in names}
    base, most = _channel_settings(channels, layout)
    classes = extent("embed.weight", -1) if layout.key("embed.weight") in state else 0
    latent_dim = extent("style.1.weight", -1) - (extent("embed.weight", -2) if classes else 0)
    if latent_dim < 1:
        raise NavbenchError(f"{_SOURCE}: {layout.key('style.1.weight')!r} leaves no room for z beside the class.")
    colours = extent("to_rgb1.conv.weight", -4)
    if colours not in CHANNELS:
        key = layout.key("to_rgb1.conv.weight")
        raise NavbenchError(f"{_SOURCE}: {key!r} makes images of {colours} channels; only 1, 3 and 4 are read.")
    return {
        "resolution": resolution,
        "latent_dim": latent_dim,
        "style_dim": extent("conv1.conv.modulation.weight", -1),
        "mapping_layers": _distinct(layout.mapping, state),
        "channel_base": base,
        "channel_max": most,
        "class_count": classes,
        "constant": (extent("input.input", -2), extent("input.input", -1)),
        "channels": colours,
    }


def _distinct(pattern: re.Pattern[str], keys: Iterable[str]) -> int:
    return len({match[1] for key in keys if (match := pattern.fullmatch(key))})


def _channel_settings(channels: Mapping[str, int], layout: Layout) -> tuple[int, int]:
    """(channel_base, channel_max) with min(base // r, max) channels at each resolution r = 4, 8, ..."""
    most = max(channels.values())
    base = max(count * 4 * 2**place for place, count in enumerate(channels.values()))
    for place, (ours, found) in enumerate(channels.items()):
        if (expected := min(base // (4 * 2**place), most)) != found:
            raise NavbenchError(
                f"{_SOURCE}: {layout.key(ours)!r} has {found} output channels, but {expected} would follow from the "
                "other resolutions."
            )
    return base, most
