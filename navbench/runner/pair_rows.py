"""The tables of pairs: which direction of another method does most nearly the same, and what both cost."""

from collections.abc import Iterator

from navbench.metrics import estimate
from navbench.runner.identity import Row, identity
from navbench.runner.results import Pair, Results
from navbench.suite import Suite

_ENDS = ("t_min", "t_max")


def pair_rows(result: Results) -> Iterator[Row]:
    """Per direction and other set: the one in it that does most nearly the same."""
    for pair in result.pairs:
        yield {
            **identity(pair.direction),
            **_other(pair),
            "cosine": pair.cosine.value,
            "cosine_stderr": pair.cosine.stderr,
            "by_label": pair.by_label,
            "n": pair.cosine.n,
        }


def pair_curve_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per pair with curves, member and shift: the distance; `signed_effect` is positive where both do the same."""
    for pair in result.pairs:
        if pair.curves is None:
            continue
        for member, curve, sign in (
            (pair.direction, pair.curves[0], 1),
            (pair.other, pair.curves[1], 2 * pair.end - 1),
        ):
            shifts = [t for t in member.shifts(suite.curves.shifts).tolist() if t != 0]
            for index, t in enumerate(shifts):
                value, effect = curve.frechet_at(index), estimate.mean(curve.effects[index])
                yield {
                    **identity(pair.direction),
                    **_other(pair),
                    "member": member.name,
                    "t": t,
                    "signed_effect": effect.value * (1 if t > 0 else -1) * sign,
                    "distance": suite.distance,
                    "metric": result.metric,
                    "extractor": suite.curves.extractor,
                    "reference": result.reference,
                    "n": value.n,
                    "value": value.value,
                    "stderr": value.stderr,
                }


def _other(pair: Pair) -> Row:
    return {
        "other": pair.other.name,
        "other_method": pair.other.method,
        "other_layer": pair.other.place,
        "other_space": pair.other.space,
        "other_end": _ENDS[pair.end],
    }
