import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from navbench.errors import NavbenchError
from navbench.metrics.frechet import FrechetReference, Moments

SHAPES = [(200, 12), (12, 40), (13, 12)]  # more samples than dimensions, fewer, barely more


def gaussian(seed: int, n: int, d: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    """Correlated samples of a Gaussian whose covariance depends on d and scale only."""
    mix = torch.randn(d, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64) / d**0.5
    z = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return scale * (z @ mix) + shift


def reference(features: torch.Tensor) -> FrechetReference:
    return FrechetReference.from_moments(Moments.of(features))


def exact(n: int, mean: torch.Tensor, covariance: torch.Tensor) -> Moments:
    """Moments whose mean and covariance are exactly these."""
    return Moments(n, n * mean, (n - 1) * covariance + n * torch.outer(mean, mean))


def test_the_distance_of_gaussians_with_commuting_covariances_has_its_closed_form():
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 1.0]).double()
    mean = torch.tensor([0.0, 3.0, 0.0]).double()
    found = FrechetReference.from_moments(exact(10, mean, a.diag())).distance(exact(10, 0 * mean, b.diag()))
    assert found == pytest.approx(9 + 1 + 0 + 4)  # |mean|² + Σ (√a - √b)²


def test_the_distance_of_gaussians_in_the_plane_has_its_closed_form():
    a = torch.tensor([[2.0, 1.0], [1.0, 3.0]]).double()
    b = torch.tensor([[5.0, -1.0], [-1.0, 1.0]]).double()
    zero = torch.zeros(2).double()
    # Two by two, (tr √(AB))² = tr AB + 2 √(det A det B).
    root = (torch.trace(a @ b) + 2 * (a.det() * b.det()).sqrt()).sqrt()
    expected = float(a.trace() + b.trace() - 2 * root)
    found = FrechetReference.from_moments(exact(9, zero, a)).distance(exact(9, zero, b))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_the_distance_to_itself_is_zero(n, d):
    x = gaussian(1, n, d)
    assert reference(x).distance(Moments.of(x)) == pytest.approx(0, abs=1e-5)
    assert reference(x).distance_from_features(x) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("m", [15, 300])
def test_all_three_ways_agree_with_torch_fidelity(n, d, m):
    x, y = gaussian(1, n, d, 1.3, 0.2), gaussian(2, m, d)
    theirs = fid_statistics_to_metric(fid_features_to_statistics(x), fid_features_to_statistics(y), False)
    expected = pytest.approx(theirs[KEY_METRIC_FID], rel=1e-4)
    assert reference(y).distance(Moments.of(x)) == expected
    assert reference(y).distance_from_features(x) == expected
    assert reference(y).estimate(x).value == expected


def test_a_rotation_of_both_sets_changes_nothing():
    x, y = gaussian(1, 50, 8, 1.3), gaussian(2, 60, 8)
    turn = torch.linalg.qr(gaussian(3, 8, 8)).Q
    turned = reference(y @ turn).distance(Moments.of(x @ turn))
    assert turned == pytest.approx(reference(y).distance(Moments.of(x)))


def test_the_distance_is_symmetric():
    x, y = gaussian(1, 50, 8, 1.3, 0.1), gaussian(2, 60, 8)
    assert reference(y).distance(Moments.of(x)) == pytest.approx(reference(x).distance(Moments.of(y)))


