"""A generator and an extractor so small that a whole suite runs in a second; importing this registers the extractor."""

import torch
import torch_fidelity
from torch import nn
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY


class Toy(nn.Module):
    """A random network from (N, 4) codes to (N, 3, 24, 24) images; any module is a generator."""

    latent_dim = 4

    def __init__(self):
        super().__init__()
        self.first = nn.ConvTranspose2d(4, 8, 6)
        self.up = nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1)
        self.last = nn.ConvTranspose2d(6, 3, 4, stride=2, padding=1, bias=False)
        for index, parameter in enumerate(self.parameters()):
            values = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
            parameter.data = 0.35 * values

    def forward(self, z):
        x = torch.tanh(self.first(z[:, :, None, None]))
        return torch.tanh(self.last(torch.tanh(self.up(x))))


def make():
    """The generator, `toy:make`."""
    return Toy()


def broken():
    """The same, with weights that are not numbers in its last layer."""
    module = Toy()
    module.last.weight.data.fill_(float("nan"))
    return module


class Pixels(torch_fidelity.FeatureExtractorBase):
    """Six random projections of the pixels: 'toy-pixels'."""

    def __init__(self, name, features_list, feature_extractor_weights_path=None, **options):
        super().__init__(name, list(features_list))
        matrix = torch.randn(3 * 24 * 24, 6, generator=torch.Generator().manual_seed(0))
        self.register_buffer("matrix", matrix / len(matrix) ** 0.5)

    def forward(self, images):
        return (images.float().flatten(1) @ self.matrix / 32,)

    @staticmethod
    def get_provided_features_list():
        return ("6",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "6"

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return torch.zeros(1, 3, 24, 24, dtype=torch.uint8)


if "toy-pixels" not in FEATURE_EXTRACTORS_REGISTRY:
    torch_fidelity.register_feature_extractor("toy-pixels", Pixels)
