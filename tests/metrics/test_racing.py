"""The rule of a race, on synthetic candidates whose true values are known."""

import math

import pytest
import torch
from scipy.stats import norm

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.racing import CLOSE, KEPT, MISSED, WORSE, at_equal_effect, reaches, standings

TRUE = torch.linspace(0.0, 1.5, 16, dtype=torch.float64)
"""Of each candidate; number 0 is the best."""
NOISE = 2.0
"""The standard deviation of a code's own value of a candidate; a second one, ten times as large, is shared by all."""
STAGES = ((32, 6), (128, 2))
RACES = 400


def measured(candidates, codes, generator):
    """An estimate per candidate, on the same codes, whose difficulty all of them share."""
    shared = 10 * NOISE * torch.randn(codes, generator=generator, dtype=torch.float64)
    own = NOISE * torch.randn(len(candidates), codes, generator=generator, dtype=torch.float64)
    return {str(k): estimate.mean(TRUE[k] + own[row] + shared) for row, k in enumerate(candidates)}


def race(generator):
    """Of each stage the candidates that go on, and of those the values by which they were chosen, less the mean."""
    left, stages = list(range(len(TRUE))), []
    for codes, keep in STAGES:
        values = measured(left, codes, generator)
        kept = [standing for standing in standings(values, keep) if standing.kept]
        left = [int(standing.name) for standing in kept]
        average = sum(value.value for value in values.values()) / len(values)
        stages.append((left, [standing.value.value - average for standing in kept]))
    return stages


def least_survival(candidates, codes, keep):
    """A bound from below: the winner is dropped only if `keep` others look better, and so many expectedly do."""
    stderr = NOISE * math.sqrt(2 / codes)  # of a paired difference
    looks_better = sum(norm.sf(float(TRUE[k] - TRUE[0]) / stderr) for k in candidates if k != 0)
    return 1 - looks_better / keep


@pytest.fixture(scope="module")
def races():
    generator = torch.Generator().manual_seed(0)
    return [race(generator) for _ in range(RACES)]


def test_the_winner_survives_as_often_as_the_noise_allows(races):
    first = sum(0 in stages[0][0] for stages in races)
    both = sum(0 in stages[1][0] for stages in races)
    bounds = least_survival(range(16), *STAGES[0]), least_survival(range(6), *STAGES[1])
    rates = first / RACES, both / first
    print(
        "survival by stage", *(f"{rate:.3f} (at least {bound:.3f})" for rate, bound in zip(rates, bounds, strict=True))
    )
    for rate, bound, count in zip(rates, bounds, (RACES, first), strict=True):
        assert bound > 0.5  # it says something
        assert rate >= bound - 3 * math.sqrt(bound * (1 - bound) / count)


def test_the_race_beats_the_same_effort_spent_on_few_candidates_at_random(races):
    survived = sum(0 in stages[1][0] for stages in races) / RACES
    assert survived > 3 * 2 / len(TRUE)


def test_the_shared_difficulty_of_codes_drops_nobody():
    generator = torch.Generator().manual_seed(1)
    values = measured(range(16), 4096, generator)
    spread = torch.tensor([value.stderr for value in values.values()])
    assert spread.min() > 3 * 0.1  # each alone is more uncertain than three steps between neighbours
    assert [standing.name for standing in standings(values, 3)[:3]] == ["0", "1", "2"]


def test_the_chosen_look_better_than_they_are_and_on_codes_of_their_own_do_not(races):
    """The winner's curse: in the stage that chose them, but not in the next, which has other codes."""
    generator = torch.Generator().manual_seed(2)
    old, new = [], []
    for stages in races:
        left, chosen_by = stages[0]
        true = TRUE[left]
        old.append(float(torch.tensor(chosen_by).mean() - (true.mean() - TRUE.mean())))
        values = [value.value for value in measured(left, STAGES[0][0], generator).values()]
        everyone = 10 * NOISE / math.sqrt(STAGES[0][0])  # what the shared difficulty does to a mean
        new.append(float(torch.tensor(values).mean() - true.mean()) / everyone)
    old, new = torch.tensor(old), torch.tensor(new)
    assert old.mean() < -5 * old.std() / RACES**0.5
    assert abs(new.mean()) < 3 * new.std() / RACES**0.5


# --- the rule ----------------------------------------------------------------------------------------------------


def exact(value, n=50):
    """An estimate whose codes hardly differ."""
    return Estimate(value, 1e-6 * torch.linspace(-1, 1, n, dtype=torch.float64))


def test_the_best_go_on_and_the_others_are_told_apart_by_significance():
    far = Estimate(5.0, torch.linspace(-0.1, 0.1, 50).double())
    near = Estimate(1.01, torch.linspace(-9, 9, 50).double())
    stands = standings({"far": far, "near": near, "first": exact(0.0), "second": exact(1.0), "none": None}, 2)
    assert [(each.name, each.rank, each.rule) for each in stands] == [
        ("first", 1, KEPT), ("second", 2, KEPT), ("near", 3, CLOSE), ("far", 4, WORSE), ("none", None, MISSED),
    ]  # fmt: skip


def test_equal_candidates_are_hardly_ever_called_significantly_worse():
    """Although the one they are compared with was chosen among them by the same values."""
    generator, worse = torch.Generator().manual_seed(3), 0
    for _ in range(200):
        noise = torch.randn(16, 64, generator=generator, dtype=torch.float64)
        values = {str(k): estimate.mean(row) for k, row in enumerate(noise)}
        worse += any(each.rule == WORSE for each in standings(values, 1))
    assert worse <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5


def test_all_go_on_where_there_are_no_more_than_are_kept():
    assert all(each.kept for each in standings({"a": exact(1.0), "b": exact(0.0)}, 2))


def test_nobody_goes_on_who_could_not_be_compared():
    assert [each.kept for each in standings({"a": None, "b": None}, 1)] == [False, False]


def test_the_order_of_the_candidates_decides_nothing():
    values = {"a": exact(3.0), "b": exact(1.0), "c": exact(2.0)}
    turned = dict(reversed(values.items()))
    assert [each.name for each in standings(values, 1)] == [each.name for each in standings(turned, 1)]


def test_an_increase_that_goes_with_the_effect_is_the_same_at_equal_effect_whatever_the_range():
    effects = torch.rand(64, generator=torch.Generator().manual_seed(0)).double() + 0.5
    both = [at_equal_effect(estimate.mean(3 * c * effects), estimate.mean(c * effects), 0.2) for c in (1.0, 2.5)]
    assert [each.value for each in both] == pytest.approx([0.6, 0.6])
    assert max(each.stderr for each in both) < 1e-12


def test_an_effect_that_is_short_by_chance_is_not_called_missed():
    few = estimate.mean(torch.tensor([0.05, 0.15, 0.05, 0.15]).double())
    many = estimate.mean(torch.tensor([0.05, 0.15] * 500).double())
    assert reaches(few, 0.15, 0.05)
    assert not reaches(many, 0.15, 0.05)
