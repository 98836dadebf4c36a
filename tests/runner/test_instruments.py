"""A generator that no suite describes gets the instruments of faces where most of its samples show one."""

import json
import sys
import tomllib
from importlib.metadata import EntryPoint

import click
import pytest
import torch
import toy
from click.testing import CliRunner
from torch import nn

from navbench import plugins
from navbench.cli import main, running
from navbench.cli.suites import suite_options
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.edit import unshifted
from navbench.generators import zoo
from navbench.generators.options import Options
from navbench.library import Library
from navbench.metrics import attributes, embedding, segmentation
from navbench.places import place_at
from navbench.runner import instruments
from navbench.runner.instruments import SAMPLES, fitting
from navbench.runner.rehearsal import rehearsed
from navbench.suite import Subject, parse

OWN = Subject(name="toy:make", layers=("up",), methods=("svd",))
SUITE = toy.TINY.replace("toy:make", "toy:broken").replace("batch", 'experiments = ["strips"]\nbatch')
"""A suite of another generator, which could not be measured."""
TAKEN = "so scorer, segmentation and embedding faces are used; --scorer none turns it off."
LINE = ["--generator", "toy:make", "--layer", "up"]


class Bright(nn.Module):
    """A scorer that sees a face in images whose mean is above `least`, and reads that mean."""

    attributes = (attributes.Attribute("brightness", "", 1.0),)
    subject = "face"
    least = -2.0

    def forward(self, images):
        means = images.mean(dim=(1, 2, 3))
        return torch.where(means > self.least, means, torch.nan)[:, None]


class Halves(nn.Module):
    """A segmentation: the upper half, and the lower."""

    regions = ("eyes", "rest")

    def forward(self, images):
        upper = torch.zeros_like(images[:, 0])
        upper[:, : upper.shape[1] // 2] = 1
        return torch.stack([upper, 1 - upper], dim=1)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Instruments called `faces` take the place of the real ones."""
    there, here = plugins.known, {
        attributes.GROUP: "test_instruments:Bright", segmentation.GROUP: "test_instruments:Halves",
        embedding.GROUP: "toy:embedding",
    }  # fmt: skip
    stubs = {group: {"faces": EntryPoint("faces", value, group)} for group, value in here.items()}
    monkeypatch.setattr(plugins, "known", lambda group: there(group) | stubs.get(group, {}))
    monkeypatch.setitem(sys.modules, "test_instruments", sys.modules[__name__])


@pytest.fixture
def call(tmp_path, monkeypatch, sets):
    """Run a command line on the suite of another generator; its result, and what stderr says of instruments."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.toml").write_text(SUITE)

    def run(verb, *words):
        done = CliRunner().invoke(main, [verb, "other.toml", "--directions", str(sets), *words])
        assert done.exit_code == 0, done.output
        return done, [line for line in done.stderr.splitlines() if "show a face" in line or "so has this one" in line]

    return run


def refused(*_):
    raise NavbenchError("It looked.")


def with_faces(subject, **values):
    return subject.model_copy(update=dict.fromkeys(instruments._KEYS, "faces") | values)


def subject_of(folder):
    (subject,) = tomllib.loads((folder / "suite.toml").read_text())["generators"]
    return subject


@pytest.mark.parametrize(("shown", "named"), [(0, ""), (16, ""), (17, "faces"), (32, "faces")])
def test_more_than_half_of_the_samples_decide_and_the_count_is_told(shown, named, monkeypatch):
    generator, compute = zoo.create("toy:make", Compute()), Compute()
    images = unshifted(generator, generator.sample(range(SAMPLES), seed=0), compute)
    means = sorted([-2.0, *images.mean(dim=(1, 2, 3)).tolist()], reverse=True)
    monkeypatch.setattr(Bright, "least", means[shown] + (1e-9 if shown < SAMPLES else 0))
    subject, sentence = fitting(OWN, compute)
    assert {subject.scorer, subject.segmentation, subject.embedding} == {named}
    assert sentence.startswith(f"{shown} of 32 samples show a face, so ")
    assert ("--scorer none" in sentence) == bool(named)
    assert subject.model_dump(exclude={*instruments._KEYS}) == OWN.model_dump(exclude={*instruments._KEYS})


