"""What an attribute scorer makes possible."""

from navbench.columns import Table, count, estimated, flag, number, text
from navbench.declared.shared import (
    ATTRIBUTE,
    CURVE_N,
    EFFECT,
    GENERATOR,
    LAYER,
    OWN,
    REFERENCE_N,
    STDERR,
    UNIT,
    VALUE,
    WHO,
    N,
    T,
    setting,
)

STATUS = text(
    "status",
    "why an end does not count: 'same way' (the attribute moves the same way at both ends, an artefact of the scorer), "
    "'no change' (none that is significant is read), 'saturated' (it stops growing before), 'too far' (it still grows "
    "at the largest shift tried), 'subject lost' (before, too many images lose what the scorer reads); empty if the "
    "target is reached",
    empty=True,
)
SUBJECT, SCORER = text("subject", "what the scorer has to see"), text("scorer", "the attribute scorer")
SCORED = (
    Table(
        "attributes",
        "with an attribute scorer: a direction and an attribute, how far, how steadily and for how many codes it "
        "moves, and what share of the squared change it takes",
        (
            *WHO,
            ATTRIBUTE,
            UNIT,
            number("spread", "the attribute's standard deviation, its sigma", OWN, empty=True),
            number("change", "mean change from t_min to t_max", OWN, stderr="change_stderr"),
            number("change_stderr", "standard error of `change`", OWN, empty=True),
            number("standardised", "that change in sigmas", "sigma"),
            number(
                "standardised_per_effect",
                "that over the sum of both effects, which are of all codes; empty if more than a fifth of the codes "
                "lose the subject of the scorer",
                "sigma per distance",
                empty=True,
            ),
            number("magnitude", "mean over codes of the size of the change", "sigma", empty=True),
            number("share", "share of the squared change of all attributes, in sigmas"),
            number("consistency", "how far the codes change to the same side, from 0 to 1", empty=True),
            number("monotonicity", "mean Spearman correlation of the attribute with t", empty=True),
            text("scorer", "the attribute scorer", empty=True),
            count("n", "latent codes that the numbers are means over", empty=True),
            count("shifts", "shifts at which the attribute was read", empty=True),
        ),
    ),
    Table(
        "lost",
        "with a scorer that reads a subject, such as a face: a direction and a shift, and in which share of the images "
        "the scorer does not see it",
        (
            *WHO,
            SUBJECT,
            T,
            number("effect", "mean distance from the unshifted images; empty if not measured", EFFECT, empty=True),
            number("value", "share of the codes whose image does not show the subject", stderr="stderr"),
            STDERR,
            *estimated("raised", "that share less the one at t = 0, paired on the codes"),
            N,
            SCORER,
        ),
    ),
    Table(
        "lost_damage",
        "the same of unshifted images under known damage, which a measure of realism has to notice",
        (
            GENERATOR,
            SUBJECT,
            text("damage", "the damage; empty for none", empty=True),
            text("unit", "of its strength", empty=True),
            number("strength", "of the damage", "`unit`"),
            number("value", "share of the codes whose image does not show the subject", stderr="stderr"),
            STDERR,
            N,
            SCORER,
            flag(
                "passed",
                "whether the share rises significantly with this damage, and never falls; True of blank images and of "
                "undamaged ones, which are only shown",
                empty=True,
            ),
            text("reason", "why not", empty=True),
        ),
    ),
    Table(
        "found",
        "an attribute and a method: its best direction, as the paper's Table 1, but without a human",
        (
            GENERATOR,
            ATTRIBUTE,
            text("method", "the method"),
            LAYER,
            text("direction", "the index of its best direction"),
            text("name", "that direction's full name"),
            number("share", "share of the squared change that the attribute takes"),
            flag("best", "whether no other method has a larger share, controls and methods that see labels left out"),
        ),
    ),
    Table(
        "calibration",
        "with `--calibrate`: an end of a direction's range, what it was to reach, and what it reached",
        (
            *WHO,
            text("end", "t_min or t_max"),
            text("quantity", "effect, or the attribute"),
            number("target", "what was to be reached", "of the quantity"),
            T,
            number("reached", "what was reached", "of the quantity", stderr="reached_stderr"),
            number("reached_stderr", "standard error of `reached`", "of the quantity", empty=True),
            flag("is_reached", "whether that is the target"),
            STATUS,
            count("n", "latent codes that it is a mean over", empty=True),
        ),
    ),
    Table(
        "matched",
        "a method and a side: its best direction for an attribute, where that changes by the same amount",
        (
            *WHO,
            ATTRIBUTE,
            number("target", "the change that was to be reached", OWN),
            text("side", "+ or -: the sign of the change"),
            T,
            number("reached", "the change that was reached", OWN, stderr="reached_stderr"),
            number("reached_stderr", "standard error of `reached`", OWN, empty=True),
            flag("is_reached", "whether that is the target"),
            STATUS,
            count("n_change", "codes that the change is a mean over", empty=True),
            number("effect", "mean perceptual distance of the edit", EFFECT, empty=True),
            *setting(),
            CURVE_N,
            REFERENCE_N,
            VALUE,
            STDERR,
            number("stderr_of_change", "the part of `stderr` that comes from solving for the change", empty=True),
        ),
    ),
    Table(
        "claims",
        "a claim of the paper on one pair, as a paired difference: it holds, does not, or is undecided",
        (
            GENERATOR,
            text("claim", "the claim"),
            LAYER,
            text("method", "the method that it is about"),
            text("against", "the method that it is compared with; empty if with itself", empty=True),
            ATTRIBUTE,
            number("change", "the change of the attribute at which it is tested", OWN),
            *setting(),
            CURVE_N,
            *estimated("difference", "the difference that is positive if the claim holds", stderr="stderr"),
            number("stderr_of_change", "the part of `stderr` that comes from solving for the change", empty=True),
            text("holds", "yes, no or undecided"),
        ),
    ),
)
