"""Running a suite: every experiment on every generator, whose pieces come from the run's store or are made now."""

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from navbench import tables
from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.catalogue import catalogue
from navbench.experiments.edit import unshifted
from navbench.experiments.guards import check_generator, check_network, noise_of
from navbench.experiments.measurement import Bench, Instruments, Measurement
from navbench.experiments.rows import Row, Tested, settled
from navbench.files import explained
from navbench.generators import zoo
from navbench.library import Library
from navbench.metrics.attributes import create_scorer
from navbench.metrics.embedding import create_embedder
from navbench.metrics.perceptual import PerceptualDistance, create_distance
from navbench.metrics.segmentation import create_segmenter
from navbench.naming import content_key
from navbench.places import Place, Where, mirrored, place_at
from navbench.progress import Outlook, Report, stage, watched, whole
from navbench.runner.discover import discover
from navbench.runner.executor import StoreExecutor
from navbench.runner.executors import executor_of
from navbench.runner.lease import LEASE, Lease, Leased
from navbench.runner.manifest import MANIFEST, Manifest, earlier_manifest, environment
from navbench.runner.plan import further_places, left_out, places_of, plan, prepared
from navbench.runner.store import Store
from navbench.runner.tables import run_all
from navbench.staff import Staff
from navbench.suite import Subject, Suite, check_names
from navbench.user_code import no_exit

CACHE, SUITE, DIRECTIONS = "cache", "suite.toml", "directions"


@dataclass
class Run:
    """One execution of a suite, in a folder or an object store; running it there again does only what is left."""

    folder: Where
    suite: Suite
    compute: Compute
    library: Library
    console: Console
    staff: Staff = field(default_factory=Staff)
    manifest: Manifest = field(init=False)
    store: Store = field(init=False)
    executor: StoreExecutor = field(init=False)

    def __post_init__(self) -> None:
        place = place_at(self.folder)
        self.lease = Lease(place)
        self.place: Place = Leased(place, self.lease)

    @no_exit("Something that this run calls")
    def execute(self, *, fresh: bool = False) -> None:
        """Do all that is left, then write the tables, pictures and manifest; `fresh` starts over.

        Nothing in the folder is touched before weights, names and references have been found to be in order.
        """
        self.lease.check_free()
        self.store = Store(self.place.within(CACHE))
        facts = {
            **environment(self.compute),
            "suite": self.suite.name,
            "suite_sha256": self.suite.cache_key,
            "seed": self.suite.seed,
            "distance": self.suite.distance,
            "reference": ", ".join(subject.reference for subject in self.suite.generators),
        }
        self.manifest = Manifest(self.place, facts)
        self.executor = executor_of(self.staff, self.store, self.compute)
        with self._collected_warnings(), self.executor:
            bench = Bench(self.suite, self.compute, catalogue(), self.executor, self._distance(), self._stage)
            with stage(self.console, "weights") as report:
                subjects = [self._instruments(bench, subject) for subject in self.suite.generators]
                check_names([(on.subject.name, on.generator.name) for on in subjects])
                report(1, 1)
            measurements = []
            if not self.suite.rediscover:
                measurements = [self._measurement(on, self.library) for on in subjects]
            with self.lease.held():
                self._begin(fresh)
                with whole(self.console, self._expected(subjects)):
                    if self.suite.rediscover:
                        self._rediscover(subjects)
                        with mirrored(self.place, folders=(DIRECTIONS,)) as mirror:
                            sets = Library([mirror / DIRECTIONS])
                            self._measure([self._measurement(on, sets) for on in subjects])
                    else:
                        self._measure(measurements)
                self.store.tidy()
                self.manifest.tell_workers(self.executor.accounts)
                self.manifest.write(complete=True)

    def _expected(self, subjects: Sequence[Instruments]) -> Outlook:
        """What is expected of each stage; nobody asks unless somebody watches."""
        if not watched(self.console):
            return Outlook()
        from navbench.runner.estimate import expected  # which rehearses a `Run`

        with stage(self.console, "plan") as report:
            outlook = expected(self, subjects)
            report(1, 1)
        return outlook

    def _measure(self, measurements: list[Measurement]) -> None:
        """Measure one generator after the other, and write the tables."""
        rows: dict[str, list[Row | Tested]] = {name: [] for name in tables.TABLES}
        while measurements:  # one generator's results are in memory at a time
            for name, more in self._measured(prepared(measurements.pop(0))).items():
                rows.setdefault(name, []).extend(more)
        with self._stage("tables") as report:
            tables.write(self.place.within("tables"), settled(rows))
            report(1, 1)

    def _begin(self, fresh: bool) -> None:
        """Remove an earlier run, if asked to, or go on with it, and say what runs here now.

        What a killed driver left half written is removed, as the lease says that nobody else writes here.
        """
        self.place.tidy()
        if fresh:
            _empty(self.place)
        else:
            self.manifest.earlier = earlier_manifest(self.place)
        self.manifest.tell_workers({})
        self.manifest.write(complete=False)
        if fresh or not self.place.exists(SUITE):
            self.place.write(SUITE, self.suite.toml())

    def _distance(self) -> PerceptualDistance:
        return create_distance(self.suite.distance, self.compute)

    def _instruments(self, bench: Bench, subject: Subject) -> Instruments:
        """A generator and the networks that read its images; what does not fit is refused before any work is done."""
        generator = zoo.create(subject.name, self.compute, subject.options)
        generator.check()
        if subject.alias:
            self.library = self.library.also_as(generator.name, subject.alias)
            generator.name = subject.alias
        places_of(subject, generator, self.library)
        allowed = {"allow_stochastic": self.suite.allow_stochastic}
        repeats = check_generator(generator, self.compute, **allowed)
        on = Instruments(
            bench,
            subject,
            generator,
            scorer=create_scorer(subject.scorer, self.compute) if subject.scorer else None,
            segmenter=create_segmenter(subject.segmentation, self.compute) if subject.segmentation else None,
            embedder=create_embedder(subject.embedding, self.compute) if subject.embedding else None,
            noise=None if repeats else noise_of(generator, bench.distance, self.compute),
        )
        _look(on, self.compute, **allowed)
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

    def _rediscover(self, subjects: Sequence[Instruments]) -> None:
        """Find the sets that the suite needs anew, at the run's place."""
        for on in subjects:
            further = further_places(self.suite, on.subject, on.generator).values()
            places = [*places_of(on.subject, on.generator, self.library), *chain.from_iterable(further)]
            settings, seed = self.suite.discovery_of(on.subject), self.suite.seed
            with mirrored(self.place, folders=(DIRECTIONS,)) as mirror:
                common = (on.generator, places, settings, self.compute, seed, mirror / DIRECTIONS)
                checkpoints = self.place.within(DIRECTIONS)
                discover(*common, stages=self._stage, executor=on.bench.executor, checkpoints=checkpoints)

    @contextmanager
    def _stage(self, title: str) -> Iterator[Report]:
        with self.manifest.stage(title, self.compute, self.executor.tally), stage(self.console, title) as report:
            yield report
            self.manifest.tell_workers(dict(self.executor.accounts))

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
            if self.console.quiet:
                print(f"warning: {message}", file=sys.stderr)  # which is no progress
            else:
                self.console.print(f"warning: {message}", highlight=False)

        with warnings.catch_warnings():
            warnings.simplefilter("always", NavbenchWarning)
            warnings.showwarning = keep
            yield

    def _measured(self, on: Measurement) -> dict[str, list[Row | Tested]]:
        """The rows of one generator by table; its files are written, and what was run is told."""
        rows, facts = run_all(self.place, on)
        generator = {"generators": {on.generator.name: _described(on)}, "direction_sets": _described_sets(on)}
        noise: dict[str, Any] = {"noise": on.noises} if on.noises else {}
        for more in (generator, noise, *facts, {"left_out": list(left_out(on))}):
            _join(self.manifest.facts, more)
        return rows


