"""Making pieces in this process: what a run without workers does, and what each worker does."""

from collections.abc import Sequence
from typing import Any, TypeVar

from safetensors import SafetensorError

from navbench import memory
from navbench.progress import Report, silent
from navbench.runner.store import Mark, Store
from navbench.work import Executor, Piece, Stored

Result = TypeVar("Result")


class Maker:
    """Makes pieces, and keeps them in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._verified: dict[str, Mark | None] = {}

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
            self._verified[piece.key] = self.store.mark(piece)
        memory.give_back()
        return results

    def has(self, piece: Piece[Any]) -> bool:
        """Whether a piece is in the store, as it was written; it may be large, and is read again if it changed."""
        mark = self.store.mark(piece)
        if piece.key not in self._verified or self._verified[piece.key] != mark:
            self._verified.pop(piece.key, None)
            if self.store.find(piece) is not None:
                self._verified[piece.key] = mark
        return piece.key in self._verified

    def drop(self, piece: Piece[Any]) -> None:
        """Remove a piece from the store."""
        self.store.drop(piece)
        self._verified.pop(piece.key, None)

    def _computed(self, pieces: Sequence[Piece[Result]], report: Report, executor: Executor | None) -> list[Result]:
        first = pieces[0]
        if first.function.together is None:
            return [first.make(self._stored, report, executor)]
        return list(first.function.together([piece.arguments(self._stored) for piece in pieces]))

    def _stored(self, part: Piece[Result]) -> Stored[Result]:
        if not self.has(part):
            self.make([part])
        return self.store.stored(part)
