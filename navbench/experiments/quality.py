"""How good a direction is, beyond the paper: steady, the same for all codes, natural, and of the same identity."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navbench import seeds
from navbench.costs import Pass, Rehearsed, Trial, rehearses
from navbench.experiments.fid_curve import Features, ReferenceStatistics, Shard
from navbench.metrics.coherence import coherence_of
from navbench.metrics.dvn import MOST, dvn
from navbench.metrics.parts import Parts
from navbench.metrics.paths import path_speed_cv
from navbench.work import Stored, joined, pure, slices


@dataclass(frozen=True)
class Quality:
    """Of one direction, from what its curve has seen.

    Attributes:
        path_speed_cv: (m,), float64, of each code how unsteady its path along t is.
        coherence: (2, 2), of the features' changes at t_min and at t_max, the value and its standard error.
        dvn: (2,), DVN and its standard error, NaN where the reference's images are not known; dvn_n: ()
            of how many codes.
        id_similarity: (T, m), the cosine of the embeddings of each code with and without the shift; m is 0 without an
            embedding.
    """

    path_speed_cv: Tensor
    coherence: Tensor
    dvn: Tensor
    dvn_n: Tensor
    id_similarity: Tensor


def quality(
    steps: Tensor, shifts: Sequence[float], unshifted: Parts, ends: tuple[Parts, Parts], real: Tensor | None,
    id_similarity: Tensor,
) -> Quality:  # fmt: skip
    """The quality of one direction.

    Args:
        steps: (T, m), perceptual distances between neighbouring shifts, t = 0 among them.
        shifts: T + 1 of them, ascending, t = 0 among them.
        unshifted: (n, D), features at t = 0.
        ends: the same of the same codes at t_min and at t_max, in parts of the same sizes.
        real: (m, D), those of the reference; `None` if unknown.
        id_similarity: see the attribute.
    """
    same = [coherence_of(end.less(unshifted)) for end in ends]
    values = torch.tensor([[each.value, each.stderr] for each in same], dtype=torch.float64)
    found = None if real is None or len(unshifted) < 4 else dvn(ends[0].first(MOST), ends[1].first(MOST), real)
    number = [float("nan")] * 2 if found is None else [found.value, found.stderr]
    count = torch.tensor(0 if found is None else found.n)
    return Quality(
        path_speed_cv(steps, shifts), values, torch.tensor(number, dtype=torch.float64), count, id_similarity.double()
    )


@pure(revision=2)
def curve_quality(
    shards: tuple[Stored[Shard], ...], shifts: tuple[float, ...], unshifted: tuple[Stored[Features], ...],
    reference: Stored[ReferenceStatistics],
) -> Quality:  # fmt: skip
    """The quality of a direction from the shards of its curve over these shifts, t = 0 among them."""
    steps, id_similarity = (
        torch.cat([shard.read(name) for shard in shards], dim=1) for name in ("steps", "id_similarity")
    )
    real, at = reference.read("features"), slices(shards, "features")
    ends = (at(0), at(len(shifts) - 2))
    return quality(steps, shifts, joined(unshifted, "features"), ends, real if len(real) else None, id_similarity)


@rehearses(curve_quality)
def _quality_rehearsed(
    shards: tuple[Shard, ...], shifts: tuple[float, ...], unshifted: tuple[Features, ...],
    reference: ReferenceStatistics,
) -> Rehearsed[Quality]:  # fmt: skip
    """Unsteady, and like no other."""
    features = [shard.features for shard in shards]
    codes, dimensions = sum(each.shape[1] for each in features), features[0].shape[2]
    real = len(reference.features)
    one = torch.ones((), dtype=torch.float64)
    identity = sum(shard.id_similarity.shape[1] for shard in shards)
    sketch = Quality(
        one.expand(sum(shard.steps.shape[1] for shard in shards)), one.expand(2, 2), one.expand(2), torch.tensor(codes),
        one.expand(len(shifts) - 1, identity),
    )  # fmt: skip
    return Rehearsed(sketch, {_classifying(codes, real, dimensions): 1} if real else {})


def _classifying(codes: int, real: int, dimensions: int) -> Pass:
    """The classifiers of one direction, whose effort grows with the number of images."""
    most = min(codes, 1024), min(real, 1024)

    def trial() -> Trial:
        low, high, reference = (seeds.normal(0, range(count), (dimensions,)) for count in (most[0], most[0], most[1]))

        def once() -> float:
            dvn(low, high + 0.1, reference)
            return sum(most) / (min(codes, MOST) + min(real, MOST))

        return once

    return Pass("classifiers", (codes, real, dimensions), trial)
