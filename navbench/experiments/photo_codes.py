"""Projected photos as files, which stand for the photos in other runs; and latents that other tools found."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from navbench.arrays import read_arrays
from navbench.errors import NavbenchError, unknown
from navbench.experiments.experiment import File
from navbench.experiments.projection import SPACES, Projection, latent_of
from navbench.experiments.real_images import Photo
from navbench.experiments.strips import to_bytes, to_float
from navbench.generators.base import Generator
from navbench.pickles import read_torch
from navbench.places import Folder
from navbench.spaces import ActivationSpace
from navbench.texts import legible
from navbench.work import Stored, tensors_of

CODES = ".safetensors"
LATENTS_OF_OTHERS = (".npz", ".pt", ".pth")
"""Endings: of StyleGAN2-ADA's `projected_w.npz`, (1, L, D) as `w`; of pSp's and e4e's `latents.pt`, (N, L, D)."""
UNKNOWN = "unknown"
"""The distance that another tool minimised."""
_FORMAT = 1
_LONGEST_TEXT = 500
"""Characters of a text in a header, such as the path of a photo."""


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
            header = legible(json.loads((file.metadata() or {})["navbench codes"]), _LONGEST_TEXT)
        piece = Stored(Projection, Folder(path.parent), path.name).load()
        known = {name: header[name] for name in ("space", "layer", "distance", "steps", "weights")}
        known["pixel_weight"] = float(header.get("pixel_weight", 0.0))  # the first ones had none
        photo = Photo(header["name"], to_float(piece.photo), header["source"], header["cropped"], dict(header["truth"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
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
        "maps": (sum(math.prod(size) for size in generator.noise_inputs()) if piece.maps.numel() else 0,),
        "activation": (0,),
    }
    if layer:
        wanted["activation"] = tuple(ActivationSpace(generator, generator.layer(layer)).shape)
    for name, shape in wanted.items():
        found = tuple(getattr(piece, name).shape)
        if found != shape:
            raise NavbenchError(f"{path}: {name!r} has shape {found}, but {generator.name} needs {shape}.")


# --- of other tools


def read_latents(path: Path, generator: Generator) -> list[Projected]:
    """The latents that another tool projected photos to, in w+ or w, each with its image in place of the photo.

    How near they come to the photos, which the file does not hold, is unknown.

    Raises:
        NavbenchError: the file is broken, or holds no latents of this generator.
    """
    space, latents = _placed(path, _latents(path), generator)
    unknown_pair, none = torch.full((2,), math.nan, dtype=torch.float64), torch.empty(0)
    found = []
    for index, latent in enumerate(latents):
        codes = generator.with_latent(generator.sample([0], seed=0), space, latent[None].to(generator.device))
        with torch.no_grad():
            image = to_bytes(generator(codes))[0].cpu()
        name = path.stem if len(latents) == 1 else f"{path.stem}-{index}"
        piece = Projection(
            photo=image,
            latent=latent,
            label=none.long(),
            maps=none,
            activation=none,
            image=image,
            distances=unknown_pair,
            errors=unknown_pair,
            seconds=torch.zeros((), dtype=torch.float64),
        )
        photo = Photo(name, to_float(image), f"{path}, number {index}")
        found.append(Projected(photo, space, "", UNKNOWN, 0.0, 0, piece))
    return found


def _latents(path: Path) -> Tensor:
    """What a file holds, (N, ...), float32."""
    if path.suffix.lower() == ".npz":
        held: Any = read_arrays(path, ("w",)).get("w")
        held = None if held is None else torch.as_tensor(held)
    else:
        held = read_torch(path)
    if not isinstance(held, Tensor) or not held.is_floating_point() or not torch.isfinite(held).all():
        raise NavbenchError(
            f"{path} holds no latents; expected w of a projected_w.npz, or a tensor (N, L, D) of real numbers."
        )
    return held.detach().float()


def _placed(path: Path, latents: Tensor, generator: Generator) -> tuple[str, Tensor]:
    """The space that latents are in, w+ or w, and the latents, (N, *its shape)."""
    for space in ("w+", "w"):
        if space in generator.latents and latents.ndim > 1:
            shape = generator.latent_shape(space)
            if latents.shape[1:] == shape and len(latents):
                return space, latents
            if latents.shape == shape:
                return space, latents[None]
    has = [f"{space} of {tuple(generator.latent_shape(space))}" for space in ("w+", "w") if space in generator.latents]
    raise NavbenchError(
        f"{path} holds latents of shape {tuple(latents.shape)}, but generator {generator.name} has "
        f"{' and '.join(has) or 'neither w nor w+'}."
    )