def test_moments_do_not_depend_on_batches_or_shards():
    x = gaussian(1, 100, 5, shift=3.0)
    whole = Moments.of(x)
    shards = [Moments.empty(5).update(x[:30]).update(x[30:50]), Moments.of(x[50:])]
    merged = shards[0].merge(shards[1])
    assert merged.n == whole.n == 100
    torch.testing.assert_close(merged.mean, x.mean(0))
    torch.testing.assert_close(merged.covariance, torch.from_numpy(np.cov(x.numpy(), rowvar=False)))


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("m", [15, 300])
def test_the_influence_is_the_derivative_by_the_weight_of_a_sample(n, d, m):
    x, y = gaussian(1, n, d, 1.3, 0.2), gaussian(2, m, d)
    ref = reference(y)
    found = ref.estimate(x).influence

    def reweighted(weights: torch.Tensor) -> float:
        mean = weights @ x
        centred = (x - mean) * (n / (n - 1) * weights[:, None]).sqrt()
        # Singular values, for the differences are too small for the roots of eigenvalues.
        nuclear = torch.linalg.svdvals(centred @ ref.factor).sum()
        return float((mean - ref.mean).square().sum() + centred.square().sum() + ref.trace - 2 * nuclear)

    for i in (0, 7):
        step = 1e-4 / n
        towards = -torch.full((n,), 1 / n, dtype=torch.float64)
        towards[i] += 1
        even = torch.full((n,), 1 / n, dtype=torch.float64)
        slope = (reweighted(even + step * towards) - reweighted(even - step * towards)) / (2 * step)
        assert float(found[i]) == pytest.approx(slope, rel=1e-5, abs=1e-5 * float(found.abs().max()))


def stderr_over_spread(n: int, d: int) -> float:
    """The mean standard error over replicated draws, by the standard deviation of their values."""
    ref = reference(gaussian(0, 2000, d))
    estimates = [ref.estimate(gaussian(seed, n, d, 1.4, 0.1)) for seed in range(1, 151)]
    spread = np.std([found.value for found in estimates])
    return float(np.mean([found.stderr for found in estimates]) / spread)


def test_the_standard_error_is_the_spread_over_replications():
    assert stderr_over_spread(300, 6) == pytest.approx(1, rel=0.25)


def test_the_standard_error_is_cautious_with_fewer_samples_than_dimensions():
    assert 0.95 < stderr_over_spread(60, 80) < 1.6


def test_a_sample_of_no_spread_has_a_distance_to_a_reference_of_none():
    ref = reference(torch.zeros(5, 3))
    assert ref.distance(Moments.of(torch.ones(4, 3))) == pytest.approx(3)
    assert ref.estimate(torch.ones(4, 3)).value == pytest.approx(3)


def test_the_factor_of_a_reference_has_the_rank_of_its_samples():
    flat = gaussian(0, 50, 3) @ gaussian(1, 3, 12)  # in a plane of 3 dimensions
    assert reference(flat).factor.shape == (12, 3)
    assert reference(gaussian(0, 6, 12)).factor.shape == (12, 5)


def test_features_of_another_extractor_are_refused():
    with pytest.raises(NavbenchError, match="12 dimensions"):
        reference(gaussian(0, 20, 8)).distance(Moments.of(gaussian(0, 20, 12)))


def test_a_single_sample_has_no_covariance():
    with pytest.raises(NavbenchError, match="at least two samples"):
        reference(gaussian(0, 20, 8)).distance_from_features(gaussian(0, 1, 8))


@pytest.mark.parametrize(("n", "m", "dimensions"), [(60, 90, 12), (30, 80, 40), (30, 25, 40)])
def test_the_influence_of_the_reference_is_that_of_samples_with_both_sides_exchanged(n, m, dimensions):
    generator = torch.Generator().manual_seed(n)
    mix = torch.randn(dimensions, dimensions, generator=generator).double()
    x = torch.randn(n, dimensions, generator=generator).double() @ mix + 0.3
    y = torch.randn(m, dimensions, generator=generator).double()
    there, back = (FrechetReference.from_moments(Moments.of(b)).drawn(b).estimate(a) for a, b in ((x, y), (y, x)))
    torch.testing.assert_close(there.reference.influence, back.influence)
    torch.testing.assert_close(back.reference.influence, there.influence)
    assert there.stderr_both == pytest.approx(back.stderr_both)


def test_some_samples_of_the_reference_stand_for_all():
    generator, scales = torch.Generator().manual_seed(0), torch.arange(1.0, 6.0)
    y, x = torch.randn(2, 4000, 5, generator=generator).double() * scales
    moments = Moments.of(y)
    some = FrechetReference.from_moments(moments).drawn(y).estimate(x + 1.0)
    whole = FrechetReference.from_moments(Moments.of(x + 1.0)).estimate(y)
    assert some.stderr_both == pytest.approx((some.stderr**2 + whole.stderr**2) ** 0.5, rel=0.05)
