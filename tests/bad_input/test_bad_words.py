"""What a user types is refused in one sentence that ends with what to do."""

import json
import shlex

import pytest
import torch
import toy
from click.testing import CliRunner
from complaints import FACES, RUN, complaint
from safetensors import safe_open
from safetensors.torch import save

from navbench.cli import main
from navbench.runner import run as runner

# --- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"{RUN} --generator facs", "Unknown generator 'facs'; did you mean 'faces'?"),
        (
            f"{RUN} --generator nowhere:make",
            "Generator 'nowhere:make': module 'nowhere' cannot be imported (No module named 'nowhere')",
        ),
        (f"{RUN} --generator toy:mke", "Generator 'toy:mke': module 'toy' has no 'mke'"),
        (f"{RUN} --layer uq", "Unknown layer of generator toy.make 'uq'; did you mean 'up'?"),
        (f"{RUN} --layer last", "There are no directions 'toy.make/svd/last'; find it with navbench discover"),
        (f"fid-curve --direction svd/up/9 {FACES}", "Unknown direction 'svd/up/9'; did you mean 'toy.make/svd/up/"),
        ("directions show qqqq --directions sets", "Unknown direction 'qqqq'; known: "),
        ("run-all quik", "Unknown preset 'quik'; did you mean 'quick'?"),
        ("discover --method spectral --preset tiny.toml", "Unknown method 'spectral'; did you mean 'spectrum'?"),
        (
            "discover --layer main.7 --method svd --generator faces",
            "Unknown layer of generator faces 'main.7'; did",
        ),
        (
            "discover --latent w --method random --generator faces",
            "Unknown latent space of generator faces 'w'; known: z.",
        ),
        (
            "discover --layer main.6 --method ganspace --generator faces",
            "Method ganspace is defined in w spaces only (Härkönen et al., NeurIPS 2020; z has no principal axes)",
        ),
        ("discover --latent z --method sefa --generator toy:make", "Generator toy.make does not say which linear maps"),
        ("generators show face", "Unknown generator 'face'; did you mean 'faces'?"),
        ("directions list --directions nowhere", "nowhere is not a folder of directions; name one that navbench disco"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_or_with_all(work, line, sentence):
    assert complaint(line, 2).startswith(sentence)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("distance", "lpips", "Unknown perceptual distance 'lpips'; did you mean"),
        ("extractor", "inception", "Unknown extractor 'inception'; did you mean 'inception-v3-compat'?"),
        (
            "methods",
            "spectral",
            "There are no directions 'toy.make/spectral/up': unknown method 'spectral'; did you mean",
        ),
        ("targets", "y", "wrong.toml: reproduction.targets.0: "),
    ],
)
def test_an_unknown_name_in_a_suite_is_answered_in_the_same_way(work, key, value, sentence):
    lines = {
        "distance": f'distance = "{value}"\n{toy.TINY}',
        "extractor": toy.TINY.replace("toy-pixels", value),
        "methods": toy.TINY.replace('"random"', f'"{value}"'),
        "targets": toy.TINY.replace("[reproduction]", f'[reproduction]\ntargets = ["{value}"]'),
    }
    (work / "wrong.toml").write_text(lines[key])
    assert complaint("run-all wrong.toml --directions sets --out run", 2).startswith(sentence)


def test_a_plain_module_that_does_not_tell_the_shape_of_its_codes_is_told_how(work, monkeypatch):
    monkeypatch.setattr(toy, "make", lambda: torch.nn.Conv2d(3, 3, 1))
    assert complaint(RUN, 2).startswith("Generator 'toy:make' is a plain module: give it an attribute code_shape")
    monkeypatch.setattr(toy, "make", lambda: "a string")
    assert complaint(RUN, 2) == "Generator 'toy:make' is a str; it must be a Generator or an nn.Module."


# --- suites and folders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"name = \n", "wrong.toml is not valid TOML: "),
        (b"\xff\xfe", "Suite wrong.toml cannot be read"),
        (b"seeds = 1\n" + toy.TINY.encode(), "wrong.toml: unknown key 'seeds'; did you mean 'seed'?"),
        (b"", "wrong.toml: name: field required"),
    ],
)
def test_a_suite_that_cannot_be_read_is_named_with_its_fault(work, content, sentence):
    (work / "wrong.toml").write_bytes(content)
    assert complaint("run-all wrong.toml", 2).startswith(sentence)


def test_a_suite_that_is_a_folder_or_missing_is_named(work):
    (work / "folder.toml").mkdir()
    assert complaint("run-all folder.toml", 2).startswith("Suite folder.toml cannot be read")
    assert complaint("run-all absent.toml", 2).startswith("Suite absent.toml cannot be read")


