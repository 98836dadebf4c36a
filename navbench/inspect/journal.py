"""What is said of all directions that are inspected: kept in files, merged with what others write, and taken back."""

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from navbench.errors import NavbenchError
from navbench.library import SetFile
from navbench.naming import Keeper, Naming

_MOST_UNDONE, _MOST_TABS = 200, 64


@dataclass(frozen=True)
class Saved:
    """What is on the disk now, of one direction.

    Attributes:
        number: of the direction.
        naming: what is said of it.
        replaced: what somebody else had said meanwhile, and this has replaced; `None` for nothing.
    """

    number: int
    naming: Naming
    replaced: Naming | None = None


@dataclass(frozen=True)
class _Change:
    number: int
    before: Naming
    after: Naming


class Journal:
    """Reads and changes what is said of directions, by their numbers; any thread may call.

    Files are read again whenever somebody has written them, and only the direction that is named is changed, so several
    viewers and several servers lose nothing of each other's.
    """

    def __init__(self, files: Sequence[SetFile], keepers: Sequence[Keeper]) -> None:
        self._keepers = list(keepers)
        self._names = [name for file in files for name in file.names()]
        self._places = [
            (keeper, index) for file, keeper in zip(files, keepers, strict=True) for index in range(file.count)
        ]
        self._read: dict[int, tuple[Any, list[Naming]]] = {}
        self._changes: OrderedDict[str, deque[_Change]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def paths(self) -> list[str]:
        """The files that are written to."""
        return sorted({str(keeper.path) for keeper in self._keepers})

    def namings(self) -> list[Naming]:
        """What is said of each direction now, in the order of their numbers."""
        with self._lock:
            return [naming for keeper in self._keepers for naming in self._current(keeper)]

    def version(self, namings: Sequence[Naming]) -> str:
        """A short word that is another for other namings."""
        return hashlib.sha256(repr(namings).encode()).hexdigest()[:16]

    def save(self, number: int, changes: Mapping[str, Any], seen: Mapping[str, Any], tab: str) -> Saved:
        """Change what is said of a direction; it is on the disk when this returns.

        Args:
            number: of the direction.
            changes: fields of `Naming` with their new values.
            seen: the fields as they were when the viewer decided on the change.
            tab: who changes it, and may take it back.

        Raises:
            NavbenchError: there is no such direction or field, or the file cannot be written.
        """
        with self._lock:
            keeper, index = self._place(number)
            before, after = keeper.change(index, lambda naming: naming.changed(changes))
            meanwhile = {
                name for name in after.differing(before) if name in seen and seen[name] != getattr(before, name)
            }
            if before != after:
                self._of(tab).append(_Change(number, before, after))
            return Saved(number, after, before if meanwhile else None)

    def undo(self, tab: str) -> Saved | None:
        """Take back the last change of a viewer, in the fields that it changed; `None` if there is none.

        Raises:
            NavbenchError: somebody else has changed the same since, which would be lost.
        """
        with self._lock:
            changes = self._of(tab)
            if not changes:
                return None
            last = changes[-1]
            wanted = last.before.differing(last.after)
            keeper, index = self._place(last.number)

            def back(naming: Naming) -> Naming:
                if any(getattr(naming, name) != getattr(last.after, name) for name in wanted):
                    changes.pop()
                    raise NavbenchError(
                        f"{self._names[last.number]} has been changed elsewhere since, so nothing was undone; "
                        "change it by hand."
                    )
                return naming.changed(wanted)

            _, after = keeper.change(index, back)
            changes.pop()  # a change that could not be written can be taken back later
            return Saved(last.number, after)

    def _place(self, number: int) -> tuple[Keeper, int]:
        if not 0 <= number < len(self._places):
            raise NavbenchError(f"There is no direction {number}; there are {len(self._places)}, from 0.")
        return self._places[number]

    def _of(self, tab: str) -> deque[_Change]:
        """The changes of a viewer; those of the viewers who changed something longest ago are forgotten."""
        changes = self._changes.setdefault(tab, deque(maxlen=_MOST_UNDONE))
        self._changes.move_to_end(tab)
        while len(self._changes) > _MOST_TABS:
            self._changes.popitem(last=False)
        return changes

    def _current(self, keeper: Keeper) -> list[Naming]:
        stamp = keeper.stamp()
        known = self._read.get(id(keeper))
        if known is None or known[0] != stamp:
            known = self._read[id(keeper)] = (stamp, keeper.read())
        return known[1]
