"""Photos: real images, projected once, kept as codes that other runs can use, and edited by directions."""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Literal

from pydantic import Field
from torch import Tensor

from navbench.compute import Compute
from navbench.directions import Direction
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.measurement import Instruments, Measurement
from navbench.experiments.photo_codes import CODES, LATENTS_OF_OTHERS, Projected, codes_file, read_codes, read_latents
from navbench.experiments.pictures import still
from navbench.experiments.projection import (
    ACTIVATION,
    PIXELS,
    SPACES,
    latent_of,
    project_into_activations,
    project_photo,
    spaces_of,
)
from navbench.experiments.real_images import Photo, open_photos, photo_strip
from navbench.experiments.rows import Row, who
from navbench.experiments.strips import Strips
from navbench.metrics.attributes import seen
from navbench.settings import Settings


class PhotoSettings(Settings):
    """Real images, projected and edited (Figures 9 and 10).

    Attributes:
        count: of each folder and distribution.
        spaces: where they are projected; empty for w+, or where there is none, z and z with the layer's activations,
            and for a latent direction that moves nothing there, its own space.
        steps: of the projector; the original's are 1000.
        directions: how many of each set, the best ones (`Measurement.leading`).
    """

    count: int = Field(4, ge=1)
    spaces: tuple[Literal["w+", "w", "z", "z+activation"], ...] = ()
    steps: int = Field(1000, ge=1)
    directions: int = Field(1, ge=0)


@dataclass(frozen=True)
class EditedPhotos:
    """The edits of photos by one direction, over its shifts.

    Attributes:
        space: that the photos were projected into.
        images: (P, 1 + T, 3, H, W), uint8: each photo, then its edits.
        scores: (P, 1 + T, A), what a scorer reads of each.
    """

    direction: Direction
    space: str
    photos: tuple[Photo, ...]
    shifts: tuple[float, ...]
    images: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Album:
    """Photos and their edits.

    Attributes:
        projected: every projection that was used; made: those of them that this run made.
        edited: one per direction and space.
    """

    projected: Sequence[Projected]
    made: Sequence[Projected]
    edited: Sequence[EditedPhotos]


class Photos(Experiment[PhotoSettings, Album]):
    """Real images under the directions."""

    name = "photos"
    settings = PhotoSettings

    def check(self, on: Instruments) -> None:
        """Photos, codes and spaces that cannot be used."""
        if on.subject.photos:
            sources_of(on)
            spaces_of(on.generator, on.settings(Photos).spaces)

    def check_directions(self, on: Measurement) -> None:
        """Photos and codes that no direction moves, and two of one name; tell which directions move none."""
        directions = on.plan.first(on.settings(Photos).directions)  # of each space one, as of those that are edited
        if on.subject.photos and directions:
            _check_edits(on, directions)

    def has_work(self, on: Measurement) -> bool:
        """With photos."""
        return bool(on.subject.photos)

    def gaps(self, on: Measurement) -> Iterator[str]:
        """No photos, and those that lose the subject of the scorer."""
        if not on.subject.photos:
            yield f"No photos of {on.generator.name} were given, so none was edited."
        outcome = on.outcome(Photos)
        if outcome is not None and on.scorer is not None:
            yield from _unread(on.scorer.subject, on.generator.name, outcome)

    def run(self, on: Measurement) -> Album:
        """One piece per photo and space, and one per direction and space."""
        projections, edited = _Projections(on), []
        directions = on.leading(on.settings(Photos).directions)
        pairs = [(direction, space) for direction in directions for space in projections.spaces(direction)]
        with on.counted("photos", len(pairs)) as tick:
            for direction, space in pairs:
                edited.append(_edited(on, direction, space, projections.projected(direction, space)))
                tick(f"{direction.name} in {space}")
        return Album(projections.used(), projections.made(), edited)

    def rows(self, on: Measurement, outcome: Album) -> Mapping[str, Iterable[Row]]:
        """Per photo and space; per direction, photo, attribute and shift."""
        projection = (_projection_row(on.generator.name, each) for each in outcome.projected)
        return {"projection": projection, "photo_attributes": _attribute_rows(on, outcome)}

    def files(self, on: Measurement, outcome: Album) -> Iterable[File]:
        """Codes of the photos that were projected here, and per direction and space a sheet with a row per photo."""
        yield from (codes_file(on.generator, each) for each in outcome.made)
        for edited in outcome.edited:
            slug = edited.space.replace("+", "-plus-").strip("-")
            names = json.dumps([photo.name for photo in edited.photos])
            columns = ["photo", *(f"{t:.3g}" for t in edited.shifts)]
            file = f"{edited.direction.slug}-photos-{slug}.webp"
            more = {"members": names, "target": edited.space}
            yield still(edited.direction, "photos", file, edited.images, columns, **more)


