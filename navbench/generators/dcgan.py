"""DCGAN (Radford, Metz, Chintala 2016): transposed convolutions from a code, and maybe a class, to an image."""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import weights
from navbench.errors import NavbenchError
from navbench.generators.base import Codes, Generator, Layer, State, convolve
from navbench.generators.classes import ClassCodes, check_classes, classes_variant, draw_classes, no_class
from navbench.generators.loading import load_strictly
from navbench.generators.options import Options


class DCGAN(Generator):
    """The standard generator: (latent_dim, 1, 1) to (3, resolution, resolution), doubling from 4x4, tanh at the end.

    The stack is one Sequential named `main`, as in the PyTorch tutorial, so that its checkpoints load as they are.
    """

    def __init__(self, name: str, description: str, latent_dim: int = 100, channels: int = 64, resolution: int = 64):
        super().__init__()
        self.name, self.description = name, description
        self.latent_dim, self.resolution = latent_dim, resolution
        width = channels * resolution // 8  # of the 4x4 stage; it halves as the size doubles
        stages: list[nn.Module] = [nn.ConvTranspose2d(latent_dim, width, 4, 1, 0, bias=False)]
        for _ in range((resolution // 4).bit_length() - 2):
            stages += [nn.BatchNorm2d(width), nn.ReLU()]
            stages += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False)]
            width //= 2
        stages += [
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        ]
        self.main = nn.Sequential(*stages)

    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W), in [-1, 1]."""
        return self.main(self.entering(codes))

    def entering(self, codes: Codes) -> Tensor:
        """What enters the first layer, (N, C, 1, 1): z."""
        return codes.z[:, :, None, None]

    def layers(self) -> tuple[Layer, ...]:
        """The transposed convolutions, first to last."""
        found = [(f"main.{i}", module) for i, module in enumerate(self.main) if isinstance(module, nn.ConvTranspose2d)]
        return tuple(Layer(name, index, module.weight.shape, True) for index, (name, module) in enumerate(found))

    def latent_weights(self, kind: str) -> Tensor:
        """The first layer, which is linear in z, as genforce/sefa takes PGGAN's: (width * 4 * 4, latent_dim)."""
        self.latent_shape(kind)  # refuses an unknown kind
        return self.kernel(self.layers()[0]).flatten(1).T

    def before(self, codes: Codes, layer: Layer) -> State:
        """The stages up to the layer."""
        return State(self.main[: self._place(layer)](self.entering(codes)))

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The layer with its own or another kernel, and the stages after it."""
        image = convolve(self.convolution(layer), state.input, weight)
        return self.main[self._place(layer) + 1 :](image)

    @staticmethod
    def _place(layer: Layer) -> int:
        return int(layer.name.removeprefix("main."))


class ConditionalDCGAN(DCGAN):
    """A DCGAN that reads the class beside z, one-hot (Mirza & Osindero 2014), and was trained with dropout.

    Dropout stands behind the first stage, so that layers have the names of the published `eyes`: main.0, main.4,
    main.7 and so on.  In evaluation it does nothing.

    Attributes:
        class_count: the number of classes.
        classes: those that codes are drawn from, uniformly; empty for all.
    """

    classes: tuple[int, ...] = ()

    def __init__(
        self, name: str, description: str, class_count: int, latent_dim: int = 100, channels: int = 64,
        resolution: int = 64,
    ):  # fmt: skip
        super().__init__(name, description, latent_dim + class_count, channels, resolution)
        self.latent_dim, self.class_count = latent_dim, class_count
        self.main.insert(3, nn.Dropout(0.2))

    def configure(self, options: Options) -> None:
        """Set the classes that codes draw from; it has no other option."""
        options.refuse(*(name for name in Options.model_fields if name != "classes"), family=f"Generator {self.name}")
        check_classes(self.name, self.class_count, options.classes)
        self.classes = options.classes

    @property
    def variant(self) -> str:
        """The classes, where not all are drawn: they change the codes."""
        return classes_variant(self.classes)

    def sample(self, indices: Sequence[int], seed: int) -> ClassCodes:
        """Codes on the generator's device; code i, with its class, depends on (seed, i) only."""
        label = draw_classes(indices, seed, self.class_count, self.classes)
        return ClassCodes(super().sample(indices, seed).z, label.to(self.device))

    def entering(self, codes: Codes) -> Tensor:
        """What enters the first layer, (N, C, 1, 1): z, and after it the class as one-hot."""
        if not isinstance(codes, ClassCodes):
            raise no_class(self.name)
        label = F.one_hot(codes.label, self.class_count).to(codes.z)
        return torch.cat([codes.z, label], dim=1)[:, :, None, None]

    def latent_weights(self, kind: str) -> Tensor:
        """The part of the first layer that reads z: (width * 4 * 4, latent_dim)."""
        return super().latent_weights(kind)[:, : self.latent_dim]


EYES = ("amber", "blue", "brown", "gray", "grayscale", "green", "hazel", "red")
"""The classes of `eyes`: colours, in the order of their numbers."""


def eyes() -> ConditionalDCGAN:
    """The pretrained generator `eyes`: 128x128 painted eyes of eight colours, 12.9 M parameters, MIT licence.

    By R. Knoester, trained on the eyes of paintings in OmniArt (Strezoski & Worring 2018).
    """
    description = "class-conditional DCGAN of 128x128 painted eyes, trained on the OmniArt Eye Dataset"
    generator = ConditionalDCGAN("eyes", description, len(EYES), resolution=128)
    generator.origin = {"classes": ", ".join(f"{label} {name}" for label, name in enumerate(EYES))}
    return load_strictly(generator, weights.load("eyes"), "The file of the weights 'eyes'")


@cache
def _face_weights() -> dict[str, Tensor]:
    return weights.load("faces")["netG_state_dict"]


def faces() -> DCGAN:
    """The pretrained generator `faces`: 64x64 synthetic faces after DigiFace-1M, 3.6 M parameters, MIT licence."""
    generator = DCGAN("faces", "DCGAN of 64x64 faces, trained on DigiFace-1M")
    wrong = generator.load_state_dict(_face_weights(), strict=False)
    if wrong.missing_keys or wrong.unexpected_keys:
        raise NavbenchError(
            f"The weights of faces do not fit: missing {wrong.missing_keys}, unexpected {wrong.unexpected_keys}."
        )
    return generator
