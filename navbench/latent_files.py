"""Latent directions in the files of other tools, read as direction sets.

| tool | file | directions | range |
| --- | --- | --- | --- |
| genforce/interfacegan | `.npy`, (1, D) or (1, L * D) | unit normals | -3 to 3, as its edit.py has it |
| harskish/ganspace | `.npz` with `lat_comp` and `lat_stdev` | components | two of these deviations |
| rosinality/stylegan2-pytorch | `{ckpt, eigvec}` | columns, in w | -5 to 5, as its apply_factor.py has it |
| anvoynov/GANLatentDiscovery | state dict of a deformator | columns | `shift_scale` of its args.json |

Which latent space they are in only some of the files say.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench.arrays import read_arrays
from navbench.basis import IdentityBasis
from navbench.directions import DirectionSet
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.files import sha256
from navbench.generators.base import Generator
from navbench.navigan_files import Arguments, numbered, numbers, size, told
from navbench.pickles import read_torch

_BOUNDARY, _FACTOR, _DEVIATIONS = 3.0, 5.0, 2.0
"""How far the tools go unless they are told otherwise; GANSpace's sliders go so many standard deviations."""
_MATRICES = ("linear.weight", "log_mat_half")
"""What a deformator holds: its columns, or half the logarithm of an orthogonal matrix."""
_NORMAL = 1e-3
"""How far from 1 the norm of a unit normal may be."""


@dataclass(frozen=True)
class _Vectors:
    """What a file holds.

    Attributes:
        method: that found the directions.
        rows: (K, D), a direction each.
        scales: (K,), how far each goes to either side, in units of a row of norm 1.
        spaces: the latent spaces that they may be in.
        labels: K.
        published: whether the range is the file's own.
    """

    method: str
    rows: Tensor
    scales: Tensor
    spaces: tuple[str, ...]
    labels: tuple[str, ...]
    published: bool = True


def holds_latent_directions(path: Path) -> bool:
    """Whether a file is one of these tools', by its ending or by what is in it."""
    if path.suffix.lower() in (".npy", ".npz"):
        return True
    content = read_torch(path) if path.is_file() else None
    return isinstance(content, Mapping) and ("eigvec" in content or any(name in content for name in _MATRICES))


def read_set(
    files: Sequence[Path], generator: Generator, space: str | None = None, annotation: Path | None = None
) -> DirectionSet:
    """The direction set in a file, or of several boundaries, one each.

    Args:
        files: of one tool.
        generator: that the directions were found on; nothing in the files tells.
        space: the kind of latent space; needed where the file does not say it and the generator has several that fit.
        annotation: labels, lines 'index: name'.

    Raises:
        NavbenchError: a file is broken, holds something else, or does not fit the generator.
    """
    found = [_read(path) for path in files]
    if len(files) > 1 and any(each.method != "interfacegan" for each in found):
        raise NavbenchError(f"Only boundaries of InterFaceGAN are read together; give {files[0]} alone.")
    kind = _kind(files[0], found, generator, space)
    rows = torch.cat([each.rows for each in found])
    scales = torch.cat([each.scales for each in found])
    labels = [label for each in found for label in each.labels]
    if annotation is not None:
        names = numbered(annotation, len(labels), "name")
        labels = [names.get(index, "") for index in range(len(labels))]
    how = "as published" if found[0].published else "-1 to 1, as none is published"
    return DirectionSet(
        generator=generator.name,
        weights=generator.fingerprint,
        space=kind,
        layer=None,
        method=found[0].method,
        basis_name="identity",
        basis=IdentityBasis(generator.latent_shape(kind)),
        coefficients=F.normalize(rows, dim=1),
        t_min=-scales,
        t_max=scales,
        labels=tuple(labels),
        seed=0,
        provenance={
            "source": found[0].method,
            "files": [f"{path.name} {sha256(path)}" for path in files],
            "range": how,
        },
    )


def _kind(path: Path, found: Sequence[_Vectors], generator: Generator, asked: str | None) -> str:
    """The latent space that all vectors are in."""
    widths = {each.rows.shape[1] for each in found}
    fitting = [
        kind
        for kind in generator.latents
        if widths == {generator.latent_shape(kind).numel()} and all(kind in each.spaces for each in found)
    ]
    if asked is None and len(fitting) > 1:
        raise NavbenchError(f"{path} does not say whether its directions are of {' or '.join(fitting)}; say --space.")
    chosen = asked or (fitting[0] if fitting else None)
    if chosen not in fitting:
        has = ", ".join(f"{kind} of {generator.latent_shape(kind).numel()}" for kind in generator.latents) or "none"
        raise NavbenchError(
            f"{path} holds directions of {', '.join(map(str, sorted(widths)))} numbers in "
            f"{' or '.join(found[0].spaces)}, which fit no such latent space of generator {generator.name} ({has})."
        )
    return chosen


# --- the files of each tool


