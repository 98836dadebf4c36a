"""Who computes the pieces that are not in the store: here, this process, one after the other.

Other executors keep this door: pieces in, results in the same order out, everything that is made in the store.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from navbench.progress import Report, silent
from navbench.runner.store import Store
from navbench.work import Piece, Stored, Tick, no_tick

Result = TypeVar("Result")


class InProcess:
    """Computes in this process, in the order of the pieces."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._verified: set[str] = set()

    def results(self, pieces: Sequence[Piece[Result]], tick: Tick = no_tick, report: Report = silent) -> list[Result]:
        """See `work.Executor`."""
        wanted: dict[str, Piece[Any]] = {piece.key: piece for piece in pieces}
        users = Counter(part.key for piece in wanted.values() for part in piece.parts())
        found: dict[str, Any] = {}
        told: set[str] = set()

        def stored(part: Piece[Any]) -> Stored[Any]:
            there = self._stored(part)
            tell(part)
            return there

        def tell(part: Piece[Any]) -> None:
            if part.transient and part.key not in told:
                told.add(part.key)
                tick(part.note)

        for piece in wanted.values():
            if piece.key not in found:
                found |= self._found_or_made(piece, wanted.values(), stored, report)
            for part in piece.parts():
                tell(part)
                users[part.key] -= 1
                if part.transient and not users[part.key]:
                    self._drop(part)
            tick(piece.note)
        return [found[piece.key] for piece in pieces]

    def _found_or_made(
        self,
        piece: Piece[Any],
        others: Iterable[Piece[Any]],
        stored: Callable[[Piece[Any]], Stored[Any]],
        report: Report,
    ) -> dict[str, Any]:
        """The result of a piece by its key, with those of others that are computed in the same pass."""
        result = self.store.find(piece)
        if result is not None:
            return {piece.key: result}
        if piece.function.together is None:
            made = piece.make(stored, report)
            self.store.put(piece, made)
            return {piece.key: made}
        same = [each for each in others if _in_one_pass(piece, each) and self.store.find(each) is None]
        results = piece.function.together([each.arguments(stored) for each in same])
        for each, made in zip(same, results, strict=True):
            self.store.put(each, made)
        return {each.key: made for each, made in zip(same, results, strict=True)}

    def _stored(self, piece: Piece[Result]) -> Stored[Result]:
        """A part of a piece, made now if it is not in the store; read to be verified once, as it may be large."""
        if piece.key not in self._verified and self.store.find(piece) is None:
            self.store.put(piece, piece.make(self._stored))
        self._verified.add(piece.key)
        return self.store.stored(piece)

    def _drop(self, piece: Piece[Any]) -> None:
        self.store.drop(piece)
        self._verified.discard(piece.key)


def _in_one_pass(one: Piece[Any], other: Piece[Any]) -> bool:
    """Whether two pieces are of one function, and differ in its first argument alone."""
    if one.function is not other.function:
        return False
    first = next(iter(one.given))
    return all(one.content["given"][name] == value for name, value in other.content["given"].items() if name != first)
