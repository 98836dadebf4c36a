"""What is drawn is what the factors say: lengths and areas in pixels, colours by their hue."""

import colorsys
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from navbench.errors import NavbenchError
from navbench.testbed import cars

SEED = 7
CARS = st.integers(0, 10_000).map(lambda index: cars.sample([index], SEED))
"""Cars of the distribution, (1, 13)."""
FEW = settings(max_examples=25, deadline=None)
CELLS = torch.arange(cars.RESOLUTION) + 0.5


def place(name):
    return cars.NAMES.index(name)


def value(car, name):
    return float(car[0, place(name)])


def changed(car, **values):
    """The car with other values of some factors, '_' standing for a space in their names."""
    car = car.clone()
    for name, number in values.items():
        car[:, place(name.replace("_", " "))] = number
    return car


def part(car, name):
    """How much of each pixel shows the part, (64, 64)."""
    return cars.parts(car)[0, cars.PARTS.index(name)].double()


# --- shapes


@FEW
@given(CARS)
def test_the_wheels_have_the_area_of_two_circles(car):
    assert float(part(car, "wheels").sum()) == pytest.approx(2 * math.pi * value(car, "wheel radius") ** 2, rel=0.03)


@FEW
@given(CARS)
def test_the_middles_of_the_wheels_are_a_wheelbase_apart(car):
    wheels = part(car, "wheels")
    middles = [float((half.sum(0) * x).sum() / half.sum()) for half, x in _halves(wheels)]
    assert middles[1] - middles[0] == pytest.approx(value(car, "wheelbase"), abs=0.1)


def _halves(plane):
    half = cars.RESOLUTION // 2
    return ((plane[:, :half], CELLS[:half]), (plane[:, half:], CELLS[half:]))


@FEW
@given(CARS)
def test_the_wheels_stand_on_the_ground(car):
    wheels = part(car, "wheels")
    height = float((wheels.sum(1) * CELLS).sum() / wheels.sum())
    assert cars.GROUND - height == pytest.approx(value(car, "wheel radius"), abs=0.1)


