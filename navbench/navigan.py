"""The direction files of the paper's authors (their package navigan), read as direction sets and written from ours.

Three kinds, all written by `torch.save`, and told apart by what is in them:

- a direction: `{layer_ix, shift}`, the shift (1, 1, out, in, k, k).  Its norm is how far its author recommends to go;
  a norm of 1 is that of a shift for which nobody recommended anything.
- eigenvectors: one tensor, (n, 1, out, in, k, k), of unit norm each.
- a training's checkpoint: `{step, deformator, shift_predictor, generator}`.  Among the generator's tensors are the
  coefficients: on the eigenvectors of another file (hybrid), or on the rank-one terms of `u` and `vh` (optimization).

Beside them, `human_annotation.txt` names directions, by lines `index: name`.

A shift is added to the raw kernel of rosinality's `convs.{layer_ix}`, before gain and modulation.  Our `StyleGAN2`
keeps the raw kernel too, without its leading 1, so an offset is the same tensor and the same edit in both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench.basis import Basis, DenseBasis, IdentityBasis
from navbench.directions import Direction, DirectionSet
from navbench.errors import NavbenchError
from navbench.files import sha256, write_atomically
from navbench.generators.base import Generator, Layer
from navbench.generators.stylegan2 import StyleGAN2
from navbench.navigan_files import (
    ANNOTATION,
    EIGENVECTORS,
    RANGES,
    Arguments,
    Ends,
    Source,
    Target,
    is_plain,
    numbers,
    parsed_ends,
    saved,
    size,
    told,
)
from navbench.pickles import read_torch

_COEFFICIENTS = re.compile(r"((?:.*\.)?convs\.(\d{1,3})\.conv\.)direction_to_(basis_coefs|eigenvalues_delta)")
_UNSCALED = 1e-3  # a norm as close to 1 is that of a shift that nobody scaled


# --- reading -------------------------------------------------------------------------------------------------


def read(
    files: Path | Sequence[Path], generator: Generator, layer: str | None = None, eigenvectors: Path | None = None,
    annotation: Path | None = None,
) -> DirectionSet:  # fmt: skip
    """The direction set in the authors' files; see `read_sets`, which also takes directions of several layers."""
    sets = read_sets(files, generator, layer, eigenvectors, annotation)
    if len(sets) > 1:
        where = files if isinstance(files, Path) else ", ".join(map(str, files))
        places = ", ".join(found.place for found in sets)
        raise NavbenchError(f"{where}: the directions are of several layers, {places}; read each layer by itself.")
    return sets[0]


def read_sets(
    files: Path | Sequence[Path], generator: Generator, layer: str | None = None, eigenvectors: Path | None = None,
    annotation: Path | None = None,
) -> list[DirectionSet]:  # fmt: skip
    """The direction sets in the authors' files, one per layer, on the generator that they were found on.

    The method is 'spectrum' for eigenvectors, 'hybrid' or 'optimization' for a checkpoint, by its coefficients, and
    'navigan' for single directions, as their files do not tell where they are from.

    A range is from -norm to norm of the shift, or of a training from -shift_scale to shift_scale of its `args.json`,
    as its code gives each shift unit norm.  Where nobody set one, it is from -1 to 1, which hardly changes an
    image: `provenance['range']` says so, and `replace(found, t_min=..., t_max=...)` or a run's `calibrate` mends it.

    Args:
        files: one file; several files of single directions; or a folder, which stands for all its `.pt` files (in the
            order of their names, by value where these have numbers) and for its annotation.
        generator: a `StyleGAN2`.  Its kernel is compared with the one in a checkpoint; other files hold none.
        layer: name or index; needed for eigenvectors whose file's name does not say it ('eigenvectors_layer3_...').
        eigenvectors: the file of those that a hybrid's coefficients combine; needed unless `args.json` names one
            beside it.
        annotation: the file of labels; indices count the directions from the first file on, whatever their layer.
            Without one, single directions are labelled by the names of their files.

    Raises:
        NavbenchError: a file is broken, holds something else, or does not fit the generator.
    """
    source = Source.of(files, annotation)
    if not isinstance(generator, StyleGAN2):
        raise NavbenchError(
            f"{source.paths[0]}: navigan's directions are of a StyleGAN2, but generator {generator.name} is a "
            f"{type(generator).__name__}; name the one that they were found on."
        )
    layer = layer or _layer_in_name(source.paths[0])
    target = Target(generator, None if layer is None else generator.layer(layer))
    contents = {path: read_torch(path) for path in source.paths}
    other = next((path for path, content in contents.items() if not _is_direction(content)), None)
    if other is not None and len(contents) > 1:
        raise NavbenchError(f"{other} holds {told(contents[other])}; only single directions are read together.")
    path, content = next(iter(contents.items()))
    if isinstance(content, Mapping) and "generator" in content:
        return [_checkpoint(path, content, target, source, eigenvectors)]
    if eigenvectors is not None:
        raise NavbenchError(f"{path} holds {told(content)}, which needs no eigenvectors; leave {eigenvectors} out.")
    if isinstance(content, Tensor):
        return [_spectrum(path, content, target, source)]
    if other is None:
        return _singles(contents, target, source)
    raise NavbenchError(
        f"{path} holds {told(content)}; expected a direction (with layer_ix and shift), eigenvectors (one tensor) or "
        "a checkpoint (with a generator)."
    )


