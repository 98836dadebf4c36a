"""BigGAN-PyTorch's state dicts (`G_ema.pth`, `G.pth`) as a `BigGAN`.

Names and shapes are kept, but for three things that only training needs.

Spectral normalisation: a kernel or matrix W is stored raw, with an estimate `u0` of its first left singular vector.
Outside training the published code makes one power iteration from the stored u0, v = u0 W / |u0 W| and
u = v W' / |v W'|, divides W by v W' u', and keeps nothing of it; so it is the same number at every pass, and is
divided by once, here.  (More iterations, `num_G_SV_itrs`, start from the same u0 each; more vectors, `u1` and so on,
are not divided by; `sv0` is for logs.)  Embeddings have none, and neither has a network that was trained without.

Statistics of batch normalisation stand in the layer, or in a `bn` inside it as `stored_*` (`--mybn`) or `running_*`
(`--cross_replica`).  They are running means, which are used as they are; or, if `accumulation_counter` says so,
the sum over as many batches.  (The published code multiplies by the gains of `--cross_replica` in parallel training,
but adds them outside of it; what the network was trained with is done here.)

What no file says is as in the published scripts: rectifiers, and the EPSILON of batch normalisation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench.errors import NavbenchError
from navbench.generators.biggan import BigGAN, Sizes
from navbench.generators.biggan_layers import StoredStatistics
from navbench.generators.loading import check_expected, check_finite, load_strictly
from navbench.generators.options import Options

FAMILY = "BigGAN"
_SOURCE = "the BigGAN in it"
"""How errors name what is in a file; the reader of the file puts its path before it."""
_LARGEST = 4096
_UNIT = 1e-6
"""By how much the square of a singular value of a kernel may differ from 1, and pass for it."""
_ROUNDING = 3e-6
"""By how much the norm of a stored kernel may differ from 1, which scales it by as much."""

WIDTHS = {
    32: (4, 4, 4, 4),
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
"""Channels before the first and after each of a published network's resolutions, in units of G_ch."""

_MARKS = ("blocks.0.0.bn1.gain.weight", "blocks.0.0.conv2.weight", "output_layer.0.gain", "output_layer.2.weight")
_UNUSED = re.compile(r".*\.(sv\d+|u[1-9]\d*|num_batches_tracked)")


