"""The tables of where images change: how concentrated, and on which regions."""

from collections.abc import Iterator

import torch

from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.locality import locality
from navbench.runner.identity import Row, by_name, identity
from navbench.runner.results import Results
from navbench.suite import Suite


def locality_of(result: Results, name: str) -> dict[str, Estimate]:
    """The concentration numbers of one direction."""
    heats = result.heats[name]
    return locality(torch.stack([heat.change for heat in heats]), torch.stack([heat.count[0] for heat in heats]))


def locality_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per direction and number."""
    directions = by_name(result)
    for name in result.heats:
        direction = directions[name]
        for metric, value in locality_of(result, name).items():
            yield {
                **identity(direction),
                "t_min": direction.t_min,
                "t_max": direction.t_max,
                "shifts": suite.locality.shifts,
                "n": suite.locality.samples,
                "metric": metric,
                "value": value.value,
                "stderr": value.stderr,
            }


def region_rows(result: Results) -> Iterator[Row]:
    """Per direction and region: the share of the squared change that lies on it, and of the image that it takes."""
    if result.segmenter is None:
        return
    directions = by_name(result)
    for name, heats in result.heats.items():
        totals = torch.cat([heat.totals for heat in heats])
        parts, areas = (torch.cat([getattr(heat, each) for heat in heats]) for each in ("regions", "areas"))
        for index, region in enumerate(result.segmenter.regions):
            share, area = estimate.ratio(parts[:, index], totals), estimate.mean(areas[:, index])
            yield {
                **identity(directions[name]),
                "region": region,
                "share": share.value,
                "share_stderr": share.stderr,
                "area": area.value,
                "area_stderr": area.stderr,
                "segmentation": result.segmenter.name,
                "n": share.n,
            }
