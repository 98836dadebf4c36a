"""A reference of real images: a folder or a zip of them, at exactly the generator's size."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.metrics.extractors import Extractor

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff"}


@dataclass(frozen=True)
class RealImages:
    """Image files by name, in sorted order, read one at a time; nothing is resized or converted.

    Attributes:
        names: of the files.
        read: the bytes of one.
    """

    source: str
    names: tuple[str, ...]
    read: Callable[[str], bytes]
    resolution: int

    def images(self, rows: Sequence[int]) -> Tensor:
        """Images number `rows`, (N, 3, H, W), float, [-1, 1]."""
        return torch.stack([self._image(self.names[row]) for row in rows])

    def check(self) -> None:
        """Refuse the first file whose header tells of another size or mode, before any work is done."""
        for name in self.names:
            self._open(name, whole=False)

    def _image(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self._open(name))).permute(2, 0, 1).float() / 127.5 - 1

    def _open(self, name: str, *, whole: bool = True) -> Image.Image:
        try:
            with Image.open(BytesIO(self.read(name))) as image:
                if whole:
                    image.load()
        except Exception as error:  # of many kinds: zip files, encryption and every image format have their own
            raise NavbenchError(f"{name} in reference {self.source} cannot be read as an image ({error}).") from None
        if image.mode != "RGB":
            raise NavbenchError(
                f"{name} in reference {self.source} has mode {image.mode}; convert the images to RGB first."
            )
        if image.size != (self.resolution, self.resolution):
            raise NavbenchError(
                f"{name} in reference {self.source} is {image.width}x{image.height}, but the generator makes "
                f"{self.resolution}x{self.resolution}; resize the images first (how matters for the FID)."
            )
        return image


def open_reference(source: str, resolution: int) -> RealImages:
    """The images of a folder (with its subfolders) or a zip."""
    path = Path(source)
    try:
        if path.is_dir():
            files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
            found: Sequence[str] = list(files)
            read: Callable[[str], bytes] = lambda name: files[name].read_bytes()  # noqa: E731
        elif zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)
            found, read = [entry.filename for entry in archive.infolist() if not entry.is_dir()], archive.read
        else:
            raise NavbenchError(
                f"Reference {source!r} is neither 'unshifted' nor a folder or zip of images; check the path."
            )
    except (OSError, zipfile.BadZipFile) as error:
        raise NavbenchError(f"Reference {source!r} cannot be read ({error}).") from error
    names = tuple(sorted(name for name in found if PurePath(name).suffix.lower() in SUFFIXES))
    if len(names) < 2:
        raise NavbenchError(
            f"Reference {source!r} holds {len(names)} images ({', '.join(sorted(SUFFIXES))}); it needs at least 2."
        )
    return RealImages(source, names, read, resolution)


def real_features(images: RealImages, rows: Sequence[int], extractor: Extractor, compute: Compute) -> Tensor:
    """Features (n, D) of images number `rows` of a reference."""

    def work(chunk: Sequence[int]) -> Tensor:
        return extractor(images.images(chunk).to(compute.device)).cpu()

    return torch.cat(list(compute.over(rows, work)))
