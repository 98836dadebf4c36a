"""Other people's checkpoints as generators: the format is detected from the file's content, never from its name.

Containers are safetensors, files of `torch.save` and NVIDIA's pickles; no code in them is run.  What comes
out of one is a state dict, and the table `FAMILIES` says whose.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.files import write_atomically
from navbench.generators import biggan_layouts, dcgan_layouts, files, pix2pixhd_layouts, stylegan2_layouts
from navbench.generators.base import Generator, Source
from navbench.generators.options import Options
from navbench.generators.stylegan2 import StyleGAN2
from navbench.generators.stylegan2_settings import honoured
from navbench.generators.wrappers import Network, find_generator, listed
from navbench.pickles import TORCH_LEGACY, read_pickle, read_torch
from navbench.texts import shown

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        container: 'navbench' for this project's own safetensors, whose tensors are left to `files.read_generator`.
        value: plain data, tensors, and a `Record` per network of NVIDIA's.
    """

    container: Literal["navbench", "safetensors", "torch", "nvidia"]
    value: Any


@dataclass(frozen=True)
class Family:
    """One kind of generator.

    Attributes:
        name: of the kind.
        recognised: tells its state dict.
        build: the generator, from its state dict, a name and the user's options.
        stored: the reverse: from a generator, tensors that it is to have instead, by name, and the state dict of its
            file, what the file's tensors become.
    """

    name: str
    recognised: Callable[[State], bool]
    build: Callable[[State, str, Options], Generator]
    stored: Callable[[Any, State, State], Mapping[str, Tensor | None]]


FAMILIES = tuple(
    Family(layouts.FAMILY, layouts.recognised, layouts.build, layouts.stored)
    for layouts in (stylegan2_layouts, biggan_layouts, pix2pixhd_layouts, dcgan_layouts)
)

_FOREIGN = (
    (r"synthesis\.(L\d+_.*|input\.(freqs|phases|transform))", "a StyleGAN3 generator"),
    (r"(.*\.)?(fromrgb|final_linear\.0|b4\.fc)\.weight", "a discriminator of StyleGAN"),
    (r"scale\d+_layer\d+\.\d+\.weight|layer\d+\.0\.weight", "a discriminator of pix2pixHD"),
    (r"blocks\.0\.0\.conv_sc\.weight|embed\.weight", "a discriminator of BigGAN, or of another conditional GAN"),
    (
        r"(text_model|down_blocks|up_blocks|time_embedding|cond_stage_model|first_stage_model|text_encoder"
        r"|model\.diffusion_model|transformer_blocks)\..*",
        "a part of a text-to-image model",
    ),
    (r"(generator\.)?progression\..*", "a generator of the first StyleGAN"),
)
"""Names of tensors that tell what navbench has no generator for, and what that is."""
_LARGEST_SHARE = 4
"""Bytes of all tensors by those of the file: tensors may share storage, but not so much as to exhaust the memory."""


def read_checkpoint(path: Path, options: Options = Options()) -> Generator:  # noqa: B008 (frozen)
    """The generator in a file, float32, frozen, on the CPU; its name is the file's, without the ending.

    Of a training's file it is the moving average. Wrappers around it are taken off, which a warning says, as it says
    whether it is no average, and whether its images become RGB.

    Raises:
        NavbenchError: there is no such file, it is damaged or hostile, its generator is none that navbench knows, or
            does not take one of the options.
    """
    held, name = contents(path), generator_name(path)
    try:
        if held.container == "navbench":
            network = None
            generator: Generator = files.read_generator(path, options, name)
        else:
            network = network_in(held.value)
            _check_memory(network.state, path.stat().st_size)
            generator = _built(network, name, options)
            generator.source = Source(path, options)
    except NavbenchError as error:
        if str(path) in str(error):
            raise
        raise NavbenchError(f"{path}: {error}") from None
    _tell(path, generator, network)
    return generator


def convert(generator: Generator, path: Path, precision: Literal["float32", "half"] = "float32") -> None:
    """Write a generator to another layout, by the ending: ours (.safetensors) or rosinality's (.pt, float32).

    Raises:
        NavbenchError: the generator is no StyleGAN2, or does not fit the layout, or the ending is another.
    """
    if not isinstance(generator, StyleGAN2):
        raise NavbenchError(f"Generator {generator.name} is no StyleGAN2; only those are converted.")
    if path.suffix == ".safetensors":
        dtype = torch.float32 if precision == "float32" else torch.float16
        files.write_generator(generator, path, {"converted": generator.description}, dtype)
    elif path.suffix == ".pt":
        if precision != "float32":
            raise NavbenchError(f"{path}: rosinality's files are at float32; leave the precision out.")
        content = io.BytesIO()
        torch.save(stylegan2_layouts.to_rosinality(generator), content)
        write_atomically(path, content.getvalue())
    else:
        raise NavbenchError(f"{path} ends neither in .safetensors, for our layout, nor in .pt, for rosinality's.")


