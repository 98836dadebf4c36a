"""Lines that could be wrong without a sound: which ends are compared, and errors of shares that are 0."""

from math import sqrt
from types import SimpleNamespace

import pytest
import torch
import toy
from test_claims import curve

from navbench.experiments.calibration import Range
from navbench.runner.asymmetry_rows import difference_of, share_of
from navbench.runner.method_rows import fair_ends, realism_of

SUITE = toy.tiny(calibrate="effect=0.2")


def ranged(*reached):
    return Range(torch.tensor([-1.0, 1.0]), torch.tensor(reached, dtype=torch.float64), torch.zeros(2))


@pytest.mark.parametrize(
    ("reached", "ends"), [((0.2, 0.2), [0, -1]), ((0.1, 0.2), [-1]), ((0.2, 0.1), [0]), ((0.1, 0.1), [])]
)
def test_only_ends_that_calibration_reached_are_compared(reached, ends):
    result = SimpleNamespace(ranges={"cars/svd/convs.3/0": ranged(*reached)})
    assert fair_ends(SUITE, result, "cars/svd/convs.3/0") == ends
    assert fair_ends(SUITE, result, "cars/svd/convs.3/1") == [0, -1]


def test_a_mean_distance_is_of_the_ends_that_are_compared():
    name = "cars/svd/convs.3/0"
    result = SimpleNamespace(ranges={name: ranged(0.1, 0.2)}, curves={name: curve(50, 40)})
    frechet, kernel = realism_of(SUITE, result, SimpleNamespace(reference="cars/svd/convs.3"))
    assert (frechet.value, kernel.value) == pytest.approx((40, 0.4))


def test_the_error_of_a_share_is_that_of_agresti_and_coull():
    """Two images are added on either side: none of 10 is 2 of 14 for the error."""
    share, error = share_of(torch.zeros(10, dtype=torch.bool))
    assert (share, error) == (0, pytest.approx(sqrt(2 / 14 * 12 / 14 / 14)))
    share, error = share_of(torch.arange(10) < 3)
    assert (share, error) == (pytest.approx(0.3), pytest.approx(sqrt(5 / 14 * 9 / 14 / 14)))


def test_the_error_of_a_paired_difference_is_that_of_bonett_and_price():
    """Three of ten on one side alone, none on the other: p = 4/12 and q = 1/12; Wald's error would be 0.145."""
    low, high = torch.arange(10) < 5, torch.arange(10) < 2
    difference, error = difference_of(low, high)
    assert difference == pytest.approx(0.3)
    assert error == pytest.approx(sqrt((4 / 12 + 1 / 12 - (3 / 12) ** 2) / 12))
    assert difference_of(low, low) == (0, pytest.approx(sqrt(2 / 12 / 12)))
