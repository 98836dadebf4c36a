"""The errors that users see: one sentence each, with an exit code that says whose turn it is."""

import difflib
from collections.abc import Iterable


class NavbenchError(Exception):
    """Something the user can mend; the message says what was wrong, where, and what to do."""

    exit_code = 2


class Failure(NavbenchError):
    """Something that went wrong although the request was sound: a download, a full disk, a NaN."""

    exit_code = 1


class NavbenchWarning(UserWarning):
    """A change of course that does not change results, such as a halved batch."""


def unknown(kind: str, name: str, known: Iterable[str]) -> NavbenchError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}."
    return NavbenchError(f"Unknown {kind} {name!r}; {hint}")
