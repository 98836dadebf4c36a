import numpy as np
import pytest
import torch
from distances import kernel_distance
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from navbench.errors import NavbenchError
from navbench.metrics.kernel import Across, Among
from navbench.metrics.pairwise import PairwiseReference


def features(seed: int, n: int, d: int = 10, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_the_distance_is_the_kid_of_torch_fidelity_with_one_subset_of_all_samples():
    x, y = features(1, 80, shift=0.3), features(2, 80)
    theirs = kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=80, verbose=False)
    assert kernel_distance(x, y).value == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-4)


def test_the_block_size_changes_nothing():
    x, y = features(1, 50, shift=0.3), features(2, 70)
    whole, blocks = kernel_distance(x, y), kernel_distance(x, y, tile=7)
    assert blocks.value == pytest.approx(whole.value, rel=1e-10)
    torch.testing.assert_close(blocks.influence, whole.influence)


def test_the_distance_is_zero_on_average_between_samples_of_one_distribution():
    values = [kernel_distance(features(1000 + seed, 60), features(seed, 40)).value for seed in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


def test_the_standard_error_is_the_spread_over_replications():
    reference = PairwiseReference.of(features(0, 500))
    estimates = [reference.measure(features(seed, 100, shift=0.4))[0] for seed in range(1, 201)]
    spread = np.std([found.value for found in estimates])
    assert np.mean([found.stderr for found in estimates]) == pytest.approx(spread, rel=0.25)


def test_the_influence_is_what_leaving_a_sample_out_changes():
    n, reference, x = 400, PairwiseReference.of(features(0, 50)), features(1, 400, shift=0.3)
    found, _ = reference.measure(x)
    for index in (0, 17, 399):
        without = reference.measure(x[torch.arange(n) != index])[0].value
        change = (n - 1) * (found.value - without)
        assert float(found.influence[index]) == pytest.approx(change, rel=0.02, abs=0.01 * float(found.influence.std()))


def test_features_that_cannot_be_compared_are_refused():
    with pytest.raises(NavbenchError, match="one extractor"):
        kernel_distance(features(0, 10, 9), features(0, 10, 8))
    with pytest.raises(NavbenchError, match="at least two"):
        PairwiseReference.of(features(0, 1))


def test_the_variance_of_pairs_is_unbiased_from_any_number_of_samples():
    """Of samples of one set and across two, against that of very many."""

    def variances(seed, n):
        reference, other = features(seed, n, 4), features(10_000 + seed, n, 4)
        k, across = ((a.double() @ b.double().T / 4 + 1) ** 3 for a, b in ((reference, reference), (reference, other)))
        others = k.fill_diagonal_(0.0)
        among = Among(others.sum(1) / (n - 1), others.square().sum() / (n * (n - 1)))
        return among.variance, Across(across.mean(1), across.mean(0), across.square().mean()).variance

    few = torch.tensor([variances(seed, 12) for seed in range(400)], dtype=torch.float64)
    many = torch.tensor([variances(seed, 1200) for seed in range(1000, 1003)], dtype=torch.float64).mean(0)
    assert ((few.mean(0) - many).abs() < 4 * few.std(0) / 20).all()
