"""Methods compared where each changes one attribute by the same amount, by its best direction for that."""

from dataclasses import replace

from navbench.directions import Direction, DirectionSet
from navbench.experiments.calibration import Range, by_attribute
from navbench.metrics.attributes import LEAST_CHANGE, Movement, Scorer, index_of
from navbench.runner.bench import Measurement
from navbench.runner.curves import CurveMeasurement
from navbench.runner.executor import Tick
from navbench.runner.results import Match, Results
from navbench.work import Piece

LEAST_PURITY = 0.1
"""A direction whose share of change for an attribute, times its consistency, is less is none of that attribute."""


def match(
    measurement: Measurement, results: Results, sets: list[DirectionSet], curves: CurveMeasurement, tick: Tick
) -> list[Match]:
    """For each set that has one, its best direction for the suite's attribute, at the suite's change of it."""
    settings, scorer = measurement.bench.suite.matched, measurement.scorer
    assert scorer is not None
    matches = []
    for found in sets:
        direction = _best(found, results.movements, index_of(scorer, settings.attribute))
        if direction is None:
            for _ in range(2 + len(curves.shards)):
                tick(f"{found.reference} has none")
            continue
        (reached,) = measurement.bench.executor.results([_range(measurement, scorer, direction)], tick)
        t_min, t_max = reached.t.tolist()
        moved = replace(direction, t_min=t_min, t_max=t_max)
        matches.append(Match(moved, reached, curves.curve(moved, 3, tick)))
    return matches


def _best(found: DirectionSet, movements: dict[str, Movement], attribute: int) -> Direction | None:
    """The direction of a set that moves an attribute most purely and consistently; none if none is its own."""

    def purity(direction: Direction) -> float:
        moved = movements[direction.name]
        return float(moved.share[attribute] * moved.consistency[attribute])

    movers = [one for one in found if abs(float(movements[one.name].standardised[attribute])) >= LEAST_CHANGE]
    best = max(movers, key=purity, default=None)
    return best if best is not None and purity(best) >= LEAST_PURITY else None


def _range(measurement: Measurement, scorer: Scorer, direction: Direction) -> Piece[Range]:
    suite, edit = measurement.bench.suite, measurement.edit(direction)
    wanted = suite.matched
    piece = by_attribute.piece(edit, scorer, wanted.attribute, wanted.change, wanted.codes, suite.seed)
    return piece.but(note=direction.name)
