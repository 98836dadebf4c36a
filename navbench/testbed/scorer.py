"""The scorer of cars: a small network, trained on renderings, that reads the true factors from an image."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from navbench import seeds
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.files import write_atomically
from navbench.metrics.attributes import Attribute, Scores
from navbench.progress import Report, silent
from navbench.settings import Settings
from navbench.testbed import cars

SHIPPED = Path(__file__).parent / "weights" / "cars-scorer.safetensors"
HELD_OUT = 4000
"""Renderings on which a trained scorer is measured."""


class ScorerSettings(Settings):
    """How the scorer is trained.

    Attributes:
        steps, batch, learning_rate: of Adam; the rate falls to 0 as half a cosine.
        beyond: how far factors are drawn beyond either end of their range, as a share of it, so that the scorer does
            not saturate where edits push them; circular ones have no ends.
        noise: the largest standard deviation of the grain that is added, as generated images have some.
        seed: of everything random.
    """

    steps: int = Field(1200, ge=1)
    batch: int = Field(96, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    beyond: float = Field(0.3, ge=0)
    noise: float = Field(0.06, ge=0)
    seed: int = Field(0, ge=0)


class CarsScorer(nn.Module):
    """Images (N, 3, 64, 64) to factors (N, 13), in `cars.FACTORS`' units."""

    name = "cars"
    attributes = tuple(
        Attribute(
            factor.name,
            factor.unit,
            (factor.high - factor.low) / math.sqrt(12),
            factor.high - factor.low if factor.circular else None,
        )
        for factor in cars.FACTORS
    )

    def __init__(self) -> None:
        super().__init__()
        outputs = len(cars.FACTORS) + sum(factor.circular for factor in cars.FACTORS)
        widths = ((3, 16, 1), (16, 32, 2), (32, 48, 1), (48, 64, 2), (64, 64, 1), (64, 64, 2))
        layers: list[nn.Module] = []
        for inputs, width, stride in widths:
            layers += [nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(64 * 8 * 8, 96), nn.ReLU(), nn.Linear(96, outputs))

    def encoded(self, images: Tensor) -> Tensor:
        """What is learned, (N, 15): factors of mean 0 and variance 1, circular ones as sine and cosine."""
        return self.head(self.trunk(images).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """The factors, (N, 13), of images (N, 3, 64, 64), float, [-1, 1]; circular ones in [low, high)."""
        if images.shape[1:] != (3, cars.RESOLUTION, cars.RESOLUTION):
            raise NavbenchError(f"The scorer of cars reads images of 64x64 pixels, not {tuple(images.shape[1:])}.")
        return decode(self.encoded(images).float())


def encode(factors: Tensor) -> Tensor:
    """Factors (N, 13) as the network gives them, (N, 15)."""
    columns = []
    for column, factor in zip(factors.unbind(1), cars.FACTORS, strict=True):
        size = factor.high - factor.low
        if factor.circular:
            angle = 2 * math.pi * (column - factor.low) / size
            columns += [math.sqrt(2) * angle.sin(), math.sqrt(2) * angle.cos()]
        else:
            columns.append((column - (factor.low + factor.high) / 2) * math.sqrt(12) / size)
    return torch.stack(columns, dim=1)


def decode(encoded: Tensor) -> Tensor:
    """The inverse of `encode`."""
    columns, left = [], list(encoded.unbind(1))
    for factor in cars.FACTORS:
        size = factor.high - factor.low
        if factor.circular:
            angle = torch.atan2(left.pop(0), left.pop(0))
            turn = size * (angle / (2 * math.pi) % 1)
            columns.append(factor.low + turn % size)  # just below 0, a remainder rounds to the divisor
        else:
            columns.append((factor.low + factor.high) / 2 + left.pop(0) * size / math.sqrt(12))
    return torch.stack(columns, dim=1)


def shipped() -> CarsScorer:
    """The scorer that is shipped."""
    return read_scorer(SHIPPED)


def read_scorer(path: Path) -> CarsScorer:
    """The scorer in a file that `train_and_save` wrote."""
    scorer = CarsScorer()
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError) as error:
        raise NavbenchError(f"{path} holds no scorer of cars ({error}); run navbench testbed train-scorer.") from None
    for key, tensor in scorer.state_dict().items():
        if key not in tensors or tensors[key].shape != tensor.shape:
            found = f"{tuple(tensors[key].shape)}" if key in tensors else "nothing"
            raise NavbenchError(f"{path}: {key!r} is to be {tuple(tensor.shape)}, found {found}; train it anew.")
    if extra := sorted(tensors.keys() - scorer.state_dict().keys()):
        raise NavbenchError(f"{path}: {extra[0]!r} is no part of a scorer of cars; train it anew.")
    scorer.load_state_dict(tensors)  # copied into float32
    return scorer.eval().requires_grad_(False)


