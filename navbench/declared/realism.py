"""Directions, methods, and the realism of edits: curves, precision and recall, and asymmetry."""

from navbench.columns import Column, Table, count, drawn, estimated, flag, levelled, number, text
from navbench.declared.shared import (
    CONTROL,
    CURVE_N,
    DISTANCE,
    EFFECT,
    GENERATOR,
    IMITATORS,
    KID_N,
    OWN,
    PLACE,
    REFERENCE_N,
    RESOLUTION,
    SHARES,
    SQUARED,
    STDERR,
    UNIT,
    VALUE,
    WHO,
    T,
    setting,
)
from navbench.words import CONVERGED, NOT_CONVERGED


def _realism(short: str, words: str) -> tuple[Column, ...]:
    return (
        *drawn(f"{short}_at_min", f"{words} at t_min", empty=True),
        *drawn(f"{short}_floor", f"{words} at t = 0, of unshifted images", empty=True),
        *drawn(f"{short}_at_max", f"{words} at t_max", empty=True),
    )


_LOCALITY = (
    *estimated("area50", "smallest share of the pixels that holds half of the squared change", empty=True),
    *estimated("area90", "smallest share of the pixels that holds nine tenths of the squared change", empty=True),
    *estimated("participation", "participation ratio of the heatmap: 1 if the change is even", empty=True),
    *estimated("entropy_area", "exponential of the heatmap's entropy, as a share of the pixels", empty=True),
    *estimated("mean_change", "mean of the heatmap", SQUARED, empty=True),
)


def _limit(end: str) -> tuple[Column, ...]:
    return (
        *estimated(
            f"limit_{end}",
            f"towards t_{end}, the shift at which the KID has risen by as much as a named damage raises it (see "
            "`limits.csv`)",
            empty=True,
        ),
        text(f"limit_{end}_status", "'within' the range, 'beyond' it, or 'undecided' (see `limits.csv`)", empty=True),
    )


_RANGE = (number("t_min", "the shift at one end of the range"), number("t_max", "the shift at the other end"))
_EFFECTS = (
    *estimated("effect_min", "mean perceptual distance of the edit at t_min", EFFECT, empty=True),
    *estimated("effect_max", "mean perceptual distance of the edit at t_max", EFFECT, empty=True),
)

DIRECTIONS = Table(
    "directions",
    "a direction, with every summary number",
    (
        *WHO,
        *CONTROL,
        *_RANGE,
        *_EFFECTS,
        DISTANCE,
        count("n_effect", "latent codes that the effects are means over", empty=True),
        text(
            "verdict",
            "interpretable, entangled or none, by what a scorer reads; unread if too few codes keep its subject",
            empty=True,
        ),
        text("attribute", "the attribute that it moves most", empty=True),
        text("auto_label", "that attribute and the sign of its change, where it is interpretable", empty=True),
        *estimated("attribute_change", "change of that attribute from t_min to t_max", OWN, empty=True),
        number("attribute_share", "its share of the squared change of all attributes, in sigmas", empty=True),
        number("monotonicity", "mean Spearman correlation of the attribute with t", empty=True),
        number(
            "attribute_dependency",
            "mean magnitude of the other attributes over that of this one; StyleSpace takes the former at a fixed "
            "change of this one",
            empty=True,
        ),
        *estimated("lost_at_min", "share of images at t_min in which the scorer does not see its subject", empty=True),
        *estimated("lost_at_max", "the same at t_max", empty=True),
        count("n_lost", "latent codes that these shares are of, whether they lose it or not", empty=True),
        number("rayleigh", "of `spectrum`: the Rayleigh quotient of the Hessian", empty=True),
        number("solver_residual", "of `spectrum`: the relative residual of the eigenvector", empty=True),
        number("accuracy", "of learned methods: how often the direction is recognised from its edits", empty=True),
        number("singular_value", "of `svd`: the singular value", empty=True),
        number("variance", "of `ganspace`: the variance along the component", empty=True),
        number("sensitivity", "of style channels: squared perceptual change per squared deviation", empty=True),
        number("specificity", "of `stylespace-attributes`: the attribute's share in all that is moved", empty=True),
        number("score_*", "what another method knows of the direction, by the name that it gives", empty=True),
        flag("measured", "whether there is a curve, a heatmap, an imitation or a picture of it beside its strip"),
        *setting(empty=True),
        count("n", "images of the generator that the Fréchet distances are of", empty=True),
        REFERENCE_N,
        *KID_N,
        RESOLUTION,
        *_realism("fd", "Fréchet distance"),
        *_realism("kid", "KID"),
        *_limit("min"),
        *_limit("max"),
        count("n_limit", "images of the generator that the limits are of", empty=True),
        *_LOCALITY,
        *(
            column
            for kind in IMITATORS
            for column in estimated(
                f"unexplained_fraction_{kind}", f"unexplained fraction of the best imitation in {kind}", empty=True
            )
        ),
        count("n_reproduction", "held-out codes that the unexplained fractions are means over", empty=True),
    ),
    required=True,
)

