"""Images of any codes under up to four directions at once, each at its own shift."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.directions import Direction, DirectionSet
from navbench.errors import Failure, NavbenchError
from navbench.experiments.edit import codes_for
from navbench.experiments.photo_codes import Projected
from navbench.experiments.photos import moves
from navbench.experiments.projection import codes_of, latent_of, with_activations
from navbench.experiments.strips import to_bytes
from navbench.generators.base import Generator
from navbench.library import SetFile
from navbench.seeds import Role
from navbench.spaces import Space
from navbench.words import LATENTS, SpaceKind

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MOST_STACKED = 4
ACTIVATION = SpaceKind.ACTIVATION.value
_LARGEST_INDEX = 10**9
_SETS_KEPT, _OFFSETS_KEPT, _STATES_KEPT = 6, 8, 2


@dataclass(frozen=True)
class Part:
    """A direction of a stack, by its number on the shelf, and its shift."""

    number: int
    t: float


@dataclass(frozen=True)
class Sample:
    """A code by seed and index, the same that a run's strips show."""

    seed: int
    index: int


@dataclass(frozen=True)
class PhotoCode:
    """A photo's projected code, by its number in the album."""

    number: int


Code = Sample | PhotoCode


def parse_stack(text: str) -> tuple[Part, ...]:
    """A stack as an address writes it: '3:1.5,17:-2'.

    Raises:
        NavbenchError: it is written otherwise.
    """
    parts = []
    for each in text.split(","):
        found = re.fullmatch(r"(\d{1,7}):([-+]?\d*\.?\d+(?:[eE][-+]?\d{1,3})?)", each)
        if found is None:
            raise NavbenchError(f"{each[:40]!r} is no direction with its shift, such as 3:1.5.")
        parts.append(Part(int(found[1]), float(found[2])))
    return tuple(parts)


def parse_codes(text: str) -> tuple[Code, ...]:
    """Codes as an address writes them: 's0.12' is code 12 of seed 0, 'p1' is photo 1.

    Raises:
        NavbenchError: they are written otherwise.
    """
    codes: list[Code] = []
    for each in text.split(","):
        sample, photo = re.fullmatch(r"s(\d{1,18})\.(\d{1,10})", each), re.fullmatch(r"p(\d{1,6})", each)
        if sample is not None and int(sample[2]) <= _LARGEST_INDEX:
            codes.append(Sample(int(sample[1]), int(sample[2])))
        elif photo is not None:
            codes.append(PhotoCode(int(photo[1])))
        else:
            raise NavbenchError(f"{each[:40]!r} is no code, such as s0.12 (seed 0, index 12) or p0 (the first photo).")
    return tuple(codes)


class Shelf:
    """The directions of some sets by one number each; a set is loaded when a direction of it is asked for.

    Attributes:
        names: the full names, by number.
    """

    def __init__(self, generator: Generator, files: Sequence[SetFile]) -> None:
        self.generator, self.files = generator, tuple(files)
        self.places = [(file, index) for file in files for index in range(file.count)]
        self.names = [name for file in files for name in file.names()]
        self._sets = Recent[str, DirectionSet](_SETS_KEPT)

    def __len__(self) -> int:
        return len(self.names)

    def direction(self, number: int) -> Direction:
        """The direction of that number.

        Raises:
            NavbenchError: there is none, or its set cannot be loaded.
        """
        if not 0 <= number < len(self):
            raise NavbenchError(f"There is no direction {number}; there are {len(self)}, from 0.")
        file, index = self.places[number]
        return self._sets.get(str(file.path), lambda: file.load(self.generator))[index]


@dataclass(frozen=True)
class _Order:
    """In which order the parts of a stack take effect.

    Attributes:
        latent: those that change the codes.
        kernels: those that change the kernels of a copy of the generator, by layer.
        last: those of the space that renders the images: the deepest layer, or where none is, the last latent space.
    """

    latent: tuple[tuple[Part, Direction], ...]
    kernels: dict[str, list[tuple[Part, Direction]]]
    last: list[tuple[Part, Direction]]


