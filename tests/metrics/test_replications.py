"""Reported errors against the spread over draws, few of them; `tox -e replications` has many."""

import pytest
from replications import DECAY, GAUSSIAN, MIXED, SAME, TAILS, calibrations, distances, false_reports, two_levels

SHARES_AND_KID = ["KID", "precision", "recall", "density", "coverage"]
AWAY = (0.9, 0.5)


def calibrated(features, where, draws, **options):
    """By the number; 100 draws tell a true error to 7 %."""
    return {row.what: row for row in calibrations(features.name, distances(features, 128, *where, **options), draws)}


@pytest.fixture(scope="module")
def between_seeds():
    return calibrated(DECAY, AWAY, draws=100)


@pytest.mark.parametrize("what", SHARES_AND_KID)
def test_the_error_of_both_is_the_spread_between_seeds(between_seeds, what):
    assert 0.85 < between_seeds[what].ratio < 1.3, between_seeds[what]
    assert between_seeds[what].covered >= 0.82, between_seeds[what]


def test_the_error_of_both_is_an_upper_bound_for_a_frechet_distance(between_seeds):
    assert 0.95 < between_seeds["FD"].ratio < 1.5


def test_errors_of_distances_are_right_at_the_floor_where_the_first_order_vanishes():
    rows = calibrated(GAUSSIAN, SAME, draws=80)
    for what in ("FD", "KID"):
        assert 0.85 < rows[what].ratio < 1.25, rows[what]


@pytest.fixture(scope="module")
def with_one_reference():
    return calibrated(TAILS, AWAY, draws=80, reference=0)


@pytest.mark.parametrize("what", SHARES_AND_KID)
def test_the_error_of_samples_is_the_spread_with_one_reference(with_one_reference, what):
    assert 0.8 < with_one_reference[what].ratio < 1.25, with_one_reference[what]


def test_the_error_of_two_levels_is_the_spread_over_directions_and_codes():
    for row in calibrations("two levels", two_levels(MIXED, 8, 32), 300):
        assert 0.9 < row.ratio < 1.15, row
        assert 0.9 <= row.covered <= 0.98, row


def test_equal_methods_are_decided_in_few_reports():
    assert false_reports(MIXED, 8, 32, draws=150) <= 0.07
