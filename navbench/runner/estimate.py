"""What each stage of a run will take, found in a few seconds before the run: by these the bar of all stages goes.

The run is rehearsed as `navbench plan` does it, with the generators and networks that are open already, and each kind
of pass is tried once or twice. Nothing is written or changed, so results are the same with and without it.
"""

import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from navbench.costs import Costs, added
from navbench.experiments.measurement import Instruments
from navbench.progress import Report, silent
from navbench.runner.probe import seconds_of, storing
from navbench.runner.rehearsal import Planned, RehearsedRun, Rehearser
from navbench.runner.run import Run
from navbench.runner.store import Store
from navbench.work import Piece, Tick, no_tick

Result = TypeVar("Result")
BUDGET = 5.0
"""Seconds that the whole estimate may take, about: it ends after the piece or the trial in which they are over."""


class _OverBudget(Exception):
    """The estimate takes too long."""


class _Hurried(Rehearser):
    """A rehearser that gives up at a time of the clock."""

    def __init__(self, store: Store, deadline: float) -> None:
        super().__init__(store)
        self.deadline = deadline

    def results(self, pieces: Sequence[Piece[Result]], tick: Tick = no_tick, report: Report = silent) -> list[Result]:
        """See `Rehearser`."""
        _check(self.deadline)
        return super().results(pieces, tick, report)


def expected(run: Run, opened: Sequence[Instruments], budget: float = BUDGET) -> dict[str, float]:
    """Seconds by the title of each stage, of what a run at its place has not made yet.

    A plan that is not priced within the budget gives one second to each stage that asks for pieces; one that is not
    made within it, or of a suite that cannot be rehearsed, gives nothing. No error of an estimate ends a run.
    """
    deadline = time.monotonic() + budget
    try:
        pieces = _rehearsed(run, opened, deadline)
    except Exception:
        return {}
    pieces = [piece for piece in pieces if piece.stage]  # others are asked for between stages, which the bar cannot see
    try:
        return _priced(run, pieces, deadline)
    except Exception:
        return dict.fromkeys((piece.stage for piece in pieces), 1.0)


def _rehearsed(run: Run, opened: Sequence[Instruments], deadline: float) -> Sequence[Planned]:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself tells them
        rehearsal = RehearsedRun(Path(folder), run.suite, run.compute, run.library, Console(quiet=True))
        return rehearsal.run_with(_Hurried(run.store, deadline), opened).pieces


def _priced(run: Run, pieces: Sequence[Planned], deadline: float) -> dict[str, float]:
    prices = {}
    for each in added(*map(_costs, pieces)):
        _check(deadline)
        prices[each] = seconds_of(each, run.compute)
    seconds = dict.fromkeys((piece.stage for piece in pieces), 0.0)
    for piece in pieces:
        seconds[piece.stage] += sum(prices[each] * amount for each, amount in _costs(piece).items())
    workers = run.staff.count or 1
    return {title: each / workers for title, each in seconds.items()}


def _costs(piece: Planned) -> Costs:
    """Those of making it, and of keeping it."""
    return {**piece.costs, storing(): piece.size}


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise _OverBudget
