"""Means of methods, whose error is of directions and of codes."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from navbench.metrics import estimate
from navbench.metrics.levels import Levelled, difference, levelled
from navbench.metrics.significance import decided

DRAWS = 400


def _codes(generator: torch.Generator, n: int, sigma: float = 1.0) -> Tensor:
    return sigma * torch.randn(n, generator=generator, dtype=torch.float64)


def _method(generator: torch.Generator, codes: Tensor, directions: int, sigma_a: float, sigma_e: float) -> Levelled:
    """A method of mean 0, of random directions on given codes, (n,)."""
    own = sigma_a * torch.randn(directions, 1, generator=generator, dtype=torch.float64)
    noise = sigma_e * torch.randn(directions, len(codes), generator=generator, dtype=torch.float64)
    return levelled([estimate.mean(row) for row in own + codes + noise])


@pytest.mark.parametrize(
    ("sigma_a", "sigma_b", "sigma_e"), [(1.0, 1.0, 1.0), (0.05, 2.0, 1.0), (1.0, 0.05, 1.0), (0.5, 0.5, 2.0)]
)
def test_the_error_is_that_of_other_directions_on_other_codes(sigma_a: float, sigma_b: float, sigma_e: float) -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [_method(generator, _codes(generator, 24, sigma_b), 12, sigma_a, sigma_e) for _ in range(DRAWS)]
    truth = math.sqrt(sigma_a**2 / 12 + sigma_b**2 / 24 + sigma_e**2 / (12 * 24))
    reported = math.sqrt(sum(draw.stderr**2 for draw in draws) / DRAWS)
    assert 0.9 <= reported / truth <= 1.15
    covered = sum(not decided([draw.test])[0].decided for draw in draws)  # the mean is 0
    assert 0.90 <= covered / DRAWS <= 0.98


def test_what_codes_do_to_both_methods_cancels_in_their_difference() -> None:
    generator = torch.Generator().manual_seed(1)
    draws = []
    for _ in range(DRAWS):
        codes = _codes(generator, 20, 5.0)
        draws.append(difference(*(_method(generator, codes, count, 0.3, 1.0) for count in (8, 16))))
    truth = math.sqrt((0.3**2 + 1 / 20) * (1 / 8 + 1 / 16))
    assert 0.9 <= math.sqrt(sum(draw.stderr**2 for draw in draws) / DRAWS) / truth <= 1.15


def test_methods_that_are_alike_are_rarely_called_different() -> None:
    generator = torch.Generator().manual_seed(2)
    wrong = 0
    for _ in range(DRAWS):
        codes = _codes(generator, 16)
        methods = [_method(generator, codes, 6, 1.0, 1.0) for _ in range(4)]
        wrong += any(each.decided for each in decided([difference(*pair).test for pair in combinations(methods, 2)]))
    assert wrong / DRAWS <= 0.08  # 0.05, and three standard errors of so few draws


def test_directions_that_differ_are_not_made_certain_by_codes() -> None:
    generator = torch.Generator().manual_seed(3)
    few, many = (_method(generator, _codes(generator, n), 8, 1.0, 1.0) for n in (10, 10_000))
    assert many.stderr_codes < 0.1 * few.stderr_codes
    assert many.stderr > 0.2


def test_of_one_direction_nothing_is_decided() -> None:
    alone = levelled([estimate.mean(torch.arange(10.0))])
    assert alone.value == 4.5
    assert alone.stderr_codes > 0
    assert math.isnan(alone.stderr)
    others = levelled([estimate.mean(torch.arange(10.0) + 100 + k) for k in range(4)])
    assert not decided([difference(alone, others).test])[0].decided


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 1000))
def test_the_whole_error_lies_between_the_greater_level_and_both(directions: int, n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    method = _method(generator, _codes(generator, n), directions, 0.5, 1.0)
    greater = max(method.stderr_codes, method.stderr_directions)
    assert greater <= method.stderr * (1 + 1e-12)
    assert method.stderr <= math.hypot(method.stderr_codes, method.stderr_directions) * (1 + 1e-12)
    assert method.freedom > 0


def test_a_method_does_not_differ_from_itself_by_codes() -> None:
    generator = torch.Generator().manual_seed(4)
    method = _method(generator, _codes(generator, 12), 5, 1.0, 1.0)
    same = difference(method, method)
    assert same.value == 0
    assert same.stderr_codes == 0
