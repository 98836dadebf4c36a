"""Classes of conditional generators: codes that have one, how it is drawn, and which may be chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench import seeds
from navbench.errors import NavbenchError
from navbench.generators.base import Codes


@dataclass(frozen=True)
class ClassCodes(Codes):
    """Codes of a class-conditional generator.

    Attributes:
        z: (N, latent_dim), all that is drawn of a code but its class.
        label: (N,), int64, the class of each.
    """

    label: Tensor


def check_classes(name: str, class_count: int, classes: Sequence[int]) -> None:
    """Refuse classes that the generator of that name has not; without any, `class_count` is 0."""
    if classes and not class_count:
        raise NavbenchError(f"Generator {name} has no classes; leave out the option 'classes'.")
    for label in classes:
        if not 0 <= label < class_count:
            raise NavbenchError(f"Generator {name} has the classes 0 to {class_count - 1}, not {label}.")


def draw_classes(indices: Sequence[int], seed: int, class_count: int, classes: Sequence[int]) -> Tensor:
    """Classes (N,), int64, uniform among `classes` or all; that of code i depends on (seed, i) only."""
    among, role = classes or range(class_count), seeds.derived(seed, "class")
    drawn = [among[int(seeds.stream(role, index).integers(len(among)))] for index in indices]
    return torch.tensor(drawn, dtype=torch.int64)


def classes_variant(classes: Sequence[int]) -> str:
    """What a generator's `variant` says of the classes that codes are drawn from; '' for all."""
    return f"classes {' '.join(map(str, classes))}" if classes else ""


def no_class(name: str) -> NavbenchError:
    """The error of codes without classes."""
    return NavbenchError(f"Generator {name} is class-conditional, so its codes need classes; sample them.")
