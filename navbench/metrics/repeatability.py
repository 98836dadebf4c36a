"""Whether a network is a function of its inputs: the same answers twice, and alone as in a batch."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

TOLERANCE = 1e-4
"""The largest relative difference that is rounding, at float32.

Kernels sum in another order for another batch size, which moves the answers of deep networks by 1e-6 to 1e-5. Noise of
1e-4 is a hundredth of a grey level of 8 bits, below every effect that is measured.
"""
INPUTS = 2
"""Inputs that are answered: the fewest that make a batch."""


@dataclass(frozen=True)
class Repeatability:
    """Relative differences of answers to the same inputs, root mean square.

    Attributes:
        runs: between two passes over the same batch.
        batches: between an input in a batch and alone.
    """

    runs: float
    batches: float

    @property
    def is_function(self) -> bool:
        """Whether both are rounding; NaN is not."""
        return self.runs <= TOLERANCE and self.batches <= TOLERANCE

    @property
    def words(self) -> str:
        """What differs, for a sentence about a network that is no function."""
        if not self.runs <= TOLERANCE:
            return f"two passes over the same batch differ by {self.runs:.2g}, as noise of each call or dropout does"
        return (
            f"an input alone differs by {self.batches:.2g} from the same in a batch, as statistics of the batch or "
            "noise by its place in it do"
        )


def repeatability(answer: Callable[[slice], Tensor], unit: Tensor | float | None = None) -> Repeatability:
    """How far the answers to `INPUTS` inputs repeat.

    Args:
        answer: from a slice of the inputs to their answers, (n, ...).
        unit: below which a difference is absolute: 1 for images and masks, whose range it is, the spread of attributes;
            `None` for the root mean square of the answers.
    """
    first, second = answer(slice(None)), answer(slice(None))
    alone = answer(slice(INPUTS - 1, INPUTS))  # the last: noise by place shows there
    return Repeatability(difference(first, second, unit), difference(first[-1:], alone, unit))


def difference(one: Tensor, other: Tensor, unit: Tensor | float | None = None) -> float:
    """The root mean square of |one - other| / (unit + |one|); see `repeatability`."""
    one, other = one.double(), other.double()
    scale = one.abs() + (one.square().mean().sqrt() if unit is None else unit)
    return float(((one - other) / scale.clamp_min(1e-30)).square().mean().sqrt())  # of answers that are all 0, 0
