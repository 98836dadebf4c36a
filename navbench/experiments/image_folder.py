"""A folder or zip of image files as a reference: which files it has, what is to be said of them, and their pixels."""

import hashlib
import warnings
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path, PurePath
from typing import IO, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from navbench.arrays import MOST_BYTES
from navbench.errors import NavbenchError, NavbenchWarning, image_trouble
from navbench.experiments.image_files import (
    BACKGROUND,
    RGB,
    SUFFIXES,
    image_names,
    in_words,
    is_convertible,
    kind_of,
    to_rgb,
    turn_of,
    upright,
    upright_size,
)
from navbench.files import content_hash, walk
from navbench.work import SentOnce

RESAMPLING = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""How real images of another size may be resized, by Pillow, all with antialiasing (Parmar et al., CVPR 2022)."""
_READ_SINCE = {".gif", ".jfif"}
"""Endings that earlier versions did not read."""
_READING = "as seen"
"""In keys of folders that earlier versions read otherwise: hidden files included, or not upright."""
_CAMERA_JPEG = "MPO"
"""What Pillow calls a JPEG with more pictures behind the first."""


@dataclass(frozen=True)
class Census:
    """What the files of a reference are, going by their headers, and by the content of those of one size.

    Attributes:
        formats: how many files there are of each, the most frequent first.
        copies: the name of each file that has the content of an earlier one, and that one's.
        smaller: names of images that are smaller than the generator's.
        turned: how many are set upright, as their EXIF orientation says.
        converted: how many are not 8-bit RGB.
    """

    formats: dict[str, int]
    copies: tuple[tuple[str, str], ...]
    smaller: tuple[str, ...]
    turned: int
    converted: int


@dataclass(frozen=True)
class RealImages(SentOnce):
    """Image files by name, in sorted order, read one at a time, and set upright.

    Attributes:
        source: the folder, or the zip.
        names: of the files in it.
        resize: one of `RESAMPLING`, for images of another size but the same proportions; '' to refuse them.
        convert: 'rgb' to convert what is not 8-bit RGB; '' to refuse it.
        skipped: names of files that look like images and are hidden, or copies of a system's.
    """

    source: str
    names: tuple[str, ...]
    size: tuple[int, int]
    resize: str = ""
    convert: str = ""
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def cache_key(self) -> Any:
        """The hash of all files with their names, to which size they are resized, and how."""
        own = self.skipped or self.census.turned or self.census.converted
        own = own or any(PurePath(name).suffix.lower() in _READ_SINCE for name in self.names)
        return [content_hash(Path(self.source)), list(self.size), self.resize, *([_READING] if own else [])]

    @cached_property
    def census(self) -> Census:
        """What the files are; the first that cannot be used is refused."""
        formats: Counter[str] = Counter()
        smaller, turned, converted = [], 0, 0
        for name in self.names:
            with self._opened(name) as image:
                kind, (width, height) = kind_of(image), upright_size(image)
                self._check(name, kind, (width, height))
                formats[str(image.format).replace(_CAMERA_JPEG, "JPEG")] += 1
                turned += turn_of(image) is not None
            converted += kind != RGB
            if height < self.size[0] or width < self.size[1]:
                smaller.append(name)
        return Census(dict(formats.most_common()), tuple(self._copies()), tuple(smaller), turned, converted)

    def description(self) -> str:
        """What it is, how its images were resized, and what else there is to know, in words."""
        height, width = self.size
        how = f"resized to {height}x{width} by Pillow's {self.resize}" if self.resize else "as they are, not resized"
        return ", ".join([f"{len(self):,} images of {self.source}", how, *self._remarks()])

    def _remarks(self) -> Iterator[str]:
        """What is unusual, with numbers."""
        census = self.census
        numbers = {
            f"of smaller size, upsampled by {self.resize}": len(census.smaller),
            "copies of others": len(census.copies),
            "set upright by their EXIF orientation": census.turned,
            f"converted to RGB, alpha on {BACKGROUND}": census.converted,
        }
        yield from (f"{number:,} of them {what}" for what, number in numbers.items() if number)
        if len(census.formats) > 1:
            yield f"of several formats ({_listed(census.formats)})"
        if self.skipped:
            yield f"without {len(self.skipped):,} skipped files"

    def images(self, indices: Sequence[int]) -> Tensor:
        """Images number `indices`, (N, 3, H, W), float, [-1, 1]."""
        return torch.stack([self._image(self.names[index]) for index in indices])

    def check(self) -> None:
        """Refuse the first file that cannot be used, before any work is done, and warn of what moves distances."""
        for warning in self._warnings():
            warnings.warn(f"Reference {self.source}: {warning}.", NavbenchWarning, stacklevel=2)

    def _warnings(self) -> Iterator[str]:
        census, n = self.census, f"{len(self):,}"
        if self.skipped:
            yield (
                f"{len(self.skipped):,} image files are skipped, as they are hidden or a system's copies, "
                f"such as {self.skipped[0]}"
            )
        if census.copies:
            copy, first = census.copies[0]
            yield (
                f"{len(census.copies):,} of {n} images are copies of others, such as {copy} of {first}; "
                "precision and recall are wrong with copies, so remove them"
            )
        if census.smaller:
            yield (
                f"{len(census.smaller):,} of {n} images are smaller than {self.size[1]}x{self.size[0]} and upsampled, "
                f"such as {census.smaller[0]}; distances see that they are blurred"
            )
        if len(census.formats) > 1 and "JPEG" in census.formats:
            yield f"its images are of several formats ({_listed(census.formats)}); distances see how JPEG compresses"

    def _image(self, name: str) -> Tensor:
        with self._opened(name) as image:
            kind = kind_of(image)
            image.load()
            pixels = upright(image)
            self._check(name, kind, pixels.size)
            if kind != RGB:
                pixels = to_rgb(pixels, kind)
            if pixels.size != self.size[::-1]:
                pixels = pixels.resize(self.size[::-1], RESAMPLING[self.resize])
            return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 127.5 - 1

    @contextmanager
    def _opened(self, name: str) -> Iterator[Image.Image]:
        """An image of which only the header has been read; whatever is wrong with the file is told with its name."""
        try:
            with self._file(name) as file, Image.open(file) as image:
                yield image
        except NavbenchError:
            raise
        except Exception as error:  # of many kinds: zip files, encryption and every image format have their own
            raise NavbenchError(
                f"{name} in reference {self.source} cannot be read as an image ({image_trouble(error)})."
            ) from None

    def _check(self, name: str, kind: str, size: tuple[int, int]) -> None:
        """Refuse an image of another kind or size (width and height) than what is asked for makes usable."""
        which = f"{name} in reference {self.source}"
        if kind != RGB and not (self.convert and is_convertible(kind)):
            how = (
                "or say convert = 'rgb' (--convert rgb)"
                if is_convertible(kind)
                else "as its numbers have no known range"
            )
            raise NavbenchError(f"{which} has {in_words(kind)}; convert the images to RGB first, {how}.")
        (width, height), (wanted_height, wanted_width) = size, self.size
        same_proportions = abs(width * wanted_height - height * wanted_width) <= max(size)
        if (height, width) != self.size and not (self.resize and same_proportions):
            raise NavbenchError(
                f"{which} is {width}x{height}, but the generator makes {wanted_width}x{wanted_height}; "
                f"{_remedy(same_proportions)}."
            )

    def _file(self, name: str) -> IO[bytes]:
        path = Path(self.source)
        if path.is_dir():
            return (path / name).open("rb")
        if _archive(path).getinfo(name).file_size > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES >> 20} MiB")
        return BytesIO(_archive(path).read(name))

    def _copies(self) -> Iterator[tuple[str, str]]:
        """Each file with the content of an earlier one, and that one; only files that are alike in size are read."""
        alike = defaultdict(list)
        for name in self.names:
            alike[self._size(name)].append(name)
        for names in alike.values():
            first: dict[bytes, str] = {}
            for name in names if len(names) > 1 else ():
                with self._file(name) as file:
                    earlier = first.setdefault(hashlib.sha256(file.read()).digest(), name)
                if earlier != name:
                    yield name, earlier

    def _size(self, name: str) -> tuple[int, ...]:
        """What files of one content share, and can be had without reading them."""
        path = Path(self.source)
        if path.is_dir():
            return ((path / name).stat().st_size,)
        entry = _archive(path).getinfo(name)
        return entry.file_size, entry.CRC


def _remedy(same_proportions: bool) -> str:
    if same_proportions:
        return f"resize the images first, or say how: {', '.join(RESAMPLING)} (it matters for the FID)"
    return "crop the images to its proportions first"


def _listed(formats: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in formats.items())


def open_folder(source: str, size: tuple[int, int], resize: str, convert: str) -> RealImages | None:
    """The images of a folder, with its subfolders, or of a zip; `None` if it is neither.

    Raises:
        NavbenchError: it cannot be read, or holds fewer than two images.
    """
    path = Path(source)
    try:
        if path.is_dir():
            inside = [str(file.relative_to(path)) for file in walk(path)]
        elif zipfile.is_zipfile(path):
            inside = [entry.filename for entry in _archive(path).infolist() if not entry.is_dir()]
        else:
            return None
    except (OSError, zipfile.BadZipFile) as error:
        raise NavbenchError(f"Reference {source!r} cannot be read ({error}).") from error
    names, skipped = image_names(inside)
    if len(names) < 2:
        beside = f", beside {len(skipped)} hidden ones that are skipped" if skipped else ""
        raise NavbenchError(
            f"Reference {source!r} holds {len(names)} images ({', '.join(sorted(SUFFIXES))}){beside}; "
            "it needs at least 2."
        )
    return RealImages(source, names, size, resize, convert, skipped)


def _archive(path: Path) -> zipfile.ZipFile:
    """A zip, whose index is read once."""
    return _archive_at(path, path.stat().st_mtime_ns)


@cache
def _archive_at(path: Path, _changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
