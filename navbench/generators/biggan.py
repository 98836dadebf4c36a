"""BigGAN and BigGAN-deep (Brock, Donahue, Simonyan, ICLR 2019): a class and z steer residual blocks.

The module tree, and so the names of tensors and layers, is that of BigGAN-PyTorch, by the paper's first author;
`biggan_layouts` reads its files.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from navbench import seeds
from navbench.errors import NavbenchError
from navbench.generators.base import Codes, Generator, Layer, State, convolve
from navbench.generators.biggan_layers import (
    Attention,
    BatchNorm,
    Block,
    ConditionalBatchNorm,
    DeepGBlock,
    GBlock,
    Outputs,
    Reader,
    StoredStatistics,
)
from navbench.generators.classes import ClassCodes, check_classes, classes_variant, draw_classes, no_class


@dataclass(frozen=True)
class Sizes:
    """What the networks are built from.

    Attributes:
        widths: channels before the first resolution's blocks, and after those of each; G_ch times small numbers.
        latent_dim: of z (dim_z).
        class_count: the number of classes.
        shared_dim: of the embedding of the class that all layers share; 0 if every normalisation has its own.
        hierarchical: whether z reaches every block, in chunks; always so in BigGAN-deep, but undivided.
        attention: the resolutions behind which there is attention (G_attn).
        depth: blocks per resolution of BigGAN-deep (G_depth); 0 for BigGAN.
        bottom: height and width of the first tensor (bottom_width).
    """

    widths: tuple[int, ...]
    latent_dim: int
    class_count: int
    shared_dim: int
    hierarchical: bool
    attention: tuple[int, ...] = ()
    depth: int = 0
    bottom: int = 4

    @property
    def resolution(self) -> int:
        """Height and width of the images."""
        return self.bottom * 2 ** (len(self.widths) - 1)

    @property
    def chunks(self) -> list[slice]:
        """What the first layer reads of z, and then what each block reads."""
        count = (len(self.widths) - 1) * (self.depth or 1)
        if self.depth:
            return [slice(0, self.latent_dim)] * (count + 1)
        if not self.hierarchical:
            return [slice(0, self.latent_dim)] + [slice(0, 0)] * count
        size = self.latent_dim // (count + 1)
        return [slice(start * size, (start + 1) * size) for start in range(count + 1)]


@dataclass(frozen=True)
class _Rest:
    """What goes on beside a layer's input.

    Attributes:
        x: (N, C, h, w), what entered the layer's block.
        outputs: of the earlier convolutions of that block.
        conditions: of every block.
    """

    x: Tensor
    outputs: Outputs
    conditions: Sequence[Tensor]


class BigGAN(Generator):
    """A network at any size: a class and chunks of z steer the normalisations of residual blocks.

    Every convolution in the blocks is a shiftable layer, those of attention too; the one that makes RGB is not.
    Kernels are spectrally normalised once, when a file is read, and a shift is added to what comes out: to the kernel
    that the images are convolved with, whose largest singular value is about 1 in every layer.  (A shift of the raw
    kernel would be divided by a norm that is a training's accident, and a large one would change that norm.)

    Attributes:
        sizes: of its layers.
        truncation: z is drawn from a normal distribution cut off at +-2, times this (section 3.1);
            `None` for no cut.
        classes: from which codes draw theirs, uniformly; empty for all.
    """

    def __init__(
        self, name: str, description: str, sizes: Sizes, truncation: float | None = None, classes: Sequence[int] = ()
    ) -> None:
        """Build the network, with random weights."""
        super().__init__()
        self.name, self.description, self.sizes = name, description, sizes
        self.truncation, self.classes = truncation, tuple(classes)
        self.latent_dim, self.resolution = sizes.latent_dim, sizes.resolution
        self._check()
        read, *reads = [chunk.stop - chunk.start for chunk in sizes.chunks]
        if sizes.shared_dim:
            self.shared = nn.Embedding(sizes.class_count, sizes.shared_dim)
        first = read + (sizes.shared_dim if sizes.depth else 0)
        self.linear = nn.Linear(first, sizes.widths[0] * sizes.bottom**2)
        reader = (
            partial(nn.Linear, sizes.shared_dim + reads[0], bias=False)
            if sizes.shared_dim
            else partial(nn.Embedding, sizes.class_count)
        )
        self.blocks = nn.ModuleList(nn.ModuleList(group) for group in self._made_blocks(reader))
        last = sizes.widths[-1]
        self.output_layer = nn.Sequential(BatchNorm(last), nn.ReLU(), nn.Conv2d(last, 3, 3, padding=1))

    def _check(self) -> None:
        sizes = self.sizes
        if sizes.depth and not (sizes.shared_dim and sizes.hierarchical):
            raise NavbenchError(f"Generator {self.name}: z and a shared embedding reach every block of BigGAN-deep.")
        if sizes.hierarchical and not sizes.shared_dim:
            raise NavbenchError(f"Generator {self.name}: z reaches the blocks only beside a shared embedding.")
        if sizes.hierarchical and not sizes.depth and sizes.latent_dim % len(sizes.widths):
            raise NavbenchError(
                f"Generator {self.name}: {sizes.latent_dim} numbers of z are not {len(sizes.widths)} chunks of a size."
            )
        check_classes(self.name, sizes.class_count, self.classes)

    def _made_blocks(self, reader: Reader) -> list[list[Block]]:
        groups: list[list[Block]] = []
        for stage, (inputs, outputs) in enumerate(pairwise(self.sizes.widths), start=1):
            groups += [[DeepGBlock(inputs, inputs, reader, up=False)] for _ in range(1, self.sizes.depth)]
            last = DeepGBlock(inputs, outputs, reader, up=True) if self.sizes.depth else GBlock(inputs, outputs, reader)
            attends = self.sizes.bottom * 2**stage in self.sizes.attention
            groups.append([last, Attention(outputs)] if attends else [last])
        return groups

    @property
    def variant(self) -> str:
        """The truncation and the classes, where there are any: they change the codes."""
        truncation = "" if self.truncation is None else f"truncation {self.truncation:g}"
        return ", ".join(filter(None, (truncation, classes_variant(self.classes))))

    # --- codes

    def sample(self, indices: Sequence[int], seed: int) -> ClassCodes:
        """Codes on the generator's device; code i, with its class, depends on (seed, i) only."""
        indices = tuple(indices)
        z = seeds.normal(seed, indices, (self.latent_dim,))
        if self.truncation is not None:
            z = self.truncation * truncated(z)
        label = draw_classes(indices, seed, self.sizes.class_count, self.classes)
        return ClassCodes(z.to(self.device), label.to(self.device))

    def latent_weights(self, kind: str) -> Tensor:
        """The first layer, and the maps from z to gains and biases, each on its own chunk of z.

        Shen & Zhou describe BigGAN's in words alone; genforce/sefa has no code for it.
        """
        self.latent_shape(kind)  # refuses an unknown kind
        first, *chunks = self.sizes.chunks
        maps = [(self.linear.weight, first)]
        for group, chunk in zip(self.blocks, chunks, strict=True):
            for module in group.modules():
                if isinstance(module, ConditionalBatchNorm) and chunk.stop > chunk.start:
                    maps += [(each.weight, chunk) for each in cast(list[nn.Linear], [module.gain, module.bias])]
        return torch.cat([
            F.pad(weight[:, chunk.start - chunk.stop :], (chunk.start, self.latent_dim - chunk.stop))  # z comes last
            for weight, chunk in maps
        ])  # fmt: skip

    # --- images

    def forward(self, codes: Codes) -> Tensor:
        """Images of the codes, (N, 3, H, W), in [-1, 1]."""
        x, conditions = self._start(codes)
        return self._finish(x, conditions, 0)

    def layers(self) -> tuple[Layer, ...]:
        """The convolutions of the blocks in forward order; conv_sc, which runs beside the others, is the last."""
        convolutions = [
            (f"blocks.{row}.{column}.{name}", block.get_submodule(name))
            for row, group in enumerate(self.blocks)
            for column, block in enumerate(cast(Sequence[Block], group))
            for name in block.convolutions
        ]
        return tuple(
            Layer(name, index, cast(nn.Conv2d, module).weight.shape, False)
            for index, (name, module) in enumerate(convolutions)
        )

    def before(self, codes: Codes, layer: Layer) -> State:
        """The blocks before the layer's, and its own block up to the layer."""
        x, conditions = self._start(codes)
        place, block, name = self._find(layer)
        for row, earlier in self._steps()[:place]:
            x = earlier(x, conditions[row])
        condition = conditions[self._steps()[place][0]]
        outputs = block.run(x, condition, {}, stop=name)
        return State(block.input(name, x, outputs, condition), _Rest(x, outputs, conditions))

    def after(self, state: State, layer: Layer, weight: Tensor | None = None) -> Tensor:
        """The layer with its own or another kernel, the rest of its block, and the blocks after it."""
        rest: _Rest = state.rest
        place, block, name = self._find(layer)
        outputs = {**rest.outputs, name: convolve(self.convolution(layer), state.input, weight)}
        x = block.join(rest.x, block.run(rest.x, rest.conditions[self._steps()[place][0]], outputs))
        return self._finish(x, rest.conditions, place + 1)

    def _steps(self) -> list[tuple[int, Block]]:
        """All blocks in forward order, each with the number of its condition."""
        return [(row, block) for row, group in enumerate(self.blocks) for block in cast(Sequence[Block], group)]

    def _find(self, layer: Layer) -> tuple[int, Block, str]:
        """The place of a layer's block, the block, and the layer's name in it."""
        path, _, name = layer.name.rpartition(".")
        block = cast(Block, self.get_submodule(path))
        return [each for _, each in self._steps()].index(block), block, name

    def _start(self, codes: Codes) -> tuple[Tensor, list[Tensor]]:
        """The first tensor, and the condition of every block: the class's embedding and a chunk of z, in this order.

        At the precision of the weights also under autocast: small steps of a code would be lost.
        """
        if not isinstance(codes, ClassCodes):
            raise no_class(self.name)
        first, *chunks = self.sizes.chunks
        with torch.autocast(codes.z.device.type, enabled=False):
            entering = codes.z[:, first]
            if self.sizes.shared_dim:
                embedded = self.shared(codes.label)
                conditions = [torch.cat([embedded, codes.z[:, chunk]], dim=1) for chunk in chunks]
                entering = conditions[0] if self.sizes.depth else entering
            else:
                conditions = [codes.label] * len(chunks)
            x = self.linear(entering)
        return x.unflatten(1, (-1, self.sizes.bottom, self.sizes.bottom)), conditions

    def _finish(self, x: Tensor, conditions: Sequence[Tensor], place: int) -> Tensor:
        """The blocks from one place on, and the output."""
        for row, block in self._steps()[place:]:
            x = block(x, conditions[row])
        return torch.tanh(self.output_layer(x))


def truncated(normal: Tensor) -> Tensor:
    """Standard normal numbers as numbers of the normal distribution cut off at +-2, in the same order.

    Redrawing the numbers beyond +-2 gives that distribution (section 3.1).  Here each number is mapped to that of the
    same quantile, so a code is a function of its own normal numbers.
    """
    root = 2.0**0.5
    central = torch.erf(normal.double() / root)  # the probability of a number nearer to 0
    return (root * torch.erfinv(central * torch.erf(torch.tensor(root).double()))).clamp(-2, 2).to(normal.dtype)


@torch.no_grad()
def standing_statistics(generator: BigGAN, batches: int = 16, seed: int = 0, batch_size: int = 64) -> BigGAN:
    """The generator with recomputed batch-norm statistics (appendix C.1, 'standing statistics').

    As in the published code they are means, over batches, of each batch's mean and biased variance, while every batch
    is normalised by its own; codes are not truncated, and their classes are uniform over all.

    Args:
        generator: the original, which is not changed; its stored statistics are ignored.
        batches: how many.
        seed: of the codes.
        batch_size: codes per batch.
    """
    updated = deepcopy(generator)
    updated.source = None  # whose file holds other statistics
    for known in ("fingerprint", "cache_key"):
        updated.__dict__.pop(known, None)
    norms = [module for module in updated.modules() if isinstance(module, StoredStatistics)]
    sums = {norm: (torch.zeros_like(norm.stored_mean), torch.zeros_like(norm.stored_var)) for norm in norms}

    def take(norm: nn.Module, entering: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, StoredStatistics)
        norm.stored_var, norm.stored_mean = torch.var_mean(entering[0], dim=(0, 2, 3), correction=0)
        sums[norm][0].add_(norm.stored_mean)
        sums[norm][1].add_(norm.stored_var)

    hooks = [norm.register_forward_pre_hook(take) for norm in norms]
    role = seeds.derived(seed, "standing statistics")
    for batch in range(batches):
        indices = range(batch * batch_size, (batch + 1) * batch_size)
        z = seeds.normal(role, indices, (updated.latent_dim,)).to(updated.device)
        updated(ClassCodes(z, draw_classes(indices, role, updated.sizes.class_count, ()).to(z.device)))
    for hook in hooks:
        hook.remove()
    for norm, (mean, var) in sums.items():
        norm.stored_mean, norm.stored_var = mean / batches, var / batches
    return updated
