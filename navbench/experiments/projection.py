"""Projection of real images into a generator's latent space (section 4.4): the projector of StyleGAN2.

Karras et al. (CVPR 2020), section 5 and appendix D: from the mean of w, Adam on the latent and on the generator's noise
maps; the distance is perceptual, noise that fades is added to the latent on the way, and the maps are kept from
carrying the image. All settings are the original's, but that each modulated layer has a latent of its own (W+, as the
paper has it) and that the distance is the one that is named; mean and spread are those of the w that the generator
uses, so truncated where it truncates. A generator without w is projected into z, and from there
into the tensor that enters a layer; there is no original for that, and a perceptual distance alone is then minimised by
images that nobody would call alike. So z stays on the sphere on which codes lie (PULSE, Menon et al., CVPR 2020), the
squared difference of pixels counts as well, and an activation is changed no more than it has to be. Always in float32.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute, doubled
from navbench.costs import Pass, Rehearsed, Trial, generating, preparing, rehearses, seeing
from navbench.errors import NavbenchError, unknown
from navbench.experiments.edit import reduced
from navbench.experiments.strips import to_bytes, to_float
from navbench.fingerprints import tensor_hash
from navbench.generators.base import Codes, Generator, Layer, State
from navbench.metrics.perceptual import PerceptualDistance
from navbench.spaces import ActivationSpace, Space, create, describe
from navbench.work import Stored, pure

SPACES = ("w+", "w", "z", "z+activation")
"""Where a photo may be projected: the last is z, and then the tensor that enters the layer of the direction."""
ACTIVATION = SPACES[-1]
PIXELS = {"w+": 0.0, "w": 0.0, "z": 1.0, ACTIVATION: 1.0}
"""By space the weight of the mean squared difference of pixels, in [-1, 1], beside the perceptual distance."""
_RESTRAINT = 0.01
"""The weight of the mean squared change of an activation, in units of its own mean square."""
_RATE, _RAMP_DOWN, _RAMP_UP = 0.1, 0.25, 0.05
_NOISE, _NOISE_STEPS = 0.05, 0.75
_REGULARISE, _SMALLEST_MAP = 1e5, 8
_LARGEST_SIDE = 256
"""The original's: the learning rate with its ramps; the noise on the latent, and the share of steps that it is for; the
weight of the noise maps' regularisation, with the side down to which it goes; the side that distances are seen at."""
_MEAN_SAMPLES = 10_000
_STARTS = 256
"""Codes among which the search in z begins: it has no mean that is an image, so the nearest of some is taken."""


@dataclass(frozen=True)
class Projection:
    """A photo in a generator's space; everything that its edits need.

    Attributes:
        photo: (3, H, W), uint8.
        latent: what stands for it, of the latent space's shape.
        label: (1,) its class, int64, (0,) without classes.
        maps: (P,), its noise maps, flattened; (0,) for none.
        activation: what is added to the tensor that enters a layer; (0,) for nothing.
        image: (3, H, W), uint8, what the generator makes of it.
        distances: (2,), float64, perceptual, from the photo, at the beginning and at the end.
        errors: (2,), float64, mean squared difference of pixels, cut off at [-1, 1], likewise.
        seconds: (), float64, its part of the time.
    """

    photo: Tensor
    latent: Tensor
    label: Tensor
    maps: Tensor
    activation: Tensor
    image: Tensor
    distances: Tensor
    errors: Tensor
    seconds: Tensor

    @property
    def cache_key(self) -> list[str]:
        """What edits of it depend on."""
        return [tensor_hash(each) for each in (self.latent, self.maps, self.activation, self.label)]

    @property
    def psnr(self) -> float:
        """The peak signal-to-noise ratio in dB."""
        return 10 * math.log10(4 / max(float(self.errors[1]), 1e-12))


def latent_of(space: str) -> str:
    """The latent space that a projection into a space is in."""
    return "z" if space == ACTIVATION else space


