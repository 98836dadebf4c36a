"""What navigan's files hold and whether it fits a generator, read without running anything from them."""

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navbench.errors import NavbenchError, reason
from navbench.generators.base import Layer
from navbench.generators.stylegan2 import StyleGAN2

EIGENVECTORS, ANNOTATION, RANGES = "eigenvectors.pt", "human_annotation.txt", "ranges.txt"
"""The files of an exported set; the last, lines `index: t_min t_max`, is read by this project alone."""

Ends = tuple[float, float]
"""t_min and t_max."""

_OTHER_KERNEL = 1e-2  # of its norm; half precision changes a kernel by 3e-4 of it, another training by about 1


@dataclass(frozen=True)
class Source:
    """The files to read: those of directions, and those beside them.

    Attributes:
        paths: of directions, at least one.
        annotation: of labels; `None` without labels.
        ranges: of an exported set; `None` for others.
    """

    paths: tuple[Path, ...]
    annotation: Path | None
    ranges: Path | None

    @classmethod
    def of(cls, files: Path | Sequence[Path], annotation: Path | None) -> "Source":
        """One file, several, or a folder for all its `.pt` files and for what is beside them."""
        given = [files] if isinstance(files, Path) else list(files)
        paths: list[Path] = []
        for path in given:
            inside = sorted(path.glob("*.pt"), key=by_number) if path.is_dir() else [path]
            if not inside:
                raise NavbenchError(f"{path} has no .pt files, which navigan's directions are; name another folder.")
            paths += inside
        if not paths:
            raise NavbenchError("There is no file of directions to read; name at least one.")
        beside = {path.name: path for path in given[0].glob("*.txt")} if len(given) == 1 else {}
        return cls(tuple(dict.fromkeys(paths)), annotation or beside.get(ANNOTATION), beside.get(RANGES))

    def labels(self, unnamed: Sequence[str]) -> tuple[str, ...]:
        """The labels of directions that have those without an annotation."""
        if self.annotation is None:
            return tuple(unnamed)
        names = numbered(self.annotation, len(unnamed), "name")
        return tuple(names.get(index, "") for index in range(len(unnamed)))

    def ends(self, count: int, scale: float | None = None) -> list[Ends | None]:
        """The ranges of directions whose own file has none: of the file beside them, or from -scale to scale."""
        if self.ranges is None and scale is not None:
            return [(-scale, scale)] * count
        lines = {} if self.ranges is None else numbered(self.ranges, count, "t_min t_max")
        where = f"{self.ranges}, direction"
        return [parsed_ends(f"{where} {i}", lines[i].split()) if i in lines else None for i in range(count)]


@dataclass(frozen=True)
class Arguments:
    """What the `args.json` of a training says of the files beside it; each `None` if it does not.

    Attributes:
        shift_scale: how far the training shifted to either side.
        layer: the index of the layer whose kernel was shifted, as text.
        eigenvectors: the file of the basis, where it lies beside.
        w_shift: whether latents were shifted in w, not in z.
        deformator: the kind of map from directions to latents.
        annotation: of labels, where there is one.
    """

    shift_scale: float | None = None
    layer: str | None = None
    eigenvectors: Path | None = None
    w_shift: bool | None = None
    deformator: str | None = None
    annotation: Path | None = None

    @classmethod
    def beside(cls, path: Path) -> "Arguments":
        """Those of the folder that a file is in, or of the one above where that is called 'models'."""
        folder = path.parent.parent if path.parent.name == "models" else path.parent
        file = folder / "args.json"
        if not file.is_file():
            return cls()
        try:
            said = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise NavbenchError(f"{file} cannot be read as JSON ({reason(error)}); mend it, or move it away.") from None
        if not isinstance(said, dict):
            raise NavbenchError(f"{file} holds {told(said)}; expected the arguments of a training, by name.")

        def of(name: str, *kinds: type) -> Any:
            value = said.get(name)
            if value is not None and type(value) not in kinds:
                raise NavbenchError(f"{file}: {name} is {told(value)}; expected {kinds[0].__name__}.")
            return value

        scale, index, basis = of("shift_scale", float, int), of("deformator_conv_layer_index", int), None
        if scale is not None and not 0 < scale < 1e6:
            raise NavbenchError(f"{file}: shift_scale is {told(scale)}; expected a positive number.")
        if (name := of("basis_vectors_path", str)) is not None:
            basis = folder / re.split(r"[/\\]", name)[-1]
        return cls(
            shift_scale=scale,
            layer=None if index is None else str(index),
            eigenvectors=basis if basis is not None and basis.is_file() else None,
            w_shift=of("w_shift", bool),
            deformator=of("deformator", str),
            annotation=folder / ANNOTATION if (folder / ANNOTATION).is_file() else None,
        )


