"""Known damage is what it says, and of each image alone."""

import pytest
import torch
from analytic import noise

from navbench.metrics.damage import DAMAGES, STEPS, blanked, blurred, damaged, grained, shuffled

IMAGES = noise(0, 6, 3, 16, 24).clamp(-1, 1)
INDICES = range(6)


def mean_square(change):
    return float(change.square().mean())


@pytest.mark.parametrize("apply", [blurred, grained, shuffled, blanked])
def test_damage_of_strength_0_changes_nothing(apply):
    torch.testing.assert_close(apply(IMAGES, 0.0, INDICES, 7), IMAGES, rtol=0, atol=0)


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_damage_does_not_depend_on_the_batch(step):
    whole = damaged(IMAGES, step, INDICES, 3)
    parts = [damaged(IMAGES[list(part)], step, part, 3) for part in (range(2), range(2, 3), range(3, 6))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-6)
    assert whole.shape == IMAGES.shape


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_more_strength_is_more_change(damage):
    images = noise(1, 40, 3, 64, 64).clamp(-1, 1)
    steps = [damaged(images, (damage.name, strength), range(40), 0) - images for strength in damage.strengths]
    changes = [mean_square(step) for step in steps]
    assert list(damage.strengths) == sorted(damage.strengths)
    if damage.name == "block shuffle":  # of white noise, any order is as far away as another
        assert min(changes) > 0
    else:
        assert changes == sorted(changes)
        assert changes[0] > 0


def test_blur_keeps_an_even_image_and_spreads_a_point():
    even = torch.full((1, 3, 16, 16), 0.3)
    torch.testing.assert_close(blurred(even, 0.1, range(1), 0), even)
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    spread = blurred(point, 2 / 33, range(1), 0)[0, 0]
    places = torch.arange(33.0) - 16
    assert float(spread.sum()) == pytest.approx(1, abs=1e-4)
    assert float((spread.sum(0) * places.square()).sum()) == pytest.approx(4, rel=0.03)  # less the tails


def test_grain_has_the_deviation_that_it_says_in_grey_levels():
    grain = grained(torch.zeros(8, 3, 32, 32), 12.0, range(8), 1)
    assert float(grain.std()) * 127.5 == pytest.approx(12, rel=0.02)
    torch.testing.assert_close(grained(torch.zeros(8, 3, 32, 32), 24.0, range(8), 1), 2 * grain)


@pytest.mark.parametrize("blocks", [2, 4, 5])
def test_a_shuffle_moves_pixels_and_makes_none(blocks):
    moved = shuffled(IMAGES, blocks, INDICES, 2)
    torch.testing.assert_close(moved.flatten(2).sort().values, IMAGES.flatten(2).sort().values)
    assert not torch.equal(moved, IMAGES)
    assert not torch.equal(*(shuffled(IMAGES[:1].expand(2, -1, -1, -1), blocks, range(2), 2)))


def test_a_shuffle_leaves_blocks_whole():
    numbers = torch.arange(4.0).reshape(1, 1, 2, 2)
    blocks = numbers.repeat_interleave(8, 2).repeat_interleave(8, 3)
    moved = shuffled(blocks, 2, range(1), 5)
    assert sorted(moved[0, 0, ::8, ::8].flatten().tolist()) == [0, 1, 2, 3]
    torch.testing.assert_close(moved, moved[:, :, ::8, ::8].repeat_interleave(8, 2).repeat_interleave(8, 3))


@pytest.mark.parametrize("share", [0.125, 0.25, 0.5])
def test_a_share_of_images_is_blank_and_stays_so(share):
    images = noise(2, 64, 3, 4, 4)
    blank = (blanked(images, share, range(64), 0) - images).abs().amax((1, 2, 3)) > 0
    more = (blanked(images, 2 * share, range(64), 0) - images).abs().amax((1, 2, 3)) > 0
    assert int(blank.sum()) == pytest.approx(64 * share, abs=1)
    assert (more | ~blank).all()
    torch.testing.assert_close(blanked(images, share, range(64), 0).mean((2, 3)), images.mean((2, 3)))
