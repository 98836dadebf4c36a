"""What a curve tells of a direction's quality, where it is known."""

import pytest
import torch
from analytic import Extractor, LinearGenerator, Quadratic, edit, noise

from navbench.experiments.fid_curve import curve_shard, unshifted_features
from navbench.experiments.quality import quality
from navbench.metrics.parts import Parts

SHIFTS = [-2.0, -1.0, 1.0, 3.0]
GRID = [-2.0, -1.0, 0.0, 1.0, 3.0]


@pytest.fixture(scope="module")
def generator():
    return LinearGenerator(side=6)


def first_pixels(images):
    """An embedding that sees two pixels."""
    return torch.nn.functional.normalize(images.flatten(1)[:, :2], dim=1)


def of(made, generator, indices=range(9), embed=None):
    shard = curve_shard(made, SHIFTS, indices, 0, Extractor(), Quadratic(), 7, embed)
    own = unshifted_features(generator, "curve", indices, 0, Extractor(), made.compute).features
    ends = (Parts.of(shard.features[0]), Parts.of(shard.features[-1]))
    return shard, quality(shard.steps, GRID, Parts.of(own), ends, noise(5, 30, 4), shard.id_similarity)


def test_a_constant_change_is_steady_and_the_same_for_all(generator):
    made = edit(generator, generator.row(3, noise(1, 3, 6, 6)), layer="map", ends=(-2.0, 3.0))
    shard, found = of(made, generator)
    assert torch.allclose(shard.steps, torch.tensor([1.0, 1.0, 1.0, 4.0])[:, None].expand(4, 7), rtol=1e-4)
    assert torch.allclose(found.path_speed_cv, torch.zeros(7).double(), atol=1e-3)
    assert found.coherence[:, 0].tolist() == pytest.approx([1.0, 1.0], abs=1e-4)


def test_a_change_of_either_sign_is_steady_but_not_the_same_for_all(generator):
    made = edit(generator, generator.row(0, noise(1, 3, 6, 6)), layer="map", ends=(-2.0, 3.0))
    _, found = of(made, generator, range(40))
    assert torch.allclose(found.path_speed_cv, torch.zeros(7).double(), atol=1e-2)
    assert abs(float(found.coherence[0, 0])) < 0.3  # the code's first coordinate is of either sign


def test_steps_do_not_depend_on_shards_or_batches(generator):
    made = edit(generator, noise(2, *generator.layer("map").shape), layer="map", ends=(-2.0, 3.0))
    whole = curve_shard(made, SHIFTS, range(9), 0, Extractor(), Quadratic(), 7)
    parts = [curve_shard(made, SHIFTS, indices, 0, Extractor(), Quadratic(), 7) for indices in (range(4), range(4, 9))]
    assert torch.allclose(whole.steps, torch.cat([part.steps for part in parts], dim=1), rtol=1e-5)


def test_an_identity_is_kept_where_the_embedding_does_not_see_the_change(generator):
    hidden, seen = torch.zeros(2, 3, 6, 6)
    hidden[2, 5, 5], seen[0, 0, 0] = 1.0, 1.0
    for image, kept in ((hidden, True), (seen, False)):
        made = edit(generator, generator.row(3, image), layer="map", ends=(-2.0, 3.0))
        _, found = of(made, generator, embed=first_pixels)
        assert found.id_similarity.shape == (4, 7)
        assert bool((found.id_similarity > 1 - 1e-6).all()) is kept


def test_without_an_embedding_nothing_is_said_of_identity(generator):
    made = edit(generator, noise(2, *generator.layer("map").shape), layer="map", ends=(-2.0, 3.0))
    assert of(made, generator)[1].id_similarity.shape == (4, 0)
