"""A curve from shards on disk takes as much memory for many codes as for few."""

import sys

import pytest
import torch

from navbench.compute import Compute
from navbench.experiments.fid_curve import ReferenceStatistics, Shard, curve, prepared
from navbench.metrics.parts import Parts
from navbench.runner.manifest import peak_memory, reset_peak_memory
from navbench.runner.store import Store
from navbench.work import Stored, pure

SHIFTS, SIZE, DIMENSIONS = 8, 500, 256


@pure()
def made_up_shard(number: int) -> Shard:
    """A shard of random features."""
    features = torch.randn(SHIFTS, SIZE, DIMENSIONS, generator=torch.Generator().manual_seed(number))
    return Shard(features, *torch.zeros(3, SHIFTS, 1))


@pure()
def made_up_reference() -> ReferenceStatistics:
    """Of random features."""
    features = torch.randn(600, DIMENSIONS, generator=torch.Generator().manual_seed(99))
    return ReferenceStatistics.of(Parts.of(features), pairwise_samples=100)


def stored(store, piece):
    store.put(piece, piece.make(lambda part: part))
    return Stored(piece.function.kind, store.path(piece))


@pytest.mark.skipif(sys.platform != "linux", reason="The peak of a process's memory can be reset on Linux only.")
def test_the_memory_of_a_curve_does_not_grow_with_the_number_of_codes(tmp_path):
    store, compute = Store(tmp_path), Compute()
    reference = stored(store, made_up_reference.piece())
    shards = [stored(store, made_up_shard.piece(number)) for number in range(16)]
    prepared(reference, compute.device).measure(Parts.of(torch.randn(300, DIMENSIONS)))
    growth = {}
    for count in (2, 16):
        reset_peak_memory(compute)
        before = peak_memory(compute)
        assert curve(tuple(shards[:count]), reference, compute).frechet_at(0).n == count * SIZE
        growth[count] = peak_memory(compute) - before
    bytes_of_all = 16 * SHIFTS * SIZE * DIMENSIONS * 4
    assert growth[16] < growth[2] + bytes_of_all / 2**20 / 8
