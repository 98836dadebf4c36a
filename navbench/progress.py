"""How long work tells how far it is: a bar with an estimate on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Report(Protocol):
    """What long work calls as it goes."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Tell that `done` of `total` steps are done; `note` is a few words on how it goes."""


def silent(done: int, total: int, note: str = "") -> None:
    """No-op reporter."""


class Lines:
    """A plain line when a stage ends, and every `seconds` before that.

    The time left is that at the pace since the first line, as work that goes on from a checkpoint, or finds results in
    a store, begins with a leap. Until that, what is reported within a second counts as done before.
    """

    def __init__(self, console: Console, stage: str, seconds: float = 20) -> None:
        self.console, self.stage, self.seconds = console, stage, seconds
        self.begun = self.told = time.monotonic()
        self._since: tuple[float, int] | None = None
        self._before = 0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Tell, unless it was told a moment ago."""
        now = time.monotonic()
        if now - self.begun < 1:
            self._before = done
        if done >= total or now - self.told >= self.seconds:
            self.told = now
            then, before = self._since or (self.begun, self._before)
            self._since = self._since or (now, done)
            left = (now - then) / max(done - before, 1) * (total - done)
            when = f"done in {now - self.begun:.0f} s" if done >= total else f"about {left:.0f} s left"
            line = f"{self.stage}: {done}/{total}, {when}{f', {note}' if note else ''}"
            self.console.print(line, markup=False, emoji=False, highlight=False)


@dataclass(frozen=True)
class Outlook:
    """What is expected of the stages of a run, by their titles.

    Attributes:
        seconds: of what is left of a stage.
        before: the share of its steps that an earlier run did; 0 where nothing is said.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    before: Mapping[str, float] = field(default_factory=dict)


TRUST = 0.05
"""The share of the plan that weighs against what was measured: of a plan of 100 s, as much as 5 s of work."""


class Whole:
    """How far all stages of a run are together, by what a plan expects of each.

    The time left is what is planned of the rest, at the pace of what is done: seconds that passed over seconds planned.
    The plan itself counts as `TRUST` of its seconds at the planned pace, so the first estimate is the plan's, and the
    pace of this run takes over as stages go on. A stage that is not planned counts for nothing.
    """

    def __init__(self, outlook: Outlook) -> None:
        self.planned, self.before = outlook.seconds, outlook.before
        self.total = sum(self.planned.values())
        self.begun = time.monotonic()
        self._shares: dict[str, float] = {}
        self._ended: set[str] = set()

    def tell(self, title: str, share: float) -> None:
        """That so much of a stage's steps is done, from 0 to 1; a stage that comes twice does not go back."""
        before = self.before.get(title, 0.0)
        own = (share - before) / (1 - before) if before < 1 else 1.0
        self._shares[title] = max(self._shares.get(title, 0.0), min(max(own, 0.0), 1.0))

    def end(self, title: str) -> None:
        """That a stage is done."""
        self.tell(title, 1.0)
        self._ended.add(title)

    @property
    def done(self) -> float:
        """The planned seconds of what is done."""
        return sum(self.planned.get(title, 0.0) * share for title, share in [*self._shares.items()])

    @property
    def left(self) -> float | None:
        """The seconds that the rest will take; `None` without a plan."""
        if self.total <= 0:
            return None
        trust = TRUST * self.total
        pace = (time.monotonic() - self.begun + trust) / (self.done + trust)
        return max(self.total - self.done, 0.0) * pace

    @property
    def stages(self) -> str:
        """How many stages are done, of how many that are known."""
        known = len({*self.planned, *self._ended})
        return f"{len(self._ended)}/{known} stages" if self.planned else f"{len(self._ended)} stages"


@contextmanager
def whole(console: Console, outlook: Outlook) -> Iterator[Whole]:
    """How far a run is, as a bar above those of its stages on a terminal; elsewhere it is counted alone."""
    counted = Whole(outlook)
    if not watched(console):
        yield counted
        return
    with _bars(console) as progress:
        task = progress.add_task("all stages", total=counted.total or None, amount="", note="", whole=counted)
        _WHOLES[console] = (progress, task, counted)
        try:
            yield counted
        finally:
            del _WHOLES[console]
            progress.remove_task(task)


def watched(console: Console) -> bool:
    """Whether somebody looks at bars: the console is a terminal, and not muted."""
    return console.is_terminal and not console.quiet


@contextmanager
def stage(console: Console, title: str) -> Iterator[Report]:
    """A report for one stage, drawn as the console allows; stages of several threads are bars of one display.

    Within a `whole` of the same console a stage that is done becomes a line above the bars.
    """
    if console.quiet:
        yield silent
        return
    if not console.is_terminal:
        yield Lines(console, title)
        return
    with _bars(console) as progress:
        task = progress.add_task(title, total=None, amount="", note="")

        def report(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, amount=f"{done}/{total}", note=note)
            _tell_whole(console, title, done / total if total else 1.0)

        yield report
        if console in _WHOLES:
            _end_in_whole(console, next(each for each in progress.tasks if each.id == task))


def _tell_whole(console: Console, title: str, share: float) -> None:
    if console in _WHOLES:
        progress, task, counted = _WHOLES[console]
        counted.tell(title, share)
        progress.update(task, completed=counted.done, amount=counted.stages)


def _end_in_whole(console: Console, stage: Task) -> None:
    """Write the line of a stage that is done, and take its bar away."""
    progress, task, counted = _WHOLES[console]
    counted.end(stage.description)
    progress.update(task, completed=counted.done, amount=counted.stages)
    amount = f"{stage.fields['amount']}, " if stage.fields["amount"] else ""
    progress.remove_task(stage.id)
    line = f"{stage.description}: {amount}done in {stage.elapsed or 0:.0f} s"
    progress.console.print(line, markup=False, emoji=False, highlight=False)


_WHOLES: dict[Console, tuple[Progress, TaskID, Whole]] = {}
"""Of each console on which a whole run is shown, its display, its bar, and how far it is."""
_OPEN: dict[Console, tuple[Progress, int]] = {}
"""The display of each console, and how many stages it shows."""
_OPENING = threading.Lock()


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """The display of a console, which is there while a stage is open."""
    with _OPENING:
        progress, stages = _OPEN.get(console) or (
            Progress(*_columns(), console=console, redirect_stdout=not console.stderr),
            0,
        )
        _OPEN[console] = progress, stages + 1
        if not stages:
            progress.start()
    try:
        yield progress
    finally:
        with _OPENING:
            progress, stages = _OPEN.pop(console)
            if stages > 1:
                _OPEN[console] = progress, stages - 1
            else:
                progress.stop()


class _Left(TimeRemainingColumn):
    """The time left: of a stage by its own pace, of a whole run by its plan."""

    def render(self, task: Task) -> Text:
        counted = task.fields.get("whole")
        if counted is None:
            return super().render(task)
        left = counted.left
        return Text("" if left is None else f"about {timedelta(seconds=round(left))} left", style="progress.remaining")


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeElapsedColumn(),
        _Left(),
        TextColumn("{task.fields[note]}", markup=False),
    )
