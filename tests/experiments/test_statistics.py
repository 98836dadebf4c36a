"""References that others computed: what is read, and what is refused."""

import numpy as np
import pytest
import torch
from torch_fidelity import metric_fid, utils

from navbench.errors import NavbenchError
from navbench.experiments.fid_curve import ReferenceStatistics
from navbench.experiments.statistics import Gaussian, is_statistics, read_statistics
from navbench.metrics.parts import Parts

DIMENSIONS = 6
SWAP = np.eye(DIMENSIONS)[[1, 0, 2, 3, 4, 5]] - np.diag([0, 0, 1, 1, 1, 1])
"""Symmetric, of no variance at all, and with an eigenvalue of -1."""


def features(seed: int, count: int = 40) -> torch.Tensor:
    mix = np.random.default_rng(7).normal(size=(DIMENSIONS, DIMENSIONS))
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, DIMENSIONS)) @ mix).float()


def gaussian(seed: int = 0) -> dict[str, np.ndarray]:
    return metric_fid.fid_features_to_statistics(features(seed))


@pytest.fixture
def npz(tmp_path):
    """A function from arrays to a file of them."""

    def write(**arrays):
        np.savez(tmp_path / "theirs.npz", **arrays)
        return str(tmp_path / "theirs.npz")

    return write


def cached(folder, name, value):
    """A file as torch-fidelity's own cache writes it."""
    options = {"cache": True, "cache_root": str(folder), "verbose": False}
    utils.cache_lookup_one_recompute_on_miss(name, lambda: value, **options)
    return str(folder / f"{name}.pt")


def test_statistics_give_the_distance_that_torch_fidelity_gives(npz):
    known = read_statistics(npz(**gaussian())).known
    assert isinstance(known, Gaussian)
    mine = features(1)
    expected = metric_fid.fid_statistics_to_metric(gaussian(), metric_fid.fid_features_to_statistics(mine), False)
    frechet, kernel, _ = ReferenceStatistics.of_gaussian(known.mean, known.covariance).measure(Parts.of(mine))
    assert frechet.value == pytest.approx(expected["frechet_inception_distance"], rel=1e-5)
    assert np.isnan(kernel.value)
    assert np.isnan(kernel.stderr)


def test_the_cache_of_torch_fidelity_is_read_in_both_its_forms(tmp_path):
    own = features(0)
    moments = read_statistics(cached(tmp_path, "ffhq-inception-v3-compat-stat-fid-2048", gaussian())).known
    assert isinstance(moments, Gaussian)
    np.testing.assert_allclose(moments.covariance, gaussian()["sigma"], rtol=1e-12)
    np.testing.assert_allclose(moments.mean, gaussian()["mu"], rtol=1e-6)
    found = read_statistics(cached(tmp_path, "ffhq-inception-v3-compat-features-2048", own)).known
    assert torch.equal(found, own)


def test_features_give_the_same_distances_as_the_images_they_are_of(tmp_path):
    own, mine = features(0), features(1)
    found = read_statistics(cached(tmp_path, "features", own)).known
    ours, theirs = (ReferenceStatistics.of(Parts.of(each)).measure(Parts.of(mine))[:2] for each in (found, own))
    assert [each.value for each in ours] == [each.value for each in theirs]
    assert ReferenceStatistics.of(Parts.of(found)).n == 40


def test_arrays_at_single_precision_are_read_as_well(npz):
    known = read_statistics(npz(**{name: value.astype(np.float32) for name, value in gaussian().items()})).known
    assert known.covariance.dtype == torch.float64
    np.testing.assert_allclose(known.covariance, gaussian()["sigma"], rtol=1e-5, atol=1e-6)


