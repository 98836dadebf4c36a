"""How far the scorer `faces` can be trusted, measured on samples of `faces`: python -m navbench.faces.card.

Writes the table of `CARD.md`, and prints the spreads and reliabilities that `scorer.READINGS` has.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench.faces import scorer as scorers
from navbench.files import write_atomically
from navbench.generators.dcgan import faces as generator
from navbench.metrics.attributes import Attribute

CARD = Path(__file__).parent / "CARD.md"
SPREAD_SAMPLES, SAMPLES, SEED = 2000, 200, 18
"""Samples of which spreads are taken, those at which changes are looked at, and the seed of both."""
BEGIN = "<!-- measured -->\n"
"""Before the measured part of the card."""
SIGNED = ("yaw", "roll")
"""What a mirror negates."""
Change = Callable[[Tensor], Tensor]


def moved(images: Tensor, angle: float = 0, scale: float = 1, right: float = 0, down: float = 0) -> Tensor:
    """Images (N, 3, H, W) turned clockwise (degrees), enlarged about the middle and shifted (pixels), by bicubic
    interpolation; reflected at the edges."""
    cos, sin = (function(math.radians(angle)) / scale for function in (math.cos, math.sin))
    turn = images.new_tensor([[cos, sin], [-sin, cos]])
    shift = -turn @ images.new_tensor([2 * right / images.shape[3], 2 * down / images.shape[2]])
    affine = torch.cat([turn, shift[:, None]], dim=1).expand(len(images), 2, 3)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(-1, 1)


def enlarged(images: Tensor, size: int) -> Tensor:
    """Images with sides of `size` pixels."""
    return F.interpolate(images, size=size, mode="bicubic").clamp(-1, 1)


STEPS: dict[str, Change] = {
    "right": lambda images: moved(images, right=1),
    "left": lambda images: moved(images, right=-1),
    "down": lambda images: moved(images, down=1),
    "up": lambda images: moved(images, down=-1),
}
"""Shifts by a pixel, of which the reliability is."""
CHANGES: dict[str, Change] = {
    "turn 5°": lambda images: moved(images, angle=5),
    "turn 10°": lambda images: moved(images, angle=10),
    "size ×.85": lambda images: moved(images, scale=0.85),
    "size ×1.1": lambda images: moved(images, scale=1.1),
    "right 2 px": lambda images: moved(images, right=2),
    "down 2 px": lambda images: moved(images, down=2),
    "256 px": lambda images: enlarged(images, 256),
    "1024 px": lambda images: enlarged(images, 1024),
}
"""Changes that leave a face what it is; the first two add 5 and 10 degrees to its roll."""
TURNS = {"turn 5°": 5.0, "turn 10°": 10.0}


def blurred(images: Tensor, strength: float) -> Tensor:
    """Images under a Gaussian of that standard deviation, in pixels."""
    radius = math.ceil(3 * strength)
    kernel = torch.exp(-torch.arange(-radius, radius + 1.0).square() / (2 * strength**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    wide = F.conv2d(F.pad(images, (radius,) * 4, mode="replicate"), kernel, groups=3)
    return F.conv2d(wide, kernel.mT, groups=3)


def noisy(images: Tensor, strength: float) -> Tensor:
    """Images with normal noise of that standard deviation, the same for all; their range is 2."""
    noise = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(SEED))
    return (images + strength * noise).clamp(-1, 1)


def covered(images: Tensor, strength: float) -> Tensor:
    """Images of which that share, the lower part, is grey."""
    grey = images.clone()
    grey[:, :, round((1 - strength) * images.shape[2]) :] = 0
    return grey


DAMAGES: dict[str, tuple[Callable[[Tensor, float], Tensor], tuple[float, ...]]] = {
    "blur, px": (blurred, (0.5, 1, 1.5, 2, 3)),
    "noise, of a range of 2": (noisy, (0.05, 0.1, 0.2, 0.3, 0.5)),
    "lower part covered": (covered, (0.1, 0.2, 0.3, 0.4, 0.5)),
}
"""Damage that takes faces away, at growing strengths."""


def lost(readings: Tensor) -> float:
    """The share of images whose readings (N, A) are NaN, as no face was seen."""
    return float(readings.isnan().any(1).float().mean())


def read(scorer: scorers.FacesScorer, change: Change, samples: int = SAMPLES, seed: int = SEED) -> Tensor:
    """Readings (samples, A) of changed samples of `faces`, 20 at a time."""
    network, found = generator().eval(), []
    with torch.no_grad():
        for start in range(0, samples, 20):
            images = network(network.sample(range(start, min(start + 20, samples)), seed))
            found.append(scorer(change(images)))
    return torch.cat(found)


def unchanged(images: Tensor) -> Tensor:
    """Images as they are."""
    return images


def mirrored(readings: Tensor, attributes: tuple[Attribute, ...]) -> Tensor:
    """Readings (N, A) of mirrored images as those of the images."""
    return readings * torch.tensor([-1.0 if attribute.name in SIGNED else 1.0 for attribute in attributes])


def reliability(one: Tensor, other: Tensor) -> Tensor:
    """1 - half the mean squared difference of two readings (N, A) of the same faces over their variance, (A,).

    The share of variance that is not the reading's error, where both have the same; images lost in either are left out.
    """
    seen = ~(one.isnan() | other.isnan()).any(1)
    one, other = one[seen], other[seen]
    return 1 - (one - other).square().mean(0) / 2 / torch.cat([one, other]).var(0)


def shift_of(before: Tensor, after: Tensor, spread: Tensor) -> Tensor:
    """The mean change of readings (N, A) in spreads, (A,)."""
    return ((after - before) / spread).nanmean(0)


def measure() -> str:
    """The measured part of the card, as Markdown."""
    scorer = scorers.FacesScorer(scorers.READINGS).eval()
    names = [reading.attribute.name for reading in scorers.READINGS]
    many = read(scorer, unchanged, SPREAD_SAMPLES)
    seen = ~many.isnan().any(1)
    centre, spread, plain = many[seen].mean(0), many[seen].std(0), many[:SAMPLES]
    by_shift = torch.stack([reliability(plain, read(scorer, step)) for step in STEPS.values()]).amin(0)
    flipped = read(scorer, lambda images: images.flip(3))
    by_mirror = reliability(plain, mirrored(flipped, scorer.attributes))
    changes = {name: shift_of(plain, read(scorer, change), spread) for name, change in CHANGES.items()}
    for name, degrees in TURNS.items():
        changes[name][names.index("roll")] -= degrees / spread[names.index("roll")]
    lines = [
        f"Seen: {int(seen.sum())} of {SPREAD_SAMPLES} samples.\n",
        "| attribute | mean | spread | reliability, 1 px | reliability, mirror | " + " | ".join(changes) + " |",
        "| --- | " + "---: | " * (4 + len(changes)),
    ]
    for index, name in enumerate(names):
        cells = [f"{centre[index]:.3g}", f"{spread[index]:.3g}", f"{by_shift[index]:.3f}", f"{by_mirror[index]:.3f}"]
        cells += [f"{change[index]:+.2f}" for change in changes.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Faces lost, of {SAMPLES} samples ({lost(plain):.3f} without damage):\n",
        "| damage | strength: lost |",
        "| --- | --- |",
    ]
    for name, (damage, strengths) in DAMAGES.items():
        shares = (lost(read(scorer, partial(damage, strength=strength))) for strength in strengths)
        told = (f"{strength:g}: {share:.3f}" for strength, share in zip(strengths, shares, strict=True))
        lines.append(f"| {name} | {', '.join(told)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    text = measure()
    print(text)
    words = CARD.read_text("utf-8").partition(BEGIN)[0] if CARD.exists() else ""
    write_atomically(CARD, words + BEGIN + text)


if __name__ == "__main__":
    main()
