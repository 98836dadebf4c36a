"""Running a suite in one process: every piece is looked up in the run's store first, and computed if missing."""

import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from navbench.compute import Compute
from navbench.directions import Library
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.reference import open_reference
from navbench.files import explained, write_atomically
from navbench.generators import zoo
from navbench.generators.base import Generator
from navbench.metrics.extractors import create_extractor
from navbench.metrics.perceptual import create_distance
from navbench.progress import Report, stage
from navbench.runner import pictures, rows
from navbench.runner.discover import discover
from navbench.runner.manifest import Manifest, earlier_stages, environment
from navbench.runner.measure import Bench, Measurement
from navbench.runner.plan import Plan, layers_of, plan
from navbench.runner.results import Results
from navbench.runner.store import Store
from navbench.suite import Suite
from navbench.suite import parse as parse_suite

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

    def execute(self) -> None:
        """Do all that is left, then write the tables, pictures and manifest."""
        self.store = Store(self.folder / CACHE)
        facts = {
            **environment(self.compute),
            "suite": self.suite.name,
            "suite_sha256": self.suite.identity(),
            "seed": self.suite.seed,
        }
        place = self.folder / "manifest.json"
        self.manifest = Manifest(place, facts, earlier_stages(place))
        write_atomically(self.folder / "suite.toml", self.suite.toml())
        self.manifest.write(complete=False)
        with self._collected_warnings():
            with self._stage("weights") as report:
                distance = create_distance(self.suite.distance, self.compute)
                settings = self.suite.curves
                extractor = create_extractor(settings.extractor, self.compute, settings.extractor_weights or None)
                generators = [zoo.create(subject.name, self.compute) for subject in self.suite.generators]
                report(1, 1)
            plans = self._plans(generators)
            bench = Bench(self.folder, self.suite, self.compute, self.store, distance, extractor, self._stage)
            results = [Measurement(bench, plan_).results() for plan_ in plans]
            self._describe(plans, results)
            with self._stage("tables and pictures") as report:
                rows.write_tables(self.folder / "tables", self.suite, results)
                pictures.write_arrays(self.folder / "figures", results)
                report(1, 1)
        self.manifest.write(complete=True)

    def _plans(self, generators: Sequence[Generator]) -> list[Plan]:
        plans, library = [], self.library
        for subject, generator in zip(self.suite.generators, generators, strict=True):
            if "curves" in self.suite.experiments and subject.reference != "unshifted":
                open_reference(subject.reference, generator.resolution)  # a wrong path is told before hours of work
            if self.suite.rediscover:
                layers = layers_of(subject, generator, self.library)
                out = self.folder / "directions"
                discover(
                    generator, layers, subject.methods, self.suite.discovery, self.compute, self.suite.seed, out,
                    stages=self._stage,
                )  # fmt: skip
                library = Library([out])
            plans.append(plan(self.suite, subject, generator, library))
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


def open_folder(folder: Path, suite: Suite, *, fresh: bool) -> None:
    """Make sure that a folder may be used for a run of this suite; `fresh` empties one that holds a run."""
    kept = folder / "suite.toml"
    try:
        if folder.exists() and not folder.is_dir():
            raise NavbenchError(f"{folder} is a file; choose another folder with --out.")
        if not folder.exists() or all(entry.name.startswith(f".{kept.name}.") for entry in folder.iterdir()):
            return  # nothing is there, or what is left of a run that was killed in its first moment
        if not kept.exists():
            raise NavbenchError(f"{folder} is not empty and holds no run; choose another folder with --out.")
        if fresh:
            for name in (CACHE, "tables", "figures", "strips", "directions"):
                if (folder / name).exists():
                    shutil.rmtree(folder / name)
            (folder / "manifest.json").unlink(missing_ok=True)
        if not any((folder / name).exists() for name in (CACHE, "tables", "directions")):
            return  # that run made nothing yet
    except OSError as error:
        raise explained(error, folder) from error
    try:
        before = parse_suite(kept.read_text(), str(kept)).identity()
    except (OSError, UnicodeDecodeError, NavbenchError) as error:
        raise NavbenchError(f"{folder} holds a damaged run ({error}); start over with --fresh.") from error
    if before != suite.identity():
        raise NavbenchError(
            f"{folder} holds another run than {suite.name!r} as it is now; choose another folder with --out, or "
            "replace that run with --fresh."
        )
