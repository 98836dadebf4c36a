"""Running a suite in one process: every piece is looked up in the run's store first, and computed if missing."""

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from navbench.compute import Compute
from navbench.directions import Direction, Library
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments import direction_table, fid_curve, locality, reference, reproduction, strips
from navbench.experiments.edit import Edit
from navbench.files import content_hash, explained, write_atomically
from navbench.generators import zoo
from navbench.generators.base import Generator
from navbench.metrics.extractors import Extractor, create_extractor
from navbench.metrics.perceptual import PerceptualDistance, create_distance
from navbench.progress import Report, stage
from navbench.runner import pictures, rows
from navbench.runner.discover import discover
from navbench.runner.manifest import Manifest, environment
from navbench.runner.plan import Plan, layers_of, plan
from navbench.runner.results import Features, Results
from navbench.runner.store import Store, slices, tensor_hash
from navbench.spaces import create as create_space
from navbench.suite import Suite

CACHE = "cache"


@dataclass
class Run:
    """One execution of a suite in a folder; running it again in the same folder does only what is left.

    Args:
        only: full names of directions, to measure those alone.
        experiments: which of 'curves', 'locality', 'reproduction' and 'strips' to do.
    """

    folder: Path
    suite: Suite
    compute: Compute
    library: Library
    console: Console
    only: tuple[str, ...] = ()
    experiments: frozenset[str] = frozenset({"curves", "locality", "reproduction", "strips"})
    manifest: Manifest = field(init=False)
    store: Store = field(init=False)

    def execute(self) -> None:
        """Do all that is left, then write the tables, pictures and manifest."""
        self.store = Store(self.folder / CACHE)
        facts = {
            **environment(self.compute),
            "suite": self.suite.name,
            "suite_sha256": self.suite.identity(),
            "seed": self.suite.seed,
            "only": list(self.only),
        }
        self.manifest = Manifest(self.folder / "manifest.json", facts)
        write_atomically(self.folder / "suite.toml", self.suite.toml())
        with self._collected_warnings():
            self.manifest.write(complete=False)
            with self._stage("weights") as report:
                distance = create_distance(self.suite.distance, self.compute)
                settings = self.suite.curves
                extractor = create_extractor(settings.extractor, self.compute, settings.extractor_weights or None)
                plans = self._plans(report)
            results = [Measurement(self, plan, distance, extractor).results() for plan in plans]
            self._describe(plans, results)
            with self._stage("tables and pictures") as report:
                rows.write_tables(self.folder / "tables", self.suite, results)
                pictures.write_arrays(self.folder / "figures", results)
                report(1, 1)
        self.manifest.write(complete=True)

    def _plans(self, report: Report) -> list[Plan]:
        plans = []
        for done, subject in enumerate(self.suite.generators):
            generator = zoo.create(subject.name, self.compute)
            if self.suite.rediscover:
                layers = layers_of(subject, generator, self.library)
                out = self.folder / "directions"
                discover(
                    generator, layers, subject.methods, self.suite.discovery, self.compute, self.suite.seed, out,
                    stages=self._stage,
                )  # fmt: skip
                self.library = Library([out])
            plans.append(plan(self.suite, subject, generator, self.library))
            report(done + 1, len(self.suite.generators))
        return plans

    @contextmanager
    def _stage(self, title: str) -> Iterator[Report]:
        made: Callable[[], int] = lambda: self.store.made  # noqa: E731
        with self.manifest.stage(title, self.compute, made), stage(self.console, title) as report:
            yield report

    @contextmanager
    def _collected_warnings(self) -> Iterator[None]:
        """Show navbench's warnings to the user and keep them for the report; others' as Python is told to."""
        shown = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if not issubclass(category, NavbenchWarning):
                shown(message, category, *rest, **more)
                return
            self.manifest.warnings.append(str(message))
            self.console.print(f"warning: {message}", highlight=False)

        with warnings.catch_warnings():
            warnings.simplefilter("always", NavbenchWarning)
            warnings.showwarning = keep
            yield

    def _describe(self, plans: Sequence[Plan], results: Sequence[Results]) -> None:
        suite = self.suite
        generators = {}
        for plan_ in plans:
            generator = plan_.generator
            generators[generator.name] = {
                "description": generator.description,
                "weights_sha256": generator.fingerprint,
                "resolution": generator.resolution,
                "latent_dim": generator.latent_dim,
                "parameters": sum(tensor.numel() for tensor in generator.parameters()),
                "layers": [
                    {
                        "name": layer.name,
                        "index": layer.index,
                        "shape": list(layer.shape),
                        "parameters": layer.shape.numel(),
                    }
                    for layer in generator.layers()
                ],
            }
        files = [file for plan_ in plans for file in plan_.files]
        self.manifest.facts |= {
            "generators": generators,
            "direction_sets": [
                {
                    "reference": file.reference,
                    "sha256": file.sha256,
                    "directions": file.count,
                    "settings": file.header["settings"],
                    "provenance": {key: value for key, value in file.header["provenance"].items() if key != "log"},
                }
                for file in files
            ],
            "extractor": suite.curves.extractor,
            "distance": suite.distance,
            "reference": ", ".join(plan_.subject.reference for plan_ in plans),
            "samples": {
                "curve": suite.curves.samples,
                "reference": [result.reference_samples for result in results],
                "effect": suite.curves.effect_samples,
                "screening": suite.screening.samples,
                "locality": suite.locality.samples,
                "reproduction": suite.reproduction.held_out,
            },
            "left_out": [sentence for plan_ in plans for sentence in plan_.left_out],
        }


