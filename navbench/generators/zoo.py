"""Names to generators: installed entry points, 'package.module:callable', or checkpoint files.

What only looks at names needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from navbench import plugins
from navbench.errors import NavbenchError

if TYPE_CHECKING:
    from torch import nn

    from navbench.compute import Compute
    from navbench.generators.base import Generator
    from navbench.generators.options import Options
    from navbench.generators.wrapped import Wrapped

GROUP = "navbench.generators"
SUFFIXES = {".pkl", ".pt", ".pth", ".safetensors", ".tar", ".ckpt", ".bin"}
"""A name with one of these endings is that of a file, even a missing one; its format is detected from its content."""


def known() -> dict[str, EntryPoint]:
    """The installed generators by name."""
    return plugins.known(GROUP)


def create(name: str, compute: Compute, options: Options | None = None) -> Generator:
    """The generator of that name, frozen, on the device of `compute`.

    Args:
        name: an installed entry point of the group `navbench.generators` or 'package.module:callable', either of
            which gives a callable that returns a `Generator`, or an `nn.Module` with an attribute `code_shape` or
            `latent_dim`; or the path of a checkpoint.
        compute: the device.
        options: how it is to run; `None` for what is stored. Most that are no checkpoints have none.

    Raises:
        NavbenchError: the name is unknown, or the generator does not take one of the options.
    """
    from torch import nn

    from navbench.generators.base import Generator
    from navbench.generators.checkpoints import read_checkpoint
    from navbench.generators.options import Options

    if is_file(name):
        return _placed(read_checkpoint(Path(name), options or Options()), compute)
    generator = plugins.make(GROUP, "generator", name)
    if isinstance(generator, nn.Module) and not isinstance(generator, Generator):
        generator = _wrap(generator, name)
    if not isinstance(generator, Generator):
        raise NavbenchError(
            f"Generator {name!r} is a {type(generator).__name__}; it must be a Generator or an nn.Module."
        )
    generator.configure(options or Options())
    return _placed(generator, compute)


def _placed(generator: Generator, compute: Compute) -> Generator:
    """A generator on the device, whose memory is watched from now on if a batch of its images may not fit."""
    compute.watch(generator.size)
    return compute.place(generator)


def is_file(name: str) -> bool:
    """Whether a name is that of a checkpoint file, there or not, rather than of something installed."""
    path = Path(name)
    return name not in known() and (path.is_file() or len(path.parts) > 1 or path.suffix.lower() in SUFFIXES)


def _wrap(module: nn.Module, name: str) -> Wrapped:
    from navbench.generators.wrapped import Wrapped

    shape = getattr(module, "code_shape", None) or getattr(module, "latent_dim", None)
    if shape is None:
        raise NavbenchError(
            f"Generator {name!r} is a plain module: give it an attribute code_shape, (latent_dim,) for example, "
            "or return navbench.generators.wrapped.Wrapped(module, code_shape)."
        )
    sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
        raise NavbenchError(f"Generator {name!r} has the code_shape {shape!r}; give it positive whole numbers.")
    return Wrapped(module, tuple(map(int, sizes)), name.replace(":", "."))
