"""How a piece gets to another process: what is small as bytes, what is large through the store, once, by its content.

A piece holds generators, networks, bases and references. Their tensors, and the networks as such, are kept in the
store under the hash of their content when they are first sent, and are named from then on. So a worker needs no
checkpoint, sees direction sets that were found a moment ago, and holds every network once, however many pieces it
computes. What is unpickled comes from the driver, or has the hash that the driver named.
"""

import hashlib
import io
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from navbench import memory
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.runner.store import Store
from navbench.work import Piece, SentOnce

SMALL = 1 << 14
"""Bytes; what is smaller travels in the parcel itself."""
KEPT_BYTES = 1 << 30
"""Of tensors that a worker holds in memory for pieces to come."""
KEPT = 32
"""Networks, and other things that are sent once, that a worker holds likewise."""
Thing = nn.Module | SentOnce


class Packer:
    """Makes parcels of pieces, for the workers of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.names: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def pack(self, pieces: Sequence[Piece[Any]]) -> bytes:
        """Some pieces as bytes.

        Raises:
            NavbenchError: something that the piece is given cannot be sent.
        """
        try:
            return self.pickled(tuple(pieces))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise NavbenchError(
                f"A piece of {pieces[0].function.name} cannot be sent to another process ({error}); define what it "
                "holds at the top of a module, or run without --workers and --ray."
            ) from error

    def pickled(self, value: Any, root: Any = None) -> bytes:
        """A value as bytes, but for its tensors and things; `root` is a thing that is to be pickled itself."""
        buffer = io.BytesIO()
        _Pickler(self, buffer, root).dump(value)
        return buffer.getvalue()

    def name_of(self, value: Thing | Tensor) -> str:
        """The name of a tensor or thing in the store, where it is kept when it is first sent."""
        version = value._version if isinstance(value, Tensor) and not value.is_inference() else 0
        known, name = self.names.get(value, (None, ""))
        if known != version:  # unknown, or changed in place since it was sent
            content = _tensor_bytes(value) if isinstance(value, Tensor) else self.pickled(value, root=value)
            name = f"things/{hashlib.sha256(content).hexdigest()}"
            self.store.keep(name, content)
            self.names[value] = version, name
        return name


class _Pickler(cloudpickle.Pickler):
    def __init__(self, packer: Packer, buffer: io.BytesIO, root: Any) -> None:
        super().__init__(buffer)
        self._packer, self._root = packer, root

    def persistent_id(self, value: Any) -> tuple[Any, ...] | None:
        """What stands for a value that does not travel as it is."""
        if isinstance(value, Compute):
            return ("compute", value.precision, value.batch, value.watched)
        if isinstance(value, Thing) and value is not self._root:
            return ("thing", self._packer.name_of(value))
        if isinstance(value, Tensor):
            how = (isinstance(value, nn.Parameter), value.requires_grad, value.device.type != "cpu")
            if value.nbytes < SMALL:
                return ("small", _tensor_bytes(value), *how)
            return ("tensor", self._packer.name_of(value), *how)
        return None


class Unpacker:
    """Opens parcels in a worker.

    Attributes:
        device: of the worker; tensors that the driver has on its device come to this one.
    """

    def __init__(self, store: Store, device: str, sharing: int = 1) -> None:
        self.store, self.device, self.sharing = store, device, sharing
        self.computes: dict[tuple[Any, ...], Compute] = {}
        self._tensors: OrderedDict[tuple[Any, ...], Tensor] = OrderedDict()
        self._things: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def unpack(self, parcel: bytes) -> tuple[Piece[Any], ...]:
        """The pieces in a parcel."""
        pieces: tuple[Piece[Any], ...] = self._unpickled(parcel)
        self._forget()
        return pieces

    def _unpickled(self, content: bytes) -> Any:
        unpickler = pickle.Unpickler(io.BytesIO(content))
        unpickler.persistent_load = self._opened  # type: ignore[method-assign]
        return unpickler.load()

    def _opened(self, named: tuple[Any, ...]) -> Any:
        kind, *rest = named
        if kind == "compute":
            return self._compute(*rest)
        if kind == "small":
            return self._tensor(*rest)
        if kind == "tensor":
            name, *how = rest
            return _once(self._tensors, named, lambda: self._tensor(self._content(name), *how))
        return _once(self._things, named, lambda: self._unpickled(self._content(rest[0])))

    def _compute(self, precision: Any, batch: int, watched: bool) -> Compute:
        """The worker's own compute of a precision and batch, which stays halved if memory ran out."""
        key = precision, batch, watched
        if key not in self.computes:
            if self.device == "cpu" and not self.computes:
                memory.bound(self.sharing)
            self.computes[key] = Compute(self.device, precision, batch, self.sharing)
            self.computes[key].watched = watched
        return self.computes[key]

    def _content(self, name: str) -> bytes:
        content = self.store.kept(name)
        if hashlib.sha256(content).hexdigest() != name.rpartition("/")[2]:
            self.store.place.delete(name)  # or the next driver would take it for what it keeps
            raise Failure(f"{name} in the cache has changed since the driver wrote it; run the same command again.")
        return content

    def _tensor(self, content: bytes, parameter: bool, requires_grad: bool, on_device: bool) -> Tensor:
        tensor = _tensor_from(content)
        tensor = tensor.to(self.device) if on_device else tensor
        return nn.Parameter(tensor, requires_grad) if parameter else tensor.requires_grad_(requires_grad)

    def _forget(self) -> None:
        """Let go of what was not used for longest, beyond what is kept."""
        while len(self._things) > KEPT:
            self._things.popitem(last=False)
        newest = {type(thing): name for name, thing in self._things.items() if isinstance(thing, SentOnce)}
        for name, thing in list(self._things.items()):
            if isinstance(thing, SentOnce) and newest[type(thing)] != name:
                del self._things[name]  # what it has computed may be large
        size = sum(tensor.nbytes for tensor in self._tensors.values())
        while size > KEPT_BYTES:
            size -= self._tensors.popitem(last=False)[1].nbytes


def _once(known: OrderedDict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    if key not in known:
        known[key] = make()
    known.move_to_end(key)
    return known[key]


def _tensor_bytes(tensor: Tensor) -> bytes:
    """A tensor with the order of its dimensions in memory, as kernels depend on it by rounding."""
    strides = tensor.stride()
    order = sorted(range(tensor.ndim), key=lambda axis: (-strides[axis], axis))
    dense = tensor.detach().cpu().permute(order).contiguous()
    return save({"tensor": dense}, {"order": json.dumps(order)})


def _tensor_from(content: bytes) -> Tensor:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    order: list[int] = json.loads(header["__metadata__"]["order"])
    dense = load(content)["tensor"]
    return dense.permute([order.index(axis) for axis in range(dense.ndim)])
