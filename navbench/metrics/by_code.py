"""KID, precision, recall, density and coverage of few images, each with the influence of every code.

`PairwiseReference.measure` gives shares with standard errors.  To compare two methods on the same codes, and to tell
codes from directions (see `levels`), the influence of each code is needed: that of means is exact, that of recall and
coverage is the jackknife's, from the share without the code, whose ball is then missing and those of its neighbours
larger; it is cautious, 1.0 to 1.5 times the truth for coverage and 1.3 to 1.6 times for recall.  All of it follows from
the same products of pairs; they are in memory at once, so n is small.
"""

import math

import torch
from torch import Tensor

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.kernel import Across, Among, kernel_distance
from navbench.metrics.pairwise import PairwiseReference, Samples
from navbench.metrics.precision_recall import NARROW, NEIGHBOURS, SHARES, WIDE

METRICS = ("KID", *SHARES)


def measure(reference: PairwiseReference, features: Tensor) -> list[Estimate]:
    """The numbers of `METRICS` of features (n, D), n at least 4; shares are NaN unless both have more than k."""
    y = reference.samples
    x = Samples.of(features, y.centre)
    n, m, rows, columns = len(features), len(reference), slice(len(features)), slice(len(reference))
    own, products = x.features @ x.features.T, x.features @ y.features.T
    among, across = x.squared(own, rows, rows, x).fill_diagonal_(math.inf), x.squared(products, rows, columns, y)
    kernels, others = x.kernels(own, rows, rows, x).fill_diagonal_(0), x.kernels(products, rows, columns, y)
    ours = Among(kernels.sum(dim=1) / (n - 1), kernels.square().sum() / (n * (n - 1)))
    theirs = Across(others.mean(dim=1), others.mean(dim=0), others.square().mean())
    kernel = kernel_distance(ours, theirs, reference.neighbourhood.kernels)
    if min(n, m) <= WIDE:
        return [kernel, *(Estimate(math.nan, torch.full((n,), math.nan).double()) for _ in SHARES)]
    return [kernel, *_shares(among, across, reference.neighbourhood.radii)]


def _shares(among: Tensor, across: Tensor, radii: Tensor) -> list[Estimate]:
    """The shares from all squared distances, of n samples to each other and (n, m) to the reference.

    Args:
        among: (n, n), infinite on the diagonal.
        across: (n, m).
        radii: (m, 5), the squared radii of the reference's balls of 1 to 5 neighbours.
    """
    inside = across <= radii[:, WIDE - 1]
    of_share = {
        "precision": estimate.mean((across <= radii[:, NARROW - 1]).any(dim=1)),
        "recall": _share_reached(*_balls(among, across)),
        "density": estimate.mean(inside.sum(dim=1) / NEIGHBOURS["density"]),
        "coverage": _share_reached(inside.sum(dim=0), inside.sum(dim=0) - inside.long()),
    }
    return [of_share[name] for name in SHARES]


def _share_reached(counts: Tensor, without: Tensor) -> Estimate:
    """The share of the reference that is reached, from how often it is: (m,), and (n, m) without each sample."""
    return estimate.jackknife(float((counts > 0).double().mean()), (without > 0).double().mean(dim=1))


def _balls(among: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """In how many of the samples' balls each of the reference is, (m,), and without each sample, (n, m)."""
    least = among.topk(NARROW + 1, dim=1, largest=False)
    radii, wider = least.values[:, NARROW - 1 : NARROW], least.values[:, NARROW:]
    balls, larger = across <= radii, across <= wider
    is_near = torch.zeros_like(among).scatter_(1, least.indices[:, :NARROW], 1)  # whose ball grows without whom
    counts = balls.sum(dim=0)
    gained = is_near.T @ (larger & ~balls).to(is_near)
    return counts, counts - balls.long() + gained.long()
