"""The methods of discovery: each is a basis of a space and, optionally, coefficients learned on it (one table)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from navbench.errors import unknown
from navbench.words import LATENTS


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        basis: 'svd', 'hessian', 'random', 'pca', 'sefa' or 'identity'.
        learned: whether coefficients are learned on it; else each direction is one vector of the basis.
        spaces: the kinds of spaces in which it is defined.
        source: where it is described.
    """

    name: str
    basis: str
    learned: bool
    spaces: tuple[str, ...]
    source: str


_WEIGHTS, _LATENT = ("parameter",), LATENTS
METHODS = {
    method.name: method
    for method in (
        Method("svd", "svd", False, _WEIGHTS, "section 4.2, the baseline"),
        Method("optimization", "svd", True, _WEIGHTS, "section 3.2"),
        Method("spectrum", "hessian", False, _WEIGHTS, "section 3.3"),
        Method("hybrid", "hessian", True, _WEIGHTS, "section 3.4"),
        Method("ganspace", "pca", False, ("w",), "Härkönen et al., NeurIPS 2020; z has no principal axes"),
        Method("sefa", "sefa", False, ("z", "w"), "Shen & Zhou, CVPR 2021"),
        Method("latent-spectrum", "hessian", False, _LATENT, "Wang & Ponce, ICLR 2021"),
        Method("latent-optimization", "identity", True, _LATENT, "Voynov & Babenko, ICML 2020"),
        Method("random", "random", False, (*_WEIGHTS, *_LATENT), "a control: offsets drawn from the unit sphere"),
    )
}


def admitted(methods: Sequence[str], kind: str) -> tuple[str, ...]:
    """Those of some methods that are defined in a kind of space."""
    for method in methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    return tuple(method for method in methods if kind in METHODS[method].spaces)


def is_determined(method: str) -> bool:
    """Whether the weights alone determine what a method finds: no seed, and no codes."""
    return METHODS[method].basis in ("svd", "sefa") and not METHODS[method].learned


def effort(method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Of the settings in a set's header, those that its method read; of a method of others, all."""
    if method not in METHODS:
        return settings
    row, parts = METHODS[method], {name for name, value in settings.items() if isinstance(value, dict)}
    own = {{"hessian": "spectrum", "pca": "ganspace"}.get(row.basis, "")}
    own |= {method.replace("-", "_")} if row.learned else set()
    return {name: value for name, value in settings.items() if name not in parts - own}


def remedy(method: str) -> str:
    """The end of a sentence that says that there are no directions of a method: what to do about it."""
    if method in METHODS:
        return "; find it with navbench discover, or run with --rediscover."
    reason = str(unknown("method", method, METHODS))
    return f": {reason[0].lower()}{reason[1:]}"
