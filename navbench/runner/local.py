"""Running a suite in one process: every piece is looked up in the run's store first, and computed if missing."""

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.calibration import check_target, parse_target
from navbench.experiments.edit import unshifted
from navbench.experiments.reference import open_reference
from navbench.experiments.statistics import is_statistics, read_statistics
from navbench.files import explained, write_atomically
from navbench.generators import zoo
from navbench.generators.base import Generator
from navbench.library import Library
from navbench.metrics.attributes import Scorer, create_scorer, index_of
from navbench.metrics.embedding import Embedder, create_embedder
from navbench.metrics.extractors import Extractor, create_extractor
from navbench.metrics.perceptual import create_distance
from navbench.metrics.segmentation import Segmenter, create_segmenter
from navbench.progress import Report, stage
from navbench.runner import pictures, rows
from navbench.runner.bench import Bench
from navbench.runner.discover import discover
from navbench.runner.executor import InProcess
from navbench.runner.manifest import Manifest, earlier_stages, environment
from navbench.runner.measure import Experiments
from navbench.runner.photos import check_photos
from navbench.runner.plan import Plan, places_of, plan, survey_places
from navbench.runner.results import Results
from navbench.runner.store import Store
from navbench.suite import Subject, Suite

CACHE = "cache"


@dataclass
class Run:
    """One execution of a suite in a folder; running it again in the same folder does only what is left."""

    folder: Path
    suite: Suite
    compute: Compute
    library: Library
    console: Console
    manifest: Manifest = field(init=False)
    store: Store = field(init=False)

    def execute(self, *, fresh: bool = False) -> None:
        """Do all that is left, then write the tables, pictures and manifest; `fresh` starts over.

        Nothing in the folder is touched before weights, names and references have been found to be in order.
        """
        self.store = Store(self.folder / CACHE)
        facts = {
            **environment(self.compute),
            "suite": self.suite.name,
            "suite_sha256": self.suite.cache_key,
            "seed": self.suite.seed,
        }
        place = self.folder / "manifest.json"
        self.manifest = Manifest(place, facts, {} if fresh else earlier_stages(place))
        with self._collected_warnings():
            with stage(self.console, "weights") as report:
                distance = create_distance(self.suite.distance, self.compute)
                settings = self.suite.curves
                extractor = create_extractor(settings.extractor, self.compute, settings.extractor_weights or None)
                generators = [
                    zoo.create(subject.name, self.compute, subject.options) for subject in self.suite.generators
                ]
                scorers = [self._scorer(subject.scorer) for subject in self.suite.generators]
                segmenters = [self._segmenter(subject.segmentation) for subject in self.suite.generators]
                embedders = [self._embedder(subject.embedding) for subject in self.suite.generators]
                report(1, 1)
            self._check(generators, scorers, extractor)
            executor = InProcess(self.store)
            bench = Bench(self.folder, self.suite, self.compute, executor, distance, extractor, self._stage)
            readers = list(zip(scorers, segmenters, embedders, strict=True))
            if not self.suite.rediscover:
                plans = self._plans(generators, self.library)
                measurements = _checked(bench, plans, readers)
            self._begin(fresh)
            if self.suite.rediscover:
                plans = self._plans(generators, self._rediscovered(generators))
                measurements = _checked(bench, plans, readers)
            results = [measurement.results() for measurement in measurements]
            self._describe(plans, results)
            with self._stage("tables and pictures") as report:
                rows.write_tables(self.folder / "tables", self.suite, results)
                pictures.write_arrays(self.folder / "figures", results)
                report(1, 1)
        self.manifest.write(complete=True)

    def _begin(self, fresh: bool) -> None:
        """Empty the folder of an earlier run, if asked to, and say what runs here now."""
        if fresh:
            _empty(self.folder)
        self.manifest.write(complete=False)
        if fresh or not (self.folder / "suite.toml").exists():
            write_atomically(self.folder / "suite.toml", self.suite.toml())

    def _scorer(self, name: str) -> Scorer | None:
        return create_scorer(name, self.compute) if name else None

    def _segmenter(self, name: str) -> Segmenter | None:
        return create_segmenter(name, self.compute) if name else None

    def _embedder(self, name: str) -> Embedder | None:
        return create_embedder(name, self.compute) if name else None

    def _check(self, generators: Sequence[Generator], scorers: Sequence[Scorer | None], extractor: Extractor) -> None:
        """Refuse codes, places, references, scorers and targets that do not fit, before any work is done."""
        for subject, generator, scorer in zip(self.suite.generators, generators, scorers, strict=True):
            generator.check()
            places_of(subject, generator, self.library)
            survey_places(self.suite, subject, generator)
            check_photos(self.suite, subject, generator)
            compared = {"curves", "matched"} & set(self.suite.experiments)
            if compared:
                _check_reference(subject, generator, extractor)
            if scorer is not None:
                read = scorer(unshifted(generator, generator.sample([0, 1], seed=0), self.compute))
                scorer.probe = tuple(f"{value:.3g}" for value in read[0].tolist())
            if self.suite.calibrate:
                check_target(parse_target(self.suite.calibrate), scorer, generator.name)
            if scorer is not None and self.suite.matched.attribute and "matched" in self.suite.experiments:
                index_of(scorer, self.suite.matched.attribute)

    def _plans(self, generators: Sequence[Generator], library: Library) -> list[Plan]:
        pairs = zip(self.suite.generators, generators, strict=True)
        return [plan(self.suite, subject, generator, library) for subject, generator in pairs]

    def _rediscovered(self, generators: Sequence[Generator]) -> Library:
        """The sets that the suite needs, found anew in the run folder."""
        out = self.folder / "directions"
        for subject, generator in zip(self.suite.generators, generators, strict=True):
            places = [
                *places_of(subject, generator, self.library),
                *survey_places(self.suite, subject, generator),
            ]
            settings, seed = self.suite.discovery_of(subject), self.suite.seed
            common = (generator, places, settings, self.compute, seed, out)
            discover(*common, stages=self._stage, executor=InProcess(self.store))
        return Library([out])

    @contextmanager
    def _stage(self, title: str) -> Iterator[Report]:
        with self.manifest.stage(title, self.compute, self.store), stage(self.console, title) as report:
            yield report

    @contextmanager
    def _collected_warnings(self) -> Iterator[None]:
        """Show navbench's warnings to the user and keep them for the report; others' as Python is told to."""
        shown = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if not issubclass(category, NavbenchWarning):
                shown(message, category, *rest, **more)
                return
            if str(message) in self.manifest.warnings:
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
                "size": list(generator.size),
                "latents": {kind: list(generator.latent_shape(kind)) for kind in generator.latents},
                "options": plan_.subject.options.model_dump(mode="json", exclude_defaults=True),
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
            "references": {
                result.generator.name: result.reference_description
                for result in results
                if result.reference_description
            },
            "samples": {
                "curve": suite.curves.samples,
                "reference": [result.reference_samples for result in results],
                "effect": suite.curves.effect_samples,
                **({"attributes": suite.attributes.samples} if any(result.movements for result in results) else {}),
                "screening": suite.screening.samples,
                "locality": suite.locality.samples,
                "reproduction": suite.reproduction.held_out,
            },
            "left_out": list(dict.fromkeys(sentence for plan_ in plans for sentence in plan_.left_out)),
        }