def spaces_of(generator: Generator, wanted: Sequence[str]) -> tuple[str, ...]:
    """Where photos are projected: the wanted spaces; or w+; or without one, z with and without activations.

    Raises:
        NavbenchError: a wanted one is not there.
    """
    for space in wanted:
        if space not in SPACES:
            raise unknown("space of projection", space, SPACES)
        if latent_of(space) not in generator.latents:
            raise unknown(f"latent space of generator {generator.name}", latent_of(space), generator.latents)
    if not generator.latents:
        raise NavbenchError(f"Generator {generator.name} has no latent space, so photos cannot be projected into it.")
    return tuple(wanted) or (("w+",) if "w+" in generator.latents else ("z", ACTIVATION))


@dataclass(frozen=True)
class Projector:
    """The projector of one generator: `steps` of Adam in the latent space of a kind; the original takes 1000."""

    generator: Generator
    distance: PerceptualDistance
    compute: Compute
    steps: int
    seed: int
    _spreads: dict[str, tuple[Tensor, float]] = field(default_factory=dict, init=False, repr=False)

    def project(self, photos: Tensor, kind: str) -> list[Projection]:
        """Photos (N, 3, H, W), float, [-1, 1], each on its own, into the latent space 'w+', 'w' or 'z'."""
        return self._batches(photos, lambda indices: self._into_latent(photos[indices[0] : indices[-1] + 1], kind))

    def into_activations(self, found: Sequence[Projection], layer: Layer) -> list[Projection]:
        """Projections into z, with what must be added to the tensor that enters a layer to come closer."""
        photos = torch.stack([each.photo for each in found])
        return self._batches(photos, lambda indices: self._into_layer([found[index] for index in indices], layer))

    def _batches(self, photos: Tensor, work: Callable[[Sequence[int]], list[Projection]]) -> list[Projection]:
        if tuple(photos.shape[1:]) != (3, *self.generator.size):
            raise NavbenchError(f"Photos are {tuple(photos.shape[1:])}, the generator's images {self.generator.size}.")
        return [each for batch in self.compute.over(range(len(photos)), work) for each in batch]

    # --- where it begins

    @torch.no_grad()
    def _spread(self, kind: str) -> tuple[Tensor, float]:
        """The mean latent, and the root of the mean squared distance from it; found once."""
        kind = kind.removesuffix("+")  # of w+ the mean is that of w, in every layer
        if kind in self._spreads:
            return self._spreads[kind]

        def work(indices: Sequence[int]) -> Tensor:
            codes = self.generator.sample(indices, seeds.derived(self.seed, "projection"))
            return self.generator.latent(codes, kind)

        latents = torch.cat(list(self.compute.over(range(_MEAN_SAMPLES), work)))
        mean = latents.mean(0)
        self._spreads[kind] = mean, float((latents - mean).flatten(1).square().sum(1).mean().sqrt())
        return self._spreads[kind]

    @torch.no_grad()
    def _nearest(self, target: Tensor) -> Codes:
        """Of some codes the one whose image is nearest to each photo, by its features (N, D)."""

        def work(indices: Sequence[int]) -> tuple[Tensor, Tensor]:
            codes = self.generator.sample(indices, seeds.derived(self.seed, "projection"))
            distances = torch.cdist(target, self._features(self.generator(codes)))
            best = distances.min(dim=1)
            return best.values, best.indices + indices[0]

        values, indices = zip(*self.compute.over(range(_STARTS), work), strict=True)
        place = torch.stack(values).argmin(dim=0)
        drawn = torch.stack(indices).gather(0, place[None])[0].tolist()
        return self.generator.sample(drawn, seeds.derived(self.seed, "projection"))

    # --- the search

    def _into_latent(self, photos: Tensor, kind: str) -> list[Projection]:
        begun, generator = time.monotonic(), self.generator
        photos = photos.to(self.compute.device)
        with torch.no_grad():
            target = self._features(photos)
        mean, spread = self._spread(kind)
        if kind == "z":
            codes = self._nearest(target)
            start = _onto_sphere(generator.latent(codes, kind), spread)
        else:
            codes = generator.sample([0] * len(photos), self.seed)
            start = mean.expand(len(photos), *generator.latent_shape(kind))
        latent = start.clone().requires_grad_()
        maps = [self._map(place, size, len(photos)) for place, size in enumerate(generator.noise_inputs())]

        def images(at: Tensor) -> Tensor:
            placed = generator.with_latent(codes, kind, at)
            return generator(generator.with_noise(placed, maps) if maps else placed)

        def loss(step: int) -> Tensor:
            fade = max(0.0, 1 - step / self.steps / _NOISE_STEPS) ** 2
            drawn = seeds.normal(seeds.derived(self.seed, "projection noise"), [step], tuple(latent.shape[1:]))
            noise = drawn.to(latent.device) * (spread * _NOISE * fade)
            far = self._far(images(latent + noise), photos, target, PIXELS[kind])
            return far + _REGULARISE * sum((_correlation(each) for each in maps), torch.zeros((), device=far.device))

        def restrict() -> None:
            _normalise(maps)
            if kind == "z":
                latent.data = _onto_sphere(latent, spread)

        with torch.no_grad():
            first = images(start)
        self._minimise([latent, *maps], loss, restrict)
        with torch.no_grad():
            last = images(latent)
        label = getattr(codes, "label", None)
        found = {
            "latent": latent.detach().cpu(),
            "label": torch.empty(len(photos), 0).long() if label is None else label[:, None].cpu(),
            "maps": torch.cat([each.detach().flatten(1) for each in maps], dim=1).cpu()
            if maps
            else torch.empty(len(photos), 0),
            "activation": torch.empty(len(photos), 0),
        }
        return self._pieces(photos, first, last, found, begun)

    def _into_layer(self, found: Sequence[Projection], layer: Layer) -> list[Projection]:
        begun, generator = time.monotonic(), self.generator
        photos = to_float(torch.stack([each.photo for each in found]).to(self.compute.device))
        with torch.no_grad():
            target = self._features(photos)
            state = generator.before(codes_of(generator, found, "z"), layer)
            first = generator.after(state, layer)
        scale = state.input.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        moved = torch.zeros_like(state.input, requires_grad=True)

        def images() -> Tensor:
            return generator.after(replace(state, input=state.input + scale * moved), layer)

        def loss(_: int) -> Tensor:
            restraint = _RESTRAINT * moved.square().mean(dim=(1, 2, 3)).sum()
            return self._far(images(), photos, target, PIXELS[ACTIVATION]) + restraint

        self._minimise([moved], loss, lambda: None)
        with torch.no_grad():
            last = images()
        more = {name: torch.stack([getattr(each, name) for each in found]) for name in ("latent", "label", "maps")}
        made = self._pieces(photos, first, last, more | {"activation": (scale * moved).detach().cpu()}, begun)
        return [
            replace(
                each,
                distances=torch.stack([before.distances[0], each.distances[1]]),
                errors=torch.stack([before.errors[0], each.errors[1]]),
                seconds=before.seconds + each.seconds,
            )
            for before, each in zip(found, made, strict=True)
        ]

    def _far(self, images: Tensor, photos: Tensor, target: Tensor, pixels: float) -> Tensor:
        """How far images are from the photos, whose features are the target; summed over them."""
        far = (self._features(images) - target).square().sum()
        return far + pixels * (images - photos).square().mean(dim=(1, 2, 3)).sum()

    def _minimise(self, searched: list[Tensor], loss: Callable[[int], Tensor], after: Callable[[], None]) -> None:
        optimizer = torch.optim.Adam(searched, lr=_RATE)
        for step in range(self.steps):
            part = step / self.steps
            down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - part) / _RAMP_DOWN))
            for group in optimizer.param_groups:
                group["lr"] = _RATE * down * min(1.0, part / _RAMP_UP)
            gradients = torch.autograd.grad(loss(step), searched)
            for each, gradient in zip(searched, gradients, strict=True):
                each.grad = gradient
            optimizer.step()
            after()

    def _map(self, place: int, size: tuple[int, int], count: int) -> Tensor:
        """The first noise map of a layer, the same for each photo."""
        drawn = seeds.normal(seeds.derived(self.seed, "projection map", place), [0], (1, *size))
        return drawn.to(self.compute.device).repeat(count, 1, 1, 1).requires_grad_()

    def _features(self, images: Tensor) -> Tensor:
        return self.distance.features(reduced(images, _LARGEST_SIDE))

    @torch.no_grad()
    def _pieces(
        self, photos: Tensor, first: Tensor, last: Tensor, found: dict[str, Tensor], begun: float
    ) -> list[Projection]:
        target = self._features(photos)
        distances = [doubled(self._features(each) - target).square().sum(1).cpu() for each in (first, last)]
        errors = [doubled(each.clamp(-1, 1) - photos).square().mean(dim=(1, 2, 3)).cpu() for each in (first, last)]
        seconds = torch.full((len(photos),), (time.monotonic() - begun) / len(photos), dtype=torch.float64)
        columns = found | {"photo": to_bytes(photos), "image": to_bytes(last), "seconds": seconds}
        columns |= {"distances": torch.stack(distances, dim=1), "errors": torch.stack(errors, dim=1)}
        names = [each.name for each in fields(Projection)]
        return [Projection(**{name: columns[name][row] for name in names}) for row in range(len(photos))]


