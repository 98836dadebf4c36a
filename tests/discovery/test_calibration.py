import math
from dataclasses import replace

import pytest
import torch
from analytic import Curved, LinearGenerator, Quadratic, noise, unit, wrapped
from hypothesis import given
from hypothesis import strategies as st

from navbench import spaces
from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.discovery.calibration import LARGEST, STEPS, EffectMeter, calibrate, nearest_root
from navbench.errors import Failure
from navbench.work import Unstored

LINEAR = LinearGenerator(latent_dim=3, side=4)
CODES = LINEAR.sample(range(6), seed=1)
PIXELS = 48


class Exponential:
    """The distance |exp(x) - exp(y)|^2: steep upwards and bounded downwards."""

    name = "exponential"

    def features(self, images):
        return images.flatten(1).exp()


def meter(distance, generator=LINEAR, batch=4):
    return EffectMeter(spaces.create(generator, "parameter", "map"), distance, CODES, Compute(batch=batch))


def ends(made, directions, target, guess=1.0):
    """t_min (K,) and t_max (K,) of directions (K, ...), each calibrated from one guess."""
    basis = DenseBasis(directions)
    every = [calibrate(made, basis, row, target, guess) for row in torch.eye(basis.count)]
    return torch.stack([each.t_min for each in every]), torch.stack([each.t_max for each in every])


def dark():
    """A linear generator whose images are zero, so that an edit is all that there is to see."""
    generator = LinearGenerator(latent_dim=3, side=4)
    generator.map.weight.zero_()
    return generator


UPWARDS = LINEAR.row(3, torch.full((3, 4, 4), PIXELS**-0.5))  # t / sqrt(48) is added to all pixels of all images


def test_the_effect_of_a_linear_edit_is_quadratic_in_the_shift():
    offset = unit(noise(0, *LINEAR.map.weight.shape))
    exact = LINEAR.hessian(CODES) / 2
    curvature = float(offset.flatten().double() @ exact @ offset.flatten().double())
    for t in (-3.0, 0.1, 7.0):
        assert meter(Quadratic()).effect(t * offset) == pytest.approx(curvature * t * t, rel=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 6, 64])
def test_an_effect_does_not_depend_on_the_batch(batch):
    offset = noise(0, *LINEAR.map.weight.shape)
    expected = meter(Exponential()).effect(0.1 * offset)
    assert meter(Exponential(), batch=batch).effect(0.1 * offset) == pytest.approx(expected, rel=1e-5)


def test_the_unshifted_generator_has_no_effect():
    assert meter(Exponential()).effect(torch.zeros(LINEAR.map.weight.shape)) == 0


@given(st.floats(1e-3, 1e3), st.floats(1e-3, LARGEST), st.sampled_from([-1, 1]))
def test_a_quadratic_effect_is_reached_at_the_root_of_its_curvature(target, guess, sign):
    found = meter(Quadratic()).reach(UPWARDS, target, sign * guess)
    assert found == pytest.approx(sign * math.sqrt(target), rel=0.01)


def test_the_first_guess_needs_one_correction_on_a_quadratic_effect():
    made = meter(Quadratic())
    effect, tried = made.effect, []
    object.__setattr__(made, "effect", lambda offset: tried.append(float(offset.norm())) or effect(offset))
    made.reach(UPWARDS, 9.0, 1.0)
    assert tried == pytest.approx([1, 3], rel=1e-3)


def test_of_an_effect_that_jumps_over_the_target_the_nearest_try_is_taken():
    made, tried = meter(Quadratic()), []

    def jumping(offset):
        t = float(offset.norm())
        tried.append(t)
        return t * t * (0.5 if t < 2 else 10.0)

    object.__setattr__(made, "effect", jumping)
    found = made.reach(UPWARDS, 3.0, 1.0)
    assert found == pytest.approx(max(t for t in tried if t < 2), rel=1e-6)
    assert found > 1.99
    assert len(tried) < 2 * STEPS


@given(st.floats(-2, 2), st.sampled_from([0.1, 1e-3, 1e-6]))
def test_a_root_is_found_within_the_accuracy_in_few_steps(root, accuracy):
    tried = []
    found = nearest_root(lambda x: tried.append(x) or math.sinh(x - root), -3.0, 4.0, accuracy)
    assert abs(math.sinh(found - root)) <= accuracy
    assert len(tried) <= 14


@given(st.floats(-0.9, 0.9), st.floats(0.1, 1), st.floats(0.1, 1))
def test_of_a_jump_over_zero_the_nearest_try_is_taken(root, below, above):
    found = nearest_root(lambda x: -below if x < root else above, -1.0, 1.0, 0.01)
    assert (found < root) == (below <= above)


@pytest.mark.parametrize("target", [0.01, 1.0, 20.0])
@pytest.mark.parametrize("guess", [0.01, 1.0, 30.0])
def test_an_asymmetric_effect_has_an_asymmetric_range(target, guess):
    made = meter(Exponential(), dark())
    low, high = ends(made, UPWARDS[None], target, guess)
    for t, sign in ((low, -1), (high, 1)):
        exact = math.sqrt(PIXELS) * math.log(1 + sign * math.sqrt(target / PIXELS))
        assert float(t) == pytest.approx(exact, rel=0.012)
        assert made.effect(float(t) * UPWARDS) == pytest.approx(target, rel=0.011)
    assert -float(low) > float(high)


