"""Photos: how they are read, and what an edit makes of them."""

import pytest
import torch
from analytic import LinearGenerator, Quadratic, edit
from PIL import Image

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.projection import Projector
from navbench.experiments.real_images import open_photos, photo_strip
from navbench.generators.base import Codes
from navbench.testbed import cars


def save(path, size=(8, 8), colour=(255, 0, 0), mode="RGB", **more):
    Image.new(mode, size, colour).save(path, **more)
    return str(path)


def test_a_photo_at_the_generators_size_is_left_as_it_is(tmp_path):
    (photo,) = open_photos([save(tmp_path / "red.png")], (8, 8), 1)
    assert (photo.name, photo.cropped) == ("red", False)
    assert torch.equal(photo.image, torch.tensor([1.0, -1.0, -1.0])[:, None, None].expand(3, 8, 8))


def test_other_proportions_are_cut_from_the_middle(tmp_path):
    image = Image.new("RGB", (24, 8), (0, 0, 0))
    image.paste((255, 255, 255), (8, 0, 16, 8))
    image.save(tmp_path / "wide.png")
    (photo,) = open_photos([str(tmp_path / "wide.png")], (8, 8), 1)
    assert photo.cropped
    assert float(photo.image.min()) == 1.0


def test_a_turned_photo_is_turned_back(tmp_path):
    image = Image.new("RGB", (8, 8), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    image.save(tmp_path / "turned.png", exif=exif)
    (photo,) = open_photos([str(tmp_path / "turned.png")], (8, 8), 1)
    assert float(photo.image[:, :4].max()) == -1.0


def test_grey_and_transparent_photos_become_colour(tmp_path):
    sources = [save(tmp_path / "grey.png", mode="L", colour=255), save(tmp_path / "clear.png", mode="RGBA")]
    assert [tuple(photo.image.shape) for photo in open_photos(sources, (8, 8), 1)] == [(3, 8, 8)] * 2


def test_a_folder_gives_its_first_files_by_name(tmp_path):
    for name in ("c", "a", "b"):
        save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no photo")
    assert [photo.name for photo in open_photos([str(tmp_path)], (8, 8), 2)] == ["a", "b"]


def test_a_distribution_tells_the_truth_about_its_images():
    photos = open_photos(["renderings"], (64, 64), 3)
    factors = torch.tensor([[photo.truth[name] for name in cars.NAMES] for photo in photos])
    assert torch.equal(torch.stack([photo.image for photo in photos]), cars.render(factors))
    assert len({photo.truth["wheel radius"] for photo in photos}) == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [("missing.png", "neither a file"), ("text.png", "cannot be read as an image"), ("empty", "holds no photos")],
)
def test_what_is_no_photo_is_refused(tmp_path, source, words):
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NavbenchError, match=words):
        open_photos([str(tmp_path / source)], (8, 8), 1)


def test_two_photos_of_one_name_are_refused(tmp_path):
    with pytest.raises(NavbenchError, match="'a'"):
        open_photos([save(tmp_path / "a.png"), save(tmp_path / "a.bmp")], (8, 8), 1)


def test_a_distribution_of_another_size_is_refused():
    with pytest.raises(NavbenchError, match="renderings"):
        open_photos(["renderings"], (32, 32), 1)


def test_an_edit_adds_to_a_photo_what_it_adds_to_any_image():
    generator = LinearGenerator(side=6)
    generator.map.weight.data *= 0.1
    z = torch.nn.functional.normalize(generator.sample(range(2), 99).z) * 3**0.5  # where projections lie
    photos = generator(Codes(z))
    found = Projector(generator, Quadratic(), Compute(), 400, 0).project(photos, "z")
    image = torch.zeros(3, 6, 6)
    image[0, 2, 3] = 1.0
    made = edit(generator, generator.row(3, image), layer="map", ends=(-0.5, 0.5))
    strip = photo_strip(made, "z", found, [-0.5, 0.0, 0.5], Red())
    assert strip.images.shape == (2, 4, 3, 6, 6)
    assert torch.allclose(strip.images[:, 0].int(), strip.images[:, 2].int(), atol=2, rtol=0)  # photo, reconstruction
    assert torch.allclose(strip.scores[:, 1:, 0] - strip.scores[:, 2:3, 0], torch.tensor([[-0.5, 0.0, 0.5]]), atol=1e-5)


class Red:
    """Reads one pixel."""

    name = "red"
    attributes = ()

    def __call__(self, images):
        return images[:, 0, 2, 3][:, None]
