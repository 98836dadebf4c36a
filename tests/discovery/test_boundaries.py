"""Boundaries of attributes in a latent space, where they are known hyperplanes."""

import sys

import analytic
import pytest
import torch
from torch import nn

from navbench.compute import Compute
from navbench.costs import rehearse
from navbench.discovery.boundaries import attribute_boundaries, boundary
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings, InterfaceganSettings
from navbench.errors import NavbenchError
from navbench.metrics.attributes import Attribute, create_scorer
from navbench.spaces import LatentSpace

SIDE, WIDTH = 4, 8


class Linear(nn.Module):
    """Two numbers that are linear in the pixels, and an angle; not differentiable, as it need not be."""

    attributes = (Attribute("first", "", 1.0), Attribute("angle", "deg", 30.0, 360.0), Attribute("last", "", 1.0))

    @torch.no_grad()
    def forward(self, images):
        first, last = images.flatten(1) @ analytic.noise(7, 3 * SIDE * SIDE, 2).unbind(1)[0], images.mean(dim=(1, 2, 3))
        return torch.stack([first, (90 * first) % 360, last], dim=1)


class Fussy(Linear):
    """It reads few images."""

    subject = "something"

    def forward(self, images):
        return torch.where(images.flatten(1)[:, :1] > 0.03, super().forward(images), torch.nan)


class Constant(Linear):
    def forward(self, images):
        return super().forward(images) * torch.tensor([1.0, 1.0, 0.0])


class Circular(Linear):
    attributes = (Linear.attributes[1],)

    def forward(self, images):
        return super().forward(images)[:, 1:2]


@pytest.fixture(autouse=True)
def scorers(monkeypatch):
    monkeypatch.setitem(sys.modules, "test_boundaries", sys.modules[__name__])


def made():
    generator = analytic.LinearGenerator(latent_dim=WIDTH, side=SIDE)
    generator.map.weight.data *= 0.02  # so that no image is clipped
    return generator


SPACE = LatentSpace(made())
HOW = InterfaceganSettings(samples=2000, extremes=200, held_out=120)


def found(kind="Linear", **changes):
    how = HOW.model_copy(update={"scorer": f"test_boundaries:{kind}"} | changes)
    settings = DiscoverySettings(effect=1e-3, effect_codes=4, interfacegan=how)
    return Discovery(SPACE, analytic.Quadratic(), settings, Compute(batch=500), 1).run("interfacegan")


def true_normals():
    """The gradients of the two numbers by z."""
    maps = SPACE.generator.map.weight.flatten(1)[:WIDTH]
    rows = torch.stack([analytic.noise(7, 3 * SIDE * SIDE, 2)[:, 0], torch.full((3 * SIDE * SIDE,), 1 / (3 * SIDE**2))])
    return nn.functional.normalize(rows @ maps.T, dim=1)


def test_a_hyperplane_is_recovered_from_any_scorer_and_circular_attributes_are_left_out():
    one = found()
    assert one.provenance["attributes"] == ["first", "last"]
    assert one.provenance["circular"] == ["angle"]
    normals = torch.stack([direction.offset for direction in one])
    assert (normals * true_normals()).sum(1).min() > 0.95  # towards more of the attribute
    assert one.scores["boundary_accuracy"].min() > 0.97
    assert all(direction.t_min < 0 < direction.t_max for direction in one)


def test_held_out_accuracy_is_chance_where_there_is_nothing_to_tell():
    latents, levels = analytic.noise(1, 4000, 30), analytic.noise(2, 4000)
    normal, accuracy = boundary(latents, levels, HOW.model_copy(update={"extremes": 1500, "held_out": 1000}), 0)
    assert 0.4 < accuracy < 0.6
    assert float(normal.norm()) == pytest.approx(1, rel=1e-5)


def test_extremes_alone_are_told_apart():
    """Codes in the middle, though their levels say the opposite, are not seen."""
    latents = analytic.noise(3, 3000, 5)
    levels = latents[:, 0].clone()
    middle = levels.abs() < 0.8
    levels[middle] = -levels[middle] * 0.5
    normal, accuracy = boundary(latents, levels, HOW.model_copy(update={"extremes": 450}), 0)
    assert float(normal[0]) > 0.97
    assert accuracy == 1


def test_images_without_the_subject_are_left_out_and_too_few_are_refused():
    one = found("Fussy")
    assert (torch.stack([direction.offset for direction in one]) * true_normals()).sum(1).min() > 0.9
    with pytest.raises(NavbenchError, match=r"read \d+ of 300 images, which do not hold two ends of 200 with 120"):
        found("Fussy", samples=300)


def test_codes_of_one_end_alone_are_nothing_to_learn_from():
    how = HOW.model_copy(update={"extremes": 2, "held_out": 3})
    with pytest.raises(NavbenchError, match="Of 4 codes 3 are held out, and those that are left"):
        boundary(analytic.noise(1, 4, 5), torch.arange(4.0), how, 0)


def test_what_has_no_boundary_is_refused():
    with pytest.raises(NavbenchError, match="reads the same last in all images"):
        found("Constant")
    with pytest.raises(NavbenchError, match="All attributes of scorer test_boundaries:Circular are circular"):
        found("Circular")


def test_the_rehearsal_has_the_shapes_of_the_result():
    compute = Compute(batch=500)
    scorer = create_scorer("test_boundaries:Linear", compute)
    how = HOW.model_copy(update={"samples": 500})
    made = attribute_boundaries(SPACE, scorer, how, compute, 1)
    sketch = rehearse(attribute_boundaries.piece(SPACE, scorer, how, compute, 1), lambda part: part)
    assert all(getattr(sketch.result, name).shape == getattr(made, name).shape for name in vars(made))
    assert {each.network for each in sketch.costs} >= {"generator", "scorer"}
