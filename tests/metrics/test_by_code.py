"""Numbers of few images, with the influence of every code."""

import math

import pytest
import torch
from analytic import noise

from navbench.metrics import by_code
from navbench.metrics.by_code import METRICS
from navbench.metrics.estimate import jackknife
from navbench.metrics.pairwise import PairwiseReference
from navbench.metrics.precision_recall import SHARES


@pytest.fixture(scope="module")
def reference():
    return PairwiseReference.of(noise(0, 60, 5))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_numbers_are_those_of_all_pairs(reference, shift):
    features = noise(1, 24, 5) + shift
    kernel, shares = reference.measure(features)
    wanted = [kernel.value, *(getattr(shares, name).value for name in SHARES)]
    assert [number.value for number in by_code.measure(reference, features)] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_influence_on_recall_and_coverage_is_what_is_left_without_a_code(reference, shift):
    features = noise(2, 20, 5) + shift
    numbers = dict(zip(METRICS, by_code.measure(reference, features), strict=True))
    left = [by_code.measure(reference, torch.cat([features[:i], features[i + 1 :]])) for i in range(20)]
    for name in ("recall", "coverage"):
        without = torch.tensor([numbers_[METRICS.index(name)].value for numbers_ in left])
        wanted = jackknife(numbers[name].value, without)
        torch.testing.assert_close(numbers[name].influence, wanted.influence, atol=1e-5, rtol=0)
        assert wanted.stderr > 0


def test_the_error_is_that_of_other_codes_or_cautious(reference):
    draws = [by_code.measure(reference, noise(10 + draw, 32, 5) + 0.7) for draw in range(150)]
    for place, name in enumerate(METRICS):
        spread = float(torch.tensor([draw[place].value for draw in draws]).std())
        reported = math.sqrt(sum(draw[place].stderr ** 2 for draw in draws) / len(draws))
        cautious = 1.7 if name in ("recall", "coverage") else 1.15  # shares that one sample may decide
        assert 0.85 <= reported / spread <= cautious, name


def test_of_fewer_than_six_images_there_is_a_kernel_distance_alone(reference):
    kernel, *shares = by_code.measure(reference, noise(3, 5, 5))
    assert math.isfinite(kernel.value)
    assert all(math.isnan(share.value) for share in shares)