def sources_of(on: Instruments) -> tuple[list[Photo], list[Projected]]:
    """The photos of a generator, and those that come as codes, ours or another tool's; read once in a run."""
    codes = [source for source in on.subject.photos if source.endswith(CODES)]
    others = [source for source in on.subject.photos if Path(source).suffix.lower() in LATENTS_OF_OTHERS]
    images = [source for source in on.subject.photos if source not in (*codes, *others)]
    photos = on.bench.once(open_photos, tuple(images), on.generator.size, on.settings(Photos).count)
    given = [on.bench.once(read_codes, Path(source), on.generator) for source in codes]
    for source in others:
        given += on.bench.once(read_latents, Path(source), on.generator)
    return photos, given


def _check_edits(on: Measurement, directions: Sequence[Direction]) -> None:
    """Refuse photos and codes that no direction moves, and two of one name; tell which directions move none.

    Raises:
        NavbenchError: so it is, or a direction that the suite names moves none.
    """
    album = _Projections(on)
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
        if on.plan.only or len(fixed) == len(directions):
            raise NavbenchError(sentence)
        warnings.warn(sentence, NavbenchWarning, stacklevel=2)
    for direction in directions:
        album.check_names(direction)


_BEHIND_MAPPING = ("z", "w", "w+")
_MOVED = {"z": ("z",), "w": _BEHIND_MAPPING, "w+": _BEHIND_MAPPING, "s": _BEHIND_MAPPING}
"""In which spaces the codes are that a latent direction moves."""


def moves(direction: Direction, space: str, layer: str) -> bool:
    """Whether a direction edits what was projected into a space; activations are of one layer.

    A latent direction moves codes of its own space, and of those that are mapped into it: a direction of z moves no
    codes in w, as the way from z to w cannot be gone back.
    """
    if direction.space == "parameter":
        return space != ACTIVATION or direction.layer == layer
    return space in _MOVED.get(direction.space, ())


class _Projections:
    """The photos of a generator, projected where and when they are asked for.

    Attributes:
        photos: to be projected; wanted: the spaces that all of them are projected into.
        given: projections that came as files.
    """

    def __init__(self, on: Measurement) -> None:
        self._on, self._settings = on, on.settings(Photos)
        self.photos, self.given = sources_of(on)
        self.wanted = spaces_of(on.generator, self._settings.spaces) if self.photos else ()
        self._made: dict[tuple[str, str], list[Projected]] = {}
        self._used: dict[int, Projected] = {}

    def spaces(self, direction: Direction) -> list[str]:
        """Where there are, or will be, projections that a direction can edit."""
        known = {each.space for each in self.given if moves(direction, each.space, each.layer)}
        return [space for space in SPACES if space in {*self._own_spaces(direction), *known}]

    def _own_spaces(self, direction: Direction) -> tuple[str, ...]:
        """Where the photos are projected for a direction: where no space was asked for, its own if no other will do."""
        fitting = tuple(space for space in self.wanted if moves(direction, space, direction.place))
        return (direction.space,) if not fitting and self.photos and not self._settings.spaces else fitting

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

    def made(self) -> list[Projected]:
        """Every projection that was not given as a file."""
        return [each for photos in self._made.values() for each in photos]

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
        """All photos, from the store or projected now."""
        on, steps, into = self._on, self._settings.steps, latent_of(space)
        compute = Compute(str(on.bench.compute.device), "float32", on.bench.compute.batch)
        common = (on.generator, on.bench.distance, compute, steps, on.bench.suite.seed)
        pieces = [project_photo.piece(photo.image, into, *common) for photo in self.photos]
        if space == ACTIVATION:
            self._own(into, "")  # in one pass, before each is asked for as a part
            pieces = [project_into_activations.piece(piece, layer, *common) for piece in pieces]
        return [
            Projected(photo, space, layer, on.bench.distance.name, PIXELS[space], steps, projection)
            for photo, projection in zip(self.photos, on.pieces(pieces), strict=True)
        ]


