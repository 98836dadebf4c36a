"""Methods that are told what images show: per attribute of a scorer one direction, with what its search knows of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from navbench.discovery.boundaries import attribute_boundaries, bounded
from navbench.discovery.calibration import EffectMeter
from navbench.discovery.settings import DiscoverySettings
from navbench.discovery.supervised import attribute_gradients, dual, steered_offset
from navbench.errors import NavbenchError
from navbench.metrics.attributes import Scorer
from navbench.progress import Report
from navbench.work import Executor


@dataclass(frozen=True)
class Told:
    """Directions of attributes.

    Attributes:
        offsets: (K, *shape), of unit norm.
        scores: what is known of each, (K,), by name.
        provenance: whose attributes they are, and how they were found.
        earlier: seconds spent before this process.
    """

    offsets: Tensor
    scores: dict[str, Tensor]
    provenance: dict[str, Any]
    earlier: float = 0.0


LabelledSearch = Callable[[EffectMeter, Scorer, DiscoverySettings, int, Executor, Report], Told]
"""Finds directions in the space of a meter of effects, by what a scorer reads."""


def by_gradients(
    meter: EffectMeter, scorer: Scorer, settings: DiscoverySettings, seed: int, executor: Executor, report: Report
) -> Told:
    """`supervised`: the offset that moves each attribute alone, one piece each."""
    how, space = settings.supervised, meter.space
    begun, names = time.monotonic(), [attribute.name for attribute in scorer.attributes]
    (gradients,) = executor.results([attribute_gradients.piece(space, scorer, how.codes, meter.compute, seed)])
    pieces = [
        steered_offset.piece(meter, scorer, start, index, settings.effect, how, seed).but(note=names[index])
        for index, start in enumerate(dual(gradients.means))
    ]
    done = 0

    def tick(note: str) -> None:
        nonlocal done
        done += 1
        report(done, len(pieces), note)

    found = executor.results(pieces, tick)
    scores = {name: torch.stack([getattr(each, name) for each in found]).float() for name in ("share", "consistency")}
    shares = [[round(share, 4) for share in each.shares.tolist()] for each in found]
    return Told(
        torch.stack([each.offset for each in found]),
        {f"held_out_{name}": values for name, values in scores.items()},
        {"scorer": scorer.name, "attributes": names, "held_out_shares": shares},
        max(0.0, sum(float(each.seconds) for each in found) - (time.monotonic() - begun)),
    )


def by_boundaries(
    meter: EffectMeter, scorer: Scorer, settings: DiscoverySettings, seed: int, executor: Executor, report: Report
) -> Told:
    """`interfacegan`: the normal of each attribute's boundary, circular ones left out."""
    kept = bounded(scorer.attributes)
    if not kept:
        raise NavbenchError(f"All attributes of scorer {scorer.name} are circular, so none has a boundary.")
    piece = attribute_boundaries.piece(meter.space, scorer, settings.interfacegan, meter.compute, seed)
    (found,) = executor.results([piece], report=report)
    names = [attribute.name for attribute in scorer.attributes]
    provenance = {
        "scorer": scorer.name,
        "attributes": [names[index] for index in kept],
        "circular": [name for index, name in enumerate(names) if index not in kept],
    }
    return Told(found.normals, {"boundary_accuracy": found.accuracies.float()}, provenance)