def codes_of(generator: Generator, found: Sequence[Projection], kind: str) -> Codes:
    """The codes of projected photos, on the generator's device; `kind` is the latent space they were projected into."""

    def together(name: str) -> Tensor:
        return torch.stack([getattr(each, name) for each in found]).to(generator.device)

    codes = generator.sample([0] * len(found), seed=0)
    if found[0].label.numel():
        codes = replace(codes, label=together("label")[:, 0])  # type: ignore[call-arg]  # of the families that have one
    codes = generator.with_latent(codes, kind, together("latent"))
    if not found[0].maps.numel():
        return codes
    sizes = generator.noise_inputs()
    maps = together("maps").split([math.prod(size) for size in sizes], dim=1)
    return generator.with_noise(codes, [each.unflatten(1, (1, *size)) for each, size in zip(maps, sizes, strict=True)])


def with_activations(state: State, found: Sequence[Projection]) -> State:
    """The state before a layer, with what projection into it added; as it is if that was nothing."""
    if not found[0].activation.numel():
        return state
    added = torch.stack([each.activation for each in found]).to(state.input)
    return replace(state, input=state.input + added)


def _correlation(maps: Tensor) -> Tensor:
    """How much neighbours in noise maps (N, 1, h, w) agree, at all scales down to 8 pixels, summed over maps."""
    total = torch.zeros((), device=maps.device)
    while True:
        for axis in (2, 3):
            total = total + (maps * maps.roll(1, dims=axis)).mean(dim=(1, 2, 3)).square().sum()
        if min(maps.shape[2:]) <= _SMALLEST_MAP:
            return total
        maps = F.avg_pool2d(maps, 2)


