"""Pixel-difference heatmaps (section 4.6, Figures 12 and 13): ||G_t(z) - G(z)||^2 per pixel, over z and t, or t."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import torch
from pydantic import Field
from torch import Tensor

from navbench.compute import Compute, doubled
from navbench.costs import Pass, Rehearsed, Trial, blank, preparing, rehearses, rendering, seeing, tried_images
from navbench.directions import Direction, DirectionSet
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.experiment import Experiment, File
from navbench.experiments.measurement import Measurement
from navbench.experiments.pictures import arrays_file
from navbench.experiments.rows import Row, estimated, who
from navbench.experiments.strips import to_bytes
from navbench.metrics import estimate
from navbench.metrics.estimate import Estimate
from navbench.metrics.locality import locality
from navbench.metrics.segmentation import Segmenter
from navbench.seeds import Role
from navbench.settings import Settings
from navbench.work import pure

EXAMPLES = 1
"""Of how many codes the single images are kept; a run folder holds them for every direction."""


@dataclass(frozen=True)
class Heat:
    """What one group of codes gives to a heatmap.

    Attributes:
        change: (H, W), float64, summed over codes and shifts: the squared difference, summed over channels.
        image: (3, H, W), float64, the sum of the unshifted images.
        count: (2,): over how many shifted and how many unshifted images the sums go.
        totals: (n,), of each code the squared difference, summed over shifts, channels and pixels.
        regions: (n, R), the part of that on each region; areas: (n, R), the share of the unshifted image that it has.
        examples: (r, 2, 3, H, W), uint8, of the codes below `EXAMPLES` the unshifted image and that at the last shift.
        example_changes: (r, H, W), float32, of the same codes the squared difference, averaged over shifts (Figure 13).
    """

    change: Tensor
    image: Tensor
    count: Tensor
    totals: Tensor
    regions: Tensor
    areas: Tensor
    examples: Tensor
    example_changes: Tensor


@pure()
def heat(
    edit: Edit,
    shifts: Sequence[float],
    indices: Sequence[int],
    seed: int,
    segment: Callable[[Tensor], Tensor] | None = None,
) -> Heat:
    """Sums over one group of codes and a uniform grid of shifts; images are not quantised.

    Args:
        edit: the direction.
        shifts: the grid.
        indices: the codes.
        seed: of the run.
        segment: from images to masks of regions (N, R, H, W). A change lies on a region as far as its pixels were of
            it before and are of it after, in the mean of both: a wheel that grows changes what was ground.
    """
    generator = edit.space.generator

    def work(chunk: Sequence[int]) -> tuple[Tensor, ...]:
        render = edit.prepare(codes_for(generator, Role.LOCALITY, chunk, seed))
        unshifted = render(0.0)
        before = _masks(segment, unshifted)
        original = doubled(unshifted)
        change = torch.zeros_like(original[0, 0])
        regions = torch.zeros_like(before[:, :, 0, 0])
        totals = torch.zeros_like(original[:, 0, 0, 0])
        shown = sum(row < EXAMPLES for row in chunk)
        single = torch.zeros_like(original[:shown, 0])
        images = unshifted
        for t in shifts:
            images = render(t)
            squared = _squared(images, original)
            single += squared[:shown] / len(shifts)
            change += squared.sum(dim=0)
            totals += squared.sum(dim=(1, 2))
            if segment is not None:
                regions += _on_regions(squared, before, _masks(segment, images))
        examples = torch.stack([to_bytes(unshifted[:shown]), to_bytes(images[:shown])], dim=1)
        per_code = (totals, regions, before.mean(dim=(2, 3)), examples, single.float())
        return tuple(each.cpu() for each in (change, original.sum(dim=0), *per_code))

    change, image, *per_code = zip(*edit.compute.over(indices, work), strict=True)
    count = torch.tensor([len(indices) * len(shifts), len(indices)], dtype=torch.float64)
    return Heat(torch.stack(change).sum(0), torch.stack(image).sum(0), count, *map(torch.cat, per_code))


@rehearses(heat)
def _heat_rehearsed(
    edit: Edit, shifts: Sequence[float], indices: Sequence[int], seed: int, segment: Segmenter | None = None
) -> Rehearsed[Heat]:
    """A change that is the same everywhere."""
    space, compute, codes = edit.space, edit.compute, len(indices)
    images, size = codes * (1 + len(shifts)), space.generator.size
    mapped = _mapping(0 if segment is None else len(segment.regions), size, compute)
    costs = {preparing(space, compute): codes, rendering(space, compute): images, mapped: codes * len(shifts)}
    if segment is not None:
        costs[seeing("segmentation", segment.name, segment, space.generator, compute)] = images
    shown, regions = sum(index < EXAMPLES for index in indices), len(segment.regions) if segment is not None else 0
    one = torch.ones((), dtype=torch.float64)
    count = torch.tensor([codes * len(shifts), codes], dtype=torch.float64)
    parts = (blank(codes, regions, dtype=torch.float64), blank(codes, regions, dtype=torch.float64))
    examples = blank(shown, 2, 3, *size, dtype=torch.uint8)
    sums = (one.expand(size), one.expand(3, *size), count, one.expand(codes))
    return Rehearsed(Heat(*sums, *parts, examples, blank(shown, *size)), costs)


def _mapping(regions: int, size: tuple[int, int], compute: Compute) -> Pass:
    """The arithmetic of one image's change, on so many regions."""

    def trial() -> Trial:
        images = torch.zeros(tried_images(compute), 3, *size, device=compute.device)
        original, masks = doubled(images), torch.zeros(len(images), regions, *size, device=compute.device)

        def once() -> float:
            squared = _squared(images, original)
            if regions:
                _on_regions(squared, doubled(masks), doubled(masks))
            return len(images)

        return once

    return Pass("heatmap", (regions, *size), trial)


