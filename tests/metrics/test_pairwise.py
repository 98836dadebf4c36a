"""All that is computed from pairs, against the definitions written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from navbench.metrics.estimate import Estimate, ReferenceDraw
from navbench.metrics.pairwise import PairwiseReference
from navbench.metrics.precision_recall import SHARES
from navbench.metrics.splits import Nearest


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


@pytest.mark.parametrize(("n", "m"), [(300, 1100), (1500, 1100)])
def test_errors_of_shares_are_known_where_samples_and_reference_differ_in_number(n, m):
    generator = torch.Generator().manual_seed(0)
    reference, samples = (torch.randn(count, 8, generator=generator).double() for count in (m, n))
    _, shares = PairwiseReference.of(reference).measure(0.9 * samples)
    p = shares.precision.value
    assert shares.precision.stderr == pytest.approx((p * (1 - p) / n) ** 0.5, rel=0.01)
    for name in SHARES:
        assert 0 < getattr(shares, name).stderr <= getattr(shares, name).stderr_both < 0.1


def test_the_radii_of_the_first_samples_are_theirs_alone():
    points = torch.randn(400, 4, generator=torch.Generator().manual_seed(1))
    squared = torch.cdist(points, points).square().fill_diagonal_(math.inf)
    parts = torch.randperm(200, generator=torch.Generator().manual_seed(2)).view(4, 50)
    cut, alone = Nearest.of(squared).first(200), Nearest.of(squared[:200, :200])
    for ours, theirs in zip(cut.radii(parts), alone.radii(parts), strict=True):
        assert torch.equal(ours, theirs)


def test_radii_are_unknown_where_lists_end_before_them():
    points = torch.randn(1000, 4, generator=torch.Generator().manual_seed(1))
    nearest = Nearest.of(torch.cdist(points, points).square().fill_diagonal_(math.inf)).first(30)
    narrow, wide = nearest.radii(torch.arange(28).view(4, 7))
    assert narrow.isnan().all()
    assert wide.isnan().all()
