"""Shares of few images, against another implementation, and where their spread says nothing."""

import pytest
from scipy.stats import binomtest

from navbench.metrics.shares import raised, wilson
from navbench.metrics.significance import decided


@pytest.mark.parametrize(("count", "n"), [(0, 12), (12, 12), (1, 12), (7, 12), (0, 200), (50, 200)])
def test_the_interval_is_that_of_scipy(count, n):
    interval = binomtest(count, n).proportion_ci(method="wilson")
    assert wilson(count / n, n) == pytest.approx(tuple(interval), abs=1e-4)


def test_a_rise_of_all_images_is_decided_though_they_do_not_differ():
    assert decided([raised(1.0, 0.0, 12)])[0].decided
    assert not decided([raised(1.0, 0.0, 2)])[0].decided, "of two images it may be chance"
    assert not decided([raised(0.0, 0.0, 12)])[0].decided


def test_an_error_that_is_known_is_taken_as_it_is():
    assert raised(0.5, 0.15, 12).stderr == 0.15
