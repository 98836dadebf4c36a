import math

import pytest
import torch

from navbench.faces.framing import Frames, around, crop, whole
from navbench.faces.mesh import SIZE


def frames(centre, side, angle=0.0):
    return Frames(torch.tensor([centre]), torch.tensor([float(side)]), torch.tensor([angle]))


def ramp(height, width):
    """x and y in pixels, as an image of three channels; the third is 1."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)])[None]


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
@pytest.mark.parametrize("side", [100, 300, 700])
def test_a_pixel_of_the_crop_shows_the_place_in_the_image_that_outward_tells(side, angle):
    frame = frames((420.0, 510.0), side, angle)
    taken = crop(ramp(1000, 900), frame)[0]
    for u, v in ((60, 60), (95, 130), (140, 71)):
        place = frame.outward(torch.tensor([[[u + 0.5, v + 0.5, 9.0]]]))[0, 0]
        assert torch.allclose(taken[:2, v, u], place[:2], atol=0.2)  # cubics bend a ramp a little
        assert place[2] == pytest.approx(9 * side / SIZE)


def test_the_whole_image_lies_in_the_middle_with_black_around():
    taken = crop(torch.ones(1, 3, 60, 120), whole(1, (60, 120), 0.25, torch.device("cpu")))[0, 0]
    assert taken[96, 36:156].min() > 0.99  # 120 of 180 pixels wide
    assert taken[96, :28].abs().max() == taken[:60].abs().max() == 0
    assert taken.mean() == pytest.approx(60 * 120 / 180**2, rel=0.02)


def test_a_crop_that_shrinks_averages_what_would_alias():
    stripes = (torch.arange(1024) % 2).float().expand(1, 3, 1024, 1024)
    taken = crop(stripes, frames((512.0, 512.0), 900))
    assert (taken - 0.5).abs().max() < 0.02


def test_crops_do_not_jump_as_a_face_grows():
    image = torch.rand(1, 3, 800, 800, generator=torch.Generator().manual_seed(0))
    sides = torch.linspace(180, 780, 61)
    crops = torch.cat([crop(image, frames((400.0, 400.0), float(side))) for side in sides])
    steps = (crops[1:] - crops[:-1]).square().mean((1, 2, 3)).sqrt()
    assert (steps[1:] / steps[:-1]).max() < 1.2


def test_a_crop_does_not_depend_on_the_others():
    images = torch.rand(3, 3, 500, 400, generator=torch.Generator().manual_seed(1))
    many = Frames(torch.tensor([[200.0, 250.0]] * 3), torch.tensor([90.0, 250.0, 600.0]), torch.tensor([0.0, 0.3, 1.0]))
    together = crop(images, many)
    for index in range(3):
        part = slice(index, index + 1)
        assert torch.allclose(together[part], crop(images[part], many[part]), atol=1e-6)


def test_the_crop_around_landmarks_is_mediapipes():
    random = torch.Generator().manual_seed(2)
    level = torch.rand(1, 468, 3, generator=random) * torch.tensor([80.0, 100.0, 0.0])
    level[:, 33, :2], level[:, 263, :2] = torch.tensor([20.0, 40.0]), torch.tensor([60.0, 40.0])
    level[:, 0, :2], level[:, 1, :2] = torch.tensor([0.0, 0.0]), torch.tensor([80.0, 100.0])  # the box
    turn = 0.5
    frame = frames((300.0, 200.0), SIZE, turn)
    found = around(frame.outward(level))
    assert float(found.angles) == pytest.approx(turn, abs=1e-4)
    assert float(found.sides) == pytest.approx(150, rel=1e-4)
    assert torch.allclose(found.centres, frame.outward(torch.tensor([[[40.0, 50.0, 0.0]]]))[:, 0, :2], atol=1e-2)
    assert not found.centres.requires_grad
    assert math.isfinite(float(found.sides))
