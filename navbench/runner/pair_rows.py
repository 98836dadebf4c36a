"""The tables of pairs: which direction of another method does most nearly the same, and what both cost."""

from collections.abc import Iterator

from navbench.directions import Direction
from navbench.experiments.fid_curve import Curve
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.runner.identity import Row, identity
from navbench.runner.pairs import closest_latent
from navbench.runner.results import Pair, Results
from navbench.suite import Suite

_ENDS = ("t_min", "t_max")


def pair_rows(result: Results) -> Iterator[Row]:
    """Per direction and other set: the one in it that does most nearly the same.

    `closest` marks the latent one that does, of all sets; it was chosen by `cosine_of_choice`, on other codes than
    `cosine` is of.
    """
    closest = closest_latent(result.pairs)
    for pair in result.pairs:
        yield {
            **identity(pair.direction),
            **_other(pair),
            "cosine": pair.cosine.value,
            "cosine_stderr": pair.cosine.stderr,
            "cosine_of_choice": pair.choice,
            "by_label": pair.by_label,
            "closest": closest.get(pair.direction.name) is pair,
            "n": pair.cosine.n,
        }


def pair_curve_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per pair with curves, member and shift: the distance; `signed_effect` is positive where both do the same."""
    for pair in result.pairs:
        if pair.curves is None:
            continue
        for member, curve, sign in zip((pair.direction, pair.other), pair.curves, (1, 2 * pair.end - 1), strict=True):
            for t, effect, value in _points(suite, result, member, curve):
                yield {
                    **identity(pair.direction),
                    **_other(pair),
                    "member": member.name,
                    "t": t,
                    "signed_effect": sign * effect,
                    "distance": suite.distance,
                    "metric": result.metric,
                    "extractor": suite.curves.extractor,
                    "reference": result.reference,
                    "n": value.n,
                    "value": value.value,
                    "stderr": value.stderr,
                }


def _points(suite: Suite, result: Results, member: Direction, curve: Curve) -> Iterator[tuple[float, float, Estimate]]:
    """Each shift with its effect, signed as t, and the distance; at t = 0 that of the unshifted images."""
    index = 0
    for t in member.shifts(suite.curves.shifts).tolist():
        if t == 0:
            assert result.floor is not None
            yield 0.0, 0.0, result.floor.frechet_at(0)
            continue
        effect = estimate.mean(curve.effects[index]).value
        yield t, effect if t > 0 else -effect, curve.frechet_at(index)
        index += 1


def _other(pair: Pair) -> Row:
    return {
        "other": pair.other.name,
        "other_method": pair.other.method,
        "other_layer": pair.other.place,
        "other_space": pair.other.space,
        "other_end": _ENDS[pair.end],
    }
