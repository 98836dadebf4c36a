"""What a run measures with, and one generator on it: stages, keys and edits, which every experiment needs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.directions import Direction
from navbench.experiments import attributes, strips
from navbench.experiments.edit import Edit, unshifted
from navbench.experiments.strips import Strip
from navbench.generators.base import Generator
from navbench.metrics.attributes import Movement, Scorer, movement
from navbench.metrics.embedding import Embedder
from navbench.metrics.extractors import Extractor
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.segmentation import Segmenter
from navbench.progress import Report
from navbench.runner.plan import Plan
from navbench.runner.store import Store
from navbench.suite import Suite


@dataclass(frozen=True)
class Bench:
    """What all measurements of a run share.

    Attributes:
        stage: opens a stage of that title, which is timed and shown.
    """

    folder: Path
    suite: Suite
    compute: Compute
    store: Store
    distance: PerceptualDistance
    extractor: Extractor
    stage: Callable[[str], AbstractContextManager[Report]]


@dataclass(frozen=True)
class Measurement:
    """One generator in a run: what all its experiments start from, and what their pieces are kept under."""

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
    def pieces(self, title: str, total: int) -> Iterator[Callable[[str], None]]:
        """A stage of `total` pieces, with a function that tells that one more is done."""
        with self.bench.stage(title) as report:
            done = 0

            def tick(note: str = "") -> None:
                nonlocal done
                done += 1
                report(done, total, note)

            yield tick

    @cached_property
    def _generator_key(self) -> dict[str, str]:
        """What the generator is: its weights, its class, and what it makes of one code, for its class may change."""
        generator = self.generator
        with torch.no_grad():
            image = generator(generator.sample([0], seed=0)).double()
        kind = type(getattr(generator, "module", generator))
        return {
            "weights": generator.fingerprint,
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "probe": f"{float(image.abs().mean()):.3f} {float(image.std()):.3f}",
        }

    @cached_property
    def scorer_key(self) -> list[Any]:
        """What the scorer is: its weights and attributes, and what it reads from one image, for its code may change."""
        assert self.scorer is not None
        read = self.scorer(unshifted(self.generator, self.generator.sample([0], seed=0), self.bench.compute))
        return [*self.scorer.identity, [f"{value:.3g}" for value in read[0].tolist()]]

    def key(self, direction: Direction | None = None, **more: Any) -> dict[str, Any]:
        """What a piece depends on, which is neither the device nor the batch size."""
        suite = self.bench.suite
        key = {"generator": self._generator_key, "seed": suite.seed, "precision": suite.precision, **more}
        return key if direction is None else {**key, "direction": direction.identity}

    def edit(self, direction: Direction) -> Edit:
        """The direction on the generator."""
        return Edit(self.generator, direction, self.bench.compute)

    def strip(self, direction: Direction, shifts: list[float], codes: int) -> Strip:
        """The first codes along a direction, from the store or made now."""

        def make() -> Strip:
            return strips.strip(self.edit(direction), shifts, codes, self.bench.suite.seed)

        return self.bench.store.get(Strip, self.key(direction, shifts=shifts, codes=codes), make)

    def movements(self, scorer: Scorer, group: Sequence[Direction]) -> Iterator[tuple[Direction, Movement, Tensor]]:
        """What directions of one place do to the attributes, and the mean levels (3, A) at t_min, at 0 and at t_max."""
        settings, seed = self.bench.suite.attributes, self.bench.suite.seed
        identities = [direction.identity for direction in group]
        key = self.key(scorer=self.scorer_key, directions=identities, **settings.model_dump())

        def make() -> attributes.Readings:
            edits = [self.edit(direction) for direction in group]
            return attributes.readings(edits, settings.shifts, range(settings.samples), seed, scorer)

        scores = self.bench.store.get(attributes.Readings, key, make).scores
        for direction, own in zip(group, scores, strict=True):
            moved = movement(own, direction.shifts(settings.shifts).tolist(), scorer.attributes)
            yield direction, moved, own[[0, len(own) // 2, -1]].double().mean(1)
