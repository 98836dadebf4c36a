"""From a suite to what is to be done: which sets, which of their directions, in which experiments."""

from collections.abc import Sequence
from dataclasses import dataclass

from navbench.directions import Direction, DirectionSet
from navbench.errors import NavbenchError, unknown
from navbench.generators.base import Generator
from navbench.library import Library, SetFile
from navbench.methods import METHODS, admitted, is_determined
from navbench.spaces import LatentSpace, ParameterSpace, Space
from navbench.suite import Subject, Suite

_MORE = {
    "survey": "What directions change in each layer was not surveyed",
    "pairs": "Directions were not set beside those of other methods",
    "recognition": "No reconstructor was trained to tell directions apart",
    "stability": "Directions were not found again, from other seeds or codes",
}
"""What the report says of experiments that are not done."""


@dataclass(frozen=True)
class Plan:
    """The work on one generator.

    Attributes:
        layers: of the generator that the run is about; they imitate latent directions.
        files: every direction set that is measured or surveyed.
        sets: those that are measured, loaded, in the order of layers and latent spaces, then methods.
        surveyed: the sets of the survey, one per layer, in forward order.
        only: full names of the directions to measure; empty for all.
        left_out: what the suite leaves out, in sentences for the report.
    """

    subject: Subject
    generator: Generator
    layers: tuple[str, ...]
    files: tuple[SetFile, ...]
    sets: tuple[DirectionSet, ...]
    surveyed: tuple[DirectionSet, ...]
    only: tuple[str, ...]
    left_out: tuple[str, ...]

    def all_directions(self) -> list[Direction]:
        """Every direction of every set, or those that the suite names."""
        every = (direction for directions in self.sets for direction in directions)
        return [direction for direction in every if not self.only or direction.name in self.only]

    def leading(self, count: int) -> list[Direction]:
        """The first `count` directions of each set, or those that the suite names."""
        return [direction for direction in self.all_directions() if self.only or direction.index < count]


def places_of(subject: Subject, generator: Generator, library: Library) -> list[tuple[Space, Sequence[str]]]:
    """The spaces of a subject, layers first, each with the methods that are defined in it."""
    layers = [ParameterSpace(generator, generator.layer(name)) for name in layers_of(subject, generator, library)]
    latents = [LatentSpace(generator, kind) for kind in subject.latents]
    pairs: list[tuple[Space, Sequence[str]]] = [(space, subject.methods) for space in layers]
    pairs += [(space, subject.latent_methods) for space in latents]
    return pairs


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


def plan(suite: Suite, subject: Subject, generator: Generator, library: Library) -> Plan:
    """The plan for one generator of a suite; every direction set that it names must be in the library."""
    by_reference = {}  # a set that the suite names twice is measured once
    for space, methods in places_of(subject, generator, library):
        for method in methods:
            reference = f"{generator.name}/{method}/{space.place}"
            if reference in library.sets:
                by_reference[reference] = library.sets[reference]
            elif method not in METHODS or admitted([method], space.kind):
                raise NavbenchError(f"There are no directions {reference!r}{_remedy(method)}")
    files = tuple(by_reference.values())
    if not files:
        raise NavbenchError(f"There are no directions of generator {generator.name}; run with --rediscover and layers.")
    names = [name for file in files for name in file.names()]
    found = [library.find(reference) for reference in suite.only]
    only = tuple(name for file, index in found if (name := file.names()[index]) in names)
    if suite.only and not only:
        raise unknown("direction in this suite", suite.only[0], names)
    sets = tuple(file.load(generator) for file in files)
    surveyed, unsurveyed = _surveyed(suite, subject, generator, library)
    layers = tuple(file.load(generator) for file in surveyed)
    left_out = (*_left_out(suite, subject, generator, sets, only), *unsurveyed)
    every = tuple({file.reference: file for file in (*files, *surveyed)}.values())
    return Plan(subject, generator, layers_of(subject, generator, library), every, sets, layers, only, left_out)


def survey_places(suite: Suite, subject: Subject, generator: Generator) -> list[tuple[Space, Sequence[str]]]:
    """The layers of the survey, with its method; none where it is not asked for."""
    if "survey" not in suite.experiments or not subject.methods or suite.only:
        return []
    named = suite.survey.layers or [layer.name for layer in generator.layers()]
    layers = dict.fromkeys(generator.layer(name) for name in named)
    return [(ParameterSpace(generator, layer), (survey_method(suite, subject),)) for layer in layers]


