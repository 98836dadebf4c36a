"""Randomness as data: every random number is a function of a seed, a role and an index, on any device."""

import hashlib
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor


class Role(StrEnum):
    """What codes of a run are drawn for; no two roles share a code."""

    SCREENING = "screening"
    ATTRIBUTES = "attributes"
    CALIBRATION = "calibration"
    RACING = "racing"
    INSTRUMENT = "instrument"
    CURVE = "curve"
    REFERENCE = "reference"
    LOCALITY = "locality"
    REPRODUCTION = "reproduction"
    HELD_OUT = "held out"
    STRIP = "strip"
    QUALITY = "quality"
    SURVEY = "survey"
    PAIRS = "pairs"
    DISENTANGLING = "disentangling"
    COMPOSITION = "composition"


def derived(seed: int, *role: str | int) -> int:
    """A 63-bit seed for one role of a computation, independent of the other roles of the same seed."""
    digest = hashlib.sha256("/".join(map(str, (seed, *role))).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def stream(seed: int, index: int) -> np.random.Generator:
    """The random numbers of item `index`: Philox, a counter-based generator, keyed by the seed."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, index]))


def normal(seed: int, indices: range | list[int] | tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers, (len(indices), *shape), float32; row i depends on (seed, indices[i]) only."""
    rows = [stream(seed, index).standard_normal(shape, dtype=np.float32) for index in indices]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty((0, *shape))
