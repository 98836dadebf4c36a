"""Finished pieces of a run on disk: content-addressed, written atomically, never read by halves."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from navbench.files import write_atomically

Piece = TypeVar("Piece")
REVISION = 5
"""Raised whenever code changes what a piece holds, so that pieces of older code are not taken for new ones."""
VERSIONS = {name: version(name) for name in ("navbench", "torch", "torchvision", "torch-fidelity", "timm", "lpips")}


class Store:
    """The cache folder of a run. A piece is a dataclass of tensors, kept under a hash of all it depends on.

    Attributes:
        made, found: pieces computed and pieces read, since the store was opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = self.found = 0

    def path(self, kind: type, key: dict[str, Any]) -> Path:
        """Where the piece of that kind and key is, or will be."""
        text = json.dumps({"revision": REVISION, "versions": VERSIONS, **key}, sort_keys=True)
        return self.folder / kind.__name__.lower() / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"

    def get(self, kind: type[Piece], key: dict[str, Any], make: Callable[[], Piece]) -> Piece:
        """The piece of that key, made now if it is not there."""
        piece = self.find(kind, key)
        if piece is None:
            piece = make()
            self.put(key, piece)
        return piece

    def find(self, kind: type[Piece], key: dict[str, Any]) -> Piece | None:
        """The piece of that key, if it is there."""
        path = self.path(kind, key)
        if not path.exists():
            return None
        try:
            piece = read_piece(kind, path)
        except (SafetensorError, OSError):
            path.unlink()  # not one of ours: pieces are whole or absent
            return None
        self.found += 1
        return piece

    def put(self, key: dict[str, Any], piece: object) -> None:
        """Keep a piece that was made under its key."""
        write_atomically(self.path(type(piece), key), save(tensors_of(piece)))
        self.made += 1

    def drop(self, kind: type, key: dict[str, Any]) -> None:
        """Forget a piece that is no longer needed."""
        self.path(kind, key).unlink(missing_ok=True)


@contextmanager
def slices(paths: list[Path], name: str) -> Iterator[Callable[[int], Tensor]]:
    """A function from i to the i-th slice of a tensor (T, n, ...) that lies in several files, joined along n.

    Only what is asked for is read.
    """
    files = [safe_open(path, framework="pt") for path in paths]
    yield lambda index: torch.cat([file.get_slice(name)[index] for file in files])


def tensors_of(piece: Any) -> dict[str, Tensor]:
    """The fields of a piece, as a file holds them."""
    return {field.name: getattr(piece, field.name).contiguous() for field in fields(piece)}


def read_piece(kind: type[Piece], path: Path) -> Piece:
    """A piece from the file that holds its fields."""
    with safe_open(path, framework="pt") as file:
        return kind(**{field.name: file.get_tensor(field.name) for field in fields(kind)})  # type: ignore[arg-type]