def test_endings_tell_statistics_from_images():
    assert is_statistics("a/b.npz")
    assert is_statistics("b.PT")
    assert not any(map(is_statistics, ("images.zip", "images", "unshifted", "renderings")))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"sigma": None}, r"must hold 'mu' and 'sigma'; found: 'mu'"),
        ({"mu": None, "sigma": None}, "found: neither of them"),
        ({"mu": np.zeros((2, 3))}, r"mu is of shape \(2, 3\)"),
        ({"sigma": np.eye(4)}, r"sigma of \(4, 4\)"),
        ({"mu": np.full(DIMENSIONS, np.nan)}, "NaN or infinite"),
        ({"sigma": np.triu(np.ones((DIMENSIONS, DIMENSIONS)))}, "no covariance"),
        ({"sigma": -np.eye(DIMENSIONS)}, "no covariance"),
        ({"sigma": np.ones((DIMENSIONS, DIMENSIONS)) * 2 - np.eye(DIMENSIONS) * 1.5}, "not positive semi-definite"),
        ({"sigma": SWAP}, "not positive semi-definite"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, r"mu is of shape \(0,\) .* D at least 1"),
        ({"mu": np.zeros(())}, r"mu is of shape \(\)"),
        ({"sigma": np.zeros((DIMENSIONS, DIMENSIONS, 1))}, r"sigma of \(6, 6, 1\)"),
        ({"sigma": np.eye(DIMENSIONS) + 0j}, "complex"),
        ({"mu": np.zeros(DIMENSIONS, bool)}, "no dense array of numbers"),
        ({"mu": np.array(["a"] * DIMENSIONS)}, "theirs.npz"),
        ({"mu": np.array([{}] * DIMENSIONS, dtype=object)}, "cannot be read"),
    ],
)
def test_what_is_no_mean_and_covariance_is_refused(npz, changed, sentence):
    arrays = {name: value for name, value in (gaussian() | changed).items() if value is not None}
    with pytest.raises(NavbenchError, match=sentence) as caught:
        read_statistics(npz(**arrays))
    assert "theirs.npz" in str(caught.value)


def test_a_covariance_of_few_images_is_read_at_single_precision(npz):
    few = np.random.default_rng(0).normal(size=(4, 300)) * np.geomspace(1e-3, 1e3, 300)
    sigma = np.cov(few, rowvar=False).astype(np.float32)
    assert np.linalg.eigvalsh(sigma.astype(np.float64))[0] < 0
    assert read_statistics(npz(mu=few.mean(0), sigma=sigma)).dimensions == 300


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        (torch.zeros(3, 4, dtype=torch.complex64), "torch.complex64; features are dense float32"),
        (torch.zeros(3, 4, dtype=torch.int64), "torch.int64"),
        (torch.zeros(3, 0), r"shape \(3, 0\)"),
        ({"mu": torch.zeros(3, dtype=torch.complex64), "sigma": torch.eye(3)}, "'mu' is complex"),
    ],
)
def test_tensors_that_are_no_features_are_refused(tmp_path, held, sentence):
    torch.save(held, tmp_path / "theirs.pt")
    with pytest.raises(NavbenchError, match=sentence):
        read_statistics(str(tmp_path / "theirs.pt"))


def test_what_is_no_file_of_statistics_is_refused(tmp_path):
    for name in ("broken.npz", "broken.pt"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
        with pytest.raises(NavbenchError, match=name):
            read_statistics(str(tmp_path / name))
    with pytest.raises(NavbenchError, match=r"There is no file .*none\.npz"):
        read_statistics(str(tmp_path / "none.npz"))
    with pytest.raises(NavbenchError, match=r"shape \(5,\)"):
        read_statistics(cached(tmp_path, "line", torch.zeros(5)))
    with pytest.raises(NavbenchError, match="list"):
        read_statistics(cached(tmp_path, "list", [1, 2]))


def test_statistics_of_another_extractor_are_refused(npz):
    with pytest.raises(NavbenchError, match="features of 6 dimensions, but efficientnet-lite0 gives 1280"):
        read_statistics(npz(**gaussian())).check(1280, "efficientnet-lite0")


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    torch.save({"mu": Hostile(), "sigma": np.eye(2)}, tmp_path / "hostile.pt")
    with pytest.raises(NavbenchError, match=r"hostile\.pt"):
        read_statistics(str(tmp_path / "hostile.pt"))
    assert not (tmp_path / "made").exists()