def generator_name(path: Path) -> str:
    """The file's name without its ending, of what a reference to a direction may hold."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "generator"


# --- containers -----------------------------------------------------------------------------------------------


def contents(path: Path) -> Contents:
    """The content of a file, whose name does not matter; see `Contents`.

    Raises:
        NavbenchError: there is no such file, it is damaged, of no known container, or asks for more than plain data.
    """
    start = _start(path)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return _safetensors(path)
    if start.startswith((b"PK\x03\x04", TORCH_LEGACY)):
        return Contents("torch", read_torch(path))
    if start[:1] == b"\x80" and start[1] in range(2, 6):
        return Contents("nvidia", read_pickle(path))
    raise NavbenchError(f"{path} {_unreadable(start)}.")


def _start(path: Path) -> bytes:
    if path.is_dir():
        raise NavbenchError(f"{path} is a folder; name the file in it that holds the generator.")
    if not path.is_file():
        raise NavbenchError(f"There is no file {path}; check the path.")
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise NavbenchError(f"{path} cannot be read ({error.strerror or error}).") from None
    if len(start) < 16:
        raise NavbenchError(f"{path} is {'empty' if not start else 'cut short'}; fetch it again.")
    return start


def _unreadable(start: bytes) -> str:
    """What a file is that is no checkpoint, as far as its beginning tells."""
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS; fetch the file itself, with git lfs pull"
    if start.lstrip()[:1] == b"<":
        return "is a web page, not the file behind it; fetch it again"
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")):
        return "is compressed; unpack it first"
    if start[257:262] == b"ustar":
        return "is a tar archive; unpack it first, or if torch.save wrote it, save it again with a newer torch"
    if start.startswith(b"\x89HDF"):
        return "is of Keras or another HDF5 program; convert it to torch"
    text = all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start)
    return f"is {'text' if text else 'no file of torch.save, safetensors or NVIDIA'}; name a checkpoint"


def _safetensors(path: Path) -> Contents:
    try:
        with safe_open(path, framework="pt") as file:
            if files.KEY in (file.metadata() or {}):
                return Contents("navbench", {})
            return Contents("safetensors", {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    except SafetensorError as error:
        raise NavbenchError(f"{path} is not a whole safetensors file ({error}); fetch it again.") from None


# --- from what is in a file to a generator --------------------------------------------------------------------


def network_in(value: Any) -> Network:
    """The one generator in a file's content: the tensors are those of the content.

    Raises:
        NavbenchError: there is none, or there are several.
    """
    return find_generator(value, lambda state: _recognised(state) is not None)


def _built(network: Network, name: str, options: Options) -> Generator:
    """The generator of a network, and what was read of it beside tensors."""
    family = family_of(network.state)
    if network.record is None or family.name != stylegan2_layouts.FAMILY:
        return family.build(network.state, name, options)
    read = honoured(network.record, network.state, f"the {network.record.class_name} in it")
    generator = stylegan2_layouts.build(read.state, name, options, read.settings)
    generator.origin = {**generator.origin, **read.origin}
    return generator


def _tell(path: Path, generator: Generator, network: Network | None = None) -> None:
    """Warn of what a user may not expect, which `Generator.details` keeps."""
    if network is not None:
        told = {"wrapping": network.wrapping, "weights": network.reservation}
        generator.origin = {**generator.origin, **{name: shown(words) for name, words in told.items() if words}}
        for words in filter(None, told.values()):
            warnings.warn(f"{path}: {words}.", NavbenchWarning, stacklevel=3)
    if generator.conversion:
        warnings.warn(f"{path}: its images are {generator.conversion}.", NavbenchWarning, stacklevel=3)


def _recognised(state: State) -> Family | None:
    return next((family for family in FAMILIES if family.recognised(state)), None)


def family_of(state: State) -> Family:
    """The kind of generator whose state dict that is.

    Raises:
        NavbenchError: it is none that navbench runs.
    """
    if (family := _recognised(state)) is not None:
        return family
    known = ", ".join(family.name for family in FAMILIES)
    for pattern, what in _FOREIGN:
        if any(re.fullmatch(pattern, key) for key in state):
            raise NavbenchError(f"it holds {what}, which navbench does not run; it runs generators of {known}.")
    raise NavbenchError(
        f"its tensors ({listed(list(state))}) are of no generator that navbench runs; it runs {known}, and any module "
        "through an entry point."
    )


def _check_memory(state: State, size: int) -> None:
    if sum(value.numel() * value.element_size() for value in state.values()) > _LARGEST_SHARE * size:
        raise NavbenchError("its tensors are many times as large as the file; save it again.")
