"""The catalogue: every experiment there is, in the order in which they run and their rows are written."""

import re
from functools import cache
from typing import Any

from pydantic import ValidationError

from navbench import plugins
from navbench.errors import NavbenchError
from navbench.experiments.asymmetry import Asymmetry
from navbench.experiments.attributes import Attributes
from navbench.experiments.common import Common
from navbench.experiments.composition import Composition
from navbench.experiments.curves import Curves
from navbench.experiments.disentangling import Disentangling
from navbench.experiments.ends import Ends
from navbench.experiments.experiment import Experiment
from navbench.experiments.instrument import Instrument
from navbench.experiments.layers import Layers
from navbench.experiments.limits import Limits
from navbench.experiments.locality import Heatmaps
from navbench.experiments.lost import Lost
from navbench.experiments.matched import Matched
from navbench.experiments.overlap import Overlaps
from navbench.experiments.pairs import Pairs
from navbench.experiments.photos import Photos
from navbench.experiments.racing import Racing
from navbench.experiments.ranges import Calibration
from navbench.experiments.ranking import Ranking
from navbench.experiments.recognition import Recognitions
from navbench.experiments.reproduction import Reproductions
from navbench.experiments.screening import Screening
from navbench.experiments.stability import Stability
from navbench.experiments.strips import Strips
from navbench.experiments.survey import Survey

GROUP = "navbench.experiments"
_RESERVED = (*Common.model_fields, "toml", "with_values", "cache_key")
EXPERIMENTS: tuple[Experiment[Any, Any], ...] = (
    Calibration(),
    Racing(),
    Attributes(),
    Lost(),
    Instrument(),
    Ends(),
    Screening(),
    Curves(),
    Limits(),
    Matched(),
    Heatmaps(),
    Reproductions(),
    Strips(),
    Overlaps(),
    Survey(),
    Layers(),
    Pairs(),
    Recognitions(),
    Stability(),
    Disentangling(),
    Composition(),
    Photos(),
    Asymmetry(),
    Ranking(),
)


@cache
def catalogue() -> tuple[Experiment[Any, Any], ...]:
    """All of them; those of other packages come last: entry points of a group, each a subclass of `Experiment`.

    Raises:
        NavbenchError: an entry point gives no experiment, or one that no suite can hold.
    """
    every = list(EXPERIMENTS)
    for name in sorted(plugins.known(GROUP)):
        added = _added(name)
        if added.name in {known.name for known in every}:
            raise NavbenchError(f"There are two experiments {added.name!r}; entry point {name!r} of {GROUP} is one.")
        every.append(added)
    return tuple(every)


def _added(name: str) -> Experiment[Any, Any]:
    """The experiment of an entry point."""
    where = f"Entry point {name!r} of {GROUP}"
    kind: Any = plugins.find(GROUP, "experiment", name)
    if not (isinstance(kind, type) and issubclass(kind, Experiment)):
        raise NavbenchError(f"{where} gives {kind!r}, which is no subclass of Experiment.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind.name) or hasattr(Common, kind.name) or kind.name in _RESERVED:
        raise NavbenchError(f"{where} is called {kind.name!r}, which cannot be a section of a suite; rename it.")
    try:
        kind.settings()
    except ValidationError:
        raise NavbenchError(f"{where} has settings without a default for each; give them defaults.") from None
    experiment: Experiment[Any, Any] = kind()
    return experiment
