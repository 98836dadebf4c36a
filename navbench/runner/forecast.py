"""What a run would take: its planned pieces, priced by the probe, per experiment and in all."""

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import torch

from navbench.compute import Compute
from navbench.costs import Costs, Pass, added
from navbench.runner.probe import Price, Probed, probe, storing
from navbench.runner.rehearsal import Planned, PlannedRun


@dataclass(frozen=True)
class Effort:
    """What some pieces take.

    Attributes:
        experiment: that asks for them; 'in all' for the sum.
        pieces: that are made.
        images: that the generator makes, with and without gradients.
        passes: by the network, of what the probe tried; of the store bytes.
        flops: of convolutions and matrix products.
        kept: bytes on disk in the end; disk: at the most, with the transient parts of `workers` + 1 results.
        memory: the bytes of the largest result: what is made of parts reads one after the other.
        seconds: by one process; seconds_of_workers: by several.
        about: whether something depends on results on the way, and a typical amount stands for it.
    """

    experiment: str
    pieces: int
    images: float
    passes: Mapping[str, float]
    flops: float
    kept: int
    disk: int
    memory: int
    seconds: float
    seconds_of_workers: float
    about: bool


@dataclass(frozen=True)
class Forecast:
    """What a run would take.

    Attributes:
        rows: per experiment; total: in all.
        workers: how many processes `seconds_of_workers` is of.
        memory: bytes of one worker: what the probe took, and the largest piece; `None` if the system does not tell.
        prices: of each pass, by one process.
        left_out: sentences on what is not in it.
    """

    rows: Sequence[Effort]
    total: Effort
    workers: int
    memory: float | None
    prices: Mapping[Pass, Price]
    left_out: Sequence[str]

    def content(self) -> dict[str, Any]:
        """All of it as JSON."""
        prices = [
            {"network": each.network, "key": [*map(str, each.key)], **asdict(price)}
            for each, price in self.prices.items()
        ]
        efforts = {"experiments": [asdict(row) for row in self.rows], "total": asdict(self.total)}
        more = {"workers": self.workers, "memory_per_worker": self.memory, "left_out": list(self.left_out)}
        return {**efforts, **more, "prices": prices}


def forecast(planned: Sequence[PlannedRun], compute: Compute, workers: int) -> list[Forecast]:
    """Try every pass of some planned runs on this machine, once for all of them, and add up.

    A process of several has its share of the cores, so passes are tried with both numbers of threads.
    """
    passes = added(*(_costs(piece) for run in planned for piece in run.pieces))
    threads = torch.get_num_threads()
    alone = probe(passes, compute, threads)
    share = max(1, threads // workers)
    shared = probe(passes, compute, share) if share < threads else alone
    return [priced(run, alone, shared, workers) for run in planned]


def priced(planned: PlannedRun, alone: Probed, shared: Probed, workers: int) -> Forecast:
    """The same with what the probe found: of one process, and of one among several."""

    def effort(name: str, pieces: Sequence[Planned]) -> Effort:
        return _effort(name, pieces, alone.prices, shared.prices, workers)

    names = dict.fromkeys(piece.experiment for piece in planned.pieces)
    by_name = {name: [piece for piece in planned.pieces if piece.experiment == name] for name in names}
    rows, total = [effort(*each) for each in by_name.items()], effort("in all", planned.pieces)
    memory = None if shared.memory is None else shared.memory + total.memory
    return Forecast(rows, total, workers, memory, alone.prices, planned.left_out)


def _effort(
    name: str, pieces: Sequence[Planned], prices: Mapping[Pass, Price], shared: Mapping[Pass, Price], workers: int
) -> Effort:
    costs, passes = added(*map(_costs, pieces)), dict[str, float]()
    for each, amount in costs.items():
        passes[each.network] = passes.get(each.network, 0.0) + amount
    kept, disk = _disk(pieces, workers)
    return Effort(
        name,
        len(pieces),
        sum(each.images * amount for each, amount in costs.items()),
        passes,
        sum(prices[each].flops * amount for each, amount in costs.items()),
        kept,
        disk,
        max((part.size for piece in pieces for part in (piece, *piece.parts)), default=0),
        sum(_seconds(piece, prices) for piece in pieces),
        _makespan(pieces, shared, workers),
        any(piece.about for piece in pieces),
    )


def _costs(piece: Planned) -> Costs:
    """Those of making it, and of keeping it."""
    return {**piece.costs, storing(): piece.size}


def _seconds(piece: Planned, prices: Mapping[Pass, Price]) -> float:
    return sum(prices[each].seconds * amount for each, amount in _costs(piece).items())


def _disk(pieces: Sequence[Planned], workers: int) -> tuple[int, int]:
    """Bytes that are kept in the end, and the most that there are on the way.

    A transient piece is dropped as soon as all that is made of it is there; several workers begin with the next ones
    before.
    """
    groups = [sum(part.size for part in piece.parts if part.transient) for piece in pieces]
    ahead = heapq.nlargest(workers if workers > 1 else 0, groups)
    there = most = 0
    for _, batch in _batches(pieces):
        users = Counter(part for piece in batch for part in piece.parts)
        for piece in batch:
            there += piece.size
            most = max(most, there)
            for part in piece.parts:
                users[part] -= 1
                there -= part.size if part.transient and not users[part] else 0
    return there, most + sum(ahead)


def _makespan(pieces: Sequence[Planned], prices: Mapping[Pass, Price], workers: int) -> float:
    """Seconds of several processes: whoever is free takes a piece that can be made, those that were waited for first.

    A piece can be made when its parts are there, and those of the request before it, of which it may depend.
    """
    needed = dict.fromkeys(pieces, 0)
    users: dict[Planned, list[Planned]] = {piece: [] for piece in pieces}
    for piece in pieces:
        for other in {*piece.parts, *piece.after} & needed.keys():
            users[other].append(piece)
            needed[piece] += 1
    ready = deque(piece for piece in pieces if not needed[piece])
    running: list[tuple[float, int, Planned]] = []
    now, begun = 0.0, 0
    while ready or running:
        while ready and len(running) < workers:
            piece, begun = ready.popleft(), begun + 1
            heapq.heappush(running, (now + _seconds(piece, prices), begun, piece))
        now, _, done = heapq.heappop(running)
        for user in users[done]:
            needed[user] -= 1
            if not needed[user]:
                ready.appendleft(user)
    return now


def _batches(pieces: Iterable[Planned]) -> "Iterable[tuple[int, list[Planned]]]":
    return ((number, list(batch)) for number, batch in groupby(pieces, key=lambda piece: piece.batch))
