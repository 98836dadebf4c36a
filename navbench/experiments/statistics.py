"""A reference that others computed: the mean and covariance of its features, or the features themselves.

Read are `.npz` files with `mu` and `sigma`, as pytorch-fid, clean-fid and many papers publish them, and the files of
torch-fidelity's cache: `...-stat-fid-....pt`, the same two, and `...-features-....pt`, a tensor.  Such a file says
neither how many images it is of nor how they were resized, and nothing of either is guessed.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navbench.arrays import read_arrays
from navbench.compute import Compute
from navbench.costs import Rehearsed, rehearses
from navbench.errors import NavbenchError
from navbench.experiments.distances import distances_costs
from navbench.experiments.fid_curve import ReferenceStatistics, blank_reference
from navbench.files import content_hash
from navbench.metrics.parts import Parts
from navbench.pickles import read_torch
from navbench.work import pure

SUFFIXES = {".npz", ".pt"}
_SYMMETRIC = 1e-3  # of the largest variance: statistics at single precision are symmetric to 1e-6
_SEMIDEFINITE = 1e-6  # of the sum of variances: at single precision, an eigenvalue of 0 may be as far below it


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The mean (D,) and covariance (D, D) of features, float64."""

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is known of a reference without its images.

    Attributes:
        known: the features, (n, D), float32, or only their mean and covariance.
    """

    source: str
    known: Tensor | Gaussian

    @property
    def dimensions(self) -> int:
        """D."""
        return self.known.shape[1] if isinstance(self.known, Tensor) else len(self.known.mean)

    def check(self, dimensions: int, extractor: str) -> None:
        """Refuse statistics of features of another extractor, as far as their number tells."""
        if self.dimensions != dimensions:
            raise NavbenchError(
                f"Reference {self.source} is of features of {self.dimensions} dimensions, but {extractor} gives "
                f"{dimensions}; choose the extractor that they were made with."
            )

    @property
    def n(self) -> int | None:
        """How many images they are of; `None` if unknown."""
        return len(self.known) if isinstance(self.known, Tensor) else None

    def description(self) -> str:
        """What it is, in words."""
        what = f"features of {len(self.known):,} images" if isinstance(self.known, Tensor) else "a mean and covariance"
        return f"{what} from the file {self.source}, which does not tell how its images were resized"


@dataclass(frozen=True)
class StatisticsFile:
    """A file of statistics as a piece is given it: by its path, to be read by whoever computes."""

    source: str

    @cached_property
    def cache_key(self) -> str:
        """The hash of the file."""
        return content_hash(Path(self.source))


@pure()
def statistics_of_file(file: StatisticsFile, pairwise_samples: int, compute: Compute) -> ReferenceStatistics:
    """What distances are measured against, from a file of statistics."""
    return prepare(read_statistics(file.source), pairwise_samples, compute.exact).to("cpu")


@rehearses(statistics_of_file)
def _file_rehearsed(file: StatisticsFile, pairwise_samples: int, compute: Compute) -> Rehearsed[ReferenceStatistics]:
    """Blank; if the file holds features, their own distances cost about what those of one shift do."""
    statistics = read_statistics(file.source)
    known = min(statistics.n or 0, pairwise_samples)
    sketch = blank_reference(statistics.n or -1, known, statistics.dimensions, pairwise_samples)
    return Rehearsed(sketch, distances_costs(statistics.n or 1, sketch, statistics.dimensions, compute))


def prepare(statistics: Statistics, pairwise_samples: int, device: torch.device) -> ReferenceStatistics:
    """What distances are measured against, of statistics that were read."""
    known = statistics.known
    if isinstance(known, Tensor):
        return ReferenceStatistics.of(Parts.of(known), pairwise_samples, device)
    return ReferenceStatistics.of_gaussian(known.mean.to(device), known.covariance.to(device), pairwise_samples)


def is_statistics(source: str) -> bool:
    """Whether a reference is named by a file of statistics, going by its ending."""
    return Path(source).suffix.lower() in SUFFIXES


def read_statistics(source: str) -> Statistics:
    """The statistics in a file.

    Raises:
        NavbenchError: there is no such file, it is damaged or holds something else, or they are not those of features.
    """
    path = Path(source)
    if not path.is_file():
        raise NavbenchError(f"There is no file {source}; check the path of the reference.")
    held = read_arrays(path, ("mu", "sigma")) if path.suffix.lower() == ".npz" else _cached(path)
    if isinstance(held, Tensor):
        return Statistics(source, _features(held, source))
    mean, covariance = (_tensor(held, name, source) for name in ("mu", "sigma"))
    return _gaussian(mean, covariance, source)


def _cached(path: Path) -> Any:
    held = read_torch(path)
    if not isinstance(held, dict | Tensor):
        raise NavbenchError(f"Reference {path} holds a {type(held).__name__}, neither features nor their mu and sigma.")
    return held


def _tensor(held: dict[str, Any], name: str, source: str) -> Tensor:
    if name not in held:
        found = ", ".join(map(repr, held)) or "neither of them"
        raise NavbenchError(f"Reference {source} must hold 'mu' and 'sigma'; found: {found}.")
    try:
        values = torch.as_tensor(held[name])
    except (TypeError, ValueError, RuntimeError):
        raise NavbenchError(f"Reference {source}: {name!r} is no array of numbers.") from None
    if values.is_complex():
        raise NavbenchError(
            f"Reference {source}: {name!r} is complex, as a matrix root leaves it; save the mean and covariance "
            "themselves, which are real."
        )
    if values.dtype == torch.bool or values.layout != torch.strided:
        raise NavbenchError(f"Reference {source}: {name!r} is no dense array of numbers.")
    return values.double()


def _features(features: Tensor, source: str) -> Tensor:
    if features.ndim != 2 or len(features) < 2 or not features.shape[1]:
        raise NavbenchError(
            f"Reference {source} holds a tensor of shape {tuple(features.shape)}; features are (images, dimensions)."
        )
    if not features.is_floating_point() or features.layout != torch.strided:
        raise NavbenchError(f"Reference {source} holds a tensor of {features.dtype}; features are dense float32.")
    _finite(features, source)
    return features.float()


def _gaussian(mean: Tensor, covariance: Tensor, source: str) -> Statistics:
    if mean.ndim != 1 or not len(mean) or covariance.shape != (len(mean), len(mean)):
        raise NavbenchError(
            f"Reference {source}: mu is of shape {tuple(mean.shape)} and sigma of {tuple(covariance.shape)}; they must "
            "be (D,) and (D, D), D at least 1."
        )
    _finite(mean, source)
    _finite(covariance, source)
    largest = covariance.diagonal().max()
    if (covariance - covariance.T).abs().max() > _SYMMETRIC * largest or covariance.diagonal().min() < 0:
        raise NavbenchError(
            f"Reference {source}: sigma is no covariance: it is not symmetric, or has a negative variance."
        )
    covariance = (covariance + covariance.T) / 2
    if not _is_semidefinite(covariance):
        raise NavbenchError(
            f"Reference {source}: sigma is no covariance: it is not positive semi-definite, so some combination of "
            "features would have a negative variance; make it anew."
        )
    return Statistics(source, Gaussian(mean, covariance))


def _is_semidefinite(covariance: Tensor) -> bool:
    """Whether no eigenvalue is below 0 by more than rounding; by Cholesky, which is far cheaper than eigenvalues."""
    slack = _SEMIDEFINITE * covariance.trace()
    raised = covariance + slack * torch.eye(len(covariance), dtype=covariance.dtype)
    return not covariance.any() or int(torch.linalg.cholesky_ex(raised).info) == 0


def _finite(values: Tensor, source: str) -> None:
    if not torch.isfinite(values).all():
        raise NavbenchError(f"Reference {source} has NaN or infinite values; make it anew.")
