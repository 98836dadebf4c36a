"""How good a direction is, for a notebook: the measurements of a run, on one loaded direction."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from navbench.directions import Direction
from navbench.errors import unknown
from navbench.experiments import fid_curve, imitation, locality
from navbench.experiments.edit import Edit
from navbench.experiments.guards import check_extractor
from navbench.experiments.reference import is_drawn, open_reference, real_features
from navbench.experiments.rows import resolution, who
from navbench.experiments.statistics import is_statistics, prepare, read_statistics
from navbench.face import Loaded, check_counts
from navbench.methods import is_control, is_labelled
from navbench.metrics import estimate
from navbench.metrics.extractors import Extractor, create_extractor
from navbench.metrics.frechet import of_one_distribution
from navbench.metrics.locality import locality as concentration
from navbench.metrics.pairwise import MOST
from navbench.metrics.parts import Parts
from navbench.metrics.perceptual import PerceptualDistance, create_distance
from navbench.report.numbers import place, short_place
from navbench.report.pictures import heatmap_image
from navbench.seeds import Role
from navbench.spaces import create as create_space
from navbench.spaces import describe
from navbench.words import CONVERSIONS, DISTANCE, EXTRACTOR, RESAMPLING


def curve(
    direction: Edit, *, shifts: int = 5, samples: int = 256, effect_samples: int = 64, reference: str = "unshifted",
    resize: str = "", convert: str = "", reference_samples: int = 0, extractor: str = EXTRACTOR,
    extractor_weights: str = "", distance: str = DISTANCE, seed: int = 0, allow_stochastic: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Fréchet and kernel distance against the shift; a loaded direction shows the curve that was measured last.

    Args:
        direction: of `load_direction`.
        shifts: points, odd, from t_min over 0 to t_max.
        samples: images per point.
        effect_samples: on how many of the codes the effect is measured.
        reference: 'unshifted', the generator itself at t = 0 with other codes; an installed distribution, such as
            'renderings', the truth of `cars`; a folder or zip of images; or a file of their statistics, .npz or of
            torch-fidelity's cache, of which no kernel distance is known.
        resize: of images of another size in a folder or zip: 'box', 'bilinear', 'bicubic' or 'lanczos'; '' to refuse
            them.
        convert: 'rgb' to convert those that are not 8-bit RGB; '' to refuse them.
        reference_samples: images of a reference that can be drawn without end; 0 for as many as `samples`.
        extractor: of the features, at float32; only 'inception-v3-compat' makes a FID.
        extractor_weights: a file with its weights; '' for the ones it downloads.
        distance: of the effect.
        seed: of the codes.
        allow_stochastic: take also an extractor that gives other features of the same images.

    Returns:
        A row per shift and metric, with the columns of a run's table `curves`, and `place` and `where`, how headings
        call the layer or the latent space, and `is_control` and `is_labelled`, whether the method is a control, or sees
        labels.

    Raises:
        NavbenchError: there is no such reference, extractor or distance, or the reference does not fit the generator.

    >>> frame = nb.curve(nb.load_direction("faces/svd/main.6/0"), shifts=3, samples=4, effect_samples=2)
    >>> frame[["t", "metric", "n"]].head(2)
              t metric  n
    0 -7.599985     FD  4
    1 -7.599985    KID  4
    """
    check_counts(samples=(samples, 2), effect_samples=(effect_samples, 2), reference_samples=(reference_samples, 0))
    network = create_extractor(extractor, direction.compute.at("float32"), extractor_weights or None)
    check_extractor(network, allow_stochastic=allow_stochastic)
    perceptual = create_distance(distance, direction.compute)
    measured_from = _reference(direction, reference, (resize, convert), reference_samples or samples, seed, network)
    points = list(_points(direction, shifts, samples, min(effect_samples, samples), seed, network, perceptual))
    setting = {"extractor": extractor, "reference": reference}
    setting |= {"distance": distance, "precision": direction.compute.precision}
    setting |= {"resolution": str(resolution(direction.space.generator))}
    rows, anew = [], is_drawn(reference)
    for t, features, effects in points:
        effect = estimate.mean(effects)
        at = {"t": t, "effect": effect.value, "effect_stderr": effect.stderr, "n_effect": effect.n}
        frechet, kernel, _ = measured_from.measure(Parts.of(features))
        if t == 0 and reference == "unshifted":
            frechet = of_one_distribution(frechet, measured_from.n or len(features))
        for metric, value in ((network.metric, frechet), ("KID", kernel)):
            numbers = {"metric": metric, "value": value.value, "stderr": value.stderr, "n": value.n}
            numbers["stderr_both"] = value.stderr_both if anew else math.nan
            n_reference = measured_from.n_pairwise if metric == "KID" else measured_from.n
            numbers["n_reference"] = n_reference or math.nan
            rows.append({**_who(direction.direction), **at, **numbers, **setting})
    frame = pd.DataFrame(rows)
    if isinstance(direction, Loaded):
        direction.measured = frame
    return frame