def _layer_in_name(path: Path) -> str | None:
    """The layer of the authors' files of eigenvectors, which is in their names alone."""
    found = re.match(r"eigenvectors_layer(\d{1,3})(_|$)", path.stem)
    return None if found is None else found[1]


def _made(
    target: Target, layer: Layer, method: str, basis_name: str, basis: Basis, coefficients: Tensor,
    ends: Sequence[Ends | None], labels: tuple[str, ...], files: Sequence[Path], **provenance: Any,
) -> DirectionSet:  # fmt: skip
    """The set of K directions, from K coefficients, ends and labels."""
    unset = [str(index) for index, pair in enumerate(ends) if pair is None]
    but = "-1 to 1" if len(unset) == len(ends) else f"as published, but -1 to 1 for {', '.join(unset)}"
    t_min, t_max = torch.tensor([pair or (-1.0, 1.0) for pair in ends]).unbind(1)
    provenance |= {"source": "navigan", "files": [f"{path.name} {sha256(path)}" for path in files]}
    provenance["range"] = f"{but}, as none is published" if unset else "as published"
    return DirectionSet(
        generator=target.generator.name,
        weights=target.generator.fingerprint,
        space="parameter",
        layer=layer.name,
        method=method,
        basis_name=basis_name,
        basis=basis,
        coefficients=F.normalize(coefficients, dim=1),
        t_min=t_min,
        t_max=t_max,
        labels=labels,
        seed=0,
        provenance=provenance,
    )


# --- single directions


@dataclass(frozen=True)
class _Single:
    """One direction: its offset, (1, *layer.shape), and its range, if somebody set one."""

    layer: Layer
    offset: Tensor
    ends: Ends | None


def _is_direction(content: object) -> bool:
    return isinstance(content, Mapping) and "shift" in content


def _singles(contents: Mapping[Path, Any], target: Target, source: Source) -> list[DirectionSet]:
    """Sets at float32, in the axes of the space: they are no larger than their files."""
    singles = [_single(path, content, target) for path, content in contents.items()]
    labels = source.labels([" ".join(path.stem.replace("_", " ").split()) for path in contents])
    sets = []
    for layer in sorted({one.layer for one in singles}, key=lambda layer: layer.index):
        chosen = [index for index, one in enumerate(singles) if one.layer == layer]
        offsets = torch.cat([singles[index].offset for index in chosen]).flatten(1)
        ends, names = [singles[index].ends for index in chosen], tuple(labels[index] for index in chosen)
        paths, basis = [source.paths[index] for index in chosen], IdentityBasis(layer.shape)
        sets.append(_made(target, layer, "navigan", "identity", basis, offsets, ends, names, paths))
    return sets


def _single(path: Path, content: Mapping[str, Any], target: Target) -> _Single:
    """A direction, once nothing beside its shift and layer changes what it means."""
    index = content.get("layer_ix")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 1000:
        raise NavbenchError(f"{path}: layer_ix is {told(index)}; expected the index of one of the generator's convs.")
    for key, value in content.items():
        if key != "shift" and not is_plain(value):
            raise NavbenchError(f"{path} holds {key!r} beside the shift, {told(value)}; expected plain values only.")
    first, last = content.get("start_layer_ix", index), content.get("end_layer_ix", index)
    if first != index or last not in (index, index + 1):  # the end may be exclusive
        raise NavbenchError(f"{path} is for the layers {told(first)} to {told(last)}; expected one, layer_ix {index}.")
    layer = target.layer(path, index)
    shift = target.offsets(path, "shift", content["shift"], layer, count=1)
    scale = float(shift.double().norm())
    t_min = content.get("t_min")  # as this project writes it
    unset = t_min is None and abs(scale - 1) < _UNSCALED
    ends = None if unset else parsed_ends(str(path), [-scale if t_min is None else t_min, scale])
    return _Single(layer, (shift.double() / scale).float(), ends)


