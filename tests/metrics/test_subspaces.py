"""Overlaps of spans: against scipy's principal angles, on spans whose overlap is known, and what changes nothing."""

import numpy as np
import pytest
import torch
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from navbench.errors import NavbenchError
from navbench.metrics.subspaces import overlap

EYE = torch.eye(8)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_angles_are_scipys(k, other, seed):
    a, b = noise(seed, k, 9), noise(seed + 100, other, 9)
    expected = np.degrees(subspace_angles(a.T.double().numpy(), b.T.double().numpy()))[::-1]
    np.testing.assert_allclose(overlap(a, b).angles, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [([0, 1], [0, 1, 2], 1), ([0, 1, 2], [0, 1], 2 / 3), ([0, 1], [2, 3], 0), ([0, 1, 2, 3], [3, 4], 1 / 4)],
)
def test_the_share_is_of_the_first_span(a, b, share):
    assert overlap(EYE[a], EYE[b]).share == pytest.approx(share, abs=1e-12)


def test_a_line_at_an_angle_has_the_square_of_its_cosine():
    line = torch.tensor([[np.cos(0.3), np.sin(0.3), 0.0]])
    found = overlap(line, torch.eye(3)[:1])
    assert found.share == pytest.approx(np.cos(0.3) ** 2)
    assert found.angles.tolist() == pytest.approx([np.degrees(0.3)], abs=1e-5)


def test_random_spans_overlap_as_chance_says():
    shares = [overlap(noise(seed, 4, 60), noise(1000 + seed, 6, 60)) for seed in range(300)]
    assert shares[0].chance == 6 / 60
    assert np.mean([each.share for each in shares]) == pytest.approx(0.1, abs=0.005)


@given(st.integers(0, 99))
def test_another_basis_of_the_same_span_changes_nothing(seed):
    a, b = noise(seed, 3, 4, 2, 1), noise(seed + 100, 5, 4, 2, 1)
    mixed = torch.einsum("ij,j...->i...", noise(seed + 200, 3, 3).double() + 4 * torch.eye(3), a.double())
    assert overlap(mixed, b).share == pytest.approx(overlap(a, b).share, rel=1e-6)


def test_dependent_offsets_count_once():
    found = overlap(EYE[[0, 1, 1, 0]] * torch.tensor([[1.0], [2], [-3], [1]]), EYE[[1, 2]])
    assert (found.rank, found.other_rank, found.dimensions) == (2, 2, 8)
    assert found.share == pytest.approx(0.5)


def test_offsets_of_other_spaces_are_refused():
    with pytest.raises(NavbenchError, match=r"\(8,\) and \(7,\) are of different spaces"):
        overlap(EYE, torch.eye(7))
