"""Loading a state dict of a file into a generator: all of it, or one sentence about what does not fit."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from navbench.errors import NavbenchError

Network = TypeVar("Network", bound=nn.Module)


def load_strictly(network: Network, state: Mapping[str, Tensor], source: str) -> Network:
    """The network with the tensors of a state dict, float32, frozen, on the CPU; it may have been built on 'meta'.

    Args:
        network: whose state dict has exactly the names and shapes of `state`.
        state: floating tensors at any precision; others as they are.
        source: what the tensors come from, for errors.

    Raises:
        NavbenchError: a tensor is missing, superfluous, of another shape, or not finite.
    """
    check_shapes({key: value.shape for key, value in state.items()}, network, source)
    check_finite(state, source)
    tensors = {}
    for key, value in state.items():
        value = value.detach().cpu()
        tensors[key] = (value.float() if value.is_floating_point() else value).clone().contiguous()
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def check_shapes(found: Mapping[str, Sequence[int]], network: nn.Module, source: str) -> None:
    """Refuse names or shapes of tensors that are not the network's."""
    check_expected(found, {key: value.shape for key, value in network.state_dict().items()}, source)


def check_expected(found: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]], source: str) -> None:
    """Refuse names or shapes of tensors other than the expected ones."""
    if missing := [key for key in expected if key not in found]:
        raise NavbenchError(f"{source} lacks the tensor {missing[0]!r}, which is to be {_size(expected[missing[0]])}.")
    if extra := [key for key in found if key not in expected]:
        raise NavbenchError(f"{source} holds a tensor {extra[0]!r} that a generator of its kind and size has not.")
    for key, shape in expected.items():
        if tuple(found[key]) != tuple(shape):
            raise NavbenchError(
                f"{source}: {key!r} is {_size(found[key])}, but a generator of its kind and size has {_size(shape)}."
            )


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Refuse values that are NaN or infinite."""
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise NavbenchError(f"{source}: {key!r} has NaN or infinite values; fetch the file again.")


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"
