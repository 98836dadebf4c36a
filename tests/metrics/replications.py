"""Whether standard errors are right: `tox -e replications`.

What is measured is drawn many times from distributions that are known.  The spread of the values over the draws is the
true standard error; beside it stand the one that is reported, how often a 95 % interval holds the expectation, and, of
pairs of draws between which there is no difference, how often one is called decided.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from scipy import stats
from torch import Tensor

from navbench.metrics import levels
from navbench.metrics.estimate import Estimate
from navbench.metrics.frechet import FrechetReference, Moments, of_one_distribution
from navbench.metrics.pairwise import PairwiseReference
from navbench.metrics.precision_recall import SHARES
from navbench.metrics.significance import Test, decided

HEADS = ("what", "of", "mean", "true error", "reported / true", "95 % interval", "decided of null pairs")
WIDTHS = (22, 36, 8, 10, 15, 13, 21)


@dataclass(frozen=True)
class Reported:
    """A number of one draw, as a report has it: with its standard error and degrees of freedom."""

    value: float
    stderr: float
    freedom: float


Draw = Callable[[int], Mapping[str, Reported]]


@dataclass(frozen=True)
class Calibration:
    """How the errors of one number compare with the truth.

    Attributes:
        mean, true: the expectation and the standard error, both over all draws.
        ratio: of the mean reported error to the true one.
        covered: the share of draws whose 95 % interval holds the expectation.
        false: the share of pairs of draws whose difference is called decided (p < 5 %, each pair by itself).
    """

    what: str
    of: str
    mean: float
    true: float
    ratio: float
    covered: float
    false: float

    def __str__(self) -> str:
        cells = (
            self.what, self.of, f"{self.mean:.4g}", f"{self.true:.2g}", f"{self.ratio:.2f}", f"{self.covered:.0%}",
            f"{self.false:.0%}",
        )  # fmt: skip
        return line(cells)


def line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def calibrations(of: str, draw: Draw, draws: int) -> list[Calibration]:
    """Of every number that a draw gives."""
    results = [draw(seed) for seed in range(draws)]
    return [_calibration(what, of, [result[what] for result in results]) for what in results[0]]


def _calibration(what: str, of: str, results: list[Reported]) -> Calibration:
    values = torch.tensor([result.value for result in results], dtype=torch.float64)
    mean, true = float(values.mean()), float(values.std())
    errors = torch.tensor([result.stderr for result in results], dtype=torch.float64)
    inside = [
        abs(result.value - mean) <= stats.t.ppf(0.975, max(result.freedom, 1)) * result.stderr for result in results
    ]
    pairs = list(zip(results[::2], results[1::2], strict=False))
    tests = [Test(a.value - b.value, math.hypot(a.stderr, b.stderr), min(a.freedom, b.freedom)) for a, b in pairs]
    false = [decided([test])[0].decided for test in tests]
    ratio = float(errors.mean()) / true
    return Calibration(what, of, mean, true, ratio, sum(inside) / len(inside), sum(false) / len(false))


# --- features


@dataclass(frozen=True)
class Features:
    """A distribution of features.

    Attributes:
        dimensions: D.
        decay: the standard deviation of dimension i is (1 + i)^-decay.
        freedom: of Student's t, which one radius gives to all dimensions; infinite for a Gaussian.
    """

    name: str
    dimensions: int
    decay: float = 0.0
    freedom: float = math.inf

    def draw(self, seed: int, n: int, scale: float = 1.0, away: float = 0.0) -> Tensor:
        """n of them, (n, D), float64, scaled and moved by `away` in all."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(n, self.dimensions, generator=generator, dtype=torch.float64)
        x = x * (1.0 + torch.arange(self.dimensions)) ** -self.decay
        if math.isfinite(self.freedom):
            squares = torch.randn(n, int(self.freedom), generator=generator, dtype=torch.float64).square()
            x = x / squares.mean(dim=1, keepdim=True).sqrt()
        return scale * x + away / self.dimensions**0.5


SAME = (1.0, 0.0)
"""Scale and displacement of one distribution."""
GAUSSIAN = Features("Gaussian, 32", 32)
TAILS = Features("t of 8, 16", 16, freedom=8)
DECAY = Features("spectrum 1/i^0.75, 256", 256, decay=0.75)


