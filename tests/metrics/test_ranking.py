"""Rankings of estimates whose differences are known."""

import pytest
import torch
from analytic import noise
from scipy import stats

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.ranking import comparisons, ranks


def test_a_shared_error_does_not_hide_a_difference():
    shared = 100 * noise(0, 50).double()
    estimates = {"a": estimate.mean(shared + 0.01 * noise(1, 50)), "b": estimate.mean(shared + 1)}
    (pair,) = comparisons(estimates)
    assert pair.difference.value == pytest.approx(-1.0, abs=0.01)
    assert pair.decided
    assert ranks(estimates) == {"a": (1, 1), "b": (2, 2)}


def test_what_is_inside_the_noise_shares_its_ranks():
    estimates = {name: estimate.mean(noise(seed, 40)) for seed, name in enumerate("abc")}
    assert all(not pair.decided for pair in comparisons(estimates))
    assert ranks(estimates) == {"a": (1, 3), "b": (1, 3), "c": (1, 3)}


def test_one_that_is_worse_than_all_is_last_and_the_others_stay_tied():
    estimates = {"a": estimate.mean(noise(0, 40)), "far": estimate.mean(noise(1, 40) + 9)}
    estimates["b"] = estimate.mean(noise(2, 40))
    assert ranks(estimates) == {"a": (1, 2), "far": (3, 3), "b": (1, 2)}


def test_p_is_students_of_the_paired_differences_after_holm():
    values = {name: noise(seed, 30).double() + 0.35 * seed for seed, name in enumerate("abc")}
    found = {(pair.a, pair.b): pair.p for pair in comparisons({name: estimate.mean(v) for name, v in values.items()})}
    raw = {(a, b): stats.ttest_rel(values[a], values[b]).pvalue for a, b in found}
    order = sorted(raw, key=lambda pair: raw[pair])
    least = 0.0
    for place, pair in enumerate(order):
        least = max(least, min(1.0, raw[pair] * (3 - place)))
        assert found[pair] == pytest.approx(least, rel=1e-6)


def test_no_uncertainty_decides_nothing():
    bare = {"a": Estimate(1.0, torch.zeros(5)), "b": Estimate(2.0, torch.zeros(5))}
    assert not comparisons(bare)[0].decided
    same = {"a": estimate.mean(noise(0, 5)), "b": estimate.mean(noise(0, 5))}
    assert comparisons(same)[0].p == 1.0
