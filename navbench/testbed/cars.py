"""Cars: side views drawn by signed distances from thirteen independent factors, so that an edit's truth is known.

Lengths are pixels of a 64x64 image with x to the right and y down; the car faces right and stands at `GROUND`.
Every factor is uniform on its range and independent of the others, so there is no car without wheels, nor one with
wheels under 4.5 pixels: a generator that is pushed there leaves the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from navbench import seeds
from navbench.errors import NavbenchError

RESOLUTION = 64
CENTRE, GROUND = 32.0, 54.0
"""Where the middle of the car and the bottom of its wheels are, in pixels."""
CHUNK = 16
"""Images drawn at once: their planes fit the caches of a CPU."""
SPOKES = 3


@dataclass(frozen=True)
class Factor:
    """One thing that varies between cars: uniform on [low, high], in `unit`; a circular one wraps from high to low."""

    name: str
    low: float
    high: float
    unit: str
    meaning: str
    circular: bool = False


FACTORS = (
    Factor("body length", 42, 58, "px", "from bumper to bumper"),
    Factor("body height", 10, 15, "px", "of the lower body, without the cabin"),
    Factor("cabin position", -5, 5, "px", "of the cabin's middle, to the front of the body's"),
    Factor("cabin height", 6, 12, "px", "of the cabin above the lower body"),
    Factor("wheel radius", 4.5, 7.5, "px", "of both tyres"),
    Factor("wheelbase", 22, 30, "px", "between the middles of the wheels"),
    Factor("wheel rotation", 0, 360 / SPOKES, "degrees", "of the three spokes of both wheels", circular=True),
    Factor("ride height", 2, 6, "px", "from the ground to the lower body"),
    Factor("body hue", 0, 360, "degrees", "of the paint", circular=True),
    Factor("body lightness", 0.3, 0.7, "", "of the paint, from black at 0 to white at 1"),
    Factor("horizon", 18, 46, "px", "its height in the image, from the top"),
    Factor("sky tone", 0, 1, "", "from evening red at 0 to noon blue at 1"),
    Factor("sun side", -1, 1, "", "from the left edge at -1 to the right edge at 1"),
)
NAMES = tuple(factor.name for factor in FACTORS)
PARTS = ("sky", "ground", "body", "cabin", "wheels")


def sample(indices: Sequence[int], seed: int) -> Tensor:
    """Factors of cars number `indices`, (N, 13), float32, in `FACTORS`' units; car i depends on (seed, i) only."""
    low, high = (np.array([getattr(factor, end) for factor in FACTORS]) for end in ("low", "high"))
    rows = [low + (high - low) * seeds.stream(seed, index).random(len(FACTORS)) for index in indices]
    return torch.from_numpy(np.array(rows, dtype=np.float32).reshape(-1, len(FACTORS)))


def render(factors: Tensor) -> Tensor:
    """Images (N, 3, 64, 64), float32, [-1, 1], of factors (N, 13), on their device.

    Factors may lie beyond their ranges (a longer car, a smaller wheel), as long as they are finite.
    """
    _check(factors)
    return _chunked(factors, lambda scene: scene.image())


class Renderings:
    """The true distribution, as the reference `renderings`; it also gives the factors of its images."""

    factor_names = NAMES

    def __call__(self, indices: Sequence[int], seed: int) -> Tensor:
        """Images of cars number `indices`, (N, 3, 64, 64)."""
        return render(self.factors(indices, seed))

    def factors(self, indices: Sequence[int], seed: int) -> Tensor:
        """The factors that they are drawn from, (N, 13)."""
        return sample(indices, seed)


renderings = Renderings()


def parts(factors: Tensor) -> Tensor:
    """How much of each pixel shows each of `PARTS`, (N, 5, 64, 64), in [0, 1], summing to 1 over parts.

    Windows belong to the cabin, lights to the body, the shadow to the ground, the sun to the sky.
    """
    _check(factors)
    return _chunked(factors, lambda scene: scene.parts())


def _check(factors: Tensor) -> None:
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        raise NavbenchError(f"Factors of cars have shape (N, {len(FACTORS)}), not {tuple(factors.shape)}.")
    if not torch.isfinite(factors).all():
        raise NavbenchError("A factor of a car is NaN or infinite; give numbers in the units of the factors.")


def _chunked(factors: Tensor, draw: Callable[["_Scene"], Tensor]) -> Tensor:
    drawn = [draw(_Scene(chunk)) for chunk in factors.float().split(CHUNK)]
    return torch.cat(drawn) if drawn else draw(_Scene(factors.float()))


