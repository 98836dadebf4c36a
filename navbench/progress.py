"""How long work tells how far it is: a bar with an estimate on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Report(Protocol):
    """What long work calls as it goes."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Tell that `done` of `total` steps are done; `note` is a few words on how it goes."""


def silent(done: int, total: int, note: str = "") -> None:
    """No-op reporter."""


class Lines:
    """A plain line when a stage ends, and every `seconds` before that.

    What a first report within a second calls done was done before, as in work that goes on from a checkpoint.
    """

    def __init__(self, console: Console, stage: str, seconds: float = 20) -> None:
        self.console, self.stage, self.seconds = console, stage, seconds
        self.begun = self.told = time.monotonic()
        self.before: int | None = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Tell, unless it was told a moment ago."""
        now = time.monotonic()
        if self.before is None:
            self.before = done if now - self.begun < 1 else 0
        if done >= total or now - self.told >= self.seconds:
            self.told = now
            left = (now - self.begun) / max(done - self.before, 1) * (total - done)
            when = f"done in {now - self.begun:.0f} s" if done >= total else f"about {left:.0f} s left"
            line = f"{self.stage}: {done}/{total}, {when}{f', {note}' if note else ''}"
            self.console.print(line, markup=False, emoji=False, highlight=False)


@contextmanager
def stage(console: Console, title: str) -> Iterator[Report]:
    """A report for one stage, drawn as the console allows; stages of several threads are bars of one display."""
    if not console.is_terminal:
        yield Lines(console, title)
        return
    with _bars(console) as progress:
        task = progress.add_task(title, total=None, note="")

        def report(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield report


_OPEN: dict[Console, tuple[Progress, int]] = {}
"""The display of each console, and how many stages it shows."""
_OPENING = threading.Lock()


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """The display of a console, which is there while a stage is open."""
    with _OPENING:
        progress, stages = _OPEN.get(console) or (Progress(*_columns(), console=console), 0)
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


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
