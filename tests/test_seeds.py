import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from navbench import seeds

PINNED = [[-0.29333901, 1.70383060, 1.53919184], [-1.64887226, 0.68575168, 1.35281730]]

some_seeds = st.integers(0, 2**63 - 1)
some_indices = st.lists(st.integers(0, 2**40), max_size=8)


@given(some_seeds, some_indices, st.sampled_from([(), (3,), (2, 5)]))
def test_a_row_depends_on_its_seed_and_index_only(seed, indices, shape):
    together = seeds.normal(seed, indices, shape)
    assert together.shape == (len(indices), *shape)
    for row, index in zip(together, indices, strict=True):
        assert torch.equal(row, seeds.normal(seed, [index], shape)[0])


@given(some_seeds, st.integers(0, 2**40), st.integers(1, 30), st.integers(1, 30))
def test_more_numbers_of_an_item_begin_with_the_same_ones(seed, index, few, more):
    short, long = sorted((few, few + more))
    assert torch.equal(seeds.normal(seed, [index], (long,))[0, :short], seeds.normal(seed, [index], (short,))[0])


@given(some_seeds, some_seeds, st.integers(0, 99), st.integers(0, 99))
def test_different_seeds_or_indices_share_no_number(seed, other, index, elsewhere):
    numbers = seeds.normal(seed, [index], (200,)).double()
    if (seed, index) == (other, elsewhere):
        elsewhere += 1
    others = seeds.normal(other, [elsewhere], (200,)).double()
    # At float32, a pair of unrelated numbers agrees by chance once in about 10^7.
    assert np.isin(numbers.numpy(), others.numpy()).sum() <= 2


@given(some_seeds, st.text("abc", min_size=1), st.text("abc", min_size=1))
def test_roles_have_seeds_of_their_own(seed, role, other):
    found = seeds.derived(seed, role)
    assert 0 <= found < 2**63
    assert (found == seeds.derived(seed, other)) == (role == other)
    assert found != seeds.derived(seed + 1, role)
    assert found != seed


def test_the_numbers_of_a_seed_are_the_same_in_every_version():
    assert seeds.derived(0, "curve") == 7441454752980792925
    torch.testing.assert_close(seeds.normal(7, [0, 5], (3,)), torch.tensor(PINNED), rtol=0, atol=1e-6)


def test_the_numbers_are_standard_normal_and_independent_of_each_other():
    numbers = seeds.normal(1, range(200), (200,)).double()
    assert abs(float(numbers.mean())) < 4 / 200
    assert abs(float(numbers.var()) - 1) < 4 * math.sqrt(2) / 200
    assert abs(float((numbers.abs() < 1).double().mean()) - math.erf(math.sqrt(0.5))) < 4 * 0.5 / 200
    correlations = torch.corrcoef(numbers)[~torch.eye(200, dtype=torch.bool)]
    assert float(correlations.abs().max()) < 6 / math.sqrt(200)


def test_no_global_random_state_is_read_or_changed():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = seeds.normal(3, range(4), (5,))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    torch.manual_seed(1)
    assert torch.equal(seeds.normal(3, range(4), (5,)), first)
