"""The commands of the testbed: train, export and judge the generator of cars, and train the scorer that reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navbench.cli.common import FiniteRange, device_option, example
from navbench.cli.grouping import Family
from navbench.cli.loading import loading
from navbench.cli.output import console, folding, json_option, progress_console, quiet_option
from navbench.errors import NavbenchError
from navbench.files import write_atomically
from navbench.generators import zoo
from navbench.progress import stage
from navbench.words import PRECISIONS

if TYPE_CHECKING:
    from navbench.compute import Precision
    from navbench.testbed.evaluate import Distances

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
force_option = click.option("--force", is_flag=True, help="Replace files that are there already.")


def precision_option(default: Precision) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option of a precision, with the default that suits the command."""
    kinds = click.Choice(PRECISIONS)
    return click.option("--precision", type=kinds, default=default, show_default=True, help="Of the networks.")


def free(path: Path, force: bool) -> Path:
    """The path, unless a file of the user stands there."""
    if path.exists() and not force:
        raise NavbenchError(f"{path} is there already; name another file, or replace it with --force.")
    return path


@click.group("testbed", cls=Family, **example("navbench testbed train"))
def testbed() -> None:
    """The cars: images with known factors, a generator of them, and a scorer that reads them."""


@testbed.command(**example("navbench testbed train --preset cpu --images 500000 --out runs/testbed"))
@click.option("--preset", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True, help="How large.")
@click.option("--images", type=click.IntRange(1), help="Renderings to be seen. Default: the preset's.")
@click.option("--seed", type=click.IntRange(0), help="Of everything random. Default: 0.")
@click.option("--batch", type=click.IntRange(2), help="Renderings of a step.")
@click.option("--learning-rate", type=FiniteRange(0, min_open=True), help="Of Adam.")
@click.option("--r1", type=FiniteRange(0), help="Weight of the gradient penalty.")
@click.option("--out", type=FOLDER, default="runs/testbed", show_default=True, help="Checkpoint, log and samples.")
@device_option
@precision_option("bf16")
@quiet_option
def train(preset: str, out: Path, device: str, precision: Precision, **values: Any) -> None:
    """Train the generator of cars, or go on with a training that the folder holds.

    The preset cpu is a network of 0.9 million parameters for a few cores, gpu one of 9 million for a GPU; bf16 suits
    both. A checkpoint is written every few minutes; what was interrupted goes on from the last one. Images, batch,
    learning rate and r1 may be others than before, and the log then says so.
    """
    with loading():
        from navbench.compute import Compute
        from navbench.testbed.train import PRESETS, Training

    changed = {key: value for key, value in values.items() if value is not None}
    settings = PRESETS[preset].model_copy(update=changed)
    training = Training(settings, Compute(device, precision), out)
    with stage(progress_console, "training of cars") as report:
        training.run(report)
    console.print(f"Checkpoint: {training.checkpoint} ({training.images} images)")
    console.print(f"Next: navbench testbed export {out} --out cars.safetensors")


@testbed.command("train-scorer", **example("navbench testbed train-scorer --out scorer.safetensors"))
@click.option("--out", type=FILE, required=True, help="The scorer's file.")
@force_option
@device_option
@precision_option("float32")
@quiet_option
@json_option("an object per factor, with the keys factor and r2")
def train_scorer(out: Path, force: bool, device: str, precision: Precision) -> list[dict[str, Any]]:
    """Train the network that reads the factors of a car from its image."""
    free(out, force)
    with loading():
        from navbench.compute import Compute
        from navbench.testbed.scorer import ScorerSettings, train_and_save

    with stage(progress_console, "training of the scorer") as report:
        shares = train_and_save(out, ScorerSettings(), Compute(device, precision), report)
    for name, share in shares.items():
        console.print(f"{name}: R2 {share:.4f}")
    console.print(f"Scorer: {out}")
    return [{"factor": name, "r2": share} for name, share in shares.items()]


