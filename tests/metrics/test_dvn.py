"""Naturalness where it is known what real images vary in."""

import math

import pytest
import torch
from analytic import noise

from navbench.metrics.dvn import dvn

AXIS = torch.eye(8)[0]


def ends(size, seed=0, count=200):
    """Features of the same codes at both ends of a direction along the first axis; the rest varies by itself."""
    codes = noise(seed, count, 8) * torch.tensor([0.2, *[1.0] * 7])
    return codes - size * AXIS, codes + size * AXIS


def test_a_direction_in_which_real_images_vary_is_natural():
    real = noise(9, 600, 8) * torch.tensor([2.0, *[0.3] * 7])
    assert dvn(*ends(2.0), real).value > 0.97


def test_a_direction_in_which_real_images_do_not_vary_is_not():
    real = noise(9, 600, 8) * torch.tensor([0.0, *[1.0] * 7])
    found = dvn(*ends(2.0), real)
    assert found.value == pytest.approx(0.5, abs=0.12)


def test_ends_that_differ_by_chance_alone_are_as_good_as_chance():
    """In more dimensions than codes any ends can be told apart by those who have seen them; of others 0.5 are right."""
    found = [dvn(*noise(seed, 2, 80, 200), noise(100 + seed, 1000, 200)).value for seed in range(8)]
    assert sum(found) / len(found) == pytest.approx(0.5, abs=0.06)  # three standard errors


def test_which_end_is_which_does_not_matter():
    low, high = ends(0.3)
    real = noise(9, 600, 8)
    assert 0.5 < dvn(low, high, real).value == dvn(high, low, real).value < 1


@pytest.mark.parametrize(("size", "where"), [(2.0, 50.0), (0.0, 0.0)], ids=["beyond one end", "ends are the same"])
def test_real_images_that_are_all_taken_for_one_end_give_no_number(size, where):
    found = dvn(*ends(size), noise(9, 600, 8) + where * AXIS)
    assert math.isnan(found.value)
    assert found.n == 100


def test_it_is_measured_on_the_codes_that_the_first_classifier_did_not_see():
    assert dvn(*ends(2.0, count=41), noise(9, 100, 8)).n == 21
