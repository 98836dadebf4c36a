"""Attributes on scores whose movement is known, and scorers that are refused."""

import sys
from types import ModuleType

import pytest
import torch
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn

from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.metrics.attributes import Attribute, Scorer, changes, create_scorer, index_of, movement, verdict

SHIFTS = [-2.0, -1.0, 0.0, 1.0, 2.0]
ZERO = 2
PLAIN = tuple(Attribute(name, "px", 1.0) for name in ("width", "height", "depth", "tone"))
TURN = (Attribute("angle", "degrees", 360 / 12**0.5, period=360.0),)


def moving(*slopes: float, codes: int = 50, error: float = 0.0) -> Tensor:
    """Scores (5, codes, A) that rise by each slope per unit of t from where each code is, read with an error."""
    start = noise(0, 1, codes, len(slopes)).double()
    line = torch.tensor(SHIFTS, dtype=torch.float64).view(-1, 1, 1) * torch.tensor(slopes, dtype=torch.float64)
    return start + line + error * noise(1, len(SHIFTS), codes, len(slopes))


def judged(scores: Tensor, attributes=PLAIN):
    return verdict(movement(scores, SHIFTS, attributes), attributes)


# --- changes


def test_a_change_is_the_difference_from_the_unshifted_score():
    scores = noise(0, 5, 7, 4)
    found = changes(scores, ZERO, PLAIN)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, scores.double() - scores[ZERO].double())
    assert (found[ZERO] == 0).all()


@given(
    st.lists(st.floats(-179, 179), min_size=1, max_size=8),
    st.floats(-720, 720),
    st.integers(0, 8),
)
def test_steps_of_less_than_half_a_turn_are_followed_however_often_they_wrap(steps, start, zero):
    path = torch.tensor([start, *steps], dtype=torch.float64).cumsum(0)
    zero = min(zero, len(steps))
    found = changes((path % 360).view(-1, 1, 1), zero, TURN)
    torch.testing.assert_close(found.flatten(), path - path[zero], rtol=0, atol=1e-6)


def test_an_angle_that_crosses_its_seam_moves_the_short_way():
    scores = torch.tensor([340.0, 350.0, 0.0, 10.0, 20.0]).view(-1, 1, 1)
    assert changes(scores, ZERO, TURN).flatten().tolist() == [-20, -10, 0, 10, 20]


def test_only_circular_attributes_wrap():
    both = (TURN[0], Attribute("length", "px", 1.0))
    scores = torch.tensor([[350.0, 350.0], [10.0, 10.0]]).view(2, 1, 2)
    assert changes(scores, 0, both)[1, 0].tolist() == [20, -340]


# --- movement


def test_a_known_slope_is_found_in_units_and_in_sigmas():
    attributes = (Attribute("a", "px", 0.5), Attribute("b", "px", 4.0), Attribute("c", "px", 1.0))
    found = movement(moving(0.25, -1.0, 0.0), SHIFTS, attributes)
    assert [each.value for each in found.change] == pytest.approx([1, -4, 0], abs=1e-9)
    assert [each.stderr for each in found.change] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.standardised.tolist() == pytest.approx([2, -1, 0], abs=1e-9)
    assert found.magnitude.tolist() == pytest.approx([2, 1, 0], abs=1e-9)
    assert found.share.tolist() == pytest.approx([4 / 5, 1 / 5, 0], abs=1e-9)
    assert found.consistency.tolist() == pytest.approx([1, 1, 0], abs=1e-9)
    assert found.monotonicity.tolist() == pytest.approx([1, -1, 0], abs=1e-9)
    assert found.dominant == 0


def test_dependency_is_the_mean_of_the_others_over_the_dominant():
    found = movement(moving(0.5, -0.125, 0.0625, 0.0625), SHIFTS, PLAIN)
    assert found.dependency == pytest.approx((0.5 + 0.25 + 0.25) / 3 / 2)


def test_codes_that_change_either_way_have_magnitude_and_no_consistency():
    way = torch.ones(50, dtype=torch.float64)
    way[::2] = -1
    line = torch.tensor(SHIFTS, dtype=torch.float64)
    scores = (line[:, None] * way / 4)[..., None]  # end to end, each changes by +1 or -1
    found = movement(scores, SHIFTS, PLAIN[:1])
    assert found.change[0].value == 0
    assert found.change[0].stderr == pytest.approx(49**-0.5)  # of n values of size 1 and mean 0
    assert (float(found.magnitude[0]), float(found.consistency[0]), float(found.monotonicity[0])) == (1, 0, 0)


