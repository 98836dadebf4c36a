"""Directions taken home: a generator's checkpoint with edits inside, which its original code renders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navbench import __version__
from navbench.directions import Direction
from navbench.errors import NavbenchError
from navbench.generators.base import Generator
from navbench.generators.rewriting import rewrite

Shifts = Sequence[tuple[Direction, float]]
"""Directions, each with its shift t."""


@torch.no_grad()
def edited_tensors(generator: Generator, shifts: Shifts) -> dict[str, Tensor]:
    """The tensors of a generator, by name, that are others once some directions are in its weights: all of them added.

    Raises:
        NavbenchError: a shift is not finite, or no change of weights does what a direction does.
    """
    added: dict[str, Tensor] = {}
    for direction, t in shifts:
        if not abs(t) < float("inf"):
            raise NavbenchError(f"Direction {direction.name} cannot be shifted by {t}; give a number.")
        offset = t * direction.offset.to(generator.device)
        for name, value in direction.space_of(generator).as_weights(offset).items():
            added[name] = added[name] + value if name in added else value
    own = generator.state_dict()
    return {name: own[name] + value for name, value in added.items()}


def bake(
    generator: Generator, shifts: Shifts, target: Path, *, overwrite: bool = False, folded: bool = False
) -> dict[str, Any]:
    """Write the checkpoint of a generator with directions in its weights, in the layout that it came in, atomically.

    Args:
        generator: as it was read from its file, with its options, which are not part of what is written.
        shifts: the directions, each with its t; all together.
        target: the file.
        overwrite: replace a file that is there already.
        folded: write a BigGAN without spectral normalisation.

    Returns:
        The card, which the file holds where its layout has room: what was baked into what.

    Raises:
        NavbenchError: see `edited_tensors` and `rewriting.rewrite`; there is no direction; or the file exists.
    """
    if not shifts:
        raise NavbenchError("There is no direction to bake; name one.")
    if target.exists() and not overwrite:
        raise NavbenchError(f"{target} exists already; choose another name, or say --force to replace it.")
    told = [
        {"direction": direction.name, "label": direction.label, "t": float(t), "space": direction.space}
        for direction, t in shifts
    ]
    card = {
        "navbench": __version__, "generator": generator.name, "weights": generator.fingerprint, "directions": told,
    }  # fmt: skip
    rewrite(generator, edited_tensors(generator, shifts), target, card, folded=folded)
    return card
