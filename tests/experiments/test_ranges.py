"""Calibration on a generator whose response to a shift is known: images move by t times one image, for all codes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import analytic
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.calibration import (
    LOST,
    REACHED,
    Target,
    by_attribute,
    by_effect,
    check_target,
    parse_target,
)
from navbench.experiments.edit import codes_for
from navbench.metrics.attributes import LEAST_KEPT, Attribute

BRIGHTNESS = Attribute("brightness", "lx", 1.0)


@dataclass
class Reader:
    """A scorer that reads the mean of an image, through a function."""

    through: Callable[[Tensor], Tensor] = lambda mean: mean
    attribute: Attribute = BRIGHTNESS
    name: str = "reader"
    asked: list[int] = field(default_factory=list)

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        return (self.attribute,)

    def __call__(self, images: Tensor) -> Tensor:
        self.asked.append(len(images))
        return self.through(images.mean(dim=(1, 2, 3)))[:, None]


def brightening(ends: tuple[float, float] = (-2.0, 2.0), batch: int = 32):
    """A direction under which every pixel rises by t / 7: its image is constant and of unit norm (48 pixels)."""
    generator = analytic.LinearGenerator()
    offset = generator.row(generator.latent_dim, torch.ones(3, 4, 4))
    return analytic.edit(generator, offset, Compute(batch=batch), layer="map", ends=ends)


PER_SHIFT = 48**-0.5  # the mean of that image


@pytest.mark.parametrize("amount", [0.03, 0.2, 0.7])
def test_an_attribute_that_is_linear_in_t_is_reached_at_its_shift(amount):
    found = by_attribute(brightening(), Reader(), "brightness", amount, codes=5, seed=0)
    assert found.t.tolist() == pytest.approx([-amount / PER_SHIFT, amount / PER_SHIFT], rel=0.006)
    assert found.reached.tolist() == pytest.approx([-amount, amount], rel=0.006)
    assert found.is_reached(Target("brightness", amount)).all()


def test_a_direction_that_cannot_reach_the_target_says_how_far_it_got():
    saturating = Reader(lambda mean: 0.1 * torch.tanh(9 * mean))
    found = by_attribute(brightening(), saturating, "brightness", 0.5, codes=5, seed=0)
    assert not found.is_reached(Target("brightness", 0.5)).any()
    assert (found.reached.abs() < 0.2).all()
    assert found.t[0] < 0 < found.t[1]


def test_the_first_shift_that_reaches_it_is_taken_where_the_attribute_turns_back():
    humped = Reader(lambda mean: torch.sin(4 * mean))
    edit = brightening()
    flat = Reader()
    first = by_attribute(edit, flat, "brightness", 0.1, codes=1, seed=0)
    found = by_attribute(edit, humped, "brightness", 0.2, codes=1, seed=0)
    assert found.t.abs().max() < 4 * first.t.abs().max()
    assert found.reached.abs().tolist() == pytest.approx([0.2, 0.2], rel=0.02)


def test_turns_of_a_circular_attribute_add_up_beyond_one_turn():
    turning = Reader(lambda mean: (10 * mean) % 1.0, Attribute("angle", "turns", 0.29, period=1.0))
    found = by_attribute(brightening(ends=(-0.8, 0.8)), turning, "angle", 1.5, codes=4, seed=0)
    assert found.reached.tolist() == pytest.approx([-1.5, 1.5], rel=0.006)
    assert found.t.tolist() == pytest.approx([-0.15 / PER_SHIFT, 0.15 / PER_SHIFT], rel=0.01)


def test_the_uncertainty_of_the_change_is_that_of_its_mean_over_codes():
    edit, count = brightening(), 9
    found = by_attribute(edit, Reader(lambda mean: mean.square()), "brightness", 0.2, codes=count, seed=3)
    codes = codes_for(edit.space.generator, "calibration", range(count), 3)
    means = edit.space.generator(codes).mean(dim=(1, 2, 3)).double()
    moved = found.t[:, None] * PER_SHIFT  # (m + s)^2 - m^2 = 2 m s + s^2, whose second term all codes share
    stderr = torch.tensor([end.stderr for end in found.at], dtype=torch.float64)
    torch.testing.assert_close(stderr, (2 * means * moved).std(dim=1) / count**0.5, rtol=1e-4, atol=1e-7)


def test_the_batch_size_changes_nothing():
    ranges = [by_attribute(brightening(batch=size), Reader(), "brightness", 0.2, codes=7, seed=1) for size in (1, 3, 7)]
    for other in ranges[1:]:
        torch.testing.assert_close(other.t, ranges[0].t, rtol=1e-4, atol=0)


@given(amount=st.floats(1e-3, 10))
@settings(max_examples=20, deadline=None)
def test_a_quadratic_effect_is_reached_at_the_square_root(amount):
    found = by_effect(brightening(), analytic.Quadratic(), amount, codes=3, seed=0)
    assert found.t.tolist() == pytest.approx([-(amount**0.5), amount**0.5], rel=0.02)
    assert found.is_reached(Target("effect", amount)).all()


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("effect=0.2", Target("effect", 0.2)),
        ("wheel radius=+2px", Target("wheel radius", 2.0, "px")),
        ("wheel radius = -1.5 px", Target("wheel radius", 1.5, "px")),
        ("body hue=30degrees", Target("body hue", 30.0, "degrees")),
        ("sky tone=.5", Target("sky tone", 0.5)),
        ("effect=2e-3", Target("effect", 0.002)),
    ],
)
def test_a_target_reads_as_it_is_written(text, target):
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "effect", "effect=", "=3", "effect=much", "effect=0", "effect=-1", "effect=1px"])
def test_what_is_no_target_is_refused_in_one_sentence(text):
    with pytest.raises(NavbenchError, match=r"^Cannot calibrate to .*\.$"):
        parse_target(text)


def test_an_attribute_that_no_scorer_knows_is_refused():
    with pytest.raises(NavbenchError, match="has no attribute scorer"):
        check_target(Target("brightness", 1.0), None, "faces")
    with pytest.raises(NavbenchError, match="did you mean 'brightness'"):
        check_target(Target("brightnes", 1.0), Reader(), "faces")
    with pytest.raises(NavbenchError, match="measured in lx, not in px"):
        check_target(Target("brightness", 1.0, "px"), Reader(), "faces")
    check_target(Target("effect", 1.0), None, "faces")


@pytest.mark.parametrize(
    ("reached", "quantity", "is_reached"),
    [((2.0, 2.0), "brightness", False), ((2.0, -2.0), "brightness", True), ((2.0, 2.0), "effect", True)],
)
def test_an_attribute_that_goes_the_same_way_at_both_ends_is_reached_at_neither(reached, quantity, is_reached):
    ends = analytic.ranged(*reached)
    assert ends.is_reached(Target(quantity, 2.0)).tolist() == [is_reached, is_reached]


@pytest.mark.parametrize(
    ("reached", "stderr", "t", "statuses"),
    [
        ((-2.0, 2.0), 0.1, 1.0, ("", "")),
        ((2.0, 2.0), 0.1, 1.0, ("same way", "same way")),
        ((0.01, 2.0), 0.1, 1.0, ("no change", "same way")),
        ((-1.0, 2.0), 0.1, 1.0, ("saturated", "")),
        ((-1.0, 2.0), 0.1, 4.0, ("too far", "")),
        ((-0.01, 2.0), 0.1, 4.0, ("no change", "")),
    ],
)
def test_an_end_that_does_not_count_says_why(reached, stderr, t, statuses):
    ends = analytic.ranged(*reached, stderr=stderr)
    ends = replace(ends, t=t * ends.t)
    assert ends.statuses(Target("brightness", 2.0)) == statuses


def test_a_change_that_saturates_is_cut_where_it_stops_growing():
    """0.1 tanh(9 m) of the mean m = t / 7, tried to m = 8 / 7: the cut is near where it has 95 % of 0.1."""
    found = by_attribute(brightening(), Reader(lambda mean: 0.1 * torch.tanh(9 * mean)), "brightness", 0.5, 1, 0)
    assert found.statuses(Target("brightness", 0.5)) == ("saturated", "saturated")
    assert (found.t.abs() < 0.6 * found.limits.abs()).all()


def test_a_change_that_still_grows_is_followed_to_the_largest_shift():
    found = by_attribute(brightening(), Reader(), "brightness", 50.0, codes=5, seed=0)
    assert found.statuses(Target("brightness", 50.0)) == ("too far", "too far")
    torch.testing.assert_close(found.t, found.limits)


def test_the_slope_of_a_change_is_known_at_its_ends():
    found = by_attribute(brightening(), Reader(), "brightness", 0.2, codes=5, seed=0)
    assert found.slopes.tolist() == pytest.approx([PER_SHIFT] * 2, rel=1e-3)


# --- scorers that lose their subject


def unshifted_means(edit, count):
    """The means of the unshifted images of the codes, (count,)."""
    return edit.space.generator(codes_for(edit.space.generator, "calibration", range(count), 0)).mean(dim=(1, 2, 3))


def losing_beyond(edit, bound):
    """A scorer that sees the image of the only code while |t| is at most a bound; it reads t / 7."""
    (start,) = unshifted_means(edit, 1)
    return Reader(lambda mean: torch.where((mean - start).abs() > bound * PER_SHIFT, torch.nan, mean - start))


@pytest.mark.parametrize(
    ("bound", "amount", "t", "status"),
    [(0.5, 1.0, 0.5, LOST), (0.9, 0.8, 0.8, REACHED), (0.02, 1.0, 0.02, LOST), (9.0, 0.8, 0.8, REACHED)],
)
def test_a_range_ends_where_the_subject_is_lost_if_the_target_lies_beyond(bound, amount, t, status):
    edit, target = brightening(ends=(-1.0, 1.0)), Target("brightness", amount * PER_SHIFT)
    found = by_attribute(edit, losing_beyond(edit, bound), "brightness", target.amount, codes=1, seed=0)
    assert found.statuses(target) == (status, status)
    assert found.t.tolist() == pytest.approx([-t, t], rel=0.006)
    assert found.reached.tolist() == pytest.approx([-t * PER_SHIFT, t * PER_SHIFT], rel=0.006)


def test_a_subject_that_no_unshifted_image_shows_is_lost_at_both_ends():
    found = by_attribute(brightening(), Reader(lambda mean: mean * torch.nan), "brightness", 0.1, codes=4, seed=0)
    assert found.statuses(Target("brightness", 0.1)) == (LOST, LOST)
    assert found.t[0] < 0 < found.t[1]


def test_a_change_is_of_nearly_all_codes_that_show_the_subject_unshifted():
    """Images are lost above a mean that a fifth of the codes have unshifted, the more, the brighter they become."""
    edit, count = brightening(), 50
    means = unshifted_means(edit, count)
    bound = means.sort().values[39]
    reader = Reader(lambda mean: torch.where(mean > bound, torch.nan, mean))
    found = by_attribute(edit, reader, "brightness", 0.3, count, 0)
    assert found.statuses(Target("brightness", 0.3)) == (REACHED, LOST)
    low, high = found.counts
    assert (low, high) == (40, LEAST_KEPT * 40)
    assert int((means + float(found.t[1]) * PER_SHIFT <= bound).sum()) == high
