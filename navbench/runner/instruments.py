"""Which instruments a generator gets that no suite describes: those that read faces, if its samples show some."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.edit import unshifted
from navbench.generators import zoo
from navbench.generators.base import Generator
from navbench.metrics.attributes import create_scorer, seen
from navbench.places import Place
from navbench.runner.run import SUITE
from navbench.suite import Subject, parse

SAMPLES = 32
"""Images that are looked at."""
FACES = "faces"
"""What the instruments that read faces are called, as scorer, segmentation and embedding alike."""
_KEYS = ("scorer", "segmentation", "embedding")


def fitting(subject: Subject, compute: Compute) -> tuple[Subject, str]:
    """The subject with the instruments that read faces, if more than half of its samples show one; and a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NavbenchWarning)  # the run itself tells them
        count = _faces(zoo.create(subject.name, compute, subject.options), compute)
    shown = f"{count} of {SAMPLES} samples show a face, so"
    if count <= SAMPLES / 2:
        return subject, f"{shown} no scorer is used; --scorer NAME names one."
    sentence = f"{shown} scorer, segmentation and embedding {FACES} are used; --scorer none turns it off."
    return subject.model_copy(update=dict.fromkeys(_KEYS, FACES)), sentence


def _faces(generator: Generator, compute: Compute) -> int:
    """How many of the samples show a face: of the others, the scorer gives a row of NaN."""
    generator.check()
    scorer = create_scorer(FACES, compute)

    @torch.no_grad()
    def shown(indices: Sequence[int]) -> Tensor:
        return seen(scorer(unshifted(generator, generator.sample(indices, seed=0), compute)))

    return int(torch.cat([*compute.over(range(SAMPLES), shown)]).sum())


def as_before(subject: Subject, place: Place) -> Subject | None:
    """The subject with the instruments that the run at a place has; `None` if no run of it can be read there."""
    try:
        suite = parse(place.read(SUITE).decode(), SUITE)
    except (OSError, UnicodeDecodeError, NavbenchError):  # whether that place may be used is said by `check_folder`
        return None
    there = next((each for each in suite.generators if each.name == subject.name), None)
    return there and subject.model_copy(update={key: getattr(there, key) for key in _KEYS})
