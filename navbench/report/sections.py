"""The sections of a report, in their order: the whole page on one screen."""

from navbench import plugins
from navbench.errors import NavbenchError
from navbench.report import (
    answer,
    attributes,
    cards,
    directions,
    instrument,
    layers,
    limits,
    locality,
    matched,
    pairs,
    photos,
    provenance,
    quality,
    racing,
    reading,
    realism,
    reproduction,
)
from navbench.report.blocks import Section
from navbench.report.page import Page

GROUP = "navbench.sections"
"""Of entry points: other packages add a `Section` of a `Page`."""
_NO_CURVES = "This run has no curves, so nothing is said about realism along the shift."
_NO_LOCALITY = "The locality experiment is not part of this run."
_NO_REPRODUCTION = "The reproduction experiment is not part of this run."
_NOT_MEASURED = "No direction of this run has been measured."

SECTIONS: tuple[Section[Page], ...] = (
    Section("answer", "The answer", "Answer", answer.blocks),
    Section("reading", "How to read this", "How to read this", reading.blocks, look="box"),
    Section("instrument", "Can the distances be read?", "Instrument", instrument.blocks),
    Section("realism", "Realism along the shift", "Realism", realism.blocks, _NO_CURVES),
    Section("attributes", "What the directions do", "What they do", attributes.blocks),
    Section("matched", "At the same change of an attribute", "At equal change", matched.blocks),
    Section("pairs", "The same edit by other methods", "By other methods", pairs.blocks),
    Section("directions", "The directions", "Directions", directions.blocks),
    Section("locality", "Where images change", "Locality", locality.blocks, _NO_LOCALITY),
    Section("reproduction", reproduction.title, "Reproduction", reproduction.blocks, _NO_REPRODUCTION),
    Section("quality", "Quality and rankings", "Quality", quality.blocks),
    Section("photos", "Real images", "Real images", photos.blocks),
    Section("each", "Each direction", "Each direction", cards.blocks, _NOT_MEASURED),
    Section("racing", "The race", "Race", racing.blocks),
    Section("layers", "The layers", "Layers", layers.blocks),
)
CLOSING: tuple[Section[Page], ...] = (
    Section("limits", "Limits", "Limits", limits.blocks, look="box"),
    Section("provenance", "Provenance", "Provenance", provenance.blocks),
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