@FEW
@given(CARS)
def test_the_body_ends_at_the_ride_height_and_is_as_high_as_its_factor(car):
    # Small wheels far apart leave the middle column free, and so does a cabin that is as low as it gets.
    car = changed(car, wheel_radius=4.5, wheelbase=30, cabin_position=100)
    column = part(car, "body")[:, cars.RESOLUTION // 2]
    assert float(column.sum()) == pytest.approx(value(car, "body height"), abs=0.05)
    bottom = float((column * CELLS).sum() / column.sum()) + value(car, "body height") / 2
    assert cars.GROUND - bottom == pytest.approx(value(car, "ride height"), abs=0.05)


@FEW
@given(CARS)
def test_the_body_is_as_long_as_its_factor(car):
    middle = cars.GROUND - value(car, "ride height") - value(car, "body height") / 2
    car = changed(car, wheel_radius=0, cabin_position=100)
    assert float(part(car, "body")[int(middle)].sum()) == pytest.approx(value(car, "body length"), abs=0.05)


@FEW
@given(CARS)
def test_the_ground_begins_at_the_horizon(car):
    edge = part(car, "ground")[:, 0]  # no car is so long that it reaches the first column
    assert cars.RESOLUTION - float(edge.sum()) == pytest.approx(value(car, "horizon"), abs=1e-4)


@FEW
@given(CARS)
def test_the_cabin_stands_at_its_position_and_is_as_high_as_its_factor(car):
    car = changed(car, wheel_radius=4.5)
    cabin = part(car, "cabin")
    assert float((cabin.sum(0) * CELLS).sum() / cabin.sum()) == pytest.approx(
        cars.CENTRE + value(car, "cabin position"), abs=0.05
    )
    roof = cars.GROUND - value(car, "ride height") - value(car, "body height")
    middle = cabin[: int(roof), int(cars.CENTRE + value(car, "cabin position"))]  # the rows above the body, whole ones
    assert float(middle.sum()) + roof - int(roof) == pytest.approx(value(car, "cabin height"), abs=0.05)


@FEW
@given(CARS)
def test_the_spokes_stand_at_the_rotation_of_the_wheels(car):
    """The phase of what is bright along a circle in the rim, at three periods a turn, is the angle of a spoke."""
    image = cars.render(car)[0].double().mean(0)
    x, y = CELLS.double()[None], CELLS.double()[:, None]
    down = y - cars.GROUND + value(car, "wheel radius")
    for side in (-0.5, 0.5):
        across = x - cars.CENTRE - side * value(car, "wheelbase")
        ring = torch.hypot(across, down) < 0.6 * value(car, "wheel radius")
        angle = torch.atan2(down.expand(64, 64), across.expand(64, 64))[ring]
        bright = torch.complex(image[ring], torch.zeros_like(image[ring])) * torch.exp(3j * angle)
        away = math.degrees(float(bright.sum().angle()) / 3) - value(car, "wheel rotation")
        assert min(away % 120, -away % 120) < 6


@FEW
@given(CARS)
def test_parts_are_shares_that_sum_to_one(car):
    shares = cars.parts(car)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert torch.allclose(shares.sum(1), torch.ones(1, 64, 64), atol=1e-5)


# --- colours


@FEW
@given(CARS)
def test_the_paint_has_the_hue_and_the_lightness_of_its_factors(car):
    car = changed(car, wheel_radius=0, cabin_position=100, sun_side=0)
    row = int(cars.GROUND - value(car, "ride height") - value(car, "body height") / 2)
    pixel = (cars.render(car)[0, :, row, 32].double() + 1) / 2
    light = 1 - 0.012 * (row + 0.5 - 44)  # the body darkens downwards, which keeps the hue
    hue, lightness, saturation = colorsys.rgb_to_hls(*(pixel / light).tolist())
    away = abs(hue * 360 - value(car, "body hue"))
    assert min(away, 360 - away) < 0.5
    assert lightness == pytest.approx(value(car, "body lightness"), abs=2e-3)
    assert saturation == pytest.approx(0.7, abs=0.01)


@FEW
@given(CARS)
def test_circular_factors_wrap(car):
    ends = {"body_hue": 360.0, "wheel_rotation": 120.0}
    for name, end in ends.items():
        first, last = cars.render(changed(car, **{name: 0.0})), cars.render(changed(car, **{name: end}))
        assert torch.allclose(first, last, atol=1e-4), name


@FEW
@given(CARS)
def test_horizon_and_sky_change_no_pixel_that_is_fully_car(car):
    covered = sum(part(car, name) for name in ("body", "cabin", "wheels")) > 1 - 1e-6
    other = changed(car, horizon=20.0, sky_tone=1 - value(car, "sky tone"))
    before, after = cars.render(car)[0], cars.render(other)[0]
    assert covered.sum() > 200
    assert torch.allclose(before[:, covered], after[:, covered], atol=1e-5)
    assert not torch.allclose(before, after, atol=0.05)


@FEW
@given(CARS)
def test_the_sun_stands_at_its_side(car):
    side = 0.6 * value(car, "sun side")  # nearer to the edges the image cuts it
    car = changed(car, sky_tone=1, horizon=46, cabin_height=6, body_height=10)
    lit, dark = cars.render(changed(car, sun_side=side)), cars.render(changed(car, sun_side=-100))
    glow = (lit - dark)[0, 0, :18].double()  # of the rows above every car
    middle = float((glow.sum(0) * CELLS).sum() / glow.sum())
    assert middle == pytest.approx(cars.CENTRE + 28 * side, abs=0.5)


@FEW
@given(CARS)
def test_the_sun_shades_the_paint_and_keeps_its_hue(car):
    car = changed(car, wheel_radius=0, cabin_position=100, body_lightness=0.5, body_length=58)
    row = int(cars.GROUND - value(car, "ride height") - value(car, "body height") / 2)
    hues, lights = [], []
    for column in (16, 48):
        hue, light, _ = colorsys.rgb_to_hls(*((cars.render(car)[0, :, row, column].double() + 1) / 2).tolist())
        away = abs(hue * 360 - value(car, "body hue"))
        hues.append(min(away, 360 - away))
        lights.append(light)
    assert max(hues) < 0.5
    # From column 16 to 48 the light changes by a quarter of the side, per 28 pixels, of the lightness of 0.5.
    assert lights[1] - lights[0] == pytest.approx(0.5 * 0.25 * value(car, "sun side") * 32 / 28, abs=5e-3)


@FEW
@given(CARS, st.sampled_from(["wheel rotation", "body hue", "body lightness"]))
def test_a_factor_of_one_part_changes_nothing_else(car, name):
    own = ("wheels",) if name == "wheel rotation" else ("body", "cabin")
    factor = cars.FACTORS[place(name)]
    other = changed(car, **{name.replace(" ", "_"): (factor.low + factor.high) / 2})
    elsewhere = sum(part(car, each) for each in own) == 0
    before, after = cars.render(car)[0], cars.render(other)[0]
    assert torch.equal(before[:, elsewhere], after[:, elsewhere])


@FEW
@given(CARS)
def test_images_are_in_their_range(car):
    image = cars.render(car)
    assert image.shape == (1, 3, 64, 64)
    assert image.min() >= -1
    assert image.max() <= 1


@pytest.mark.parametrize("factor", cars.FACTORS, ids=cars.NAMES)
def test_every_factor_is_seen_in_the_image(factor):
    car = cars.sample([0], SEED)
    low, high = (factor.low, (factor.low + factor.high) / 2) if factor.circular else (factor.low, factor.high)
    name = factor.name.replace(" ", "_")
    difference = cars.render(changed(car, **{name: low})) - cars.render(changed(car, **{name: high}))
    assert difference.abs().amax() > 0.1


# --- the distribution


def test_a_car_depends_on_its_seed_and_number_only():
    together = cars.sample(range(50), 3)
    assert torch.equal(together[[41, 7]], cars.sample([41, 7], 3))
    assert not torch.equal(together, cars.sample(range(50), 4))
    assert len(together.unique(dim=0)) == 50


def test_the_batch_changes_no_image():
    factors = cars.sample(range(2 * cars.CHUNK + 3), SEED)
    one_by_one = torch.cat([cars.render(factor[None]) for factor in factors])
    assert torch.equal(cars.render(factors), one_by_one)


def test_renderings_are_the_sampled_cars():
    assert torch.equal(cars.renderings([5, 2], SEED), cars.render(cars.sample([5, 2], SEED)))


def test_no_cars_are_no_images():
    assert cars.renderings([], SEED).shape == (0, 3, 64, 64)
    assert cars.parts(cars.sample([], SEED)).shape == (0, 5, 64, 64)


def test_factors_are_uniform_and_independent():
    n = 4000
    factors = cars.sample(range(n), SEED).double()
    low, high = (torch.tensor([getattr(factor, end) for factor in cars.FACTORS]) for end in ("low", "high"))
    shares = (factors - low) / (high - low)
    assert shares.min() >= 0
    assert shares.max() <= 1
    even = torch.arange(1, n + 1) / n
    # Kolmogorov-Smirnov at a level of 1e-4 for each, and four standard errors for each correlation
    assert ((shares.sort(dim=0).values - even[:, None]).abs().amax(0) < 2.3 / n**0.5).all()
    correlations = torch.corrcoef(shares.T) - torch.eye(len(cars.FACTORS))
    assert correlations.abs().max() < 4.5 / n**0.5


# --- what is refused


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("draw", [cars.render, cars.parts])
def test_a_factor_that_is_not_finite_is_refused(draw, bad):
    with pytest.raises(NavbenchError, match="NaN or infinite"):
        draw(changed(cars.sample([0], SEED), horizon=bad))


@pytest.mark.parametrize("shape", [(13,), (1, 12), (1, 13, 1)])
def test_factors_of_another_shape_are_refused(shape):
    with pytest.raises(NavbenchError, match="shape"):
        cars.render(torch.zeros(shape))
