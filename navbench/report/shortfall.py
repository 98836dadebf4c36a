"""Why ends of ranges did not reach what they were to reach."""

from collections.abc import Iterator

import pandas as pd

REASONS = {
    "same way": "where the attribute moves the same way at both ends, which is an artefact of the scorer",
    "no change": "where the scorer reads no significant change",
    "saturated": "where it stops growing before",
    "too far": "where it still grows at the largest shift that was tried",
    "subject lost": "where too many images lose what the scorer reads before",
    "": "for a reason that the run does not tell",
}
"""By the status of an end."""


def by_reason(missed: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Ends that did not reach their target by the reason, each with how many there are."""
    statuses = missed["status"].fillna("")
    for status, reason in REASONS.items():
        rows = missed[statuses == status]
        if len(rows):
            yield f"{len(rows)} {reason}", rows
