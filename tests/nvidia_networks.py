"""NVIDIA's networks as their authors wrote them down, in float64: training/networks.py of stylegan2-ada-pytorch."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.signal import convolve2d, correlate2d
from torch import Tensor

FUNCTIONS = {
    "linear": (lambda x: x, 1.0),
    "relu": (lambda x: np.maximum(x, 0), math.sqrt(2)),
    "lrelu": (lambda x: np.maximum(x, 0.2 * x), math.sqrt(2)),
    "tanh": (np.tanh, 1.0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 1.0),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 1.0),
    "selu": (
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
        1.0,
    ),
    "softplus": (lambda x: np.log1p(np.exp(x)), 1.0),
    "swish": (lambda x: x / (1 + np.exp(-x)), math.sqrt(2)),
}
"""torch_utils/ops/bias_act.py: each function and its gain."""


class Nvidia:
    """MappingNetwork and SynthesisNetwork on a flat state dict, one image at a time.

    Args:
        state: by their names.
        settings: attributes by the name of their module, as `published.nvidia_settings` has them; the published ones
            where it holds none.
    """

    def __init__(self, state: Mapping[str, Tensor], settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.state = {key: value.double().numpy() for key, value in state.items()}
        self.settings = settings or {}

    def setting(self, name: str, setting: str, default: Any) -> Any:
        return self.settings.get(name, {}).get(setting, default)

    def dense(self, name: str, x: np.ndarray, rate: float = 1.0) -> np.ndarray:
        """FullyConnectedLayer."""
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        weight_gain = self.setting(name, "weight_gain", rate / math.sqrt(weight.shape[1]))
        return (weight * weight_gain) @ x + bias * self.setting(name, "bias_gain", rate)

    def mapping(self, z: np.ndarray, label: int | None = None) -> np.ndarray:
        x = self.normalised(z)
        if label is not None:
            one_hot = np.eye(self.state["mapping.embed.weight"].shape[1])[label]
            x = np.concatenate([x, self.normalised(self.dense("mapping.embed", one_hot))])
        index = 0
        while f"mapping.fc{index}.weight" in self.state:
            x = self.bias_act(f"mapping.fc{index}", self.dense(f"mapping.fc{index}", x, 0.01))
            index += 1
        return x

    @staticmethod
    def normalised(x: np.ndarray) -> np.ndarray:
        return x / math.sqrt(np.mean(x**2) + 1e-8)

    def bias_act(self, name: str, x: np.ndarray, default: str = "lrelu") -> np.ndarray:
        """The function, its gain, then the clamp; the bias is in x."""
        function, gain = FUNCTIONS[self.setting(name, "activation", default)]
        y, clamp = function(x) * gain, self.setting(name, "conv_clamp", None)
        return y if clamp is None else np.clip(y, -clamp, clamp)

    def upfirdn(self, plane: np.ndarray, name: str, before: int, after: int) -> np.ndarray:
        """A zero behind every pixel, padding, the filter with gain 4."""
        spread = np.zeros((2 * plane.shape[0], 2 * plane.shape[1]))
        spread[::2, ::2] = plane
        return 4 * convolve2d(np.pad(spread, (before, after)), self.state[f"{name}.resample_filter"], "valid")

    def kernel(self, name: str, style: np.ndarray) -> np.ndarray:
        weight = self.state[f"{name}.weight"] * style[None, :, None, None]
        return weight / np.sqrt((weight**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)

    def layer(self, name: str, x: Any, w: np.ndarray, up: bool) -> np.ndarray:
        """SynthesisLayer: with up, the image is enlarged first, then truly convolved, kernels flipped."""
        kernel = self.kernel(name, self.dense(f"{name}.affine", w))
        x = [self.upfirdn(plane, name, 3, 2) if up else np.pad(plane, 1) for plane in x]
        run = convolve2d if up else correlate2d
        y = np.stack([sum(run(plane, window, "valid") for plane, window in zip(x, row, strict=True)) for row in kernel])
        if self.setting(name, "use_noise", f"{name}.noise_strength" in self.state):
            y = y + self.state[f"{name}.noise_const"] * self.state[f"{name}.noise_strength"]
        return self.bias_act(name, y + self.state[f"{name}.bias"][:, None, None])

    def colour(self, name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """ToRGBLayer: no demodulation; the style carries the gain."""
        weight = self.state[f"{name}.weight"]
        style = self.dense(f"{name}.affine", w) * self.setting(name, "weight_gain", 1 / math.sqrt(weight[0].size))
        colour = np.einsum("oi,iyx->oyx", weight[..., 0, 0] * style, x)
        return self.bias_act(name, colour + self.state[f"{name}.bias"][:, None, None], "linear")

    def synthesis(self, ws: np.ndarray) -> Tensor:
        """An image of styles (L, D), of as many channels as its last layers have."""
        x, image, index, side = self.state["synthesis.b4.const"], None, 0, 4
        while f"synthesis.b{side}.conv1.weight" in self.state:
            block = f"synthesis.b{side}"
            if side > 4:
                x = self.layer(f"{block}.conv0", x, ws[index], up=True)
                index += 1
                image = np.stack([self.upfirdn(plane, block, 2, 1) for plane in image])
            x = self.layer(f"{block}.conv1", x, ws[index], up=False)
            colour = self.colour(f"{block}.torgb", x, ws[index + 1])
            image = colour if image is None else image + colour
            index, side = index + 1, 2 * side
        return torch.from_numpy(image).float()

    def images(self, ws: Tensor) -> Tensor:
        """Images (N, C, H, W) of styles (N, L, D)."""
        return torch.stack([self.synthesis(each) for each in ws.double().numpy()])
