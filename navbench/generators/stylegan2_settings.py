"""Settings of NVIDIA's networks that no tensor shows, as the records of a pickle hold them.

They are attributes of the modules (training/networks.py of stylegan2-ada-pytorch).  What scales tensors, the gains of
another learning rate, is multiplied into them; the activations and the clamp are `StyleGAN2`'s own; what it does not
have is refused by name, as a network with it would run, and make other images.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.generators.stylegan2_layers import ACTIVATIONS
from navbench.pickles import Record
from navbench.texts import shown

_BLOCK, _CONV = re.compile(r"synthesis\.b\d+"), re.compile(r"synthesis\.b\d+\.conv[01]")
_COLOUR, _MAPPING = re.compile(r"synthesis\.b\d+\.torgb"), re.compile(r"mapping\.fc\d+")
_AFFINE = re.compile(r"mapping\.embed|synthesis\.b\d+\.(conv[01]|torgb)\.affine")
_RATE = 0.01
"""The learning rate of the mapping network that `StyleGAN2` has, by that of the rest."""


@dataclass(frozen=True)
class Honoured:
    """A network whose settings are those of a `StyleGAN2` that is built with `settings`.

    Attributes:
        state: tensors by NVIDIA's names, gains multiplied in.
        settings: arguments of `StyleGAN2`.
        origin: what was read beside that (see `Generator.origin`).
    """

    state: dict[str, Tensor]
    settings: dict[str, Any]
    origin: dict[str, str]


def honoured(record: Record, state: Mapping[str, Tensor], source: str) -> Honoured:
    """The settings of G_ema of NVIDIA's StyleGAN2; those that it does not hold are as published.

    Args:
        record: of the network.
        state: its tensors by their names.
        source: what the record comes from, for errors.

    Raises:
        NavbenchError: a setting is none that `StyleGAN2` has, and named with its module.
    """
    settings = _Settings(dict(_modules(record)), source)
    settings.check(_BLOCK, "architecture", "skip")
    settings.check(_AFFINE, "activation", "linear")
    activation = settings.common(_CONV, "activation", _is_activation, "lrelu", f"one of {', '.join(ACTIVATIONS)}")
    mapping = settings.common(_MAPPING, "activation", _is_activation, "lrelu", f"one of {', '.join(ACTIVATIONS)}")
    settings.check(_CONV, "act_gain", ACTIVATIONS[activation][1])
    folded, gained = _folded(settings, _without_unused_noise(settings, state))
    clamp = settings.common(
        re.compile(f"{_CONV.pattern}|{_COLOUR.pattern}"), "conv_clamp", _is_clamp, None, "a number above 0 or None"
    )
    origin = {"gains": f"of another learning rate, multiplied into {_listed(gained)}"} if gained else {}
    halves = [name.rpartition(".")[2] for name, value in settings.of(_BLOCK, "use_fp16") if value is True]
    if halves:
        origin["precision"] = f"float16 as published in {', '.join(halves)}; float32 here"
    functions = {"activation": activation, "mapping_activation": mapping}
    return Honoured(folded, functions | {"clamp": None if clamp is None else float(clamp)}, origin)


@dataclass(frozen=True)
class _Settings:
    """The modules of a network by their names; whatever it refuses, it names."""

    modules: Mapping[str, Record]
    source: str

    def of(self, where: re.Pattern[str], setting: str) -> Iterator[tuple[str, Any]]:
        """The setting of each module of that name that holds it."""
        for name, module in self.modules.items():
            if where.fullmatch(name) and setting in module.state:
                yield name, module.state[setting]

    def check(self, where: re.Pattern[str], setting: str, expected: str | float) -> None:
        """Refuse another value than the one that is built."""
        for name, value in self.of(where, setting):
            if isinstance(expected, str):
                same = isinstance(value, str) and value == expected
            else:
                same = _is_number(value) and math.isclose(value, expected, rel_tol=1e-5)
            if not same:
                raise self.refusal(name, setting, value, _words(expected).strip("'"))

    def common(
        self, where: re.Pattern[str], setting: str, admits: Callable[[Any], bool], default: Any, words: str
    ) -> Any:
        """The value that all modules share, which their authors' code gives to all alike."""
        first: tuple[str, Any] | None = None
        for name, value in self.of(where, setting):
            if not admits(value):
                raise self.refusal(name, setting, value, words)
            first = first or (name, value)
            if value != first[1]:
                raise self.refusal(name, setting, value, f"{first[1]}, as {first[0]} has it,")
        return default if first is None else first[1]

    def refusal(self, name: str, setting: str, value: Any, supported: str) -> NavbenchError:
        """What is found in place of what is supported."""
        return NavbenchError(
            f"{self.source}: the setting {setting} of {name} is {shown(_words(value))}; only {supported} is supported."
        )


def _modules(record: Record) -> Iterator[tuple[str, Record]]:
    """A record and the records in it, by their names in the module tree, which `flattened` has found to be one."""
    left = [("", record)]
    while left:  # no recursion, as a file may nest as deeply as it likes
        name, module = left.pop()
        yield name, module
        children = [(f"{name}.{key}".lstrip("."), child) for key, child in module.state["_modules"].items()]
        left += [(place, child) for place, child in reversed(children) if child is not None]


def _folded(settings: _Settings, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors with all gains that `StyleGAN2` does not have multiplied in, and the names of their modules."""
    folded: dict[str, Tensor] = dict(state)
    gained: list[str] = []
    for where, rate in ((_MAPPING, _RATE), (_AFFINE, 1.0), (_COLOUR, 1.0)):
        for tensor in ("weight", "bias"):
            for name, gain in settings.of(where, f"{tensor}_gain"):
                if not _is_number(gain) or not math.isfinite(gain):
                    raise settings.refusal(name, f"{tensor}_gain", gain, "a finite number")
                value = state.get(f"{name}.{tensor}")
                if value is None or not value.ndim or not value.numel():  # the tensors' check says it
                    continue
                expected = rate / math.sqrt(value[0].numel()) if tensor == "weight" else rate
                if not math.isclose(gain, expected, rel_tol=1e-5):
                    folded[f"{name}.{tensor}"] = (value.double() * (gain / expected)).float()
                    gained += [name] if name not in gained else []
    return folded, gained


def _without_unused_noise(settings: _Settings, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with a strength of 0 where a layer holds noise that it does not use."""
    quiet = dict(state)
    for name, used in settings.of(_CONV, "use_noise"):
        held = f"{name}.noise_strength" in state
        if not isinstance(used, bool) or (used and not held):
            raise settings.refusal(name, "use_noise", used, f"{held}")
        if held and not used:
            quiet[f"{name}.noise_strength"] = torch.zeros_like(state[f"{name}.noise_strength"])
    return quiet


def _is_activation(value: Any) -> bool:
    return isinstance(value, str) and value in ACTIVATIONS


def _is_clamp(value: Any) -> bool:
    return value is None or (_is_number(value) and 0 < value < math.inf)


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)


def _words(value: Any) -> str:
    """A value for a message; a file's lists may nest as deeply as they like."""
    if isinstance(value, float):
        return f"{value:.4g}"
    plain = value is None or isinstance(value, str | bool) or _is_number(value)
    return repr(value) if plain else f"a {type(value).__name__}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
