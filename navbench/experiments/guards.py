"""What is measured must be a function: a generator of its codes, a network of its images; or its noise is told.

Experiments compare images of the same codes (common random numbers), and keys of results name the code alone. Noise of
each call, dropout, statistics of the batch make both wrong without a trace, so what does not repeat is refused, unless
the user allows it: then the report says below which effect nothing can be said.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from navbench.compute import Compute
from navbench.errors import NavbenchError, NavbenchWarning
from navbench.experiments.edit import unshifted
from navbench.generators.base import Generator
from navbench.generators.outputs import check_range
from navbench.metrics.extractors import Extractor, probe_images
from navbench.metrics.networks import PluginNetwork
from navbench.metrics.perceptual import PerceptualDistance
from navbench.metrics.repeatability import INPUTS, Repeatability, repeatability

LARGEST_BATCH = 16
"""Images of a batch in which noise is measured, at most: that of a batch's statistics shrinks with its size."""


@dataclass(frozen=True)
class Noise:
    """How far two images of the same codes differ, of a generator that is not a function of them.

    Attributes:
        generator: its name.
        effect: the mean perceptual distance of both images.
        squared_difference: the mean of their squared difference over pixels and channels, of images in [-1, 1].
        codes: how many.
        batch: of how many codes, which are others for the second image.
    """

    generator: str
    effect: float
    squared_difference: float
    codes: int
    batch: int

    def __str__(self) -> str:
        """A sentence for the manifest and the report."""
        return (
            f"Generator {self.generator} is not a function of its codes: two images of the same code differ by an "
            f"effect of {self.effect:.2g} and a mean squared pixel difference of {self.squared_difference:.2g} (the "
            f"mean of {self.codes} codes, in batches of {self.batch} with other neighbours); smaller effects say "
            "nothing."
        )


def check_generator(generator: Generator, compute: Compute, *, allow_stochastic: bool = False) -> bool:
    """Whether a generator is a function of its codes: two codes are imaged twice, and the second one alone.

    It is tried at float32, whatever the precision of `compute`, as bf16 rounds otherwise in other batches.

    Raises:
        NavbenchError: it is none, and that is not allowed; or it makes no images.
        Failure: it makes NaN.
    """
    exact = compute.at("float32")
    codes = generator.sample(range(INPUTS), seed=0)
    images = unshifted(generator, codes, exact)
    if images.shape[2:] != generator.size:
        made, said = ("x".join(map(str, size)) for size in (images.shape[2:], generator.size))
        raise NavbenchError(f"Generator {generator.name} makes images of {made}, but its size is {said}; mend the one.")
    if not type(generator).__module__.startswith("navbench."):  # of those, families are known, and modules were seen
        check_range(images, f"Generator {generator.name}")
    found = repeatability(lambda part: unshifted(generator, codes[part], exact), unit=1.0)
    return not _refused(f"Generator {generator.name}", "codes", found, generator, allow_stochastic)


def check_network(network: PluginNetwork, images: Tensor, *, allow_stochastic: bool = False) -> None:
    """Refuse a network that is not a function of its images, two of them, (2, 3, H, W); or note its noise.

    Raises:
        NavbenchError: it is none, and that is not allowed.
    """
    network.noise = _refused(str(network), "images", network.repeatability(images), network.module, allow_stochastic)


def check_extractor(extractor: Extractor, *, allow_stochastic: bool = False) -> None:
    """The same of an extractor that another package adds; those of torch-fidelity are known."""
    if isinstance(extractor, PluginNetwork):
        check_network(extractor, probe_images(), allow_stochastic=allow_stochastic)


def _refused(what: str, inputs: str, found: Repeatability, module: nn.Module, allow_stochastic: bool) -> str:
    """What is said of something that is no function, in a warning where that is allowed; '' for functions."""
    if found.is_function:
        return ""
    sentence = f"{what} is not a function of its {inputs}: {found.words}{_training(module)}"
    if not allow_stochastic:
        raise NavbenchError(
            f"{sentence}; mend that, or have it measured as it is by --allow-stochastic (allow_stochastic in suites "
            "and in Python)."
        )
    sentence = f"{sentence} (relative, root mean square); smaller differences say nothing."
    warnings.warn(sentence, NavbenchWarning, stacklevel=3)
    return sentence


def _training(module: nn.Module) -> str:
    """The first layer that is still in training mode, where that is why answers differ."""
    for name, layer in module.named_modules():
        if layer.training and isinstance(layer, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd):
            return f"; its layer {name} ({type(layer).__name__}) is in training mode in spite of eval()"
    return ""


def noise_of(generator: Generator, distance: PerceptualDistance, compute: Compute) -> Noise:
    """Image codes twice, with other neighbours in the batch, and measure how far both images differ."""
    batch = min(compute.batch, LARGEST_BATCH)
    count = 2 * batch
    orders: Sequence[Sequence[int]] = (range(count), [*range(0, count, 2), *range(1, count, 2)])
    first, second = (_imaged(generator, order, batch, compute) for order in orders)

    @torch.no_grad()
    def distances(indices: Sequence[int]) -> Tensor:
        one, other = (distance.features(images[list(indices)].to(compute.device)) for images in (first, second))
        return (one - other).square().sum(dim=1).cpu()

    effect = float(torch.cat([*compute.over(range(count), distances)]).mean())
    return Noise(generator.name, effect, float((first - second).square().mean()), count, batch)


def _imaged(generator: Generator, order: Sequence[int], batch: int, compute: Compute) -> Tensor:
    """Images of codes, (N, 3, H, W), made in batches in an order, and given back by their numbers."""

    def made(indices: Sequence[int]) -> Tensor:
        return unshifted(generator, generator.sample(indices, seed=0), compute).cpu()

    groups = (order[start : start + batch] for start in range(0, len(order), batch))
    images = torch.cat([each for group in groups for each in compute.over(group, made)])
    return images[torch.tensor(order).argsort()]
