"""How to read the report: what its terms mean."""

from collections.abc import Iterator

from markupsafe import Markup

from navbench.report.blocks import Block, Terms
from navbench.report.numbers import FID_EXTRACTOR, listed
from navbench.report.page import Page
from navbench.report.reproduction import edited_spaces, latent_targets
from navbench.report.tables import RunTables


def blocks(page: Page) -> Iterator[Block]:
    """A list of terms."""
    tables = page.tables
    terms = {
        "Direction, shift": "A direction is a unit offset in one space of the generator, such as one layer’s kernel. "
        "The shift t is how far it is moved; t = 0 is the generator itself. Every t, direction and method uses the "
        "same codes.",
        "Effect": _effect(tables),
        **(_distances(page) if len(tables.curved) else {}),
        "area50": "The smallest fraction of the image that holds half of the squared pixel change. Small is local. "
        "area90 holds nine tenths.",
        "Unexplained fraction": _unexplained_fraction(tables),
        **(_attributes(tables) if len(tables.attributes) else {}),
        "±": _errors(tables),
    }
    yield Terms(tuple(terms.items()), "")


def _errors(tables: RunTables) -> str:
    drawn = (
        "; of recall and coverage, in which an image moves the balls of others, from disjoint parts of the images. "
        "Where the reference is drawn, `stderr_both` in the tables is of images and reference together, which differ "
        "between seeds; that of a Fréchet distance is an upper bound"
    )
    return (
        "One standard error of sampling images, and of a method's mean of other directions, too, by the infinitesimal "
        "jackknife: from the influence of every image on the number, "
        f"with the reference held fixed{drawn if len(tables.curved) else ''}. Numbers of locality use a "
        "jackknife over ten groups of codes instead. Means of area50 and of unexplained fractions over the directions "
        "of a method carry none. Bands and bars in plots are ± 1.96 of them, 95 % if errors are normal."
    )


def _effect(tables: RunTables) -> str:
    distances = sorted(set(tables.directions["distance"]) - {""})
    named = " or ".join(distances) or "a perceptual distance"
    quantities = [name for name in tables.calibration["quantity"].unique() if name != "effect"]
    footing = (
        f"The ranges of t are calibrated to the same change of {listed(quantities)}, so effects differ between "
        "directions."
        if quantities
        else "The ranges of t are calibrated so that directions reach the same effect, since a unit of t means "
        "something else for each."
    )
    return f"How much an edit changes images: the mean distance ({named}) between an image and its edit. {footing}"


def _distances(page: Page) -> dict[str, str]:
    fd, kid = page.metrics
    is_fid = FID_EXTRACTOR in set(page.tables.methods["extractor"])
    scale = " It has the formula of FID on the features of another network, so its values are on a scale of their own."
    return {
        fd: "The Fréchet distance between Gaussians fitted to the features of edited images and of the reference. "
        f"Lower is closer to the reference.{'' if is_fid else scale}",
        kid: "The kernel distance between the same features: a squared maximum mean discrepancy, unbiased in n, so it "
        "may fall slightly below zero.",
    }


def _unexplained_fraction(tables: RunTables) -> str:
    latent = "; of an edit of a latent code, the offset is one of a layer’s kernel"
    return Markup(
        "E|G(z+h) − G<sub>ξ</sub>(z)|² / E|G(z) − G<sub>ξ</sub>(z)|² on held-out codes, h the best single offset found "
        "of {}, or of the activation that enters the layer{}. 0 is a perfect imitation of the edit; 1 is no better "
        "than doing nothing."
    ).format(latent_targets(tables), latent if "latent" in edited_spaces(tables) else "")


def _attributes(tables: RunTables) -> dict[str, str]:
    scorers = " or ".join(sorted(set(tables.attributes["scorer"]) - {""}))
    return {
        "Attributes": f"What a network{f' ({scorers})' if scorers else ''} reads from an image, a number per "
        "attribute. A direction’s label is automatic where it says so: the attribute that it was found to change."
    }