@torch.no_grad()
def _normalise(maps: Sequence[Tensor]) -> None:
    """Each map to mean 0 and variance 1."""
    for each in maps:
        each -= each.mean(dim=(1, 2, 3), keepdim=True)
        each *= each.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()


@torch.no_grad()
def _onto_sphere(latents: Tensor, radius: float) -> Tensor:
    """Each latent (N, D) with the norm that codes have: in many dimensions nearly all are about as far from 0."""
    return latents * (radius / latents.norm(dim=1, keepdim=True))


# --- as pieces, which are of one photo each, and computed in batches -----------------------------------------------


def _projected(many: Sequence[Mapping[str, Any]]) -> list[Projection]:
    """Of arguments of `project_photo` that differ in the photo alone."""
    projector = Projector(*(many[0][name] for name in ("generator", "distance", "compute", "steps", "seed")))
    return projector.project(torch.stack([each["photo"] for each in many]), many[0]["space"])


@pure(together=_projected)
def project_photo(
    photo: Tensor, space: str, generator: Generator, distance: PerceptualDistance, compute: Compute, steps: int,
    seed: int,
) -> Projection:  # fmt: skip
    """A photo, (3, H, W), float, [-1, 1], in the latent space 'w+', 'w' or 'z'."""
    return Projector(generator, distance, compute, steps, seed).project(photo[None], space)[0]


