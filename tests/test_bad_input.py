"""What goes wrong is told in one sentence that ends with what to do; 2 is the user's to mend, 1 a failure."""

import errno
import json
import os
import re
import shlex
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

sys.path.insert(0, str(Path(__file__).parent / "runner"))
import toy

from navbench.basis import random_basis
from navbench.cli import main, run_all
from navbench.compute import Compute
from navbench.directions import DirectionSet, write_set
from navbench.generators import zoo
from navbench.library import library, set_path
from navbench.runner import run as runner


def gray(mode="RGB", side=24):
    """A picture of one shade."""
    return toy.picture(torch.full((side, side, 3), 128, dtype=torch.uint8)).convert(mode)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Direction sets of the toy generator."""
    return toy.write_sets(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def work(tmp_path, monkeypatch, sets):
    """An empty folder to work in, but for a suite, its direction sets and a folder of photographs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(toy.TINY)
    (tmp_path / "sets").symlink_to(sets)
    (tmp_path / "photos").mkdir()
    for index in range(3):
        gray().save(tmp_path / "photos" / f"{index}.png")
    return tmp_path


@pytest.fixture
def no_report(monkeypatch):
    """Runs end without their page, which takes longer than the rest of them."""
    monkeypatch.setattr("navbench.report.html.write_report", lambda run: run / "index.html")


def complaint(line, code):
    """The one sentence on stderr with which a command line ends, and its exit code."""
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    sentence = result.stderr.strip()
    assert sentence.startswith("Error: "), sentence
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence.removeprefix("Error: ")


RUN = "run-all tiny.toml --directions sets --out run"
FACES = "--preset tiny.toml --directions sets --out run"


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
        (f"locality --direction up/0 {FACES}", "Direction 'up/0' is not unique: toy.make/random/up/0, toy.make/svd/up"),
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
    assert stopped.stderr == "Interrupted; the same command (without --fresh) goes on where this one stopped.\n"
    assert complaint("report run", 2).endswith("if the run was interrupted, start it again to finish it.")
    assert CliRunner().invoke(main, shlex.split(RUN)).exit_code == 0


# --- images ----------------------------------------------------------------------------------------------------


def test_after_a_mistake_the_corrected_command_runs_in_the_same_folder(work, no_report):
    complaint(f"{RUN} --reference photo", 2)
    complaint(f"{RUN} --layer uq", 2)
    assert CliRunner().invoke(main, shlex.split(f"{RUN} --reference photos")).exit_code == 0
    assert complaint(f"{RUN} --reference unshifted", 2).startswith("run holds another run than 'tiny'")


def test_a_reference_without_images_says_how_many_it_needs(work):
    (work / "empty").mkdir()
    (work / "empty" / "notes.txt").write_text("")
    assert complaint(f"{RUN} --reference empty", 2).endswith("; it needs at least 2.")
    gray().save(work / "empty" / "one.png")
    assert complaint(f"{RUN} --reference empty", 2).startswith("Reference 'empty' holds 1 images")


def test_a_reference_that_is_no_folder_says_to_check_the_path(work):
    for source in ("nowhere", "tiny.toml"):
        assert complaint(f"{RUN} --reference {source}", 2) == (
            f"Reference {source!r} is neither 'unshifted' nor a folder or zip of images, "
            "nor the name of an installed distribution (renderings); check the path."
        )


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: gray("L").save(path), "has mode L; convert the images to RGB first."),
        (lambda path: gray("RGBA").save(path), "has mode RGBA; convert the images to RGB first."),
        (lambda path: gray(side=25).save(path), "is 25x25, but the generator makes 24x24; resize the images first"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be read as an image"),
        (lambda path: path.write_text("words"), "cannot be read as an image"),
    ],
)
def test_an_image_of_the_reference_that_does_not_fit_is_named(work, spoil, sentence):
    spoil(work / "photos" / "1.png")
    found = complaint(f"{RUN} --reference photos", 2)
    assert found.startswith(f"1.png in reference photos {sentence}")


def test_an_image_in_a_zip_that_does_not_fit_is_named(work):
    with zipfile.ZipFile(work / "photos.zip", "w") as archive:
        for path in (work / "photos").iterdir():
            archive.write(path, path.name)
        archive.writestr("odd.png", b"words")
    assert complaint(f"{RUN} --reference photos.zip", 2).startswith("odd.png in reference photos.zip cannot be read")


def test_a_reference_that_may_not_be_read_is_named(work, monkeypatch):
    def forbidden(self, *_):
        raise PermissionError(errno.EACCES, "Permission denied")

    found = library(Path("sets"))
    with monkeypatch.context() as patch:
        patch.setattr(run_all, "library", lambda _: found)
        patch.setattr(Path, "rglob", forbidden)
        sentence = complaint(f"{RUN} --reference photos", 2)
    assert sentence.startswith("Reference 'photos' cannot be read (")
    assert "Permission denied" in sentence


# --- generators and directions that do not fit -----------------------------------------------------------------


