"""What a run measures with, and one generator on it: stages, keys and edits, which every experiment needs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from navbench.compute import Compute
from navbench.directions import Direction
from navbench.experiments import attributes, strips
from navbench.experiments.edit import Edit
from navbench.experiments.strips import Strip
from navbench.generators.base import Generator
from navbench.metrics.attributes import Movement, Scorer, movement
from navbench.metrics.embedding import Embedder
from navbench.metrics.extractors import Extractor
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.segmentation import Segmenter
from navbench.progress import Report
from navbench.runner.executor import InProcess, Tick, steps
from navbench.runner.plan import Plan
from navbench.suite import Suite
from navbench.work import Piece

Result = TypeVar("Result")


@dataclass(frozen=True)
class Bench:
    """What all measurements of a run share.

    Attributes:
        executor: gives the results of pieces, from the store or computed now.
        stage: opens a stage of that title, which is timed and shown.
    """

    folder: Path
    suite: Suite
    compute: Compute
    executor: InProcess
    distance: PerceptualDistance
    extractor: Extractor
    stage: Callable[[str], AbstractContextManager[Report]]


@dataclass(frozen=True)
class Measurement:
    """One generator in a run: what all its experiments start from."""

    bench: Bench
    plan: Plan
    scorer: Scorer | None = None
    segmenter: Segmenter | None = None
    embedder: Embedder | None = None

    @property
    def generator(self) -> Generator:
        """The generator that is measured."""
        return self.plan.generator

    @contextmanager
    def counted(self, title: str, total: int) -> Iterator[Tick]:
        """A stage of `total` steps, with a function that tells that one more is done."""
        with self.bench.stage(title) as report:
            done = 0

            def tick(note: str = "") -> None:
                nonlocal done
                done += 1
                report(done, total, note)

            yield tick

    def pieces(self, pieces: Sequence[Piece[Result]], title: str = "") -> list[Result]:
        """The results of pieces, in order, from the store or computed now; with a title in a stage of their own."""
        executor = self.bench.executor
        if not title or not pieces:
            return executor.results(pieces)
        with self.counted(f"{self.generator.name}: {title}", steps(pieces)) as tick:
            return executor.results(pieces, tick)

    def edit(self, direction: Direction) -> Edit:
        """The direction on the generator."""
        return Edit(self.generator, direction, self.bench.compute)

    def strip(self, direction: Direction, shifts: Sequence[float], codes: int) -> Piece[Strip]:
        """The first codes along a direction."""
        seed = self.bench.suite.seed
        return strips.strip.piece(self.edit(direction), shifts, codes, seed).but(note=direction.name)

    def readings(self, scorer: Scorer, group: Sequence[Direction]) -> Piece[attributes.Readings]:
        """What a scorer reads along directions of one place."""
        settings, seed = self.bench.suite.attributes, self.bench.suite.seed
        edits = [self.edit(direction) for direction in group]
        piece = attributes.readings.piece(edits, settings.shifts, range(settings.samples), seed, scorer)
        return piece.but(note=group[0].name.rpartition("/")[0])

    def movements(
        self, scorer: Scorer, group: Sequence[Direction], readings: attributes.Readings
    ) -> Iterator[tuple[Direction, Movement, Tensor]]:
        """What directions of one place do to the attributes, and the mean levels (3, A) at t_min, at 0 and at t_max."""
        points = self.bench.suite.attributes.shifts
        for direction, own in zip(group, readings.scores, strict=True):
            moved = movement(own, direction.shifts(points).tolist(), scorer.attributes)
            yield direction, moved, own[[0, len(own) // 2, -1]].double().mean(1)
