"""Naturalness where it is known what real images vary in."""

import pytest
import torch
from analytic import noise

from navbench.metrics.naturalness import naturalness

AXIS = torch.eye(8)[0]


def ends(size, seed=0, count=200):
    """Features of the same codes at both ends of a direction along the first axis; the rest varies by itself."""
    codes = noise(seed, count, 8) * torch.tensor([0.2, *[1.0] * 7])
    return codes - size * AXIS, codes + size * AXIS


def test_a_direction_in_which_real_images_vary_is_natural():
    real = noise(9, 600, 8) * torch.tensor([2.0, *[0.3] * 7])
    assert naturalness(*ends(2.0), real).value > 0.97


def test_a_direction_in_which_real_images_do_not_vary_is_not():
    real = noise(9, 600, 8) * torch.tensor([0.0, *[1.0] * 7])
    found = naturalness(*ends(2.0), real)
    assert found.value == pytest.approx(0.5, abs=0.12)


def test_a_direction_that_changes_nothing_is_as_good_as_chance():
    low, _ = ends(0.0)
    found = naturalness(low, low, noise(9, 600, 8))
    assert found.value == pytest.approx(0.5)  # each code is right at one end and wrong at the other


def test_real_images_beyond_one_end_teach_nothing():
    real = 0.1 * noise(9, 600, 8) + 50 * AXIS
    assert naturalness(*ends(2.0), real).value == pytest.approx(0.5)


def test_it_is_measured_on_the_codes_that_the_first_classifier_did_not_see():
    assert naturalness(*ends(2.0, count=41), noise(9, 100, 8)).n == 21
