"""Frames on demand: one thread renders, a bounded queue waits, and a bounded cache keeps what was shown."""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from time import perf_counter

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.experiments.edit import reduced
from navbench.experiments.pictures import sheet
from navbench.experiments.strips import to_bytes, to_float
from navbench.inspect.bench import Bench, Code, Part

MOST_IMAGES, MOST_CODES, MOST_STACKS = 48, 12, 7
MOST_WAITING = 48
CACHE_BYTES = 128 * 2**20
LOSSLESS_SIDE, LOSSLESS_PIXELS = 255, 2**18
"""Images with a side beyond the first, or sheets with more pixels than the second, are lossy."""
QUALITY, METHOD = 88, 2
_SECONDS_TO_END = 5
_WIDEST = 16383
"""Pixels that a side of a WebP can have."""
_SIDES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""Of the images in a frame; few, so that what is cached is asked for again."""


class BusyError(Exception):
    """As many frames wait as may; ask again in a second."""


class SupersededError(Exception):
    """A later frame was asked for by the same viewer, so this one was not rendered."""


@dataclass(frozen=True)
class Order:
    """A frame: a sheet with a row per stack and a column per code.

    Attributes:
        side: the longest of each image, in pixels; larger ones are reduced to it, smaller ones stay.
    """

    stacks: tuple[tuple[Part, ...], ...]
    codes: tuple[Code, ...]
    side: int

    def __post_init__(self) -> None:
        """Refuse an order of nothing, or of too much."""
        rows, columns = len(self.stacks), len(self.codes)
        if not (1 <= rows <= MOST_STACKS and 1 <= columns <= MOST_CODES and rows * columns <= MOST_IMAGES):
            raise NavbenchError(
                f"A frame has 1 to {MOST_STACKS} stacks of 1 to {MOST_CODES} codes, and at most {MOST_IMAGES} images; "
                f"this one has {rows} of {columns}."
            )


def fitting_side(wanted: int) -> int:
    """The side of images that are shown at a size, in pixels of the screen."""
    return next((side for side in _SIDES if side >= wanted), _SIDES[-1])


@dataclass(frozen=True)
class Frame:
    """A rendered order, encoded.

    Attributes:
        kind: 'image/png', which is exact, or 'image/webp', which is not.
        milliseconds: that rendering and encoding took; 0 where it was kept from before.
    """

    content: bytes
    kind: str
    milliseconds: float


@dataclass
class _Waiting:
    order: Order
    lane: str
    urgent: bool
    future: "Future[Frame]" = field(default_factory=Future)


class Frames:
    """Renders orders one at a time in a thread of its own, urgent ones first, the latest of each lane only."""

    def __init__(
        self, render: Callable[[Order], Frame], most_waiting: int = MOST_WAITING, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._render, self.most_waiting, self.cache_bytes = render, most_waiting, cache_bytes
        self._cached: OrderedDict[Order, Frame] = OrderedDict()
        self._bytes = 0
        self._queue: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closed = False
        self._rendered: Future[Frame] | None = None
        self._thread = threading.Thread(target=self._work, name="frames", daemon=True)
        self._thread.start()

    def ask(self, order: Order, lane: str = "", *, urgent: bool = False) -> "Future[Frame]":
        """The frame of an order, once it is rendered.

        Args:
            order: what to render.
            lane: of a viewer who wants to see only the last of all frames asked for; '' for none.
            urgent: whether it goes before those that are not.

        Raises:
            BusyError: too many wait.
            SupersededError: nothing more is rendered.
        """
        with self._changed:
            if self._closed:
                raise SupersededError
            if (frame := self._cached.get(order)) is not None:
                self._cached.move_to_end(order)
                known: Future[Frame] = Future()
                known.set_result(replace(frame, milliseconds=0.0))
                self._drop(lane)
                return known
            self._drop(lane)
            if len(self._queue) >= self.most_waiting:
                raise BusyError
            waiting = _Waiting(order, lane, urgent)
            self._queue.append(waiting)
            self._changed.notify()
            return waiting.future

    def dismiss(self) -> None:
        """Render nothing more; all who wait, for what is being rendered, too, are told that it is superseded."""
        with self._changed:
            self._closed = True
            for waiting in self._queue:
                _supersede(waiting)
            self._queue.clear()
            if self._rendered is not None:
                self._rendered.set_exception(SupersededError())
                self._rendered = None
            self._changed.notify_all()

    def close(self) -> None:
        """The same, and end the thread after what it renders, if that does not take too long."""
        self.dismiss()
        self._thread.join(_SECONDS_TO_END)

    @property
    def cached_bytes(self) -> int:
        """What the cache holds."""
        return self._bytes

    @property
    def waiting(self) -> int:
        """How many orders wait."""
        return len(self._queue)

    def _drop(self, lane: str) -> None:
        """Forget what waits in a lane."""
        if lane:
            for waiting in [each for each in self._queue if each.lane == lane]:
                self._queue.remove(waiting)
                _supersede(waiting)

    def _work(self) -> None:
        while (waiting := self._next()) is not None:
            if not waiting.future.set_running_or_notify_cancel():
                continue  # who asked has gone
            with self._changed:
                if self._closed:
                    waiting.future.set_exception(SupersededError())
                    return
                self._rendered = waiting.future
                frame = self._cached.get(waiting.order)  # of another lane, or of another viewer
            try:
                frame = frame or self._render(waiting.order)
            except BaseException as error:
                self._settle(error)
                continue
            self._keep(waiting.order, frame)
            self._settle(frame)

    def _settle(self, outcome: Frame | BaseException) -> None:
        """Tell who waits for what was rendered how that ended, unless they were told already."""
        with self._changed:
            future, self._rendered = self._rendered, None
            if future is None:
                return
            if isinstance(outcome, Frame):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    def _next(self) -> _Waiting | None:
        """The first urgent order, or the first; waits for one; `None` at the end."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            place = next((place for place, each in enumerate(self._queue) if each.urgent), 0)
            return self._queue.pop(place)

    def _keep(self, order: Order, frame: Frame) -> None:
        with self._changed:
            if order in self._cached or len(frame.content) > self.cache_bytes:
                return
            self._cached[order] = frame
            self._bytes += len(frame.content)
            while self._bytes > self.cache_bytes:
                _, dropped = self._cached.popitem(last=False)
                self._bytes -= len(dropped.content)


