"""What experiments take at each end and at each shift, on a line of images that are t times one image."""

import math

import pytest
import torch
from analytic import Extractor, LinearGenerator, Quadratic, edit, ranged

from navbench.errors import Failure
from navbench.experiments.calibration import Target, by_attribute, by_effect
from navbench.experiments.fid_curve import curve_shard
from navbench.experiments.survey import changes
from navbench.metrics.attributes import Attribute

PER_SHIFT = 48**-0.5


def line(ends=(-2.0, 2.0)):
    """Under a shift t, all images move by t times one constant image of unit norm."""
    generator = LinearGenerator()
    return edit(generator, generator.row(generator.latent_dim, torch.ones(3, 4, 4)), layer="map", ends=ends)


class Wave:
    """Reads 0.1 sin of an image's mean; one period is as long as the widest range that is tried at ends of 2."""

    name, attributes = "wave", (Attribute("brightness", "lx", 1.0),)

    def __call__(self, images):
        return 0.1 * torch.sin(images.mean(dim=(1, 2, 3)) * (2 * math.pi / (8 * PER_SHIFT)))[:, None]


def test_a_survey_takes_the_change_at_each_end():
    found = changes(line((-1.0, 3.0)), 5, seed=0)
    torch.testing.assert_close(found.scales.sum(1), torch.full((5,), 10.0).double(), rtol=1e-4, atol=1e-4)
    assert float(found.heat.sum()) == pytest.approx(50, rel=1e-4)
    assert float(found.counts.sum()) == 10


def test_steps_of_a_path_are_between_neighbours_with_zero_among_them():
    shard = curve_shard(line(), [-2.0, -0.5, 1.25, 3.0], range(5), 0, Extractor(), Quadratic(), 3)
    for found, expected in ((shard.steps, [1.5, 0.5, 1.25, 1.75]), (shard.effects, [2.0, 0.5, 1.25, 3.0])):
        squares = torch.tensor(expected).square()[:, None].expand(4, 3)
        torch.testing.assert_close(found, squares, rtol=1e-4, atol=1e-4)


def test_a_curve_fails_by_the_direction_and_the_first_shift_whose_images_are_not_finite():
    made = line()
    with pytest.raises(Failure, match=rf"at t = 1e\+39 of {made.direction.name} made images with NaN"):
        curve_shard(made, [-1.0, 2.0, 1e39, 2e39], range(5), 0, Extractor(), Quadratic(), 3)


def test_an_end_that_cannot_reach_its_target_is_where_it_came_nearest():
    found = by_attribute(line(), Wave(), "brightness", 0.5, codes=1, seed=0)
    assert (found.reached.abs() > 0.08).all()  # at the last try, one period away, nothing has changed


def test_an_effect_is_sought_no_further_than_sixteen_times_the_range():
    found = by_effect(line((-0.1, 0.2)), Quadratic(), 100.0, codes=2, seed=0)
    assert found.t.tolist() == pytest.approx([-1.6, 3.2])
    assert found.reached.tolist() == pytest.approx([1.6**2, 3.2**2], rel=1e-4)


@pytest.mark.parametrize(("reached", "there"), [(0.94, False), (0.96, True), (1.04, True), (1.06, False)])
def test_an_end_has_reached_its_target_within_a_twentieth(reached, there):
    ends = ranged(reached, 1.0)
    assert ends.is_reached(Target("effect", 1.0)).tolist() == [there, True]