@rehearses(project_photo)
def _photo_rehearsed(
    photo: Tensor, space: str, generator: Generator, distance: PerceptualDistance, compute: Compute, steps: int,
    seed: int,
) -> Rehearsed[Projection]:  # fmt: skip
    """The mean latent."""
    own = create(generator, latent_of(space))
    costs = {preparing(own, compute): _MEAN_SAMPLES, _step(generator, distance, compute, own): steps}
    if space == "z":
        seen = seeing("distance", distance.name, distance.features, generator, compute)
        costs |= {generating(generator, compute): _STARTS, seen: _STARTS}
    return Rehearsed(_sketch(generator, photo, own.shape, torch.empty(0)), costs, about=True)


def _sketch(generator: Generator, photo: Tensor, latent: torch.Size, activation: Tensor) -> Projection:
    """A projection of a photo that is there, into nothing."""
    label = getattr(generator.sample([0], seed=0), "label", None)
    maps = torch.zeros(sum(math.prod(size) for size in generator.noise_inputs()))
    image, pair = to_bytes(photo), torch.ones(2, dtype=torch.float64)
    own = torch.empty(0).long() if label is None else label.cpu()
    return Projection(image, torch.zeros(latent), own, maps, activation, image, pair, pair, pair[0])


def _step(generator: Generator, distance: PerceptualDistance, compute: Compute, space: Space) -> Pass:
    """One photo's part of a step: an image and its features under an offset of a space, and the gradient."""

    def trial() -> Trial:
        state = space.prepare(generator.sample([0], seed=0))

        def once() -> float:
            offset = torch.zeros(space.shape, device=compute.device, requires_grad=True)
            images = space.render(state, offset)
            distance.features(reduced(images, _LARGEST_SIDE)).square().sum().backward()
            return 1

        return once

    return Pass("projection", (generator.name, describe(space)), trial, images=1)


def _activated(many: Sequence[Mapping[str, Any]]) -> list[Projection]:
    """Of arguments of `project_into_activations` that differ in the projection alone."""
    projector = Projector(*(many[0][name] for name in ("generator", "distance", "compute", "steps", "seed")))
    return projector.into_activations(
        [each["found"].load() for each in many], many[0]["generator"].layer(many[0]["layer"])
    )


@pure(together=_activated)
def project_into_activations(
    found: Stored[Projection], layer: str, generator: Generator, distance: PerceptualDistance, compute: Compute,
    steps: int, seed: int,
) -> Projection:  # fmt: skip
    """A projection into z, with what must be added to the tensor that enters a layer to come closer to the photo."""
    projector = Projector(generator, distance, compute, steps, seed)
    return projector.into_activations([found.load()], generator.layer(layer))[0]


@rehearses(project_into_activations)
def _activations_rehearsed(
    found: Projection, layer: str, generator: Generator, distance: PerceptualDistance, compute: Compute, steps: int,
    seed: int,
) -> Rehearsed[Projection]:  # fmt: skip
    """Nothing is added."""
    space = ActivationSpace(generator, generator.layer(layer))
    costs = {_step(generator, distance, compute, space): steps}
    return Rehearsed(replace(found, activation=torch.zeros(space.shape)), costs)
