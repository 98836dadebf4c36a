import math

import pytest
import torch

from navbench.experiments.fid_curve import Curve
from navbench.experiments.rounding import LARGEST, Rounding
from navbench.metrics.estimate import Estimate


def floor(frechet, kernel, stderr=1.0):
    """Distances at t = 0 with equal standard errors."""
    n = 8
    influence = stderr * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(n // 2)[None]
    influence = influence * stderr / Estimate(0.0, influence[0]).stderr
    shares = torch.zeros(1, 4)
    values = [torch.tensor([value], dtype=torch.float64) for value in (frechet, kernel)]
    of_shares, of_reference, excess = (shares,) * 3, (torch.empty(1, 0),) * 2, (torch.zeros(1, 2),) * 2
    of_samples = (values[0], influence, values[1], influence, torch.zeros(1, n))
    return Curve(*of_samples, *of_shares, *of_reference, *excess)


def rounding(frechet, kernel, stderr=1.0):
    """What a precision does that moves distances of 10 and 1 by so much."""
    exact = floor(10.0, 1.0, stderr)
    return Rounding.between(floor(10 + frechet, 1 + kernel, stderr), exact, exact, "bf16", "cars", "FD")


def test_a_change_is_told_in_standard_errors_of_the_distance_at_t_0():
    assert dict(rounding(-0.5, 0.25, stderr=2.0).in_errors()) == pytest.approx({"FD": 0.25, "KID": 0.125})


@pytest.mark.parametrize(("frechet", "kernel"), [(LARGEST + 0.01, 0.0), (0.0, -LARGEST - 0.01)])
def test_either_distance_can_make_an_error_too_large(frechet, kernel):
    assert not rounding(frechet, kernel).is_below_sampling
    assert rounding(0.9 * frechet, 0.9 * kernel).is_below_sampling


def test_more_images_make_the_same_change_larger_in_standard_errors():
    assert rounding(0.4, 0.0).is_below_sampling
    assert not rounding(0.4, 0.0, stderr=0.5).is_below_sampling


def test_a_kernel_distance_that_is_not_known_says_nothing():
    told = rounding(0.1, math.nan)
    assert [metric for metric, _ in told.in_errors()] == ["FD"]
    assert "KID" not in str(told)
