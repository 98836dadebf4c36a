"""navbench: which editing directions of an image generator are good, how far they go and how local they are.

    import navbench as nb

    smile = nb.load_direction("faces/hybrid/main.6/3")
    nb.strip(smile)

Names are loaded when they are first used, so the import alone costs nothing.
"""

import warnings
from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Animation",
    "Heatmap",
    "Run",
    "animation",
    "bake",
    "bind",
    "curve",
    "direction_names",
    "discover",
    "edit",
    "heatmap",
    "imitate",
    "load_direction",
    "load_directions",
    "load_generator",
    "open_run",
    "plot_curve",
    "run",
    "strip",
]
_MODULES = {
    "measures": ("Heatmap", "curve", "heatmap", "imitate"),
    "runs": ("Run", "open_run", "run"),
}  # all others are of `face`


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'navbench' has no attribute {name!r}")
    module = next((module for module, names in _MODULES.items() if name in names), "face")
    warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, on its import in a notebook without widgets
    return getattr(import_module(f"navbench.{module}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
