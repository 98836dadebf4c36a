"""In which order pieces are made: parts before what is made of them, and few that wait for parts at a time."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from navbench.work import Piece


class Schedule:
    """The pieces that have to be made for some that are wanted, for whoever asks for the next one.

    Transient parts are needed for a while only. Pieces that share some are a group; no more than `width` groups have
    parts that wait for others, so that there is little on disk at any time.

    Attributes:
        pending: what is to be begun, in order, by key.
    """

    def __init__(self, present: Callable[[Piece[Any]], bool], width: int = 1) -> None:
        """`present` tells whether a part is in the store."""
        self.pending: dict[str, Piece[Any]] = {}
        self._present, self._width = present, width
        self._settled: set[str] = set()  # what is there, and may be a part
        self._running: set[str] = set()
        self._users: Counter[str] = Counter()  # how many pieces that are to be made have a part
        self._group: dict[str, str] = {}
        self._begun: Counter[str] = Counter()  # transient pieces of a group that were begun
        self._left: Counter[str] = Counter()  # other pieces of a group that are not done

    def add(self, wanted: Iterable[Piece[Any]]) -> None:
        """Have pieces made that are not in the store, each after its parts; what is on its way is not made twice."""
        for piece in wanted:
            if piece.key not in self.pending and piece.key not in self._running:
                self._need(piece)

    def needs(self, part: Piece[Any]) -> bool:
        """Whether something that is to be made has a part."""
        return self._users[part.key] > 0

    def next(self) -> list[Piece[Any]]:
        """What to begin now: a piece, and those that are computed in the same pass.

        Empty to wait for what runs, or if nothing is left.
        """
        first = next((piece for piece in self.pending.values() if self._ready(piece) and self._admitted(piece)), None)
        if first is None:
            return []
        others = self.pending.values() if first.function.together is not None else ()
        chosen = [
            each for each in others if first.shares_a_pass(each) and self._ready(each) and self._admitted(each)
        ] or [first]
        for piece in chosen:
            del self.pending[piece.key]
            self._running.add(piece.key)
            self._begun[self._group[piece.key]] += piece.transient
        return chosen

    def done(self, piece: Piece[Any]) -> list[Piece[Any]]:
        """Count a piece as made; the transient parts that nothing needs any more."""
        self._running.discard(piece.key)
        self._settled.add(piece.key)
        self._left[self._group[piece.key]] -= not piece.transient
        unneeded = []
        for part in piece.parts():
            self._users[part.key] -= 1
            if part.transient and not self.needs(part):
                unneeded.append(part)
                self._settled.discard(part.key)
        return unneeded

    def back(self, piece: Piece[Any]) -> None:
        """Put a piece that was begun and got lost first in line."""
        self._running.discard(piece.key)
        self._begun[self._group[piece.key]] -= piece.transient
        self.pending = {piece.key: piece, **self.pending}

    def _need(self, piece: Piece[Any], group: str = "") -> None:
        """Add a piece that is not there, after its parts; transient parts belong to the group of their first whole."""
        transient = [part.key for part in piece.parts() if part.transient]
        shared = next((self._group[key] for key in transient if self._users[key]), piece.key)
        self._group[piece.key] = group or shared
        self._left[self._group[piece.key]] += not piece.transient
        for part in piece.parts():
            self._users[part.key] += 1
            if part.key in self._settled or part.key in self.pending or part.key in self._running:
                continue
            if self._present(part):
                self._settled.add(part.key)
                self._group[part.key] = self._group[piece.key]
            else:
                self._need(part, self._group[piece.key] if part.transient else "")
        self.pending[piece.key] = piece

    def _ready(self, piece: Piece[Any]) -> bool:
        return all(part.key in self._settled for part in piece.parts())

    def _admitted(self, piece: Piece[Any]) -> bool:
        """Whether a piece may be begun now: a transient one if its group is open, or another one may be opened."""
        if not piece.transient or not self._running or self._begun[self._group[piece.key]]:
            return True
        return sum(1 for group, begun in self._begun.items() if begun and self._left[group]) < self._width