def _look(on: Instruments, compute: Compute, *, allow_stochastic: bool) -> None:
    """Check on two images of the generator that each network is a function of images, and keep what the scorer reads.

    If the scorer has a subject, both images show it where possible: a network may answer alike to all it does not see.
    """

    def images_of(indices: Sequence[int]) -> Tensor:
        return unshifted(on.generator, on.generator.sample(indices, seed=0), compute)

    images = on.scorer.shown(on.generator.name, images_of) if on.scorer else images_of([0, 1])
    for network in on.networks:
        check_network(network, images, allow_stochastic=allow_stochastic)
    if on.scorer:
        on.scorer.look(images)


def _described_sets(on: Measurement) -> list[dict[str, Any]]:
    return [
        {
            "set_id": file.set_id,
            "sha256": file.sha256,
            "content": content_key(file),
            "directions": file.count,
            "settings": file.header["settings"],
            "provenance": file.header["provenance"],
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
        **({"noise": asdict(on.noise)} if on.noise else {}),
        "parameters": sum(tensor.numel() for tensor in generator.parameters()),
        **({"details": generator.details} if generator.details else {}),
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


def check_folder(where: Where, suite: Suite, *, fresh: bool) -> None:
    """Make sure that a place may be used for a run of this suite: it is new, or holds a run, of this very suite.

    With `fresh`, a run of any suite will do; a place that holds anything else is refused in either case.
    """
    place = place_at(where)
    root = place.file("")
    try:
        if root is not None and root.exists() and not root.is_dir():
            raise NavbenchError(f"{place} is a file; choose another folder with --out.")
        if all(_is_of_a_first_moment(name) for name in _entries(place)):
            return
        try:
            before = json.loads(place.read(MANIFEST))["suite_sha256"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            raise NavbenchError(
                f"{place} is not empty and holds no run that can be read; choose another folder with --out."
            ) from None
        made = any(next(place.names(name), None) for name in (CACHE, "tables", DIRECTIONS))
    except OSError as error:
        raise explained(error, Path(str(place))) from error
    if made and not fresh and before != suite.cache_key:
        raise NavbenchError(
            f"{place} holds another run than {suite.name!r} as it is now; choose another folder with --out, or "
            "replace that run with --fresh."
        )


def _entries(place: Place) -> Iterator[str]:
    """What lies at a place: of a folder its files and folders, hidden ones, too."""
    root = place.file("")
    if root is None:
        return place.names()
    return (entry.name for entry in root.iterdir()) if root.exists() else iter(())


def _is_of_a_first_moment(name: str) -> bool:
    """Whether it is what a run leaves that was killed before it wrote anything of its own."""
    return name == LEASE or name.startswith((f".{LEASE}.", f".{MANIFEST}."))


def _empty(place: Place) -> None:
    """Remove what a run makes, and nothing else."""
    for name in (CACHE, "tables", "figures", "strips", "codes", DIRECTIONS):
        place.clear(name)
    for name in (MANIFEST, SUITE, "index.html"):
        place.delete(name)
