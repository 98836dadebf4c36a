"""Settings of NVIDIA's networks that no tensor shows, as the records of a pickle hold them.

They are attributes of the modules (training/networks.py of stylegan2-ada-pytorch): the activation, the gains that
follow from a layer's learning rate, the architecture, the clamp.  `StyleGAN2` has those of the published networks;
a network with others would run, and make other images, so it is refused.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from navbench.errors import NavbenchError
from navbench.pickles import Record
from navbench.texts import shown

_PUBLISHED_CLAMP = 256
"""StyleGAN2 runs without a clamp, as activations of whole networks stay an order of magnitude below this one."""


def check_settings(record: Record, source: str) -> None:
    """Refuse a network of NVIDIA's StyleGAN2 whose settings are not those of `StyleGAN2`; those not held are not asked.

    Args:
        record: of G_ema, whose tensors are those of a StyleGAN2.
        source: what the record comes from, for errors.

    Raises:
        NavbenchError: a setting is another, which is named with its module.
    """
    for name, module in _modules(record):
        for setting, expected in _expected(name, module).items():
            if setting in module.state and not _same(module.state[setting], expected):
                raise _refusal(source, name, setting, module.state[setting], expected)
        clamp = module.state.get("conv_clamp")
        if clamp is not None and not (_is_number(clamp) and clamp >= _PUBLISHED_CLAMP):
            raise _refusal(source, name, "conv_clamp", clamp, f"{_PUBLISHED_CLAMP} or more, or None")


def _modules(record: Record) -> Iterator[tuple[str, Record]]:
    """A record and the records in it, by their names in the module tree, which `flattened` has found to be one."""
    left = [("", record)]
    while left:  # no recursion, as a file may nest as deeply as it likes
        name, module = left.pop()
        yield name, module
        children = [(f"{name}.{key}".lstrip("."), child) for key, child in module.state["_modules"].items()]
        left += [(place, child) for place, child in reversed(children) if child is not None]


def _expected(name: str, module: Record) -> dict[str, Any]:
    """The settings of `StyleGAN2` at that place of the module tree."""
    if re.fullmatch(r"synthesis\.b\d+", name):
        return {"architecture": "skip"}
    if re.fullmatch(r"synthesis\.b\d+\.conv[01]", name):
        noise = "noise_strength" in module.state["_parameters"]
        return {"activation": "lrelu", "act_gain": math.sqrt(2), "use_noise": noise}
    if re.fullmatch(r"synthesis\.b\d+\.torgb", name):
        return {"weight_gain": _gain(module, 1)}
    if re.fullmatch(r"mapping\.fc\d+", name):
        return {"activation": "lrelu", "weight_gain": _gain(module, 0.01), "bias_gain": 0.01}
    if re.fullmatch(r"mapping\.embed|synthesis\.b\d+\.(conv[01]|torgb)\.affine", name):
        return {"activation": "linear", "weight_gain": _gain(module, 1), "bias_gain": 1}
    return {}


def _gain(module: Record, rate: float) -> float:
    """The learning rate by the square root of the inputs (ProGAN, section 4.1); nan without a weight."""
    weight = module.state["_parameters"].get("weight")
    inputs = weight[0].numel() if isinstance(weight, Tensor) and weight.ndim and len(weight) else 0
    return rate / math.sqrt(inputs) if inputs else math.nan


def _same(found: Any, expected: Any) -> bool:
    if isinstance(expected, str | bool):
        return type(found) is type(expected) and bool(found == expected)
    if not _is_number(found):
        return False
    return math.isnan(expected) or math.isclose(found, expected, rel_tol=1e-5)  # no weight: the tensors' check says it


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refusal(source: str, name: str, setting: str, found: Any, expected: Any) -> NavbenchError:
    value = f"{found:.4g}" if isinstance(found, float) else repr(found)
    usual = f"{expected:.4g}" if isinstance(expected, float) else str(expected)
    place = f" of {name}" if name else ""
    return NavbenchError(f"{source}: the setting {setting}{place} is {shown(value)}; only {usual} is supported.")
