"""Tensors in a safetensors file at a place: only what is asked for is read, from a disk or over a network."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from navbench.places import Place

FIRST_BYTES = 16 << 10
"""The first read over a network: the header, in all but the largest files, which need a second."""


class TensorFile(Protocol):
    """A file of named tensors, open for reading."""

    def metadata(self) -> dict[str, str]:
        """What its header says beside names, kinds and shapes."""

    def names(self) -> list[str]:
        """Of its tensors."""

    def tensor(self, name: str) -> Tensor:
        """One whole tensor."""

    def slice(self, name: str, index: int) -> Tensor:
        """The slice of that index along the first dimension."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor, of which nothing is read."""


def open_tensors(place: Place, name: str) -> TensorFile:
    """A file of tensors, whose methods may raise:

    Raises:
        FileNotFoundError: there is no file of that name.
        SafetensorError, ValueError: it holds no tensors; IsADirectoryError: it is a folder.
        OSError: it cannot be read.
    """
    if (path := place.file(name)) is not None:
        if path.is_dir():  # of which safetensors tells the error of a device
            raise IsADirectoryError(f"{path} is a folder")
        return _Mapped(path)
    return _Ranged(place, name)


def read_tensors(place: Place, name: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and all tensors of a file, in one request; errors are those of `open_tensors`."""
    if place.file(name) is not None:
        file = open_tensors(place, name)
        return file.metadata(), {key: file.tensor(key) for key in file.names()}
    content = place.read(name)
    tensors = load(content)  # before the header is taken apart, as this checks it
    return _metadata(_header(content)), tensors


@dataclass(frozen=True)
class _Mapped:
    """On a disk, mapped into memory while it is read: what stays mapped counts as memory of the process."""

    path: Path

    def metadata(self) -> dict[str, str]:
        with safe_open(self.path, framework="pt") as file:
            return file.metadata() or {}

    def names(self) -> list[str]:
        with safe_open(self.path, framework="pt") as file:
            return list(file.keys())

    def tensor(self, name: str) -> Tensor:
        with safe_open(self.path, framework="pt") as file:
            return file.get_tensor(name).clone()

    def slice(self, name: str, index: int) -> Tensor:
        with safe_open(self.path, framework="pt") as file:
            return file.get_slice(name)[index].clone()

    def shape(self, name: str) -> tuple[int, ...]:
        with safe_open(self.path, framework="pt") as file:
            return tuple(file.get_slice(name).get_shape())


@dataclass(frozen=True)
class _Ranged:
    """At a place without files, read by ranges of bytes."""

    place: Place
    name: str

    @cached_property
    def _head(self) -> bytes:
        """The length of the header and the header, at least."""
        head = self.place.read(self.name, 0, FIRST_BYTES)
        end = _end(head)
        return head if len(head) >= end else head + self.place.read(self.name, len(head), end)

    @cached_property
    def _header(self) -> dict[str, Any]:
        return _header(self._head)

    def metadata(self) -> dict[str, str]:
        return _metadata(self._header)

    def names(self) -> list[str]:
        return [name for name in self._header if name != _METADATA]

    def tensor(self, name: str) -> Tensor:
        entry = self._header[name]
        return self._read(entry["dtype"], entry["shape"], *entry["data_offsets"])

    def slice(self, name: str, index: int) -> Tensor:
        entry = self._header[name]
        (count, *shape), (start, stop) = entry["shape"], entry["data_offsets"]
        size = (stop - start) // count
        index = range(count)[index]
        return self._read(entry["dtype"], shape, start + index * size, start + (index + 1) * size)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._header[name]["shape"])

    def _read(self, dtype: str, shape: list[int], start: int, stop: int) -> Tensor:
        """A tensor from its bytes, by a file that holds it alone."""
        body = _end(self._head)
        content = self.place.read(self.name, body + start, body + stop) if stop > start else b""
        header = json.dumps({"it": {"dtype": dtype, "shape": shape, "data_offsets": [0, stop - start]}}).encode()
        return load(len(header).to_bytes(8, "little") + header + content)["it"]


_METADATA = "__metadata__"


def _end(content: bytes) -> int:
    """Where the header ends and the tensors begin."""
    return 8 + int.from_bytes(content[:8], "little")


def _header(content: bytes) -> dict[str, Any]:
    return json.loads(content[8 : _end(content)])


def _metadata(header: dict[str, Any]) -> dict[str, str]:
    return header.get(_METADATA, {})