def _points(
    direction: Edit, shifts: int, samples: int, effect_samples: int, seed: int, extractor: Extractor,
    distance: PerceptualDistance,
) -> Iterator[tuple[float, Tensor, Tensor]]:  # fmt: skip
    """Along ascending shifts t: t, the features (samples, D) and the effects (effect_samples,)."""
    grid, indices = direction.direction.shifts(shifts).tolist(), range(samples)
    generator, compute, middle = direction.space.generator, direction.compute, len(grid) // 2
    at_zero = fid_curve.unshifted_features(generator, Role.CURVE, indices, seed, extractor, compute).features
    shifted = tuple(t for t in grid if t != 0)
    shard = fid_curve.curve_shard(direction, shifted, indices, seed, extractor, distance, effect_samples)
    features = [*shard.features[:middle], at_zero, *shard.features[middle:]]
    effects = [*shard.effects[:middle], torch.zeros(effect_samples), *shard.effects[middle:]]
    return zip(grid, features, effects, strict=True)


def _reference(
    direction: Edit, source: str, made_fit: tuple[str, str], count: int, seed: int, extractor: Extractor
) -> fid_curve.ReferenceStatistics:
    """What a suite means by a reference of that name; `count` images, unless it is of a number of its own.

    Args:
        made_fit: how images are resized and converted, '' for neither.
    """
    for kind, chosen, known in zip(("resampling", "conversion"), made_fit, (RESAMPLING, CONVERSIONS), strict=True):
        if chosen and chosen not in known:
            raise unknown(kind, chosen, known)
    generator, compute = direction.space.generator, direction.compute
    if is_statistics(source):
        statistics = read_statistics(source)
        statistics.check(extractor.dimensions, extractor.name)
        return prepare(statistics, MOST, compute.exact)
    if source == "unshifted":
        found = fid_curve.unshifted_features(generator, Role.REFERENCE, range(count), seed, extractor, compute)
    else:
        images = open_reference(source, generator.size, count, *made_fit)
        images.check()
        found = real_features(images, range(len(images)), extractor, compute)
    return fid_curve.ReferenceStatistics.of(Parts.of(found.features), MOST, compute.exact)


def _who(direction: Direction) -> dict[str, Any]:
    """The columns that say which direction a row is about."""
    words = {"place": place(direction.place, direction.space), "where": short_place(direction.place, direction.space)}
    return (
        who(direction)
        | {
            "direction": str(direction.index),
            "is_control": is_control(direction.method),
            "is_labelled": is_labelled(direction.method),
        }
        | words
    )


@dataclass(frozen=True)
class Heatmap:
    """Where a direction changes images.

    Attributes:
        change: (H, W), the mean squared change of each pixel over codes and shifts, summed over channels.
        mean_image: (3, H, W), in [-1, 1], the mean unshifted image.
        numbers: the concentration of the change with its standard error, by name: area50, area90, ...
    """

    change: np.ndarray
    mean_image: np.ndarray
    numbers: dict[str, tuple[float, float]]

    def __repr__(self) -> str:
        height, width = self.change.shape
        numbers = ", ".join(f"{name} {value:.3g} ± {stderr:.2g}" for name, (value, stderr) in self.numbers.items())
        return f"Heatmap({height}x{width}, {numbers})"

    @property
    def image(self) -> Image.Image:
        """The heatmap over the mean image."""
        return heatmap_image(self.change, self.mean_image, float(self.change.max()))

    def _repr_png_(self) -> bytes:
        return cast(bytes, self.image._repr_png_())


