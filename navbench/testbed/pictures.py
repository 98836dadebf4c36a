"""Sheets of images, as PNG."""

import io
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

GAP = 8
"""White pixels between two sheets."""


def sheet(images: Tensor, columns: int = 8) -> Tensor:
    """Images (N, 3, H, W), [-1, 1], side by side in rows of `columns`: (3, h, w), in [0, 1]."""
    return make_grid((images.float().cpu().clamp(-1, 1) + 1) / 2, nrow=columns, padding=0)


def png(sheets: Sequence[Tensor]) -> bytes:
    """Sheets of equal height beside each other, as a PNG."""
    gap = torch.ones(3, sheets[0].shape[1], GAP)
    parts = [part for sheet in sheets for part in (gap, sheet)][1:]
    buffer = io.BytesIO()
    to_pil_image(torch.cat(parts, dim=2)).save(buffer, "PNG")
    return buffer.getvalue()
