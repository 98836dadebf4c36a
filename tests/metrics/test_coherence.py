"""Coherence of changes whose cosines are known."""

import math

import pytest
import torch
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st

from navbench.metrics.coherence import coherence


def test_changes_along_one_line_are_coherent_whatever_their_sizes():
    sizes = torch.tensor([0.1, 1.0, 7.0, 300.0])[:, None]
    found = coherence(sizes * noise(0, 1, 20))
    assert found.value == pytest.approx(1.0)
    assert found.stderr == pytest.approx(0.0, abs=1e-9)


def test_changes_to_either_side_cancel():
    line = noise(0, 1, 20)
    found = coherence(torch.cat([line, line, -line, -line]))
    assert found.value == pytest.approx((2 - 4) / 6)  # of six pairs, two agree and four are opposite


def test_orthogonal_changes_are_unrelated():
    assert coherence(torch.eye(7)).value == pytest.approx(0.0, abs=1e-12)


def test_unrelated_changes_have_no_coherence_in_the_mean():
    values = [coherence(noise(seed, 6, 3)).value for seed in range(300)]
    assert sum(values) / 300 == pytest.approx(0.0, abs=0.03)


@given(seed=st.integers(0, 99), count=st.integers(2, 9))
def test_it_is_the_mean_cosine_of_pairs(seed, count):
    changes = noise(seed, count, 4).double()
    cosines = torch.nn.functional.cosine_similarity(changes[:, None], changes[None], dim=2)
    pairs = cosines[~torch.eye(count, dtype=torch.bool)]
    found = coherence(changes)
    assert found.value == pytest.approx(float(pairs.mean()))
    assert float(found.influence.sum()) == pytest.approx(0.0, abs=1e-9)


def test_the_standard_error_is_that_of_repetitions():
    samples = [noise(seed, 60, 3) + torch.tensor([1.5, 0.0, 0.0]) for seed in range(200)]
    found = [coherence(sample) for sample in samples]
    spread = torch.tensor([each.value for each in found]).std()
    typical = torch.tensor([each.stderr for each in found]).mean()
    assert float(typical) == pytest.approx(float(spread), rel=0.2)


def test_a_code_that_does_not_change_agrees_with_none():
    changes = torch.cat([noise(0, 1, 5).expand(3, 5), torch.zeros(1, 5)])
    assert coherence(changes).value == pytest.approx(0.5)  # three of six pairs agree


def test_a_single_code_has_no_coherence():
    assert math.isnan(coherence(noise(0, 1, 5)).value)