def heatmap(direction: Edit, *, samples: int = 64, shifts: int = 8, seed: int = 0) -> Heatmap:
    """Where a direction changes images, over `samples` codes and a uniform grid of `shifts`.

    >>> nb.heatmap(nb.load_direction("faces/svd/main.6/0"), samples=2, shifts=2).change.shape
    (64, 64)
    """
    check_counts(samples=(samples, 2), shifts=(shifts, 2))
    made = direction.direction
    grid = torch.linspace(made.t_min, made.t_max, shifts, dtype=torch.float64).tolist()
    heats = [locality.heat(direction, grid, group, seed) for group in locality.groups(samples)]
    changes, counts = (torch.stack(each) for each in zip(*((heat.change, heat.count) for heat in heats), strict=True))
    found = concentration(changes, counts[:, 0])
    image = torch.stack([heat.image for heat in heats]).sum(0) / counts[:, 1].sum()
    change = changes.sum(0) / counts[:, 0].sum()
    numbers = {name: (value.value, value.stderr) for name, value in found.items()}
    return Heatmap(change.float().numpy(), image.float().numpy(), numbers)


def imitate(
    direction: Edit, target: str, *, layer: str | None = None, codes: int = 32, held_out: int = 64, steps: int = 200,
    bound: int = 4, distance: str = DISTANCE, seed: int = 0,
) -> pd.Series:  # fmt: skip
    """Whether one offset in another space does the same as a direction at t_max (eq. 5).

    Args:
        direction: of `load_direction`.
        target: 'z', 'w', 'w+', 's', 'activation' or 'parameter'.
        layer: of an activation or a kernel; by default the direction's own.
        codes: on which the offset is found.
        held_out: others, on which it is measured.
        steps: of L-BFGS at most; it ends when the unexplained fraction has stopped falling.
        bound: of how many of the held-out codes the best offset of each is sought; 0, or at least 2.
        distance: the perceptual one that is reported beside the unexplained fraction.
        seed: of the codes.

    Returns:
        Numbers of a run's table `reproduction`: target, unexplained_fraction (0 for a perfect imitation, 1 for none)
        with its standard error and n, unexplained_fraction_train, steps, bound, what the best offset per image leaves,
        and status, '' where the search has converged and both kinds of codes agree; and the mean perceptual distance
        of the imitation from the edit, and of the unshifted image from it.

    >>> found = nb.imitate(nb.load_direction("faces/svd/main.6/0"), "z", codes=2, held_out=2, steps=1)
    >>> 0 < found["unexplained_fraction"] < 2
    True
    """
    check_counts(codes=(codes, 1), held_out=(held_out, 2), steps=(steps, 1), bound=(bound, 0))
    space = create_space(direction.space.generator, target, layer or direction.direction.layer)
    perceptual = create_distance(distance, direction.compute)
    t = direction.direction.t_max
    found = imitation.imitate(space, direction, t, perceptual, seed, codes, held_out, steps, min(bound, held_out))
    left = found.unexplained_fraction
    numbers = {"unexplained_fraction": left.value, "unexplained_fraction_stderr": left.stderr, "n": left.n}
    rest: dict[str, Any] = {"unexplained_fraction_train": float(found.steps[-1]), "steps": len(found.steps) - 1}
    rest |= {"bound": found.bound.value if found.bound else math.nan}
    seen = {"perceptual": found.perceptual, "perceptual_edit": found.perceptual_sizes}
    rest |= {column: float(distances.double().mean()) for column, distances in seen.items()}
    about = {"name": direction.direction.name, "target": describe(space), "t": t}
    return pd.Series({**about, **numbers, **rest, "status": found.status, "distance": distance})
