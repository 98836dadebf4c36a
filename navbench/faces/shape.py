"""The mean shape of a face, against which pose is measured, and what is known of its 468 landmarks."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from navbench.errors import NavbenchError

SHIPPED = Path(__file__).parent / "weights" / "shape.safetensors"


@dataclass(frozen=True)
class Shape:
    """The mean of the meshes of samples of `faces`, made symmetric (see `convert_shape.py`).

    Attributes:
        mean: (468, 3), float32: x to the right of the image, y down, z away from the camera, in distances between the
            centres of the eyes, the origin at the mean; forehead and chin (landmarks 10 and 152) have the same depth.
        mirror: (468,), int64: the landmark at the mirrored place.
        rigid: (468,), bool: those of forehead, eyes, nose and upper cheeks, which expressions move little.
        skin: (468,), bool: those of cheeks, nose and chin, where no hair, eye or lip is.
    """

    mean: Tensor
    mirror: Tensor
    rigid: Tensor
    skin: Tensor


@cache
def shipped() -> Shape:
    """The shape that is shipped."""
    try:
        tensors = load_file(SHIPPED)
        return Shape(tensors["mean"], tensors["mirror"].long(), tensors["rigid"], tensors["skin"])
    except (OSError, SafetensorError, KeyError) as error:
        raise NavbenchError(f"The mean face {SHIPPED} cannot be read ({error}); install navbench anew.") from None