def test_an_effect_that_saturates_below_the_target_is_cut_where_it_stops_growing():
    low, high = ends(meter(Exponential(), dark()), UPWARDS[None], 2.0 * PIXELS)
    most = 1 - math.sqrt(0.95)  # the effect is (1 - e^u)^2 of 48, where every pixel has moved by u
    assert float(low) == pytest.approx(math.sqrt(PIXELS) * math.log(most), rel=0.02)
    assert float(high) == pytest.approx(math.sqrt(PIXELS) * math.log(1 + math.sqrt(2)), rel=0.012)


def test_a_guess_from_the_end_of_what_is_tried_is_taken_back():
    assert meter(Quadratic()).reach(UPWARDS, 4.0, LARGEST) == pytest.approx(2, rel=0.01)


def test_a_direction_without_effect_stops_at_a_finite_shift():
    blind = Quadratic(torch.eye(PIXELS)[:1])
    edge = LINEAR.row(3, torch.eye(PIXELS)[5].view(3, 4, 4))
    assert [float(t) for t in ends(meter(blind), edge[None], 1.0)] == [-LARGEST, LARGEST]


def test_ranges_do_not_depend_on_the_first_guess():
    generator = wrapped()
    space = spaces.create(generator, "parameter", "wide")
    made = EffectMeter(space, Curved(), generator.sample(range(6), 0), Compute())
    directions = torch.stack([unit(noise(i, *space.shape)) for i in range(3)])
    found = torch.stack(ends(made, directions, 0.5))
    torch.testing.assert_close(found, torch.stack(ends(made, directions, 0.5, guess=50.0)), rtol=0.03, atol=0)
    for low, high, one in zip(*found, directions, strict=True):
        assert float(low) < 0 < float(high)
        assert made.effect(float(low) * one) == pytest.approx(0.5, rel=0.011)
        assert made.effect(float(high) * one) == pytest.approx(0.5, rel=0.011)


def test_images_that_overflow_are_a_failure_that_names_the_generator():
    generator = LinearGenerator(latent_dim=3, side=4)
    generator.map.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(Failure, match="Generator linear made images with NaN"):
        ends(meter(Quadratic(), generator), UPWARDS[None], 1.0)


def test_of_two_ends_the_second_is_sought_from_what_the_first_one_told():
    """An effect of t to the third: the first end is found by its slope, and the second at once, as it is as far."""
    made, tried = meter(Quadratic()), []
    object.__setattr__(made, "effect", lambda offset: tried.append(0) or float(offset.norm()) ** 3)
    basis = DenseBasis(UPWARDS[None])
    found = calibrate(made, basis, torch.ones(1), 8.0)
    assert (float(found.t_min), float(found.t_max)) == pytest.approx((-2.0, 2.0), rel=0.004)
    assert float(found.power) == pytest.approx(3.0, rel=0.01)
    spent = len(tried)
    calibrate(made, basis, torch.ones(1), 1000.0, float(found.t_max), float(found.power))
    assert len(tried) - spent == 3  # a guess, one step by the power, and the other end
    assert spent > 3


def test_a_piece_that_is_made_of_another_needs_a_store():
    whole = calibrate.piece(meter(Quadratic()), DenseBasis(UPWARDS[None]), torch.ones(1), 1.0)
    with pytest.raises(TypeError, match="is a part of another piece, which needs a store"):
        Unstored().results([calibrate.piece(whole, None, None, 1.0)])


def test_a_calibration_is_known_by_all_that_its_range_depends_on():
    class Known(Quadratic):
        cache_key = "known"

    made, basis, coefficients = meter(Known()), DenseBasis(UPWARDS[None]), torch.ones(1)
    other_codes = replace(made, codes=LINEAR.sample(range(6), seed=2))
    other_space = replace(made, space=spaces.create(LINEAR, "z"))
    pieces = [
        calibrate.piece(*given)
        for given in (
            (made, basis, coefficients, 1.0), (made, basis, coefficients, 2.0), (made, basis, coefficients, 1.0, 3.0),
            (made, basis, -coefficients, 1.0), (made, DenseBasis(UPWARDS.flip(1)[None] + 1), coefficients, 1.0),
            (other_codes, basis, coefficients, 1.0), (other_space, basis, coefficients, 1.0),
        )
    ]  # fmt: skip
    assert len({piece.key for piece in pieces}) == len(pieces)
    same = replace(made, compute=Compute(batch=2))
    assert calibrate.piece(same, DenseBasis(UPWARDS[None]), torch.ones(1), 1.0).key == pieces[0].key


@pytest.mark.parametrize("guess", [1e-2, 1.0, 30.0, 1e3])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.97])
def test_where_a_saturated_effect_is_cut_does_not_depend_on_the_guess_or_the_target(guess, share):
    made = meter(Exponential(), dark())
    end = made.reach_by(UPWARDS, PIXELS / share, -guess, 2.0)
    assert end.t == pytest.approx(math.sqrt(PIXELS) * math.log(1 - math.sqrt(0.95)), rel=0.15)
    assert end.effect == pytest.approx(0.95 * PIXELS, rel=0.02)


def test_an_effect_that_grows_slowly_is_not_taken_for_a_saturated_one():
    made = meter(Quadratic())
    object.__setattr__(made, "effect", lambda offset: math.log1p(float(offset.norm())))
    end = made.reach_by(UPWARDS, 8.0, 1.0, 2.0)
    assert end.t == pytest.approx(math.expm1(8.0), rel=0.1)
    assert end.effect == pytest.approx(8.0, rel=0.011)


def test_ends_that_are_short_of_the_effect_are_counted():
    made = meter(Exponential(), dark())
    basis = DenseBasis(UPWARDS[None])
    for target, saturated in ((2.0 * PIXELS, 1), (0.5 * PIXELS, 0)):
        assert calibrate(made, basis, torch.ones(1), target).saturated(target) == saturated
