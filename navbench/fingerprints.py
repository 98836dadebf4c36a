"""What the weights of a network are known by."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def fingerprint_of(state: Mapping[str, Tensor], variant: str = "") -> str:
    """SHA-256 of all tensors of a state dict with their names, kinds and shapes, and of what else they run with."""
    digest = hashlib.sha256(variant.encode())
    for key, value in sorted(state.items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def tensor_hash(tensor: Tensor) -> str:
    """SHA-256 of a tensor's values."""
    return hashlib.sha256(
        tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    ).hexdigest()
