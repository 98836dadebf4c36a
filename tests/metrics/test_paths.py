"""Unevenness of paths whose speed is known."""

import math

import pytest
import torch

from navbench.metrics.paths import path_speed_cv


def test_a_steady_path_is_even_whatever_its_speed_and_its_gaps():
    shifts = [-3.0, -1.0, 0.0, 0.5, 4.0]
    gaps = torch.tensor(shifts).diff()[:, None]
    speeds = torch.tensor([[0.1, 1.0, 30.0]])
    assert torch.allclose(path_speed_cv((speeds * gaps).square(), shifts), torch.zeros(3).double(), atol=1e-6)


def test_a_path_that_moves_in_one_of_four_steps_is_uneven_by_the_root_of_three():
    steps = torch.tensor([[0.0], [0.0], [5.0], [0.0]])
    assert float(path_speed_cv(steps, [-2.0, -1.0, 0.0, 1.0, 2.0])) == pytest.approx(math.sqrt(3))


def test_where_a_jump_is_cut_in_two_nothing_changes():
    whole = path_speed_cv(torch.tensor([[4.0], [16.0]]), [0.0, 1.0, 2.0])
    parts = path_speed_cv(torch.tensor([[1.0], [1.0], [16.0]]), [0.0, 0.5, 1.0, 2.0])
    assert float(whole) == pytest.approx(float(parts))
    assert float(whole) == pytest.approx(1 / 3)  # speeds 2 and 4


def test_a_code_that_does_not_move_has_no_speed():
    assert torch.isnan(path_speed_cv(torch.zeros(2, 1), [-1.0, 0.0, 1.0])).all()
