"""The catalogue: every experiment there is, in the order in which they run and their rows are written."""

from functools import cache
from typing import Any

from navbench import plugins
from navbench.errors import NavbenchError
from navbench.experiments.asymmetry import Asymmetry
from navbench.experiments.attributes import Attributes
from navbench.experiments.curves import Curves
from navbench.experiments.experiment import Experiment
from navbench.experiments.layers import Layers
from navbench.experiments.locality import Heatmaps
from navbench.experiments.matched import Matched
from navbench.experiments.overlap import Overlaps
from navbench.experiments.pairs import Pairs
from navbench.experiments.photos import Photos
from navbench.experiments.ranges import Calibration
from navbench.experiments.ranking import Ranking
from navbench.experiments.recognition import Recognitions
from navbench.experiments.reproduction import Reproductions
from navbench.experiments.screening import Screening
from navbench.experiments.stability import Stability
from navbench.experiments.strips import Strips
from navbench.experiments.survey import Survey

GROUP = "navbench.experiments"
EXPERIMENTS: tuple[Experiment[Any, Any], ...] = (
    Calibration(),
    Screening(),
    Attributes(),
    Curves(),
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
    Photos(),
    Asymmetry(),
    Ranking(),
)


@cache
def catalogue() -> tuple[Experiment[Any, Any], ...]:
    """All of them; those of other packages, which are entry points of the group `navbench.experiments`, come last.

    Raises:
        NavbenchError: an entry point gives no experiment, or one of a name that is taken.
    """
    every = list(EXPERIMENTS)
    for name, point in sorted(plugins.known(GROUP).items()):
        experiment = point.load()()
        if not isinstance(experiment, Experiment):
            raise NavbenchError(
                f"The entry point {name!r} of {GROUP} gives a {type(experiment).__name__}, no Experiment."
            )
        if experiment.name in {known.name for known in every}:
            raise NavbenchError(
                f"There are two experiments {experiment.name!r}; the entry point {name!r} is one of them."
            )
        every.append(experiment)
    return tuple(every)
