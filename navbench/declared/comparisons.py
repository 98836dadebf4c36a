"""What sets two directions or two methods beside each other."""

from navbench.columns import Table, count, estimated, flag, number, text
from navbench.declared.shared import (
    CURVE_N,
    DISTANCE,
    EFFECT,
    GENERATOR,
    LAYER,
    REFERENCE_N,
    STDERR,
    VALUE,
    WHO,
    T,
    setting,
)

_OTHER = (
    text("other", "full name of the other direction"),
    text("other_method", "its method"),
    text("other_layer", "its layer or latent space"),
    text("other_space", "the kind of its edit space", empty=True),
    text("other_end", "the end of its range that does the same as t_max"),
)
PAIRS = (
    Table(
        "pairs",
        "a direction and another set: which of its directions does most nearly the same",
        (
            *WHO,
            *_OTHER,
            *estimated("cosine", "mean cosine of the two changes of the image"),
            number("cosine_of_choice", "the cosine by which it was chosen, on other codes"),
            flag("by_label", "whether it was chosen by its label"),
            flag("closest", "whether it is the closest latent one of all sets, controls last"),
            count("n", "codes that `cosine` is a mean over"),
        ),
    ),
    Table(
        "pair_curves",
        "a member of a pair at one shift t: what the same change costs either",
        (
            *WHO,
            *_OTHER,
            text("member", "full name of the direction that is shifted"),
            T,
            number("signed_effect", "its effect, positive where both do the same as `name` at t_max", EFFECT),
            DISTANCE,
            *setting(),
            CURVE_N,
            VALUE,
            STDERR,
        ),
    ),
    Table(
        "ranking",
        "two methods and a number: the difference of their means over directions on the same codes, and whose is "
        "lower, that it is not significant, or why they are not compared",
        (
            GENERATOR,
            LAYER,
            text(
                "metric",
                "the number: FID, FD, KID, precision, recall, density, coverage, area50, or unexplained fraction in a "
                "space",
            ),
            *setting(empty=True)[1:],
            REFERENCE_N,
            text("method", "a method"),
            text("against", "the method that it is compared with"),
            count("directions", "directions that the first mean is of"),
            count("directions_against", "directions that the other is of"),
            count("n", "codes that the numbers are of"),
            number("value", "mean of the method's directions"),
            number("value_against", "mean of the other's"),
            *estimated("difference", "the first less the second, paired on the codes", empty=True, stderr="stderr"),
            number(
                "stderr_directions", "standard error of `difference` under other directions, same codes", empty=True
            ),
            number("stderr_codes", "standard error of `difference` under other codes, same directions", empty=True),
            number("p", "p of the difference, adjusted for all tests of the run after Holm", empty=True),
            text(
                "lower",
                "the method whose number is lower; empty if not significant (Holm, 5 %)",
                empty=True,
            ),
            text("status", "why they are not compared; empty if they are", empty=True),
        ),
    ),
)
