"""From the checkpoint of a training to the generator's file: the moving average, with its mean style and its story."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from navbench import seeds
from navbench.errors import NavbenchError
from navbench.generators.files import write_generator
from navbench.generators.stylegan2 import StyleGAN2
from navbench.testbed.train import Checkpoint, load_state, read_checkpoint

STYLES = 10_000
"""Codes whose mean style is `w_avg`, as published."""


def export(folder: Path, path: Path, hardware: str = "", notes: Sequence[str] = ()) -> StyleGAN2:
    """Write the moving average of a training to a file, and return it.

    The file's card holds settings, images, hours, and every change of settings in the log.

    Args:
        folder: of the training; its checkpoint may be of any moment.
        path: of the file, which is replaced.
        hardware: what it was trained on, one sentence.
        notes: sentences on how it was trained that the log does not have.
    """
    checkpoint = read_checkpoint(folder / "checkpoint.pt")
    with torch.random.fork_rng(devices=[]):
        generator = checkpoint.settings.generator()
    load_state(generator, checkpoint, "average", folder / "checkpoint.pt")
    generator.eval().requires_grad_(False)
    set_mean_style(generator, checkpoint.settings.seed)
    write_generator(generator, path, _card(checkpoint, folder, hardware, notes))
    return generator


@torch.no_grad()
def set_mean_style(generator: StyleGAN2, seed: int) -> None:
    """Set `w_avg` to the mean of w over 10,000 codes that are drawn for this alone."""
    codes = generator.sample(range(STYLES), seeds.derived(seed, "mean style"))
    generator.w_avg.copy_(generator.style(codes.z).double().mean(dim=0))


def _card(checkpoint: Checkpoint, folder: Path, hardware: str, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "settings": checkpoint.settings.model_dump(),
        "images": checkpoint.images,
        "hours": round(checkpoint.seconds / 3600, 2),
        "changes": changes(folder / "log.csv"),
        "hardware": hardware,
        "notes": list(notes),
    }


def changes(log: Path) -> list[dict[str, Any]]:
    """The changes of settings along a training, {'images', 'change'} each, from its log; empty without a log."""
    if not log.is_file():
        return []
    try:
        with log.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if "->" in (row["event"] or "")]
            return [{"images": int(row["images"]), "change": row["event"].removeprefix("resumed, ")} for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise NavbenchError(f"{log} is not the log of a training ({error}); mend it, or move it away.") from None
