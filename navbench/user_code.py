"""Code of users and other packages: what it raises is told with its name and what it was given, and it ends no run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from navbench.errors import NavbenchError, reason


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
        yield
    except SystemExit as error:
        raise NavbenchError(
            f"{what} tried to end the program (sys.exit({error.code!r})){_told(given)}; have it raise an error instead."
        ) from error
    except NavbenchError:
        raise
    except Exception as error:
        from navbench.compute import out_of_memory  # which needs torch, as names do not

        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise
        raise NavbenchError(
            f"{what} failed{_told(given)}: {_words(error)}{duty and f'; {duty}'} (--debug shows where)."
        ) from error


def _told(given: Mapping[str, object] | None) -> str:
    tensors = {name: value for name, value in (given or {}).items() if hasattr(value, "device")}
    if not tensors:
        return ""
    parts = [f"{name} {_shape(value)} of {_type(value)} on {value.device}" for name, value in tensors.items()]  # type: ignore[attr-defined]
    return f" when it was given {' and '.join(parts)}"


def _shape(tensor: object) -> tuple[int, ...]:
    return tuple(getattr(tensor, "shape", ()))


def _type(tensor: object) -> str:
    return str(getattr(tensor, "dtype", "")).removeprefix("torch.")


def _words(error: Exception) -> str:
    kind = type(error).__name__
    return f"{kind}: {reason(error)}" if str(error).strip() else kind
