"""Photos of a run: projected once, kept as codes that other runs can use, and edited by its directions."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from navbench.compute import Compute
from navbench.directions import Direction
from navbench.errors import NavbenchError, NavbenchWarning, unknown
from navbench.experiments.projection import (
    ACTIVATION,
    PIXELS,
    SPACES,
    Projection,
    latent_of,
    project_into_activations,
    project_photo,
    spaces_of,
)
from navbench.experiments.real_images import Photo, open_photos, photo_strip
from navbench.experiments.strips import to_float
from navbench.files import write_atomically
from navbench.generators.base import Generator
from navbench.runner import pictures
from navbench.runner.bench import Measurement
from navbench.runner.results import EditedPhotos, Projected, Results
from navbench.spaces import ActivationSpace
from navbench.suite import Subject, Suite
from navbench.work import read_piece, tensors_of

CODES = ".safetensors"
_FORMAT = 1


def check_photos(suite: Suite, subject: Subject, generator: Generator) -> None:
    """Refuse photos, codes and spaces that cannot be used, before any work is done."""
    if "photos" not in suite.experiments or not subject.photos:
        return
    _sources(suite, subject, generator)
    spaces_of(generator, suite.photos.spaces)


def check_edits(measurement: Measurement, directions: Sequence[Direction]) -> None:
    """Refuse photos and codes that no direction moves, and two of one name; tell which directions move none.

    Raises:
        NavbenchError: so it is, or a direction that the suite names moves none.
    """
    if not directions:
        return
    album = _Album(measurement)
    for each in album.given:
        if not any(moves(direction, each.space, each.layer) for direction in directions):
            what = f"hold activations that enter {each.layer}, where" if each.layer else f"are in {each.space}, which"
            none = "none of these directions is" if each.layer else "none of these directions moves"
            raise NavbenchError(f"The codes of {each.photo.name!r} {what} {none}; project the photo itself anew.")
    fixed = [direction for direction in directions if not album.spaces(direction)]
    for direction in fixed:
        there = ", ".join(dict.fromkeys([*album.wanted, *(each.space for each in album.given)]))
        sentence = (
            f"{direction.name} cannot edit photos in {there}, as nothing there is moved by an offset in "
            f"{direction.space}; project the photos into {direction.space}, too."
        )
        if measurement.plan.only or len(fixed) == len(directions):
            raise NavbenchError(sentence)
        warnings.warn(sentence, NavbenchWarning, stacklevel=2)
    for direction in directions:
        album.check_names(direction)


def _sources(suite: Suite, subject: Subject, generator: Generator) -> tuple[list[Photo], list[Projected]]:
    """The photos of a subject, and those that come as codes of an earlier run."""
    codes = [source for source in subject.photos if source.endswith(CODES)]
    images = [source for source in subject.photos if source not in codes]
    photos = open_photos(images, generator.size, suite.photos.count)
    return photos, [read_codes(Path(source), generator) for source in codes]


def moves(direction: Direction, space: str, layer: str) -> bool:
    """Whether a direction edits what was projected into a space; activations are of one layer.

    A latent direction moves codes of its own space, and of those that are mapped into it: a direction of z moves no
    codes in w, as the way from z to w cannot be gone back.
    """
    if direction.space == "parameter":
        return space != ACTIVATION or direction.layer == layer
    return space in {"z": ("z",), "w": ("z", "w", "w+"), "w+": ("z", "w", "w+")}.get(direction.space, ())


def edit_photos(measurement: Measurement, results: Results, directions: Sequence[Direction]) -> None:
    """Project the photos of the generator, and edit them by some directions: tables, codes and pictures."""
    album = _Album(measurement)
    pairs = [(direction, space) for direction in directions for space in album.spaces(direction)]
    with measurement.counted(f"{measurement.generator.name}: photos", len(pairs)) as tick:
        for direction, space in pairs:
            edited, rows = _edited(measurement, direction, space, album.projected(direction, space))
            results.edited.append(edited)
            results.pictures += rows
            tick(f"{direction.name} in {space}")
    results.projected = album.used()


class _Album:
    """The photos of a generator, projected where and when they are asked for.

    Attributes:
        photos: to be projected; wanted: the spaces that all of them are projected into.
        given: projections that came as files.
    """

    def __init__(self, measurement: Measurement) -> None:
        suite, generator = measurement.bench.suite, measurement.generator
        self._measurement = measurement
        self.photos, self.given = _sources(suite, measurement.plan.subject, generator)
        self.wanted = spaces_of(generator, suite.photos.spaces) if self.photos else ()
        self._made: dict[tuple[str, str], list[Projected]] = {}
        self._used: dict[int, Projected] = {}

    def spaces(self, direction: Direction) -> list[str]:
        """Where there are, or will be, projections that a direction can edit."""
        known = {each.space for each in self.given if moves(direction, each.space, each.layer)}
        return [space for space in SPACES if space in {*self._own_spaces(direction), *known}]

    def _own_spaces(self, direction: Direction) -> tuple[str, ...]:
        """Where the photos are projected for a direction: where no space was asked for, its own if no other will do."""
        fitting = tuple(space for space in self.wanted if moves(direction, space, direction.place))
        chosen = self._measurement.bench.suite.photos.spaces
        return (direction.space,) if not fitting and self.photos and not chosen else fitting

    def check_names(self, direction: Direction) -> None:
        """Refuse two photos of one name where a direction edits both."""
        for space in self.spaces(direction):
            layer = direction.place if space == ACTIVATION else ""
            names = [photo.name for photo in self.photos if space in self._own_spaces(direction)]
            names += [each.photo.name for each in self.given if (each.space, each.layer) == (space, layer)]
            for name in names:
                if names.count(name) > 1:
                    raise NavbenchError(f"There are two of {name} in {space}; leave one out, or rename it.")

    def used(self) -> list[Projected]:
        """Every projection that was asked for, once."""
        return list(self._used.values())

    def projected(self, direction: Direction, space: str) -> list[Projected]:
        """All projections into a space that a direction can edit."""
        layer = direction.place if space == ACTIVATION else ""
        own = self._own(space, layer) if space in self._own_spaces(direction) else []
        found = own + [each for each in self.given if (each.space, each.layer) == (space, layer)]
        self._used |= {id(each): each for each in found}
        return found

    def _own(self, space: str, layer: str) -> list[Projected]:
        if (space, layer) not in self._made:
            self._made[space, layer] = self._project(space, layer)
        return self._made[space, layer]

    def _project(self, space: str, layer: str) -> list[Projected]:
        """All photos, from the store or projected now; each photo's codes go into the run's folder."""
        bench, generator = self._measurement.bench, self._measurement.generator
        steps = bench.suite.photos.steps
        compute = Compute(str(bench.compute.device), "float32", bench.compute.batch)
        common = (generator, bench.distance, compute, steps, bench.suite.seed)
        into = latent_of(space)
        pieces = [project_photo.piece(photo.image, into, *common) for photo in self.photos]
        if space == ACTIVATION:
            self._own(into, "")  # in one pass, before each is asked for as a part
            pieces = [project_into_activations.piece(piece, layer, *common) for piece in pieces]
        found = [
            Projected(photo, space, layer, bench.distance.name, PIXELS[space], steps, projection)
            for photo, projection in zip(self.photos, self._measurement.pieces(pieces), strict=True)
        ]
        for each in found:
            write_codes(bench.folder / "codes", generator, each)
        return found


def _edited(
    measurement: Measurement, direction: Direction, space: str, found: Sequence[Projected]
) -> tuple[EditedPhotos, list[pictures.Row]]:
    """The edits of photos by one direction, and the row of their picture."""
    bench, scorer = measurement.bench, measurement.scorer
    shifts = direction.shifts(bench.suite.strips.shifts).tolist()
    projections = [each.projection for each in found]
    piece = photo_strip.piece(measurement.edit(direction), latent_of(space), projections, shifts, scorer)
    (strip,), photos = measurement.pieces([piece]), tuple(each.photo for each in found)
    names = [photo.name for photo in photos]
    rows = pictures.write_photos(bench.folder, direction, space, shifts, names, strip.images)
    return EditedPhotos(direction, space, photos, tuple(shifts), strip.scores), rows


# --- codes as files ----------------------------------------------------------------------------------------------


def write_codes(folder: Path, generator: Generator, projected: Projected) -> None:
    """Write a projected photo as a file that stands for it in other runs, if it is not there."""
    photo, where = projected.photo, "-".join(filter(None, (projected.space, projected.layer)))
    header = {
        "format": _FORMAT,
        "generator": generator.name,
        "weights": generator.fingerprint,
        **{name: getattr(projected, name) for name in ("space", "layer", "distance", "pixel_weight", "steps")},
        **{name: getattr(photo, name) for name in ("name", "source", "cropped", "truth")},
    }
    content = save(tensors_of(projected.projection), {"navbench codes": json.dumps(header, sort_keys=True)})
    write_atomically(folder / f"{photo.name}-{where}{CODES}", content)


def read_codes(path: Path, generator: Generator) -> Projected:
    """A projected photo from its file, on the generator that it was projected into."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["navbench codes"])
        piece = read_piece(Projection, path)
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
