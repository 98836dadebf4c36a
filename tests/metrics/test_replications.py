"""Reported errors against the spread over draws, few of them; `tox -e replications` has many."""

import pytest
from replications import GAUSSIAN, MIXED, SAME, TAILS, calibrations, distances, false_reports, two_levels

SHARES_AND_KID = ["KID", "precision", "recall", "density", "coverage"]
AWAY = (0.9, 0.5)


def calibrated(features, where, draws=80, **options):
    """By the number; so many draws tell a true error to 8 %."""
    return {row.what: row for row in calibrations(features.name, distances(features, 128, *where, **options), draws)}


@pytest.fixture(scope="module")
def between_seeds():
    return {"away": calibrated(GAUSSIAN, AWAY), "floor": calibrated(GAUSSIAN, SAME)}


@pytest.mark.parametrize("what", SHARES_AND_KID)
@pytest.mark.parametrize("where", ["away", "floor"])
def test_the_error_of_both_is_the_spread_between_seeds(between_seeds, where, what):
    row = between_seeds[where][what]
    assert 0.85 < row.ratio < 1.25, row
    assert row.covered > 0.85, row


def test_the_error_of_a_frechet_distance_is_right_at_the_floor_and_a_bound_elsewhere(between_seeds):
    assert 0.85 < between_seeds["floor"]["FD"].ratio < 1.25
    assert 0.85 < between_seeds["away"]["FD"].ratio < 1.5


@pytest.fixture(scope="module")
def with_one_reference():
    return calibrated(TAILS, AWAY, reference=0)


@pytest.mark.parametrize("what", SHARES_AND_KID)
def test_the_error_of_samples_is_the_spread_with_one_reference(with_one_reference, what):
    assert 0.8 < with_one_reference[what].ratio < 1.25, with_one_reference[what]


def test_the_error_of_two_levels_is_the_spread_over_directions_and_codes():
    for row in calibrations("two levels", two_levels(MIXED, 8, 32), 300):
        assert 0.9 < row.ratio < 1.15, row
        assert 0.9 <= row.covered <= 0.98, row


def test_equal_methods_are_decided_in_few_reports():
    assert false_reports(MIXED, 8, 32, draws=150) <= 0.07
