"""Methods that other packages add: two images of unit norm, added to every image of a linear generator."""

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import torch
from analytic import LinearGenerator, Quadratic, unit
from torch import nn

from navbench import plugins, spaces
from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery import learn as learning
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings, HybridSettings
from navbench.errors import NavbenchError
from navbench.library import open_set, set_path
from navbench.methods import BUILT_IN, GROUP, METHODS, Method, admitted, control_of, effort, is_determined

GENERATOR = LinearGenerator(latent_dim=3, side=4)
HALVES = torch.zeros(2, 3, 4, 4)
HALVES[0, :, :2], HALVES[1, :, 2:] = 1, 1
IMAGES = torch.stack([unit(half) for half in HALVES])
OFFSETS = torch.stack([GENERATOR.row(3, image) for image in IMAGES])
SETTINGS = DiscoverySettings(
    directions=2,
    effect=0.25,
    effect_codes=3,
    hybrid=HybridSettings(steps=2, batch=4, evaluation=8, recognition_codes=4, shift=1.0),
)


def halves(space, distance, settings, compute, seed):
    """Both halves, of another norm than one."""
    assert (space.kind, settings.effect, seed) == ("parameter", 0.25, 5)
    return 3 * OFFSETS


def as_basis(*given):
    return DenseBasis(halves(*given))


def misshapen(*given):
    return torch.ones(2, 5)


def zero(*given):
    return torch.zeros(2, *OFFSETS.shape[1:])


def fixed(name, make, learned=False):
    return Method(name, "halves", learned, ("parameter",), "a test", make, section="hybrid")


ROWS = {
    "halves": fixed("halves", halves),
    "as-basis": lambda: fixed("as-basis", as_basis),
    "learned-halves": fixed("learned-halves", halves, learned=True),
    "terms": lambda: Method("terms", "svd", False, ("parameter",), "a test"),
    "misshapen": fixed("misshapen", misshapen),
    "zero": fixed("zero", zero),
    "misnamed": fixed("another", halves),
    "baseless": Method("baseless", "halves", False, ("parameter",), "a test"),
    "ambiguous": Method("ambiguous", "svd", False, ("parameter",), "a test", halves),
    "no-method": lambda: 3,
    "uncontrolled": replace(fixed("uncontrolled", halves), control="chance"),
    "own-control": replace(fixed("own-control", halves), control="halves"),
}


class Points(EntryPoint):
    """An entry point that gives a row of `ROWS` by its name."""

    def load(self):
        LOADED.append(self.name)
        return ROWS[self.name]


LOADED = []


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    points = {name: Points(name, f"theirs:{name}", GROUP) for name in ROWS}
    monkeypatch.setattr(plugins, "known", lambda group: points if group == GROUP else {})
    monkeypatch.setattr(sys.modules[__name__], "LOADED", [])


class Blind(nn.Module):
    """A reconstructor that says the same of every pair, but can be trained."""

    def __init__(self, directions, trunk="small"):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(directions + 1))

    def forward(self, original, shifted):
        out = self.bias.expand(len(original), -1) + 0 * shifted.sum()
        return out[:, :-1], out[:, -1]


def found(method, settings=SETTINGS):
    space = spaces.create(GENERATOR, "parameter", "map")
    return Discovery(space, Quadratic(), settings, Compute(), 5).run(method)


@pytest.mark.parametrize("method", ["halves", "as-basis"])
def test_an_added_method_gives_its_offsets_at_unit_norm_each_with_its_range(method):
    made = found(method)
    torch.testing.assert_close(torch.stack([direction.offset for direction in made]), OFFSETS)
    for t in (-made.t_min, made.t_max):  # the effect of t times an image of unit norm is t squared
        torch.testing.assert_close(t, torch.full((2,), 0.5), rtol=0.006, atol=0)
    assert (made.method, made.basis_name, made.seed) == (method, "stored", 5)


def test_a_set_of_an_added_method_is_read_back_without_the_package(tmp_path, monkeypatch):
    made = found("halves")
    write_set(made, set_path(tmp_path, made.set_id))
    monkeypatch.setattr(plugins, "known", lambda group: {})
    read = open_set(set_path(tmp_path, made.set_id)).load(GENERATOR)
    torch.testing.assert_close(torch.stack([direction.offset for direction in read]), OFFSETS)
    assert torch.equal(read.t_max, made.t_max)


def test_an_added_method_may_learn_on_its_basis(monkeypatch):
    monkeypatch.setattr(learning, "Reconstructor", Blind)
    made = found("learned-halves")
    offsets = torch.stack([direction.offset for direction in made]).flatten(1)
    span = OFFSETS.flatten(1)
    torch.testing.assert_close(offsets @ span.T @ span, offsets, rtol=0, atol=1e-5)
    torch.testing.assert_close(made.t_max, torch.full((2,), 0.5), rtol=0.006, atol=0)
    assert made.provenance["shift"] == 1.0
    assert set(made.scores) == {"accuracy"}


def test_an_added_method_may_take_a_known_basis():
    ours, theirs = found("svd"), found("terms")
    assert theirs.basis_name == "svd"
    assert torch.equal(ours.coefficients, theirs.coefficients)
    assert torch.equal(ours.t_max, theirs.t_max)


def test_of_more_offsets_than_directions_the_first_are_taken():
    made = found("halves", SETTINGS.model_copy(update={"directions": 1}))
    torch.testing.assert_close(made[0].offset, OFFSETS[0])
    assert len(made) == 1


def test_the_table_names_added_methods_and_loads_those_that_are_asked_for():
    assert list(METHODS) == [*BUILT_IN, *ROWS]
    assert len(METHODS) == len(BUILT_IN) + len(ROWS)
    assert "halves" in METHODS
    assert METHODS["svd"] is BUILT_IN["svd"]
    assert LOADED == []
    assert admitted(["svd", "halves"], "w") == ()
    assert admitted(["halves"], "parameter") == ("halves",)
    assert set(LOADED) == {"halves"}
    assert not is_determined("halves")
    assert set(effort("learned-halves", SETTINGS.model_dump())) >= {"hybrid", "effect"}
    assert "optimization" not in effort("learned-halves", SETTINGS.model_dump())


def test_a_misspelt_added_method_is_answered_with_the_nearest():
    with pytest.raises(NavbenchError, match="Unknown method 'halfes'; did you mean 'halves'"):
        found("halfes")


def test_an_added_method_names_a_control_among_all_methods():
    assert control_of("halves") == "random"
    assert control_of("own-control") == "halves"
    with pytest.raises(NavbenchError, match=r"^Entry point 'uncontrolled' .* names 'chance' as its control, which is"):
        control_of("uncontrolled")


@pytest.mark.parametrize("name", ["misnamed", "baseless", "ambiguous", "no-method"])
def test_an_entry_point_that_gives_no_method_is_refused(name):
    with pytest.raises(NavbenchError, match=rf"^Entry point '{name}' of navbench.methods gives no method of that name"):
        found(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("misshapen", r"gives offsets of shape \(5,\), but parameter map of generator linear has \(4, 3, 4, 4\)"),
        ("zero", "gives no offsets, or some that are zero"),
    ],
)
def test_offsets_that_are_no_directions_of_the_space_are_refused(name, said):
    with pytest.raises(NavbenchError, match=f"^Method {name} {said}"):
        found(name)
