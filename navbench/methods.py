"""The methods of discovery: each is a basis of a space and, optionally, coefficients on it (one table).

Every method that searches has a control, which draws its directions at random from the same basis, or from the same
space.

Other packages add rows as entry points of the group `navbench.methods`: a `Method`, or a function that returns one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from navbench import plugins
from navbench.errors import NavbenchError, unknown
from navbench.words import LATENTS

if TYPE_CHECKING:
    from torch import Tensor

    from navbench.basis import Basis
    from navbench.compute import Compute
    from navbench.discovery.settings import DiscoverySettings
    from navbench.metrics.perceptual import PerceptualDistance
    from navbench.spaces import Space

GROUP = "navbench.methods"
BASES = (
    *("svd", "hessian", "random", "pca", "sefa", "identity", "style channels"),
    *("attribute channels", "attribute offsets", "attribute boundaries"),
)
"""The bases that `Discovery` knows how to make."""
SECTIONS = {
    "hessian": "spectrum",
    "pca": "ganspace",
    "style channels": "stylespace",
    "attribute channels": "stylespace",
    "attribute offsets": "supervised",
    "attribute boundaries": "interfacegan",
}
"""The section of discovery's settings that says how a basis is found, of those that have one."""


class Maker(Protocol):
    """Makes the basis of a method."""

    def __call__(
        self, space: Space, distance: PerceptualDistance, settings: DiscoverySettings, compute: Compute, seed: int
    ) -> Tensor | Basis:
        """Offsets of a space, (B, *space.shape), the best first; of any norm but zero."""


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        basis: one of `BASES`, or a name of its own for one that `make` makes.
        learned: whether coefficients are learned on it; else each direction is one vector of the basis ...
        spaces: the kinds of spaces in which it is defined.
        source: where it is described.
        make: makes a basis that is none of `BASES`.
        section: the part of the discovery's settings that says how coefficients are learned.
        drawn: ... or, of a control, a unit combination of the basis, drawn at random.
        control: the method that is its control; '' of one that is a control itself.
        labelled: whether it is told what images show, by a scorer: it shows what can at least be found, and is no
            rival of methods without labels.
    """

    name: str
    basis: str
    learned: bool
    spaces: tuple[str, ...]
    source: str
    make: Maker | None = None
    section: str = "optimization"
    drawn: bool = False
    control: str = "random"
    labelled: bool = False


_WEIGHTS, _LATENT = ("parameter",), LATENTS
BUILT_IN = {
    method.name: method
    for method in (
        Method("svd", "svd", False, _WEIGHTS, "section 4.2, the baseline"),
        Method("optimization", "svd", True, _WEIGHTS, "section 3.2", control="random-in-svd"),
        Method("spectrum", "hessian", False, _WEIGHTS, "section 3.3"),
        Method(
            "hybrid", "hessian", True, _WEIGHTS, "section 3.4",
            section="hybrid", control="random-in-spectrum",
        ),
        Method("ganspace", "pca", False, ("w",), "Härkönen et al., NeurIPS 2020; z has no principal axes"),
        Method("sefa", "sefa", False, ("z", "w"), "Shen & Zhou, CVPR 2021"),
        Method("latent-spectrum", "hessian", False, _LATENT, "Wang & Ponce, ICLR 2021"),
        Method(
            "latent-optimization", "identity", True, _LATENT, "Voynov & Babenko, ICML 2020",
            section="latent_optimization",
        ),
        Method(
            "stylespace", "style channels", False, ("s",),
            "Wu, Lischinski & Shechtman, CVPR 2021: single style channels",
        ),
        Method(
            "stylespace-attributes", "attribute channels", False, ("s",), "the same, section 5: those of attributes",
            labelled=True,
        ),
        Method(
            "supervised", "attribute offsets", False, (*_WEIGHTS, *_LATENT),
            "by labels: the gradients of a scorer lead to the offset that moves one attribute alone", labelled=True,
        ),
        Method(
            "interfacegan", "attribute boundaries", False, ("z", "w"),
            "Shen, Gu, Tang & Zhou, CVPR 2020: normals of boundaries", labelled=True,
        ),
        Method(
            "random", "random", False, (*_WEIGHTS, *_LATENT), "a control: offsets drawn from the unit sphere",
            control="",
        ),
        Method(
            "random-in-svd", "svd", False, _WEIGHTS, "a control: unit combinations of the svd, drawn at random",
            drawn=True, control="",
        ),
        Method(
            "random-in-spectrum", "hessian", False, _WEIGHTS, "a control: the same of the spectrum's eigenvectors",
            drawn=True, control="",
        ),
    )
}  # fmt: skip


class _Methods(Mapping[str, Method]):
    """The methods by name, this package's and then those of others, which are loaded when they are asked for."""

    def __getitem__(self, name: str) -> Method:
        if name in BUILT_IN:
            return BUILT_IN[name]
        if name not in self:
            raise KeyError(name)
        return _added(name)

    def __contains__(self, name: object) -> bool:
        return name in BUILT_IN or name in plugins.known(GROUP)

    def __iter__(self) -> Iterator[str]:
        return iter(BUILT_IN | plugins.known(GROUP))

    def __len__(self) -> int:
        return len(list(iter(self)))


METHODS = _Methods()


def _added(name: str) -> Method:
    """The row of another package."""
    row: Any = plugins.find(GROUP, "method", name)
    row = row() if callable(row) else row
    if not isinstance(row, Method) or row.name != name or (row.make is None) != (row.basis in BASES):
        raise NavbenchError(
            f"Entry point {name!r} of {GROUP} gives no method of that name with a basis of its own or one of "
            f"{', '.join(BASES)}."
        )
    if row.control and row.control not in METHODS:
        raise NavbenchError(
            f"Entry point {name!r} of {GROUP} names {row.control!r} as its control, which is no method."
        )
    return row


def admitted(methods: Sequence[str], kind: str) -> tuple[str, ...]:
    """Those of some methods that are defined in a kind of space."""
    for method in methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    return tuple(method for method in methods if kind in METHODS[method].spaces)


def is_determined(method: str) -> bool:
    """Whether the weights alone determine what a method finds: no seed, and no codes."""
    row = METHODS[method]
    return row.basis in ("svd", "sefa") and not (row.learned or row.drawn)


def control_of(method: str) -> str:
    """The control of a method, '' of a control; of a method that is not in the table, `random`."""
    return METHODS[method].control if method in METHODS else "random"


def is_control(method: str) -> bool:
    """Whether a method's directions are drawn at random, for others to be compared with."""
    return not control_of(method)


def is_labelled(method: str) -> bool:
    """Whether a method is told what images show; one that is not in the table is not known to be."""
    return method in METHODS and METHODS[method].labelled


def competes(method: str) -> bool:
    """Whether a method may be called the best: it is no control, and finds its directions without labels."""
    return not (is_control(method) or is_labelled(method))


def effort(method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Of the settings in a set's header, those that its method read; of a method of others, all."""
    if method not in METHODS:
        return settings
    row, parts = METHODS[method], {name for name, value in settings.items() if isinstance(value, dict)}
    own = {SECTIONS.get(row.basis, "")}
    own |= {row.section} if row.learned else set()
    return {name: value for name, value in settings.items() if name not in parts - own}


def remedy(method: str) -> str:
    """The end of a sentence that says that there are no directions of a method: what to do about it."""
    if method in METHODS:
        return "; find it with navbench discover, or run with --rediscover."
    reason = str(unknown("method", method, METHODS))
    return f": {reason[0].lower()}{reason[1:]}"
