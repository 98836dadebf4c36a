import sys
from types import ModuleType

import pytest
import torch
from analytic import Convolutions, LinearGenerator
from torch import nn

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.generators import zoo
from navbench.generators.wrapped import Wrapped


@pytest.fixture
def mine(monkeypatch):
    """A module of the user's own, importable as `mine`."""
    module = ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)
    return module


def test_faces_are_installed():
    assert "faces" in zoo.known()


def test_a_generator_of_ones_own_is_taken_as_it_is_and_frozen(mine):
    mine.make = lambda: LinearGenerator().requires_grad_(True).train()
    found = zoo.create("mine:make", Compute())
    assert isinstance(found, LinearGenerator)
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_a_module_is_wrapped_by_its_code_shape(mine):
    mine.make = Convolutions
    found = zoo.create("mine:make", Compute())
    assert isinstance(found, Wrapped)
    assert (found.name, found.code_shape, found.resolution) == ("mine.make", (6,), 8)
    codes = found.sample(range(2), seed=0)
    assert torch.equal(found(codes), Convolutions()(codes.z))


def test_a_module_is_wrapped_by_its_latent_dim(mine):
    mine.make = lambda: Convolutions()
    Convolutions.latent_dim, shape = 6, Convolutions.code_shape
    try:
        del Convolutions.code_shape
        assert zoo.create("mine:make", Compute()).code_shape == (6,)
    finally:
        Convolutions.code_shape = shape
        del Convolutions.latent_dim


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("face", "Unknown generator 'face'; did you mean 'faces'?"),
        ("nowhere.at.all:make", "module 'nowhere.at.all' cannot be imported"),
        ("mine:absent", "module 'mine' has no 'absent'"),
        ("mine:plain", "give it an attribute code_shape"),
        ("mine:number", "is a int; it must be a Generator"),
    ],
)
def test_what_is_no_generator_is_refused_with_the_reason(mine, name, words):
    mine.plain, mine.number = nn.Identity, lambda: 3
    with pytest.raises(NavbenchError) as caught:
        zoo.create(name, Compute())
    assert words in str(caught.value)
    assert caught.value.exit_code == 2
