"""Columns that several tables have."""

from navbench.columns import Column, count, flag, number, text

IMITATORS = ("z", "w", "w+", "s", "activation", "parameter")
"""The kinds of spaces in which imitations may be sought."""

SHARES = ("precision", "recall", "density", "coverage")
"""Numbers of how images and their reference overlap; higher is better."""
EFFECT, SQUARED, OWN = "distance", "squared change", "of the attribute"
GENERATOR = text("generator", "the generator's name")
LAYER = text("layer", "the layer that is shifted; of a latent direction, the latent space")
SPACE = text("space", "the kind of the edit space: parameter, or z, w, w+ or s", empty=True)
WHO = (
    GENERATOR,
    text("method", "the method that found the direction"),
    LAYER,
    SPACE,
    text("direction", "its index in its set"),
    text("name", "its full name"),
    text("label", "what a person called it", empty=True),
)
"""Which direction a row is about."""
PLACE = (GENERATOR, LAYER, SPACE, text("method", "the method"))
CONTROL = (
    text("control", "the method that draws at random from the same basis or space; empty of such a one", empty=True),
    flag("is_control", "whether its method is such a control", empty=True),
    flag("is_labelled", "whether its method was told what images show, and so is no rival", empty=True),
)
"""With what a method is compared."""
DISTANCE = text("distance", "the perceptual distance in which effects are measured", empty=True)
N = count("n", "latent codes that the number is a mean over")
CURVE_N = count("n", "images of the generator that the distance is of")
REFERENCE_N = count("n_reference", "images of the reference", empty=True)
KID_N = (
    count("n_kid", "images of the generator that KID is of, the first of the `n`", empty=True),
    count("n_reference_kid", "images of the reference that KID is of", empty=True),
)
RESOLUTION = text("resolution", "side of the images in pixels, or height x width", empty=True)
ATTRIBUTE = text("attribute", "the attribute")
UNIT = text("unit", "the attribute's unit", empty=True)
T = number("t", "the shift along the direction")
VALUE = number("value", "the number", stderr="stderr")
STDERR = number("stderr", "standard error of `value`")


def setting(empty: bool = False) -> tuple[Column, ...]:
    """What a realism is, and what it is measured by and against."""
    return (
        text("metric", "FID, FD (a Fréchet distance that is no FID), KID, or a share of images", empty),
        text("extractor", "the feature extractor", empty),
        text("reference", "what the images are measured against", empty),
    )
