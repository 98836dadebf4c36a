"""Directions, the sets that they come in, and the files that hold those; `library` finds them by name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from navbench import spaces
from navbench.basis import Basis, DenseBasis, IdentityBasis, SvdBasis, random_basis
from navbench.errors import NavbenchError
from navbench.files import write_atomically
from navbench.fingerprints import tensor_hash
from navbench.generators.base import Generator
from navbench.library import FORMAT, NOT_INTERPRETABLE, RANGES_BY_HAND, SetFile, open_set
from navbench.spaces import ParameterSpace, Space
from navbench.texts import file_name


@dataclass(frozen=True)
class Direction:
    """A unit-norm offset in one space, and how far it goes.

    Attributes:
        name: 'generator/method/layer/index', its full name.
        basis, coefficients: what the offset is made of, when it is asked for; coefficients (B,).
        t_min, t_max: the range of the shift t, t_min < 0 < t_max.
        scores: what its method knows of it, such as a Rayleigh quotient; empty for some methods.
    """

    generator: str
    method: str
    space: str
    layer: str | None
    index: int
    label: str
    basis: Basis
    coefficients: Tensor
    t_min: float
    t_max: float
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where its offset is added: the layer's name, or the latent space's."""
        return self.layer or self.space

    @property
    def name(self) -> str:
        """The full name: 'faces/hybrid/main.6/3', 'cars/ganspace/w/0'."""
        return f"{self.generator}/{self.method}/{self.place}/{self.index}"

    @property
    def offset(self) -> Tensor:
        """The offset, of unit norm, (*space.shape); made anew each time, as it may be large."""
        offset = self.basis.combine(self.coefficients[None])[0]
        return offset / offset.norm()

    @cached_property
    def cache_key(self) -> list[Any]:
        """What results depend on: all but its name and label."""
        return [self.space, self.layer, self.basis.cache_key, tensor_hash(self.coefficients), self.t_min, self.t_max]

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return file_name(self.name)

    def space_of(self, generator: Generator) -> Space:
        """The space of this direction; refused if the generator's layer has another shape."""
        space = spaces.create(generator, self.space, self.layer)
        if space.shape != self.basis.shape:
            raise NavbenchError(
                f"Direction {self.name} has offsets of shape {tuple(self.basis.shape)}, but {spaces.describe(space)} "
                f"of generator {generator.name} has {tuple(space.shape)}; it was found on another generator."
            )
        return space

    def shifts(self, count: int) -> Tensor:
        """An odd number of shifts from t_min over 0 to t_max, evenly spaced on each side, float64."""
        if count < 3 or count % 2 == 0:
            raise NavbenchError(f"A curve has {count} shifts; it needs an odd number of at least 3, with t = 0 inside.")
        side = torch.linspace(0, 1, count // 2 + 1, dtype=torch.float64)
        return torch.cat([self.t_min * side.flip(0)[:-1], self.t_max * side])


@dataclass(frozen=True)
class DirectionSet:
    """K directions of one method in one space: coefficients on a basis.

    Attributes:
        weights: fingerprint of the generator's weights.
        layer: its name; `None` for a latent space.
        basis_name: 'stored', 'svd' (the kernel determines it), 'random' (the seed does), 'identity' (the axes of the
            space), or 'set:PATH' for the basis of another set, PATH relative to the folder of this one.
        basis_sha256: of the basis tensor in the file that holds it; '' where no file does.
        coefficients: (K, B), unit-norm rows, float32.
        t_min, t_max: (K,), the range of each direction.
        labels: K names by hand, '' where there is none.
        scores: per direction, (K,) each.
        settings: of the method, as it ran; provenance: versions, seconds, summary figures.
        not_interpretable, ranges_by_hand: indices of directions that somebody marked so, or whose range somebody set.
    """

    generator: str
    weights: str
    space: str
    layer: str | None
    method: str
    basis_name: str
    basis: Basis
    coefficients: Tensor
    t_min: Tensor
    t_max: Tensor
    labels: tuple[str, ...]
    seed: int
    basis_sha256: str = ""
    scores: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    not_interpretable: tuple[int, ...] = ()
    ranges_by_hand: tuple[int, ...] = ()

    def __repr__(self) -> str:
        count = len(self)
        return f"DirectionSet({self.set_id}, {count} direction{'s' if count != 1 else ''})"

    def _repr_html_(self) -> str:
        import pandas as pd

        columns = {"label": self.labels, "t_min": self.t_min.tolist(), "t_max": self.t_max.tolist()}
        columns |= {name: values.tolist() for name, values in self.scores.items()}
        return f"<b>{escape(repr(self))}</b>{pd.DataFrame(columns).to_html(float_format='{:.3g}'.format)}"

    def __len__(self) -> int:
        return len(self.coefficients)

    def __iter__(self) -> Iterator[Direction]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Direction:
        return Direction(
            self.generator,
            self.method,
            self.space,
            self.layer,
            index,
            self.labels[index],
            self.basis,
            self.coefficients[index],
            float(self.t_min[index]),
            float(self.t_max[index]),
            {name: float(values[index]) for name, values in self.scores.items()},
        )

    def first(self, count: int) -> "DirectionSet":
        """The same set with its first `count` directions alone; the whole one if it has no more."""
        rows = slice(count)
        return replace(
            self,
            coefficients=self.coefficients[rows],
            t_min=self.t_min[rows],
            t_max=self.t_max[rows],
            labels=self.labels[rows],
            scores={name: values[rows] for name, values in self.scores.items()},
            not_interpretable=tuple(index for index in self.not_interpretable if index < count),
            ranges_by_hand=tuple(index for index in self.ranges_by_hand if index < count),
        )

    @property
    def place(self) -> str:
        """Where offsets are added: the layer's name, or the latent space's."""
        return self.layer or self.space

    @property
    def cache_key(self) -> list[Any]:
        """What results depend on: the weights, the method, and every direction."""
        return [self.weights, self.method, self.seed, [direction.cache_key for direction in self]]

    @property
    def set_id(self) -> str:
        """'generator/method/place', what the names of its directions begin with."""
        return f"{self.generator}/{self.method}/{self.place}"


# --- files ---------------------------------------------------------------------------------------------------


def write_set(directions: DirectionSet, path: Path, *, overwrite: bool = False) -> None:
    """Write a set as one safetensors file; a stored basis goes in at half precision, whatever else at float32."""
    if path.exists() and not overwrite:
        raise NavbenchError(f"{path} exists already; choose another folder, or say --force to replace it.")
    tensors = {"coefficients": directions.coefficients, "t_min": directions.t_min, "t_max": directions.t_max}
    tensors |= {f"score.{name}": values for name, values in directions.scores.items()}
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in tensors.items()}
    if isinstance(directions.basis, DenseBasis) and directions.basis_name == "stored":
        tensors["basis"] = directions.basis.vectors.half().cpu().contiguous()
    basis_sha256 = tensor_hash(tensors["basis"]) if "basis" in tensors else directions.basis_sha256
    header = {
        "format": FORMAT,
        "generator": directions.generator,
        "weights": directions.weights,
        "space": directions.space,
        "layer": directions.layer,
        "method": directions.method,
        "basis": directions.basis_name,
        "basis_sha256": basis_sha256,
        "labels": directions.labels,
        "seed": directions.seed,
        "settings": directions.settings,
        "provenance": directions.provenance,
    }
    by_hand = {NOT_INTERPRETABLE: directions.not_interpretable, RANGES_BY_HAND: directions.ranges_by_hand}
    header |= {key: indices for key, indices in by_hand.items() if indices}
    write_atomically(path, save(tensors, {"navbench": json.dumps(header, sort_keys=True)}))


