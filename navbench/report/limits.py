"""What the numbers do not say."""

from collections.abc import Iterator

from navbench.report.blocks import Block, Items
from navbench.report.numbers import FID_EXTRACTOR
from navbench.report.page import Page
from navbench.report.provenance import told_in


def blocks(page: Page) -> Iterator[Block]:
    """A list of limits, of what was left out, and of warnings."""
    tables = page.tables
    limits = list(_of_distances(FID_EXTRACTOR in set(tables.methods["extractor"]))) if len(tables.curved) else []
    limits.insert(
        2,
        "Standard errors are of sampling images. They do not cover the choice of directions, the seed of discovery, or "
        "the training of the generator.",
    )
    limits.append("A residual is what this optimiser found with its steps: an upper bound on the best imitation.")
    if len(tables.attributes):
        limits.append(
            "Attributes are read by a network that makes errors of its own, more so on images that are far from those "
            "it was trained on, as at the ends of a range."
        )
    limits.append("Equal effect is equal in one perceptual distance on average; it is not equal in meaning.")
    limits += [f"Left out: {entry}" for entry in told_in(tables.manifest, "left_out")]
    limits += [f"Warning: {entry}" for entry in told_in(tables.manifest, "warnings")]
    yield Items(tuple(limits))


def _of_distances(is_fid: bool) -> Iterator[str]:
    yield (
        "A Fréchet distance is biased upward, the more so the smaller n is: compare only numbers taken with equal n "
        "and the same reference. For the same reason the floor at t = 0 is not zero."
    )
    yield (
        "FID here is computed with the features of inception-v3-compat; it is comparable with published values only at "
        "their n, resolution and reference."
        if is_fid
        else "Nothing on this page is a FID, which is defined by the features of inception-v3-compat; do not compare "
        "these values with published FID."
    )
    yield (
        "Methods are called different where their paired difference on the shared codes has p < 0.05 after Holm, over "
        "all pairs of a layer’s methods. That is of the codes alone: with few directions per method, other directions "
        "of the same methods may rank otherwise."
    )
