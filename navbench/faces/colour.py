"""Colours as people see them."""

import torch
from torch import Tensor

_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)
_EPSILON, _KAPPA = (6 / 29) ** 3, (29 / 6) ** 2 / 3


def lab(colours: Tensor) -> Tensor:
    """CIELAB (..., 3) of sRGB (..., 3) in [0, 1] (IEC 61966-2-1, white D65): L* in [0, 100], a* and b*."""
    linear = torch.where(colours <= 0.04045, colours / 12.92, ((colours.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ colours.new_tensor(_TO_XYZ).T / colours.new_tensor(_WHITE)
    x, y, z = torch.where(xyz <= _EPSILON, _KAPPA * xyz + 4 / 29, xyz.clamp_min(_EPSILON) ** (1 / 3)).unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)