@dataclass(frozen=True)
class Target:
    """The generator that directions are for, and its layer, where the user names one."""

    generator: StyleGAN2
    asked: Layer | None

    def layer(self, path: Path, index: int) -> Layer:
        """The layer that a file calls `index`; it must be the one that the user names, if any."""
        convs = {layer.index: layer for layer in self.generator.layers()}
        if index not in convs:
            raise NavbenchError(
                f"{path} is for layer {index}, but generator {self.generator.name} has layers 0 to {max(convs)}."
            )
        if self.asked is not None and self.asked != convs[index]:
            raise NavbenchError(f"{path} is for layer {convs[index].name}, not for {self.asked.name}.")
        return convs[index]

    def offsets(self, path: Path, name: str, value: object, layer: Layer, count: int | None = None) -> Tensor:
        """Offsets (n, *layer.shape), as many as `count` says; the dimensions of 1 before them may be left out."""
        vectors = numbers(path, name, value)
        found = len(vectors) if vectors.ndim > 4 else 1
        fits = vectors.shape[-4:] == layer.shape and vectors.numel() == found * layer.shape.numel()
        if not fits or not 0 < found == (count or found):
            raise NavbenchError(
                f"{path}: {name} is {size(vectors.shape)}, but layer {layer.name} of generator {self.generator.name} "
                f"takes {count or 'n'}x1x{size(layer.shape)}."
            )
        vectors = vectors.reshape(found, *layer.shape)
        if not vectors.flatten(1).any(dim=1).all():
            raise NavbenchError(f"{path}: {name} has a direction that is zero everywhere; export it again.")
        return vectors

    def refuse_other_kernel(self, path: Path, layer: Layer, kernel: Tensor) -> None:
        """Refuse directions that were found on other weights, which `kernel`, (*layer.shape), is from."""
        own = self.generator.kernel(layer).detach().cpu()
        if float((kernel - own).norm()) > _OTHER_KERNEL * float(own.norm()):
            raise NavbenchError(
                f"{path} was trained on another kernel of {layer.name} than that of generator {self.generator.name}; "
                "name the generator that its directions were found on."
            )


def saved(content: object) -> bytes:
    """The bytes of a file of `torch.save`."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def numbers(path: Path, name: str, value: object) -> Tensor:
    """A tensor of a file at float32, which must be whole and finite."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise NavbenchError(f"{path}: {name} is {told(value)}; expected a tensor of real numbers.")
    value = value.detach().float()
    if not torch.isfinite(value).all():
        raise NavbenchError(f"{path}: {name} has NaN or infinite values; fetch it again.")
    return value


def numbered(path: Path, count: int, form: str) -> dict[int, str]:
    """The lines 'index: text' of a file about `count` directions, by index; `form` tells what the text is.

    Raises:
        NavbenchError: a line has another form, or an index without a direction or that a line before it has.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise NavbenchError(f"There is no file {path}; check the path.") from None
    except UnicodeDecodeError:
        raise NavbenchError(f"{path} is not a text in UTF-8; expected lines 'index: {form}'.") from None
    except OSError as error:
        raise NavbenchError(f"{path} cannot be read ({error.strerror or error}).") from None
    found: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*:\s*(\S.*?)\s*", line)
        if match is None and line.strip():
            raise NavbenchError(f"{path}, line {number}: found {line.strip()[:60]!r}, expected 'index: {form}'.")
        if match is None:
            continue
        index = int(match[1])
        if index >= count or index in found:
            wrong = "an earlier line names too" if index in found else f"is not there; they are 0 to {count - 1}"
            raise NavbenchError(f"{path}, line {number}: names direction {index}, which {wrong}.")
        found[index] = match[2]
    return found


def parsed_ends(where: str, pair: Sequence[object]) -> Ends:
    """t_min and t_max of two numbers or texts, as float32 has them; `where` they stand."""
    try:
        t_min, t_max = torch.tensor([float(value) for value in pair if isinstance(value, str | int | float)]).tolist()
    except (ValueError, OverflowError):
        t_min, t_max = math.nan, math.nan
    if not -math.inf < t_min < 0 < t_max < math.inf:
        raise NavbenchError(f"{where}: found the range {' '.join(map(told, pair))}, expected t_min < 0 < t_max.")
    return t_min, t_max


def is_plain(value: object, depth: int = 2) -> bool:
    """Whether a value is a number, a text, none, or a sequence of such, which may be in sequences `depth` deep."""
    if isinstance(value, list | tuple):
        return depth > 0 and all(is_plain(item, depth - 1) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def told(value: object) -> str:
    """What a value is, in a few words."""
    if isinstance(value, Tensor):
        return f"a tensor {size(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, Mapping):
        keys = ", ".join(told(key) for key in list(value)[:4])
        return f"a dict of {keys}{', ...' if len(value) > 4 else ''}" if value else "an empty dict"
    short = isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)
    if isinstance(value, str) or short:
        return repr(value[:40] if isinstance(value, str) else value)
    name = type(value).__name__
    return "nothing" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def size(shape: Sequence[int]) -> str:
    """A shape as '512x512x3x3'."""
    return "x".join(map(str, shape)) or "a single number"


def by_number(path: Path) -> list[int | str]:
    """A key that sorts paths by name, with numbers in names by value."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", path.name)]
