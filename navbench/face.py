"""What a notebook needs of navbench: load a generator or a direction, look at it, measure it.

A loaded direction is an `Edit`, the direction on its generator and on a device, that shows itself in Jupyter. Every
function takes one and returns images, a picture or a DataFrame; `run` and `open_run` give whole runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from navbench.compute import Compute, Precision
from navbench.directions import Direction, DirectionSet
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.errors import NavbenchError
from navbench.experiments import fid_curve, locality, reproduction, strips
from navbench.experiments.edit import Edit
from navbench.experiments.pictures import sheet
from navbench.generators import zoo
from navbench.generators.base import Codes, Generator
from navbench.generators.options import Options
from navbench.library import library
from navbench.metrics import estimate
from navbench.metrics.extractors import create_extractor
from navbench.metrics.locality import locality as concentration
from navbench.metrics.perceptual import create_distance
from navbench.report.charts import direction_curve
from navbench.report.numbers import place, short_place
from navbench.report.pictures import data_uri, heatmap_image, webp
from navbench.seeds import Role
from navbench.spaces import create as create_space
from navbench.spaces import describe
from navbench.words import DISTANCE, EXTRACTOR


class Loaded(Edit):
    """A direction on its generator, that a notebook shows as its strip and its numbers."""

    def _repr_html_(self) -> str:
        one = self.direction
        numbers = {"t": f"{one.t_min:.3g} to {one.t_max:.3g}", "label": one.label or "none"}
        numbers |= {name: f"{value:.3g}" for name, value in one.scores.items()}
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in numbers.items())
        content = webp(strip(self, shifts=5, codes=3), quality=85)
        picture = f'<img src="{data_uri(content, "image/webp")}" alt="three codes along t">'
        return f"<b>{escape(one.name)}</b><table>{rows}</table>{picture}"


def load_generator(
    name: str, *, device: str = "cpu", precision: Precision = "float32", options: Options | None = None
) -> Generator:
    """The generator of that name, frozen.

    Args:
        name: an installed one ('cars', 'faces'), 'package.module:callable', or the path of a checkpoint.
        device: 'cpu', 'cuda' or 'cuda:N'.
        precision: 'float32' or 'bf16'.
        options: how a generator from a checkpoint runs, such as its truncation.

    Raises:
        NavbenchError: there is none of that name, or its file cannot be read.

    >>> load_generator("faces").size
    (64, 64)
    """
    return zoo.create(name, Compute(device, precision), options or Options())


def direction_names(generator: str | None = None, folder: str | Path | None = None) -> list[str]:
    """The full names of all directions, 'generator/method/place/index', those of a folder and the shipped ones.

    >>> direction_names("faces")[0]
    'faces/hybrid/main.6/0'
    """
    files = [file for _, file in sorted(library(folder).sets.items())]
    return [name for file in files if generator in (None, file.header["generator"]) for name in file.names()]


def load_direction(
    name: str,
    *,
    generator: Generator | str | None = None,
    folder: str | Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
    batch: int = 32,
) -> Loaded:
    """A direction on its generator, by its full name, a unique part of it, or its label.

    Args:
        name: such as 'faces/hybrid/main.6/3'.
        generator: the one that it was found on; by default the installed one of that name.
        folder: of direction sets, beside the shipped ones.
        device: where it is computed; a generator that is given stays where it is.
        precision: 'float32' or 'bf16'.
        batch: images per forward pass; changes no result.

    Raises:
        NavbenchError: there is no such direction, or more than one, or the generator has other weights.

    >>> load_direction("faces/svd/main.6/0")
    Edit(faces/svd/main.6/0, parameter main.6, t from -7.6 to 6.57)
    """
    file, index = library(folder).find(name)
    opened = file.header["generator"] if generator is None else generator
    compute = Compute(str(opened.device) if isinstance(opened, Generator) else device, precision, batch)
    if isinstance(opened, str):
        if generator is None and opened not in zoo.known():
            raise NavbenchError(f"{name} was found on generator {opened!r}, which is not installed; name it.")
        opened = zoo.create(opened, compute)
    return Loaded(opened, file.load(opened)[index], compute)


def bind(direction: Direction, generator: Generator, *, precision: Precision = "float32", batch: int = 32) -> Loaded:
    """A direction of a set, such as one that `discover` found, on its generator.

    Raises:
        NavbenchError: its offsets do not fit the generator's space.

    >>> faces = load_generator("faces")
    >>> bind(discover(faces, "svd", layer="main.9", directions=1, effect_codes=2)[0], faces).direction.name
    'faces/svd/main.9/0'
    """
    return Loaded(generator, direction, Compute(str(generator.device), precision, batch))


def discover(
    generator: Generator, method: str, *, layer: str | None = None, latent: str | None = None, seed: int = 0,
    **settings: Any,
) -> DirectionSet:  # fmt: skip
    """Directions of one method in one layer or latent space, each calibrated to an effect.

    Args:
        generator: of `load_generator`.
        method: a name of the table of methods: 'svd', 'spectrum', 'optimization', ...
        layer: for methods of kernels, by name or index.
        latent: for latent methods, 'z', 'w' or 'w+'.
        seed: of everything that is drawn.
        settings: of `DiscoverySettings`, such as directions=8 or effect=0.1.

    >>> found = discover(load_generator("faces"), "svd", layer="main.9", directions=1, effect_codes=2)
    >>> found
    DirectionSet(faces/svd/main.9, 1 direction)
    """
    if (layer is None) == (latent is None):
        raise NavbenchError("Directions are found in a layer or in a latent space; name one of the two.")
    space = create_space(generator, latent or "parameter", layer)
    try:
        wanted = DiscoverySettings(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise NavbenchError(
            f"Setting {'.'.join(map(str, first['loc']))} of discover: {first['msg'].lower()}."
        ) from None
    compute = Compute(str(generator.device))
    return Discovery(space, create_distance(wanted.distance, compute), wanted, compute, seed).run(method)


def edit(direction: Edit, t: float, codes: Codes | Sequence[int] = range(4), seed: int = 0) -> Tensor:
    """Images under a direction at shift t, (N, 3, H, W), float, [-1, 1]; t = 0 is the generator itself.

    Args:
        direction: of `load_direction`.
        t: the shift.
        codes: the codes, or the indices of codes that depend on (seed, index) only.
        seed: of those.
    """
    drawn = codes if isinstance(codes, Codes) else direction.space.generator.sample(codes, seed)
    return direction.prepare(drawn)(t)


def strip(direction: Edit, *, shifts: int = 7, codes: int = 3, seed: int = 0) -> Image.Image:
    """Image sequences along t: a row per code, a column per shift from t_min over 0 to t_max.

    >>> strip(load_direction("faces/svd/main.6/0"), shifts=3, codes=2).size
    (192, 128)
    """
    _check(codes=(codes, 1))
    return sheet(strips.strip(direction, direction.direction.shifts(shifts).tolist(), codes, seed).images)


def curve(
    direction: Edit,
    *,
    shifts: int = 5,
    samples: int = 256,
    effect_samples: int = 64,
    extractor: str = EXTRACTOR,
    distance: str = DISTANCE,
    seed: int = 0,
) -> pd.DataFrame:
    """Fréchet and kernel distance against the shift, from the generator itself at t = 0 with other codes.

    Args:
        direction: of `load_direction`.
        shifts: points, odd, from t_min over 0 to t_max.
        samples: images per point, and of the reference.
        effect_samples: on how many of the codes the effect is measured.
        extractor: of the features; only 'inception-v3-compat' makes a FID.
        distance: of the effect.
        seed: of the codes.

    Returns:
        A row per shift and metric: t, effect, metric, value, stderr, extractor, reference, n, and who the row is about.
    """
    _check(samples=(samples, 2), effect_samples=(effect_samples, 2))
    made, compute = direction.direction, direction.compute
    network, perceptual = create_extractor(extractor, compute), create_distance(distance, compute)
    grid, indices = made.shifts(shifts).tolist(), range(samples)
    others, own = (
        fid_curve.unshifted_features(direction.space.generator, role, indices, seed, network, compute).features
        for role in (Role.REFERENCE, Role.CURVE)
    )
    reference = fid_curve.Reference.of(others.to(compute.device))
    shifted = tuple(t for t in grid if t != 0)
    shard = fid_curve.curve_shard(direction, shifted, indices, seed, network, perceptual, min(effect_samples, samples))
    features = [*shard.features]
    features.insert(len(grid) // 2, own)
    effects = [estimate.mean(values).value for values in shard.effects]
    effects.insert(len(grid) // 2, 0.0)
    common = {"name": made.name, "generator": made.generator, "method": made.method, "layer": made.place}
    common |= {"direction": str(made.index), "label": made.label, "place": place(made.place, made.space)}
    common |= {"where": short_place(made.place, made.space), "extractor": extractor, "reference": "unshifted"}
    table = []
    for t, effect, at in zip(grid, effects, features, strict=True):
        for metric, found in zip((network.metric, "KID"), reference.estimates(at), strict=True):
            numbers = {"metric": metric, "value": found.value, "stderr": found.stderr, "n": found.n}
            table.append({"t": t, "effect": effect, **numbers, **common, "n_reference": samples})
    return pd.DataFrame(table)


def plot_curve(frame: pd.DataFrame) -> Figure:
    """The Fréchet distance of `curve` against t, with a band of ± 1.96 standard errors."""
    return direction_curve(frame[frame["metric"] != "KID"])


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

    @property
    def image(self) -> Image.Image:
        """The heatmap over the mean image."""
        return heatmap_image(self.change, self.mean_image, float(self.change.max()))

    def _repr_png_(self) -> bytes:
        return cast(bytes, self.image._repr_png_())


def heatmap(direction: Edit, *, samples: int = 64, shifts: int = 8, seed: int = 0) -> Heatmap:
    """Where a direction changes images, over `samples` codes and a uniform grid of `shifts`."""
    _check(samples=(samples, 2), shifts=(shifts, 2))
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
    direction: Edit, target: str, *, layer: str | None = None, codes: int = 32, held_out: int = 64, steps: int = 30,
    distance: str = DISTANCE, seed: int = 0,
) -> pd.Series:  # fmt: skip
    """Whether one offset in another space does the same as a direction at t_max (eq. 5).

    Args:
        direction: of `load_direction`.
        target: 'z', 'w', 'w+', 'activation' or 'parameter'.
        layer: of an activation or a kernel; by default the direction's own.
        codes: on which the offset is found.
        held_out: others, on which it is measured.
        steps: of L-BFGS.
        distance: the perceptual one that is reported beside the residual.
        seed: of the codes.

    Returns:
        target, residual (0 for a perfect imitation, 1 for none) with its stderr and n, residual_train, steps.
    """
    _check(codes=(codes, 1), held_out=(held_out, 2), steps=(steps, 1))
    space = create_space(direction.space.generator, target, layer or direction.direction.layer)
    perceptual = create_distance(distance, direction.compute)
    t = direction.direction.t_max
    found = reproduction.imitate(direction, t, space, perceptual, seed, codes, held_out, steps)
    left = estimate.ratio(found.errors, found.sizes)
    numbers = {"residual": left.value, "residual_stderr": left.stderr, "n": left.n}
    rest = {"residual_train": float(found.steps[-1]), "steps": len(found.steps) - 1}
    return pd.Series({"name": direction.direction.name, "target": describe(space), "t": t, **numbers, **rest})


def _check(**counts: tuple[int, int]) -> None:
    """Refuse a count below its least, each given as (count, least)."""
    for name, (count, least) in counts.items():
        if count < least:
            raise NavbenchError(f"{name} is {count}; it must be at least {least}.")
