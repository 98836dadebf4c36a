"""Progress: plain lines where nobody watches, a bar with an estimate on a terminal."""

import io

import pytest
from rich.console import Console

from navbench import progress
from navbench.progress import Lines, silent, stage


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def plain():
    """A console that is no terminal, wide enough for any line."""
    return Console(file=io.StringIO(), width=200, force_terminal=False)


def printed(console):
    return console.file.getvalue().splitlines()


def test_lines_come_at_the_end_and_at_most_every_so_many_seconds(clock):
    console = plain()
    told = Lines(console, "curves", seconds=20)
    for step in range(1, 11):
        clock.now = 7.0 * step
        told(step, 10)
    assert [line.split(",")[0] for line in printed(console)] == [f"curves: {step}/10" for step in (3, 6, 9, 10)]


def test_an_estimate_is_the_time_that_the_rest_takes_at_this_pace(clock):
    console = plain()
    told = Lines(console, "curves", seconds=20)
    clock.now = 30.0
    told(3, 10, "faces/svd/main.6/0")
    clock.now = 101.0
    told(10, 10)
    assert printed(console) == [
        "curves: 3/10, about 70 s left, faces/svd/main.6/0",
        "curves: 10/10, done in 101 s",
    ]


def test_what_was_done_before_says_nothing_of_the_pace(clock):
    console = plain()
    told = Lines(console, "training", seconds=20)
    told(900, 1000)
    clock.now = 30.0
    told(930, 1000)
    assert printed(console) == ["training: 930/1000, about 70 s left"]


def test_work_that_has_not_begun_gives_a_line_without_dividing_by_zero(clock):
    console = plain()
    told = Lines(console, "curves", seconds=20)
    clock.now = 25.0
    told(0, 4)
    assert printed(console) == ["curves: 0/4, about 100 s left"]


def test_without_a_terminal_a_stage_writes_no_control_characters(clock):
    console = plain()
    with stage(console, "toy[b]: heatmaps") as report:
        report(1, 2)
        report(2, 2)
    assert printed(console) == ["toy[b]: heatmaps: 2/2, done in 0 s"]


def test_on_a_terminal_a_stage_is_a_bar_with_counts_and_the_note():
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    with stage(console, "heatmaps") as report:
        report(1, 3, "first")
        report(3, 3, "last")
    text = console.file.getvalue()
    assert "heatmaps" in text
    assert "3/3" in text
    assert "last" in text


def test_a_stage_that_fails_lets_the_error_through():
    for console in (plain(), Console(file=io.StringIO(), force_terminal=True)):
        with pytest.raises(ZeroDivisionError), stage(console, "heatmaps"):
            raise ZeroDivisionError


def test_silence_says_nothing(capsys):
    assert silent(1, 2, "note") is None
    assert capsys.readouterr().out == ""
