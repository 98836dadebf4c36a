"""Making pieces in this process: what a run without workers does, and what each worker does."""

from collections.abc import Sequence
from typing import Any, TypeVar

from safetensors import SafetensorError

from navbench.progress import Report, silent
from navbench.runner.store import Store
from navbench.work import Executor, Piece, Stored

Result = TypeVar("Result")


class Maker:
    """Makes pieces, and keeps them in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._verified: set[str] = set()

    def make(
        self, pieces: Sequence[Piece[Result]], report: Report = silent, executor: Executor | None = None
    ) -> list[Result]:
        """Make a piece, or those of one pass, now; parts that are missing or damaged are made before.

        Args:
            pieces: one, or several that share a pass.
            report: for a function that reports its progress.
            executor: for a function that asks for other pieces.
        """
        try:
            results = self._computed(pieces, report, executor)
        except (SafetensorError, OSError):
            self._verified.clear()
            if all(self.has(part) for piece in pieces for part in piece.parts()):
                raise
            results = self._computed(pieces, report, executor)  # a part was damaged after it had been verified
        for piece, result in zip(pieces, results, strict=True):
            self.store.put(piece, result)
            self._verified.add(piece.key)
        return results

    def has(self, piece: Piece[Any]) -> bool:
        """Whether a piece is in the store, as it was written; it is read once, as it may be large."""
        if piece.key not in self._verified and self.store.find(piece) is not None:
            self._verified.add(piece.key)
        return piece.key in self._verified

    def drop(self, piece: Piece[Any]) -> None:
        """Remove a piece from the store."""
        self.store.drop(piece)
        self._verified.discard(piece.key)

    def _computed(self, pieces: Sequence[Piece[Result]], report: Report, executor: Executor | None) -> list[Result]:
        first = pieces[0]
        if first.function.together is None:
            return [first.make(self._stored, report, executor)]
        return list(first.function.together([piece.arguments(self._stored) for piece in pieces]))

    def _stored(self, part: Piece[Result]) -> Stored[Result]:
        if not self.has(part):
            self.make([part])
        return self.store.stored(part)
