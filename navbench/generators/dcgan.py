"""DCGAN (Radford, Metz, Chintala 2016): a stack of transposed convolutions from a code to an image."""

from functools import cache

from torch import Tensor, nn

from navbench import weights
from navbench.errors import NavbenchError
from navbench.generators.base import Codes, Generator, Layer, State, convolve


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
        return self.main(codes.z[:, :, None, None])

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
        return State(self.main[: self._place(layer)](codes.z[:, :, None, None]))

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The layer with its own or another kernel, and the stages after it."""
        image = convolve(self.convolution(layer), state.input, weight)
        return self.main[self._place(layer) + 1 :](image)

    @staticmethod
    def _place(layer: Layer) -> int:
        return int(layer.name.removeprefix("main."))


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
