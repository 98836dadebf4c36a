"""How the program ends where its output cannot be written, and how click's errors and our warnings are shown."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from navbench.texts import LONGEST_MESSAGE, shown

_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises, since version 8.2, of a group without a command: a message of many lines, all its own."""


@contextmanager
def ended() -> Iterator[None]:
    """Write all that was printed; if that fails, end with code 1, and say why once, but for a pipe that was closed."""
    code: object = None
    try:
        try:
            yield
        except SystemExit as ending:
            code = ending.code
            raise
        finally:
            sys.stdout.flush()
    except OSError as error:
        _discard_output()
        if not isinstance(error, BrokenPipeError) and not code:
            click.echo(f"Error: The output cannot be written ({error.strerror}).", err=True)
        sys.exit(1)


def _discard_output() -> None:
    """Have what is still to be printed go nowhere, as Python would write it, and fail, once more at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def shown_as_typed() -> Iterator[None]:
    """Make the message of a click error one line without hidden characters."""
    try:
        yield
    except _HELP:
        raise
    except click.ClickException as error:
        text = shown(error.format_message(), LONGEST_MESSAGE)
        error.format_message = lambda: text  # type: ignore[method-assign]
        raise


@contextmanager
def warned_in_sentences() -> Iterator[None]:
    """Show navbench's own warnings as sentences, as a run does, without a place in its code."""
    plain = warnings.formatwarning

    def formatted(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        from navbench.errors import NavbenchWarning

        is_ours = issubclass(category, NavbenchWarning)
        return f"warning: {message}\n" if is_ours else plain(message, category, *where, **more)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = plain
