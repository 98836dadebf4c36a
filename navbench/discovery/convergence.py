"""Whether learning has converged: criteria on what a set's provenance says of its training."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from navbench.basis import Basis
from navbench.discovery.learn import Learned
from navbench.metrics import estimate

FEW, ACCURACY, ACCURACY_OF_MORE = 16, 0.95, 0.9
"""The least held-out accuracy of up to 16 directions, and of more, among which more pairs are alike.

A reconstructor that does not recognise a direction does not shape it.
"""
FALL = 0.1
"""By less than this share the loss falls between the last two eighths of the steps: it has reached its plateau."""
OVERLAP = 0.3
"""The largest |cosine| of two directions; a random pair in 16 dimensions has 0.25 at one standard deviation."""
COSINE = 0.9
"""The largest mean |cosine| of a row to its start: 26 degrees away from it."""
STANDARD_ERRORS = 3.0
"""By how many paired standard errors over codes directions are told apart better than those they are held against."""
RIVALS = ("start", "random in basis")
"""What learned directions must be told apart better than; the basis itself is reported and not asserted."""


def training_of(learned: Learned, fresh: Learned, control: Learned, start: Tensor, basis: Basis) -> dict[str, Any]:
    """The provenance of a training: its loss and accuracy, and where its rows went.

    Beside it stand those of reconstructors that learned alone: a fresh one, on the rows that were learned, and the
    control's, on their start.
    """
    cosines = (learned.coefficients * start).sum(1).abs()
    offsets = basis.combine(learned.coefficients).flatten(1)
    offsets = offsets / offsets.norm(dim=1, keepdim=True)
    return {
        "losses": learned.eighths,
        "fresh_loss": fresh.eighths[-1],
        "control_loss": control.eighths[-1],
        "accuracy": float(learned.accuracy.nanmean()),
        "fresh_accuracy": float(fresh.accuracy.nanmean()),
        "control_accuracy": float(control.accuracy.nanmean()),
        "shift_error": float(learned.shift_error),
        "released": int(learned.released),
        "cosine_to_start": float(cosines.mean()),
        "largest_cosine_to_start": float(cosines.max()),
        "overlap": float((offsets @ offsets.T).fill_diagonal_(0).abs().max()),
    }


def recognition_of(shares: Mapping[str, Tensor]) -> dict[str, Any]:
    """The provenance of recognition at equal effect: of `learned` and others, (N,) shares by code each.

    `advantage` holds, against each other, the mean paired difference and its standard error over codes.
    """
    others = [name for name in shares if name != "learned"]
    differences = {other: estimate.mean(shares["learned"] - shares[other]) for other in others}
    return {
        "recognition": {name: float(share.mean()) for name, share in shares.items()},
        "advantage": {other: [found.value, found.stderr] for other, found in differences.items()},
    }


def failed_criteria(provenance: Mapping[str, Any], directions: int) -> list[str]:
    """A sentence for each criterion that a learned set of so many directions fails by its provenance."""
    least = ACCURACY if directions <= FEW else ACCURACY_OF_MORE
    before, last = provenance["losses"][-2:][0], provenance["losses"][-1]
    fall = 1 - last / before if before else 0.0
    met = {
        f"The held-out accuracy is {provenance['accuracy']:.2f}, below {least}.": provenance["accuracy"] >= least,
        f"The loss still fell by {fall:.0%} between the last two eighths.": fall < FALL,
        f"The loss, {last:.3g}, is not below that of the control, {provenance['control_loss']:.3g}.":
            last < provenance["control_loss"],
        f"Directions overlap by up to {provenance['overlap']:.2f}.": provenance["overlap"] < OVERLAP,
        f"The rows are at their start: their mean cosine to it is {provenance['cosine_to_start']:.2f}.":
            provenance["cosine_to_start"] < COSINE,
    }  # fmt: skip
    for rival in RIVALS:
        difference, stderr = provenance["advantage"][rival]
        beyond = f"{rival} by {STANDARD_ERRORS:g} standard errors ({difference:+.3f} ± {stderr:.3f})"
        met[f"Recognition at equal effect is not above that of {beyond}."] = difference > STANDARD_ERRORS * stderr
    return [complaint for complaint, fine in met.items() if not fine]
