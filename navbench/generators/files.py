"""This project's own file of a StyleGAN2: safetensors at half precision, and a header that says how to build it.

Only data is read: the header is JSON that is checked like a suite file, and no tensor is looked at before all
names and shapes are those of the architecture that the header names.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.files import write_atomically
from navbench.generators.stylegan2 import Noise, StyleGAN2
from navbench.settings import Settings

FORMAT = 1
KEY = "navbench"
"""The one entry of the file's metadata, as direction sets have it."""


class Architecture(Settings):
    """What a `StyleGAN2` is built from, its name and description apart (see there)."""

    resolution: int = Field(ge=8, le=4096)
    latent_dim: int = Field(ge=1)
    style_dim: int = Field(ge=1)
    mapping_layers: int = Field(ge=1, le=64)
    channel_base: int = Field(ge=1)
    channel_max: int = Field(ge=1)
    truncation: float = Field(allow_inf_nan=False)
    noise: Noise


class Header(Settings):
    """What a file says of the generator in it.

    Attributes:
        format: version of this layout.
        kind: of the generator.
        name, description, architecture: what it is built from.
        card: how it was made, as JSON.
    """

    format: Literal[1]
    kind: Literal["stylegan2"]
    name: str
    description: str
    architecture: Architecture
    card: dict[str, Any]


@dataclass(frozen=True)
class _Opened:
    """A file's header, and the shapes of its tensors."""

    header: Header
    shapes: dict[str, list[int]]


def write_generator(generator: StyleGAN2, path: Path, card: dict[str, Any]) -> None:
    """Write a generator to one file, atomically.

    Args:
        generator: its tensors are stored at half precision; one that does not fit is refused.
        path: of the file, which is replaced.
        card: how the generator was made; whatever JSON holds.
    """
    described = Architecture(**{name: getattr(generator, name) for name in Architecture.model_fields})
    header = Header(
        format=FORMAT, kind="stylegan2", name=generator.name, description=generator.description,
        architecture=described, card=card,
    )  # fmt: skip
    halves = {key: value.detach().cpu().half().contiguous() for key, value in generator.state_dict().items()}
    for key, value in halves.items():
        if not torch.isfinite(value).all():
            raise NavbenchError(f"{path}: {key} has values that half precision cannot hold; train it anew.")
    write_atomically(path, save(halves, {KEY: header.model_dump_json()}))


def read_header(path: Path) -> Header:
    """The header of a generator's file, without its tensors."""
    return _open(path).header


def read_generator(path: Path) -> StyleGAN2:
    """The generator in a file, float32, on the CPU, frozen.

    Raises:
        NavbenchError: there is no such file, it is not one of a generator, or its tensors are not those of the
            architecture that it names.
    """
    opened = _open(path)
    header = opened.header
    with torch.device("meta"):  # no memory, and none of the global random numbers
        try:
            generator = StyleGAN2(header.name, header.description, **header.architecture.model_dump())
        except (NavbenchError, RuntimeError, ArithmeticError) as error:
            raise NavbenchError(f"{path} names an architecture that cannot be built ({error}).") from None
    _check_shapes(path, opened.shapes, {key: list(value.shape) for key, value in generator.state_dict().items()})
    generator.load_state_dict(_tensors(path), strict=True, assign=True)
    return generator.eval().requires_grad_(False)


def _check_shapes(path: Path, found: dict[str, list[int]], expected: dict[str, list[int]]) -> None:
    if missing := sorted(expected.keys() - found.keys()):
        raise NavbenchError(f"{path} lacks the tensor {missing[0]!r}, which is to be {_size(expected[missing[0]])}.")
    if extra := sorted(found.keys() - expected.keys()):
        raise NavbenchError(f"{path} holds a tensor {extra[0]!r} that its architecture does not have.")
    for key, shape in expected.items():
        if found[key] != shape:
            raise NavbenchError(
                f"{path}: {key!r} is {_size(found[key])}, but the architecture in its header wants {_size(shape)}; "
                "the weights are of another one."
            )


def _size(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _open(path: Path) -> _Opened:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise NavbenchError(f"There is no generator file {path}; check the path.") from None
    except OSError as error:
        raise NavbenchError(f"{path} cannot be read ({error.strerror or error}).") from None
    except SafetensorError as error:
        raise NavbenchError(f"{path} is not a whole safetensors file ({error}); fetch or export it again.") from None
    if text is None:
        raise NavbenchError(f"{path} has no header {KEY!r}, so it is not a generator that navbench exported.")
    try:
        return _Opened(Header.model_validate_json(text), shapes)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "header"
        raise NavbenchError(
            f"{path}: {where} of its header cannot be used ({first['msg']}); export the generator again."
        ) from None


def _tensors(path: Path) -> dict[str, Tensor]:
    tensors = {}
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 (not a mapping)
            tensor = file.get_tensor(key).float().clone()
            if not torch.isfinite(tensor).all():
                raise NavbenchError(f"{path}: {key!r} has NaN or infinite values; fetch or export it again.")
            tensors[key] = tensor
    return tensors