def _supersede(waiting: _Waiting) -> None:
    if waiting.future.set_running_or_notify_cancel():
        waiting.future.set_exception(SupersededError())


def render_on(bench: Bench) -> Callable[[Order], Frame]:
    """The function from an order to its frame."""

    def render(order: Order) -> Frame:
        begun = perf_counter()
        side = min(order.side, _WIDEST // max(len(order.codes), len(order.stacks)))
        rows = torch.stack([_at_most(bench.images(stack, order.codes), side) for stack in order.stacks])
        content, kind = encoded(rows)
        return Frame(content, kind, 1000 * (perf_counter() - begun))

    return render


def _at_most(images: Tensor, side: int) -> Tensor:
    """Images, uint8, at no more than a side; exactly themselves where they are no larger."""
    return images if max(images.shape[2:]) <= side else to_bytes(reduced(to_float(images), side))


def encoded(images: Tensor) -> tuple[bytes, str]:
    """Images (rows, columns, 3, H, W), uint8, as one sheet: PNG where it is small, else lossy WebP; and its type."""
    picture, buffer = sheet(images), io.BytesIO()
    if max(images.shape[-2:]) <= LOSSLESS_SIDE and picture.width * picture.height <= LOSSLESS_PIXELS:
        picture.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), "image/png"
    picture.save(buffer, "WEBP", quality=QUALITY, method=METHOD)
    return buffer.getvalue(), "image/webp"
