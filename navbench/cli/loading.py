"""Slow imports: who waits at a terminal is told for what, and may interrupt."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PATIENCE = 0.5
"""Seconds after which a terminal is told."""
_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silenced() -> Iterator[None]:
    """Tell nobody meanwhile."""
    before = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(before)


@contextmanager
def loading(what: str = "torch") -> Iterator[None]:
    """Import inside of this what takes long; a line on a terminal's stderr says so, and is taken away at the end.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile, whatever the modules made of it.
    """
    if _SILENT.get() or not sys.stderr.isatty():
        with _interruptible():
            yield
        return
    told = threading.Event()

    def tell() -> None:
        told.set()
        sys.stderr.write(f"loading {what} ...")
        sys.stderr.flush()

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    timer.start()
    try:
        with _interruptible():
            yield
    finally:
        timer.cancel()
        timer.join()
        if told.is_set():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end imports also where a module turns it into an error of its own, as some in C do."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            cause = cause.__cause__ or cause.__context__
        raise