@testbed.command(**example("navbench testbed export runs/testbed --out cars.safetensors"))
@click.argument("folder", type=FOLDER)
@click.option("--out", type=FILE, required=True, help="The generator's file.")
@click.option("--hardware", default="", help="What it was trained on, a sentence for the model card.")
@click.option("--note", "notes", multiple=True, help="How it was trained, a sentence for the card; again for more.")
@force_option
def export(folder: Path, out: Path, hardware: str, notes: tuple[str, ...], force: bool) -> None:
    """Write the moving average of a training as a generator, at half precision."""
    with loading():
        from navbench.testbed.export import export as write_export

    write_export(folder, free(out, force), hardware, notes)
    console.print(f"Generator: {out} ({out.stat().st_size / 2**20:.1f} MiB)")


@testbed.command(**example("navbench testbed evaluate --generator cars.safetensors --samples 10000 --card cars.md"))
@click.option("--generator", "file", type=FILE, help="An exported file. Default: that of the shipped cars.")
@click.option("--samples", type=click.IntRange(4), default=10_000, show_default=True, help="Images of each kind.")
@click.option("--extractor", default="efficientnet-lite0", show_default=True, help="Of the features.")
@click.option("--scorer", default="cars", show_default=True, help="What reads the factors.")
@click.option("--distance", default="stlpips-alex", show_default=True, help="In which images also count as alike.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of codes and renderings.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Images per pass.")
@click.option("--card", type=FILE, required=True, help="The model card, Markdown; its picture goes beside it.")
@force_option
@device_option
@precision_option("float32")
@quiet_option
@json_option(
    "an object with generated and renderings, each number of the card as value and stderr, and factors, an object per "
    "factor"
)
def evaluate(
    file: Path | None, samples: int, extractor: str, scorer: str, distance: str, seed: int, batch: int, card: Path,
    force: bool, device: str, precision: Precision,
) -> dict[str, Any]:  # fmt: skip
    """Compare a generator of cars with renderings, and write its model card."""
    picture = card.with_suffix(".png")
    for path in (card, picture):
        free(path, force)
    with loading():
        from navbench.compute import Compute
        from navbench.generators.files import read_generator, read_header
        from navbench.metrics.attributes import create_scorer
        from navbench.metrics.extractors import create_extractor
        from navbench.metrics.perceptual import create_distance
        from navbench.testbed import card as cards
        from navbench.testbed.evaluate import evaluate as measure_quality
        from navbench.testbed.shipped import GENERATOR

    compute, path = Compute(device, precision, batch), file or GENERATOR
    generator = compute.place(read_generator(path))
    networks = create_extractor(extractor, compute), create_scorer(scorer, compute), create_distance(distance, compute)
    with stage(progress_console, "quality") as report:
        quality = measure_quality(generator, *networks, samples, seed, compute, report)
    parameters = sum(weight.numel() for weight in generator.parameters())
    write_atomically(card, cards.model_card(read_header(path), quality, parameters, picture.name))
    write_atomically(picture, cards.picture(generator, seed))
    _show(("", "generated", "renderings"), cards.quality_rows(quality))
    _show(cards.FACTOR_COLUMNS, cards.factor_rows(quality))
    console.print(f"Model card: {card}")
    return {
        "generated": _numbers(quality.generated),
        "renderings": _numbers(quality.floor),
        "factors": [asdict(factor) for factor in quality.factors],
    }


def _numbers(distances: Distances) -> dict[str, dict[str, float]]:
    """Each distance with its standard error."""
    estimates = {each.name: getattr(distances, each.name) for each in fields(distances)}
    return {name: {"value": each.value, "stderr": each.stderr} for name, each in estimates.items()}


def _show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = folding(*columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)


@testbed.command(**example("navbench testbed samples --out samples.png --count 64"))
@click.option("--generator", help="Draw the images of this generator, by name. Default: renderings.")
@click.option("--count", type=click.IntRange(1), default=64, show_default=True, help="Images, in rows of eight.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of factors or codes.")
@click.option("--out", type=FILE, required=True, help="The picture, PNG.")
@force_option
@device_option
def samples(generator: str | None, count: int, seed: int, out: Path, force: bool, device: str) -> None:
    """Draw a sheet of renderings, or of a generator's first images, neither chosen nor truncated."""
    free(out, force)
    with loading():
        from navbench.compute import Compute
        from navbench.testbed import card as cards
        from navbench.testbed.pictures import png, sheet

    if generator is None:
        images = cards.renderings(count, seed)
    else:
        images = cards.samples(zoo.create(generator, Compute(device)), count, seed)
    write_atomically(out, png([sheet(images)]))
    console.print(f"Samples: {out}")
