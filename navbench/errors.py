"""The errors that users see: one sentence each, with an exit code that says whose turn it is."""

import difflib
from collections.abc import Iterable

from PIL import UnidentifiedImageError

from navbench.texts import LONGEST_MESSAGE, shown

NEAR = 0.5
"""How alike two words are, as difflib has it, one of which may be meant by the other."""
_MOST_LISTED = 10
_CATALOGUES = {"direction": "navbench directions list", "generator": "navbench generators list"}
"""The commands that list all names of a kind."""


class NavbenchError(Exception):
    """Something the user can mend; the message says what was wrong, where, and what to do.

    Texts in it may be from files, so it is shown as `texts.shown` does; `lines` are listed below it, each on its own.
    """

    exit_code = 2

    def __init__(self, message: str = "", *lines: str) -> None:
        super().__init__(shown(message, LONGEST_MESSAGE), *map(shown, lines))

    def __str__(self) -> str:
        return "\n  ".join(self.args)


class Failure(NavbenchError):
    """Something that went wrong although the request was sound: a download, a full disk, a NaN."""

    exit_code = 1


class NavbenchWarning(UserWarning):
    """A change of course that does not change results, such as a halved batch."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shown(message, LONGEST_MESSAGE))


def unknown(kind: str, name: str, known: Iterable[str]) -> NavbenchError:
    """The error for a name that is not among the known ones, with the nearest of them, or if they are few, all."""
    name, known = shown(name), sorted(set(map(shown, known)))
    if near := difflib.get_close_matches(name, known, n=1, cutoff=NEAR):
        hint = f"did you mean {near[0]!r}?"
    elif len(known) <= _MOST_LISTED:
        hint = f"known: {', '.join(known) or 'none'}."
    else:
        few = difflib.get_close_matches(name, known, n=3, cutoff=0.2) or known[:3]
        where = f"; {_CATALOGUES[kind]} shows them" if kind in _CATALOGUES else ""
        hint = f"known: {len(known):,} names, such as {', '.join(few)}{where}."
    return NavbenchError(f"Unknown {kind} {name!r}; {hint}")


def image_trouble(error: Exception) -> str:
    """Why a file could not be read as an image, for a sentence; Pillow's own words may hold a buffer's address."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image format that is known"
    return reason(error)


def reason(error: BaseException) -> str:
    """Why something failed, as a part of a sentence: the first line of an error's message, without its full stop.

    What torch's reader says is left out, as it advises to have a file's code run.
    """
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "weights_only" in str(error) or "Weights only load failed" in first:
        return "torch finds more than tensors and plain data in it"
    return shown(first.rstrip(".: "))