METHODS = Table(
    "methods",
    "a method on a layer or in a latent space",
    (
        *PLACE,
        *CONTROL,
        count("directions", "directions of its set"),
        count("curves", "directions of it that have a curve"),
        number("accuracy", "of learned methods: how often directions are recognised from their edits", empty=True),
        text("status", f"of learned methods: {CONVERGED}, or {NOT_CONVERGED}", empty=True),
        number("effect_target", "the effect to which its ranges were calibrated", EFFECT, empty=True),
        number("effect", "the effect at which its directions are compared", EFFECT, empty=True),
        *setting(empty=True),
        *levelled("fd_mean", "mean Fréchet distance at that effect of its directions with curves, over both sides"),
        count("fd_directions", "directions that it is of: those with curves that reach the effect", empty=True),
        *levelled("kid_mean", "mean KID at that effect of all its directions, over both sides"),
        count("kid_directions", "directions that it is of: those that reach the effect", empty=True),
        *estimated("kid_floor", "KID of unshifted images on the same codes", empty=True),
        *(column for share in SHARES for column in levelled(f"{share}_mean", f"mean {share}, as `kid_mean`")),
        count("n", "images of the generator that the Fréchet distances are of", empty=True),
        REFERENCE_N,
        *KID_N,
        count("interpretable", "directions of it that a scorer finds interpretable", empty=True),
        count("entangled", "directions of it that a scorer finds entangled", empty=True),
        count("attributes_found", "different attributes that its interpretable directions move", empty=True),
        number("dependency_mean", "mean attribute dependency of the directions that move anything", empty=True),
        *levelled("lost_mean", "mean share of images at both ends in which the scorer does not see its subject"),
        *estimated("lost_at_zero", "the same share of unshifted images", empty=True),
        count("n_lost", "latent codes that these shares are of, whether they lose it or not", empty=True),
        number("area50_mean", "mean `area50` over its directions", empty=True),
        *(
            number(
                f"unexplained_fraction_{kind}_mean", f"mean unexplained fraction of imitations in {kind}", empty=True
            )
            for kind in IMITATORS
        ),
    ),
    required=True,
)

ENDS = Table(
    "ends",
    "with `ends` in the suite: a direction at one end, or between, and a number of realism on few codes",
    (
        *WHO,
        T,
        *estimated("effect", "mean perceptual distance of the edit", EFFECT),
        DISTANCE,
        *setting(),
        CURVE_N,
        REFERENCE_N,
        RESOLUTION,
        count("neighbours", "nearest neighbours that span the manifold around each image", empty=True),
        *estimated("value", "the number", stderr="stderr"),
    ),
)

EQUAL = Table(
    "equal",
    "a direction and a number of realism at the effect of the comparison, interpolated on either side of t = 0, in the "
    "mean over both: what methods are compared by",
    (
        *WHO,
        *setting(),
        REFERENCE_N,
        number("effect", "the effect, the same for all directions of the generator", EFFECT),
        count("n", "latent codes that the number is of", empty=True),
        *estimated("value", "the number", empty=True, stderr="stderr"),
        flag("reached", "whether it reaches the effect at both ends"),
    ),
)

CURVES = Table(
    "curves",
    "a direction at one shift t: FD and KID with their standard errors, the effect, what they are measured against "
    "and on how many images",
    (
        *WHO,
        T,
        *estimated("effect", "mean perceptual distance of the edit", EFFECT, empty=True),
        DISTANCE,
        count("n_effect", "latent codes that the effect is a mean over", empty=True),
        *setting(),
        CURVE_N,
        REFERENCE_N,
        RESOLUTION,
        text("precision", "number format of the generator's computation", empty=True),
        *drawn("value", "the number", stderr="stderr"),
    ),
)

