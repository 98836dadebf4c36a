"""The direction sets that there are: what their headers say, and the names that find them; nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from navbench.errors import NavbenchError, unknown
from navbench.files import locked, sha256, write_atomically
from navbench.texts import leads_outside, legible, shown
from navbench.words import LATENTS

if TYPE_CHECKING:
    import numpy as np

    from navbench.directions import DirectionSet
    from navbench.generators.base import Generator

FORMAT = 1
NOT_INTERPRETABLE, RANGES_BY_HAND = "not_interpretable", "ranges_by_hand"
"""Lists of indices in a header, left out if empty: directions that somebody marked, and whose range somebody set."""
_PER_DIRECTION = {"channels": "channel", "attributes": "attribute"}
"""Lists in a provenance with an entry for each direction, and what an entry is called."""
_LONGEST_TEXT = 500
"""Characters of a text in a header, such as a label or a path."""
_MOST_LISTED = 40
"""Names that an error lists."""
_KINDS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    **dict.fromkeys(("generator", "weights", "space", "method", "basis", "basis_sha256"), ("a text", (str,))),
    "layer": ("a text or null", (str, type(None))),
    "labels": ("a list", (list,)),
    "seed": ("a whole number", (int,)),
    **dict.fromkeys(("settings", "provenance"), ("a table", (dict,))),
}
"""What each entry of a header is."""
_FLOATS = ("F16", "F32", "F64")
"""What safetensors calls the numbers that a set's tensors may be of; NumPy, which writes them anew, has no BF16."""


def _shipped() -> Path:
    """The folder of the sets that come with navbench: a package of its own, or in a bare checkout beside this one."""
    try:
        return Path(str(resources.files("navbench_directions")))
    except ModuleNotFoundError:
        return Path(__file__).resolve().parent.parent / "directions"


SHIPPED = _shipped()


@dataclass(frozen=True)
class SetFile:
    """A direction set on disk, of which only the header has been read."""

    path: Path
    header: dict[str, Any]
    count: int

    @property
    def place(self) -> str:
        """Where offsets are added: the layer's name, or the latent space's."""
        return self.header["layer"] or self.header["space"]

    @property
    def status(self) -> str:
        """Of a learned set, whether its learning converged; '' if it does not say so."""
        return str(self.header["provenance"].get("status", ""))

    @property
    def set_id(self) -> str:
        """'generator/method/place'."""
        return f"{self.header['generator']}/{self.header['method']}/{self.place}"

    @property
    def sha256(self) -> str:
        """Of the whole file."""
        return sha256(self.path)

    def names(self) -> list[str]:
        """The full names of its directions."""
        return [f"{self.set_id}/{index}" for index in range(self.count)]

    def provenance_of(self, index: int) -> dict[str, Any]:
        """The provenance, with the direction's own entry in place of lists that have one for each."""
        told = dict(self.header["provenance"])
        for key, name in _PER_DIRECTION.items():
            if isinstance(told.get(key), list) and len(told[key]) == self.count:
                told[name] = told.pop(key)[index]
        return told

    def load(self, generator: Generator) -> DirectionSet:
        """The whole set, on the generator that it was found on; this needs torch."""
        from navbench.directions import load_set

        return load_set(self, generator)


def amend(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    """Change a set's file as it stands now, whole or not at all; writers wait for each other.

    Args:
        path: of the set.
        change: of its header and its tensors, in place.
    """
    with locked(path):
        open_set(path)
        with safe_open(path, framework="numpy") as file:
            header = json.loads(file.metadata()["navbench"])  # as it stands: what is shown of long texts is cut
        tensors = load_file(path)
        change(header, tensors)
        write_atomically(path, save(tensors, {"navbench": json.dumps(header, sort_keys=True)}))


def mark(header: dict[str, Any], key: str, index: int, marked: bool) -> None:
    """Put a direction into a header's list of directions, or take it out; a list without any is left out."""
    members = sorted({*header.get(key, ()), index} if marked else set(header.get(key, ())) - {index})
    header.pop(key, None)
    if members:
        header[key] = members


def open_set(path: Path) -> SetFile:
    """Read the header of a direction set."""
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["navbench"])
            count, _ = file.get_slice("coefficients").get_shape()
            _check_tensors(file, count)
            _check_header(header, count)
            header = legible(header, _LONGEST_TEXT)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise NavbenchError(f"{path} is not a navbench direction set ({error}).") from error
    needed = {"format", "generator", "weights", "space", "layer", "method", "basis", "basis_sha256", "labels", "seed"}
    if missing := needed - header.keys():
        raise NavbenchError(f"{path}: its header lacks {', '.join(sorted(missing))}; write the set again.")
    if header["format"] != FORMAT:
        raise NavbenchError(f"{path} has format {header['format']}; this navbench reads format {FORMAT}.")
    if (header["layer"] is None) != (header["space"] in LATENTS):
        where = f"space {header['space']!r} and layer {header['layer']!r}"
        raise NavbenchError(
            f"{path}: its header names {where}, but latent spaces belong to no layer, and others to one."
        )
    return SetFile(path, {"settings": {}, "provenance": {}} | header, count)


