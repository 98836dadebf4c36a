"""How the program ends where its output cannot be written, and what it says of arguments that cannot be."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from navbench.cli import main
from navbench.errors import NavbenchWarning, unknown

FULL = Path("/dev/full")


def run(line, stdout):
    command = [sys.executable, "-m", "navbench.cli", *line.split()]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("line", ["--help", "directions list"])
def test_a_full_disk_under_the_output_is_one_sentence(line):
    with FULL.open("w", encoding="utf-8") as stdout:
        done = run(line, stdout)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr == "Error: The output cannot be written (No space left on device).\n"


def test_a_closed_pipe_ends_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    done = run("directions list", writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def said(*arguments):
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 2
    return found.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "NaN", "1e999"])
@pytest.mark.parametrize(
    ("line", "option"),
    [("run-all smoke", "--truncation"), ("testbed train", "--r1"), ("testbed train", "--learning-rate")],
)
def test_what_is_no_finite_number_is_refused(line, option, number):
    assert said(*line.split(), option, number).startswith(f"Error: Invalid value for '{option}': ")


@pytest.mark.parametrize(
    "arguments",
    [["a\x1b[31mb"], ["run-all", "--a\x1b[31mb"], ["run-all", "--batch", "a\x1b[31mb\nc"], ["a\u202eb"], ["a" * 9999]],
)
def test_arguments_are_echoed_on_one_line_without_control_characters(arguments):
    sentence = said(*arguments)
    assert sentence.isprintable()
    assert sentence.startswith("Error: ")
    assert len(sentence) < 2100


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("os:system", "'os' is a module of Python itself, which holds no generator"),
        ("os.path:join", "'os.path' is a module of Python itself"),
        ("sys:exit", "'sys' is a module of Python itself"),
        ("antigravity:fly", "'antigravity' is a module of Python itself"),
        ("numpy:pi", "is a float; it must be a callable"),
        ("numpy:", "module 'numpy' has no ''"),
        (":make", "module '' cannot be imported"),
        (".a:make", "module '.a' failed: TypeError"),
        ("leaves_at_once:make", "module 'leaves_at_once' tried to end the program (sys.exit(3))"),
        ("is_wrong:make", "module 'is_wrong' failed: SyntaxError"),
        ("code:make", "module 'code' has no 'make'"),
    ],
)
def test_what_makes_no_generator_is_one_sentence(tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "code", raising=False)  # a file of one's own may be called like one of Python's
    for module, content in (("leaves_at_once", "raise SystemExit(3)"), ("is_wrong", "a b"), ("code", "")):
        (tmp_path / f"{module}.py").write_text(content, "utf-8")
    try:
        assert sentence in said("generators", "show", name)
    finally:
        sys.modules.pop("code", None)


def test_a_comparison_is_not_written_to_a_file(tmp_path):
    (tmp_path / "out").write_bytes(b"")
    assert said("compare", "a", "b", "--out", str(tmp_path / "out")).endswith(
        "is a file; choose another folder with --out."
    )


@pytest.mark.parametrize(("name", "near"), [("qick", "quick"), ("spectral", "spectrum"), ("zebra", ""), ("x" * 9, "")])
def test_a_near_name_is_offered_and_a_far_one_is_not(name, near):
    sentence = str(unknown("preset", name, ["quick", "spectrum", "standard"]))
    assert ("did you mean" in sentence) == bool(near)
    assert near in sentence


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")],
)
def test_memory_that_ran_out_is_called_that(monkeypatch, error):
    def known(*_):
        raise error

    monkeypatch.setattr("navbench.generators.zoo.known", known)
    found = CliRunner().invoke(main, ["generators", "list"])
    assert found.exit_code == 1
    assert found.stderr.startswith("Error: The memory ran out; free some, or take a smaller --batch")
    assert found.stderr.count("\n") == 1


def test_warnings_of_ours_are_sentences_while_a_command_runs(monkeypatch):
    def known(*_):
        shown.extend(
            warnings.formatwarning("Beware.", kind, "file.py", 7, "code") for kind in (NavbenchWarning, UserWarning)
        )
        return {}

    shown, plain = [], warnings.formatwarning
    monkeypatch.setattr("navbench.generators.zoo.known", known)
    CliRunner().invoke(main, ["generators", "list"])
    assert shown[:2] == ["warning: Beware.\n", "file.py:7: UserWarning: Beware.\n  code\n"]
    assert warnings.formatwarning is plain
