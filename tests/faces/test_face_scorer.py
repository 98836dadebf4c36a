"""The scorer of faces: known answers of its geometry, and of images whose change is known."""

import math
from pathlib import Path

import pytest
import torch

from navbench.faces import card, geometry, scorer, shape
from navbench.faces.colour import lab
from navbench.faces.scorer import LEAST_RELIABILITY, READINGS, FacesScorer, faces
from navbench.faces.warps import WARPS
from navbench.generators.dcgan import faces as generator

NAMES = [reading.attribute.name for reading in READINGS]
SPREADS = torch.tensor([reading.attribute.spread for reading in READINGS])
SAMPLES = 12


def turned(points, yaw=0.0, pitch=0.0, roll=0.0):
    """Points (L, 3) of a face that looks to the right, looks up, and is turned clockwise, by degrees."""
    a, b, c = (math.radians(angle) for angle in (-yaw, -pitch, roll))
    around_y = torch.tensor([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    around_x = torch.tensor([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    around_z = torch.tensor([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return points @ (around_z @ around_y @ around_x).T


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, -20, 0), (0, 0, 15), (25, 10, -12)])
def test_pose_and_lengths_of_a_turned_mean_face_are_known(angles):
    known = shape.shipped()
    landmarks = 37 * turned(known.mean, *angles) + torch.tensor([100.0, 50.0, -3.0])
    laid = geometry.aligned(landmarks[None], known.mean, known.rigid)
    found = geometry.pose(laid.rotations)
    assert [float(found[name]) for name in ("yaw", "pitch", "roll")] == pytest.approx(angles, abs=0.02)
    assert torch.allclose(laid.landmarks[0], known.mean, atol=1e-4)
    assert float(geometry.lengths(laid.landmarks)["eye distance"]) == pytest.approx(1, abs=1e-4)


def test_what_only_a_reflection_would_fit_is_laid_over_by_the_best_rotation():
    known = shape.shipped()
    inside_out = known.mean * torch.tensor([1.0, 1.0, -1.0])

    def error(laid):
        return float((laid - known.mean)[known.rigid].square().mean())

    laid = geometry.aligned(inside_out[None], known.mean, known.rigid)
    assert float(torch.linalg.det(laid.rotations[0])) == pytest.approx(1, abs=1e-5)
    for angles in ((0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 20, 0), (0, -20, 0)):
        assert error(laid.landmarks[0]) < error(turned(inside_out, *angles))


def test_the_directions_of_pose_are_those_that_one_sees():
    tip = shape.shipped().mean[4]
    assert turned(tip[None], yaw=20)[0, 0] > 0.1  # to the right of the image
    assert turned(tip[None], pitch=20)[0, 1] < tip[1] - 0.1  # up
    assert turned(torch.tensor([[0.0, -1.0, 0.0]]), roll=20)[0, 0] > 0.1  # the forehead to the right


@pytest.mark.parametrize(
    ("name", "landmarks", "step"),
    [
        ("mouth opening", (14,), (0, 0.1, 0)),  # the lower lip falls
        ("smile", (61, 291), (0, -0.1, 0)),  # the corners rise
        ("brow height", geometry.BROWS, (0, -0.1, 0)),
        ("nose length", (2,), (0, 0.05, 0)),
        ("eye opening", (160, 159, 158, 385, 386, 387), (0, -0.05, 0)),  # the upper lids rise
    ],
)
def test_a_length_grows_with_what_it_is_named_after(name, landmarks, step):
    mean = shape.shipped().mean
    other = mean.clone()
    other[list(landmarks)] += torch.tensor(step)
    before, after = geometry.lengths(mean[None]), geometry.lengths(other[None])
    assert after[name] > before[name] * (1 + 0.02 * before[name].sign())


def test_colours_are_cielabs():
    # Of sRGB primaries and a grey, D65: Lindbloom's calculator.
    known = {(1, 0, 0): (53.24, 80.09, 67.20), (0, 0, 1): (32.30, 79.19, -107.86), (1, 1, 1): (100, 0, 0)}
    known |= {(0, 0, 0): (0, 0, 0), (0.5, 0.5, 0.5): (53.39, 0, 0)}
    found = lab(torch.tensor(list(known), dtype=torch.float32))
    assert torch.allclose(found, torch.tensor(list(known.values())), atol=0.06)


def test_what_is_unreliable_is_left_out():
    names = [attribute.name for attribute in faces().attributes]
    assert names == [reading.attribute.name for reading in READINGS if reading.reliable]
    assert not scorer.Reading(READINGS[0].attribute, 0.99, LEAST_RELIABILITY - 0.01).reliable
    assert not scorer.Reading(READINGS[0].attribute, LEAST_RELIABILITY - 0.01, 0.99).reliable
    assert not scorer.Reading(READINGS[0].attribute, 0.99, 0.99, scorer.LEAST_RESPONSE - 0.01).reliable
    assert scorer.Reading(READINGS[0].attribute, LEAST_RELIABILITY, LEAST_RELIABILITY).reliable
    assert {"nose length", "eye opening"} & {*names} == set()  # the mesh follows them by less than a fifth


def test_of_every_length_it_is_known_how_much_is_read():
    lengths = geometry.lengths(shape.shipped().mean[None])
    assert {*lengths} == {*WARPS}
    assert all((reading.response is None) == (reading.attribute.name not in lengths) for reading in READINGS)


@pytest.mark.parametrize("page", [card.CARD, Path(__file__).parents[2] / "docs" / "faces.md"])
def test_pages_have_the_numbers_that_decide(page):
    """The card in its columns, the page of the documentation in its own; responses stand in the last, or apart."""
    lines = page.read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    for reading in READINGS:
        steady = [f"{reading.attribute.spread:g}", f"{reading.shift:.3f}", f"{reading.mirror:.3f}"]
        assert any(row[0] == reading.attribute.name and set(steady) <= set(row) for row in cells), reading
        if reading.response is not None:
            told = f"{reading.response:.2f}"
            assert any(row[0] == reading.attribute.name and told in row[3:] for row in cells), reading


def test_reliability_is_the_share_of_variance_that_is_no_error():
    random = torch.Generator().manual_seed(0)
    true, one, other = torch.randn(3, 20000, 1, generator=random)
    found = card.reliability(true + 0.5 * one, true + 0.5 * other)
    assert float(found) == pytest.approx(1 / 1.25, abs=0.01)


@pytest.fixture(scope="module")
def network():
    return FacesScorer(READINGS).eval()


@pytest.fixture(scope="module")
def images():
    network = generator().eval()
    with torch.no_grad():
        return network(network.sample(range(SAMPLES), 4))


@pytest.fixture(scope="module")
def plain(network, images):
    with torch.no_grad():
        return network(images)


def change(network, images, plain):
    """The change of readings in spreads, (N, A), of images seen before and after."""
    with torch.no_grad():
        moved = (network(images) - plain) / SPREADS
    return moved[~moved.isnan().any(1)]


def test_most_samples_show_a_face_and_lost_rows_are_lost_whole(plain):
    gone = plain.isnan()
    assert (gone.any(1) == gone.all(1)).all()
    assert gone.any(1).float().mean() < 0.3


@pytest.mark.parametrize("angle", [10, -10])
def test_turning_an_image_turns_the_face_and_leaves_it_as_it_is(network, images, plain, angle):
    moved = change(network, card.moved(images, angle=angle), plain)
    moved[:, NAMES.index("roll")] -= angle / SPREADS[NAMES.index("roll")]
    assert moved.mean(0).abs().max() < 0.25


@pytest.mark.parametrize("step", [{"right": 2}, {"down": -2}, {"scale": 1.1}])
def test_moving_and_scaling_an_image_leaves_the_face_as_it_is(network, images, plain, step):
    moved = change(network, card.moved(images, **step), plain)
    assert len(moved) >= SAMPLES / 2
    assert moved.square().mean(0).sqrt().max() < 0.8  # of noise alone it is 1.4
    assert moved.mean(0).abs().mean() < 0.1  # of all attributes


def test_a_mirror_negates_yaw_and_roll_alone(network, images, plain):
    with torch.no_grad():
        back = card.mirrored(network(images.flip(3)), network.attributes)
    assert card.reliability(plain, back).min() > 0.8
    signs = card.mirrored(torch.ones(1, len(NAMES)), network.attributes)[0].tolist()
    assert [name for name, sign in zip(NAMES, signs, strict=True) if sign < 0] == ["yaw", "roll"]


@torch.no_grad()
def test_a_warp_moves_the_image_as_it_moves_points():
    y, x = torch.meshgrid(torch.arange(100) + 0.5, torch.arange(100) + 0.5, indexing="ij")
    spot = torch.exp(-((x - 40) ** 2 + (y - 46) ** 2) / 18).expand(1, 3, 100, 100)
    landmarks = 25 * shape.shipped().mean[None] + torch.tensor([50.0, 50.0, 0.0])
    warp = WARPS["eye distance"]
    moved = warp.applied(spot, landmarks)[0, 0].clamp_min(0)
    centre = torch.stack([(moved * x).sum(), (moved * y).sum()]) / moved.sum()
    expected = warp.moved(torch.tensor([[[40.0, 46.0]]]), landmarks)[0, 0]
    assert float((expected - torch.tensor([40.0, 46.0])).norm()) > 0.5
    assert torch.allclose(centre, expected, atol=0.15)


@pytest.mark.parametrize("name", ["eye distance", "smile", "mouth width"])
def test_a_warp_of_one_feature_moves_its_attribute_most(network, name):
    found = card.response(network, name, SPREADS, samples=10)
    index = NAMES.index(name)
    assert int(found.expected.argmax()) == index
    assert int(found.read.abs().argmax()) == index
    assert found.read[index] > scorer.LEAST_RESPONSE / 2 * found.expected[index]


@pytest.mark.parametrize("size", [256, 1024])
def test_a_face_reads_the_same_at_any_size(network, images, plain, size):
    few = slice(0, 12 if size == 256 else 4)
    moved = change(network, card.enlarged(images[few], size), plain[few])
    assert moved.mean(0).abs().max() < (0.1 if size == 256 else 0.2)


def test_lighter_skin_is_lighter_by_as_much(network, images, plain):
    grey = (images.mean(1, keepdim=True) * 0.5).expand(-1, 3, -1, -1)
    with torch.no_grad():
        before, after = network(grey), network(grey + 0.1)
    light, redness = NAMES.index("skin brightness"), NAMES.index("skin redness")
    # One step of 0.05 of sRGB is 4.9 to 5.6 of L* between a quarter and three quarters of the range.
    assert float((after - before)[:, light].nanmean()) == pytest.approx(5.1, abs=0.5)
    assert before[:, redness].nan_to_num().abs().max() < 0.1  # grey has no colour


@pytest.mark.parametrize("damage", card.CARD_DAMAGES, ids=lambda damage: damage.name)
def test_damage_takes_faces_away_the_more_the_stronger_it_is(network, images, plain, damage):
    with torch.no_grad():
        worse_and_worse = [damage.apply(images, strength, range(len(images)), 0) for strength in damage.strengths]
        lost = [card.lost(plain), *(card.lost(network(damaged)) for damaged in worse_and_worse)]
    assert lost == sorted(lost)
    assert lost[-1] > lost[0] + 0.4


def test_gradients_reach_the_image_and_are_those_of_the_readings(network, images, plain):
    index = int((~plain.isnan().any(1)).nonzero()[0])
    image = images[index : index + 1].clone().requires_grad_(True)
    reading = network(image)[0, NAMES.index("skin brightness")]
    (gradient,) = torch.autograd.grad(reading, image)
    assert gradient.isfinite().all()
    step = 0.01 * torch.ones_like(gradient)
    with torch.no_grad():
        rise = network(image + step)[0, NAMES.index("skin brightness")] - reading
    assert float((gradient * step).sum()) == pytest.approx(float(rise), rel=0.2)
    (gradient,) = torch.autograd.grad(network(image)[0, NAMES.index("yaw")], image)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0