def recognised(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is that of BigGAN-PyTorch's generator, of either kind."""
    return sum(mark in state for mark in _MARKS) > 1 and any(mark in state for mark in _MARKS[::2])


def build(state: Mapping[str, Tensor], name: str, options: Options, source: str = _SOURCE) -> BigGAN:
    """The generator of a state dict, frozen, float32, on the CPU.

    Args:
        state: of a generator of BigGAN-PyTorch.
        name: of the generator.
        options: truncation and classes are BigGAN's.
        source: what the tensors come from, for errors.

    Raises:
        NavbenchError: the tensors are not those of one BigGAN, they hold no statistics for its batch normalisations,
            an option is not its, or it has no such class.
    """
    generator = assembled(state, name, options, source)
    for path, module in generator.named_modules():
        if isinstance(module, StoredStatistics):
            _check_statistics(path, module, source)
    return generator


def assembled(state: Mapping[str, Tensor], name: str, options: Options, source: str = _SOURCE) -> BigGAN:
    """As `build`, with whatever statistics there are: what `standing_statistics` takes."""
    options.refuse("noise", "labels", "instances", "size", family=FAMILY)
    state = {key: value for key, value in state.items() if not _UNUSED.fullmatch(key)}
    sizes = _sizes(state, source)
    kind = f"{FAMILY}-deep" if sizes.depth else FAMILY
    description = f"{kind}, {sizes.resolution}x{sizes.resolution}, {sizes.class_count} classes, from a file"
    with torch.device("meta"):  # allocates no memory, and draws no random numbers
        generator = BigGAN(name, description, sizes, options.truncation, options.classes)
    names = _names(generator, state)
    check_expected({key: value.shape for key, value in state.items()}, _expected(names, generator), source)
    check_finite(state, source)
    ours = {key: _value(state, place, f"{source}: {key!r}") for key, place in names.items()}
    return load_strictly(generator, ours, source)


def stored(generator: BigGAN, changed: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file's tensors become, by its names, where some of ours change: the inverse of what `build` does.

    The published code divides whatever kernel W it finds by |W v|, v = u0 W / |u0 W|, so no scale of W counts. Of a
    kernel that is to convolve as it is, u0 is made the vector for which that is 1; there is one exactly if the largest
    singular value is 1 or more, and the smallest that is not 0 is 1 or less.

    Args:
        generator: as it was read from the file.
        changed: of ours, by name.
        state: of the file.

    Raises:
        NavbenchError: a kernel has no such vector.
    """
    places = _names(generator, state)
    held = {}
    for key, value in changed.items():
        held[places[key].key] = value
        if vector := places[key].vector:
            held[vector] = _unit_vector(value, key)
    return held


def folded(generator: BigGAN, changed: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """As `stored`, without spectral normalisation: kernels as they convolve; `None` for what the file then lacks.

    That is the layout of networks that the published code runs with `G_param` set to None.
    """
    own = {**generator.state_dict(), **changed}
    held: dict[str, Tensor | None] = {
        place.key: own[key] for key, place in _names(generator, state).items() if place.vector or key in changed
    }
    return held | {key: None for key in state if re.fullmatch(r".*\.(u|sv)\d+", key)}


# --- names ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where a file holds one of our tensors.

    Attributes:
        key: its name there.
        vector: the name of the estimate of its singular vector, if it is spectrally normalised.
        counter: the name of the number of batches that it may be the sum over, if it is such a statistic.
    """

    key: str
    vector: str | None = None
    counter: str | None = None


def _names(generator: BigGAN, state: Mapping[str, Tensor]) -> dict[str, _Place]:
    """Where the file holds our tensors."""
    normalised = any(key.endswith(".u0") for key in state)
    inner = next((kind for kind in ("stored", "running") if f"blocks.0.0.bn1.bn.{kind}_mean" in state), None)
    places = {}
    for path, module in generator.named_modules():
        for key, _ in module.named_parameters(path, recurse=False):
            spectral = normalised and key.endswith(".weight") and not isinstance(module, nn.Embedding)
            places[key] = _Place(key, f"{path}.u0" if spectral else None)
        for key, _ in module.named_buffers(path, recurse=False):
            theirs = f"{path}.bn.{inner}_{key.rpartition('_')[2]}" if inner else key
            places[key] = _Place(theirs, counter=f"{path}.bn.accumulation_counter" if inner == "stored" else None)
    return places


def _expected(places: Mapping[str, _Place], generator: BigGAN) -> dict[str, tuple[int, ...]]:
    """What a file holds, by its names."""
    shapes = {}
    for key, value in generator.state_dict().items():
        place = places[key]
        shapes[place.key] = tuple(value.shape)
        if place.vector:
            shapes[place.vector] = (1, value.shape[0])
        if place.counter:
            shapes[place.counter] = (1,)
    return shapes


# --- values ---------------------------------------------------------------------------------------------------


def _value(state: Mapping[str, Tensor], place: _Place, what: str) -> Tensor:
    """One of our tensors, float32."""
    value = state[place.key].detach().cpu().float()
    if place.vector:
        value = value / _norm(value.flatten(1), state[place.vector].detach().cpu().float())
    if place.counter and (count := state[place.counter].item()):
        if count < 0 or count != int(count):
            raise NavbenchError(
                f"{what} mixes sums over batches with running means ({place.counter} is {count:g}); save the network "
                "before its statistics are accumulated."
            )
        value = value / count
    return value


def _norm(matrix: Tensor, u: Tensor) -> Tensor:
    """The largest singular value of (outputs, inputs), by one power iteration from u, (1, outputs)."""
    v = F.normalize(u @ matrix, eps=1e-12)
    return (v @ matrix.T @ F.normalize(v @ matrix.T, eps=1e-12).T).squeeze()


def _unit_vector(kernel: Tensor, name: str) -> Tensor:
    """The u, (1, outputs), from which one power iteration gives 1 as the norm of a kernel.

    |W v| with v = u W / |u W| is the root of u G G u' / u G u' with G = W W'. Between eigenvectors of G of eigenvalues
    below and above 1 there is a u where that is 1; those next to 1 are taken, as rounding moves the others' far more.
    """
    matrix = kernel.detach().cpu().double().flatten(1)
    values, vectors = torch.linalg.eigh(matrix @ matrix.T)  # rising; squares of singular values
    values, nearest = values.clamp_min(0), int((values - 1).abs().argmin())
    above = int((values < 1).sum())  # the place of the first that is not below 1
    if abs(values[nearest] - 1) < _UNIT:
        u = vectors[:, nearest]
    elif above == len(values):
        raise _no_vector(name, f"its largest singular value is {float(values[-1]) ** 0.5:.3g}, below 1")
    elif above == 0:
        raise _no_vector(name, f"its smallest singular value is {float(values[0]) ** 0.5:.3g}, above 1")
    else:
        low, high = values[above - 1], values[above]
        u = vectors[:, above] * (low * (1 - low)).sqrt() + vectors[:, above - 1] * (high * (high - 1)).sqrt()
    vector = F.normalize(u, dim=0)[None].float()
    if not abs(_norm(matrix.float(), vector) - 1) < _ROUNDING:
        raise _no_vector(name, f"its singular values, up to {float(values[-1]) ** 0.5:.3g}, are too far from 1")
    return vector


def _no_vector(name: str, reason: str) -> NavbenchError:
    return NavbenchError(
        f"The edited kernel {name} cannot stand in a file with spectral normalisation, as {reason}; leave the "
        "normalisation out, by --folded or folded=True."
    )


def _check_statistics(path: str, norm: StoredStatistics, source: str) -> None:
    """Refuse the statistics that a network has before it has seen a batch, and impossible ones."""
    mean, var = norm.stored_mean, norm.stored_var
    if (var < 0).any():
        raise NavbenchError(f"{source}: {path!r} stores negative variances; fetch the file again.")
    if (mean == 0).all() and ((var == 0) | (var == 1)).all():
        raise NavbenchError(
            f"{source}: {path!r} stores no statistics of batches, which images depend on; make them with "
            "navbench.generators.biggan.standing_statistics, or save the network after they are accumulated."
        )


# --- sizes ----------------------------------------------------------------------------------------------------


def _sizes(state: Mapping[str, Tensor], source: str) -> Sizes:
    """What a `BigGAN` is built from, as the shapes of its tensors say it."""

    def extent(key: str, axis: int) -> int:
        if key not in state:
            raise NavbenchError(f"{source} lacks the tensor {key!r}.")
        shape = state[key].shape
        if len(shape) <= axis or not shape[axis]:
            found = "x".join(map(str, shape)) or "a single number"
            raise NavbenchError(f"{source}: {key!r} is {found}, which no generator of its kind has.")
        return shape[axis]

    deep = any(re.fullmatch(r"blocks\.\d+\.0\.(conv|bn)[34]\..+", key) for key in state)
    count = len({match[1] for key in state if (match := re.match(r"blocks\.(\d+)\.0\.", key))})
    names = [f"blocks.{row}.0.conv1.weight" for row in range(count)]
    channels = (*(extent(name, 1) for name in names), extent("output_layer.2.weight", 1))
    widths, depth = _deep_widths(channels, source) if deep else (channels, 0)
    bottom = isqrt(extent("linear.weight", 0) // widths[0])
    if not 0 < bottom * 2 ** (len(widths) - 1) <= _LARGEST:
        raise NavbenchError(
            f"{source} has {len(widths) - 1} resolutions from {bottom}x{bottom} on, which no BigGAN has."
        )
    shared = "shared.weight" in state or deep  # as BigGAN-deep has it in any case
    shared_dim = extent("shared.weight", 1) if shared else 0
    read = extent("linear.weight", 1)
    hierarchical = deep or (shared and extent("blocks.0.0.bn1.gain.weight", 1) != shared_dim)
    latent_dim = read - shared_dim if deep else read * (len(widths) if hierarchical else 1)
    if latent_dim < 1:
        raise NavbenchError(f"{source}: 'linear.weight' leaves no room for z beside the class.")
    attended = [row for row in range(count) if any(key.startswith(f"blocks.{row}.1.") for key in state)]
    return Sizes(
        widths, latent_dim, extent("shared.weight" if shared else "blocks.0.0.bn1.gain.weight", 0), shared_dim,
        hierarchical, tuple(bottom * 2 ** (row // (depth or 1) + 1) for row in attended), depth, bottom,
    )  # fmt: skip


def _deep_widths(channels: tuple[int, ...], source: str) -> tuple[tuple[int, ...], int]:
    """The widths of BigGAN-deep's resolutions and its blocks per resolution, by what enters each block.

    Which of its blocks double the resolution is in no shape; but only one published table has these widths.
    """
    count = len(channels) - 1
    for table in WIDTHS.values():
        stages = len(table) - 1
        depth, rest = divmod(count, stages)
        widths = tuple(channels[0] * multiple // table[0] for multiple in table)
        entering = (*(width for width in widths[:-1] for _ in range(depth)), widths[-1])
        if not rest and depth and entering == channels:
            return widths, depth
    raise NavbenchError(
        f"{source} is a BigGAN-deep whose {count} blocks have widths {', '.join(map(str, channels))}, which are those "
        f"of no published resolution ({', '.join(map(str, WIDTHS))})."
    )