def distances(features: Features, n: int, scale: float, away: float, reference: int | None = None) -> Draw:
    """All distances and shares of n features from as many of another distribution.

    Args:
        features: the distribution of the reference.
        n: how many of either kind.
        scale: by which the samples differ.
        away: likewise.
        reference: which draw the reference is; `None` for another in every draw, as another seed gives.
    """

    def draw(seed: int) -> dict[str, Reported]:
        drawn = reference is None
        real = features.draw(2 * seed + 1 if reference is None else 10**6 + reference, n)
        samples = features.draw(2 * seed, n, scale, away)
        kernel, shares = PairwiseReference.of(real).measure(samples)
        frechet = FrechetReference.from_moments(Moments.of(real)).drawn(real).estimate(samples)
        if (scale, away) == SAME:
            frechet = of_one_distribution(frechet, n)
        numbers = {"FD": frechet, "KID": kernel, **{name: getattr(shares, name) for name in SHARES}}
        return {
            name: Reported(number.value, number.stderr_both if drawn else number.stderr, n - 1)
            for name, number in numbers.items()
        }

    return draw


# --- methods


@dataclass(frozen=True)
class Method:
    """A method whose directions, codes and pairs of both have known spreads."""

    of_directions: float
    of_codes: float
    of_pairs: float

    def values(self, seed: int, directions: int, codes: Tensor) -> list[Estimate]:
        """What each direction costs on the same codes, (n,), standard normal, of mean 0."""
        generator = torch.Generator().manual_seed(seed)
        own, pairs = (
            torch.randn(*shape, generator=generator, dtype=torch.float64)
            for shape in ((directions, 1), (directions, len(codes)))
        )
        costs = self.of_directions * own + self.of_codes * codes + self.of_pairs * pairs
        return [Estimate(float(row.mean()), row - row.mean()) for row in costs]


def _codes(seed: int, n: int) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(10**6 + seed), dtype=torch.float64)


def two_levels(method: Method, directions: int, n: int) -> Draw:
    """The mean over a method's directions, and the difference from a second method that is the same."""

    def draw(seed: int) -> dict[str, Reported]:
        codes = _codes(seed, n)
        first, second = (levels.levelled(method.values(2 * seed + which, directions, codes)) for which in (0, 1))
        numbers = {"mean of a method": first, "difference of methods": levels.difference(first, second)}
        return {name: Reported(mean.value, mean.stderr, mean.freedom) for name, mean in numbers.items()}

    return draw


def false_reports(method: Method, directions: int, n: int, draws: int, methods: int = 6) -> float:
    """The share of reports of several equal methods in which any pair is decided, all pairs being one family."""
    false = 0
    for seed in range(draws):
        codes = _codes(seed, n)
        means = [levels.levelled(method.values(methods * seed + which, directions, codes)) for which in range(methods)]
        tests = [levels.difference(a, b).test for a, b in combinations(means, 2)]
        false += any(decision.decided for decision in decided(tests))
    return false / draws


MIXED = Method(of_directions=0.05, of_codes=0.2, of_pairs=0.2)
CODES = Method(of_directions=0.0, of_codes=0.2, of_pairs=0.2)


def everything(draws: int, n: int) -> Iterator[Calibration]:
    """All that is known of errors, a row each, as it is computed."""
    for name, method in (("directions and codes", MIXED), ("codes alone", CODES)):
        yield from calibrations(f"{name}, 16 x 64", two_levels(method, 16, 64), 10 * draws)
    for features in (GAUSSIAN, TAILS, DECAY):
        for scale, away in (SAME, (0.9, 0.5), (0.8, 1.0)):
            where = features.name + (" at the floor" if (scale, away) == SAME else f" x {scale} + {away}")
            yield from calibrations(where, distances(features, n, scale, away), draws)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=120, help="of samples and reference; of methods ten times as many")
    parser.add_argument("--samples", type=int, default=256, help="of each kind")
    options = parser.parse_args()
    print(line(HEADS))
    for row in everything(options.draws, options.samples):
        print(row, flush=True)
    for name, method in (("directions and codes", MIXED), ("codes alone", CODES)):
        share = false_reports(method, 16, 64, 10 * options.draws)
        print(f"Reports of six equal methods ({name}) in which any pair is decided: {share:.1%}")


if __name__ == "__main__":
    main()
