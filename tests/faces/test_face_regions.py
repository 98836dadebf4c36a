import pytest
import torch

from navbench.faces.regions import hull, inside, parts
from navbench.faces.segmenter import FaceParts, faces
from navbench.generators.dcgan import faces as generator


def test_a_rectangles_mask_is_its_area_with_shares_at_the_edges():
    corners = torch.tensor([[[2.0, 3.0], [8.0, 3.0], [8.0, 7.5], [2.0, 7.5]]])
    mask = inside(corners, 12, 10)[0]
    assert mask[3:7, 2:8].min() == 1
    assert mask[7, 4] == pytest.approx(0.5)  # cut in the middle
    assert mask[:3].max() == mask[8:].max() == mask[:, :2].max() == mask[:, 8:].max() == 0
    assert torch.equal(inside(corners.flip(1), 12, 10)[0], mask)  # in either order


def test_a_bay_of_a_polygon_is_outside():
    arrow = torch.tensor([[[0.0, 0.0], [10.0, 10.0], [20.0, 0.0], [20.0, 20.0], [0.0, 20.0]]])
    mask = inside(arrow, 20, 20)[0]
    assert mask[3, 10] == 0
    assert mask[15, 10] == 1
    assert float(mask.sum()) == pytest.approx(300, rel=0.01)


def test_the_hull_of_points_is_their_convex_outline():
    corners = torch.tensor([[[4.0, 5.0], [16.0, 5.0], [16.0, 15.0], [4.0, 15.0], [10.0, 9.0]]])
    mask = hull(corners, 20, 20)[0]
    assert torch.allclose(mask, inside(corners[:, :4], 20, 20)[0], atol=0.01)


@pytest.fixture(scope="module")
def images():
    network = generator().eval()
    with torch.no_grad():
        return network(network.sample(range(6), 5))


@torch.no_grad()
def test_regions_share_every_pixel_and_lie_where_landmarks_are(images):
    segmenter = faces()
    found = segmenter.landmarker(images)
    masks = segmenter(images)
    assert masks.shape == (6, 5, 64, 64)
    assert masks.min() >= 0
    assert torch.allclose(masks.sum(1), torch.ones(6, 64, 64), atol=1e-5)
    seen = found.seen.nonzero().flatten().tolist()
    assert len(seen) >= 4
    for index in seen:
        shares = masks[index].mean((1, 2))
        assert shares[3] > shares[:3].sum()  # there is more skin than features
        for region, landmark in enumerate((159, 4, 13, 50)):  # upper lid, tip of the nose, lips, cheek
            x, y = found.landmarks[index, landmark, :2].round().long().clamp(0, 63).tolist()
            assert masks[index, region, y - 1 : y + 2, x - 1 : x + 2].max() > 0.5


@torch.no_grad()
def test_what_shows_no_face_is_all_rest():
    masks = faces()(torch.rand(2, 3, 48, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert masks.shape == (2, 5, 48, 80)
    assert (masks[:, 4] == 1).all()
    assert (masks[:, :4] == 0).all()


@torch.no_grad()
def test_masks_of_a_large_image_are_those_of_a_small_one(images):
    segmenter: FaceParts = faces()
    small = segmenter(images[:1])
    large = segmenter(torch.nn.functional.interpolate(images[:1], size=512, mode="bicubic").clamp(-1, 1))
    shrunk = torch.nn.functional.interpolate(large, size=64, mode="area")
    assert (shrunk - small).abs().mean() < 0.02


def test_an_eye_over_the_nose_counts_once():
    landmarks = torch.zeros(1, 468, 3)
    landmarks[0, :, :2] = torch.rand(468, 2, generator=torch.Generator().manual_seed(3)) * 32
    masks = parts(landmarks, 32, 32)
    assert torch.allclose(masks.sum(1), torch.ones(1, 32, 32), atol=1e-5)
    assert masks.min() >= 0
