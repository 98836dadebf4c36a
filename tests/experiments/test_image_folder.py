"""References as folders are: what is skipped, how pixels are read, and what is said of them."""

import hashlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from test_reference import SIDE, SIZE, archive, every, folder, pixels, png

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments import reference
from navbench.experiments.real_images import open_photos
from navbench.files import walk
from navbench.metrics.extractors import quantise

LITTER = (".ipynb_checkpoints/a.png", "sub/.thumbnails/a.png", "__MACOSX/a.png", "sub/._a.png", "@eaDir/a.jpg")
CLEAN = {"a.png": png(pixels(0)), "b.png": png(pixels(1))}


@pytest.fixture(params=["folder", "zip"])
def source(request, tmp_path):
    """What makes a reference of some files."""
    make, name = (folder, "images") if request.param == "folder" else (archive, "images.zip")
    return lambda contents: make(tmp_path / name, contents)


def opened(place, resize="", convert=""):
    return reference.open_reference(place, SIZE, 5, resize, convert)


def read(images):
    """The pixels of a reference's images, (N, H, W, 3), uint8."""
    return quantise(every(images)).permute(0, 2, 3, 1).numpy()


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def told(images):
    """The warnings of a check."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NavbenchWarning)
        images.check()
    return [str(each.message) for each in caught]


def deep_png(values):
    """A PNG of 16 bits, grey or RGB, as Pillow writes none."""
    height, width, *channels = values.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    parts = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_clean_folder_is_said_as_before_and_has_the_key_it_had(tmp_path):
    place = folder(tmp_path / "images", CLEAN | {"notes.txt": b"x"})
    images = opened(place)
    assert told(images) == []
    assert images.description() == f"2 images of {place}, as they are, not resized"
    digest = hashlib.sha256()
    for name in ("a.png", "b.png", "notes.txt"):
        content = (tmp_path / "images" / name).read_bytes()
        digest.update(f"{name} {len(content)}".encode() + content)
    assert images.cache_key == [digest.hexdigest(), [SIDE, SIDE], ""]


def test_hidden_files_thumbnails_and_copies_of_systems_are_skipped_and_counted(source):
    images = opened(source(CLEAN | {name: png(pixels(7)) for name in LITTER}))
    assert images.names == ("a.png", "b.png")
    (warning,) = told(images)
    assert "5 image files are skipped" in warning
    assert ".ipynb_checkpoints/a.png" in warning
    assert images.description().endswith(", without 5 skipped files")
    assert images.cache_key[3:] == ["as seen"]


def test_a_folder_of_hidden_images_alone_says_that_they_are_skipped(source):
    with pytest.raises(NavbenchError, match=r"holds 0 images .* beside 5 hidden ones that are skipped"):
        opened(source({name: png(pixels(7)) for name in LITTER}))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_read_as_their_exif_orientation_has_them_seen(tmp_path, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene = np.zeros((SIDE, SIDE, 3), np.uint8)
    scene[:6, :4] = 255  # bright at the top left, higher than wide
    stored = {1: scene, 2: scene[:, ::-1], 3: scene[::-1, ::-1], 4: scene[::-1], 5: scene.transpose(1, 0, 2)}
    stored |= {6: scene.transpose(1, 0, 2)[::-1], 7: scene.transpose(1, 0, 2)[::-1, ::-1]}
    stored |= {8: scene.transpose(1, 0, 2)[:, ::-1]}
    image = Image.fromarray(np.ascontiguousarray(stored[orientation]))
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    content = encoded(image, form, exif=exif, **options)
    images = opened(folder(tmp_path / "images", {f"a.{form}": content, f"b.{form}": content}))
    assert np.abs(read(images)[0].astype(int) - scene).max() < 64
    assert images.census.turned == (0 if orientation == 1 else 2)


def test_an_image_on_its_side_has_the_size_that_it_is_seen_at(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    place = folder(
        tmp_path / "images", {f"{i}.jpg": encoded(Image.new("RGB", (32, 16)), "JPEG", exif=exif) for i in "ab"}
    )
    images = reference.open_reference(place, (32, 16), 5)
    images.census  # noqa: B018 (it refuses)
    assert every(images).shape == (2, 3, 32, 16)


def test_exif_data_that_cannot_be_read_turns_nothing(tmp_path):
    content = encoded(Image.fromarray(pixels(0)), "JPEG", exif=b"Exif\0\0rubbish" * 3)
    assert opened(folder(tmp_path / "images", {"a.jpg": content, "b.jpg": content})).census.turned == 0


@pytest.mark.parametrize("name", ["a.jfif", "a.JPG", "a.webp", "a.tif", "a.tiff", "a.bmp", "a.ppm"])
def test_every_format_is_read(source, name):
    form = {"jfif": "JPEG", "jpg": "JPEG", "tif": "TIFF"}.get(name[2:].lower(), name[2:].upper())
    images = opened(source({name: encoded(Image.fromarray(pixels(3)), form), "b.png": png(pixels(1))}))
    assert images.names[0] == name
    assert images.census.formats == {form: 1, "PNG": 1}


def test_of_a_gif_the_first_frame_is_read(source):
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("red", "blue")]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    place = source({"a.gif": moving, "b.png": png(pixels(1))})
    with pytest.raises(NavbenchError, match=r"a\.gif .* has mode P"):
        opened(place).check()
    assert read(opened(place, convert="rgb"))[0, 0, 0].tolist() == [255, 0, 0]
    assert opened(place, convert="rgb").cache_key[3:] == ["as seen"]


RED, ALPHA = (255, 0, 0), Image.new("RGBA", (SIDE, SIDE), (255, 0, 0, 51))
DEEP = np.full((SIDE, SIDE), 0x80FF, np.uint16)
KINDS = {
    "grey": (encoded(Image.new("L", (SIDE, SIDE), 90)), r"mode L \(grey\)", (90, 90, 90)),
    "bits": (encoded(Image.new("1", (SIDE, SIDE), 1)), r"mode 1 \(black and white\)", (255, 255, 255)),
    "palette": (encoded(Image.new("RGB", (SIDE, SIDE), RED).convert("P")), r"mode P \(a palette\)", None),
    "alpha": (encoded(ALPHA), r"mode RGBA \(with alpha\)", (255, 204, 204)),
    "grey alpha": (encoded(Image.new("LA", (SIDE, SIDE), (0, 51))), r"mode LA", (204, 204, 204)),
    "clear palette": (
        encoded(Image.new("RGB", (SIDE, SIDE), RED).convert("P", palette=1), transparency=0),
        "mode P",
        (255, 255, 255),
    ),
    "cmyk": (encoded(Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)), "TIFF"), "mode CMYK", RED),
    "deep grey": (deep_png(DEEP), "16-bit grey pixels", (0x80,) * 3),
    "deep RGB": (deep_png(np.stack([DEEP, DEEP, DEEP * 0], 2)), "16-bit RGB pixels", (0x80, 0x80, 0)),
    "deep TIFF": (encoded(Image.fromarray(DEEP), "TIFF"), "16-bit grey pixels", (0x80,) * 3),
    "deep PPM": (b"P6 16 16 65535\n" + b"\x80\xff" * (3 * SIDE * SIDE), "16-bit RGB pixels", None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_eight_bit_rgb_is_refused_by_name_or_converted(source, kind):
    content, words, colour = KINDS[kind]
    place = source({"a.png": content, "b.png": png(pixels(1))})
    with pytest.raises(NavbenchError, match=rf"a\.png .* has {words}.*--convert rgb"):
        opened(place).check()
    images = opened(place, convert="rgb")
    assert images.census.converted == 1
    assert "1 of them converted to RGB, alpha on white" in images.description()
    assert colour is None or tuple(read(images)[0, 3, 3].tolist()) == colour


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_of_no_known_range_are_refused_even_where_others_are_converted(source, mode):
    content = encoded(Image.new(mode, (SIDE, SIDE)), "TIFF")
    with pytest.raises(NavbenchError, match=rf"a\.tif .* has mode {mode}; .* no known range"):
        opened(source({"a.tif": content, "b.png": png(pixels(1))}), convert="rgb").check()


def test_copies_are_counted_by_content_and_warned_of(source):
    images = opened(source({f"{name}.png": png(pixels(0)) for name in "abcdefgh"} | {"z.png": png(pixels(1))}))
    (warning,) = told(images)
    assert "7 of 9 images are copies of others, such as b.png of a.png" in warning
    assert "7 of them copies of others" in images.description()


def test_files_of_one_size_and_other_content_are_no_copies(source):
    images = opened(source({f"{i}.bmp": png(pixels(i), form="BMP") for i in range(3)}))
    assert images.census.copies == ()


def test_upsampling_is_called_that(source):
    images = opened(source({"a.png": png(pixels(0, SIDE // 2)), "b.png": png(pixels(1))}), "lanczos")
    (warning,) = told(images)
    assert "1 of 2 images are smaller than 16x16 and upsampled, such as a.png" in warning
    assert "1 of them of smaller size, upsampled by lanczos" in images.description()


def test_a_mixture_of_formats_is_said(source):
    images = opened(source(CLEAN | {"c.jpg": png(pixels(2), form="JPEG")}))
    (warning,) = told(images)
    assert "several formats (2 PNG, 1 JPEG)" in warning
    assert "of several formats (2 PNG, 1 JPEG)" in images.description()


def test_links_are_followed_and_loops_end(tmp_path):
    elsewhere, place = tmp_path / "elsewhere", tmp_path / "images"
    folder(elsewhere, {"c.png": png(pixels(2))})
    folder(place, CLEAN)
    (place / "back").symlink_to(place, target_is_directory=True)
    (place / "out").symlink_to(elsewhere, target_is_directory=True)
    (place / "again").symlink_to(place / "sub", target_is_directory=True)
    (place / "d.png").symlink_to(elsewhere / "c.png")
    (place / "lost.png").symlink_to(elsewhere / "none.png")
    (elsewhere / "round.png").symlink_to(elsewhere / "round.png")
    images = opened(str(place))
    assert images.names == ("a.png", "b.png", "d.png", "out/c.png")
    assert images.census.copies == (("out/c.png", "d.png"),)
    before = images.cache_key
    (elsewhere / "c.png").write_bytes(png(pixels(3)))
    assert opened(str(place)).cache_key != before


def test_a_folder_is_entered_once_and_by_its_own_name(tmp_path):
    folder(tmp_path / "z", {"a.png": b"a"})
    (tmp_path / "a").symlink_to(tmp_path / "z", target_is_directory=True)
    assert [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path)] == ["z/a.png"]


def test_photos_are_read_the_same_way(tmp_path):
    contents = {"a.png": KINDS["alpha"][0], "b.png": KINDS["deep grey"][0], "._c.png": b"x", ".d/e.png": b"x"}
    with pytest.warns(NavbenchWarning, match=r"1 hidden files are skipped, such as \._c\.png"):
        first, second = open_photos([folder(tmp_path / "photos", contents)], SIZE, 5)
    assert quantise(first.image)[:, 0, 0].tolist() == [255, 204, 204]
    assert torch.equal(quantise(second.image), torch.full((3, SIDE, SIDE), 0x80, dtype=torch.uint8))
