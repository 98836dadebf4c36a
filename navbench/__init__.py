"""navbench: which editing directions of an image generator are good, how far they go and how local they are.

    import navbench as nb

    smile = nb.load_direction("faces/hybrid/main.6/3")
    nb.strip(smile)

Names are loaded when they are first used, so the import alone costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Heatmap",
    "Run",
    "bind",
    "curve",
    "direction_names",
    "discover",
    "edit",
    "heatmap",
    "imitate",
    "load_direction",
    "load_generator",
    "open_run",
    "plot_curve",
    "run",
    "strip",
]
_OF_RUNS = ("Run", "open_run", "run")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'navbench' has no attribute {name!r}")
    return getattr(import_module("navbench.runs" if name in _OF_RUNS else "navbench.face"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
