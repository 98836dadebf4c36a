"""Image sequences along t (Figures 3 and 4): the first codes of a role, each at every shift."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.generators.base import Generator
from navbench.metrics.extractors import quantise
from navbench.seeds import Role
from navbench.work import pure


@dataclass(frozen=True)
class Strip:
    """Images (rows, columns, 3, H, W), uint8: a row per code, a column per shift."""

    images: Tensor


@pure()
def strip(edit: Edit, shifts: Sequence[float], codes: int, seed: int) -> Strip:
    """The strip of one direction."""
    generator = edit.space.generator

    def work(chunk: Sequence[int]) -> Tensor:
        render = edit.prepare(codes_for(generator, Role.STRIP, chunk, seed))
        return torch.stack([to_bytes(render(t)) for t in shifts], dim=1)

    return Strip(torch.cat(list(edit.compute.over(range(codes), work))))


@pure()
def samples(generator: Generator, rows: int, columns: int, seed: int, compute: Compute) -> Strip:
    """Unshifted images, to show what the generator makes."""

    def work(chunk: Sequence[int]) -> Tensor:
        return to_bytes(unshifted(generator, codes_for(generator, Role.STRIP, chunk, seed), compute))

    images = torch.cat(list(compute.over(range(rows * columns), work)))
    return Strip(images.unflatten(0, (rows, columns)))


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, for showing."""
    return quantise(images).cpu()


def to_float(images: Tensor) -> Tensor:
    """Images of uint8 as float, in [-1, 1]."""
    return images.float() / 127.5 - 1
