"""From a suite to the directions of a run: which sets, which of their directions, and what is left out."""

from collections.abc import Iterable, Iterator

from navbench.directions import DirectionSet
from navbench.errors import NavbenchError, unknown
from navbench.experiments.catalogue import catalogue
from navbench.experiments.experiment import Places
from navbench.experiments.measurement import Measurement, Plan
from navbench.generators.base import Generator
from navbench.library import Library, SetFile
from navbench.methods import METHODS, admitted, remedy
from navbench.spaces import LatentSpace, ParameterSpace
from navbench.suite import Subject, Suite


def places_of(subject: Subject, generator: Generator, library: Library) -> Places:
    """The spaces of a subject, layers first, each with the methods that are defined in it."""
    layers = [ParameterSpace(generator, generator.layer(name)) for name in layers_of(subject, generator, library)]
    latents = [LatentSpace(generator, kind) for kind in subject.latents]
    return [
        *((space, subject.methods) for space in layers),
        *((space, subject.latent_methods) for space in latents),
    ]


def layers_of(subject: Subject, generator: Generator, library: Library) -> tuple[str, ...]:
    """The layers of a subject by their names: those that it names, or that have direction sets, or of three depths.

    The last, where the subject names no latent space either: a quarter, half and three quarters of the way.
    """
    if subject.layers:
        return tuple(dict.fromkeys(generator.layer(name).name for name in subject.layers))
    present = {file.header["layer"] for file in library.of(generator.name) if file.header["layer"]}
    named = tuple(layer.name for layer in generator.layers() if layer.name in present)
    return named if named or subject.latents else _spread(generator)


def _spread(generator: Generator) -> tuple[str, ...]:
    layers = generator.layers()
    places = [round(quarter * (len(layers) - 1) / 4) for quarter in (1, 2, 3)]
    return tuple(dict.fromkeys(layers[place].name for place in places))


def further_places(suite: Suite, subject: Subject, generator: Generator) -> dict[str, Places]:
    """The places where single experiments need direction sets, by the experiment's name."""
    places = {each.name: each.places(suite, subject, generator) for each in catalogue() if suite.names(type(each))}
    return {name: each for name, each in places.items() if each}


def plan(suite: Suite, subject: Subject, generator: Generator, library: Library) -> Plan:
    """The plan for one generator of a suite.

    Every direction set that the suite names must be in the library; of those that experiments need beside them, the
    ones that are there are taken.
    """
    files = _sets(places_of(subject, generator, library), generator, library)
    if not files:
        raise NavbenchError(f"There are no directions of generator {generator.name}; run with --rediscover and layers.")
    names = [name for file in files for name in file.names()]
    only = tuple(name for file, index in map(library.find, suite.only) if (name := file.names()[index]) in names)
    if suite.only and not only:
        raise unknown("direction in this suite", suite.only[0], names)
    further = {
        name: [library.sets[each] for each in _set_ids(places, generator) if each in library.sets]
        for name, places in further_places(suite, subject, generator).items()
    }
    every = {file.set_id: file for file in (*files, *(file for each in further.values() for file in each))}
    return Plan(
        layers_of(subject, generator, library),
        tuple(every.values()),
        _loaded(files, suite, generator),
        {name: _loaded(each, suite, generator) for name, each in further.items()},
        only,
    )


def _loaded(files: Iterable[SetFile], suite: Suite, generator: Generator) -> tuple[DirectionSet, ...]:
    """Sets, with the first directions alone where the suite says so."""
    count = 0 if suite.only else suite.directions
    return tuple(file.load(generator).first(count or file.count) for file in files)


def _set_ids(places: Places, generator: Generator) -> list[str]:
    return [f"{generator.name}/{method}/{space.place}" for space, methods in places for method in methods]


def _sets(places: Places, generator: Generator, library: Library) -> tuple[SetFile, ...]:
    """The sets of some places, each once; those of methods that are not defined in a space are passed over."""
    found = {}
    for space, methods in places:
        for method in methods:
            set_id = f"{generator.name}/{method}/{space.place}"
            if set_id in library.sets:
                found[set_id] = library.sets[set_id]
            elif method not in METHODS or admitted([method], space.kind):
                raise NavbenchError(f"There are no directions {set_id!r}{remedy(method)}")
    return tuple(found.values())


def prepared(on: Measurement) -> Measurement:
    """The measurement with the plan that experiments change before anything is measured, one after the other."""
    for experiment in on.bench.catalogue:
        on = experiment.prepared(on)
    return on


def left_out(on: Measurement) -> Iterator[str]:
    """What a suite leaves out on one generator, in sentences for the report."""
    suite, plan_ = on.bench.suite, on.plan
    if plan_.only:
        yield f"Measured: {', '.join(plan_.only)}, with {', '.join(suite.experiments)}; nothing else was asked for."
        return
    if 0 < suite.directions < max(file.count for file in plan_.files):
        yield f"Only the first {suite.directions} directions of each set of {on.generator.name} were measured."
    for experiment in on.bench.catalogue:
        if on.asks_for(type(experiment)):
            yield from experiment.gaps(on)
        elif experiment.absent:
            yield f"{experiment.absent} (experiment {experiment.name!r})."
    covered = {directions.layer for directions in plan_.sets}
    if missing := [layer.name for layer in on.generator.layers() if layer.name not in covered]:
        yield f"Layers of {on.generator.name} of which no directions are measured: {', '.join(missing)}."
