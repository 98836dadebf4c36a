"""How far the scorer `faces` can be trusted, measured on samples of `faces`: python -m navbench.faces.card.

Writes the table of `CARD.md`, and prints the spreads and reliabilities that `scorer.READINGS` has.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench.faces import scorer as scorers
from navbench.faces.warps import WARPS
from navbench.files import write_atomically
from navbench.generators.dcgan import faces as generator
from navbench.metrics.attributes import Attribute, seen
from navbench.metrics.damage import DAMAGES, OCCLUSION, damaged

CARD = Path(__file__).parent / "CARD.md"
SPREAD_SAMPLES, SAMPLES, SEED = 2000, 200, 18
"""Samples of which spreads are taken, those at which changes are looked at, and the seed of both."""
BEGIN = "<!-- measured -->\n"
"""Before the measured part of the card."""
AHEAD = 20.0
"""Degrees of yaw within which a warp of the image is one of the face."""
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
    "size 0.85": lambda images: moved(images, scale=0.85),
    "size 1.1": lambda images: moved(images, scale=1.1),
    "right 2 px": lambda images: moved(images, right=2),
    "down 2 px": lambda images: moved(images, down=2),
    "256 px": lambda images: enlarged(images, 256),
    "1024 px": lambda images: enlarged(images, 1024),
}
"""Changes that leave a face what it is; the first two add 5 and 10 degrees to its roll."""
TURNS = {"turn 5°": 5.0, "turn 10°": 10.0}


_BLUR, _GRAIN = (next(damage for damage in DAMAGES if damage.name == name) for name in ("blur", "grain"))
CARD_DAMAGES = (
    replace(_BLUR, strengths=(1 / 128, 1 / 64, 3 / 128, 1 / 32, 3 / 64)),
    replace(_GRAIN, strengths=(6, 12, 24, 36, 60)),
    replace(OCCLUSION, strengths=(0.1, 0.2, 0.3, 0.4, 0.5)),
)
"""Damage that takes faces away, at growing strengths."""


def lost(readings: Tensor) -> float:
    """The share of images whose readings (N, A) say that no face was seen."""
    return 1 - float(seen(readings).float().mean())


def batches(samples: int = SAMPLES) -> Iterator[tuple[range, Tensor]]:
    """Numbers and images of samples of `faces`, 20 at a time, without gradients."""
    network = generator().eval()
    with torch.no_grad():
        for start in range(0, samples, 20):
            numbers = range(start, min(start + 20, samples))
            yield numbers, network(network.sample(numbers, SEED))


def read(scorer: scorers.FacesScorer, change: Change) -> Tensor:
    """Readings (SAMPLES, A) of changed samples of `faces`."""
    return torch.cat([scorer(change(images)) for _, images in batches()])


def read_damaged(scorer: scorers.FacesScorer, name: str, strength: float) -> Tensor:
    """Readings (SAMPLES, A) of samples of `faces` with that damage."""
    step = (name, strength)
    return torch.cat([scorer(damaged(images, step, numbers, SEED).clamp(-1, 1)) for numbers, images in batches()])


def mirrored(readings: Tensor, attributes: tuple[Attribute, ...]) -> Tensor:
    """Readings (N, A) of mirrored images as those of the images."""
    return readings * torch.tensor([-1.0 if attribute.name in SIGNED else 1.0 for attribute in attributes])


def reliability(one: Tensor, other: Tensor) -> Tensor:
    """1 - half the mean squared difference of two readings (N, A) of the same faces over their variance, (A,).

    The share of variance that is not the reading's error, where both have the same; images lost in either are left out.
    """
    both = seen(one) & seen(other)
    one, other = one[both], other[both]
    return 1 - (one - other).square().mean(0) / 2 / torch.cat([one, other]).var(0)


def shift_of(before: Tensor, after: Tensor, spread: Tensor) -> Tensor:
    """The mean change of readings (N, A) in spreads, (A,)."""
    return ((after - before) / spread).nanmean(0)


@dataclass(frozen=True)
class Response:
    """What a warp of one feature does to readings, in the mean over faces.

    Attributes:
        expected: the changes of all attributes in spreads, (A,), if the landmarks moved as the image does: what
            perfect landmarks would give, pose and size undone by the same rule.
        read: the changes that are read.
    """

    expected: Tensor
    read: Tensor


def response(scorer: scorers.FacesScorer, name: str, spread: Tensor, samples: int = SAMPLES) -> Response:
    """The response to the warp of that name, of samples that look ahead; they are enlarged before, to stay sharp."""
    warp, names = WARPS[name], [attribute.name for attribute in scorer.attributes]
    changes, expected = [], []
    for _, small in batches(samples):
        images = enlarged(small, 256)
        before, landmarks = scorer(images), scorer.landmarker(images).landmarks
        ahead = before[:, 0].abs() < AHEAD  # of what is lost, it is not
        other = torch.cat([warp.moved(landmarks[..., :2], landmarks), landmarks[..., 2:]], dim=2)
        after = scorer(warp.applied(images, landmarks))
        ahead &= seen(after)
        changes.append((after - before)[ahead])
        start_lengths, end_lengths = scorer.lengths(landmarks), scorer.lengths(other)
        unmoved = torch.zeros(len(images))  # pose and skin
        steps = [end_lengths.get(name, unmoved) - start_lengths.get(name, unmoved) for name in names]
        expected.append(torch.stack(steps, dim=1)[ahead])
    return Response(torch.cat(expected).mean(0) / spread, torch.cat(changes).mean(0) / spread)


def measure() -> str:
    """The measured part of the card, as Markdown."""
    scorer = scorers.FacesScorer(scorers.READINGS).eval()
    names = [reading.attribute.name for reading in scorers.READINGS]
    many = torch.cat([scorer(images) for _, images in batches(SPREAD_SAMPLES)])
    known = many[seen(many)]
    centre, spread, plain = known.mean(0), known.std(0), many[:SAMPLES]
    by_shift = torch.stack([reliability(plain, read(scorer, step)) for step in STEPS.values()]).amin(0)
    flipped = read(scorer, lambda images: images.flip(3))
    by_mirror = reliability(plain, mirrored(flipped, scorer.attributes))
    changes = {name: shift_of(plain, read(scorer, change), spread) for name, change in CHANGES.items()}
    for name, degrees in TURNS.items():
        changes[name][names.index("roll")] -= degrees / spread[names.index("roll")]
    lines = [
        f"Seen: {len(known)} of {SPREAD_SAMPLES} samples.\n",
        "| attribute | mean | spread | reliability, 1 px | reliability, mirror | " + " | ".join(changes) + " |",
        "| --- | " + "---: | " * (4 + len(changes)),
    ]
    for index, name in enumerate(names):
        cells = [f"{centre[index]:.3g}", f"{spread[index]:.3g}", f"{by_shift[index]:.3f}", f"{by_mirror[index]:.3f}"]
        cells += [f"{change[index]:+.2f}" for change in changes.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| warp | expected | read | response | largest error in another |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    lines += [_told(response(scorer, name, spread), name, names) for name in WARPS]
    lines += ["", *_correlations(known, names)]
    lines += [
        "",
        f"Faces lost, of {SAMPLES} samples ({lost(plain):.3f} without damage):\n",
        "| damage | strength: lost |",
        "| --- | --- |",
    ]
    for damage in CARD_DAMAGES:
        shares = {strength: lost(read_damaged(scorer, damage.name, strength)) for strength in damage.strengths}
        told = (f"{strength:.3g}: {share:.3f}" for strength, share in shares.items())
        lines.append(f"| {damage.name} ({damage.unit}) | {', '.join(told)} |")
    return "\n".join(lines) + "\n"


def rewrite(card: Path, measured: str) -> None:
    """Put what was measured into a card, for what was there; the words before it stay."""
    write_atomically(card, card.read_text("utf-8").partition(BEGIN)[0] + BEGIN + measured)


def _told(found: Response, name: str, names: list[str]) -> str:
    own, beyond = names.index(name), found.read - found.expected
    beyond[own] = 0
    other = int(beyond.abs().argmax())
    cells = [f"{found.expected[own]:+.2f}", f"{found.read[own]:+.2f}", f"{found.read[own] / found.expected[own]:.2f}"]
    cells.append(f"{names[other]} {beyond[other]:+.2f}")
    return f"| {name} | " + " | ".join(cells) + " |"


def _correlations(readings: Tensor, names: list[str]) -> list[str]:
    """A table: how each reading of the samples, (N, A), goes with their pose, and with which other it goes most."""
    yaw, pitch = names.index("yaw"), names.index("pitch")
    with_turn = torch.cat([readings, readings[:, [yaw]].abs()], dim=1)
    table = torch.corrcoef(with_turn.T)
    lines = [
        "| attribute | with pitch | with the size of yaw | with another, at most |",
        "| --- | ---: | ---: | ---: |",
    ]
    for index, name in enumerate(names):
        others = table[index, : len(names)].clone()
        others[index] = 0
        most = int(others.abs().argmax())
        cells = [f"{table[index, pitch]:+.2f}", f"{table[index, -1]:+.2f}", f"{names[most]} {others[most]:+.2f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Measure, print and write."""
    text = measure()
    print(text)
    rewrite(CARD, text)


if __name__ == "__main__":
    main()
