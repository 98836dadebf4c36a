"""Numbers at one effect, between measured ones."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.interpolation import Point, at_effect, common_effect, on_line, unshifted


def exactly(value):
    return Estimate(value, torch.zeros(4, dtype=torch.float64))


def point(effect, value):
    return Point(exactly(effect), exactly(value))


CURVE = [unshifted(exactly(1.0)), point(0.1, 2.0), point(0.3, 6.0)]


@pytest.mark.parametrize(("effect", "value"), [(0.05, 1.5), (0.1, 2.0), (0.2, 4.0), (0.3, 6.0)])
def test_a_number_lies_on_the_line_between_the_measured_effects(effect, value):
    assert at_effect(CURVE, effect).value == pytest.approx(value)


def test_an_effect_that_a_curve_does_not_reach_has_no_number():
    assert at_effect(CURVE, 0.31) is None


def test_a_curve_that_saturates_counts_where_it_first_reaches_the_effect():
    assert at_effect([*CURVE, point(0.2, 9.0)], 0.25).value == pytest.approx(5.0)


def test_the_error_holds_that_of_the_effect():
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(600):
        codes = torch.randn(2, 40, generator=generator, dtype=torch.float64)
        end = Point(estimate.mean(1.2 + 0.5 * codes[0]), estimate.mean(3 + codes[0] + codes[1]))
        values.append(on_line(unshifted(exactly40(0.5)), end, 1.0))
    spread = float(torch.tensor([each.value for each in values]).std())
    reported = math.sqrt(sum(each.stderr**2 for each in values) / len(values))
    assert reported == pytest.approx(spread, rel=0.1)


def exactly40(value):
    return Estimate(value, torch.zeros(40, dtype=torch.float64))


@given(st.floats(0.2, 5.0), st.floats(0.1, 3.0))
def test_an_increase_that_goes_with_the_effect_is_the_same_whatever_the_range(scale, effect):
    effects = torch.linspace(0.5, 1.5, 7, dtype=torch.float64)
    end = Point(estimate.mean(scale * effects), estimate.mean(3 * scale * effects))
    found = on_line(unshifted(Estimate(0.0, torch.zeros(7, dtype=torch.float64))), end, effect)
    assert found.value == pytest.approx(3 * effect)
    assert found.stderr == pytest.approx(0, abs=1e-12)


def test_directions_without_an_effect_do_not_move_that_of_the_comparison():
    alive = [0.1 + 0.01 * k for k in range(10)]
    assert common_effect([*alive, 0.0, 0.0, 0.0], None) == common_effect(alive, None) == pytest.approx(0.11)
    assert common_effect([*alive, 0.0], 0.05) == 0.05
    assert common_effect([0.0, 0.0], 0.1) is None
    assert common_effect([], 0.1) is None
