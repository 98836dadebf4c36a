"""Finished pieces of a run on disk: content-addressed, written atomically, and verified whenever they are read."""

import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from navbench.errors import NavbenchWarning
from navbench.files import write_atomically
from navbench.fingerprints import fingerprint_of
from navbench.work import Piece, tensors_of

Result = TypeVar("Result")
_HEADER = "navbench piece"


class Store:
    """The cache folder of a run. A result is a dataclass of tensors, in a file that is called by the piece's key.

    The file holds the key and a digest of all tensors with their names, kinds and shapes. What does not match is
    told in a warning, removed, and computed again.

    Attributes:
        made, found: pieces computed and pieces read, since the store was opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = self.found = 0

    def path(self, piece: Piece[Any]) -> Path:
        """Where the result of a piece is, or will be."""
        return self.folder / piece.function.name / f"{piece.key[:32]}.safetensors"

    def find(self, piece: Piece[Result]) -> Result | None:
        """The result of a piece; `None` if it is not there, or not what was written."""
        path = self.path(piece)
        if not path.exists():
            return None
        try:
            result = _verified(piece, path)
        except (SafetensorError, OSError, ValueError) as error:
            _remove(path)
            warnings.warn(f"{path} is damaged ({error}); it is computed again.", NavbenchWarning, stacklevel=2)
            return None
        self.found += 1
        return result

    def put(self, piece: Piece[Any], result: object) -> None:
        """Keep the result of a piece."""
        tensors = tensors_of(result)
        header = json.dumps({"key": piece.key, "digest": fingerprint_of(tensors)})
        write_atomically(self.path(piece), save(tensors, {_HEADER: header}))
        self.made += 1

    def has(self, piece: Piece[Any]) -> bool:
        """Whether the result of a piece is there; it is not read."""
        return self.path(piece).exists()

    def keep(self, name: str, content: bytes) -> None:
        """Keep content under a name that follows from it, if it is not there."""
        if not (self.folder / name).exists():
            write_atomically(self.folder / name, content)

    def kept(self, name: str) -> bytes:
        """The content of that name."""
        return (self.folder / name).read_bytes()

    def forget_things(self) -> None:
        """Remove what `keep` kept, which is of use only while workers compute."""
        shutil.rmtree(self.folder / "things", ignore_errors=True)

    def drop(self, piece: Piece[Any]) -> None:
        """Forget a result that is no longer needed."""
        self.path(piece).unlink(missing_ok=True)


def _verified(piece: Piece[Result], path: Path) -> Result:
    """The result in a file, which must be this piece's, whole and unchanged.

    Raises:
        ValueError, SafetensorError, OSError: it is not.
    """
    with safe_open(path, framework="pt") as file:
        header = json.loads((file.metadata() or {}).get(_HEADER, "null"))
        tensors: Mapping[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not isinstance(header, dict) or header.get("key") != piece.key:
        raise ValueError("it holds another piece")
    if header.get("digest") != fingerprint_of(tensors):
        raise ValueError("its content has changed")
    return piece.function.kind(**tensors)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
