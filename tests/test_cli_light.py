"""Start-up: what only looks and tells loads nothing heavy; what is slow to load says so, and may be interrupted."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import click
import pytest

from navbench import methods, suite, weights, words
from navbench.cli import main
from navbench.cli.doctor import needs_of
from navbench.cli.loading import loading
from navbench.compute import Precision
from navbench.discovery.settings import DiscoverySettings
from navbench.experiments import image_folder, projection
from navbench.generators.options import Noise

HEAVY = ("torch", "torchvision", "pandas", "seaborn", "matplotlib", "timm", "sklearn", "scipy")
TELL = f"""
import atexit, sys
atexit.register(lambda: print("LOADED", *sorted(set(sys.modules) & set({HEAVY!r})), sep=" "))
from navbench.cli import main
main(prog_name="navbench")
"""
LINES = [
    "--help", "--version", "directions --help", "directions list", "directions list --csv", "generators --help",
    "generators list", "doctor", "run-all --help", "discover --help", "fid-curve --help", "locality --help",
    "reproduce --help", "edit --help", "survey --help", "plan --help", "report --help", "compare --help",
    "inspect --help", "testbed --help", "testbed evaluate --help", "directions import --help",
    "generators convert --help", "show --help", "open --help", "completion --help", "completion bash",
    "completion zsh", "completion fish", "directions list --json", "generators list --json", "doctor --json",
]  # fmt: skip


def program(line, **variables):
    """A process that runs a command line and then prints which heavy packages it loaded."""
    return subprocess.run(
        [sys.executable, "-c", TELL, *line.split()], capture_output=True, text=True, env=os.environ | variables,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_what_only_tells_loads_nothing_heavy(line):
    done = program(line)
    assert (done.returncode, done.stderr) == (0, "")
    told, _, loaded = done.stdout.rpartition("LOADED")
    assert told.strip()
    assert loaded.split() == []


def test_the_list_of_what_is_loaded_sees_what_is():
    assert "torch" in program("doctor --torch").stdout.rpartition("LOADED")[2].split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("navbench run", "run-all"),
        ("navbench run-all --resi", "--resize"),
        ("navbench survey --method spec", "spectrum"),
        ("navbench reproduce --target w", "w+"),
        ("navbench directions im", "import"),
        ("navbench testbed evaluate --sam", "--samples"),
        ("navbench show cars/hybrid/convs.5/1", "cars/hybrid/convs.5/10"),
        ("navbench locality --direction faces/svd/main.6/", "faces/svd/main.6/31"),
        ("navbench survey --generator c", "cars"),
        ("navbench run-all sm", "smoke"),
    ],
)
def test_a_shell_completes_commands_options_and_values_without_loading_anything_heavy(typed, offered):
    at = str(len(typed.split()) - 1)
    done = program("", _NAVBENCH_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=at)
    told, _, loaded = done.stdout.rpartition("LOADED")
    assert f"plain,{offered}" in told.splitlines()
    assert loaded.split() == []


def test_the_help_of_the_program_imports_no_command():
    code = "import sys; from navbench.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "navbench.cli.index" in loaded
    assert not {f"navbench.cli.{name}" for name in ("common", "run_all", "doctor", "testbed")} & set(loaded)


def test_the_index_says_of_every_command_what_the_command_says_of_itself():
    assert {name: command.get_short_help_str(1000) for name, command in main.commands.items()} == {
        name: click.Command(name, help=line).get_short_help_str(1000) for name, line in main.lines.items()
    }
    assert all(command.name == name for name, command in main.commands.items())


def test_words_are_those_of_what_uses_them():
    assert tuple(image_folder.RESAMPLING) == words.RESAMPLING
    assert words.PROJECTIONS == projection.SPACES
    assert get_args(Noise) == words.NOISES
    assert get_args(Precision) == words.PRECISIONS
    assert words.PRESETS == suite.PRESETS
    assert suite.Suite.model_fields["distance"].default == words.DISTANCE
    assert DiscoverySettings().distance == words.DISTANCE
    assert type(suite.read("smoke").curves).model_fields["extractor"].default == words.EXTRACTOR
    assert set(words.KINDS) == {kind for row in methods.METHODS.values() for kind in row.spaces} | {"activation"}


@pytest.mark.parametrize("preset", words.PRESETS)
def test_doctor_names_what_the_suite_would_use(preset):
    chosen = suite.read(preset)
    distances = {chosen.discovery_of(subject).distance for subject in chosen.generators}
    generators = {subject.name for subject in chosen.generators}
    assert needs_of(preset) == generators | distances | {chosen.distance, chosen.curves.extractor}


@pytest.mark.parametrize(
    "variables", [{}, {"XDG_CACHE_HOME": "/somewhere"}, {"TORCH_HOME": "~/torch-home", "XDG_CACHE_HOME": "/other"}]
)
def test_the_folder_of_torch_hub_is_the_same_before_and_after_torch_is_loaded(variables):
    code = "from navbench import weights; a = weights._hub_folder(); import torch; print(a); print(torch.hub.get_dir())"
    kept = {name: value for name, value in os.environ.items() if name not in ("TORCH_HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept | variables
    )
    before, after = done.stdout.splitlines()
    assert before == after
    assert len(weights.status()) == len(weights.WEIGHTS)


# --- loading ---------------------------------------------------------------------------------------------------


STOPPED = "Error: RuntimeError: stop (--debug shows where)."


def slow_modules(folder: Path, seconds: float) -> dict[str, str]:
    """The environment of a process that takes `seconds` to import pandas, which then stops it."""
    (folder / "pandas.py").write_text(
        f"import time\nprint('at it', flush=True)\ntime.sleep({seconds})\nraise RuntimeError('stop')\n"
    )
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


@pytest.mark.parametrize("line", ["report run", "compare a b"])
def test_ctrl_c_during_imports_ends_in_one_line(tmp_path, line):
    process = subprocess.Popen(
        [sys.executable, "-m", "navbench", *line.split()], env=slow_modules(tmp_path, 60), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's parent ignores it
    )  # fmt: skip
    assert process.stdout.readline() == "at it\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.startswith("Interrupted; the same command")
    assert said.count("\n") == 1


def test_ctrl_c_before_there_is_a_program_ends_in_one_line(tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "navbench", "--help"], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")


def test_ctrl_c_that_a_module_turns_into_its_own_error_is_still_ctrl_c():
    def imported(cause):
        with loading():
            raise ImportError("a module in C says that it could not be imported") from cause

    with pytest.raises(KeyboardInterrupt):
        imported(KeyboardInterrupt())
    with pytest.raises(ImportError):
        imported(ValueError())


def on_terminal(arguments, environment):
    """What a process writes to the terminal that is its stderr, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end and select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 1000)
        except OSError:  # what Linux says at the end of a terminal
            break
        if not part:
            break
        said += part
    os.close(ours)
    return said.decode(), process.wait(timeout=60)


@pytest.mark.parametrize(("seconds", "told"), [(1.5, "loading pandas ...\r\x1b[K"), (0, "")])
def test_a_terminal_is_told_of_slow_imports_and_no_longer_when_they_are_done(tmp_path, seconds, told):
    said, code = on_terminal([sys.executable, "-m", "navbench", "report", "run"], slow_modules(tmp_path, seconds))
    assert (said, code) == (f"{told}{STOPPED}\r\n", 1)


def test_nothing_is_told_where_stderr_is_no_terminal(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "navbench", "report", "run"], env=slow_modules(tmp_path, 1), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.stderr, done.returncode) == (f"{STOPPED}\n", 1)
