"""All that is computed from pairs, against the definitions written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from navbench.metrics.estimate import Estimate, ReferenceDraw
from navbench.metrics.pairwise import PairwiseReference
from navbench.metrics.precision_recall import SHARES


def normal(seed, n, dimensions=6, away=0.0):
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed)).double() + away


def by_definition(x, y):
    """The kernel distance, its influences and the shares, from whole matrices of kernels and distances."""

    def kernels(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def others(matrix):
        return (matrix.sum(1) - matrix.diagonal()) / (len(matrix) - 1)

    among, across = others(kernels(x, x)), kernels(x, y).mean(1)
    value = float(among.mean() + others(kernels(y, y)).mean() - 2 * across.mean())
    influence = 2 * (among - across)
    distances = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    ours, theirs = (torch.cdist(a, a, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values for a in (x, y))
    near, nearer = distances <= theirs[:, 5], distances <= theirs[:, 3]
    shares = (nearer.any(1), (distances <= ours[:, 3, None]).any(0), near.sum(1) / 5, near.any(0))
    theirs_influence = 2 * (others(kernels(y, y)) - kernels(x, y).mean(0))
    draw = ReferenceDraw(theirs_influence - theirs_influence.mean())
    estimate = Estimate(value, influence - influence.mean(), reference=draw)
    return estimate, [float(each.double().mean()) for each in shares]


@pytest.mark.parametrize(("n", "m"), [(40, 40), (64, 17), (6, 130)])
@pytest.mark.parametrize("away", [0.0, 5.0])
def test_one_pass_over_tiles_gives_what_the_definitions_say(n, m, away):
    x, y = 0.8 * normal(0, n, away=away), normal(1, m, away=away)
    expected, shares = by_definition(x, y)
    kernel, found = PairwiseReference.of(y, tile=16).measure(x)
    assert kernel.value == pytest.approx(expected.value, rel=1e-9)
    torch.testing.assert_close(kernel.influence, expected.influence, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(kernel.reference.influence, expected.reference.influence, rtol=1e-9, atol=1e-9)
    assert [getattr(found, name).value for name in SHARES] == pytest.approx(shares, rel=1e-6)


@given(n=st.integers(6, 40), m=st.integers(6, 40), tile=st.integers(1, 50))
def test_tiles_of_any_size_give_the_same(n, m, tile):
    x, y = 0.7 * normal(n, n), normal(100 + m, m)
    (kernel, shares), (expected, others) = (PairwiseReference.of(y, tile=size).measure(x) for size in (tile, 64))
    assert kernel.value == pytest.approx(expected.value, rel=1e-9, abs=1e-12)
    torch.testing.assert_close(kernel.influence, expected.influence, rtol=1e-9, atol=1e-9)
    for name in SHARES:
        torch.testing.assert_close(getattr(shares, name).influence, getattr(others, name).influence, equal_nan=True)
        assert getattr(shares, name).stderr_both == pytest.approx(getattr(others, name).stderr_both, nan_ok=True)


def test_every_product_among_samples_is_computed_in_one_order_only(monkeypatch):
    pairs, multiplied = 0, torch.Tensor.__matmul__

    def counted(a, b):
        nonlocal pairs
        pairs += len(a) * b.shape[1] if b.ndim == 2 else 0
        return multiplied(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", counted)
    reference = PairwiseReference.of(normal(0, 80), tile=20)
    assert pairs == 80 * 100 / 2
    reference.measure(normal(1, 60))
    assert pairs == 80 * 100 / 2 + 60 * 80 / 2 + 60 * 80
