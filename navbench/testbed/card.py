"""The model card of a generator of cars: what it generates, its training, its quality, its limits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from navbench import seeds
from navbench.generators.base import Generator
from navbench.generators.files import Header
from navbench.metrics.estimate import Estimate
from navbench.testbed import cars
from navbench.testbed.evaluate import PERCEPTUAL, Distances, FactorQuality, Quality
from navbench.testbed.pictures import png, sheet

COUNT = 64
"""Images of each kind in the picture."""
FACTOR_COLUMNS = ("factor", "rendered spread", "generated spread", "ratio", "distance", "floor")
LIMITS = """\
- Its cars are drawings: side views, always to the right, one at a time. It says nothing of photographs.
- Every factor of the renderings is uniform on its range and independent of the others; images beyond a range
  are outside the data, and whether an edit gets there is what the testbed is for.
- The factors of a generated image are known only as well as a scorer reads them; the floors above say how well.
- Its weights are at half precision: images differ from those of the training's own average by a tenth of a
  grey level in the mean at most, and by a few at single pixels.
"""


def model_card(header: Header, quality: Quality, parameters: int, picture: str) -> str:
    """The card, as Markdown.

    Args:
        header: of the generator's file.
        quality: as measured.
        parameters: of the generator.
        picture: the name of the file beside the card with generated and rendered images.
    """
    card, size = header.card, header.architecture
    return "\n".join([
        f"# The generator `{header.name}`", "",
        f"{header.description}. Licence: MIT, as the package. It was trained from nothing but renderings that the "
        "package draws itself (`navbench.testbed.cars`), so no image of anybody is in it.", "",
        f"![{COUNT} generated cars beside {COUNT} rendered ones]({picture})", "",
        f"Left: the first {COUNT} codes, neither chosen nor truncated. Right: renderings.", "",
        "## Architecture", "",
        f"StyleGAN2 (Karras et al., CVPR 2020) with skip connections to RGB, {size.resolution}x{size.resolution} "
        f"pixels, {parameters:,} parameters: z of {size.latent_dim}, w of {size.style_dim}, "
        f"{size.mapping_layers} mapping layers, {size.channel_base} / r channels at resolution r, "
        f"{size.channel_max} at most. `w_avg` is the mean style of 10,000 codes.", "",
        "## Training", "", *_training(card), "",
        "## Quality", "", *_quality(quality), "",
        "## Factors", "", *_factors(quality), "",
        "## Limits", "", LIMITS,
    ])  # fmt: skip


def picture(generator: Generator, seed: int) -> bytes:
    """8x8 generated images beside 8x8 rendered ones, as a PNG."""
    return png([sheet(samples(generator, COUNT, seed)), sheet(renderings(COUNT, seed))])


@torch.no_grad()
def samples(generator: Generator, count: int, seed: int) -> Tensor:
    """Images (count, 3, H, W) of the first codes of the sheet's role."""
    return generator(generator.sample(range(count), _role(seed)))


def renderings(count: int, seed: int) -> Tensor:
    """Renderings (count, 3, H, W) of the sheet's role."""
    return cars.renderings(range(count), _role(seed))


def _role(seed: int) -> int:
    return seeds.derived(seed, "sheet")


def _training(card: dict[str, Any]) -> list[str]:
    settings = card["settings"]
    lines = [
        "Non-saturating loss, lazy R1 (a penalty every "
        f"{settings['r1_every']} steps), style mixing ({settings['mixing']:g}), Adam with betas 0 and 0.99, no path "
        "length regularisation, no augmentation; these are the weights' moving average, which halves over "
        f"{settings['average']:,} images.",
        "",
        "| setting | value |", "| --- | --- |",
        f"| renderings seen | {card['images']:,}, each once |",
        f"| batch | {settings['batch']} |",
        f"| learning rate | {settings['learning_rate']:g} |",
        f"| R1's gamma | {settings['r1']:g} |",
        f"| discriminator | {settings['critic_base']} / r channels, {settings['channel_max']} at most |",
        f"| seed | {settings['seed']} |",
        f"| hours | {card['hours']:g} |",
    ]  # fmt: skip
    if card["hardware"]:
        lines.append(f"| hardware | {card['hardware']} |")
    along = [f"- At {change['images']:,} images: {change['change']}." for change in card["changes"]]
    along += [f"- {note}" for note in card["notes"]]
    return lines + (["", "The settings are the last; along the way:", "", *along] if along else [])


def quality_rows(quality: Quality) -> list[tuple[str, str, str]]:
    """Each distance's name, and how it is for generated images and for other renderings, the floor."""
    rows = (
        (f"{quality.metric} ({quality.extractor})", "frechet", 2),
        (f"KID ({quality.extractor}) x 1000", "kernel", 2),
        (f"precision ({quality.extractor})", "precision", 3),
        (f"recall ({quality.extractor})", "recall", 3),
        (f"precision ({quality.distance})", "perceptual_precision", 3),
        (f"recall ({quality.distance})", "perceptual_recall", 3),
    )
    return [
        (title, _cell(quality.generated, name, digits), _cell(quality.floor, name, digits))
        for title, name, digits in rows
    ]


def _quality(quality: Quality) -> list[str]:
    return [
        f"{quality.n:,} generated images against {quality.n:,} fresh renderings (seed {quality.seed}), and as many "
        "other renderings against the same, the floor. Precision and recall after Kynkäänniemi et al. (2019), k = 3; "
        "uncertainties are standard errors, the reference held fixed. Those in the features of the perceptual distance "
        f"are of the first {min(quality.n, PERCEPTUAL):,} images of each kind: renderings are smooth to the last bit, "
        "which a classifier's features see and an eye does not. Grain of one grey level (0.01 on [-1, 1]) on "
        "renderings themselves takes their precision from 0.88 to 0.01 in the features of efficientnet-lite0, and "
        "from 0.94 to 0.92 in those of stlpips-alex (n = 300).", "",
        "| | generated | renderings |", "| --- | --- | --- |", *map(_line, quality_rows(quality)),
    ]  # fmt: skip


def _cell(distances: Distances, name: str, digits: int) -> str:
    estimate: Estimate = getattr(distances, name)
    scale = 1000 if name == "kernel" else 1
    return f"{estimate.value * scale:.{digits}f} ± {estimate.stderr * scale:.{digits}f}"


def _factors(quality: Quality) -> list[str]:
    return [
        "As the scorer reads them. The distance is the Wasserstein-1 distance between the readings on generated "
        "images and on renderings, in units of the factor's spread (around the circle for angles); the floor is that "
        "of other renderings.", "",
        _line(FACTOR_COLUMNS),
        "| --- | --- | --- | --- | --- | --- |",
        *map(_line, factor_rows(quality)),
    ]  # fmt: skip


def factor_rows(quality: Quality) -> list[tuple[str, ...]]:
    """What `FACTOR_COLUMNS` name, of each factor."""
    return [_factor(factor) for factor in quality.factors]


def _factor(factor: FactorQuality) -> tuple[str, ...]:
    spreads = [
        "-" if spread is None else f"{spread:.3g} {factor.unit}".strip()
        for spread in (factor.rendered_spread, factor.generated_spread)
    ]
    ratio = "-" if factor.ratio is None else f"{factor.ratio:.2f}"
    return factor.name, *spreads, ratio, f"{factor.distance:.3f}", f"{factor.floor:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
