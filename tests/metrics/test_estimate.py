import math

import pytest
import torch
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from navbench.errors import NavbenchError
from navbench.metrics import estimate
from navbench.metrics.significance import Test, decided


def sample(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_standard_error_of_a_mean_is_the_textbook_one():
    values = sample(0, 50)
    found = estimate.mean(values)
    assert found.value == pytest.approx(float(values.mean()))
    assert found.stderr == pytest.approx(float(values.std()) / math.sqrt(50))


def test_the_standard_error_of_a_ratio_is_its_spread_over_replications():
    draws = sample(1, 2000, 100, 2)
    a, b = 1 + 0.3 * draws[..., 0], 2 + 0.3 * draws[..., 0] + 0.2 * draws[..., 1]
    spread = float((a.mean(1) / b.mean(1)).std())
    assert estimate.ratio(a[0], b[0]).stderr == pytest.approx(spread, rel=0.25)


def test_the_difference_of_an_estimate_with_itself_is_certain():
    found = estimate.mean(sample(2, 20))
    assert estimate.difference(found, found).value == 0
    assert estimate.difference(found, found).stderr == 0


def test_a_paired_difference_is_the_mean_of_differences():
    a, b = sample(3, 2, 30)
    paired = estimate.difference(estimate.mean(a), estimate.mean(b))
    direct = estimate.mean(a - b)
    assert (paired.value, paired.stderr) == (pytest.approx(direct.value), pytest.approx(direct.stderr))


def test_different_numbers_of_samples_cannot_be_paired():
    with pytest.raises(NavbenchError, match="20 and 21"):
        estimate.difference(estimate.mean(sample(4, 20)), estimate.mean(sample(4, 21)))


def test_one_sample_has_no_standard_error():
    assert math.isnan(estimate.mean(torch.ones(1)).stderr)


def test_the_jackknife_of_a_mean_is_the_mean_with_its_standard_error():
    values = sample(5, 12)
    without = (values.sum() - values) / 11
    found = estimate.jackknife(float(values.mean()), without)
    assert found.stderr == pytest.approx(estimate.mean(values).stderr)


@given(seed=st.integers(0, 99), count=st.integers(2, 9))
def test_a_cosine_is_that_of_the_long_vectors(seed, count):
    a, b = noise(seed, count, 5).double(), noise(seed + 100, count, 5).double()
    found = estimate.cosine((a * b).sum(1), a.square().sum(1), b.square().sum(1))
    whole = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    assert found.value == pytest.approx(float(whole))


def test_the_influence_on_a_cosine_is_its_derivative_by_the_weight_of_a_sample():
    a, b = noise(0, 6, 5).double(), noise(1, 6, 5).double()
    parts = [(a * b).sum(1), a.square().sum(1), b.square().sum(1)]
    found = estimate.cosine(*parts)
    for sample in range(6):
        weights = torch.full((6,), 1 / 6, dtype=torch.float64) * (1 - 1e-6)
        weights[sample] += 1e-6
        product, first, second = (float((weights * part).sum()) for part in parts)
        moved = product / (first * second) ** 0.5
        assert (moved - found.value) / 1e-6 == pytest.approx(float(found.influence[sample]), rel=1e-3, abs=1e-6)


def test_the_errors_of_what_is_averaged_cancel_where_they_are_opposite():
    influence = torch.tensor([3.0, -1.0, -2.0], dtype=torch.float64)
    found = estimate.average([estimate.Estimate(1.0, influence), estimate.Estimate(5.0, -influence)])
    assert (found.value, found.stderr) == (3.0, 0.0)


def test_an_average_with_itself_is_as_uncertain_as_it_is():
    one = estimate.Estimate(1.0, torch.tensor([3.0, -1.0, -2.0], dtype=torch.float64))
    assert estimate.average([one, one]).stderr == pytest.approx(one.stderr)


@pytest.mark.parametrize("known", [3, 4, 6])
def test_a_mean_of_known_values_is_tested_as_that_of_so_many(known):
    values = torch.tensor([1.0, 2.5, 0.5, 1.5, 3.0, 2.0], dtype=torch.float64)
    (found,) = decided([Test.of(estimate.mean_of(values, torch.arange(6) < known))])
    assert found.p == pytest.approx(stats.ttest_1samp(values[:known].numpy(), 0).pvalue, rel=1e-9)


@pytest.mark.parametrize("known", [0, 1])
def test_a_mean_of_fewer_than_two_known_values_has_no_error(known):
    found = estimate.mean_of(torch.arange(6.0), torch.arange(6) < known)
    assert math.isnan(found.stderr)
    assert not decided([Test.of(found)])[0].decided
    assert math.isnan(found.value) == (known == 0)


def test_the_first_codes_have_the_same_error_among_all():
    value = estimate.mean(torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=torch.float64))
    wider = estimate.of_first(value, 20)
    assert (wider.n, wider.value) == (20, value.value)
    assert wider.stderr == pytest.approx(value.stderr)
    assert not wider.influence[4:].any()