class Bench:
    """Renders stacks of directions on one generator; for one thread at a time.

    The generator itself is never changed: where several kernels are shifted at once, a copy of it is.
    """

    def __init__(self, shelf: Shelf, album: Sequence[Projected], compute: Compute) -> None:
        self.shelf, self.album, self.compute = shelf, tuple(album), compute
        self.generator = shelf.generator
        self._offsets, self._states = Recent[int, Tensor](_OFFSETS_KEPT), Recent[Any, Any](_STATES_KEPT)
        self._copy: Generator | None = None

    def images(self, stack: Sequence[Part], codes: Sequence[Code]) -> Tensor:
        """Images (N, 3, H, W), uint8, of N codes under all directions of a stack.

        Offsets of codes come first, z before w; then those of kernels, which are summed within a layer.

        Raises:
            NavbenchError: the directions cannot be stacked, or do not move one of the codes.
        """
        order = self._order([(part, self.shelf.direction(part.number)) for part in stack])
        images: dict[int, Tensor] = {}
        for places in self._alike(codes):
            chunks = self.compute.over(places, lambda chunk: self._chunk(order, [codes[place] for place in chunk]))
            images |= zip(places, torch.cat(list(chunks)), strict=True)
        return torch.stack([images[place] for place in range(len(codes))])

    def _order(self, parts: Sequence[tuple[Part, Direction]]) -> _Order:
        check_stack([direction for _, direction in parts])
        by_place: dict[str, list[tuple[Part, Direction]]] = {}
        for part, direction in sorted(parts, key=lambda pair: self._depth(pair[1])):
            by_place.setdefault(direction.place, []).append((part, direction))
        *_, last = by_place
        latent = [pair for place, pairs in by_place.items() if place != last for pair in pairs if pair[1].layer is None]
        kernels = {place: pairs for place, pairs in by_place.items() if place != last and pairs[0][1].layer is not None}
        return _Order(tuple(latent), kernels, by_place[last])

    def _depth(self, direction: Direction) -> tuple[int, int]:
        if direction.layer is None:
            return 0, LATENTS.index(direction.space)
        return 1, self.generator.layer(direction.layer).index

    def _alike(self, codes: Sequence[Code]) -> list[list[int]]:
        """The places of codes that are rendered in one batch: samples of one seed, photos projected alike."""
        groups: dict[Any, list[int]] = {}
        for place, code in enumerate(codes):
            groups.setdefault(self._kind(code), []).append(place)
        return list(groups.values())

    def _kind(self, code: Code) -> Any:
        if isinstance(code, Sample):
            return code.seed
        if code.number >= len(self.album):
            raise NavbenchError(f"There is no photo {code.number}; there are {len(self.album)}, from 0.")
        photo = self.album[code.number]
        return photo.space, photo.layer, photo.projection.maps.numel()

    @torch.no_grad()
    def _chunk(self, order: _Order, codes: Sequence[Code]) -> Tensor:
        """Images of codes that are alike."""
        moved = [*order.latent, *(pair for pairs in order.kernels.values() for pair in pairs)]
        direction = order.last[0][1]
        with self._shifted(order.kernels) as generator, self.compute.autocast():
            space = direction.space_of(generator)
            key = (direction.place, direction.space, tuple(codes), tuple(part for part, _ in moved))
            state = self._states.get(key, lambda: self._state(space, order, codes))
            images = space.render(state, self._sum(order.last))
        parts = [*moved, *order.last]
        names = " and ".join(f"{direction.name} at t = {part.t:g}" for part, direction in parts)
        return to_bytes(self.compute.finite(images, f"Generator {self.generator.name} under {names}"))

    def _state(self, space: Space, order: _Order, codes: Sequence[Code]) -> Any:
        """All work before the last space."""
        samples = [code for code in codes if isinstance(code, Sample)]
        photos = [self.album[code.number] for code in codes if isinstance(code, PhotoCode)]
        if photos:
            self._check_photos(photos, order)
            latents = codes_of(self.generator, [each.projection for each in photos], latent_of(photos[0].space))
        else:
            indices = [sample.index for sample in samples]
            latents = codes_for(self.generator, Role.STRIP, indices, samples[0].seed)
        for pair in order.latent:
            latents = self.generator.shift_latent(latents, pair[1].space, self._sum([pair]))
        state = space.prepare(latents)
        return with_activations(state, [each.projection for each in photos]) if photos else state

    def _check_photos(self, photos: Sequence[Projected], order: _Order) -> None:
        pairs = [*order.latent, *(pair for pairs in order.kernels.values() for pair in pairs), *order.last]
        for _, direction in pairs:
            for each in photos:
                if not moves(direction, each.space, each.layer):
                    into = f"{each.space} of {each.layer}" if each.layer else each.space
                    raise NavbenchError(
                        f"{direction.name} does not move photo {each.photo.name!r}, projected into {into}."
                    )

    def _sum(self, parts: Sequence[tuple[Part, Direction]]) -> Tensor:
        """The sum of t times offset."""
        terms = [
            part.t * self._offsets.get(part.number, lambda each=each: each.offset.to(self.compute.device))  # type: ignore[misc]
            for part, each in parts
        ]
        return reduce(torch.add, terms)

    @contextmanager
    def _shifted(self, kernels: Mapping[str, Sequence[tuple[Part, Direction]]]) -> Iterator[Generator]:
        """The generator with these kernels shifted, in a copy that is set back afterwards; itself where none is."""
        if not kernels:
            yield self.generator
            return
        if self._copy is None:
            self._copy = deepcopy(self.generator)
        own = {place: self.generator.kernel(self.generator.layer(place)) for place in kernels}
        try:
            for place, pairs in kernels.items():
                self._set_kernel(self._copy, place, own[place] + self._sum(pairs))
            yield self._copy
        finally:
            for place, kernel in own.items():
                self._copy.kernel(self._copy.layer(place)).copy_(kernel)

    def _set_kernel(self, generator: Generator, place: str, kernel: Tensor) -> None:
        layer = generator.layer(place)
        generator.kernel(layer).copy_(kernel)
        if not torch.equal(generator.kernel(layer), kernel):
            raise Failure(
                f"The kernel of {place} of generator {generator.name} is computed anew on each pass, so a second layer "
                "cannot be shifted with it; stack directions of one layer, or latent ones."
            )


def check_stack(directions: Sequence[Direction]) -> None:
    """Refuse what cannot be stacked.

    Raises:
        NavbenchError: nothing, too many, one of them twice, or an activation with anything else.
    """
    if not 1 <= len(directions) <= MOST_STACKED:
        raise NavbenchError(f"A stack is of 1 to {MOST_STACKED} directions, not of {len(directions)}.")
    names = [direction.name for direction in directions]
    if twice := [name for name in names if names.count(name) > 1]:
        raise NavbenchError(f"{twice[0]} is in the stack already; move its own slider.")
    for direction in directions:
        if direction.space == ACTIVATION and len(directions) > 1:
            raise NavbenchError(f"{direction.name} shifts an activation, which cannot be stacked; look at it alone.")


class Recent(Generic[Key, Value]):
    """The values that were asked for last."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not among them; the least recent one gives way."""
        if key not in self._values:
            value = make()
            while len(self._values) >= self.most:
                self._values.popitem(last=False)
            self._values[key] = value
        self._values.move_to_end(key)
        return self._values[key]
