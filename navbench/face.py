"""What a notebook needs of navbench: load a generator or a direction, find directions, and look at them.

A loaded direction is an `Edit`, the direction on its generator and on a device, that shows itself in Jupyter.
`measures` says how good it is; `runs` gives whole runs.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from navbench import display
from navbench.baking import bake as bake_directions
from navbench.compute import Compute, Precision
from navbench.directions import Direction, DirectionSet
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.errors import NavbenchError, unknown
from navbench.experiments import strips
from navbench.experiments.edit import Edit
from navbench.experiments.guards import check_generator
from navbench.experiments.pictures import FRAME_MS, QUALITY, frames, sheet
from navbench.generators import zoo
from navbench.generators.base import Codes, Generator
from navbench.generators.options import Options
from navbench.library import SetFile, library
from navbench.metrics.perceptual import create_distance
from navbench.report.charts import direction_curve
from navbench.spaces import create as create_space


class Loaded(Edit):
    """A direction on its generator; a notebook shows its strip, its numbers and the curve that was measured last.

    Attributes:
        measured: what `curve` found last, `None` before.
    """

    measured: pd.DataFrame | None = None

    def _repr_html_(self) -> str:
        direction = self.direction
        values: dict[str, Any] = {"t": f"{direction.t_min:.3g} to {direction.t_max:.3g}"}
        values |= {"label": direction.label or "none"}
        parts = [f"<b>{escape(direction.name)}</b>", display.numbers(values | direction.scores)]
        parts.append(display.picture(self._strip, f"{direction.name}, a code per row, along t"))
        if self.measured is not None:
            parts.append(display.figure(plot_curve(self.measured), f"Fréchet distance of {direction.name} against t"))
        return "".join(parts)

    @cached_property
    def _strip(self) -> Image.Image:
        """Few images where each takes long."""
        return strip(self, shifts=5, codes=3 if max(self.space.generator.size) <= 256 else 1)


def load_generator(
    name: str, *, device: str = "cpu", precision: Precision = "float32", options: Options | None = None,
    allow_stochastic: bool = False,
) -> Generator:  # fmt: skip
    """The generator of that name, frozen.

    Args:
        name: an installed one ('cars', 'faces'), 'package.module:callable', or the path of a checkpoint.
        device: 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
        precision: 'float32' or 'bf16'.
        options: how it runs, such as the truncation of a checkpoint.
        allow_stochastic: load also one that gives other images of the same codes.

    Raises:
        NavbenchError: there is none of that name, its file cannot be read, or it is not a function of its codes.

    >>> nb.load_generator("faces").size
    (64, 64)
    """
    compute = Compute(device, precision)
    generator = zoo.create(name, compute, options or Options())
    check_generator(generator, compute, allow_stochastic=allow_stochastic)
    return generator


def direction_names(generator: str | None = None, folder: str | Path | None = None) -> list[str]:
    """The full names of all directions, 'generator/method/place/index', those of a folder and the shipped ones.

    >>> nb.direction_names("faces")[0]
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
    allow_stochastic: bool = False,
) -> Loaded:
    """A direction on its generator, by its full name, a unique part of it, or its label.

    Args:
        name: such as 'faces/hybrid/main.6/3'.
        generator: the one that it was found on; by default the installed one of that name.
        folder: of direction sets, beside the shipped ones.
        device: where it is computed; a generator that is given stays where it is.
        precision: 'float32' or 'bf16'.
        batch: images per forward pass; moves results by rounding alone.
        allow_stochastic: take also a generator that gives other images of the same codes.

    Raises:
        NavbenchError: there is no such direction, or more than one, or the generator has other weights or is not a
            function of its codes.

    >>> nb.load_direction("faces/svd/main.6/0")
    Edit(faces/svd/main.6/0, parameter main.6, t from -7.6 to 6.61)
    """
    file, index = library(folder).find(name)
    compute = Compute(str(generator.device) if isinstance(generator, Generator) else device, precision, batch)
    opened = _generator_of(file, generator, compute)
    if opened is not generator:
        check_generator(opened, compute, allow_stochastic=allow_stochastic)
    return Loaded(opened, file.load(opened)[index], compute)