def _read(path: Path) -> _Vectors:
    if path.suffix.lower() == ".npy":
        return _boundary(path, read_arrays(path)[""])
    if path.suffix.lower() == ".npz":
        return _components(path, read_arrays(path, ("lat_comp", "lat_stdev")))
    content = read_torch(path)
    if isinstance(content, Mapping) and "eigvec" in content:
        return _factor(path, content["eigvec"])
    if isinstance(content, Mapping) and any(name in content for name in _MATRICES):
        return _deformator(path, content)
    raise NavbenchError(f"{path} holds {told(content)}; expected eigvec, or the state dict of a deformator.")


def _rows(path: Path, name: str, value: Any) -> Tensor:
    """Directions (K, D) of any shape (K, ...), finite and none of them zero."""
    rows = numbers(path, name, value if isinstance(value, Tensor) else torch.as_tensor(value))
    rows = rows.reshape(1, -1) if rows.ndim < 2 else rows.flatten(1)
    if not len(rows) or not rows.any(dim=1).all():
        raise NavbenchError(f"{path}: {name} is {size(rows.shape)}; expected directions, none zero everywhere.")
    return rows


def _boundary(path: Path, array: Any) -> _Vectors:
    """InterFaceGAN's: the unit normal of a hyperplane, named by its file."""
    rows = _rows(path, "the array", array)
    if float((rows.norm(dim=1) - 1).abs().max()) > _NORMAL:
        raise NavbenchError(f"{path} holds {size(rows.shape)} numbers that are no unit normals of boundaries.")
    label = " ".join(path.stem.replace("_", " ").split())
    labels = (label,) if len(rows) == 1 else tuple(f"{label} {index}" for index in range(len(rows)))
    spaces = ("w", "w+") if re.search(r"_wp?_", path.stem) else ("z", "w", "w+")
    return _Vectors("interfacegan", rows, torch.full((len(rows),), _BOUNDARY), spaces, labels)


def _components(path: Path, arrays: Mapping[str, Any]) -> _Vectors:
    """GANSpace's: what each principal component is in the latent, and how much codes vary along it."""
    if missing := {"lat_comp", "lat_stdev"} - arrays.keys():
        raise NavbenchError(f"{path} has no {' and no '.join(sorted(missing))}, which components of GANSpace have.")
    rows, deviations = _rows(path, "lat_comp", arrays["lat_comp"]), torch.as_tensor(arrays["lat_stdev"]).float()
    if deviations.shape != (len(rows),) or not (torch.isfinite(deviations) & (deviations > 0)).all():
        raise NavbenchError(f"{path}: lat_stdev is {size(deviations.shape)}; expected {len(rows)} positive numbers.")
    spaces = ("w",) if re.search(r"_w(_seed\d+)?$", path.stem) else ("z", "w", "w+")  # as it names its files
    return _Vectors("ganspace", rows, _DEVIATIONS * deviations, spaces, ("",) * len(rows))


def _factor(path: Path, eigvec: Any) -> _Vectors:
    """Rosinality's closed-form factorization of the modulations, which read w."""
    columns = numbers(path, "eigvec", eigvec)
    if columns.ndim != 2:
        raise NavbenchError(f"{path}: eigvec is {size(columns.shape)}; expected a column per direction.")
    rows = _rows(path, "eigvec", columns.T)
    return _Vectors("sefa", rows, torch.full((len(rows),), _FACTOR), ("w",), ("",) * len(rows))


def _deformator(path: Path, state: Mapping[str, Any]) -> _Vectors:
    """GANLatentDiscovery's: column k is what a step along direction k adds to the latent."""
    arguments = Arguments.beside(path)
    name = next(name for name in _MATRICES if name in state)
    matrix = numbers(path, name, state[name])
    if matrix.ndim != 2 or (name == "log_mat_half" and len(matrix) != matrix.shape[1]):
        raise NavbenchError(f"{path}: {name} is {size(matrix.shape)}; expected a column per direction.")
    if name == "log_mat_half":
        matrix = torch.matrix_exp((matrix - matrix.T).double()).float()
    if "linear.bias" in state and float(numbers(path, "linear.bias", state["linear.bias"]).abs().max()) > 0:
        sentence = f"{path}: the deformator's bias, which moves all codes alike, is no part of its directions."
        warnings.warn(sentence, NavbenchWarning, stacklevel=2)
    rows = _rows(path, name, matrix.T)
    scale = torch.ones(len(rows)) if arguments.shift_scale is None else arguments.shift_scale * rows.norm(dim=1)
    if arguments.deformator == "proj" and arguments.shift_scale is not None:  # it gives steps their length back
        scale = torch.full((len(rows),), arguments.shift_scale)
    spaces = {True: ("w",), False: ("z",), None: ("z", "w")}[arguments.w_shift]
    labels = numbered(arguments.annotation, len(rows), "name") if arguments.annotation is not None else {}
    names = tuple(labels.get(index, "") for index in range(len(rows)))
    return _Vectors("latent-optimization", rows, scale, spaces, names, arguments.shift_scale is not None)
