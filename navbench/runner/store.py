"""Finished pieces of a run: content-addressed, written at once, and verified whenever they are read."""

import json
import warnings
from contextlib import suppress
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save

from navbench.errors import Failure, NavbenchWarning
from navbench.fingerprints import fingerprint_of
from navbench.places import Where, place_at
from navbench.tensor_files import read_tensors
from navbench.work import Piece, Stored, tensors_of

Result = TypeVar("Result")
_HEADER = "navbench piece"
_THINGS = "things"
_DAMAGE = (SafetensorError, IsADirectoryError, ValueError)
"""What reading a file ends with that is not what was written."""
Mark = tuple[int, int, int]
"""By which a file is known not to have changed: its number, its size, and when it was written."""


class Store:
    """The cache of a run. A result is a dataclass of tensors, in a file that is called by the piece's key.

    The file holds the key and a digest of all tensors with their names, kinds and shapes. What does not match is
    told in a warning, removed, and computed again. A store costs nothing to make again from its place, in another
    process or on another machine; two that write the same piece do no harm.

    Attributes:
        place: where the files lie.
        made, found: pieces computed and pieces read, since the store was opened.
    """

    def __init__(self, where: Where) -> None:
        self.place = place_at(where)
        self.made = self.found = 0

    def name(self, piece: Piece[Any]) -> str:
        """What the file of a piece is called at the place."""
        return f"{piece.function.name}/{piece.key[:32]}.safetensors"

    def stored(self, piece: Piece[Result]) -> Stored[Result]:
        """What a function gets for a piece that is there."""
        return Stored(piece.function.kind, self.place, self.name(piece))

    def has(self, piece: Piece[Any]) -> bool:
        """Whether there is a file of a piece, which may be damaged."""
        return self.place.exists(self.name(piece))

    def mark(self, piece: Piece[Any]) -> Mark | None:
        """What changes with the file of a piece; `None` if there is no file, or the place has none."""
        if (path := self.place.file(self.name(piece))) is None:
            return None
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def find(self, piece: Piece[Result]) -> Result | None:
        """The result of a piece; `None` if it is not there, or not what was written, which is told and removed."""
        try:
            result = self._verified(piece)
        except FileNotFoundError:
            return None
        except _DAMAGE as error:
            self.place.delete(self.name(piece))
            told = f"{self.place.address(self.name(piece))} is damaged ({error}); it is computed again."
            warnings.warn(told, NavbenchWarning, stacklevel=2)
            return None
        except OSError as error:  # such as too many open files: nothing is wrong with the piece
            address = self.place.address(self.name(piece))
            raise Failure(f"{address} cannot be read ({error}); mend that, then run the same again.") from error
        self.found += 1
        return result

    def sound(self, piece: Piece[Result]) -> Result | None:
        """The same of somebody who only looks: nothing is told, counted or removed."""
        with suppress(FileNotFoundError, *_DAMAGE):
            return self._verified(piece)
        return None

    def _verified(self, piece: Piece[Result]) -> Result:
        """The result in a file, which must be this piece's, whole and unchanged.

        Raises:
            ValueError, SafetensorError, OSError: it is not.
        """
        metadata, tensors = read_tensors(self.place, self.name(piece))
        header = json.loads(metadata.get(_HEADER, "null"))
        if not isinstance(header, dict) or header.get("key") != piece.key:
            raise ValueError("it holds another piece")
        if header.get("digest") != fingerprint_of(tensors):
            raise ValueError("its content has changed")
        return piece.function.kind(**tensors)

    def put(self, piece: Piece[Any], result: object) -> None:
        """Keep the result of a piece."""
        tensors = tensors_of(result)
        header = json.dumps({"key": piece.key, "digest": fingerprint_of(tensors)})
        self.place.write(self.name(piece), save(tensors, {_HEADER: header}))
        self.made += 1

    def drop(self, piece: Piece[Any]) -> None:
        """Forget a result that is no longer needed."""
        self.place.delete(self.name(piece))

    def keep(self, name: str, content: bytes) -> None:
        """Keep what an executor gives its workers under 'things/SHA-256'; nothing is written if it is there."""
        if not self.place.exists(name):
            self.place.write(name, content)

    def kept(self, name: str) -> bytes:
        """What was kept under that name.

        Raises:
            FileNotFoundError: nothing was, or it is forgotten.
        """
        return self.place.read(name)

    def tidy(self) -> None:
        """Remove what was kept for workers, and what killed ones left half written; for whoever alone writes here."""
        self.place.clear(_THINGS)
        self.place.tidy()
