"""A Fréchet distance against SciPy's sqrtm and against torch-fidelity's, on the same features."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from navbench.metrics.frechet import FrechetReference, Moments

DIMENSIONS = 1280


def features(n, seed):
    rng = np.random.default_rng(seed)
    spectrum = np.linspace(1, 0.01, DIMENSIONS)
    return torch.from_numpy((rng.standard_normal((n, DIMENSIONS)) * spectrum + 0.01 * seed).astype(np.float32))


def by_sqrtm(x, y):
    mean_x, mean_y = x.double().mean(0).numpy(), y.double().mean(0).numpy()
    cov_x, cov_y = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    root = scipy.linalg.sqrtm(cov_x @ cov_y)
    return float(((mean_x - mean_y) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root.real))


@pytest.mark.parametrize("n", [512, 4096])
@pytest.mark.parametrize("how", ["navbench", "navbench with influences", "torch-fidelity", "scipy sqrtm"])
def test_frechet_distance(benchmark, measured, how, n):
    benchmark.group = f"Fréchet distance, {n} x {DIMENSIONS} features, the reference being known"
    x, y = features(n, 0), features(n, 1)
    reference = FrechetReference.from_moments(Moments.of(y))
    statistics = fid_features_to_statistics(y)
    expected = fid_statistics_to_metric(fid_features_to_statistics(x), statistics, False)["frechet_inception_distance"]
    call = {
        "navbench": lambda: (
            reference.distance_from_features(x) if n < DIMENSIONS else reference.distance(Moments.of(x))
        ),
        "navbench with influences": lambda: reference.estimate(x).value,
        "torch-fidelity": lambda: fid_statistics_to_metric(fid_features_to_statistics(x), statistics, False)[
            "frechet_inception_distance"
        ],
        "scipy sqrtm": lambda: by_sqrtm(x, y),
    }[how]
    assert measured(call, rounds=2) == pytest.approx(expected, rel=1e-3)
