"""StyleGAN2's noise maps: drawn by each code's seed and index, and taken apart by layers."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from navbench import seeds

Sizes = Sequence[tuple[int, int]]
"""Height and width of each layer's noise, in forward order."""


@lru_cache(maxsize=1)
def drawn(pairs: tuple[tuple[int, int], ...], sizes: Sizes, device: torch.device) -> Tensor:
    """Noise maps (N, P) by pairs of seed and index, in one transfer; the last are kept, for the codes' next edit."""
    parts = [
        torch.cat([seeds.normal(seeds.derived(seed, place), [index], (math.prod(size),)) for seed, index in pairs])
        for place, size in enumerate(sizes)
    ]
    maps = torch.cat(parts, dim=1)
    return maps.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else maps.to(device)


def unflattened(maps: Tensor, sizes: Sizes) -> Sequence[Tensor]:
    """Maps (N, P) as one (N, 1, h, w) per layer."""
    flattened = maps.split([math.prod(size) for size in sizes], dim=1)
    return [flat.view(-1, 1, *size) for flat, size in zip(flattened, sizes, strict=True)]
