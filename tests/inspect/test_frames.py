"""The queue of frames: one at a time, bounded, the latest of each viewer, and a cache that does not grow."""

import threading
from concurrent.futures import wait
from dataclasses import replace

import pytest

from navbench.errors import NavbenchError
from navbench.inspect.bench import Part, Sample
from navbench.inspect.frames import BusyError, Frame, Frames, Order, SupersededError

SECONDS = 20


def order(t):
    return Order(((Part(0, float(t)),),), (Sample(0, 0),), 64)


class Gate:
    """Renders when it is let, and remembers what."""

    def __init__(self, size=10, is_open=False):
        self.size, self.rendered, self.at_once = size, [], 0
        self.open, self.begun = threading.Event(), threading.Event()
        self._inside = threading.Semaphore(1)
        if is_open:
            self.open.set()

    def __call__(self, asked):
        assert self._inside.acquire(blocking=False), "two renderings at once"
        self.begun.set()
        assert self.open.wait(SECONDS)
        self.rendered.append(asked.stacks[0][0].t)
        self._inside.release()
        return Frame(bytes(self.size), "image/png", 1.0)


@pytest.fixture
def gated():
    gate = Gate()
    made = Frames(gate, most_waiting=5, cache_bytes=55)
    yield gate, made
    gate.open.set()
    made.close()


def test_a_frame_is_rendered_once_and_then_comes_from_the_cache(gated):
    gate, frames = gated
    gate.open.set()
    first = frames.ask(order(1)).result(SECONDS)
    assert frames.ask(order(1)).result(SECONDS) == replace(first, milliseconds=0.0)
    assert gate.rendered == [1]


def test_a_thousand_at_once_are_refused_beyond_the_bound_and_leave_no_more_than_the_cache_holds(gated):
    gate, frames = gated
    accepted, refused = [], 0
    for t in range(1000):
        try:
            accepted.append(frames.ask(order(t)))
        except BusyError:
            refused += 1
        assert frames.waiting <= 5
    assert len(accepted) + refused == 1000
    assert len(accepted) <= 7  # five wait, one is being rendered
    gate.open.set()
    assert len(wait(accepted, SECONDS).done) == len(accepted)
    assert 0 < frames.cached_bytes <= 55
    for t in range(100):
        frames.ask(order(-t)).result(SECONDS)
    assert frames.cached_bytes <= 55
    assert len(frames._cached) <= 5


def test_the_latest_of_a_lane_wins_and_other_lanes_keep_theirs(gated):
    gate, frames = gated
    running = frames.ask(order(0), "a")
    assert gate.begun.wait(SECONDS)
    old, other, new = frames.ask(order(1), "a"), frames.ask(order(2), "b"), frames.ask(order(3), "a")
    assert isinstance(old.exception(SECONDS), SupersededError)
    gate.open.set()
    for future in (running, other, new):
        future.result(SECONDS)
    assert gate.rendered == [0, 2, 3]


def test_a_thousand_of_one_lane_render_the_first_and_the_last(gated):
    gate, frames = gated
    frames.ask(order(0), "a")
    assert gate.begun.wait(SECONDS)
    last = [frames.ask(order(t), "a") for t in range(1, 1000)][-1]
    gate.open.set()
    last.result(SECONDS)
    assert gate.rendered == [0, 999]


def test_urgent_frames_go_first(gated):
    gate, frames = gated
    frames.ask(order(0))
    assert gate.begun.wait(SECONDS)
    futures = [frames.ask(order(1)), frames.ask(order(2)), frames.ask(order(3), "a", urgent=True)]
    gate.open.set()
    wait(futures, SECONDS)
    assert gate.rendered == [0, 3, 1, 2]


def test_who_gives_up_waiting_costs_no_rendering_and_ends_no_thread(gated):
    gate, frames = gated
    frames.ask(order(0))
    assert gate.begun.wait(SECONDS)
    left, kept = frames.ask(order(1), "a"), frames.ask(order(2))
    assert left.cancel()
    frames.ask(order(3), "a")  # supersedes what was left already
    gate.open.set()
    kept.result(SECONDS)
    assert frames.ask(order(4)).result(SECONDS)
    assert 1 not in gate.rendered


def test_at_the_end_who_waits_is_told_at_once_also_for_what_is_being_rendered(gated):
    gate, frames = gated
    asked = [frames.ask(order(t)) for t in range(3)]
    assert gate.begun.wait(SECONDS)
    frames.dismiss()
    for future in asked:
        with pytest.raises(SupersededError):
            future.result(SECONDS)
    with pytest.raises(SupersededError):
        frames.ask(order(9))
    gate.open.set()
    frames.close()
    assert gate.rendered == [0]


def test_an_error_is_that_of_its_frame_alone():
    def render(asked):
        if asked == order(1):
            raise NavbenchError("a direction of other weights")
        return Frame(b"", "image/png", 1.0)

    frames = Frames(render)
    assert isinstance(frames.ask(order(1)).exception(SECONDS), NavbenchError)
    assert frames.ask(order(2)).result(SECONDS)
    frames.close()


def test_a_frame_larger_than_the_cache_is_shown_and_not_kept():
    frames = Frames(Gate(size=100, is_open=True), cache_bytes=50)
    assert len(frames.ask(order(1)).result(SECONDS).content) == 100
    assert frames.cached_bytes == 0
    frames.close()


@pytest.mark.parametrize(("stacks", "codes"), [(0, 1), (1, 0), (8, 1), (1, 13), (7, 12)])
def test_a_frame_of_too_much_is_refused_before_it_is_rendered(stacks, codes):
    with pytest.raises(NavbenchError, match="at most 48 images"):
        Order(((Part(0, 1.0),),) * stacks, (Sample(0, 0),) * codes, 64)
