"""The table of methods: the means over the directions of each set."""

from collections.abc import Sequence

from navbench.directions import DirectionSet
from navbench.experiments.calibration import parse_target
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.ranking import ranks
from navbench.runner.attribute_rows import of_method
from navbench.runner.identity import Row
from navbench.runner.results import Results
from navbench.spaces import KINDS
from navbench.suite import Suite

IMITATORS = KINDS
"""The kinds of spaces that may imitate a direction."""
Footing = tuple[float | None, tuple[tuple[int, ...], ...]]
"""What numbers of two sets must share to be compared: the effect, and of which directions they are, at which ends."""


def method_rows(suite: Suite, results: Sequence[Results], directions: list[Row]) -> list[Row]:
    """Per generator, layer and method; the means over directions are paired over codes, as all see the same."""
    table = []
    for result in results:
        for found in result.plan.sets:
            of_set = [row for row in directions if row["name"].startswith(f"{found.reference}/")]
            curves = [curve for name, curve in result.curves.items() if name.startswith(f"{found.reference}/")]
            row: Row = {
                "generator": found.generator,
                "layer": found.place,
                "space": found.space,
                "method": found.method,
                "directions": len(found),
                "curves": len(curves),
                "accuracy": found.provenance.get("accuracy"),
                "effect_target": effect_target(suite, found),
            }
            fd, kid = realism_of(suite, result, found)
            if fd is not None and kid is not None:
                if rank := ranked(suite, result, found.place).get(found.method):
                    row |= {"fd_rank_best": rank[0], "fd_rank_worst": rank[1]}
                row |= {"metric": result.metric, "fd_mean": fd.value, "fd_mean_stderr": fd.stderr}
                row |= {"kid_mean": kid.value, "kid_mean_stderr": kid.stderr}
                row |= {"extractor": suite.curves.extractor, "reference": result.reference}
                row |= {"n": fd.n, "n_reference": result.reference_samples}
            row |= of_method(result, [row_["name"] for row_ in of_set])
            for column in ("area50", *(f"residual_{kind}" for kind in IMITATORS)):
                values = [row_[column] for row_ in of_set if column in row_]
                row[f"{column}_mean"] = sum(values) / len(values) if values else None
            table.append(row)
    return table


def realism_of(suite: Suite, result: Results, found: DirectionSet) -> tuple[Estimate, Estimate] | tuple[None, None]:
    """The mean Fréchet and kernel distance of a set's directions, at those ends that are on an equal footing."""
    ends = [
        (curve, end)
        for name, curve in result.curves.items()
        if name.startswith(f"{found.reference}/")
        for end in fair_ends(suite, result, name)
    ]
    if not ends:
        return None, None
    fd = estimate.average([curve.frechet_at(end) for curve, end in ends])
    return fd, estimate.average([curve.kernel_at(end) for curve, end in ends])


def ranked(suite: Suite, result: Results, place: str) -> dict[str, tuple[int, int]]:
    """The best and the worst rank of every method of a layer or latent space by its mean Fréchet distance.

    None of any, unless all were measured on the same footing.
    """
    sets = [found for found in result.plan.sets if found.place == place]
    realism = {found.method: realism_of(suite, result, found)[0] for found in sets}
    known = {method: value for method, value in realism.items() if value is not None}
    footings = {footing(suite, result, found) for found in sets if found.method in known}
    return ranks(known) if len(footings) == 1 else {}


def footing(suite: Suite, result: Results, found: DirectionSet) -> Footing:
    """On what the mean distances of a set were taken."""
    ends = {index: fair_ends(suite, result, f"{found.reference}/{index}") for index in range(len(found))}
    curved = (index for index in ends if f"{found.reference}/{index}" in result.curves)
    return effect_target(suite, found), tuple((index, *ends[index]) for index in curved)


def fair_ends(suite: Suite, result: Results, name: str) -> list[int]:
    """The ends of a direction's curve that may be compared with others': both, or those that calibration reached."""
    if name not in result.ranges:
        return [0, -1]
    there = result.ranges[name].is_reached(parse_target(suite.calibrate)).tolist()
    return [end for end, reached in zip((0, -1), there, strict=True) if reached]


def effect_target(suite: Suite, found: DirectionSet) -> float | None:
    """The effect that the ranges of a set were calibrated to; none if it was something else than an effect."""
    if not suite.calibrate:
        return found.settings.get("effect")
    target = parse_target(suite.calibrate)
    return target.amount if target.is_effect else None
