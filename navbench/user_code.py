"""Code of users and other packages: what it raises is told with its name and what it was given, and it ends no run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from navbench.errors import NavbenchError, reason


@contextmanager
def no_exit(what: str, given: Mapping[str, object] | None = None) -> Iterator[None]:
    """Run code of others that may not end the program, as a run would then look as if it were done.

    Raises:
        NavbenchError: it tried to.
    """
    try:
        yield
    except SystemExit as error:
        raise exit_refused(what, error, given) from error


def exit_refused(what: str, error: BaseException, given: Mapping[str, object] | None = None) -> BaseException:
    """What is said of an error that would end the program; any other one as it is."""
    if not isinstance(error, SystemExit):
        return error
    return NavbenchError(
        f"{what} tried to end the program (sys.exit({error.code!r})){_told(given)}; have it raise an error instead "
        "(--debug shows where)."
    )


@contextmanager
def running(what: str, given: Mapping[str, object] | None = None, duty: str = "") -> Iterator[None]:
    """Run code of others; their errors become one sentence, with the error itself as the cause.

    Memory that ran out is left as it is, as smaller batches mend it; so is Ctrl-C, which is the user's.

    Args:
        what: that runs, for the sentence: "Generator 'my_gan:make'".
        given: what it is given, by name; tensors are told by shape, type and device.
        duty: what it must be able to do, where an error often comes from that.

    Raises:
        NavbenchError: the code raised an error, or tried to end the program.
    """
    try:
        with no_exit(what, given):
            yield
    except NavbenchError:
        raise
    except Exception as error:
        from navbench.compute import out_of_memory  # which needs torch, as names do not

        if out_of_memory(error):
            raise
        raise NavbenchError(
            f"{what} failed{_told(given)}: {_words(error)}{duty and f'; {duty}'} (--debug shows where)."
        ) from error


def _told(given: Mapping[str, object] | None) -> str:
    """What it was given, for a sentence: shape, type and device of what are tensors."""
    values: dict[str, Any] = {name: value for name, value in (given or {}).items() if hasattr(value, "device")}
    parts = [
        f"{name} {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')} on {value.device}"
        for name, value in values.items()
    ]
    return f" when it was given {' and '.join(parts)}" if parts else ""


def _words(error: Exception) -> str:
    kind = type(error).__name__
    return f"{kind}: {reason(error)}" if str(error).strip() else kind