def test_three_quarters_of_the_codes_to_one_side_have_consistency_one_half():
    way = torch.tensor([1.0, 1, 1, -1] * 5, dtype=torch.float64)
    scores = (torch.tensor(SHIFTS, dtype=torch.float64)[:, None] * way)[..., None]
    assert float(movement(scores, SHIFTS, PLAIN[:1]).consistency[0]) == pytest.approx(0.5)


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5).filter(lambda values: len(set(values)) > 1))
def test_monotonicity_is_spearmans_rho_with_ties(values):
    scores = torch.tensor(values, dtype=torch.float64).view(-1, 1, 1)
    found = movement(scores, SHIFTS, PLAIN[:1])
    assert float(found.monotonicity[0]) == pytest.approx(spearmanr(SHIFTS, values).statistic, abs=1e-9)


def test_codes_that_do_not_move_pull_the_monotonicity_to_zero():
    scores = moving(1.0, codes=4)
    scores[:, 1:] = scores[ZERO, 1:]
    assert float(movement(scores, SHIFTS, PLAIN[:1]).monotonicity[0]) == pytest.approx(0.25)


def test_a_wheel_is_followed_up_to_half_a_turn_on_either_side():
    angle = (80 * torch.tensor(SHIFTS).view(-1, 1, 1) + noise(0, 1, 20, 1) * 90) % 360
    found = movement(angle, SHIFTS, TURN)
    assert found.change[0].value == pytest.approx(320, abs=1e-3)
    assert float(found.monotonicity[0]) == 1


def test_where_nothing_moves_all_is_zero_and_dependency_unknown():
    found = movement(moving(0.0, 0.0, 0.0, 0.0), SHIFTS, PLAIN)
    for column in (found.standardised, found.magnitude, found.consistency, found.monotonicity, found.share):
        assert column.tolist() == [0, 0, 0, 0]
    assert found.dependency != found.dependency


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=4), st.integers(0, 99))
def test_shares_of_what_moves_sum_to_one(slopes, seed):
    scores = moving(*slopes, codes=6) + noise(seed, len(SHIFTS), 6, len(slopes))
    assert float(movement(scores, SHIFTS, PLAIN[: len(slopes)]).share.sum()) == pytest.approx(1)


def test_the_standard_error_is_that_of_a_mean_over_codes():
    scores = moving(1.0, 0.5, codes=30, error=0.3)
    found = movement(scores, SHIFTS, PLAIN[:2])
    across = scores[-1] - scores[0]
    assert [each.stderr for each in found.change] == pytest.approx((across.std(dim=0) / 30**0.5).tolist())


# --- what movement and verdict do not depend on


MIXED = (*PLAIN[:2], TURN[0])


def mixed(slopes: tuple[float, float, float]) -> Tensor:
    """Scores in `MIXED`, whose slopes are in sigmas per unit of t, and whose angle goes round."""
    spread = [attribute.spread for attribute in MIXED]
    scores = moving(*(slope * size for slope, size in zip(slopes, spread, strict=True)), codes=12, error=0.05)
    scores[..., 2] %= 360
    return scores


def columns(found) -> Tensor:
    return torch.stack([found.standardised, found.magnitude, found.consistency, found.monotonicity, found.share])


SLOPES = st.tuples(*[st.sampled_from([-0.4, -0.1, 0.0, 0.03, 0.2, 0.4])] * 3)


@given(SLOPES, st.lists(st.floats(0.01, 100), min_size=3, max_size=3))
def test_units_change_nothing_but_the_changes_own(slopes, units):
    scores = mixed(slopes)
    other = tuple(
        Attribute(each.name, "another", each.spread * unit, None if each.period is None else each.period * unit)
        for each, unit in zip(MIXED, units, strict=True)
    )
    sizes = torch.tensor(units, dtype=torch.float64)
    found, scaled = movement(scores, SHIFTS, MIXED), movement(scores * sizes, SHIFTS, other)
    torch.testing.assert_close(columns(scaled), columns(found))
    assert verdict(scaled, other) == verdict(found, MIXED)
    for each, own, unit in zip(scaled.change, found.change, units, strict=True):
        assert (each.value, each.stderr) == pytest.approx((unit * own.value, unit * own.stderr), rel=1e-5, abs=1e-9)