def load_set(file: SetFile, generator: Generator) -> DirectionSet:
    """The whole set, on the generator that it was found on."""
    header = file.header
    if header["weights"] != generator.fingerprint:
        raise NavbenchError(
            f"Directions {file.set_id} were found on weights {header['weights'][:12]}, but generator "
            f"{generator.name}{f' ({generator.variant})' if generator.variant else ''} has "
            f"{generator.fingerprint[:12]}; rediscover them for these weights."
        )
    tensors, space = _tensors(file.path), spaces.create(generator, header["space"], header["layer"])
    loaded = DirectionSet(
        header["generator"],
        header["weights"],
        header["space"],
        header["layer"],
        header["method"],
        header["basis"],
        _basis(file, space, tensors),
        tensors["coefficients"],
        tensors["t_min"],
        tensors["t_max"],
        tuple(header["labels"]),
        header["seed"],
        header["basis_sha256"],
        {key.removeprefix("score."): value for key, value in tensors.items() if key.startswith("score.")},
        header["settings"],
        header["provenance"],
        tuple(header.get(NOT_INTERPRETABLE, ())),
        tuple(header.get(RANGES_BY_HAND, ())),
    )
    _refuse_misfit(loaded, space, file.path)
    return loaded


def _refuse_misfit(loaded: DirectionSet, space: Space, path: Path) -> None:
    """Refuse tensors that do not fit the space or each other, and directions without an offset or a range."""
    if loaded.basis.shape != space.shape or loaded.basis.count != loaded.coefficients.shape[1]:
        raise NavbenchError(
            f"{path}: {loaded.basis.count} offsets of shape {tuple(loaded.basis.shape)} and coefficients of "
            f"shape {tuple(loaded.coefficients.shape)} do not fit {spaces.describe(space)}, {tuple(space.shape)}."
        )
    norms = loaded.coefficients.norm(dim=1)
    if not (torch.isfinite(norms) & (norms > 0)).all():
        raise NavbenchError(f"{path}: a direction has coefficients that are all zero or not finite.")
    ends = torch.stack([-loaded.t_min, loaded.t_max])
    if not (torch.isfinite(ends) & (ends > 0)).all():
        raise NavbenchError(f"{path}: every direction needs a finite range with t_min < 0 < t_max.")


def _basis(file: SetFile, space: Space, tensors: dict[str, Tensor]) -> Basis:
    name = file.header["basis"]
    if name == "svd":
        if not isinstance(space, ParameterSpace):
            raise NavbenchError(f"{file.path}: only a kernel has an svd, {spaces.describe(space)} has none.")
        return SvdBasis(space.layer, space.generator.kernel(space.layer))
    if name == "identity":
        return IdentityBasis(space.shape)
    if name == "random":
        return random_basis(space.shape, tensors["coefficients"].shape[1], file.header["seed"])
    holder = file.path
    if name != "stored":
        holder = file.path.parent / name.removeprefix("set:")
        if not holder.is_file():
            raise NavbenchError(f"{file.path} takes its basis from {holder}, which does not exist; put it there.")
        open_set(holder)
        tensors = _tensors(holder)
    if "basis" not in tensors:
        raise NavbenchError(f"{holder}: the tensor 'basis' is missing; write the set again.")
    if not torch.isfinite(tensors["basis"]).all():
        raise NavbenchError(f"{holder}: its basis holds NaN or infinite numbers; write the set again.")
    if name != "stored" and tensor_hash(tensors["basis"]) != file.header["basis_sha256"]:
        raise NavbenchError(f"{holder} holds another basis than {file.path} was found on; find the latter anew.")
    return DenseBasis(tensors["basis"])


def _tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        # Copies, for the file is mapped into memory, and may be written over while they are in use.
        return {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 (not a mapping)
