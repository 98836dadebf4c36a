"""What other packages add by name: entry points of a group, or 'package.module:callable'."""

import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from navbench.errors import NavbenchError, unknown
from navbench.user_code import running


def known(group: str) -> dict[str, EntryPoint]:
    """The installed entry points of a group, by name."""
    return {point.name: point for point in entry_points(group=group)}


def find(group: str, kind: str, name: str) -> Callable[..., Any]:
    """The callable of that name, loaded: an entry point's, or 'package.module:callable' from here or installed.

    Args:
        group: of the entry points.
        kind: what it makes, for errors: 'generator', 'attribute scorer', 'reference'.
        name: as the user gave it.

    Raises:
        NavbenchError: there is none of that name, or what is imported for it raises an error.
    """
    if ":" in name:
        return _imported(kind, name)
    points = known(group)
    if name not in points:
        raise unknown(kind, name, points)
    with running(f"{kind.capitalize()} {name!r}: {points[name].value}"):
        try:
            return points[name].load()
        except (ImportError, AttributeError) as error:
            raise NavbenchError(
                f"{kind.capitalize()} {name!r}: {points[name].value} cannot be loaded ({error})."
            ) from error


def make(group: str, kind: str, name: str) -> Any:
    """What the callable of that name returns; see `find`.

    Raises:
        NavbenchError: it raised an error.
    """
    maker = find(group, kind, name)
    with running(f"{kind.capitalize()} {name!r}"):
        return maker()


def _imported(kind: str, name: str) -> Callable[..., Any]:
    """The callable of 'package.module:callable'."""
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())  # a console script's path lacks it
    sys.path.insert(0, here)
    try:
        if _is_of_python(module.partition(".")[0]):
            raise NavbenchError(
                f"{kind.capitalize()} {name!r}: {module!r} is a module of Python itself, which holds no {kind}; name "
                "one of yours, as 'package.module:callable'."
            )
        with running(f"{kind.capitalize()} {name!r}: module {module!r}"):
            try:
                found = getattr(importlib.import_module(module), attribute, None)
            except (ImportError, ValueError) as error:
                raise NavbenchError(
                    f"{kind.capitalize()} {name!r}: module {module!r} cannot be imported ({error})."
                ) from error
    finally:
        sys.path.remove(here)
    if found is None:
        raise NavbenchError(f"{kind.capitalize()} {name!r}: module {module!r} has no {attribute!r}.")
    if not callable(found):
        raise NavbenchError(
            f"{kind.capitalize()} {name!r} is a {type(found).__name__}; it must be a callable that makes one."
        )
    return found


def _is_of_python(module: str) -> bool:
    """Whether a module is of Python's own library, by where it is, without importing it."""
    if module not in sys.stdlib_module_names:
        return False
    found = importlib.util.find_spec(module)
    where = Path(found.origin) if found is not None and found.origin else Path("none")
    return not where.exists() or where.is_relative_to(sysconfig.get_path("stdlib"))
