"""Names to generators: installed entry points, or 'package.module:callable'."""

from importlib.metadata import EntryPoint

from torch import nn

from navbench import plugins
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.generators.base import Generator
from navbench.generators.wrapped import Wrapped

GROUP = "navbench.generators"


def known() -> dict[str, EntryPoint]:
    """The installed generators by name."""
    return plugins.known(GROUP)


def create(name: str, compute: Compute) -> Generator:
    """The generator of that name, frozen, on the device of `compute`.

    A name is an installed entry point of the group `navbench.generators`, or 'package.module:callable'; either
    gives a callable that returns a `Generator`, or an `nn.Module` with an attribute `code_shape` or `latent_dim`.
    """
    made = plugins.find(GROUP, "generator", name)()
    if isinstance(made, nn.Module) and not isinstance(made, Generator):
        made = _wrap(made, name)
    if not isinstance(made, Generator):
        raise NavbenchError(f"Generator {name!r} is a {type(made).__name__}; it must be a Generator or an nn.Module.")
    return compute.place(made)


def _wrap(module: nn.Module, name: str) -> Wrapped:
    shape = getattr(module, "code_shape", None) or getattr(module, "latent_dim", None)
    if shape is None:
        raise NavbenchError(
            f"Generator {name!r} is a plain module: give it an attribute code_shape, (latent_dim,) for example, "
            "or return navbench.generators.wrapped.Wrapped(module, code_shape)."
        )
    return Wrapped(module, (shape,) if isinstance(shape, int) else tuple(shape), name.replace(":", "."))
