"""The one rule by which anything is called different: Student's t, adjusted for a family of tests after Holm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from navbench.metrics.estimate import Estimate

LEVEL = 0.05
"""The family-wise error rate: the chance that any difference of a family is called decided under the null."""


@dataclass(frozen=True)
class Test:
    """A difference, whose expectation is 0 under the null hypothesis.

    Attributes:
        value, stderr: the difference and its standard error.
        freedom: degrees of freedom of the error.
    """

    __test__ = False  # no class of tests for pytest

    value: float
    stderr: float
    freedom: float

    @classmethod
    def of(cls, difference: Estimate, other_stderr: float = 0.0) -> "Test":
        """Of a difference that may have a second, independent source of error."""
        return cls(difference.value, math.hypot(difference.stderr, other_stderr), difference.freedom)


@dataclass(frozen=True)
class Decision:
    """What a family of tests says of one of them; p is adjusted for the family."""

    p: float

    @property
    def decided(self) -> bool:
        """Whether the difference is significant."""
        return self.p < LEVEL


def decided(family: Sequence[Test]) -> list[Decision]:
    """Two-sided p of each test of a family, adjusted after Holm (1979), in the order of the family.

    Nothing is decided by a difference of 0 or NaN, or without an uncertainty: such a test has p = 1. A test of
    NaN was not made, and does not count in the family.
    """
    raw = np.array([_chance(test) for test in family], dtype=float)
    valid = np.array([not math.isnan(test.value) for test in family], dtype=bool)
    adjusted = np.ones(len(family))
    order = np.flatnonzero(valid)[np.argsort(raw[valid], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, raw[order] * factors)) if len(order) else 1.0
    return [Decision(float(p)) for p in adjusted]


def _chance(test: Test) -> float:
    """The probability of so large a difference under the null hypothesis; 1 if nothing can be said."""
    if math.isnan(test.value) or test.value == 0 or not test.stderr > 0:
        return 1.0
    return float(2 * stats.t.sf(abs(test.value) / test.stderr, max(test.freedom, 1)))