@given(SLOPES, st.permutations(range(12)))
def test_the_order_of_codes_changes_nothing(slopes, order):
    scores = mixed(slopes)
    found, other = movement(scores, SHIFTS, MIXED), movement(scores[:, order], SHIFTS, MIXED)
    torch.testing.assert_close(columns(other), columns(found))
    assert verdict(other, MIXED) == verdict(found, MIXED)


@given(SLOPES)
def test_the_opposite_direction_has_the_opposite_sign(slopes):
    scores = mixed(slopes)
    found, other = movement(scores, SHIFTS, MIXED), movement(scores.flip(0), SHIFTS, MIXED)
    sign = torch.tensor([-1.0, 1, 1, -1, 1]).double()[:, None]
    torch.testing.assert_close(columns(other), sign * columns(found))
    here, there = verdict(found, MIXED), verdict(other, MIXED)
    assert (here.kind, here.attribute) == (there.kind, there.attribute)
    assert there.label == here.label.translate(str.maketrans("+-", "-+"))


# --- verdict


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("slope", [0.1, -0.1, 2.0, -2.0])
def test_one_moving_attribute_is_named_with_its_sign(index, slope):
    slopes = [0.0] * 4
    slopes[index] = slope
    found = judged(moving(*slopes, error=0.02))
    assert (found.kind, found.attribute) == ("interpretable", PLAIN[index].name)
    assert found.label == f"{PLAIN[index].name} {'+' if slope > 0 else '-'}"


@pytest.mark.parametrize("second", [1.0, -1.0, 0.97, 0.6])
@pytest.mark.parametrize("error", [0.0, 0.05])
def test_two_attributes_that_move_alike_are_entangled_whatever_the_reading_error(second, error):
    found = judged(moving(1.0, second, 0.0, 0.0, error=error))
    assert (found.kind, found.label) == ("entangled", "")
    assert found.attribute in ("width", "height")


def test_one_attribute_against_many_small_ones_is_entangled():
    many = tuple(Attribute(f"no. {number}", "px", 1.0) for number in range(7))
    assert judged(moving(1.0, *[0.45] * 6), many).kind == "entangled"  # 6 * 0.45**2 > 1


def test_many_attributes_that_only_a_reading_error_moves_do_not_hide_the_one_that_moves():
    many = tuple(Attribute(f"no. {number}", "px", 1.0) for number in range(30))
    assert judged(moving(0.25, *[0.0] * 29, error=0.1), many).label == "no. 0 +"


def test_side_effects_below_the_thresholds_do_not_spoil_a_direction():
    assert judged(moving(1.0, 0.3, -0.2, 0.1)).label == "width +"


@pytest.mark.parametrize("slopes", [(0.0, 0.0, 0.0, 0.0), (0.06, 0.0, 0.0, 0.0), (0.06, -0.06, 0.06, 0.06)])
@pytest.mark.parametrize("error", [0.0, 0.05])
def test_what_moves_less_than_a_quarter_of_a_sigma_is_nothing(slopes, error):
    found = judged(moving(*slopes, error=error))
    assert (found.kind, found.attribute, found.label) == ("none", "", "")


def test_an_attribute_that_many_codes_change_the_other_way_is_entangled():
    scores = moving(1.0, 0.0, 0.0, 0.0)
    scores[:, :10] = scores.flip(0)[:, :10]  # a fifth of the codes: consistency 0.6
    assert judged(scores).kind == "entangled"


def test_an_attribute_that_goes_to_and_fro_is_entangled():
    path = torch.tensor([0.0, 3.0, 1.0, 0.5, 2.0], dtype=torch.float64).view(-1, 1, 1)  # rho = 0.3
    scores = moving(0.0, 0.0, 0.0, 0.0)
    scores[..., :1] += path
    found = judged(scores)
    assert (found.kind, found.attribute) == ("entangled", "width")


# --- scorers


class Means(nn.Module):
    """Reads the mean of each channel."""

    attributes = tuple(Attribute(name, "", 1.0) for name in ("red", "green", "blue"))

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)) * self.gain


@pytest.fixture
def mine(monkeypatch):
    """A module of the user's own, importable as `mine`."""
    module = ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)
    return module