def _squared(images: Tensor, original: Tensor) -> Tensor:
    """The squared change of each pixel, summed over channels, (N, H, W), float64."""
    return (doubled(images) - original).square().sum(dim=1)


def _on_regions(squared: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """How much of a change lies on each region, (N, R), from the masks (N, R, H, W) before and after."""
    return ((before + after) / 2 * squared[:, None]).sum(dim=(2, 3))


def _masks(segment: Callable[[Tensor], Tensor] | None, images: Tensor) -> Tensor:
    """The masks of images in float64; of no region where there is no segmentation."""
    if segment is None:
        return doubled(images[:, :0])
    return doubled(segment(images))


def groups(codes: int, count: int = 10) -> list[range]:
    """Contiguous groups of codes of nearly equal size, over which locality is jackknifed."""
    count = min(count, codes)
    edges = [codes * group // count for group in range(count + 1)]
    return [range(low, high) for low, high in pairwise(edges)]


# --- the experiment ----------------------------------------------------------------------------------------------


class LocalitySettings(Settings):
    """Heatmaps over `samples` codes and a uniform grid of `shifts`, of the best `directions` of each set."""

    directions: int = Field(2, ge=0)
    samples: int = Field(64, ge=2)
    shifts: int = Field(8, ge=2)


@dataclass(frozen=True)
class Heats:
    """A `Heat` per group of codes, by the direction's name."""

    heats: Mapping[str, Sequence[Heat]]

    def locality_of(self, name: str) -> dict[str, Estimate]:
        """The concentration numbers of one direction."""
        heats = self.heats[name]
        return locality(torch.stack([heat.change for heat in heats]), torch.stack([heat.count[0] for heat in heats]))


class Heatmaps(Experiment[LocalitySettings, Heats]):
    """Where images change, and on which regions."""

    name = "locality"
    settings = LocalitySettings

    def gaps(self, on: Measurement) -> Iterator[str]:
        """Directions without heatmaps."""
        yield from on.of_each_set("Heatmaps were", on.settings(Heatmaps).directions)

    def run(self, on: Measurement) -> Heats:
        """One piece per direction and group of codes."""
        settings, seed = on.settings(Heatmaps), on.bench.suite.seed
        codes, directions = groups(settings.samples), on.leading(settings.directions)
        pieces = []
        for direction in directions:
            edit = on.edit(direction)
            shifts = torch.linspace(direction.t_min, direction.t_max, settings.shifts, dtype=torch.float64).tolist()
            heats = [heat.piece(edit, shifts, group, seed, on.segmenter) for group in codes]
            pieces += [piece.but(note=direction.name) for piece in heats]
        results = iter(on.pieces(pieces, "heatmaps"))
        return Heats({direction.name: list(islice(results, len(codes))) for direction in directions})

    def rows(self, on: Measurement, outcome: Heats) -> Mapping[str, Iterable[Row]]:
        """Per direction and number; per direction and region."""
        return {"locality": _locality_rows(on, outcome), "regions": _region_rows(on, outcome)}

    def direction_columns(self, on: Measurement, outcome: Heats, direction: Direction) -> Row:
        """The concentration numbers."""
        numbers = outcome.locality_of(direction.name) if direction.name in outcome.heats else {}
        return {key: value for metric, number in numbers.items() for key, value in estimated(metric, number).items()}

    def set_columns(self, on: Measurement, outcome: Heats, directions: DirectionSet) -> Row:
        """The mean area50."""
        areas = [outcome.locality_of(one.name)["area50"].value for one in directions if one.name in outcome.heats]
        return {"area50_mean": sum(areas) / len(areas) if areas else None}

    def measured(self, outcome: Heats) -> Iterable[str]:
        """The directions with heatmaps."""
        return outcome.heats

    def files(self, on: Measurement, outcome: Heats) -> Iterable[File]:
        """Of each direction the heatmap with the mean unshifted image, as arrays."""
        for direction in on.plan.all_directions():
            if direction.name in outcome.heats:
                heats = outcome.heats[direction.name]
                change, image, count = (
                    torch.stack([getattr(heat, part) for heat in heats]).sum(0) for part in ("change", "image", "count")
                )
                shown = {part: torch.cat([getattr(heat, part) for heat in heats]) for part in _EXAMPLES}
                means = {"heatmap": (change / count[0]).float(), "mean_image": (image / count[1]).float()}
                yield arrays_file(f"figures/heatmap-{direction.slug}.npz", means | shown)

    def facts(self, on: Measurement, outcome: Heats) -> Mapping[str, object]:
        """Over how many codes."""
        return {"samples": {"locality": on.settings(Heatmaps).samples}}


_EXAMPLES = ("examples", "example_changes")


def _locality_rows(on: Measurement, outcome: Heats) -> Iterator[Row]:
    settings, directions = on.settings(Heatmaps), on.plan.by_name()
    for name in outcome.heats:
        direction = directions[name]
        for metric, value in outcome.locality_of(name).items():
            yield {
                **who(direction),
                "t_min": direction.t_min,
                "t_max": direction.t_max,
                "shifts": settings.shifts,
                "n": settings.samples,
                "metric": metric,
                "value": value.value,
                "stderr": value.stderr,
            }


def _region_rows(on: Measurement, outcome: Heats) -> Iterator[Row]:
    """The share of the squared change that lies on each region, and of the image that the region takes."""
    if on.segmenter is None:
        return
    directions = on.plan.by_name()
    for name, heats in outcome.heats.items():
        totals, parts, areas = (
            torch.cat([getattr(heat, of) for heat in heats]) for of in ("totals", "regions", "areas")
        )
        for index, region in enumerate(on.segmenter.regions):
            share, area = estimate.ratio(parts[:, index], totals), estimate.mean(areas[:, index])
            named = {"region": region, "segmentation": on.segmenter.name, "n": share.n}
            yield {**who(directions[name]), **named, **estimated("share", share), **estimated("area", area)}
