"""A curve from shards on disk: its memory, and its reference, which is prepared once."""

import sys

import pytest
import torch

from navbench.compute import Compute, peak_memory, reset_peak_memory
from navbench.experiments.fid_curve import ReferenceStatistics, Shard, curve, prepared
from navbench.metrics.parts import Parts
from navbench.runner.store import Store
from navbench.work import pure

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
    return store.stored(piece)


@pytest.mark.skipif(sys.platform != "linux", reason="The peak of a process's memory can be reset on Linux only.")
def test_the_memory_of_a_curve_does_not_grow_with_the_number_of_codes(tmp_path):
    store, compute = Store(tmp_path), Compute()
    reference = stored(store, made_up_reference.piece())
    shards = [stored(store, made_up_shard.piece(number)) for number in range(16)]
    prepared(reference, compute.device).measure(Parts.of(torch.randn(300, DIMENSIONS)))
    growth = {}
    for count in (2, 16):
        reset_peak_memory(compute.device)
        before = peak_memory(compute.device)
        assert curve(tuple(shards[:count]), reference, compute).frechet_at(0).n == count * SIZE
        growth[count] = peak_memory(compute.device) - before
    bytes_of_all = 16 * SHIFTS * SIZE * DIMENSIONS * 4
    assert growth[16] < growth[2] + bytes_of_all / 2**20 / 8


def test_a_reference_is_loaded_once_for_all_its_curves_and_made_ready_once(tmp_path):
    store, compute = Store(tmp_path), Compute()
    reference, shard = stored(store, made_up_reference.piece()), stored(store, made_up_shard.piece(0))
    before = prepared.cache_info().misses
    first, second = (curve((shard,), reference, compute) for _ in range(2))
    assert prepared.cache_info().misses == before + 1
    assert torch.equal(first.kernel, second.kernel)
    assert prepared(reference, compute.device).pairwise is prepared(reference, compute.device).pairwise


def test_a_reference_from_the_store_gives_the_distances_of_its_features(tmp_path):
    images, features = torch.randn(600, 7), torch.randn(200, 7)
    made = ReferenceStatistics.of(Parts.of(images[:100], images[100:]), pairwise_samples=150)
    store, piece = Store(tmp_path), made_up_reference.piece()
    store.put(piece, made)
    found = store.find(piece)
    assert (found.n, found.n_pairwise) == (600, 150)
    for ours, theirs in zip(found.measure(Parts.of(features))[:2], made.measure(Parts.of(features))[:2], strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=1e-12)
        torch.testing.assert_close(ours.influence, theirs.influence, rtol=1e-10, atol=1e-12)