def _checked(
    bench: Bench, plans: Sequence[Plan], readers: Sequence[tuple[Scorer | None, Segmenter | None, Embedder | None]]
) -> list[Experiments]:
    """The experiments on each generator, none of which is refused."""
    measurements = [Experiments(bench, plan_, *own) for plan_, own in zip(plans, readers, strict=True)]
    for measurement in measurements:
        measurement.check()
    return measurements


def _check_reference(subject: Subject, generator: Generator, extractor: Extractor) -> None:
    if is_statistics(subject.reference):
        read_statistics(subject.reference).check(extractor.dimensions, extractor.name)
    elif subject.reference != "unshifted":
        open_reference(subject.reference, generator.size, 1, subject.resize).check()


def check_folder(folder: Path, suite: Suite, *, fresh: bool) -> None:
    """Make sure that a folder may be used for a run of this suite: it is new, or holds a run, of this very suite.

    With `fresh`, a run of any suite will do; a folder that holds anything else is refused in either case.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise NavbenchError(f"{folder} is a file; choose another folder with --out.")
        if not folder.exists() or all(entry.name.startswith(".manifest.json.") for entry in folder.iterdir()):
            return  # nothing is there, or what is left of a run that was killed in its first moment
        try:
            before = json.loads((folder / "manifest.json").read_text())["suite_sha256"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            raise NavbenchError(
                f"{folder} is not empty and holds no run that can be read; choose another folder with --out."
            ) from None
        made = any((folder / name).exists() for name in (CACHE, "tables", "directions"))
    except OSError as error:
        raise explained(error, folder) from error
    if made and not fresh and before != suite.cache_key:
        raise NavbenchError(
            f"{folder} holds another run than {suite.name!r} as it is now; choose another folder with --out, or "
            "replace that run with --fresh."
        )


def _empty(folder: Path) -> None:
    """Remove what a run makes, and nothing else."""
    try:
        for name in (CACHE, "tables", "figures", "strips", "codes", "directions"):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        for name in ("manifest.json", "suite.toml", "index.html"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise explained(error, folder) from error