def reader(attributes=Means.attributes, gain=1.0) -> Scorer:
    network = Means()
    network.attributes = attributes
    network.gain.data *= gain
    return Scorer("means", network, Compute())


def test_a_plain_module_of_ones_own_is_read_in_float32_without_a_graph(mine):
    mine.make = lambda: Means().half().train()
    scorer = create_scorer("mine:make", Compute())
    images = noise(0, 4, 3, 8, 8).clamp(-1, 1)
    scores = scorer(images.double().requires_grad_(True))
    torch.testing.assert_close(scores, images.mean(dim=(2, 3)))
    assert scores.dtype == torch.float32
    assert not scores.requires_grad
    assert scorer.name == "mine:make"


def test_other_weights_are_another_key():
    assert reader().cache_key == reader().cache_key
    assert reader(gain=2.0).cache_key != reader().cache_key


def test_an_attribute_is_found_by_name():
    assert [index_of(reader(), name) for name in ("red", "green", "blue")] == [0, 1, 2]
    with pytest.raises(NavbenchError, match=r"^Unknown attribute of scorer means 'gren'; did you mean 'green'\?$"):
        index_of(reader(), "gren")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused_with_the_attribute_it_is_in(value):
    scorer = reader(gain=torch.tensor([1.0, value, 1.0]))
    with pytest.raises(Failure, match=r"^Scorer means read NaN or infinity for 'green'; .*\.$"):
        scorer(noise(0, 2, 3, 8, 8))


def test_a_wrong_count_is_refused_with_both_numbers():
    with pytest.raises(NavbenchError, match=r"^Scorer means gave \(2, 3\) for 2 images; it names 2 .* \(2, 2\)\.$"):
        reader(Means.attributes[:2])(noise(0, 2, 3, 8, 8))


@pytest.mark.parametrize(
    ("answer", "words"),
    [(lambda x: x.mean(), r"gave \(\)"), (lambda x: x.mean((1, 2, 3)), r"gave \(2,\)"), (lambda x: [x], "gave list")],
)
def test_an_answer_that_is_no_table_is_refused_with_what_it_is(answer, words):
    network = Means()
    network.forward = answer
    with pytest.raises(NavbenchError, match=rf"^Scorer means {words} for 2 images; .* must give \(2, 3\)\.$"):
        Scorer("means", network, Compute())(noise(0, 2, 3, 8, 8))


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        (None, "names no attributes"),
        ((), "names no attributes"),
        (("red",), "names no attributes"),
        ((Attribute("red", "", 1.0), Attribute("red", "", 2.0)), "the attribute 'red' twice"),
        ((Attribute("", "", 1.0),), "without a name"),
        ((Attribute("red", "", 0.0),), "spread and period of 'red'"),
        ((Attribute("red", "", float("nan")),), "spread and period of 'red'"),
        ((Attribute("red", "", 1.0, period=-1.0),), "spread and period of 'red'"),
    ],
)
def test_bad_attributes_are_refused_in_one_sentence(attributes, words):
    with pytest.raises(NavbenchError, match=r"^Scorer means[^\n]*\.$") as caught:
        reader(attributes)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("car", "Unknown attribute scorer 'car'; did you mean 'cars'?"),
        ("nowhere.at.all:make", "module 'nowhere.at.all' cannot be imported"),
        ("mine:absent", "module 'mine' has no 'absent'"),
        ("mine:number", "is a int; it must be an nn.Module"),
    ],
)
def test_what_is_no_scorer_is_refused_with_the_reason(mine, name, words):
    mine.number = lambda: 3
    with pytest.raises(NavbenchError) as caught:
        create_scorer(name, Compute())
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_readings_that_are_mere_noise_do_not_move_the_further_the_more_shifts_there_are():
    def magnitude(count):
        shifts = torch.linspace(-1, 1, count).tolist()
        shifts[count // 2] = 0
        angles = torch.rand(count, 4000, 1, generator=torch.Generator().manual_seed(count)) * 360
        return float(movement(angles, shifts, TURN).magnitude[0])

    assert magnitude(9) == pytest.approx(magnitude(3), rel=0.05)


def test_images_beyond_their_range_are_read_as_they_are_shown():
    images = noise(0, 4, 3, 8, 8) * 2
    torch.testing.assert_close(reader()(images), reader()(images.clamp(-1, 1)))
