"""DCI and MIG of codes whose relation to the factors is known."""

import numpy as np
import pytest
import torch

from navbench.metrics.disentanglement import MEASURES, disentanglement, mutual_information_gap, one_each

N = 600


def uniform(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def values(code, mixing, noise=0.0):
    """The measures of factors code @ mixing."""
    factors = code @ torch.tensor(mixing)
    measured = disentanglement(code, factors + noise * torch.randn(factors.shape, generator=torch.manual_seed(1)))
    return {name: getattr(measured, name) for name in MEASURES}


IDENTITY = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]


def test_a_coordinate_for_each_factor_has_the_best_of_all_measures():
    for measured in values(uniform(0, N, 3), IDENTITY).values():
        assert measured.value == pytest.approx(1, abs=0.06)


def test_an_even_rotation_of_two_factors_is_informative_and_nothing_else():
    found = values(uniform(0, N, 2), [[1.0, 1.0], [1.0, -1.0]])
    assert found["informativeness"].value > 0.99
    for name in ("disentanglement", "completeness", "mig"):
        assert found[name].value == pytest.approx(0, abs=0.05)


def test_one_coordinate_of_all_factors_is_complete_and_not_disentangled():
    found = values(uniform(0, N, 3), [[1.0, 1.0, 1.0], [0, 0, 0], [0, 0, 0]])
    assert found["completeness"].value == pytest.approx(1, abs=0.05)
    assert found["disentanglement"].value == pytest.approx(0, abs=0.05)
    assert found["mig"].value > 0.85


def test_several_coordinates_of_one_factor_are_disentangled_and_not_complete():
    found = values(uniform(0, N, 4), [[1.0, 0], [1.0, 0], [0, 1.0], [0, 1.0]])
    assert found["disentanglement"].value == pytest.approx(1, abs=0.05)
    assert found["completeness"].value == pytest.approx(1 - np.log(2) / np.log(4), abs=0.05)


def test_informativeness_is_the_share_of_the_variance_that_the_code_explains():
    found = values(uniform(0, 3000, 2), [[1.0, 0], [0, 1.0]], noise=1.0)
    assert found["informativeness"].value == pytest.approx((1 / 3) / (1 + 1 / 3), abs=0.03)


def test_a_factor_counts_by_how_far_it_moves():
    """A coordinate that moves one factor much and another hardly is of one factor."""
    small = values(uniform(0, N, 2), [[1.0, 0.01], [0, 0.0]])
    assert small["disentanglement"].value > 0.9
    assert values(uniform(0, N, 2), [[1.0, 1.0], [0, 0.0]])["disentanglement"].value < 0.05


def test_measures_do_not_depend_on_the_order_and_signs_of_coordinates():
    code, mixing = uniform(0, N, 3), torch.tensor([[1.0, 0.2, 0], [0, 1.0, 0.5], [0.3, 0, 1.0]])
    factors = code @ mixing
    one = disentanglement(code, factors)
    other = disentanglement(code[:, [2, 0, 1]] * torch.tensor([1.0, -3.0, 0.5]), factors)
    for name in MEASURES[:3]:
        assert getattr(one, name).value == pytest.approx(getattr(other, name).value, abs=1e-3)


def test_a_factor_that_never_changes_has_no_part():
    code = uniform(0, N, 2)
    with_constant = disentanglement(code, torch.cat([code, torch.full((N, 1), 3.0)], dim=1))
    without = disentanglement(code, code)
    for name in MEASURES:
        assert getattr(with_constant, name).value == pytest.approx(getattr(without, name).value)
    assert with_constant.importance.shape == (2, 3)
    assert not with_constant.importance[:, 2].any()


def test_the_standard_error_is_the_spread_over_draws():
    mixing = torch.tensor([[1.0, 0.4], [0.3, 1.0]])
    draws = [disentanglement(code, code @ mixing + uniform(100 + seed, 150, 2))
             for seed in range(16) for code in [uniform(seed, 150, 2)]]  # fmt: skip
    for name in ("disentanglement", "informativeness"):
        spread = np.std([getattr(draw, name).value for draw in draws], ddof=1)
        told = np.mean([getattr(draw, name).stderr for draw in draws])
        assert 0.55 < told / spread < 1.7  # sixteen draws know a spread to a fifth


def test_concentrations_are_those_of_the_formula():
    importance = np.array([[3.0, 1.0], [0.0, 0.0], [0.0, 4.0]])
    entropy = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert one_each(importance) == pytest.approx((4 * (1 - entropy) + 4 * 1) / 8)
    assert np.isnan(one_each(0 * importance))


def test_the_gap_is_between_the_first_and_the_second_coordinate():
    code = uniform(0, 5000, 2).numpy()
    twice = np.stack([code[:, 0], code[:, 0], code[:, 1]], axis=1)
    assert mutual_information_gap(twice, code[:, :1], 8) == pytest.approx(0, abs=1e-9)
    assert mutual_information_gap(code, code[:, :1], 8) == pytest.approx(1, abs=0.01)


def test_the_gap_leaves_out_factors_whose_values_share_a_bin():
    generator = np.random.default_rng(0)
    code = generator.normal(size=(200, 3))
    tied = np.where(np.arange(200) == 7, 0.0, 1.0)
    both = mutual_information_gap(code, np.stack([code[:, 0], tied], axis=1), bins=10)
    assert both == mutual_information_gap(code, code[:, :1], bins=10)
    assert np.isnan(mutual_information_gap(code, tied[:, None], bins=10))
