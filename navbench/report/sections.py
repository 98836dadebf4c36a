"""The sections of a report, in their order: the whole page on one screen."""

from collections.abc import Callable, Iterable, Iterator

from navbench import plugins
from navbench.errors import NavbenchError
from navbench.report import (
    answer,
    attributes,
    caveats,
    directions,
    explorer,
    instrument,
    layers,
    locality,
    lost,
    matched,
    methods,
    pairs,
    photos,
    provenance,
    quality,
    racing,
    reading,
    realism,
    reproduction,
)
from navbench.report.blocks import Block, Details, Section
from navbench.report.page import Page

GROUP = "navbench.sections"
"""Of entry points: other packages add a `Section` of a `Page`."""
_NO_CURVES = "This run has no curves, so nothing is said about realism along the shift."
_NO_LOCALITY = "The locality experiment is not part of this run."
_NO_REPRODUCTION = "The reproduction experiment is not part of this run."

Blocks = Callable[[Page], Iterable[Block]]


def folded(blocks: Blocks, shown: int = 0, summary: str = "Details") -> Blocks:
    """The first `shown` blocks as they are, and the rest behind a summary."""

    def some(page: Page) -> Iterator[Block]:
        every = [block for block in blocks(page) if block]
        yield from every[:shown]
        yield Details(summary, every[shown:])

    return some


SECTIONS: tuple[Section[Page], ...] = (
    Section("answer", "Which to use, and how far", "", answer.blocks),
    Section("all", "All directions", "All directions", explorer.blocks),
    Section("methods", "Methods compared", "Methods", methods.blocks),
    Section("instrument", "Can the distances be read?", "Instrument", folded(instrument.blocks, 1)),
    Section("realism", "Realism along the shift", "Realism", folded(realism.blocks, 3), _NO_CURVES),
    Section("attributes", "What the directions do", "What they do", folded(attributes.blocks, 2)),
    Section("lost", lost.title, "What is lost", folded(lost.blocks, 3)),
    Section("matched", "At the same change of an attribute", "", folded(matched.blocks, 1)),
    Section("pairs", "The same edit by other methods", "", folded(pairs.blocks)),
    Section("locality", "Where images change", "Locality", folded(locality.blocks, 2), _NO_LOCALITY),
    Section("reproduction", reproduction.title, "Imitation", folded(reproduction.blocks, 4), _NO_REPRODUCTION),
    Section("photos", "Real images", "Photos", folded(photos.blocks, 2)),
    Section("layers", "The layers", "Layers", folded(layers.blocks, 2)),
    Section("quality", "Quality and rankings", "Quality", folded(quality.blocks)),
    Section("racing", "The race", "", folded(racing.blocks, 1)),
    Section("directions", "Ranges and numbers", "", folded(directions.blocks)),
)
CLOSING: tuple[Section[Page], ...] = (
    Section("caveats", "Caveats", "Caveats", caveats.blocks, look="box"),
    Section("reading", "How to read this", "", folded(reading.blocks, summary="Terms"), look="box"),
    Section("provenance", "Provenance", "Provenance", folded(provenance.blocks, 1)),
)
"""The sections after those of other packages."""


def all_sections() -> tuple[Section[Page], ...]:
    """The sections of navbench and of other packages.

    Raises:
        NavbenchError: an entry point gives something else, or a section whose anchor is taken.
    """
    added: list[Section[Page]] = []
    for name in plugins.known(GROUP):
        section: object = plugins.find(GROUP, "section", name)
        if not isinstance(section, Section):
            raise NavbenchError(f"The entry point {name!r} of {GROUP} gives {section!r}, not a Section.")
        if section.anchor in {known.anchor for known in (*SECTIONS, *added, *CLOSING)}:
            raise NavbenchError(
                f"There are two sections {section.anchor!r}; the entry point {name!r} of {GROUP} is one."
            )
        added.append(section)
    return (*SECTIONS, *added, *CLOSING)