def load_directions(
    set_id: str, *, generator: Generator | str | None = None, folder: str | Path | None = None, device: str = "cpu"
) -> DirectionSet:
    """All directions of one method in one place; `bind` puts one of them on its generator.

    Args:
        set_id: 'generator/method/place', such as 'faces/hybrid/main.6'.
        generator: the one that they were found on; by default the installed one of that name.
        folder: of direction sets, beside the shipped ones.
        device: where a generator that is named, not given, is.

    Raises:
        NavbenchError: there is no such set, or the generator has other weights.

    >>> nb.load_directions("faces/svd/main.6")
    DirectionSet(faces/svd/main.6, 32 directions)
    """
    sets = library(folder).sets
    if set_id not in sets:
        raise unknown("direction set", set_id, sets)
    return sets[set_id].load(_generator_of(sets[set_id], generator, Compute(device)))


def _generator_of(file: SetFile, generator: Generator | str | None, compute: Compute) -> Generator:
    """The generator of a set: the one that is given or named, or the installed one that the file names."""
    name = file.header["generator"]
    if generator is None and name not in zoo.known():
        raise NavbenchError(f"{file.set_id} was found on generator {name!r}, which is not installed; name it.")
    return generator if isinstance(generator, Generator) else zoo.create(generator or name, compute)


def bind(direction: Direction, generator: Generator, *, precision: Precision = "float32", batch: int = 32) -> Loaded:
    """A direction of a set, such as one that `discover` found, on its generator.

    Raises:
        NavbenchError: its offsets do not fit the generator's space.

    >>> faces = nb.load_generator("faces")
    >>> found = nb.discover(faces, "svd", layer="main.9", directions=1, effect_codes=2)
    >>> nb.bind(found[0], faces).direction.name
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
        latent: for latent methods, 'z', 'w', 'w+' or 's'.
        seed: of everything that is drawn.
        settings: of `DiscoverySettings`, such as directions=8 or effect=0.1.

    >>> nb.discover(nb.load_generator("faces"), "svd", layer="main.9", directions=1, effect_codes=2)
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

    >>> nb.edit(nb.load_direction("faces/svd/main.6/0"), t=3.0, codes=range(2)).shape
    torch.Size([2, 3, 64, 64])
    """
    drawn = codes if isinstance(codes, Codes) else direction.space.generator.sample(codes, seed)
    return direction.prepare(drawn)(t)


def bake(
    shifts: Sequence[tuple[Edit, float]], path: str | Path, *, overwrite: bool = False, folded: bool = False
) -> dict[str, Any]:
    """Write the checkpoint of a generator with directions in its weights, in the layout that it came in.

    Args:
        shifts: directions of `load_direction` or `bind` on one generator, each with its shift t; all together.
        path: of the file. NVIDIA's networks are written as .safetensors, with NVIDIA's names, or as rosinality's .pt.
        overwrite: replace a file that is there already.
        folded: write a BigGAN without spectral normalisation.

    Returns:
        What was baked into what, which the file holds, too, where its layout has room.

    Raises:
        NavbenchError: a shift is no change of weights, the generator has no layout to be written in, or the file
            exists.

    >>> card = nb.bake([(nb.load_direction("faces/svd/main.6/0"), 3.0)], "shifted.pt")
    >>> nb.load_generator("shifted.pt").description
    'DCGAN, 64x64, from a file'
    """
    generators = [edit.space.generator for edit, _ in shifts]
    if not generators or any(each is not generators[0] for each in generators):
        raise NavbenchError("Directions are baked into one generator; give some that are loaded on the same.")
    chosen = [(edit.direction, t) for edit, t in shifts]
    return bake_directions(generators[0], chosen, Path(path), overwrite=overwrite, folded=folded)