class _Scene:
    """The planes of some cars: coverages (N, 1, H, W), back to front, and what they are painted with."""

    def __init__(self, factors: Tensor) -> None:
        values = dict(zip(NAMES, factors.t().reshape(len(FACTORS), -1, 1, 1, 1), strict=True))
        pixels = torch.arange(RESOLUTION, device=factors.device) + 0.5
        self.x, self.y = pixels.view(1, 1, 1, -1), pixels.view(1, 1, -1, 1)
        self.values = values
        half_length, half_height = values["body length"] / 2, values["body height"] / 2
        floor = GROUND - values["ride height"]
        roof = floor - values["body height"]
        self.ground = _inside(values["horizon"] - self.y)
        self.body = _inside(_rounded_box(self.x - CENTRE, self.y - floor + half_height, half_length, half_height, 4))
        middle = CENTRE + values["cabin position"]
        height = values["cabin height"]
        self.cabin = _inside(_trapezium(self.x - middle, roof + 1 - self.y, 15, 10, height + 1))
        glass = _trapezium(self.x - middle, roof - 0.5 - self.y, 12.5, 8.5, height - 2)
        self.glass = _inside(torch.maximum(glass, 0.9 - (self.x - middle).abs()))
        light = torch.maximum(self.y - floor + half_height - 2, floor - half_height - 3 - self.y)
        self.headlight = _inside(torch.maximum(light, CENTRE + half_length - 3.5 - self.x)) * self.body
        self.taillight = _inside(torch.maximum(light, self.x - CENTRE + half_length - 2.5)) * self.body
        self.radius = values["wheel radius"]
        side = torch.where(self.x < CENTRE, -0.5, 0.5)
        self.across = self.x - CENTRE - side * values["wheelbase"]
        self.down = self.y - GROUND + self.radius
        self.from_hub = (self.across.square() + self.down.square()).sqrt()
        self.tyre = _inside(self.from_hub - self.radius)

    def image(self) -> Tensor:
        """The planes painted over one another."""
        image = torch.lerp(self._sky(), self._road(), self.ground)
        paint = self._paint()
        image = torch.lerp(image, paint, self.body)
        image = torch.lerp(image, paint * 0.9, self.cabin)
        image = torch.lerp(image, _colour(image, 0.16, 0.2, 0.26), self.glass)
        image = torch.lerp(image, _colour(image, 1.0, 0.95, 0.7), self.headlight)
        image = torch.lerp(image, _colour(image, 0.85, 0.1, 0.1), self.taillight)
        image = torch.lerp(image, _colour(image, 0.07, 0.07, 0.08), self.tyre)
        image = torch.lerp(image, _colour(image, 0.86, 0.87, 0.88), self._spokes())
        return image * 2 - 1

    def parts(self) -> Tensor:
        """What is left of each part under the parts in front of it."""
        shown, free = [], 1 - self.tyre
        shown.append(self.tyre)
        for plane in (self.cabin, self.body, self.ground):
            shown.append(plane * free)
            free = free * (1 - plane)
        wheels, cabin, body, ground = shown
        return torch.cat([free.expand_as(wheels), ground.expand_as(wheels), body, cabin, wheels], dim=1)

    def _sky(self) -> Tensor:
        tone, sun = self.values["sky tone"], self.values["sun side"]
        zenith = torch.lerp(_colour(tone, 0.85, 0.45, 0.4), _colour(tone, 0.3, 0.55, 0.92), tone)
        # Lighter towards the ground, by the image's height, so that the horizon's place changes no colour.
        sky = torch.lerp(zenith, _colour(tone, 0.97, 0.93, 0.86), self.y / RESOLUTION)
        distance = (self.x - CENTRE - 28 * sun).square() + (self.y - 9).square()
        return torch.lerp(sky, _colour(tone, 1.0, 1.0, 0.9), torch.exp(distance / -40))

    def _road(self) -> Tensor:
        reach = self.values["body length"] / 2
        across = (self.x - CENTRE + 6 * self.values["sun side"]) / reach
        shadow = (2.2 - 2.2 * (across.square() + ((self.y - GROUND) / 3.2).square())).clamp(0, 1)
        road = 0.5 - 0.16 * (self.y - 40) / 24
        return (road + 0.8 * shadow * (0.14 - road)) * _colour(road, 1.0, 0.98, 0.94)

    def _paint(self) -> Tensor:
        hue, lightness = self.values["body hue"] / 360, self.values["body lightness"]
        offsets = torch.tensor([0.0, 8.0, 4.0], device=hue.device).view(1, 3, 1, 1)
        # From hue, saturation 0.7 and lightness to red, green and blue (Smith, SIGGRAPH 1978, as CSS gives it).
        place = (offsets + 12 * hue) % 12
        chroma = 0.7 * torch.minimum(lightness, 1 - lightness)
        colour = lightness - chroma * torch.minimum(place - 3, 9 - place).clamp(-1, 1)
        light = 0.25 * self.values["sun side"] * (self.x - CENTRE) / 28 - 0.012 * (self.y - 44)
        return (colour * (1 + light)).clamp(0, 1)

    def _spokes(self) -> Tensor:
        """Three bright sectors within the rim, by the cosine of three times the angle, a cubic of the place."""
        turn = torch.deg2rad(SPOKES * self.values["wheel rotation"])
        x, y, rho = self.across, self.down, self.from_hub.clamp_min(1e-3)
        real, imaginary = x.square() * x - 3 * x * y.square(), 3 * x.square() * y - y.square() * y
        cosine = (real * turn.cos() + imaginary * turn.sin()) / (rho.square() * rho)
        sector = (0.5 + rho * cosine / 2).clamp(0, 1)
        return sector * _inside(self.from_hub - 0.74 * self.radius)


def _inside(distance: Tensor) -> Tensor:
    """Coverage of a pixel by a shape, from the signed distance (negative inside) of its middle, in pixels."""
    return (0.5 - distance).clamp(0, 1)


def _rounded_box(x: Tensor, y: Tensor, half_width: Tensor, half_height: Tensor, corner: float) -> Tensor:
    across, down = x.abs() - half_width + corner, y.abs() - half_height + corner
    outside = (across.clamp_min(0).square() + down.clamp_min(0).square()).sqrt()
    return outside + torch.maximum(across, down).clamp_max(0) - corner


def _trapezium(x: Tensor, up: Tensor, bottom: float, top: float, height: Tensor) -> Tensor:
    """Symmetric about x = 0, standing on up = 0, with half-widths `bottom` and `top`."""
    slope = (bottom - top) / height
    side = (x.abs() - bottom + slope * up) / (1 + slope.square()).sqrt()
    return torch.maximum(side, torch.maximum(-up, up - height))


def _colour(like: Tensor, red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue], device=like.device).view(1, 3, 1, 1)
