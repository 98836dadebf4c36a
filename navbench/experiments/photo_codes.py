"""Projected photos as files, which stand for the photos in other runs."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from navbench.errors import NavbenchError, unknown
from navbench.experiments.experiment import File
from navbench.experiments.projection import SPACES, Projection, latent_of
from navbench.experiments.real_images import Photo
from navbench.experiments.strips import to_float
from navbench.generators.base import Generator
from navbench.places import Folder
from navbench.spaces import ActivationSpace
from navbench.work import Stored, tensors_of

CODES = ".safetensors"
_FORMAT = 1


@dataclass(frozen=True)
class Projected:
    """A photo and its projection into a space.

    Attributes:
        layer: of the activations that belong to it; '' for none.
        distance: the perceptual one that was minimised, in `steps` steps, with the pixels' squared difference at that
            weight beside it.
    """

    photo: Photo
    space: str
    layer: str
    distance: str
    pixel_weight: float
    steps: int
    projection: Projection


def codes_file(generator: Generator, projected: Projected) -> File:
    """A projected photo as a file that stands for it in other runs."""
    photo, where = projected.photo, "-".join(filter(None, (projected.space, projected.layer)))
    header = {
        "format": _FORMAT,
        "generator": generator.name,
        "weights": generator.fingerprint,
        **{name: getattr(projected, name) for name in ("space", "layer", "distance", "pixel_weight", "steps")},
        **{name: getattr(photo, name) for name in ("name", "source", "cropped", "truth")},
    }
    content = save(tensors_of(projected.projection), {"navbench codes": json.dumps(header, sort_keys=True)})
    return File(f"codes/{photo.name}-{where}{CODES}", content)


def read_codes(path: Path, generator: Generator) -> Projected:
    """A projected photo from its file, on the generator that it was projected into."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["navbench codes"])
        piece = Stored(Projection, Folder(path.parent), path.name).load()
        known = {name: header[name] for name in ("space", "layer", "distance", "steps", "weights")}
        known["pixel_weight"] = float(header.get("pixel_weight", 0.0))  # the first ones had none
        photo = Photo(header["name"], to_float(piece.photo), header["source"], header["cropped"], dict(header["truth"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise NavbenchError(f"{path} does not hold the codes of a photo ({error}).") from None
    if known.pop("weights") != generator.fingerprint:
        raise NavbenchError(
            f"{path}: photo {photo.name!r} was projected into other weights than those of {generator.name}."
        )
    _check_shapes(path, generator, known["space"], known["layer"], piece)
    return Projected(photo, **known, projection=piece)


def _check_shapes(path: Path, generator: Generator, space: str, layer: str, piece: Projection) -> None:
    """Refuse tensors that are not those of a projection into a space of this generator."""
    if space not in SPACES:
        raise unknown(f"space of projection in {path}", space, SPACES)
    wanted = {
        "photo": (3, *generator.size),
        "latent": tuple(generator.latent_shape(latent_of(space))),
        "maps": (sum(side * side for side in generator.noise_inputs()) if piece.maps.numel() else 0,),
        "activation": (0,),
    }
    if layer:
        wanted["activation"] = tuple(ActivationSpace(generator, generator.layer(layer)).shape)
    for name, shape in wanted.items():
        found = tuple(getattr(piece, name).shape)
        if found != shape:
            raise NavbenchError(f"{path}: {name!r} has shape {found}, but {generator.name} needs {shape}.")
