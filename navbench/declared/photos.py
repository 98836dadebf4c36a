"""What is known of quality beyond the paper, of photos, and the pictures."""

from dataclasses import replace

from navbench.columns import Table, count, estimated, flag, number, text
from navbench.declared.shared import ATTRIBUTE, EFFECT, GENERATOR, OWN, PLACE, REFERENCE_N, STDERR, UNIT, VALUE, WHO, T

PHOTOS = (
    Table(
        "projection",
        "a photo and a space: how well it was projected",
        (
            GENERATOR,
            text("photo", "its name"),
            text("source", "its file, or which of a reference's images it is"),
            flag("cropped", "whether its sides were cut off to the generator's proportions"),
            text("space", "the space that it was projected into"),
            text("layer", "the layer of an activation", empty=True),
            count("steps", "steps of the search"),
            text("distance", "the perceptual distance that was minimised"),
            number("pixel_weight", "weight of the squared error of pixels beside it", empty=True),
            number("perceptual_start", "perceptual distance before the search", EFFECT),
            number("perceptual", "perceptual distance of the projection", EFFECT),
            number("psnr_db", "peak signal-to-noise ratio of the projection", "dB"),
            number("mse_start", "mean squared error of pixels before the search", empty=True),
            number("mse", "mean squared error of pixels of the projection", empty=True),
            number("seconds", "duration of the search", "s"),
        ),
    ),
    Table(
        "photo_attributes",
        "a photo, an edit of it and an attribute: what the edit did to it",
        (
            *WHO,
            text("photo", "its name"),
            text("projected_into", "the space that it was projected into"),
            ATTRIBUTE,
            UNIT,
            T,
            number("value", "what the scorer reads of the edit", OWN),
            number("change", "that less the reading at t = 0", OWN, empty=True),
            number(
                "photo_value", "what it reads of the photo; empty if that does not show its subject", OWN, empty=True
            ),
            number("true_value", "what is true of the photo, where that is known", OWN, empty=True),
            number("error", "what `value` is off the truth by", OWN, empty=True),
        ),
    ),
)

QUALITY = (
    Table(
        "quality",
        "a direction, a number and an end: the coefficient of variation of its path's speed, coherence over codes, "
        "DVN, identity similarity, RCA",
        (
            *WHO,
            text(
                "metric",
                "path_speed_cv (no PPL, which is a mean of squared speed); attribute or feature coherence; dvn, by "
                "logistic regressions on features where Voynov & Babenko train networks; rca, of a fresh network for "
                "every method where theirs learned with the directions; id_similarity",
            ),
            text("end", "t_min or t_max; empty for the whole range", empty=True),
            text("by", "the network that judges", empty=True),
            count("n", "codes or images that the number is of"),
            VALUE,
            STDERR,
            text("reference", "what the images are measured against", empty=True),
            REFERENCE_N,
        ),
    ),
    Table(
        "confusion",
        "with the experiment `recognition`, which `standard` has and `quick` has not: a direction shown and one "
        "named, how often a reconstructor takes the one for the other",
        (
            *WHO,
            text("named", "index of the direction that it is taken for"),
            number("share", "share of its edits that are"),
            count("n", "edits that were shown"),
        ),
    ),
    Table(
        "stability",
        "with the experiment `stability`, which `standard` has and `quick` has not: a set and a time that it was found "
        "again, from another seed or other codes",
        (
            *PLACE,
            text("varied", "seed or codes"),
            number("value", "the other seed, or the number of codes"),
            number("share", "share of the span that was found again"),
            number("chance", "the share that spans of random directions would have"),
            number("smallest_angle", "smallest principal angle of the spans", "degree", empty=True),
            number("median_angle", "median principal angle", "degree"),
            number("largest_angle", "largest principal angle", "degree", empty=True),
            count("directions", "directions of the set"),
            count(
                "labelled",
                "with a scorer: directions of the set that have an automatic label, without those whose counterpart "
                "could not be read",
                empty=True,
            ),
            *estimated(
                "labels_kept",
                "share of these whose counterpart, read over the same range, has the same label; the error is over "
                "directions",
                empty=True,
            ),
            number("labels_chance", "the share if counterparts were drawn at random", empty=True),
        ),
    ),
    Table(
        "disentanglement",
        "with the experiment `disentanglement`, which `standard` has and `quick` has not: a set, whose shifts are a "
        "code of the changes of attributes, and a measure of that code, 1 for the best",
        (
            *PLACE,
            text(
                "metric",
                "disentanglement, completeness or informativeness (Eastwood & Williams, by lasso; informativeness is "
                "the predicted share of the variance) or mig (Chen et al., in bins)",
            ),
            VALUE,
            STDERR,
            count("directions", "directions that are shifted together"),
            count("attributes", "attributes that are read"),
            text("scorer", "the attribute scorer"),
            count("n", "latent codes, each with shifts of its own"),
        ),
    ),
    Table(
        "composition",
        "with the experiment `composition`, which `standard` has and `quick` has not: two directions, both at t_max, "
        "and how far the change by both is from the sum of the changes by either",
        (
            *WHO,
            text("other", "full name of the other direction"),
            text("other_method", "its method"),
            text("other_layer", "its layer or latent space"),
            text("relation", "same layer, same latent, two layers, or layer and latent"),
            *estimated("interaction", "|d_ab - d_a - d_b|² over |d_ab|² of the pixels' changes d: 0 if they add up"),
            *estimated("interaction_attributes", "the same of the attributes' changes, in sigmas", empty=True),
            number("order", "|d_ab - d_ba|² over |d_ab|² of the pixels: 0 if the order does not matter", empty=True),
            count("n", "latent codes"),
            count("n_attributes", "those in whose images the scorer sees what it reads", empty=True),
        ),
    ),
)

IMAGES = Table(
    "images",
    "a picture, and what its rows and columns show",
    (
        GENERATOR,
        *(replace(column, empty=True) for column in WHO[1:]),
        text("kind", "strip, animation, video, layer, paired, matched, photos, reproduction or samples"),
        text("file", "its path in the folder of the run"),
        count("rows", "its rows"),
        text("columns", "what its columns show, a JSON list"),
        text("members", "what its rows show, a JSON list", empty=True),
        text("target", "of photos: the space that they were projected into", empty=True),
    ),
)
