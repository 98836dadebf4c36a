"""Files that do not fit, and disks that refuse, are told in one sentence: 2 is the user's to mend, 1 a failure."""

import errno
import os
import re
import shlex
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
import toy
from click.testing import CliRunner
from complaints import RUN, complaint, gray
from safetensors.torch import load_file, save_file

from navbench.basis import random_basis
from navbench.cli import main, run_all
from navbench.compute import Compute
from navbench.directions import DirectionSet, write_set
from navbench.experiments import image_folder
from navbench.generators import zoo
from navbench.library import library, set_path

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
        (lambda path: gray("L").save(path), "has mode L (grey); convert the images to RGB first, or say convert"),
        (
            lambda path: gray("RGBA").save(path),
            "has mode RGBA (with alpha); convert the images to RGB first, or say convert",
        ),
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
    def forbidden(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    found = library(Path("sets"))
    with monkeypatch.context() as patch:
        patch.setattr(run_all, "library", lambda _: found)
        patch.setattr(image_folder, "walk", forbidden)
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
    assert sentence.startswith("Generator toy.broken ")
    assert sentence.endswith("made images with NaN or infinite values; check its weights, or use a smaller shift.")
    assert not (work / "run").exists()


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
    assert "seed" in complaint(line, 2)
    assert all(torch.equal(value, kept[key]) for key, value in load_file(path).items())


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