@dataclass
class Measurement:
    """All measurements of one generator's directions within a run."""

    run: Run
    plan: Plan
    distance: PerceptualDistance
    extractor: Extractor

    @property
    def generator(self) -> Generator:
        """The generator that is measured."""
        return self.plan.generator

    def results(self) -> Results:
        """Every piece of every experiment, from the store or made now."""
        suite, plan_ = self.run.suite, self.plan
        results = Results(self.generator, plan_, self.extractor.metric)
        chosen = self._chosen(plan_.all_directions())
        name = self.generator.name
        with self._pieces(f"{name}: screening", len(chosen)) as tick:
            for direction in chosen:
                results.screenings[direction.name] = self._screen(direction)
                tick(direction.name)
        if "curves" in self.run.experiments:
            self._curves(results, self._chosen(plan_.leading(suite.curves.directions)))
        if "locality" in self.run.experiments:
            self._locality(results, self._chosen(plan_.leading(suite.locality.directions)))
        if "reproduction" in self.run.experiments:
            self._reproduction(results, self._chosen(plan_.leading(suite.reproduction.directions)))
        if "strips" in self.run.experiments:
            self._strips(results, self._chosen(plan_.leading(suite.strips.directions)))
        return results

    def _chosen(self, directions: list[Direction]) -> list[Direction]:
        if not self.run.only:
            return directions
        return [direction for direction in self.plan.all_directions() if direction.name in self.run.only]

    @contextmanager
    def _pieces(self, title: str, total: int) -> Iterator[Callable[[str], None]]:
        """A stage of `total` pieces, with a function that tells that one more is done."""
        with self.run._stage(title) as report:
            done = 0

            def tick(note: str = "") -> None:
                nonlocal done
                done += 1
                report(done, total, note)

            yield tick

    def _key(self, direction: Direction | None = None, **more: Any) -> dict[str, Any]:
        """What a piece depends on; neither device nor batch size nor shard size is part of it, as none matters."""
        suite = self.run.suite
        key = {
            "generator": self.generator.fingerprint,
            "seed": suite.seed,
            "precision": suite.precision,
            **more,
        }
        if direction is not None:
            key["direction"] = [
                direction.space,
                direction.layer,
                tensor_hash(direction.offset),
                direction.t_min,
                direction.t_max,
            ]
        return key

    def _features_key(self, **more: Any) -> dict[str, Any]:
        settings = self.run.suite.curves
        given = settings.extractor_weights
        return {
            "extractor": settings.extractor,
            "weights": content_hash(Path(given)) if given else "",
            **more,
        }

    def _edit(self, direction: Direction) -> Edit:
        return Edit(self.generator, direction, self.run.compute)

    def _screen(self, direction: Direction) -> direction_table.Screening:
        count = self.run.suite.screening.samples
        key = self._key(direction, distance=self.distance.name, samples=count)

        def make() -> direction_table.Screening:
            return direction_table.screen(self._edit(direction), self.distance, range(count), self.run.suite.seed)

        return self.run.store.get(direction_table.Screening, key, make)

    # --- curves ----------------------------------------------------------------------------------------------

    def _curves(self, results: Results, directions: list[Direction]) -> None:
        settings, name = self.run.suite.curves, self.generator.name
        shards = [
            range(start, min(start + settings.shard, settings.samples))
            for start in range(0, settings.samples, settings.shard)
        ]
        with self._pieces(f"{name}: reference", 2 * len(shards)) as tick:
            prepared = fid_curve.Reference.of(self._reference_features(shards, tick))
            floor = self._unshifted("curve", shards, tick)
        results.reference, results.reference_samples = self.plan.subject.reference, prepared.kernel.n
        key = self._key(None, **self._features_key(reference=self._reference_hash(), samples=settings.samples))
        zero = torch.zeros(1, settings.effect_samples)
        results.floor = self.run.store.get(fid_curve.Curve, key, lambda: fid_curve.assemble([floor], zero, prepared))
        with self._pieces(f"{name}: curves", len(directions) * len(shards)) as tick:
            for direction in directions:
                results.curves[direction.name] = self._curve(direction, shards, prepared, tick)

    def _reference_features(self, shards: list[range], tick: Callable[[str], None]) -> Tensor:
        source = self.plan.subject.reference
        if source == "unshifted":
            return self._unshifted("reference", shards, tick)
        images = reference.open_reference(source, self.generator.resolution)
        key = self._features_key(reference=self._reference_hash(), precision=self.run.suite.precision)
        piece = self.run.store.get(
            Features, key, lambda: Features(reference.real_features(images, self.extractor, self.run.compute))
        )
        for _ in shards:
            tick("real images")
        return piece.features

    def _reference_hash(self) -> str:
        source = self.plan.subject.reference
        return source if source == "unshifted" else content_hash(Path(source))

    def _unshifted(self, role: str, shards: list[range], tick: Callable[[str], None]) -> Tensor:
        parts = []
        for shard in shards:
            key = self._key(None, role=role, codes=[shard.start, shard.stop], **self._features_key())

            def make(shard: range = shard) -> Features:
                features = fid_curve.unshifted_features(
                    self.generator, role, shard, self.run.suite.seed, self.extractor, self.run.compute
                )
                return Features(features)

            parts.append(self.run.store.get(Features, key, make).features)
            tick(role)
        return torch.cat(parts)

    def _curve(
        self,
        direction: Direction,
        shards: list[range],
        prepared: fid_curve.Reference,
        tick: Callable[[str], None],
    ) -> fid_curve.Curve:
        settings, store = self.run.suite.curves, self.run.store
        shifts = [t for t in direction.shifts(settings.shifts).tolist() if t != 0]
        common = {
            "distance": self.distance.name,
            "effect_samples": settings.effect_samples,
            "shifts": shifts,
            **self._features_key(),
        }
        key = self._key(direction, samples=settings.samples, reference=self._reference_hash(), **common)
        keys = [self._key(direction, codes=[shard.start, shard.stop], **common) for shard in shards]

        def make() -> fid_curve.Curve:
            parts = []
            for shard, shard_key in zip(shards, keys, strict=True):
                parts.append(
                    store.get(fid_curve.Shard, shard_key, lambda shard=shard: self._shard(direction, shifts, shard))
                )
                tick(direction.name)
            effects = torch.cat([part.effects for part in parts], dim=1)
            del parts
            with slices([store.path(fid_curve.Shard, shard_key) for shard_key in keys], "features") as at:
                return fid_curve.assemble(map(at, range(len(shifts))), effects, prepared)

        there = store.path(fid_curve.Curve, key).exists()
        curve = store.get(fid_curve.Curve, key, make)
        for shard_key in keys:
            store.drop(fid_curve.Shard, shard_key)
            if there:
                tick(direction.name)
        return curve

    def _shard(self, direction: Direction, shifts: list[float], shard: range) -> fid_curve.Shard:
        settings, seed = self.run.suite.curves, self.run.suite.seed
        return fid_curve.curve_shard(
            self._edit(direction), shifts, shard, seed, self.extractor, self.distance, settings.effect_samples
        )

    # --- the other experiments ---------------------------------------------------------------------------------

    def _locality(self, results: Results, directions: list[Direction]) -> None:
        settings, seed = self.run.suite.locality, self.run.suite.seed
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

                    heats.append(self.run.store.get(locality.Heat, key, make))
                    tick(direction.name)
                results.heats[direction.name] = heats

    def _reproduction(self, results: Results, directions: list[Direction]) -> None:
        settings = self.run.suite.reproduction
        total = len(directions) * len(settings.targets)
        with self._pieces(f"{self.generator.name}: reproduction", total) as tick:
            for direction in directions:
                for target in settings.targets:
                    key = self._key(direction, target=target, distance=self.distance.name, **settings.model_dump())

                    def make(direction: Direction = direction, target: str = target) -> reproduction.Reproduction:
                        space = create_space(self.generator, target, direction.layer)
                        problem = reproduction.Imitation(
                            self._edit(direction), direction.t_max, space, self.distance, self.run.suite.seed
                        )
                        return problem.solve(settings.codes, settings.held_out, settings.steps)

                    found = self.run.store.get(reproduction.Reproduction, key, make)
                    results.reproductions[direction.name, target] = found
                    tick(f"{direction.name} into {target}")

    def _strips(self, results: Results, directions: list[Direction]) -> None:
        settings, seed = self.run.suite.strips, self.run.suite.seed
        folder = self.run.folder
        with self._pieces(f"{self.generator.name}: strips", len(directions) + 1) as tick:
            sample = self.run.store.get(
                strips.Strip,
                self._key(None, samples=[4, 8]),
                lambda: strips.samples(self.generator, 4, 8, seed, self.run.compute),
            )
            results.pictures += pictures.write_samples(folder, self.generator, sample)
            tick("samples")
            for direction in directions:
                shifts = direction.shifts(settings.shifts).tolist()
                key = self._key(direction, shifts=shifts, codes=settings.codes)

                def make(direction: Direction = direction, shifts: list[float] = shifts) -> strips.Strip:
                    return strips.strip(self._edit(direction), shifts, settings.codes, seed)

                results.pictures += pictures.write_strip(
                    folder, direction, shifts, self.run.store.get(strips.Strip, key, make)
                )
                tick(direction.name)
            results.pictures += pictures.write_reproductions(folder, results)


def open_folder(folder: Path, suite: Suite, *, fresh: bool, only: tuple[str, ...] = ()) -> None:
    """Make sure that a folder may be used for a run of this suite; `fresh` empties one that holds a run."""
    kept = folder / "suite.toml"
    if folder.exists() and not folder.is_dir():
        raise NavbenchError(f"{folder} is a file; choose another folder with --out.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not kept.exists():
        raise NavbenchError(f"{folder} is not empty and holds no run; choose another folder with --out.")
    if fresh:
        try:
            for name in (CACHE, "tables", "figures", "strips", "directions"):
                shutil.rmtree(folder / name, ignore_errors=False) if (folder / name).exists() else None
        except OSError as error:
            raise explained(error, folder) from error
        return
    try:
        before = json.loads((folder / "manifest.json").read_text())
        same = before["suite_sha256"] == suite.identity() and tuple(before["only"]) == only
    except (OSError, ValueError, KeyError) as error:
        raise NavbenchError(f"{folder} holds a damaged run ({error}); start over with --fresh.") from error
    if not same:
        raise NavbenchError(
            f"{folder} holds another run than {suite.name!r} as it is now; choose another folder with --out, or "
            "replace that run with --fresh."
        )
