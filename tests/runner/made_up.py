"""Measurements whose outcomes are made up, so that what the rows say of them is known."""

from contextlib import nullcontext
from types import SimpleNamespace

import torch
import toy

from navbench.compute import Compute
from navbench.experiments import curves
from navbench.experiments.catalogue import EXPERIMENTS
from navbench.experiments.fid_curve import Curve
from navbench.experiments.measurement import Bench, Measurement, Plan
from navbench.experiments.rows import settled

CODES = 50


def curve(*values, influence=None, effects=None):
    """Distances at each shift, a hundredth of that in the kernel distance, from a reference without uncertainty."""
    points, distances = len(values), torch.tensor(values, dtype=torch.float64)
    influence = torch.zeros(points, CODES, dtype=torch.float64) if influence is None else influence
    effect = torch.tensor(effects or [1.0] * points)[:, None].expand(points, 4)
    of_reference, excess = (torch.empty(points, 0),) * 2, (torch.zeros(points, 2),) * 2
    of_samples = (distances, influence, distances / 100, influence / 100, effect)
    return Curve(*of_samples, *torch.zeros(3, points, 4), *of_reference, *excess)


def realism(floor=0.0, scores=None):
    """A reference of 300 renderings, against which unshifted images have the distance `floor`."""
    return SimpleNamespace(
        name="renderings",
        extractor=SimpleNamespace(name="pixels", metric="FD"),
        source={"extractor": "pixels", "reference": "renderings"},
        n_reference=300,
        is_drawn=True,
        n_reference_of=lambda metric: 300,
        floor=curve(floor, floor),
        reference_scores=scores,
    )


def measurement(
    outcomes=None, *, along=None, generator=None, sets=(), further=None, ranges=None, suite=None, plan=None, laps=(),
    **networks,
):  # fmt: skip
    """What experiments get: no experiment runs, and those of `outcomes` found what it says."""
    suite = suite or toy.tiny(experiments=[])
    bench = Bench(suite, Compute(), EXPERIMENTS, None, None, lambda title: nullcontext(lambda *_: None))
    plan = plan or Plan((), (), tuple(sets), further or {}, ())
    generator = generator or SimpleNamespace(name="cars", size=(8, 8))
    on = Measurement(bench, suite.generators[0], generator, plan=plan, ranges=ranges or {}, laps=laps, **networks)
    on._outcomes.values.update(outcomes or {})
    on._shared.values[curves._realism] = along or realism()
    return on


def rows(experiment, on, outcome, table):
    """The rows of a table, decided among each other."""
    return settled({table: list(experiment.rows(on, outcome)[table])})[table]
