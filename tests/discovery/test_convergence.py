import pytest
import torch
import torch.nn.functional as F
from analytic import noise

from navbench.basis import DenseBasis
from navbench.discovery.convergence import failed_criteria, recognition_of, training_of
from navbench.discovery.learn import Learned

GOOD = {
    "losses": [1.0, 0.5, 0.3, 0.2, 0.1, 0.06, 0.042, 0.04],
    "control_loss": 0.08,
    "accuracy": 0.97,
    "overlap": 0.01,
    "cosine_to_start": 0.6,
    "advantage": {"start": [0.1, 0.01], "basis": [-0.1, 0.01], "random in basis": [0.2, 0.02]},
}


def advantage(**changes):
    return {"advantage": GOOD["advantage"] | changes}


FAULTS = {
    "accuracy": ({"accuracy": 0.94}, "The held-out accuracy is 0.94, below 0.95."),
    "plateau": ({"losses": [*7 * [0.05], 0.0449]}, "The loss still fell by 10% between the last two eighths."),
    "control": ({"control_loss": 0.04}, "The loss, 0.04, is not below that of the control, 0.04."),
    "overlap": ({"overlap": 0.3}, "Directions overlap by up to 0.30."),
    "start": ({"cosine_to_start": 0.95}, "The rows are at their start: their mean cosine to it is 0.95."),
    "gain": (
        advantage(start=[0.03, 0.01]),
        "Recognition at equal effect is not above that of start by 3 standard errors (+0.030 ± 0.010).",
    ),
    "chance": (
        advantage(**{"random in basis": [-0.2, 0.01]}),
        "Recognition at equal effect is not above that of random in basis by 3 standard errors (-0.200 ± 0.010).",
    ),
}


def test_a_set_that_meets_every_criterion_fails_none():
    assert failed_criteria(GOOD, 16) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_criterion_fails_for_its_own_reason(fault):
    change, sentence = FAULTS[fault]
    assert failed_criteria(GOOD | change, 16) == [sentence]


def test_more_than_sixteen_directions_may_be_recognised_less_often():
    assert failed_criteria(GOOD | {"accuracy": 0.92}, 17) == []
    assert failed_criteria(GOOD | {"accuracy": 0.89}, 17) == ["The held-out accuracy is 0.89, below 0.9."]


def test_a_loss_that_rises_is_on_its_plateau():
    assert failed_criteria(GOOD | {"losses": [*7 * [0.04], 0.05]}, 16) == []


def test_a_loss_of_zero_as_plans_have_it_is_on_its_plateau():
    assert failed_criteria(GOOD | {"losses": 8 * [0.0]}, 16) == []


def test_numbers_that_are_not_finite_fail():
    nan = float("nan")
    assert len(failed_criteria(GOOD | {"accuracy": nan, "overlap": nan, "cosine_to_start": nan}, 16)) == 3
    assert len(failed_criteria(GOOD | {"control_loss": nan}, 16)) == 1
    assert len(failed_criteria(GOOD | advantage(start=[nan, nan]), 16)) == 1


def learned(rows, losses, accuracy=1.0):
    curve = torch.tensor(losses, dtype=torch.float64)[:, None].expand(-1, 2)
    error = torch.zeros((), dtype=torch.float64)
    return Learned(rows, torch.full((len(rows),), accuracy), error, curve, torch.tensor(3), error)


def test_the_cosine_to_the_start_is_that_of_each_row_to_its_own_whatever_its_sign():
    start, basis = torch.eye(3), DenseBasis(torch.eye(3))
    rows = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [0.0, -0.8, 0.6]])
    told = training_of(learned(rows, [1.0]), learned(rows, [1.0]), learned(start, [1.0]), start, basis)
    assert told["cosine_to_start"] == pytest.approx((1 + 0.6 + 0.6) / 3)
    assert told["largest_cosine_to_start"] == 1
    assert told["overlap"] == pytest.approx(0, abs=1e-6)


def test_the_overlap_is_that_of_offsets_not_of_coefficients():
    basis = DenseBasis(torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
    told = training_of(*3 * [learned(torch.eye(2), [1.0])], torch.eye(2), basis)
    assert told["overlap"] == pytest.approx(0.6)


def test_a_training_is_told_by_the_loss_of_its_eighths_and_of_its_control():
    rows = F.normalize(noise(0, 2, 4), dim=1)
    ours, control = learned(rows, list(range(16, 0, -1)), 0.75), learned(rows, 16 * [7], 0.5)
    fresh = learned(rows, 16 * [3], 0.625)
    told = training_of(ours, fresh, control, rows, DenseBasis(torch.eye(4)))
    assert told["losses"] == [15.5 - 2 * index for index in range(8)]
    assert (told["control_loss"], told["accuracy"], told["control_accuracy"]) == (7, 0.75, 0.5)
    assert (told["fresh_loss"], told["fresh_accuracy"]) == (3, 0.625)
    assert told["released"] == 3


def test_advantages_are_paired_over_codes():
    shares = noise(0, 50).double()
    told = recognition_of({"learned": shares + 0.1, "start": shares, "basis": shares.flip(0)})
    assert told["recognition"]["learned"] == pytest.approx(told["recognition"]["start"] + 0.1)
    difference, stderr = told["advantage"]["start"]
    assert (difference, stderr) == (pytest.approx(0.1), pytest.approx(0, abs=1e-12))
    assert told["advantage"]["basis"][1] > 0.1
