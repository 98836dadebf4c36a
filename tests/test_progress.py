"""Progress: plain lines where nobody watches, a bar with an estimate on a terminal."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from navbench import progress
from navbench.progress import Lines, Outlook, Whole, silent, stage, whole


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


def test_a_leap_before_the_first_line_says_nothing_of_the_pace(clock):
    console = plain()
    told = Lines(console, "curves", seconds=20)
    for now, done in ((0.1, 1), (3.0, 500), (20.0, 502), (40.0, 504), (60.0, 505)):
        clock.now = now
        told(done, 600)
    assert printed(console)[1:] == ["curves: 504/600, about 960 s left", "curves: 505/600, about 1267 s left"]


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


def test_a_muted_console_shows_no_stage():
    for console in (plain(), Console(file=io.StringIO(), force_terminal=True)):
        console.quiet = True
        with stage(console, "heatmaps") as report:
            report(1, 1)
        assert console.file.getvalue() == ""


# --- all stages ------------------------------------------------------------------------------------------------


def test_the_first_estimate_is_the_plan_and_the_last_that_of_the_pace(clock):
    counted = Whole(Outlook({"a": 60.0, "b": 40.0}))
    assert counted.left == 100
    clock.now = 120.0  # twice as long as planned
    counted.end("a")
    assert counted.done == 60
    assert counted.left == pytest.approx(40 * (120 + 5) / (60 + 5))
    counted.tell("b", 0.5)
    clock.now = 160.0
    assert counted.left == pytest.approx(20 * (160 + 5) / (80 + 5))
    counted.end("b")
    assert counted.left == 0


def test_a_run_at_the_planned_pace_is_estimated_as_planned_all_along(clock):
    counted = Whole(Outlook({"a": 60.0, "b": 40.0}))
    for second in range(0, 100, 7):
        clock.now = float(second)
        counted.tell("a", min(second / 60, 1))
        counted.tell("b", max(second - 60, 0) / 40)
        assert counted.left == pytest.approx(100 - second)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1e6), max_size=4),
    st.lists(st.tuples(st.sampled_from("abcdxy"), st.floats(-1, 2)), max_size=20),
)
def test_what_is_done_never_falls_and_never_is_more_than_all(planned, told):
    counted, before = Whole(Outlook(planned)), 0.0
    for title, share in told:
        counted.tell(title, share)
        assert before <= counted.done <= counted.total * (1 + 1e-9)
        assert counted.left is None or counted.left >= 0
        before = counted.done


def test_what_an_earlier_run_did_of_a_stage_is_not_what_is_planned_of_it(clock):
    """Of ten steps nine are there, which are told at once; the tenth takes 100 s."""
    counted = Whole(Outlook({"a": 100.0}, {"a": 0.9}))
    for step in range(1, 10):
        counted.tell("a", step / 10)
    assert (counted.done, counted.left) == (0, 100)
    counted.tell("a", 0.95)
    assert counted.done == pytest.approx(50)
    counted.end("a")
    assert counted.left == 0


def test_without_a_plan_there_is_no_estimate_but_a_count_of_stages():
    counted = Whole(Outlook({}))
    counted.end("a")
    assert (counted.left, counted.stages) == (None, "1 stages")
    counted = Whole(Outlook({"a": 1.0, "b": 1.0}))
    counted.end("b")
    counted.end("not planned")
    assert counted.stages == "2/3 stages"


def test_on_a_terminal_the_bar_of_all_stages_has_an_estimate_and_a_stage_that_is_done_becomes_a_line(clock):
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    with whole(console, Outlook({"a": 4000.0, "b": 3000.0})):
        with stage(console, "a") as report:
            report(1, 2)
            report(2, 2)
        with stage(console, "b") as report:
            report(1, 3, "note")
    text = console.file.getvalue()
    assert "a: 2/2, done in" in text
    assert "all stages" in text
    assert "1/2 stages" in text
    assert re.search(r"about \d+:\d\d:\d\d left", text)
    assert not progress._WHOLES


def test_in_a_pipe_all_stages_together_say_nothing():
    console = plain()
    with whole(console, Outlook({"a": 1.0})), stage(console, "a") as report:
        report(1, 1)
    assert printed(console) == ["a: 1/1, done in 0 s"]


def test_silence_says_nothing(capsys):
    assert silent(1, 2, "note") is None
    assert capsys.readouterr().out == ""
