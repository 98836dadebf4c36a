"""Precision and recall against torch-fidelity's, and on sets whose overlap is known."""

import math

import numpy as np
import pytest
import torch
from distances import precision_recall
from torch_fidelity.metric_prc import calculate_precision_recall_full

from navbench.errors import NavbenchError
from navbench.metrics.precision_recall import SHARES


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shares(features, reference, **options):
    found = precision_recall(features, reference, **options)
    return found.precision.value, found.recall.value


@pytest.mark.parametrize(("scale", "away"), [(1.0, 0.0), (0.6, 0.0), (1.3, 0.2), (1.0, 0.8)])
def test_both_are_those_of_torch_fidelity(scale, away):
    features, reference = scale * normal(0, 230, 12) + away, normal(1, 190, 12)
    theirs = calculate_precision_recall_full(features.double(), reference.double(), 3)
    assert shares(features, reference) == pytest.approx(theirs, abs=1e-6)  # theirs averages in float32
    assert 0 < theirs[0] <= 1


def test_the_border_of_a_ball_belongs_to_it():
    line = torch.arange(4.0)[:, None]  # whose balls of three neighbours reach from -3 to 6
    outside = torch.tensor([[-3.0], [6.0], [-3.0], [6.0]])
    assert precision_recall(outside, line).precision.value == 1
    assert precision_recall(outside * 1.01, line).precision.value == 0


def test_a_collapse_onto_one_mode_keeps_precision_and_loses_recall():
    modes = torch.repeat_interleave(20 * torch.eye(4), 50, dim=0)
    reference = modes + normal(0, 200, 4)
    collapsed = 20 * torch.eye(4)[0] + 0.5 * normal(1, 200, 4)
    precision, recall = shares(collapsed, reference)
    assert precision > 0.95
    assert recall < 0.25  # one of four modes at most


def test_inventions_beside_every_mode_lose_precision_and_keep_recall():
    reference = normal(0, 200, 4)
    inventive = torch.cat([normal(1, 200, 4), normal(2, 200, 4) + 50])
    precision, recall = shares(inventive, reference)
    assert precision == pytest.approx(0.5, abs=0.06)
    assert recall > 0.85


def test_samples_that_are_all_one_reference_image_are_precise_and_recall_nothing_else():
    reference = 100 + normal(0, 60, 7)
    copies = reference[:1].expand(30, -1)
    assert shares(copies, reference) == (1.0, pytest.approx(1 / 60))


def test_a_set_is_its_own_equal_far_from_the_origin():
    features = 1e4 + normal(0, 50, 6)
    assert shares(features, features) == (1.0, 1.0)


def test_exchanging_the_sets_exchanges_precision_and_recall():
    x, y = normal(0, 80, 5), 0.7 * normal(1, 120, 5)
    assert shares(x, y) == shares(y, x)[::-1]


@pytest.mark.parametrize("tile", [1, 7, 64, 1000])
def test_the_size_of_tiles_changes_nothing(tile):
    x, y = normal(0, 90, 5), normal(1, 70, 5)
    assert shares(x, y, tile=tile) == shares(x, y)


def test_their_uncertainties_are_those_of_shares():
    found = precision_recall(0.8 * normal(0, 200, 6) + 0.5, normal(1, 150, 6))
    precision = found.precision
    assert precision.stderr == pytest.approx((precision.value * (1 - precision.value) / 199) ** 0.5)
    for name in SHARES:
        share = getattr(found, name)
        assert share.n == 200
        assert 0 < share.stderr <= share.stderr_both


def test_of_few_samples_no_error_of_both_is_known():
    assert math.isnan(precision_recall(normal(0, 23, 6), normal(1, 100, 6)).coverage.stderr_both)
    assert precision_recall(normal(0, 24, 6), normal(1, 100, 6)).coverage.stderr_both > 0


def test_features_of_other_dimensions_are_refused():
    with pytest.raises(NavbenchError, match="5 dimensions"):
        precision_recall(normal(0, 9, 5), normal(0, 9, 6))


@pytest.mark.parametrize(("n", "m"), [(3, 9), (9, 3)])
def test_of_too_few_samples_nothing_is_known(n, m):
    found = precision_recall(normal(0, n, 5), normal(1, m, 5))
    assert all(math.isnan(share.value) for share in (found.precision, found.recall, found.density, found.coverage))


# --- density and coverage


def textbook(x, y, k):
    """Equations of Naeem et al. (2020), section 3, written out."""
    x, y = x.double().numpy(), y.double().numpy()
    among = np.sort(np.linalg.norm(y[:, None] - y[None], axis=2), axis=1)
    inside = np.linalg.norm(x[:, None] - y[None], axis=2) <= among[:, k]
    return inside.sum() / (k * len(x)), inside.any(axis=0).mean()


@pytest.mark.parametrize(("scale", "away"), [(1.0, 0.0), (0.5, 0.0), (1.4, 0.3)])
def test_density_and_coverage_are_those_of_their_definition(scale, away):
    features, reference = scale * normal(0, 90, 6) + away, normal(1, 70, 6)
    found = precision_recall(features, reference, tile=32)
    assert (found.density.value, found.coverage.value) == pytest.approx(textbook(features, reference, 5))


def test_one_outlier_of_the_reference_raises_precision_and_hardly_density():
    """What density is for: an outlier's ball is large, and precision counts all that is in it."""
    reference = torch.cat([normal(0, 100, 4), torch.full((1, 4), 30.0)])
    fake = 15 + normal(1, 100, 4)
    found = precision_recall(fake, reference)
    assert found.precision.value == 1
    assert found.density.value == pytest.approx(1 / 5)


def test_samples_that_crowd_have_a_density_above_one_and_a_low_coverage():
    reference = normal(0, 300, 3)
    found = precision_recall(0.2 * normal(1, 300, 3), reference)
    assert found.density.value > 1.05
    assert found.coverage.value < 0.6