# --- training ----------------------------------------------------------------------------------------------------


def train(settings: ScorerSettings, compute: Compute, report: Report = silent) -> CarsScorer:
    """A scorer trained on renderings; step s depends on (seed, s) only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derived(settings.seed, "scorer"))
        scorer = CarsScorer()
    scorer = scorer.to(compute.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    adam = torch.optim.Adam(scorer.parameters(), lr=settings.learning_rate)
    for step in range(settings.steps):
        indices = range(step * settings.batch, (step + 1) * settings.batch)
        factors = stretched(cars.sample(indices, seeds.derived(settings.seed, "scorer renderings")), settings.beyond)
        random = torch.Generator().manual_seed(seeds.derived(settings.seed, "grain", step))
        images = worn(cars.render(factors), settings.noise, random).clamp(-1, 1)
        with compute.autocast():
            read = scorer.encoded(images.to(compute.device, memory_format=torch.channels_last))
        loss = F.mse_loss(read.float(), encode(factors).to(compute.device))
        for group in adam.param_groups:
            group["lr"] = settings.learning_rate * (1 + math.cos(math.pi * step / settings.steps)) / 2
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        report(step + 1, settings.steps, f"loss {float(loss.detach()):.4f}")
    return scorer.eval().requires_grad_(False)


def stretched(factors: Tensor, beyond: float) -> Tensor:
    """Factors (N, 13) over ranges that are longer by a share `beyond` at either end; circular ones as they are."""
    columns = []
    for column, factor in zip(factors.unbind(1), cars.FACTORS, strict=True):
        middle = (factor.low + factor.high) / 2
        columns.append(column if factor.circular else middle + (1 + 2 * beyond) * (column - middle))
    return torch.stack(columns, dim=1)


def worn(images: Tensor, noise: float, random: torch.Generator) -> Tensor:
    """Images a little less perfect than renderings, as generated ones are: grain, softness, a touch of contrast."""
    count = len(images)
    level, soft, contrast, shade = torch.rand(4, count, 1, 1, 1, generator=random)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = torch.lerp(images, blurred, 0.5 * soft.square())
    images = images * (1 + 0.06 * (contrast - 0.5)) + 0.04 * (shade - 0.5)
    return images + noise * level * torch.randn(images.shape, generator=random)


def r_squared(scorer: Scores, indices: Sequence[int], seed: int) -> dict[str, float]:
    """The share of each factor's variance that a scorer reads from renderings number `indices` of a seed.

    Of a circular factor, the smaller of those of its sine and cosine.
    """
    parts = [indices[start : start + 256] for start in range(0, len(indices), 256)]
    true = encode(torch.cat([cars.sample(part, seed) for part in parts]))
    read = encode(torch.cat([scorer(cars.renderings(part, seed)).cpu() for part in parts]))
    explained = 1 - (true - read).square().mean(0) / true.var(dim=0, unbiased=False)
    shares, left = {}, explained.tolist()
    for factor in cars.FACTORS:
        shares[factor.name] = min(left.pop(0), left.pop(0)) if factor.circular else left.pop(0)
    return shares


def train_and_save(path: Path, settings: ScorerSettings, compute: Compute, report: Report = silent) -> dict[str, float]:
    """Train a scorer, write it at half precision, and return its R² on held-out renderings, measured as written."""
    scorer = train(settings, compute, report)
    tensors = {key: value.cpu().contiguous() for key, value in scorer.state_dict().items()}
    tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    write_atomically(path, save(tensors))
    shares = r_squared(read_scorer(path), range(HELD_OUT), seeds.derived(settings.seed, "held out"))
    header = {"settings": settings.model_dump(), "held_out": HELD_OUT, "r_squared": shares}
    write_atomically(path, save(tensors, {"navbench": json.dumps(header)}))
    return shares
