"""Running a suite: every experiment on every generator, whose pieces come from the run's store or are made now."""

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console

from navbench import tables
from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.catalogue import catalogue
from navbench.experiments.measurement import Bench, Instruments, Measurement, probe
from navbench.experiments.rows import Row
from navbench.files import explained, write_atomically
from navbench.generators import zoo
from navbench.library import Library
from navbench.metrics.attributes import create_scorer
from navbench.metrics.embedding import create_embedder
from navbench.metrics.perceptual import PerceptualDistance, create_distance
from navbench.metrics.segmentation import create_segmenter
from navbench.progress import Report, stage
from navbench.runner.discover import discover
from navbench.runner.executor import InProcess
from navbench.runner.manifest import Manifest, earlier_stages, environment
from navbench.runner.plan import further_places, left_out, places_of, plan, prepared
from navbench.runner.store import Store
from navbench.runner.tables import run_all
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
            "distance": self.suite.distance,
            "reference": ", ".join(subject.reference for subject in self.suite.generators),
        }
        place = self.folder / "manifest.json"
        self.manifest = Manifest(place, facts, {} if fresh else earlier_stages(place))
        with self._collected_warnings():
            bench = Bench(self.suite, self.compute, catalogue(), InProcess(self.store), self._distance(), self._stage)
            with stage(self.console, "weights") as report:
                subjects = [self._instruments(bench, subject) for subject in self.suite.generators]
                report(1, 1)
            if not self.suite.rediscover:
                measurements = [self._measurement(on, self.library) for on in subjects]
            self._begin(fresh)
            if self.suite.rediscover:
                found = self._rediscovered(subjects)
                measurements = [self._measurement(on, found) for on in subjects]
            rows: dict[str, list[Row]] = {name: [] for name in tables.TABLES}
            while measurements:  # one generator's results are in memory at a time
                for name, more in self._measured(prepared(measurements.pop(0))).items():
                    rows.setdefault(name, []).extend(more)
            with self._stage("tables") as report:
                tables.write(self.folder / "tables", rows)
                report(1, 1)
        self.manifest.write(complete=True)

    def _begin(self, fresh: bool) -> None:
        """Empty the folder of an earlier run, if asked to, and say what runs here now."""
        if fresh:
            _empty(self.folder)
        self.manifest.write(complete=False)
        if fresh or not (self.folder / "suite.toml").exists():
            write_atomically(self.folder / "suite.toml", self.suite.toml())

    def _distance(self) -> PerceptualDistance:
        return create_distance(self.suite.distance, self.compute)

    def _instruments(self, bench: Bench, subject: Subject) -> Instruments:
        """A generator and the networks that read its images; what does not fit is refused before any work is done."""
        generator = zoo.create(subject.name, self.compute, subject.options)
        generator.check()
        places_of(subject, generator, self.library)
        scorer = create_scorer(subject.scorer, self.compute) if subject.scorer else None
        if scorer is not None:
            probe(scorer, generator, self.compute)
        on = Instruments(
            bench,
            subject,
            generator,
            scorer=scorer,
            segmenter=create_segmenter(subject.segmentation, self.compute) if subject.segmentation else None,
            embedder=create_embedder(subject.embedding, self.compute) if subject.embedding else None,
        )
        further_places(self.suite, subject, generator)
        for experiment in bench.catalogue:
            if on.asks_for(type(experiment)):
                experiment.check(on)
        return on

    def _measurement(self, on: Instruments, library: Library) -> Measurement:
        """A generator with its directions, none of which is refused."""
        measurement = Measurement(**vars(on), plan=plan(self.suite, on.subject, on.generator, library))
        for experiment in on.bench.catalogue:
            if on.asks_for(type(experiment)):
                experiment.check_directions(measurement)
        return measurement

    def _rediscovered(self, subjects: Sequence[Instruments]) -> Library:
        """The sets that the suite needs, found anew in the run folder."""
        out = self.folder / "directions"
        for on in subjects:
            further = further_places(self.suite, on.subject, on.generator).values()
            places = [*places_of(on.subject, on.generator, self.library), *chain.from_iterable(further)]
            settings, seed = self.suite.discovery_of(on.subject), self.suite.seed
            common = (on.generator, places, settings, self.compute, seed, out)
            discover(*common, stages=self._stage, executor=on.bench.executor)
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

    def _measured(self, on: Measurement) -> dict[str, list[Row]]:
        """The rows of one generator by table; its files are written, and what was run is told."""
        rows, facts = run_all(self.folder, on)
        generator = {"generators": {on.generator.name: _described(on)}, "direction_sets": _described_sets(on)}
        for more in (generator, *facts, {"left_out": list(left_out(on))}):
            _join(self.manifest.facts, more)
        return rows


def _described_sets(on: Measurement) -> list[dict[str, Any]]:
    return [
        {
            "set_id": file.set_id,
            "sha256": file.sha256,
            "directions": file.count,
            "settings": file.header["settings"],
            "provenance": {key: value for key, value in file.header["provenance"].items() if key != "log"},
        }
        for file in on.plan.files
    ]


def _described(on: Measurement) -> dict[str, Any]:
    generator = on.generator
    return {
        "description": generator.description,
        "weights_sha256": generator.fingerprint,
        "size": list(generator.size),
        "latents": {kind: list(generator.latent_shape(kind)) for kind in generator.latents},
        "options": on.subject.options.model_dump(mode="json", exclude_defaults=True),
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


def _join(facts: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add facts to others: mappings are joined, what lists lack is appended, and anything else replaced."""
    for key, value in more.items():
        if isinstance(value, Mapping):
            _join(facts.setdefault(key, {}), value)
        elif isinstance(value, list):
            facts[key] = [*facts.get(key, []), *(each for each in value if each not in facts.get(key, []))]
        else:
            facts[key] = value


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