# --- eigenvectors and checkpoints


def _spectrum(path: Path, content: Tensor, target: Target, source: Source) -> DirectionSet:
    if target.asked is None:
        raise NavbenchError(f"{path} holds {told(content)}, eigenvectors that do not say of which layer; name it.")
    vectors = target.offsets(path, "the tensor", content, target.asked)
    return _on_stored(target, target.asked, "spectrum", vectors, torch.eye(len(vectors)), source, [path])


def _on_stored(
    target: Target, layer: Layer, method: str, vectors: Tensor, coefficients: Tensor, source: Source,
    files: Sequence[Path], scale: float | None = None, **provenance: Any,
) -> DirectionSet:  # fmt: skip
    """A set on stored offsets, whose files name and scale nothing themselves; the training shifted by up to `scale`."""
    ends, labels = source.ends(len(coefficients), scale), source.labels([""] * len(coefficients))
    basis = DenseBasis(vectors)
    return _made(target, layer, method, "stored", basis, coefficients, ends, labels, files, **provenance)


@dataclass(frozen=True)
class _Training:
    """What a checkpoint holds of one layer.

    Attributes:
        path: of the file.
        prefix: of the layer's tensors in it.
        layer: that was trained.
        on_eigenvectors: what the coefficients stand on; else on singular values.
        coefficients: (K, B), none of them zero everywhere.
        tensors: of the layer, by their names without the prefix.
    """

    path: Path
    prefix: str
    layer: Layer
    on_eigenvectors: bool
    coefficients: Tensor
    tensors: dict[str, Any]

    @classmethod
    def of(cls, path: Path, content: Mapping[str, Any], target: Target) -> "_Training":
        whole = content["generator"] if isinstance(content["generator"], Mapping) else {}
        state = {key: value for key, value in whole.items() if isinstance(key, str)}
        keys = [match for key in state if (match := _COEFFICIENTS.fullmatch(key))]
        there = ", ".join(match[2] for match in keys)
        asked = Arguments.beside(path).layer if target.asked is None else str(target.asked.index)
        if len(keys) > 1 and asked is not None:
            keys = [match for match in keys if match[2] == asked]
        if len(keys) != 1:
            found = f"coefficients for the layers {there}" if there else "no coefficients"
            raise NavbenchError(f"{path} has {found}; expected convs.N.conv.direction_to_... for one, or name which.")
        key, prefix, index, kind = keys[0][0], *keys[0].groups()
        layer, coefficients = target.layer(path, int(index)), numbers(path, key, state[key])
        if coefficients.ndim != 2 or not len(coefficients) or not coefficients.any(dim=1).all():
            raise NavbenchError(f"{path}: {key} is {told(coefficients)}; expected rows of coefficients, none all zero.")
        tensors = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        return cls(path, prefix, layer, kind == "basis_coefs", coefficients, tensors)

    def matrix(self, name: str, rows: int, columns: int) -> Tensor:
        """A tensor of the layer that must have that size."""
        found = numbers(self.path, self.prefix + name, self.tensors.get(name))
        if found.shape != (rows, columns):
            raise NavbenchError(
                f"{self.path}: {self.prefix}{name} is {size(found.shape)}; expected {rows}x{columns}, as "
                f"{self.layer.name} has a kernel of {size(self.layer.shape)}."
            )
        return found


def _checkpoint(
    path: Path, content: Mapping[str, Any], target: Target, source: Source, eigenvectors: Path | None
) -> DirectionSet:
    """The directions that a training has learned, by their indices there."""
    arguments = Arguments.beside(path)
    training, scale = _Training.of(path, content, target), arguments.shift_scale
    number = content.get("step")
    step = {"step": number} if isinstance(number, int) and 0 <= number < 2**63 else {}
    if training.on_eigenvectors:
        eigenvectors = eigenvectors or arguments.eigenvectors
        if eigenvectors is None:
            raise NavbenchError(f"{path} has coefficients on the eigenvectors of another file; name that one too.")
        vectors, coefficients = _combined(training, eigenvectors, target)
        files = [path, eigenvectors]
        return _on_stored(target, training.layer, "hybrid", vectors, coefficients, source, files, scale, **step)
    if eigenvectors is not None:
        raise NavbenchError(f"{path} was trained on singular values, without eigenvectors; leave {eigenvectors} out.")
    vectors = _moved_singular_values(training, target)
    eye = torch.eye(len(vectors))
    return _on_stored(target, training.layer, "optimization", vectors, eye, source, [path], scale, **step)