def _edited(on: Measurement, direction: Direction, space: str, found: Sequence[Projected]) -> EditedPhotos:
    shifts = direction.shifts(on.settings(Strips).shifts).tolist()
    projections = [each.projection for each in found]
    piece = photo_strip.piece(on.edit(direction), latent_of(space), projections, shifts, on.scorer)
    (strip,), photos = on.pieces([piece]), tuple(each.photo for each in found)
    return EditedPhotos(direction, space, photos, tuple(shifts), strip.images, strip.scores)


def _projection_row(generator: str, projected: Projected) -> Row:
    projection = projected.projection
    return {
        "generator": generator,
        "photo": projected.photo.name,
        "source": projected.photo.source,
        "cropped": projected.photo.cropped,
        "space": projected.space,
        "layer": projected.layer,
        "steps": projected.steps,
        "distance": projected.distance,
        "pixel_weight": projected.pixel_weight,
        "perceptual_start": float(projection.distances[0]),
        "perceptual": float(projection.distances[1]),
        "psnr_db": projection.psnr,
        "mse_start": float(projection.errors[0]),
        "mse": float(projection.errors[1]),
        "seconds": float(projection.seconds),
    }


def _read(edited: EditedPhotos) -> Tensor:
    """Of which edits changes can be read, (P, T): of those that show the subject, as the same photo at t = 0 does."""
    is_seen = seen(edited.scores[:, 1:])
    return is_seen & is_seen[:, [edited.shifts.index(0.0)]]


def _unread(subject: str, generator: str, outcome: Album) -> Iterator[str]:
    """How many photos have edits of which no change can be read."""
    lost = {photo.name for each in outcome.edited for photo in compress(each.photos, ~_read(each).all(dim=1))}
    photos = {photo.name for each in outcome.edited for photo in each.photos}
    images = [_read(each).flatten() for each in outcome.edited]
    if lost:
        yield (
            f"{len(lost)} of {len(photos)} photos of {generator} do not show the {subject} in some edits, or at t = 0: "
            f"{sum(int((~part).sum()) for part in images)} of {sum(map(len, images))} images are left out."
        )


def _attribute_rows(on: Measurement, outcome: Album) -> Iterator[Row]:
    """What a scorer reads of each edit, of the photo, and what is true.

    `change` is that from t = 0, and `error` what the reading is off the truth by; both the shortest way round a circle.
    An edit is left out if it, or the same at t = 0, does not show the subject of the scorer.
    """
    for edited in outcome.edited if on.scorer is not None else ():
        assert on.scorer is not None
        zero = edited.shifts.index(0.0)
        read = zip(
            edited.photos, edited.scores.transpose(1, 2).tolist(), seen(edited.scores[:, 0]), _read(edited), strict=True
        )
        for photo, scores, is_seen, is_read in read:
            for attribute, (photo_value, *along) in zip(on.scorer.attributes, scores, strict=True):
                true, unedited = photo.truth.get(attribute.name), along[zero]
                for t, value in compress(zip(edited.shifts, along, strict=True), is_read):
                    yield {
                        **who(edited.direction),
                        "photo": photo.name,
                        "projected_into": edited.space,
                        "attribute": attribute.name,
                        "unit": attribute.unit,
                        "t": t,
                        "value": value,
                        "change": attribute.shortest(value - unedited),
                        "photo_value": photo_value if is_seen else None,
                        "true_value": true,
                        "error": None if true is None else attribute.shortest(value - true),
                    }