def test_a_run_folder_that_is_a_file_or_below_one_is_refused(work):
    (work / "run").write_text("")
    assert complaint(RUN, 2) == "run is a file; choose another folder with --out."
    assert complaint(f"{RUN}/below", 2).endswith("a file stands where a folder is needed, or the reverse.")
    assert (work / "run").read_text() == ""


def test_a_folder_of_something_else_is_left_alone(work):
    sentence = "photos is not empty and holds no run that can be read; choose another folder with --out."
    assert complaint("run-all tiny.toml --directions sets --out photos", 2) == sentence
    assert complaint("run-all tiny.toml --directions sets --out photos --fresh", 2) == sentence
    assert len(list((work / "photos").iterdir())) == 3


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [("photos", "photos is not a run folder: it has no manifest.json."), ("tiny.toml", "tiny.toml is not a folder; ")],
)
def test_a_report_of_what_is_no_run_is_refused(work, folder, sentence):
    assert complaint(f"report {folder}", 2).startswith(sentence)


def test_a_report_of_an_unfinished_run_says_to_finish_it(work, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner.tables, "write", interrupt)
        stopped = CliRunner().invoke(main, shlex.split(RUN))
    assert stopped.exit_code == 130
    said = "Interrupted; the same command (without --fresh) goes on where this one stopped.\n"
    assert stopped.stderr.endswith(f"\n{said}")
    assert complaint("report run", 2).endswith("if the run was interrupted, start it again to finish it.")
    assert CliRunner().invoke(main, shlex.split(RUN)).exit_code == 0


# --- where and how to compute ----------------------------------------------------------------------------------


def test_cuda_without_cuda_says_to_use_the_cpu(work, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    sentence = "Device 'cuda' was asked for, but torch sees no CUDA device; use --device cpu."
    assert complaint(f"{RUN} --device cuda", 2) == sentence
    assert not (work / "run").exists()


@pytest.mark.parametrize("device", ["tpu", "cpu:cpu", "mps:1", ""])
def test_an_unknown_device_is_answered_with_those_that_there_are(work, device):
    assert complaint(f"{RUN} --device '{device}'", 2) == (
        f"Unknown device {device!r}; use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'."
    )


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        (f"{RUN} --batch 0", "Invalid value for '--batch': 0 is not in the range x>=1."),
        (f"{RUN} --batch many", "Invalid value for '--batch': 'many' is not a valid integer range."),
        (f"{RUN} --precision float16", "Invalid value for '--precision'"),
        (f"{RUN} --sampels 3", "No such option"),
        (f"fid-curve {FACES}", "Missing option '--direction'"),
        (f"reproduce --direction svd/up/0 --target v {FACES}", "Invalid value for '--target'"),
        ("run-al", "No such command 'run-al'"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_done(work, line, fragment):
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert fragment in result.stderr
    assert not (work / "run").exists()


def test_a_set_does_not_get_to_name_code_that_is_run(work):
    path = work / "sets" / "toy.make" / "svd" / "up.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["navbench"]) | {"generator": "platform:node"}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    evil = work / "evil" / "platform:node" / "svd" / "up.safetensors"
    evil.parent.mkdir(parents=True)
    evil.write_bytes(save(tensors, {"navbench": json.dumps(header)}))
    for line in ("directions show svd/up/0", "fid-curve --direction svd/up/0"):
        assert "'platform:node', which is not installed" in complaint(f"{line} --directions evil", 2)


def test_an_even_number_of_shifts_is_refused(work):
    sentence = complaint(f"fid-curve --direction svd/up/0 --generator toy:make --shifts 4 {FACES}", 2)
    assert sentence.endswith("must be odd, to have t = 0, found 4.")


# --- what nobody foresaw ---------------------------------------------------------------------------------------


def test_an_unforeseen_error_is_one_line_and_a_traceback_only_when_asked_for(work, monkeypatch):
    def fail(*_):
        raise ArithmeticError("the sky fell")

    monkeypatch.setattr("navbench.report.html.write_report", fail)
    assert complaint("report run", 1) == "ArithmeticError: the sky fell (--debug shows where)."
    shown = CliRunner().invoke(main, ["--debug", "report", "run"])
    assert shown.exit_code == 1
    assert "Traceback" in shown.stderr
    assert "the sky fell" in shown.stderr


def test_a_known_error_shows_its_traceback_only_when_asked_for(work):
    shown = CliRunner().invoke(main, ["--debug", "run-all", "quik"])
    assert shown.exit_code == 2
    assert "Traceback" in shown.stderr
    assert shown.stderr.splitlines()[-1] == "Error: Unknown preset 'quik'; did you mean 'quick'?"
