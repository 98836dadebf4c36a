"""What edits change: where, whether another space imitates it, and in which layers."""

from navbench.columns import Table, count, estimated, number, text
from navbench.declared.shared import (
    DISTANCE,
    EFFECT,
    GENERATOR,
    PLACE,
    REFERENCE_N,
    RESOLUTION,
    STDERR,
    VALUE,
    WHO,
    N,
    T,
    setting,
)

LOCAL = (
    Table(
        "locality",
        "a direction and a number that says how concentrated its change is: `area50` is the smallest share of the "
        "pixels that holds half of the squared change",
        (
            *WHO,
            number("t_min", "the shift at one end of the range", empty=True),
            number("t_max", "the shift at the other end", empty=True),
            count("shifts", "shifts that the heatmap is a mean over", empty=True),
            N,
            text("metric", "area50, area90, participation, entropy_area or mean_change"),
            VALUE,
            STDERR,
        ),
    ),
    Table(
        "regions",
        "with a segmentation: a direction and a part of the image, what share of the change lies on it",
        (
            *WHO,
            text("region", "the part of the image"),
            *estimated("share", "share of the squared change that lies on it"),
            number("area", "share of the image that it takes", stderr="area_stderr"),
            number("area_stderr", "standard error of `area`", empty=True),
            text("segmentation", "the segmentation"),
            N,
        ),
    ),
    Table(
        "reproduction",
        "a direction and a space that tried to imitate it: 0 is a perfect imitation, 1 no better than no edit at all",
        (
            *WHO,
            T,
            number("effect", "mean effect of the edit", EFFECT, empty=True),
            text("target", "the space in which an imitation was sought"),
            count("steps", "steps of the search", empty=True),
            count("n_train", "codes that the imitation was fitted to", empty=True),
            count("n", "held-out codes that the unexplained fraction is a mean over"),
            *estimated("unexplained_fraction", "squared error of the imitation relative to the edit's squared change"),
            number("unexplained_fraction_train", "the same on the codes of the fit, at the last step", empty=True),
            text(
                "status",
                "what limits it: 'not converged' (still falling at the last step), 'more codes needed' (the fractions "
                "on both kinds of codes differ by more than 0.05)",
                empty=True,
            ),
            *estimated("bound", "what the best offset per image leaves", empty=True),
            count("n_bound", "held-out codes whose best offset was sought", empty=True),
            *estimated("control", "mean unexplained fraction of random directions of the same space", empty=True),
            count("n_control", "these random directions", empty=True),
            number("control_effect", "mean effect of their edits", EFFECT, empty=True),
            text("control_status", "what limits their imitation", empty=True),
            *estimated(
                "control_difference", "the unexplained fraction less theirs, by codes and their spread", empty=True
            ),
            number("control_p", "p of that difference, adjusted for all tests of the run after Holm", empty=True),
            text(
                "than_control",
                "whether 'more' or 'less' of the edit is left than of the control, or it is 'undecided'; empty if they "
                "are not compared: a search had not converged, or the effects differ by more than a quarter",
                empty=True,
            ),
            number("perceptual", "mean perceptual distance of imitation and edit", EFFECT, empty=True),
            number("perceptual_edit", "mean perceptual distance of the edit", EFFECT, empty=True),
            DISTANCE,
        ),
    ),
    Table(
        "reproduction_steps",
        "a step of the search for an imitation: how it came nearer",
        (
            *WHO,
            T,
            text("target", "the space in which an imitation was sought"),
            count("step", "the step of the search"),
            number("unexplained_fraction_train", "unexplained fraction on the codes of the fit"),
        ),
    ),
)

SURVEY = Table(
    "layers",
    "a layer, and what directions of one method change there: scale, geometry or colour, how locally, which "
    "attributes, at what cost",
    (
        GENERATOR,
        text("layer", "the layer"),
        number("index", "its place in the generator, which may be negative for a first one"),
        text("shape", "shape of its parameter"),
        count("parameters", "numbers in its parameter", empty=True),
        count("input_size", "side of its input", empty=True),
        count("directions", "directions of the suite in it", empty=True),
        text("survey_method", "the method that found the surveyed directions", empty=True),
        count("survey_directions", "surveyed directions", empty=True),
        number("survey_effect", "the effect to which their ranges were calibrated", EFFECT, empty=True),
        text("survey_settings", "digest of how they were found: equal efforts, equal digests", empty=True),
        *estimated("coarse", "share of the squared change in coarse structures", empty=True),
        *estimated("middle", "share of the squared change in middle structures", empty=True),
        *estimated("fine", "share of the squared change in fine structures", empty=True),
        *estimated("geometry", "share of the squared change that survives when colours are matched", empty=True),
        *estimated("area50", "smallest share of the pixels that holds half of the squared change", empty=True),
        count("n_survey", "codes that these shares are means over", empty=True),
        count("attributes_reached", "different attributes that the directions move most", empty=True),
        text("attributes", "these attributes", empty=True),
        count("n_attributes", "codes that the attributes were read of, the fewest of any direction", empty=True),
        count("directions_read", "surveyed directions of which enough codes could be read", empty=True),
        count("interpretable", "surveyed directions that a scorer finds interpretable", empty=True),
        *setting(empty=True),
        count("fd_directions", "surveyed directions that have a distance", empty=True),
        *estimated("fd", "mean Fréchet distance at both ends of the ranges", empty=True),
        count("n", "images of the generator that the distance is of", empty=True),
        REFERENCE_N,
        RESOLUTION,
        *estimated("effect", "mean effect at both ends of the ranges", EFFECT, empty=True),
    ),
)

OVERLAP = Table(
    "overlap",
    "two methods in one place: how much of what the one's directions span lies in what the other's do",
    (
        *PLACE,
        text("other", "the other method"),
        number("share", "share of the span of `method` that lies in that of `other`"),
        number("chance", "the share that spans of random directions would have"),
        count("rank", "dimensions of the span of `method`"),
        count("other_rank", "dimensions of the span of `other`"),
        number("largest_cosine", "cosine of the smallest angle between the spans", empty=True),
    ),
)
