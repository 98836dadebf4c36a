"""Pieces come after their parts, each once, and few groups of transient parts are on disk at a time."""

import random
from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from navbench.runner.schedule import Schedule
from navbench.work import Piece, Stored, pure


@dataclass(frozen=True)
class Nothing:
    value: Tensor


@pure()
def shard(name: str) -> Nothing:
    """A part."""
    return Nothing(torch.zeros(1))


@pure()
def whole(parts: tuple[Stored[Nothing], ...], name: str) -> Nothing:
    """What is made of parts."""
    return Nothing(torch.zeros(1))


def curves(groups: int, shards: int, wholes: int) -> list[Piece]:
    """`wholes` pieces of each of some groups of transient shards, and of one lasting part of all."""
    lasting = shard.piece("floor")
    pieces = []
    for group in range(groups):
        parts = tuple(shard.piece(f"{group} {index}").but(transient=True) for index in range(shards))
        pieces += [whole.piece((*parts, lasting), f"{group} {index}") for index in range(wholes)]
    return pieces


def carry_out(schedule, workers, rng, loss=0.0):
    """Give pieces to `workers` workers that end in any order and die now and then; events, and the most groups open."""
    running, events, on_disk, most = [], [], {}, 0
    while not (running == [] and not schedule.pending):
        while len(running) < workers and (pieces := schedule.next()):
            running.append(pieces)
            events += [("begin", piece) for piece in pieces]
            for piece in pieces:
                if piece.transient:
                    on_disk[piece.key] = piece.given["name"].split()[0]
        most = max(most, len(set(on_disk.values())))
        assert running, "nothing runs, and nothing can be begun"
        pieces = running.pop(rng.randrange(len(running)))
        if rng.random() < loss:
            for piece in pieces:
                schedule.back(piece)
                on_disk.pop(piece.key, None)
            continue
        for piece in pieces:
            events.append(("done", piece))
            for part in schedule.done(piece):
                on_disk.pop(part.key, None)
    assert not on_disk
    return events, most


@given(
    groups=st.integers(1, 6), shards=st.integers(1, 5), wholes=st.integers(1, 3), workers=st.integers(1, 4),
    seed=st.integers(0, 1000), loss=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_whatever_the_order_of_ends_and_losses_all_is_made_after_its_parts_with_few_groups_on_disk(
    groups, shards, wholes, workers, seed, loss
):
    schedule = Schedule(lambda part: False, workers + 1)
    schedule.add(curves(groups, shards, wholes))
    events, most = carry_out(schedule, workers, random.Random(seed), loss)
    done = []
    for what, piece in events:
        if what == "begin":
            assert all(part.key in done for part in piece.parts())
        else:
            done.append(piece.key)
    assert len(done) == len(set(done)) == groups * (shards + wholes) + 1
    assert most <= workers + 1


def test_assembly_follows_its_shards_at_once():
    schedule = Schedule(lambda part: False)
    schedule.add(curves(2, 2, 1))
    events, _ = carry_out(schedule, 1, random.Random(0))
    names = [piece.given["name"] for what, piece in events if what == "begin"]
    assert names == ["0 0", "0 1", "floor", "0 0", "1 0", "1 1", "1 0"]


def test_what_is_in_the_store_is_not_made():
    pieces = curves(1, 3, 1)
    *shards, lasting = pieces[0].parts()
    schedule = Schedule(lambda part: part.key in (shards[1].key, lasting.key))
    schedule.add(pieces)
    events, _ = carry_out(schedule, 1, random.Random(0))
    assert [piece.given["name"] for what, piece in events if what == "begin"] == ["0 0", "0 2", "0 0"]


def test_pieces_that_are_added_later_share_what_is_on_its_way():
    schedule = Schedule(lambda part: False, 3)
    first, second = curves(1, 2, 2)
    schedule.add([first])
    (begun,) = schedule.next()
    schedule.add([second, first])
    assert not schedule.done(begun)
    order = []
    while pieces := schedule.next():
        order += [(piece.given["name"], len(schedule.done(piece))) for piece in pieces]
    assert order == [("0 1", 0), ("floor", 0), ("0 0", 0), ("0 1", 2)]