def hand_made(name, layer, shape):
    """A set that claims to be of that generator and layer."""
    made = zoo.create(name, Compute())
    basis = random_basis(torch.Size(shape), 2, 0)
    return DirectionSet(
        generator=made.name,
        weights=made.fingerprint,
        space="parameter",
        layer=layer,
        method="svd",
        basis_name="stored",
        basis=basis,
        coefficients=torch.eye(2),
        t_min=-torch.ones(2),
        t_max=torch.ones(2),
        labels=("", ""),
        seed=0,
    )


def test_a_generator_that_makes_no_numbers_is_a_failure_that_names_it(work):
    found = hand_made("toy:broken", "up", (6, 8, 3, 3))
    write_set(found, set_path(work / "broken", found.set_id))
    (work / "broken.toml").write_text(toy.TINY.replace("toy:make", "toy:broken").replace(', "random"', ""))
    sentence = complaint("run-all broken.toml --directions broken --out run", 1)
    assert sentence.startswith("Generator toy.broken at t = ")
    assert sentence.endswith("made images with NaN or infinite values; check its weights, or use a smaller shift.")
    assert json.loads((work / "run" / "manifest.json").read_text())["complete"] is False


def test_directions_of_another_generators_weights_are_refused(work, monkeypatch):
    def retrained():
        module = toy.Toy()
        module.first.bias.data += 1
        return module

    monkeypatch.setattr(toy, "make", retrained)
    assert complaint(RUN, 2).endswith("; rediscover them for these weights.")


def test_directions_of_another_shape_are_refused(work):
    found = hand_made("toy:make", "up", (6, 8, 5, 5))
    write_set(found, set_path(work / "other", found.set_id))
    (work / "other.toml").write_text(toy.TINY.replace(', "random"', ""))
    sentence = complaint("run-all other.toml --directions other --out run", 2)
    assert sentence.endswith("do not fit parameter up, (6, 8, 3, 3).")


@pytest.mark.parametrize("content", [b"", b"words", bytes(4096)])
def test_a_file_that_is_no_direction_set_is_named(work, content):
    (work / "mine").mkdir()
    (work / "mine" / "set.safetensors").write_bytes(content)
    assert complaint("directions list --directions mine", 2).startswith("mine/set.safetensors is not a navbench direc")


def test_a_safetensors_file_of_something_else_is_named(work):
    (work / "mine").mkdir()
    save_file({"weight": torch.ones(2)}, work / "mine" / "set.safetensors")
    assert complaint("directions list --directions mine", 2).startswith("mine/set.safetensors is not a navbench direc")


def test_directions_are_not_overwritten_by_chance(work, sets):
    path = set_path(work / "mine", "toy.make/svd/up")
    path.parent.mkdir(parents=True)
    path.write_bytes((sets / "toy.make" / "svd" / "up.safetensors").read_bytes())
    kept = load_file(path)
    line = "discover --generator toy:make --layer up --method svd --preset tiny.toml --seed 9 --out mine"
    assert CliRunner().invoke(main, shlex.split(line)).exit_code == 0
    assert all(torch.equal(value, kept[key]) for key, value in load_file(path).items())


# --- where and how to compute ----------------------------------------------------------------------------------


def test_cuda_without_cuda_says_to_use_the_cpu(work, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    sentence = "Device 'cuda' was asked for, but torch sees no CUDA device; use --device cpu."
    assert complaint(f"{RUN} --device cuda", 2) == sentence
    assert not (work / "run").exists()


@pytest.mark.parametrize("device", ["tpu", "cpu:cpu", "mps", ""])
def test_an_unknown_device_is_answered_with_those_that_there_are(work, device):
    assert complaint(f"{RUN} --device '{device}'", 2) == f"Unknown device {device!r}; use 'cpu', 'cuda' or 'cuda:N'."


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


# --- disks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", [0, 1, 4, 12])
def test_a_full_disk_is_a_failure_after_which_the_same_command_goes_on(work, no_report, monkeypatch, writes):
    left = writes

    def full(descriptor):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        sentence = complaint(RUN, 1)
    assert re.fullmatch(r"No space left while writing run/\S+; free some, then run the same command again\.", sentence)
    assert {path.name for path in (work / "run").rglob(".*")} <= {".lease.json.lock"}
    assert CliRunner().invoke(main, shlex.split(RUN)).exit_code == 0


def test_a_disk_that_fills_while_the_report_is_written_is_a_failure(work, monkeypatch):
    assert CliRunner().invoke(main, shlex.split(RUN)).exit_code == 0

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert complaint("report run", 1).startswith("No space left while writing run/")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_place_that_may_not_be_written_to_is_refused(work, monkeypatch, number):
    def forbidden(*_, **__):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "NamedTemporaryFile", forbidden)
        assert complaint(RUN, 2) == "No permission to write run/lease.json; choose another folder with --out."


def test_a_run_folder_that_may_not_be_looked_into_is_refused(work, monkeypatch):
    (work / "run").mkdir()
    look = Path.iterdir

    def forbidden(self):
        if self.name == "run":
            raise PermissionError(errno.EACCES, "Permission denied")
        return look(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", forbidden)
        assert complaint(RUN, 2) == "No permission to write run; choose another folder with --out."


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