def _check_tensors(file: safe_open, count: int) -> None:
    """Refuse what cannot be the tensors of so many directions."""
    if count < 1:
        raise ValueError("it holds no direction")
    for key in file.keys():  # noqa: SIM118 (not a mapping)
        tensor = file.get_slice(key)
        if tensor.get_dtype() not in _FLOATS:
            raise ValueError(f"{shown(key)} is of {tensor.get_dtype()}, not of {', '.join(_FLOATS)}")
        if key.startswith("score.") and tensor.get_shape() != [count]:
            raise ValueError(f"{shown(key)} must have one number per direction")
    if any(file.get_slice(key).get_shape() != [count] for key in ("t_min", "t_max")):
        raise ValueError("t_min and t_max must have one number per direction")


def _check_header(header: dict[str, Any], count: int) -> None:
    """Refuse entries of another kind than they must be; those that are missing are told elsewhere."""
    if not isinstance(header, dict):
        raise TypeError("its header is no table")
    for key, (kind, types) in _KINDS.items():
        if key in header and type(header[key]) not in types:
            raise ValueError(f"{key} in its header is {shown(repr(header[key]), 40)}, not {kind}")
    labels = header["labels"]
    if len(labels) != count or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels in its header must be one text per direction")
    if not 0 <= header.get("seed", 0) < 2**63:
        raise ValueError("seed in its header must be from 0 to 2**63 - 1")
    for key in (NOT_INTERPRETABLE, RANGES_BY_HAND):
        members = header.get(key, [])
        if type(members) is not list or not all(type(index) is int and 0 <= index < count for index in members):
            raise ValueError(f"{key} in its header must list directions of the set")


def set_path(root: Path, set_id: str) -> Path:
    """Where a set of that id belongs under a folder of directions.

    Raises:
        NavbenchError: a name in it is no name of a file or folder there.
    """
    if leads_outside(set_id) or "" in set_id.split("/"):
        raise NavbenchError(f"The set {set_id!r} cannot be a file under {root}; give its generator a plainer name.")
    return root / f"{set_id}.safetensors"


class Library:
    """The direction sets under some folders, found by name; an earlier folder hides a later one's set."""

    def __init__(self, roots: Sequence[Path] = (SHIPPED,)) -> None:
        for root in roots:
            if not root.is_dir():
                raise NavbenchError(f"{root} is not a folder of directions; name one that navbench discover wrote.")
        self.roots = tuple(roots)
        files = [open_set(path) for root in reversed(roots) for path in sorted(root.rglob("*.safetensors"))]
        self.sets = {file.set_id: file for file in files}

    def of(self, generator: str) -> list[SetFile]:
        """The sets of one generator, sorted by id."""
        return [file for _, file in sorted(self.sets.items()) if file.header["generator"] == generator]

    def also_as(self, generator: str, name: str) -> Library:
        """The library in which the sets of a generator are there under another name of it, too.

        Sets that were found under that name come first.
        """
        other = copy(self)
        renamed = [replace(file, header=file.header | {"generator": name}) for file in self.of(generator)]
        other.sets = {file.set_id: file for file in renamed} | self.sets
        return other

    def find(self, name: str, automatic: Mapping[str, str] | None = None) -> tuple[SetFile, int]:
        """The one direction whose full name, label, or unique run of name parts is `name`.

        Args:
            name: as the user, or a report, calls it.
            automatic: further labels, by full name, such as those that a run gave; labels by hand come first.

        Raises:
            NavbenchError: there is none, or there are several, which are listed.
        """
        entries = [(file, index, full) for file in self.sets.values() for index, full in enumerate(file.names())]
        exact = [entry for entry in entries if entry[2] == name]
        labelled = [entry for entry in entries if _alike(entry[0].header["labels"][entry[1]], name)]
        automatically = [entry for entry in entries if _alike((automatic or {}).get(entry[2], ""), name)]
        partly = [entry for entry in entries if f"/{name}/" in f"/{entry[2]}/"]
        matches = exact or labelled or automatically or partly
        if not matches:
            labels = [label for file in self.sets.values() for label in file.header["labels"] if label]
            raise unknown("direction", name, [*(full for *_, full in entries), *labels, *(automatic or {}).values()])
        if len(matches) > 1:
            raise _ambiguous(name, [full for *_, full in matches])
        file, index, _ = matches[0]
        return file, index


def _alike(label: str, name: str) -> bool:
    """Whether a name is a label, in capitals or not; a report writes the sign of an automatic one as a true minus."""
    return label != "" and label.lower() == name.lower().replace("\N{MINUS SIGN}", "-")


def _ambiguous(name: str, names: Sequence[str]) -> NavbenchError:
    more = [f"and {len(names) - _MOST_LISTED} more"] if len(names) > _MOST_LISTED else []
    return NavbenchError(
        f"Direction {name!r} is not unique; say more of the name, or take one of these {len(names)}:",
        *names[:_MOST_LISTED],
        *more,
    )


def library(folder: str | Path | None = None) -> Library:
    """The direction sets of a folder, if one is given, then the shipped ones."""
    shipped = [SHIPPED] if SHIPPED.is_dir() else []
    return Library([Path(folder), *shipped] if folder else shipped)
