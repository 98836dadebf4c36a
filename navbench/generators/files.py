"""This project's own file of a StyleGAN2: safetensors, and a header that says how to build it.

Only data is read: the header is JSON that is checked like a suite file, and no tensor is looked at before all
names and shapes are those of the architecture that the header names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.files import write_atomically
from navbench.generators.base import Source
from navbench.generators.loading import check_shapes, load_strictly
from navbench.generators.options import Noise, Options
from navbench.generators.stylegan2 import StyleGAN2
from navbench.generators.stylegan2_layers import Activation
from navbench.settings import Settings
from navbench.texts import shown

FORMAT = 1
KEY = "navbench"
"""The one entry of the file's metadata, as direction sets have it."""
_Text = Annotated[str, AfterValidator(shown)]
"""Of a file, as it is shown."""


class Architecture(Settings):
    """What a `StyleGAN2` is built from, its name and description apart (see there)."""

    resolution: int = Field(ge=4, le=4096)
    latent_dim: int = Field(ge=1)
    style_dim: int = Field(ge=1)
    mapping_layers: int = Field(ge=1, le=64)
    channel_base: int = Field(ge=1)
    channel_max: int = Field(ge=1)
    truncation: float = Field(allow_inf_nan=False)
    noise: Noise
    class_count: int = Field(0, ge=0)
    classes: tuple[int, ...] = ()
    size: tuple[int, int] | None = None
    constant: tuple[int, int] = (4, 4)
    channels: int = 3
    activation: Activation = "lrelu"
    mapping_activation: Activation = "lrelu"
    clamp: float | None = Field(None, gt=0, allow_inf_nan=False)


class Header(Settings):
    """What a file says of the generator in it.

    Attributes:
        format: version of this layout.
        kind: of the generator.
        name, description, architecture: what it is built from.
        card: how it was made, as JSON.
        origin: of a converted one, what was read of the file that it is from (see `Generator.origin`).
    """

    format: Literal[1]
    kind: Literal["stylegan2"]
    name: _Text
    description: _Text
    architecture: Architecture
    card: dict[str, Any]
    origin: dict[_Text, _Text] = Field({})


@dataclass(frozen=True)
class _Opened:
    """A file's header, and the shapes of its tensors."""

    header: Header
    shapes: dict[str, list[int]]


def write_generator(generator: StyleGAN2, path: Path, card: dict[str, Any], dtype: torch.dtype = torch.float16) -> None:
    """Write a generator to one file, atomically.

    Args:
        generator: one whose tensors do not fit the precision is refused.
        path: of the file, which is replaced.
        card: how the generator was trained; any JSON object.
        dtype: of the tensors, float16 or float32.
    """
    write_atomically(path, generator_file(generator, path, card, dtype))


def generator_file(generator: StyleGAN2, path: Path, card: dict[str, Any], dtype: torch.dtype) -> bytes:
    """What `write_generator` writes; the path is for errors alone."""
    described = Architecture(**{name: getattr(generator, name) for name in Architecture.model_fields})
    header = Header(
        format=FORMAT, kind="stylegan2", name=generator.name, description=generator.description,
        architecture=described, card=card, origin=dict(generator.origin),
    )  # fmt: skip
    stored = {key: value.detach().cpu().to(dtype).contiguous() for key, value in generator.state_dict().items()}
    for key, value in stored.items():
        if not torch.isfinite(value).all():
            raise NavbenchError(f"{path}: {key} has values that {dtype} cannot hold; train it anew.")
    return save(stored, {KEY: header.model_dump_json()})


def changed_file(path: Path, changed: Mapping[str, Tensor], card: dict[str, Any]) -> bytes:
    """A generator's file with some tensors changed, float32, and more in its card; all else as it is."""
    header = _open(path).header
    with safe_open(path, framework="pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    stored |= {key: value.cpu().contiguous() for key, value in changed.items()}
    return save(stored, {KEY: header.model_copy(update={"card": header.card | card}).model_dump_json()})


def read_header(path: Path) -> Header:
    """The header of a generator's file, without its tensors."""
    return _open(path).header


def read_generator(path: Path, options: Options = Options(), name: str = "") -> StyleGAN2:  # noqa: B008 (frozen)
    """The generator in a file, float32, on the CPU, frozen.

    Args:
        path: of the file.
        options: truncation, noise, classes and size, in place of those in the header.
        name: of the generator, in place of that in the header.

    Raises:
        NavbenchError: there is no such file, it is not one of a generator, its tensors are not those of the
            architecture that it names, or it does not take one of the options.
    """
    options.refuse("labels", "instances", family="StyleGAN2")
    opened = _open(path)
    header = opened.header
    chosen = options.model_dump(include={"truncation", "noise", "classes", "size"}, exclude_defaults=True)
    with torch.device("meta"):  # allocates no memory, and draws no random numbers
        try:
            architecture = header.architecture.model_dump() | chosen
            generator = StyleGAN2(name or header.name, header.description, **architecture)
        except (NavbenchError, RuntimeError, ArithmeticError) as error:
            raise NavbenchError(f"{path} and the options given name what cannot be built ({error}).") from None
    check_shapes(opened.shapes, generator, str(path))
    with safe_open(path, framework="pt") as file:
        generator = load_strictly(generator, {key: file.get_tensor(key) for key in opened.shapes}, str(path))
    generator.source = Source(path, options)
    generator.origin = header.origin
    return generator


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