PRDC = Table(
    "prdc",
    "a direction at one shift t: precision, recall, density and coverage: whether quality or variety is lost",
    (
        *WHO,
        T,
        number("effect", "mean perceptual distance of the edit", EFFECT, empty=True),
        DISTANCE,
        *setting(),
        CURVE_N,
        REFERENCE_N,
        count(
            "neighbours",
            "k, nearest neighbours that span the manifold around each image: 3 of precision and recall, 5 of density "
            "and coverage, as their authors have it",
            empty=True,
        ),
        *drawn("value", "the number", stderr="stderr"),
    ),
)

INSTRUMENT = Table(
    "instrument",
    "a check of the instrument, a strength and a metric: what the extractor's distances say of known damage, and "
    "whether that is right",
    (
        GENERATOR,
        text("extractor", "the feature extractor"),
        text("reference", "what the images are measured against"),
        text("check", "a kind of damage; the floor of the generator, or of the reference; or the overlap at t = 0"),
        number("strength", "how strong the damage is, 0 for none"),
        text("unit", "what the strength is in", empty=True),
        text("metric", "FID, FD (a Fréchet distance that is no FID), KID, or a share of images"),
        VALUE,
        STDERR,
        count("n", "images of the generator, or of the other half of the reference"),
        REFERENCE_N,
        RESOLUTION,
        flag("passed", "whether the instrument passes the check in this metric; True of what is only shown"),
        text("reason", "why not", empty=True),
    ),
)

LIMITS = Table(
    "limits",
    "a direction and an end of its range: how far it goes until the KID lies above that of unshifted images by as much "
    "as a known damage raises it",
    (
        *WHO,
        text("end", "t_min or t_max"),
        number("t_end", "the shift there"),
        *estimated(
            "limit",
            "the shift at which the KID has risen so far, on a line in t² between measured shifts; empty unless it "
            "lies within the range",
            empty=True,
        ),
        text(
            "status",
            "'within' the range; 'beyond' it, where the KID has risen significantly less (95 %) at each measured "
            "shift; else 'undecided'",
        ),
        number("shown", "the shift up to which the KID has risen significantly less (95 %): no break is shown"),
        *estimated("rise", "the KID at that end less that at t = 0"),
        *estimated("amount", "the KID of damaged images less that of the same images undamaged"),
        text("damage", "the damage, as in `instrument.csv`"),
        number("strength", "how strong it is"),
        text("unit", "what the strength is in"),
        *setting(),
        CURVE_N,
        REFERENCE_N,
    ),
)

RACING = Table(
    "racing",
    "with stages in the suite's `[racing]`: a direction in a stage of the race, and whether it goes on",
    (
        *WHO,
        count("stage", "the stage, from 1"),
        count("n", "latent codes of the stage, which no other stage has"),
        number("target", "the effect at which directions are compared", EFFECT),
        count("ends", "ends of its range that reach that effect; the number is a mean over both"),
        number("value", "how far the KID is above that of the unshifted images", empty=True, stderr="stderr"),
        number("stderr", "standard error of `value`", empty=True),
        count("rank", "its rank in its set, 1 for the lowest", empty=True),
        flag("kept", "whether it goes on"),
        text("rule", "why: among the best; significantly worse than the last one kept, or not; misses the effect"),
        *(column for column in setting() if column.name != "metric"),
        REFERENCE_N,
    ),
)

ASYMMETRY = Table(
    "asymmetry",
    "a direction: which end costs more realism, and whether the reference has fewer images there",
    (
        *WHO,
        *setting(),
        CURVE_N,
        number("effect_min", "mean perceptual distance of the edit at t_min", EFFECT),
        number("effect_max", "mean perceptual distance of the edit at t_max", EFFECT),
        number("value_min", "Fréchet distance at t_min"),
        number("value_max", "Fréchet distance at t_max"),
        *estimated("difference", "that at t_max less that at t_min, paired on the codes", stderr="stderr"),
        text("costlier_end", "the end that costs more; empty if not significant (Holm, 5 %)", empty=True),
        text("attribute", "the attribute that the direction moves most", empty=True),
        UNIT,
        number("level_min", "mean reading of the attribute at t_min", OWN, empty=True),
        number("level_zero", "mean reading of the attribute at t = 0", OWN, empty=True),
        number("level_max", "mean reading of the attribute at t_max", OWN, empty=True),
        *estimated("fraction_beyond_min", "share of the reference that is further out than t_min", empty=True),
        *estimated("fraction_beyond_max", "share of the reference that is further out than t_max", empty=True),
        text(
            "rarer_end",
            "the end beyond which the reference has fewer images; empty if not significant (Holm, 5 %)",
            empty=True,
        ),
        REFERENCE_N,
    ),
)