def survey_method(suite: Suite, subject: Subject) -> str:
    """Whose directions are surveyed."""
    return suite.survey.method or subject.methods[0]


def _surveyed(
    suite: Suite, subject: Subject, generator: Generator, library: Library
) -> tuple[tuple[SetFile, ...], tuple[str, ...]]:
    """The sets of the survey that are there, and a sentence for the layers that have none."""
    places = survey_places(suite, subject, generator)
    if not places:
        return (), ()
    method = survey_method(suite, subject)
    references = {space.place: f"{generator.name}/{method}/{space.place}" for space, _ in places}
    there = tuple(library.sets[reference] for reference in references.values() if reference in library.sets)
    missing = [place for place, reference in references.items() if reference not in library.sets]
    if not there and (suite.survey.layers or method not in METHODS):
        raise NavbenchError(f"There are no directions {next(iter(references.values()))!r}{_remedy(method)}")
    sentence = f"The survey of {generator.name}'s layers has no {method} directions in {', '.join(missing)}."
    return there, (sentence,) if missing else ()


def _remedy(method: str) -> str:
    """What to do where there are no directions of a method; others' sets may be of methods that find none here."""
    if method in METHODS:
        return "; find it with navbench discover, or run with --rediscover."
    reason = str(unknown("method", method, METHODS))
    return f": {reason[0].lower()}{reason[1:]}"


def _left_out(
    suite: Suite, subject: Subject, generator: Generator, sets: tuple[DirectionSet, ...], only: tuple[str, ...]
) -> tuple[str, ...]:
    if only:
        return (f"Measured: {', '.join(only)}, with {', '.join(suite.experiments)}; nothing else was asked for.",)
    total = sum(map(len, sets))
    of = f" of {generator.name}" if len(suite.generators) > 1 else ""
    sentences = [f"{words} (experiment {name!r})." for name, words in _MORE.items() if name not in suite.experiments]
    sentences += _nothing_to_do(suite, generator, sets)
    if "photos" in suite.experiments and not subject.photos:
        sentences.append(f"No photos of {generator.name} were given, so none was edited.")
    for what, count in (
        ("Curves were", suite.curves.directions),
        ("Heatmaps were", suite.locality.directions),
        ("Reproduction was", suite.reproduction.directions),
    ):
        measured = sum(min(count, len(directions)) for directions in sets)
        if measured < total:
            which = _first(count) if count else "no direction"
            sentences.append(f"{what} measured for {which}{of}: {measured} of {total}.")
    covered = {directions.layer for directions in sets}
    missing = [layer.name for layer in generator.layers() if layer.name not in covered]
    if missing:
        sentences.append(f"Layers of {generator.name} of which no directions are measured: {', '.join(missing)}.")
    if not subject.scorer and any(other.scorer for other in suite.generators):
        sentences.append(f"{generator.name} has no attribute scorer, so nothing is said of what its directions do.")
    return tuple(sentences)


def _first(count: int) -> str:
    return f"the first {count} directions of each set" if count > 1 else "the first direction of each set"


def _nothing_to_do(suite: Suite, generator: Generator, sets: tuple[DirectionSet, ...]) -> list[str]:
    """Experiments that are asked for, and for which there is nothing here."""
    present = {found.method for found in sets}
    sentences = []
    if "pairs" in suite.experiments and suite.pairs.method and suite.pairs.method not in present:
        sentences.append(
            f"{generator.name} has no {suite.pairs.method} directions here, so none was set beside others'."
        )
    for name, methods in (("recognition", suite.recognition.methods), ("stability", suite.stability.methods)):
        missing = [method for method in methods if method not in present]
        if name in suite.experiments and missing:
            sentences.append(f"{generator.name} has no {', '.join(missing)} directions here for experiment {name!r}.")
    if "stability" in suite.experiments:
        fixed = [method for method in suite.stability.methods if method in present and is_determined(method)]
        if fixed:
            sentences.append(f"The weights alone determine {', '.join(fixed)}, so there is nothing to find again.")
    return sentences
