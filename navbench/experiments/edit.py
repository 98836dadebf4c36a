"""One direction on its generator, ready to be rendered: what every experiment starts from."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute
from navbench.directions import Direction
from navbench.generators.base import Codes, Generator
from navbench.generators.outputs import check_shape
from navbench.seeds import Role
from navbench.spaces import describe
from navbench.user_code import running


class Edit:
    """A direction on a generator and a device.

    Attributes:
        space: the space that the direction lies in.
    """

    def __init__(self, generator: Generator, direction: Direction, compute: Compute) -> None:
        self.direction, self.compute = direction, compute
        self.space = direction.space_of(generator)

    def __repr__(self) -> str:
        direction = self.direction
        where = describe(self.space)
        return f"Edit({direction.name}, {where}, t from {direction.t_min:.3g} to {direction.t_max:.3g})"

    @property
    def offset(self) -> Tensor:
        """The offset, of unit norm, on the device; made anew each time, as it may be large."""
        return self.direction.offset.to(self.compute.device)

    @property
    def cache_key(self) -> list[Any]:
        """What results depend on."""
        return [self.space.generator.cache_key, self.direction.cache_key, self.compute.cache_key]

    def prepare(self, codes: Codes) -> Callable[[float], Tensor]:
        """A function from t to the images of these codes, (N, 3, H, W), float32; t = 0 is the generator itself.

        What comes before the shifted layer is done here, once for all shifts.
        """
        return self.renderer(self.state(codes))

    @torch.no_grad()
    def state(self, codes: Codes) -> Any:
        """All work that no offset changes: the same for every direction of this space."""
        with self.compute.autocast(), running(f"Generator {self.space.generator.name}", vars(codes)):
            return self.space.prepare(codes)

    def renderer(self, state: Any) -> Callable[[float], Tensor]:
        """The function from t to images, from a state of this space."""
        offset = self.offset

        @torch.no_grad()
        def render(t: float) -> Tensor:
            where = f"Generator {self.direction.generator} at t = {t:g} of {self.direction.name}"
            with self.compute.autocast(), running(where):
                images = self.space.render(state, t * offset)
            return self.compute.finite(images, where)

        return render


def codes_for(generator: Generator, role: Role, indices: Sequence[int], seed: int) -> Codes:
    """The codes of a role with these indices: the same for every t, direction and method (common random numbers).

    Raises:
        ValueError: there is no such role.
    """
    return generator.sample(indices, seeds.derived(seed, Role(role)))


def reduced(images: Tensor, side: int) -> Tensor:
    """Images (N, 3, H, W) at no more than a side, each pixel the mean of the area that it stands for."""
    longest = max(images.shape[2:])
    if longest <= side:
        return images
    size = [round(length * side / longest) for length in images.shape[2:]]
    return F.interpolate(images, size=size, mode="area")


@torch.no_grad()
def unshifted(generator: Generator, codes: Codes, compute: Compute) -> Tensor:
    """Images of the generator itself, (N, 3, H, W), float32.

    Raises:
        NavbenchError: it raises an error, or makes no images.
    """
    what = f"Generator {generator.name}"
    with compute.autocast(), running(what, vars(codes)):
        images = generator(codes)
    check_shape(images, len(codes), what)
    return compute.finite(images, what)
