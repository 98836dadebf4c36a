"""Open every file of the corpus as a user would, in this process, and write down how that ended: a program.

The memory that it may take is bounded, and the time of each file, so that a file that gets through ends as a failure of
the test, not of the machine.
"""

import contextlib
import io
import json
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import corpus
import torch
from click.testing import CliRunner

from navbench.cli import main
from navbench.compute import Compute, peak_memory, reset_peak_memory
from navbench.errors import NavbenchError
from navbench.experiments.photo_codes import read_latents
from navbench.experiments.reference import open_reference
from navbench.experiments.statistics import read_statistics
from navbench.library import open_set

MOST_MEMORY, MOST_SECONDS = 2 * 2**30, 30


def command(*words: str) -> tuple[int, str]:
    """The exit code of a command line and what it wrote to stderr."""
    result = CliRunner().invoke(main, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return -1, "".join(traceback.format_exception(result.exception))
    return result.exit_code, result.stderr


def called(function: Callable[[], object]) -> tuple[int, str]:
    """The same of a function."""
    try:
        function()
    except NavbenchError as error:
        return error.exit_code, f"Error: {error}\n"
    except BaseException:  # whatever a file may raise
        return -1, traceback.format_exc()
    return 0, ""


def _reference(path: str) -> None:
    opened = open_reference(path, (24, 24), 2)
    opened.check()
    opened.images(range(len(opened)))


def _imported(path: str) -> tuple[int, str]:
    out = str(Path(path).parent / "out")
    return command("directions", "import", path, "--generator", "analytic:styled", "--layer", "convs.1", "--out", out)


def _set(path: str) -> tuple[int, str]:
    code, said = command("directions", "list", "--directions", str(Path(path).parent))
    return (code, said) if code else called(lambda: open_set(Path(path)).load(corpus.GENERATOR)[0].offset)


DOORS: dict[str, Callable[[str], tuple[int, str]]] = {
    "generator": lambda path: command("generators", "show", path),
    "set": _set,
    "import": _imported,
    "codes": lambda path: called(lambda: read_latents(Path(path), corpus.GENERATOR)),
    "statistics": lambda path: called(lambda: read_statistics(path)),
    "reference": lambda path: called(lambda: _reference(path)),
    "images": lambda path: called(lambda: _reference(str(Path(path).parent))),
}  # fmt: skip


def _late(*_: object) -> None:
    raise TimeoutError(f"it took more than {MOST_SECONDS} s")


def ended(case: corpus.Case) -> dict[str, object]:
    """How a file ended: exit code, what was said on stderr, seconds, and bytes beyond those before."""
    reset_peak_memory(torch.device("cpu"))
    before, begun = peak_memory(torch.device("cpu")), time.monotonic()
    signal.alarm(MOST_SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            code, said = DOORS[case.door](case.path)
    except BaseException:
        code, said = -1, traceback.format_exc()
    finally:
        signal.alarm(0)
    taken = ((peak_memory(torch.device("cpu")) or 0) - (before or 0)) * 2**20
    return {"code": code, "said": said, "seconds": time.monotonic() - begun, "taken": taken}


def run(folder: Path) -> None:
    signal.signal(signal.SIGALRM, _late)
    Compute()
    limit = (int(peak_memory(torch.device("cpu")) or 0) << 20) + 2 * MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    cases = [corpus.Case(**case) for case in json.loads((folder / "cases.json").read_text(encoding="utf-8"))]
    outcomes = {case.name: ended(case) for case in cases}
    (folder / "outcomes.json").write_text(json.dumps(outcomes), encoding="utf-8")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