def _combined(training: _Training, eigenvectors: Path, target: Target) -> tuple[Tensor, Tensor]:
    """The eigenvectors, and the coefficients (K, B) on them once each has unit norm, as those of a basis here have."""
    layer, path = training.layer, training.path
    vectors = target.offsets(eigenvectors, "the tensor", read_torch(eigenvectors), layer)
    if len(vectors) != training.coefficients.shape[1]:
        raise NavbenchError(
            f"{path} has coefficients on {training.coefficients.shape[1]} eigenvectors, but {eigenvectors} holds "
            f"{len(vectors)}; name the file that it was trained on."
        )
    if "weight" in training.tensors:
        kernel = target.offsets(path, f"{training.prefix}weight", training.tensors["weight"], layer, count=1)[0]
        target.refuse_other_kernel(path, layer, kernel)
    return vectors, training.coefficients * vectors.flatten(1).norm(dim=1)


def _moved_singular_values(training: _Training, target: Target) -> Tensor:
    """The offsets u diag(delta) vh, (K, *layer.shape), of the file's own u (k * k * in, r) and vh (r, out).

    A new decomposition would have other vectors where singular values nearly coincide.  The authors flatten as
    `Layer.flatten` does; that u and vh are of this kernel shows in their terms making it up.
    """
    layer, delta = training.layer, training.coefficients
    matrix = layer.flatten(target.generator.kernel(layer).detach().cpu())
    rank = min(matrix.shape)
    u, vh = training.matrix("u", len(matrix), rank), training.matrix("vh", rank, matrix.shape[1])
    if delta.shape[1] != rank:
        raise NavbenchError(f"{training.path} moves {delta.shape[1]} singular values, but {layer.name} has {rank}.")
    values = torch.einsum("ir,ij,rj->r", u, matrix, vh)
    target.refuse_other_kernel(training.path, layer, layer.unflatten((u * values) @ vh))
    return layer.unflatten((u * delta[:, None, :]) @ vh)


# --- writing -------------------------------------------------------------------------------------------------


def write(found: Direction | DirectionSet, path: Path, *, overwrite: bool = False) -> list[Path]:
    """Write a direction or a set for the authors' code; the files that were written, each atomically.

    A direction becomes one file, `{layer_ix, shift, t_min}`.  The norm of its shift, the recommended scale, is t_max,
    for multiples of the shift are what is edited with; their code passes over t_min, `read` does not.

    A set becomes a folder: its offsets as `eigenvectors.pt`, of unit norm, whatever their method; its labels as
    `human_annotation.txt`; and its ranges, for which their format has no place, as `ranges.txt`.

    Raises:
        NavbenchError: a file is there already, or the offsets are not of a kernel `convs.N`.
    """
    where = re.fullmatch(r"convs\.(\d+)", found.layer or "") if found.space == "parameter" else None
    if where is None:
        name = found.name if isinstance(found, Direction) else found.set_id
        place = found.space if found.layer is None else f"{found.space} {found.layer}"
        raise NavbenchError(
            f"{name} is in {place}, but navigan's files hold shifts of the kernels convs.0, convs.1, ... of a "
            "StyleGAN2 only; choose one of those."
        )
    if isinstance(found, Direction):
        shift = (found.offset * found.t_max).cpu()[None, None]
        files = {path: saved({"layer_ix": int(where[1]), "shift": shift, "t_min": found.t_min})}
    else:
        files = {path / name: content for name, content in _folder(found).items()}
    for file in files:
        if file.exists() and not overwrite:
            raise NavbenchError(f"{file} exists already; choose another place, or say --force to replace it.")
    for file, content in files.items():
        write_atomically(file, content)
    return list(files)


def _folder(found: DirectionSet) -> dict[str, bytes]:
    """What the files of a set hold."""
    vectors = torch.stack([one.offset.cpu() for one in found])[:, None]
    names = [f"{one.index}: {_label(one.label)}\n" for one in found if one.label.strip()]
    ranges = [f"{one.index}: {one.t_min!r} {one.t_max!r}\n" for one in found]
    return {EIGENVECTORS: saved(vectors), ANNOTATION: "".join(names).encode(), RANGES: "".join(ranges).encode()}


def _label(label: str) -> str:
    """A label as a line of their annotation, which their code takes apart at every ': '."""
    return " ".join(label.split()).replace(": ", " - ")