def test_samples_are_those_of_the_generator_with_its_options(monkeypatch):
    asked = []
    create = zoo.create
    monkeypatch.setattr(zoo, "create", lambda name, compute, options: asked.append(options) or create(name, compute))
    fitting(OWN.model_copy(update={"options": Options(truncation=0.5)}), Compute())
    assert asked == [Options(truncation=0.5)]


def test_a_run_says_what_it_took_and_takes_it_again_without_a_look_unless_it_starts_over(call, tmp_path, monkeypatch):
    _, told = call("run-all", *LINE, "--out", "run")
    assert told == [f"32 of 32 samples show a face, {TAKEN}"]
    taken = subject_of(tmp_path / "run")
    assert taken["name"] == "toy:make"
    assert [taken[key] for key in instruments._KEYS] == ["faces"] * 3
    with monkeypatch.context() as patch:
        patch.setattr(instruments, "fitting", refused)
        _, told = call("run-all", *LINE, "--out", "run")
    (again,) = told
    assert "has scorer faces, and so has this one; --fresh looks" in again
    assert subject_of(tmp_path / "run") == taken
    monkeypatch.setattr(instruments, "fitting", refused)
    again = CliRunner().invoke(main, ["run-all", "other.toml", *LINE, "--out", "run", "--fresh"])
    assert again.output == "Error: It looked.\n"


def test_a_plan_is_that_of_the_run(call, tmp_path, sets):
    text = SUITE.replace('["strips"]', '["attributes"]')
    (tmp_path / "other.toml").write_text(text)
    _, told = call("plan", *LINE, "--json", "plan.json")
    assert len(told) == 1
    planned = json.loads((tmp_path / "plan.json").read_text())["total"]["pieces"]
    fitted, bare = (
        len(rehearsed(parse(text, "").with_values(generators=[each]), Compute(), Library([sets])).pieces)
        for each in (with_faces(OWN, methods=("svd", "random")), OWN.model_copy(update={"methods": ("svd", "random")}))
    )
    assert planned == fitted > bare


@pytest.mark.parametrize(
    ("words", "scorer", "fit"),
    [
        (LINE, "", True),
        ([*LINE, "--scorer", "none"], "", False),
        ([*LINE, "--scorer", "toy:scorer"], "toy:scorer", False),
        (["--scorer", "toy:scorer"], "toy:scorer", False),
        (["--generator", "toy:broken"], "", False),
        ([], "", False),
    ],
)
def test_instruments_are_found_where_neither_the_suite_nor_the_user_names_them(words, scorer, fit, tmp_path):
    (tmp_path / "other.toml").write_text(SUITE)
    told = []

    @click.command()
    @suite_options
    def command(chosen, fit, **_):
        told.append((chosen.generators[0].scorer, fit))

    done = CliRunner().invoke(command, [str(tmp_path / "other.toml"), *words])
    assert done.exit_code == 0, done.output
    assert told == [(scorer, fit)]


def test_what_lies_at_a_place_and_is_no_run_decides_nothing(tmp_path):
    (tmp_path / "suite.toml").write_bytes(b"name = \xff")
    assert instruments.as_before(OWN, place_at(tmp_path)) is None
    assert instruments.as_before(OWN, place_at(tmp_path / "none")) is None
    (tmp_path / "suite.toml").write_text(toy.TINY.replace("toy:make", "toy:broken"))
    assert instruments.as_before(OWN, place_at(tmp_path)) is None


def test_a_generator_that_the_suite_describes_is_as_the_suite_says():
    suite = parse(toy.TINY.replace('"toy:make"', '"toy:make"\nas = "mine"'), "")
    assert running.described(suite, None)
    assert running.described(suite, "toy:make")
    assert running.described(suite, "mine")
    assert not running.described(suite, "toy:broken")
