"""Generators of 8x8 pixels that are not what they should be, one fault each; and some that only look so."""

import sys
from collections import OrderedDict
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from analytic import Convolutions, LinearGenerator
from torch import nn

from navbench.generators.base import Generator


class Faulty(Convolutions):
    """The module of `analytic`, with something done to its images."""

    def __init__(self, fault=lambda images: images):
        super().__init__()
        self.fault = fault

    def forward(self, z):
        return self.fault(super().forward(z))


class Layered(Convolutions):
    """The same with one more layer before its last."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, z):
        return torch.tanh(self.layer(super().forward(z)))


class Stubborn(Layered):
    """It has no evaluation mode."""

    def train(self, mode=True):
        return self

    def eval(self):
        return None


class Own(LinearGenerator):
    """A `Generator` of a user's own with small images, something done to them."""

    def __init__(self, fault=lambda images: images):
        super().__init__()
        self.fault = fault
        self.map.weight.data *= 0.1

    def forward(self, codes):
        return self.fault(super().forward(codes))


def noisy(images, size=0.1):
    return images + size * torch.randn_like(images)


def noise_by_place(images):
    return images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))


def less_its_mean(images):
    return images - images.mean(dim=0, keepdim=True)


def failing(images):
    raise ValueError("eleven is not a size")


def wordless(images):
    assert images is None


def leaving(images):
    sys.exit(0)


def of_four_codes(images):
    """Written for a batch of four."""
    return images.view(4, 3, 8, 8)


def made(fault):
    """A maker of a module with that fault."""
    return lambda: Faulty(fault)


def normalised(track=True):
    return Stubborn(nn.BatchNorm2d(3, track_running_stats=track))


def batch_normalised_always():
    """Without running statistics, those of the batch are used in evaluation mode, too."""
    return Layered(nn.BatchNorm2d(3, track_running_stats=False))


NO_FUNCTIONS = {
    "noise of each call": (made(noisy), r"two passes over the same batch differ by 0\.\d+, as noise of each call"),
    "little noise of each call": (made(lambda images: noisy(images, 3e-4)), r"differ by 0\.000\d+, as noise"),
    "functional dropout": (made(lambda images: F.dropout(images, 0.2)), "two passes over the same batch differ"),
    "noise by place": (made(noise_by_place), r"an input alone differs by 0\.\d+ from the same in a batch"),
    "less the batch's mean": (made(less_its_mean), r"an input alone differs by 0\.\d+ from the same in a batch"),
    "statistics of the batch": (batch_normalised_always, "an input alone differs by"),
    "dropout without evaluation": (
        lambda: Stubborn(nn.Dropout(0.5)),
        r"; its layer module\.layer \(Dropout\) is in training mode in spite of eval\(\)",
    ),
    "normalisation without evaluation": (
        normalised,
        r"; its layer module\.layer \(BatchNorm2d\) is in training mode in spite of eval\(\)",
    ),
    "own generator with noise": (lambda: Own(noisy), "two passes over the same batch differ"),
}
"""By name, what makes it, and the words about it."""

NO_IMAGES = {
    "error": (
        made(failing),
        r"\(Faulty\) failed when it was given codes \(4, 6\) of float32 on cpu: ValueError: eleven is",
    ),
    "error without words": (made(wordless), r"on cpu: AssertionError \(--debug shows where\)\.$"),
    "exit": (made(leaving), r"tried to end the program \(sys.exit\(0\)\) when it was given codes \(4, 6\) of float32"),
    "another batch size": (made(of_four_codes), r"given codes \(2, 6\) of float32 on cpu: RuntimeError: shape '\[4, 3"),
    "one image of many": (made(lambda images: images[:1]), r"makes 1 images of 4 codes; .* whatever the batch size\.$"),
    "two channels": (
        made(lambda images: images[:, :2]),
        r"makes tensors of shape \(4, 2, 8, 8\); they must be \(N, 3, H, W\)",
    ),
    "numpy": (made(lambda images: images.numpy()), "returns a ndarray; it must return images, a tensor"),
    "a list of lists": (made(lambda images: [images.tolist()]), "returns a list; it must return images"),
    "nothing": (made(lambda images: None), "returns a NoneType; it must return images"),
    "bytes": (made(lambda images: (images * 127 + 128).byte()), r"makes images of uint8; .* in \[-1, 1\]\.$"),
    "to 255": (made(lambda images: images * 127.5 + 127.5), r"makes images in \[.*\]; scale its images to \[-1, 1\]"),
    "constant": (made(lambda images: images * 0 + 0.25), "makes images of nothing but 0.25; check its weights"),
    "NaN": (made(lambda images: images * float("nan")), "made images with NaN or infinite values; check its weights"),
    "own error": (lambda: Own(failing), r"failed when it was given z \(2, 3\) of float32 on cpu: ValueError: eleven"),
    "own double": (lambda: Own().double(), r"given z \(2, 3\) of float32 on cpu: RuntimeError: .*same"),
    "own to 255": (lambda: Own(lambda images: images * 300), "scale its images to"),
    "own of another size": (lambda: Own(lambda images: images[..., :3]), "makes images of 4x3, but its size is 4x4"),
    "code of nothing": (lambda: coded((0,)), r"has the code_shape \(0,\); give it positive whole numbers"),
    "code of words": (lambda: coded("six"), "has the code_shape 'six'; give it positive whole numbers"),
    "maker that fails": (lambda: failing(None), "'mine:make' failed: ValueError: eleven is not a size"),
    "maker that ends": (lambda: sys.exit(), r"'mine:make' tried to end the program \(sys.exit\(None\)\)"),
}
"""Likewise, of what is no generator at all."""

GOOD = {
    "tuple": made(lambda images: (images, images * 0)),
    "list": made(lambda images: ["a word", images]),
    "dictionary": made(lambda images: {"loss": 1.0, "images": images}),
    "dictionary of anything": made(lambda images: OrderedDict(rgb=images)),
    "sample": made(lambda images: SimpleNamespace(sample=images)),
    "half": lambda: Faulty().half(),
    "bfloat16": lambda: Faulty().bfloat16(),
    "double": lambda: Faulty().double(),
    "double images": made(lambda images: images.double()),
    "rounding": made(lambda images: images * (1 + 1e-6 * torch.rand_like(images))),
}
"""Makers of modules whose images are those of `Faulty`, to rounding of their weights."""


def coded(shape):
    module = Faulty()
    module.code_shape = shape
    return module


assert issubclass(Own, Generator)
