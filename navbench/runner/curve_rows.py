"""The tables of curves: distances, and precision and recall, at every shift."""

from collections.abc import Iterator

import torch

from navbench.experiments.fid_curve import SHARES, Curve
from navbench.generators.base import Generator
from navbench.metrics import estimate
from navbench.metrics.precision_recall import NEIGHBOURS
from navbench.runner.identity import Row, by_name, identity
from navbench.runner.results import Results
from navbench.suite import Suite


def curve_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per direction, shift and metric; the point at t = 0 is shared by all directions of a generator."""
    settings, directions = suite.curves, by_name(result)
    for name, curve in result.curves.items():
        direction = directions[name]
        shifts = direction.shifts(settings.shifts).tolist()
        middle = len(shifts) // 2
        for place, t in enumerate(shifts):
            index = place if place < middle else place - 1
            effect = estimate.mean(curve.effects[index]) if place != middle else None
            at: tuple[Curve | None, int] = (result.floor, 0) if place == middle else (curve, index)
            if at[0] is None:
                continue
            for metric, value in ((result.metric, at[0].frechet_at(at[1])), ("KID", at[0].kernel_at(at[1]))):
                yield {
                    **identity(direction),
                    "t": t,
                    "effect": effect.value if effect else 0.0,
                    "effect_stderr": effect.stderr if effect else 0.0,
                    "distance": suite.distance,
                    "n_effect": curve.effects.shape[1],
                    "metric": metric,
                    "extractor": settings.extractor,
                    "reference": result.reference,
                    "n": value.n,
                    "n_reference": result.reference_samples,
                    "resolution": resolution(result.generator),
                    "precision": suite.precision,
                    "value": value.value,
                    "stderr": value.stderr,
                }


def support_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per direction, shift and share of `SHARES`; the point at t = 0 is shared by all directions of a generator."""
    directions = by_name(result)
    for name, curve in result.curves.items():
        shifts = directions[name].shifts(suite.curves.shifts).tolist()
        middle = len(shifts) // 2
        assert result.floor is not None
        shares, stderr = (
            torch.cat([along[:middle], floor, along[middle:]]).tolist()
            for along, floor in (
                (curve.shares, result.floor.shares),
                (curve.shares_stderr, result.floor.shares_stderr),
            )
        )
        effects = [*curve.effects.double().mean(1).tolist()]
        effects.insert(middle, 0.0)
        for place, t in enumerate(shifts):
            for index, metric in enumerate(SHARES):
                yield {
                    **identity(directions[name]),
                    "t": t,
                    "effect": effects[place],
                    "distance": suite.distance,
                    "metric": metric,
                    "extractor": suite.curves.extractor,
                    "reference": result.reference,
                    "n": curve.frechet_influence.shape[1],
                    "n_reference": result.reference_samples,
                    "neighbours": NEIGHBOURS,
                    "value": shares[place][index],
                    "stderr": stderr[place][index],
                }


def resolution(generator: Generator) -> int | str:
    """The side of square images, or height and width."""
    height, width = generator.size
    return height if height == width else f"{height}x{width}"
