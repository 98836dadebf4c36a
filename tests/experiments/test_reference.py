import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.reference import open_reference, real_features
from navbench.metrics.extractors import quantise

SIDE = 16
SIZE = (SIDE, SIDE)
COUNT = 5  # of images that are drawn; a folder or zip gives all that it has


def pixels(seed, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def png(array, mode="RGB", form="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(array).convert(mode).save(buffer, form)
    return buffer.getvalue()


def files():
    """Five images, two of them in a folder, beside files that are no images."""
    images = {name: png(pixels(i)) for i, name in enumerate(["b.png", "a.PNG", "c.png", "sub/d.png", "sub/e.png"])}
    return images | {"notes.txt": b"not an image", "sub/.hidden": b"\0"}


def folder(path, contents):
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return str(path)


def archive(path, contents, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return str(path)


@pytest.fixture(params=["folder", "zip"])
def source(request, tmp_path):
    """What makes a reference of some files."""
    if request.param == "folder":
        return lambda contents: folder(tmp_path / "images", contents)
    return lambda contents: archive(tmp_path / "images.zip", contents)


def every(images):
    return images.images(range(len(images.names)))


def test_images_come_in_the_order_of_their_names_with_their_exact_pixels(source):
    images = open_reference(source(files()), SIZE, COUNT)
    assert images.names == ("a.PNG", "b.png", "c.png", "sub/d.png", "sub/e.png")
    found = every(images)
    assert found.dtype == torch.float32
    for image, seed in zip(found, (1, 0, 2, 3, 4), strict=True):
        assert torch.equal(quantise(image), torch.from_numpy(pixels(seed)).permute(2, 0, 1))


def test_a_folder_and_a_zip_of_the_same_files_are_the_same_reference(tmp_path):
    first = open_reference(folder(tmp_path / "images", files()), SIZE, COUNT)
    second = open_reference(archive(tmp_path / "images.zip", files()), SIZE, COUNT)
    assert first.names == second.names
    assert torch.equal(every(first), every(second))


def test_black_is_minus_one_white_is_one_and_every_byte_survives(source):
    ramp = np.arange(256, dtype=np.uint8).reshape(SIDE, SIDE, 1).repeat(3, axis=2)
    images = every(open_reference(source({"ramp.png": png(ramp), "white.png": png(ramp * 0 + 255)}), SIZE, COUNT))
    assert (float(images[0, 0, 0, 0]), float(images[0, 0, -1, -1])) == (-1, 1)
    assert (images[1] == 1).all()
    assert torch.equal(quantise(images[0, 0]).flatten(), torch.arange(256, dtype=torch.uint8))


def test_any_of_the_images_can_be_had_alone(source):
    images = open_reference(source(files()), SIZE, COUNT)
    assert torch.equal(images.images([3, 1]), every(images)[[3, 1]])


def test_features_are_those_of_all_images(source):
    images = open_reference(source(files()), SIZE, COUNT)

    def brightness(batch):
        return batch.mean((2, 3))

    for batch in (1, 2, 64):
        found = real_features(images, range(len(images.names)), brightness, Compute(batch=batch)).features
        assert torch.equal(found, brightness(every(images)))


REFUSALS = {
    "wrong size": (png(pixels(0, 8)), r"bad\.png .* is 8x8, but the generator makes 16x16"),
    "not square": (png(pixels(0)[:8]), r"bad\.png .* is 16x8, but the generator makes 16x16"),
    "grey": (png(pixels(0), "L"), r"bad\.png .* has mode L \(grey\); convert the images to RGB first, or say convert"),
    "transparent": (png(pixels(0), "RGBA"), r"bad\.png .* has mode RGBA"),
    "palette": (png(pixels(0), "P"), r"bad\.png .* has mode P \(a palette\);"),
    "no image": (b"not an image", r"bad\.png .* cannot be read as an image"),
    "empty": (b"", r"bad\.png .* cannot be read as an image"),
    "truncated": (png(pixels(0))[:400], r"bad\.png .* cannot be read as an image"),
    "another format": (png(pixels(0), form="JPEG")[:300], r"bad\.png .* cannot be read as an image"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_an_image_that_does_not_fit_is_refused_by_name(source, what):
    content, words = REFUSALS[what]
    images = open_reference(source(files() | {"bad.png": content}), SIZE, COUNT)
    with pytest.raises(NavbenchError, match=words) as caught:
        every(images)
    assert caught.value.exit_code == 2


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "WEBP", "TIFF"])
def test_a_damaged_image_is_refused_or_read_and_nothing_else(tmp_path, form):
    content = png(pixels(0), form=form)
    spots = np.random.default_rng(0).integers(0, len(content), 40)
    for spot in spots:
        damaged = content[:spot] + bytes([content[spot] ^ 0x5A]) + content[spot + 1 :]
        path = folder(tmp_path / "images", {"a.png": png(pixels(1)), "b.png": damaged})
        try:
            assert every(open_reference(path, SIZE, COUNT)).shape == (2, 3, SIDE, SIDE)
        except NavbenchError as error:
            assert "b.png" in str(error)  # noqa: PT017 (either is right)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("spot", [0, 32, 40, 60])
def test_a_damaged_zip_is_refused_by_the_name_of_the_image(tmp_path, compression, spot):
    path = tmp_path / "images.zip"
    flat = png(np.full((SIDE, SIDE, 3), 7, np.uint8), form="BMP")  # deflates to a few bytes
    archive(path, {"a.bmp": flat, "b.bmp": flat}, compression)
    content = bytearray(path.read_bytes())
    for place in range(spot, spot + 5):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(NavbenchError, match=r"a\.bmp in reference .* cannot be read"):
        every(open_reference(str(path), SIZE, COUNT))


def test_an_encrypted_zip_is_refused(tmp_path):
    path = tmp_path / "images.zip"
    archive(path, {"a.png": png(pixels(0)), "b.png": png(pixels(1))})
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            content[start + place] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(NavbenchError, match=r"a\.png in reference .* cannot be read"):
        every(open_reference(str(path), SIZE, COUNT))


def test_folders_within_a_zip_are_no_images(tmp_path):
    path = tmp_path / "images.zip"
    archive(path, {"a.png": png(pixels(0)), "b.png": png(pixels(1))})
    with zipfile.ZipFile(path, "a") as file:
        file.mkdir("c.png")
    assert open_reference(str(path), SIZE, COUNT).names == ("a.png", "b.png")


@pytest.mark.parametrize("contents", [{}, {"notes.txt": b"x"}, {"one.png": png(pixels(0))}])
def test_fewer_than_two_images_are_refused(source, contents):
    with pytest.raises(NavbenchError, match="it needs at least 2"):
        open_reference(source(contents | {"readme.md": b"x"}), SIZE, COUNT)


def test_a_path_that_is_neither_folder_nor_zip_is_refused(tmp_path):
    (tmp_path / "image.png").write_bytes(png(pixels(0)))
    for path in (tmp_path / "absent", tmp_path / "image.png"):
        with pytest.raises(NavbenchError, match="neither 'unshifted' nor a folder or zip"):
            open_reference(str(path), SIZE, COUNT)


def test_a_truncated_zip_is_refused(tmp_path):
    path = tmp_path / "images.zip"
    archive(path, files())
    content = path.read_bytes()
    for kept in (content[:-30], content[200:], b"PK\x05\x06" + bytes(10) + b"\xff\xff\xff\xff" * 2 + bytes(2)):
        path.write_bytes(kept)
        with pytest.raises(NavbenchError, match=r"images\.zip"):
            every(open_reference(str(path), SIZE, COUNT))


def test_a_file_that_vanishes_is_named(tmp_path):
    images = open_reference(folder(tmp_path / "images", files()), SIZE, COUNT)
    (tmp_path / "images" / "c.png").unlink()
    with pytest.raises(NavbenchError, match=r"c\.png in reference"):
        every(images)


@pytest.mark.parametrize("how", ["box", "bilinear", "bicubic", "lanczos"])
def test_images_of_another_size_are_resized_as_pillow_does_when_asked_to(source, how):
    large = {"a.png": png(pixels(0, 2 * SIDE)), "b.png": png(pixels(1))}
    images = open_reference(source(large), SIZE, COUNT, how)
    images.check()
    expected = Image.fromarray(pixels(0, 2 * SIDE)).resize((SIDE, SIDE), getattr(Image.Resampling, how.upper()))
    first, second = quantise(every(images))
    assert torch.equal(first, torch.from_numpy(np.array(expected)).permute(2, 0, 1))
    assert torch.equal(second, torch.from_numpy(pixels(1)).permute(2, 0, 1))


def test_a_box_takes_the_mean_of_the_pixels_in_it(source):
    blocks = np.arange(4 * SIDE * SIDE, dtype=np.uint32).reshape(2 * SIDE, 2 * SIDE) % 64
    large = np.repeat(blocks[..., None], 3, axis=2).astype(np.uint8)
    images = open_reference(source({"a.png": png(large), "b.png": png(large)}), SIZE, COUNT, "box")
    means = blocks.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))
    assert np.abs(quantise(every(images))[0, 0].numpy() - means).max() <= 0.5


def test_how_images_are_resized_is_part_of_what_they_are(source):
    place = source(files())
    plain, boxed = (open_reference(place, SIZE, COUNT, how) for how in ("", "box"))
    assert plain.cache_key != boxed.cache_key != open_reference(place, SIZE, COUNT, "lanczos").cache_key
    assert plain.description() == f"5 images of {place}, as they are, not resized"
    assert boxed.description() == f"5 images of {place}, resized to 16x16 by Pillow's box"


def test_images_of_other_proportions_are_refused_and_of_the_same_are_not_whatever_their_height(source):
    wide = {name: png(np.concatenate([pixels(seed)] * 2, axis=1)) for seed, name in enumerate(("a.png", "b.png"))}
    place = source(wide)
    assert every(open_reference(place, (SIDE, 2 * SIDE), COUNT)).shape == (2, 3, SIDE, 2 * SIDE)
    assert every(open_reference(place, (SIDE // 2, SIDE), COUNT, "box")).shape == (2, 3, SIDE // 2, SIDE)
    with pytest.raises(NavbenchError, match="is 32x16, but the generator makes 16x16; crop the images"):
        open_reference(place, SIZE, COUNT, "box").check()