def strip(direction: Edit, *, shifts: int = 7, codes: int | Sequence[int] = 3, seed: int = 0) -> Image.Image:
    """Image sequences along t: a row per code, a column per shift from t_min over 0 to t_max.

    `codes` are the first so many, or those of these numbers, as the report of a run names the ones that it shows.

    >>> nb.strip(nb.load_direction("faces/svd/main.6/0"), shifts=3, codes=2).size
    (192, 128)
    """
    grid = direction.direction.shifts(shifts).tolist()
    return sheet(strips.rendered(direction, grid, _indices(codes), seed))


def _indices(codes: int | Sequence[int]) -> Sequence[int]:
    """The numbers of codes."""
    check_counts(codes=(codes if isinstance(codes, int) else len(codes), 1))
    return range(codes) if isinstance(codes, int) else codes


@dataclass(frozen=True)
class Animation:
    """A looping image sequence, that shows itself in Jupyter.

    Attributes:
        frames: all of one size, in the order in which they are shown.
    """

    frames: tuple[Image.Image, ...]

    def __repr__(self) -> str:
        return f"Animation({len(self.frames)} frames, {self.frames[0].width}x{self.frames[0].height})"

    def save(self, path: str | Path) -> None:
        """Write it as WebP or GIF.

        Raises:
            NavbenchError: the path has another ending, or cannot be written.
        """
        kind = Path(path).suffix.lower().removeprefix(".")
        if kind not in ("webp", "gif"):
            raise NavbenchError(f"{path}: an animation is saved as .webp or .gif.")
        try:
            Path(path).write_bytes(self._encoded(kind))
        except OSError as error:
            raise NavbenchError(f"{path} cannot be written ({error.strerror}).") from None

    def _encoded(self, kind: str) -> bytes:
        buffer, (first, *rest) = io.BytesIO(), self.frames
        loop: dict[str, Any] = {"save_all": True, "append_images": rest, "duration": FRAME_MS, "loop": 0}
        first.save(buffer, kind, **loop, **({"quality": QUALITY, "method": 4} if kind == "webp" else {}))
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        return display.tag(self._encoded("webp"), "image/webp", "images as t goes to and fro over its range")


def animation(direction: Edit, *, shifts: int = 15, codes: int | Sequence[int] = 3, seed: int = 0) -> Animation:
    """Images of some codes, as for `strip`, side by side as t goes to and fro between t_min and t_max.

    >>> nb.animation(nb.load_direction("faces/svd/main.6/0"), shifts=3, codes=2)
    Animation(4 frames, 128x84)
    """
    grid = direction.direction.shifts(shifts).tolist()
    return Animation(tuple(frames(strips.rendered(direction, grid, _indices(codes), seed), grid)))


def plot_curve(frame: pd.DataFrame) -> Figure:
    """The Fréchet distance of `curve` against t, with a band of ± 1.96 standard errors.

    >>> frame = nb.curve(nb.load_direction("faces/svd/main.6/0"), shifts=3, samples=4, effect_samples=2)
    >>> nb.plot_curve(frame).axes[0].get_xlabel()
    'shift t'
    """
    if (names := frame["name"].unique()).size > 1:
        raise NavbenchError(f"These are the curves of {names.size} directions; choose one, such as {names[0]!r}.")
    figure: Any = direction_curve(frame[frame["metric"] != "KID"])
    figure._repr_png_ = partial(display.png, figure)  # Jupyter shows a figure by itself only if pyplot is imported
    return figure


def check_counts(**counts: tuple[int, int]) -> None:
    """Refuse a count below its least, each given as (count, least)."""
    for name, (count, least) in counts.items():
        if count < least:
            raise NavbenchError(f"{name} is {count}; it must be at least {least}.")
