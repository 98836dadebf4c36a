"""A run of what is no function: refused before anything is written, or with its noise in manifest and report."""

import json
import sys

import pytest
import torch
import toy
from click.testing import CliRunner

from navbench.cli import main
from navbench.errors import NavbenchError
from navbench.places import Folder
from navbench.report import caveats
from navbench.report.page import Page
from navbench.report.tables import load_run
from navbench.runner.parcels import Packer
from navbench.runner.store import Store
from navbench.runner.worker import Place, Worker, versions


class Noisy(toy.Toy):
    """The toy, with noise of each call in its images."""

    def forward(self, z):
        images = super().forward(z)
        return images + 0.01 * torch.randn_like(images)


class Leaving(toy.Toy):
    """The toy, which ends the program at a pass once `left` are done."""

    left = 100

    def forward(self, z):
        type(self).left -= 1
        if type(self).left == 0:
            sys.exit(0)
        return super().forward(z)


class NoisyReader(toy.Reader):
    """The toy's scorer, with noise of each call in what it reads."""

    def forward(self, images):
        return super().forward(images) + 0.01 * torch.randn(len(images), 2)


@pytest.fixture
def as_toy(monkeypatch):
    """Has 'toy:make' make another module of the same weights, so that there are directions of it."""
    return lambda kind: monkeypatch.setattr(toy, "make", kind)


def short(**values):
    """A suite of strips alone."""
    return toy.tiny(experiments=["strips"], **values)


def test_a_noisy_generator_is_refused_before_anything_is_written(tmp_path, sets, as_toy):
    as_toy(Noisy)
    with pytest.raises(NavbenchError, match=r"^Generator toy\.make is not a function of its codes"):
        toy.execute(tmp_path / "run", short(), sets)
    assert not (tmp_path / "run").exists()


def test_a_noisy_generator_and_scorer_are_measured_with_their_noise_named(tmp_path, sets, as_toy, monkeypatch):
    as_toy(Noisy)
    monkeypatch.setattr(toy, "scorer", NoisyReader)
    subject = toy.tiny().generators[0].model_dump() | {"scorer": "toy:scorer"}
    toy.execute(tmp_path, short(allow_stochastic=True, generators=[subject]), sets)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    noise = manifest["generators"]["toy.make"]["noise"]
    assert noise["squared_difference"] == pytest.approx(2 * 0.01**2, rel=0.1)
    of_generator, of_scorer = manifest["noise"]
    assert f"an effect of {noise['effect']:.2g} and a mean squared pixel difference of 0.0002" in of_generator
    assert of_scorer.startswith("Scorer toy:scorer is not a function of its images: two passes")
    first, *_ = caveats.blocks(Page(load_run(tmp_path)))
    assert first.items[:2] == (of_generator, of_scorer)


def test_what_is_a_function_is_not_spoken_of(finished):
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    assert "noise" not in manifest
    assert "noise" not in manifest["generators"]["toy.make"]


def test_an_exit_in_the_middle_of_a_run_is_an_error_and_the_run_is_not_done(tmp_path, sets, as_toy):
    as_toy(Leaving)
    (tmp_path / "tiny.toml").write_text(toy.TINY)
    line = ["run-all", str(tmp_path / "tiny.toml"), "--directions", str(sets), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2
    assert "tried to end the program (sys.exit(0)) when it was given codes (" in result.stderr
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["complete"] is False


def test_an_exit_in_a_worker_is_an_error_of_the_piece(tmp_path):
    def ask(*_):
        sys.exit(0)

    worker = Worker(Store(Folder(tmp_path)), Place("1", "cpu", torch.get_num_threads(), versions()))
    worker._maker.make = ask
    done = worker.make(Packer(Store(Folder(tmp_path))).pickled(()), lambda *_: None)
    assert isinstance(done.error, NavbenchError)
    assert "tried to end the program (sys.exit(0))" in str(done.error)


def test_an_exit_of_anything_that_a_command_calls_is_an_error(monkeypatch):
    monkeypatch.setattr("navbench.generators.zoo.known", sys.exit)
    result = CliRunner().invoke(main, ["generators", "list"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: Something that this command calls tried to end the program (sys.exit(None)")
