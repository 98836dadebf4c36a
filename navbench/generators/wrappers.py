"""The generator within what a file holds: entries of dictionaries around it, and prefixes of its tensors' names.

People's files wrap a state dict in many ways (DataParallel's `module.`, torch.compile's `_orig_mod.`, Lightning's
`state_dict` with `generator.`, the `decoder.` of pSp, moving averages of several kinds), and one in another.  All are
one thing, a path of names, so the generator is looked for at all of them, and told by its own tensors.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from torch import Tensor

from navbench.errors import NavbenchError
from navbench.pickles import Record, flattened

_MEAN = "latent_avg"
"""The mean style, which stands beside rosinality's generator, or beside what is around it."""
_AVERAGE = re.compile(r"(.*_)?ema(_.*)?", re.IGNORECASE)
"""Names of a moving average of weights, such as g_ema, ema_model: what published images are made with."""
_RAW = ("g", "G")
"""How both layouts call the weights beside it."""
_USUAL = ((), ("g_ema",), ("G_ema",))
"""The entries where published files hold it."""
_DEPTH = 6
"""How many dictionaries, and how many prefixes, may be around a generator."""
_MOST_NETWORKS = 100
_SHELLS = ("module.", "_orig_mod.")
"""Prefixes of torch's own, which any network may have."""


@dataclass(frozen=True)
class Network:
    """The tensors of a network, and where they were.

    Attributes:
        state: by their names, without the prefix.
        entries: keys of the dictionaries that lead to it.
        prefix: of the names of its tensors, which ends in a dot; '' for none.
        left_out: how many tensors stand beside those of the prefix.
        record: of one of NVIDIA's networks, which holds more than tensors.
    """

    state: dict[str, Tensor]
    entries: tuple[Any, ...] = ()
    prefix: str = ""
    left_out: int = 0
    record: Record | None = None

    @property
    def is_average(self) -> bool:
        """Whether a name on the way to it is that of a moving average."""
        return any(_AVERAGE.fullmatch(name) for name in self._names())

    @property
    def wrapping(self) -> str:
        """What was around it, in a sentence; '' in published files."""
        entry = "" if self.entries in _USUAL else f"the generator is its entry {' / '.join(map(repr, self.entries))}"
        prefix = f"the prefix {self.prefix!r} was taken off the names of its tensors" if self.prefix else ""
        rest = f"tensors beside these ({self.left_out}) are left out" if self.left_out else ""
        return "; ".join(filter(None, (entry, prefix, rest)))

    @property
    def reservation(self) -> str:
        """What speaks against it, in a sentence; '' for nothing."""
        if self.is_average or not any(name in _RAW for name in self._names()):
            return ""
        return "these are the weights of a training, not their moving average (g_ema), which images are made with"

    def _names(self) -> tuple[str, ...]:
        return (*map(str, self.entries), *self.prefix.split("."))


def find_generator(value: Any, is_generator: Callable[[Mapping[str, Tensor]], bool]) -> Network:
    """The one generator in a file's content, with `latent_avg` among its tensors where that stands beside it.

    Moving averages go before other weights. If no network is a generator, and there is only one, it is that.

    Raises:
        NavbenchError: there is no network, or there are several generators.
    """
    if not isinstance(value, dict | Record) or not value:
        raise NavbenchError(f"a {type(value).__name__} is in it, no state dict of a generator; name another file.")
    held = list(islice(_networks(value), _MOST_NETWORKS))
    if len(held) == _MOST_NETWORKS:
        raise NavbenchError(f"it holds {_MOST_NETWORKS} networks or more; save the generator alone.")
    averages = [each for each in held if any(_AVERAGE.fullmatch(str(key)) for key in each[0])]
    networks = [_read(*each) for each in averages or held]
    found = [each for network in networks for each in _within(network, is_generator)]
    if chosen := [each for each in found if each.is_average] or found:
        if len(chosen) > 1:
            names = [" / ".join(filter(None, (*map(str, each.entries), each.prefix))) for each in chosen]
            raise NavbenchError(f"it holds several generators, {listed(names)}; save the one that is meant alone.")
        return _with_mean(chosen[0], value)
    if len(networks) == 1:
        return _unshelled(networks[0])
    keys = list(value) if isinstance(value, dict) else [value.class_name]
    if entry := next((key for key in keys if _AVERAGE.fullmatch(str(key))), None):
        raise NavbenchError(f"its entry {entry!r} is no state dict of tensors; name another file.")
    raise NavbenchError(f"it holds no generator, only {listed(keys)}; name another file.")


def listed(keys: list[Any]) -> str:
    """The first few keys of a file."""
    return ", ".join(map(repr, keys[:3])) + (", ..." if len(keys) > 3 else "")


def _networks(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The records and state dicts in a file's content, by the entries that lead to them."""
    left: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    seen: set[int] = set()
    while left:
        entries, each = left.pop(0)
        if id(each) in seen:  # a pickle may hold a dictionary in itself
            continue
        if isinstance(each, Record) or _is_state(each):
            yield entries, each
        elif len(entries) < _DEPTH:
            seen.add(id(each))
            left += [((*entries, key), inner) for key, inner in each.items() if isinstance(inner, dict | Record)]


def _is_state(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(key, str) and isinstance(each, Tensor) for key, each in value.items())


def _read(entries: tuple[Any, ...], value: Any) -> Network:
    if isinstance(value, Record):
        return Network(flattened(value, f"the {value.class_name} in it"), entries, record=value)
    return Network(dict(value), entries)


def _within(network: Network, is_generator: Callable[[Mapping[str, Tensor]], bool]) -> Iterator[Network]:
    """The generators in a state dict, of which it may be one, with the shortest prefixes that make them one."""
    level = {"": network.state}
    for _ in range(_DEPTH):
        deeper: dict[str, dict[str, Tensor]] = {}
        for prefix, state in level.items():
            if is_generator(state):
                others = len(network.state) - len(state)
                yield replace(
                    network, state=state, prefix=prefix, left_out=others, record=None if prefix else network.record
                )
                continue
            for key, value in state.items():
                head, dot, rest = key.partition(".")
                if dot and rest:
                    deeper.setdefault(f"{prefix}{head}.", {})[rest] = value
        level = deeper


def _with_mean(network: Network, value: Any) -> Network:
    """With the mean style that stands nearest to it, beside its tensors, their prefixes or the entries around it."""
    if _MEAN in network.state:
        return network
    holders = [value]
    for key in network.entries:
        holders.append(holders[-1][key])
    parts = network.prefix.split(".")[:-1]
    names = [".".join([*parts[:count], _MEAN]) for count in range(len(parts), -1, -1)]
    beside = [holder.get(name) for holder in reversed(holders) if isinstance(holder, dict) for name in names]
    mean = next((each for each in beside if isinstance(each, Tensor)), None)
    return network if mean is None else replace(network, state={**network.state, _MEAN: mean})


def _unshelled(network: Network) -> Network:
    """Without prefixes of torch's own, so that what it is instead can be told by its names."""
    for shell in (shell for _ in range(_DEPTH) for shell in _SHELLS):
        if all(key.startswith(shell) for key in network.state):
            state = {key.removeprefix(shell): value for key, value in network.state.items()}
            network = replace(network, state=state, prefix=network.prefix + shell)
    return network
