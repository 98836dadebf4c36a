"""Features in parts give the same numbers as in one piece, and are in memory a part at a time."""

import weakref
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from navbench.metrics.coherence import coherence, coherence_of
from navbench.metrics.frechet import FrechetReference, Moments
from navbench.metrics.parts import Parts


def normal(seed, n, dimensions=5):
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))


REFERENCE = FrechetReference.from_moments(Moments.of(normal(0, 50)))
edges = st.sets(st.integers(1, 59)).map(lambda places: [0, *sorted(places), 60])


@given(edges)
def test_parts_of_any_sizes_give_the_same_distance_and_coherence(edges):
    features = 0.7 * normal(1, 60) + 3
    parts = Parts.of(*(features[low:high] for low, high in pairwise(edges)))
    assert torch.equal(parts.whole(), features)
    for ours, theirs in (
        (REFERENCE.estimate_of(parts), REFERENCE.estimate(features)),
        (coherence_of(parts), coherence(features)),
    ):
        assert ours.value == pytest.approx(theirs.value, rel=1e-10)
        torch.testing.assert_close(ours.influence, theirs.influence, rtol=1e-9, atol=1e-9)


@given(edges, st.integers(1, 80))
def test_the_first_features_are_read_and_no_later_part(edges, most):
    features, read = normal(1, 60), []
    parts = [features[low:high] for low, high in pairwise(edges)]
    reads = [lambda part=part: read.append(len(part)) or part for part in parts]
    counted = Parts(reads, [part.shape for part in parts])
    assert torch.equal(counted.first(most), features[:most])
    assert sum(read[:-1]) < most


class Watched:
    """Gives parts anew whenever they are read, and counts how many there are at once."""

    def __init__(self, count, size, dimensions):
        self.alive = self.most = 0
        reads = [lambda seed=seed: self.read(seed, size, dimensions) for seed in range(count)]
        self.parts = Parts(reads, [(size, dimensions)] * count)

    def read(self, seed, size, dimensions):
        part = normal(seed, size, dimensions)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(part, self.gone)
        return part

    def gone(self):
        self.alive -= 1


@pytest.mark.parametrize("measure", [REFERENCE.estimate_of, coherence_of], ids=["frechet", "coherence"])
def test_a_part_is_let_go_before_the_one_after_the_next_is_read(measure):
    watched = Watched(12, 20, 5)
    measure(watched.parts)
    assert watched.most <= 2  # a loop holds one until it has the next
    assert watched.alive == 0


def test_differences_are_those_of_the_features():
    a, b = normal(0, 9), normal(1, 9)
    difference = Parts.of(a[:4], a[4:]).less(Parts.of(b[:4], b[4:]))
    torch.testing.assert_close(difference.whole(), a.double() - b.double())
