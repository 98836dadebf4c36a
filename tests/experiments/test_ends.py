"""Lines that could be wrong without a sound: both ends of a range, the step across t = 0, the nearest try."""

from types import SimpleNamespace

import pytest
import torch
from analytic import Extractor, LinearGenerator, Quadratic, edit, noise

from navbench.experiments.calibration import _ChangeMeter
from navbench.experiments.fid_curve import curve_shard
from navbench.experiments.layer_survey import changes


def constant_edit(ends):
    """An edit that adds t times the same image to every code's."""
    generator = LinearGenerator(side=8)
    return edit(generator, generator.row(generator.latent_dim, noise(1, 3, 8, 8)), layer="map", ends=ends)


def test_a_survey_sums_the_squared_change_of_both_ends():
    """The change is linear in t, so over [-1, 3] it is 1 + 9 and over [-3, 3] it is 9 + 9."""
    uneven, even = (changes(constant_edit(ends), 4, 0) for ends in ((-1.0, 3.0), (-3.0, 3.0)))
    torch.testing.assert_close(uneven.scales.sum(1), even.scales.sum(1) * 10 / 18)
    torch.testing.assert_close(uneven.heat.sum(0), even.heat.sum(0) * 10 / 18, rtol=1e-4, atol=1e-5)
    assert uneven.counts.tolist() == [2.0] * 4


def test_the_step_across_zero_is_from_the_neighbours_on_either_side():
    """On the grid -5, -1, 0, 2, 3 the steps are 4, 1, 2 and 1 long, and the distance is squared."""
    made = constant_edit((-5.0, 3.0))
    shard = curve_shard(made, (-5.0, -1.0, 2.0, 3.0), range(3), 0, Extractor(), Quadratic(), 3)
    unit = shard.steps[1]
    torch.testing.assert_close(
        shard.steps / unit, torch.tensor([16.0, 1, 4, 1])[:, None].expand(4, 3), rtol=1e-3, atol=0
    )
    torch.testing.assert_close(
        shard.effects / unit, torch.tensor([25.0, 1, 4, 9])[:, None].expand(4, 3), rtol=1e-3, atol=0
    )


def test_a_curve_of_one_sided_shifts_begins_at_zero():
    made = constant_edit((-5.0, 3.0))
    shard = curve_shard(made, (2.0, 3.0), range(2), 0, Extractor(), Quadratic(), 2)
    torch.testing.assert_close(shard.steps[0] / shard.steps[1], torch.full((2,), 4.0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("end", [1.0, -1.0])
def test_an_end_that_cannot_reach_its_target_is_where_it_came_nearest(end):
    """The change grows to 0.5 at |t| = 1.5 and falls again, so neither the first nor the last try is the nearest."""

    def change(t):
        return 0.5 - abs(abs(t) - 1.5) / 10

    meter = SimpleNamespace(change=change)
    found = _ChangeMeter.reach(meter, end, amount=2.0)
    tried = end * 4.0 * torch.linspace(0, 1, 13)[1:].square()
    assert found == pytest.approx(float(min(tried, key=lambda t: abs(abs(t) - 1.5))))
    assert abs(found) < 4.0
