"""Label maps and instance maps of a folder: what pix2pixHD makes images from.

A label map is a PNG whose pixels are class numbers; its instance map, a PNG of the same name or with `instanceIds` for
`labelIds` in it, as Cityscapes names them, numbers the objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from navbench.errors import NavbenchError, image_trouble
from navbench.files import content_hash

Size = tuple[int, int]
"""Height and width."""
_CITYSCAPES = "labelIds"
"""What Cityscapes calls label maps, in folders where there are also others of its files."""
_WHOLE_NUMBERS = {"L", "P", "I", "I;16", "I;16B", "I;16L"}
"""Pillow's modes of images whose pixels are whole numbers."""


@dataclass(frozen=True)
class LabelMaps:
    """The maps of a folder, read one at a time.

    Attributes:
        folder: of the label maps, with its subfolders.
        instances: the folder of the instance maps; none for a network without an edge channel.
        class_count: classes are 0 to this less one.
        size: to which maps are resized by taking the nearest pixel; none for their own, which must then be one.
    """

    folder: Path
    instances: Path | None
    class_count: int
    size: Size | None = None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The label maps by their paths in the folder, sorted; of Cityscapes' files, those named so."""
        if not self.folder.is_dir():
            raise NavbenchError(f"There is no folder {self.folder}; name the one of the label maps.")
        found = sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.png") if path.is_file())
        if not found:
            raise NavbenchError(f"{self.folder} holds no label maps, which are .png files; name another folder.")
        return tuple(name for name in found if _CITYSCAPES in name) or tuple(found)

    @cached_property
    def shape(self) -> Size:
        """Height and width of what the network gets.

        Raises:
            NavbenchError: maps of several sizes, and none was asked for.
        """
        if self.size is not None:
            return self.size
        first = _size(self.folder / self.names[0])
        for name in self.names[1:]:
            if (other := _size(self.folder / name)) != first:
                raise NavbenchError(
                    f"{self.folder / name} is {other[0]}x{other[1]}, but {self.names[0]} is {first[0]}x{first[1]}; "
                    "say to which height and width label maps are resized (size)."
                )
        return first

    @cached_property
    def cache_key(self) -> str:
        """What codes depend on: the files and the size."""
        hashes = [content_hash(folder) for folder in (self.folder, self.instances) if folder is not None]
        return " ".join([*hashes, f"{self.shape[0]}x{self.shape[1]}"])

    def labels(self, indices: Sequence[int]) -> Tensor:
        """The label maps number `indices`, (N, H, W), uint8.

        Raises:
            NavbenchError: a file is no map, or has a class beyond `class_count`.
        """
        return torch.stack([self._labels(self.folder / self.names[index]) for index in indices])

    def edges(self, indices: Sequence[int]) -> Tensor | None:
        """Where the objects of maps number `indices` meet, (N, H, W), bool; none without instance maps."""
        if self.instances is None:
            return None
        return torch.stack([edges(self._read(self._instance_map(self.names[index]))) for index in indices])

    def _labels(self, path: Path) -> Tensor:
        values = self._read(path)
        if int(values.max()) >= self.class_count or int(values.min()) < 0:
            worst = int(values.max() if values.max() >= self.class_count else values.min())
            raise NavbenchError(
                f"{path} has the class {worst}, but the generator knows 0 to {self.class_count - 1}; give the label "
                "maps that it was trained with (of Cityscapes: labelIds, not trainIds)."
            )
        return values.to(torch.uint8)

    def _instance_map(self, name: str) -> Path:
        assert self.instances is not None
        for path in (self.instances / name.replace(_CITYSCAPES, "instanceIds"), self.instances / name):
            if path.is_file():
                return path
        raise NavbenchError(f"There is no instance map {self.instances / name} of the label map of this name.")

    def _read(self, path: Path) -> Tensor:
        """The pixels of a map, (H, W), int32, at the size asked for."""
        try:
            with Image.open(path) as image:
                _check_mode(image, path)
                height, width = self.shape
                if image.size != (width, height) and self.size is None:
                    raise NavbenchError(f"{path} is {image.height}x{image.width}; its label map is {height}x{width}.")
                return _pixels(image.resize((width, height), Image.Resampling.NEAREST))
        except NavbenchError:
            raise
        except Exception as error:  # every image format has errors of its own
            raise NavbenchError(f"{path} cannot be read as an image ({image_trouble(error)}).") from None


def edges(instances: Tensor) -> Tensor:
    """Where a pixel's right, left, upper or lower neighbour is of another object; (H, W) to (H, W), bool.

    The fourth input of pix2pixHD (Wang et al., CVPR 2018, section 3.3).
    """
    found = torch.zeros(instances.shape, dtype=torch.bool)
    across, down = instances[:, 1:] != instances[:, :-1], instances[1:] != instances[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image).astype(np.int32))


def _size(path: Path) -> Size:
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:  # every image format has errors of its own
        raise NavbenchError(f"{path} cannot be read as an image ({image_trouble(error)}).") from None


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode not in _WHOLE_NUMBERS:
        raise NavbenchError(
            f"{path} has mode {image.mode}, but the pixels of a map are whole numbers; give the maps of ids, not the "
            "coloured ones."
        )
