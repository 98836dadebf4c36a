"""The survey of a layer where it is known what its directions change."""

import math
from types import SimpleNamespace

import pytest
import torch
from analytic import LinearGenerator, edit, noise

from navbench.compute import Compute
from navbench.experiments.layers import _attributes
from navbench.experiments.survey import changes
from navbench.metrics.attributes import Attribute, movement
from navbench.metrics.locality import locality

SIDE = 32


@pytest.fixture(scope="module")
def generator():
    return LinearGenerator(side=SIDE)


def constant(generator, image):
    """The edit that adds one image to all, whatever the code."""
    return edit(generator, generator.row(generator.latent_dim, image), layer="map")


def shares(found):
    return found.scales.sum(0) / found.scales.sum()


@pytest.mark.parametrize(("cycles", "scale"), [(2, 0), (9, 1), (16, 1)])
def test_adding_a_wave_changes_its_scale_alone(generator, cycles, scale):
    wave = torch.cos(2 * math.pi * cycles * torch.arange(SIDE) / SIDE).expand(3, SIDE, SIDE)
    assert float(shares(changes(constant(generator, wave), 12, 0))[scale]) == pytest.approx(1.0, abs=1e-5)


def test_another_brightness_is_all_colour(generator):
    found = changes(constant(generator, torch.ones(3, SIDE, SIDE)), 12, 0)
    survived, removed = found.kinds.sum(0).tolist()
    assert survived / removed < 1e-9


def test_a_change_in_a_mask_is_found_there(generator):
    patch = torch.zeros(3, SIDE, SIDE)
    patch[:, 4:8, 10:20] = 1
    found = changes(constant(generator, patch), 12, 0)
    heat = found.heat.sum(0)
    assert torch.equal(heat > 0, patch[0] > 0)
    assert locality(found.heat, found.counts)["area50"].value == pytest.approx(20 / SIDE**2)


def test_the_squared_changes_are_those_of_both_ends(generator):
    patch = torch.zeros(3, SIDE, SIDE)
    patch[0, 3, 3] = 2.0  # made of unit norm: t = 2 and t = -2 each change a pixel by 2
    found = changes(constant(generator, patch), 10, 0)
    assert torch.allclose(found.scales.sum(1), torch.full((10,), 8.0).double())
    assert float(found.heat.sum()) == pytest.approx(80.0)
    assert float(found.counts.sum()) == 20


def test_batches_change_nothing(generator):
    offset = noise(3, *generator.layer("map").shape)
    one, other = (changes(edit(generator, offset, Compute(batch=size), layer="map"), 11, 0) for size in (2, 64))
    for name in ("scales", "kinds", "heat", "counts"):
        assert torch.allclose(getattr(one, name), getattr(other, name), rtol=1e-5), name


def test_the_attributes_of_a_layer_are_those_of_the_directions_that_could_be_read():
    attributes = (Attribute("red", "", 1.0), Attribute("green", "", 1.0))
    scores = torch.linspace(-1, 1, 3)[:, None, None] * torch.tensor([1.0, 0.1]) + 0.01 * noise(0, 3, 12, 2)
    some, few = scores.clone(), scores.flip(2)
    some[0, :4], few[2, :7] = math.nan, math.nan
    shifts = [-1.0, 0.0, 1.0]
    read = [SimpleNamespace(movement=movement(part, shifts, attributes)) for part in (scores, some, few)]
    on = SimpleNamespace(scorer=SimpleNamespace(attributes=attributes))
    told = {"attributes_reached": 1, "attributes": "red", "n_attributes": 8, "directions_read": 2, "interpretable": 2}
    assert _attributes(on, read) == told
    nothing = _attributes(on, read[2:])
    assert (nothing["n_attributes"], nothing["directions_read"], nothing["attributes_reached"]) == (0, 0, 0)
    assert _attributes(SimpleNamespace(scorer=None), read) == {}
