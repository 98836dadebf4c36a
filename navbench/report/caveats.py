"""What the numbers do not say, what was left out, and warnings."""

from collections.abc import Iterator

from navbench.report.blocks import Block, Details, Items
from navbench.report.numbers import FID_EXTRACTOR, counts, listed
from navbench.report.page import Page
from navbench.report.provenance import told_in
from navbench.report.tables import RunTables

_BIAS = (
    "A Fréchet distance is biased upward, the more so the smaller n is: compare only numbers taken with equal n and "
    "the same reference. For the same reason the floor at t = 0 is not zero."
)
_FID = (
    "FID here is computed with the features of inception-v3-compat; it is comparable with published values only at "
    "their n, resolution and reference."
)
_NO_FID = (
    "Nothing on this page is a FID, which is defined by the features of inception-v3-compat; do not compare these "
    "values with published FID."
)
_RANKS = (
    "Methods are called different where the difference of their means over directions, on the same codes, has p < 0.05 "
    "after Holm over all tests of this page; its error is of other directions on other codes. Directions are taken as "
    "independent draws of their method, which leading eigenvectors are not quite."
)
_SCORER = (
    "Attributes are read by a network that makes errors of its own, more so on images that are far from those it was "
    "trained on, as at the ends of a range."
)

_SHOWN = 4


def blocks(page: Page) -> Iterator[Block]:
    """What holds of every number, and what this run left out or warned of."""
    limits, told = tuple(_limits(page.tables)), tuple(_told(page.tables))
    yield Items(limits[:_SHOWN])
    yield Details(f"More of these ({len(limits[_SHOWN:])})", (Items(limits[_SHOWN:]),))
    yield Details(f"What was left out, and warnings ({len(told)})", (Items(told),))


def _capped(tables: RunTables) -> Iterator[str]:
    """That what is computed from all pairs is of fewer images than a Fréchet distance, where it is."""
    kernel = tables.curves["metric"] == "KID"
    pairs, all_ = tables.curves[kernel], tables.curves[~kernel]
    capped = [
        f"{counts(pairs[column])} of {counts(all_[column])} {what}"
        for column, what in (("n", "images"), ("n_reference", "images of the reference"))
        if pairs[column].max() < all_[column].max()
    ]
    if capped:
        yield (
            f"KID, precision, recall, density and coverage are of the first {listed(capped)}: their cost grows "
            "with the square."
        )


def _limits(tables: RunTables) -> Iterator[str]:
    curved = len(tables.curved) > 0
    yield from told_in(tables.manifest, "noise")
    if curved:
        yield _FID if FID_EXTRACTOR in set(tables.methods["extractor"]) else _NO_FID
        yield _BIAS
    yield (
        "Standard errors of single directions are of sampling images, those of methods of directions, too. They do not "
        "cover the seed of discovery, or the training of the generator."
    )
    if curved:
        yield from _capped(tables)
        yield from told_in(tables.manifest, "rounding")
    if len(tables.ranking):
        yield _RANKS
    yield (
        "An unexplained fraction is what this optimiser found with its steps, so the best imitation leaves no more; "
        "the same holds of the best offset for each image."
    )
    if len(tables.attributes):
        yield _SCORER
    yield "Equal effect is equal in one perceptual distance on average; it is not equal in meaning."


def _told(tables: RunTables) -> Iterator[str]:
    for name, words in (("left_out", "Left out"), ("warnings", "Warning")):
        told = told_in(tables.manifest, name)
        yield from (f"{words}: {entry}" for entry in told if entry not in told_in(tables.manifest, "noise"))
