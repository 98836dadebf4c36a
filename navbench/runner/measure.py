"""Measuring one generator: every piece of every experiment is taken from the store, or made and stored."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.directions import Direction
from navbench.experiments import direction_table, fid_curve, locality, reference, reproduction, strips
from navbench.experiments.edit import Edit
from navbench.files import content_hash
from navbench.generators.base import Generator
from navbench.metrics.extractors import Extractor
from navbench.metrics.perceptual import PerceptualDistance
from navbench.progress import Report
from navbench.runner import pictures
from navbench.runner.plan import Plan
from navbench.runner.results import Features, Results
from navbench.runner.store import Store, slices
from navbench.spaces import create as create_space
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


def shards_of(count: int, size: int) -> list[range]:
    """Consecutive ranges of at most `size` that make up `count`: the resumable pieces of a curve."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


@dataclass(frozen=True)
class Measurement:
    """All measurements of one generator's directions within a run."""

    bench: Bench
    plan: Plan

    @property
    def generator(self) -> Generator:
        """The generator that is measured."""
        return self.plan.generator

    def results(self) -> Results:
        """Every piece of every experiment, from the store or made now."""
        suite, plan_ = self.bench.suite, self.plan
        results = Results(self.generator, plan_, self.bench.extractor.metric)
        chosen = plan_.all_directions()
        name = self.generator.name
        with self._pieces(f"{name}: screening", len(chosen)) as tick:
            for direction in chosen:
                results.screenings[direction.name] = self._screen(direction)
                tick(direction.name)
        if "curves" in suite.experiments:
            self._curves(results, plan_.leading(suite.curves.directions))
        if "locality" in suite.experiments:
            self._locality(results, plan_.leading(suite.locality.directions))
        if "reproduction" in suite.experiments:
            self._reproduction(results, plan_.leading(suite.reproduction.directions))
        if "strips" in suite.experiments:
            self._strips(results, plan_.leading(suite.strips.directions))
        return results

    @contextmanager
    def _pieces(self, title: str, total: int) -> Iterator[Callable[[str], None]]:
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

    def _key(self, direction: Direction | None = None, **more: Any) -> dict[str, Any]:
        """What a piece depends on, which is neither the device nor the batch size."""
        suite = self.bench.suite
        key = {"generator": self._generator_key, "seed": suite.seed, "precision": suite.precision, **more}
        return key if direction is None else {**key, "direction": direction.identity}

    @cached_property
    def _extractor_key(self) -> dict[str, str]:
        settings = self.bench.suite.curves
        given = settings.extractor_weights
        return {"extractor": settings.extractor, "extractor_weights": content_hash(Path(given)) if given else ""}

    @cached_property
    def _reference_key(self) -> str:
        source = self.plan.subject.reference
        return source if source == "unshifted" else content_hash(Path(source))

    def _edit(self, direction: Direction) -> Edit:
        return Edit(self.generator, direction, self.bench.compute)

    def _screen(self, direction: Direction) -> direction_table.Screening:
        count = self.bench.suite.screening.samples
        key = self._key(direction, distance=self.bench.distance.name, samples=count)

        def make() -> direction_table.Screening:
            return direction_table.screen(
                self._edit(direction), self.bench.distance, range(count), self.bench.suite.seed
            )

        return self.bench.store.get(direction_table.Screening, key, make)

    # --- curves ----------------------------------------------------------------------------------------------

    def _curves(self, results: Results, directions: list[Direction]) -> None:
        settings, name = self.bench.suite.curves, self.generator.name
        shards = shards_of(settings.samples, settings.shard)
        with self._pieces(f"{name}: reference", 2 * len(shards)) as tick:
            prepared = fid_curve.Reference.of(self._reference_features(shards, tick).to(self.bench.compute.device))
            floor = self._unshifted("curve", shards, tick)
        results.reference, results.reference_samples = self.plan.subject.reference, prepared.kernel.n
        key = self._key(None, **self._extractor_key, reference=self._reference_key, samples=settings.samples)
        zero = torch.zeros(1, settings.effect_samples)
        results.floor = self.bench.store.get(fid_curve.Curve, key, lambda: fid_curve.assemble([floor], zero, prepared))
        with self._pieces(f"{name}: curves", len(directions) * len(shards)) as tick:
            for direction in directions:
                results.curves[direction.name] = self._curve(direction, shards, prepared, tick)

    def _reference_features(self, shards: list[range], tick: Callable[[str], None]) -> Tensor:
        source, store = self.plan.subject.reference, self.bench.store
        if source == "unshifted":
            return self._unshifted("reference", shards, tick)
        images = reference.open_reference(source, self.generator.resolution)
        parts = []
        for shard in shards_of(len(images.names), self.bench.suite.curves.shard):
            key = {"reference": self._reference_key, "images": [shard.start, shard.stop], **self._extractor_key}
            key["precision"] = self.bench.suite.precision

            def make(shard: range = shard) -> Features:
                return Features(reference.real_features(images, shard, self.bench.extractor, self.bench.compute))

            parts.append(store.get(Features, key, make).features)
        for _ in shards:
            tick("real images")
        return torch.cat(parts)

    def _unshifted(self, role: str, shards: list[range], tick: Callable[[str], None]) -> Tensor:
        parts = []
        for shard in shards:
            key = self._key(None, role=role, codes=[shard.start, shard.stop], **self._extractor_key)

            def make(shard: range = shard) -> Features:
                features = fid_curve.unshifted_features(
                    self.generator, role, shard, self.bench.suite.seed, self.bench.extractor, self.bench.compute
                )
                return Features(features)

            parts.append(self.bench.store.get(Features, key, make).features)
            tick(role)
        return torch.cat(parts)

    def _curve(
        self,
        direction: Direction,
        shards: list[range],
        prepared: fid_curve.Reference,
        tick: Callable[[str], None],
    ) -> fid_curve.Curve:
        settings, store = self.bench.suite.curves, self.bench.store
        shifts = [t for t in direction.shifts(settings.shifts).tolist() if t != 0]
        common = {
            "distance": self.bench.distance.name,
            "effect_samples": settings.effect_samples,
            "shifts": shifts,
            **self._extractor_key,
        }
        key = self._key(direction, samples=settings.samples, reference=self._reference_key, **common)
        keys = [self._key(direction, codes=[shard.start, shard.stop], **common) for shard in shards]

        def make() -> fid_curve.Curve:
            effects = []
            for shard, shard_key in zip(shards, keys, strict=True):

                def make_shard(shard: range = shard) -> fid_curve.Shard:
                    return self._shard(direction, shifts, shard)

                effects.append(store.get(fid_curve.Shard, shard_key, make_shard).effects)
                tick(direction.name)
            with slices([store.path(fid_curve.Shard, shard_key) for shard_key in keys], "features") as at:
                return fid_curve.assemble(map(at, range(len(shifts))), torch.cat(effects, dim=1), prepared)

        there = store.path(fid_curve.Curve, key).exists()
        curve = store.get(fid_curve.Curve, key, make)
        for shard_key in keys:
            store.drop(fid_curve.Shard, shard_key)
            if there:
                tick(direction.name)
        return curve

    def _shard(self, direction: Direction, shifts: list[float], shard: range) -> fid_curve.Shard:
        settings, seed = self.bench.suite.curves, self.bench.suite.seed
        return fid_curve.curve_shard(
            self._edit(direction),
            shifts,
            shard,
            seed,
            self.bench.extractor,
            self.bench.distance,
            settings.effect_samples,
        )

    # --- the other experiments ---------------------------------------------------------------------------------

    def _locality(self, results: Results, directions: list[Direction]) -> None:
        settings, seed = self.bench.suite.locality, self.bench.suite.seed
        groups = locality.groups(settings.samples)
        with self._pieces(f"{self.generator.name}: heatmaps", len(directions) * len(groups)) as tick:
            for direction in directions:
                edit = self._edit(direction)
                shifts = torch.linspace(direction.t_min, direction.t_max, settings.shifts, dtype=torch.float64).tolist()
                heats = []
                for group in groups:
                    key = self._key(direction, codes=[group.start, group.stop], shifts=shifts)

                    def make(edit: Edit = edit, group: range = group, shifts: list[float] = shifts) -> locality.Heat:
                        return locality.heat(edit, shifts, group, seed)

                    heats.append(self.bench.store.get(locality.Heat, key, make))
                    tick(direction.name)
                results.heats[direction.name] = heats

    def _reproduction(self, results: Results, directions: list[Direction]) -> None:
        settings = self.bench.suite.reproduction
        total = len(directions) * len(settings.targets)
        with self._pieces(f"{self.generator.name}: reproduction", total) as tick:
            for direction in directions:
                for target in settings.targets:
                    key = self._key(
                        direction, target=target, distance=self.bench.distance.name, **settings.model_dump()
                    )

                    def make(direction: Direction = direction, target: str = target) -> reproduction.Reproduction:
                        space = create_space(self.generator, target, direction.layer)
                        problem = reproduction.Imitation(
                            self._edit(direction), direction.t_max, space, self.bench.distance, self.bench.suite.seed
                        )
                        return problem.solve(settings.codes, settings.held_out, settings.steps)

                    found = self.bench.store.get(reproduction.Reproduction, key, make)
                    results.reproductions[direction.name, target] = found
                    tick(f"{direction.name} into {target}")
        results.pictures += pictures.write_reproductions(self.bench.folder, results)

    def _strips(self, results: Results, directions: list[Direction]) -> None:
        settings, seed = self.bench.suite.strips, self.bench.suite.seed
        folder = self.bench.folder
        with self._pieces(f"{self.generator.name}: strips", len(directions) + 1) as tick:
            sample = self.bench.store.get(
                strips.Strip,
                self._key(None, samples=[4, 8]),
                lambda: strips.samples(self.generator, 4, 8, seed, self.bench.compute),
            )
            results.pictures += pictures.write_samples(folder, self.generator, sample)
            tick("samples")
            for direction in directions:
                shifts = direction.shifts(settings.shifts).tolist()
                key = self._key(direction, shifts=shifts, codes=settings.codes)

                def make(direction: Direction = direction, shifts: list[float] = shifts) -> strips.Strip:
                    return strips.strip(self._edit(direction), shifts, settings.codes, seed)

                results.pictures += pictures.write_strip(
                    folder, direction, shifts, self.bench.store.get(strips.Strip, key, make)
                )
                tick(direction.name)
