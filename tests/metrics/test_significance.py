"""The one rule of significance, beside known p-values and what Holm's adjustment promises."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from navbench.metrics.estimate import Estimate
from navbench.metrics.significance import LEVEL, Test, decided

tests = st.builds(
    Test,
    value=st.floats(-20, 20),
    stderr=st.floats(0.1, 5),
    freedom=st.integers(1, 200).map(float),
)


def test_one_difference_alone_is_students_t():
    values = [1.2, -0.4, 2.0, 0.0, 3.1]
    estimate = Estimate(1.18, torch.tensor([value - 1.18 for value in values], dtype=torch.float64))
    (found,) = decided([Test.of(estimate)])
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-12)


def test_a_family_is_adjusted_after_holm():
    """Raw p of .01, .04, .03 and .005, the example of the step-down: .03, .06, .06 and .02."""
    raw = [0.01, 0.04, 0.03, 0.005]
    family = [Test(float(stats.t.isf(p / 2, 30)), 1.0, 30) for p in raw]
    assert [each.p for each in decided(family)] == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-9)
    assert [each.decided for each in decided(family)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("value", "stderr"), [(0.0, 1.0), (5.0, 0.0), (5.0, math.nan), (math.nan, 1.0), (0.0, 0.0), (math.nan, math.nan)]
)
def test_nothing_is_decided_where_nothing_is_known(value, stderr):
    (found,) = decided([Test(value, stderr, 10)])
    assert (found.p, found.decided) == (1.0, False)


def test_a_difference_that_was_never_made_costs_the_others_nothing():
    clear = Test(2.5, 1.0, 100)
    alone, with_none = decided([clear])[0], decided([Test(math.nan, 1.0, 10), clear])[1]
    assert alone.p == with_none.p < LEVEL
    assert decided([Test(0.0, 1.0, 10), clear])[1].p == pytest.approx(2 * alone.p)


def test_a_second_source_of_error_is_added_in_squares():
    estimate = Estimate(1.0, torch.tensor([3.0, -3.0, 1.0, -1.0], dtype=torch.float64))
    assert Test.of(estimate, 4.0).stderr == pytest.approx(math.hypot(estimate.stderr, 4.0))
    assert Test.of(estimate).freedom == 3


def test_an_empty_family_decides_nothing():
    assert decided([]) == []


@given(st.lists(tests, min_size=1, max_size=12), st.randoms())
def test_the_order_of_a_family_does_not_matter(family, random):
    order = list(range(len(family)))
    random.shuffle(order)
    found, shuffled = decided(family), decided([family[index] for index in order])
    assert [shuffled[order.index(index)].p for index in range(len(family))] == pytest.approx([each.p for each in found])


@given(st.lists(tests, min_size=1, max_size=12))
def test_p_is_never_below_that_of_a_test_alone_nor_above_bonferronis(family):
    for test, found in zip(family, decided(family), strict=True):
        alone = decided([test])[0].p
        assert alone - 1e-15 <= found.p <= min(1.0, alone * len(family)) + 1e-15
