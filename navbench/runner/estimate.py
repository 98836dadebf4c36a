"""What each stage of a run will take, found in a few seconds before the run: by these the bar of all stages goes.

The run is rehearsed as `navbench plan` does it, with the generators and networks that are open already, and each kind
of pass is tried once or twice. Nothing is written or changed, so results are the same with and without it.
"""

import tempfile
import time
import warnings
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from navbench.compute import Compute
from navbench.costs import Costs, Pass, added
from navbench.experiments.measurement import Instruments
from navbench.progress import Outlook
from navbench.runner.probe import seconds_of, storing
from navbench.runner.rehearsal import Planned, PlannedRun, RehearsedRun, Rehearser
from navbench.runner.run import Run
from navbench.runner.store import Store
from navbench.work import Piece

Result = TypeVar("Result")
REHEARSAL, TRIALS = 10.0, 5.0
"""Seconds that the rehearsal, and the trials of passes, may take: an idle machine needs fewer for the preset quick."""


class _OverBudget(Exception):
    """The rehearsal takes too long."""


class _Hurried(Rehearser):
    """A rehearser that gives up at a time of the clock."""

    def __init__(self, store: Store, deadline: float) -> None:
        super().__init__(store)
        self.deadline = deadline

    def _result(self, piece: Piece[Result]) -> Result:
        if time.monotonic() > self.deadline:
            raise _OverBudget
        return super()._result(piece)


def expected(run: Run, opened: Sequence[Instruments], rehearsal: float = REHEARSAL, trials: float = TRIALS) -> Outlook:
    """What a run at its place has not made yet.

    A suite that is not rehearsed in time, or cannot be, gives nothing: no error of an estimate ends a run. Passes that
    are not tried in time are priced as the others of their network.
    """
    try:
        planned = _rehearsed(run, opened, time.monotonic() + rehearsal)
        shown = [piece for piece in planned.pieces if piece.stage]  # others come between stages: the bar sees none
        return Outlook(_priced(run, shown, time.monotonic() + trials), planned.before)
    except Exception:  # of plugins, too: the run meets it itself and tells it, and the bar goes without an estimate
        return Outlook()


def _rehearsed(run: Run, opened: Sequence[Instruments], deadline: float) -> PlannedRun:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself tells them
        rehearsal = RehearsedRun(Path(folder), run.suite, run.compute, run.library, Console(quiet=True))
        return rehearsal.run_with(_Hurried(run.store, deadline), opened)


def _priced(run: Run, pieces: Sequence[Planned], deadline: float) -> dict[str, float]:
    prices = _prices(added(*map(_costs, pieces)), run.compute, deadline)
    seconds = dict.fromkeys((piece.stage for piece in pieces), 0.0)
    for piece in pieces:
        seconds[piece.stage] += sum(prices[each] * amount for each, amount in _costs(piece).items())
    workers = run.staff.count or 1
    return {title: each / workers for title, each in seconds.items()}


def _prices(amounts: Costs, compute: Compute, deadline: float) -> dict[Pass, float]:
    """Seconds of each pass: of every network the one that is needed most first, then the second one, and so on."""
    by_network: dict[str, list[Pass]] = {}
    for each in sorted(amounts, key=lambda each: -amounts[each]):
        by_network.setdefault(each.network, []).append(each)
    turns = zip_longest(*by_network.values())
    prices: dict[Pass, float] = {}
    for place, turn in enumerate(turns):
        for each in filter(None, turn):
            if place == 0 or time.monotonic() < deadline:
                prices[each] = seconds_of(each, compute)
            else:
                known = [prices[other] for other in by_network[each.network] if other in prices]
                prices[each] = sum(known) / len(known)
    return prices


def _costs(piece: Planned) -> Costs:
    """Those of making it, and of keeping it."""
    return {**piece.costs, storing(): piece.size}
