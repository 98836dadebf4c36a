"""Pickles of other people, read without running anything: NVIDIA's networks, and what `torch.save` writes.

NVIDIA's `.pkl` files (repositories stylegan2-ada-pytorch and stylegan3) hold the source of each network's class beside
its state, and their own loader executes it.  Here the source is dropped and the network is an inert `Record`.

Files of `torch.save` go to `torch.load(weights_only=True)`, once it is known that they name nothing but tensors and
that no size in them exceeds the file's own: its checks are of names only.
"""

import io
import mmap
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from navbench.errors import NavbenchError, reason
from navbench.pickle_names import MOST_DIMENSIONS, PLAIN, SAFE, whole
from navbench.unpickler import Machine, Named, not_known, refused_call

TORCH_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What files of `torch.save` before version 1.6 begin with."""
_ZIP = b"PK\x03\x04"
"""What its newer files begin with."""
_TENSORFLOW = ("dnnlib.tflib", "tfutil")
_CHUNK = 1 << 22
"""Bytes that are read at once to check them."""


@dataclass(frozen=True)
class Record:
    """A network or another object of a class that the file brings along: its name and attributes, and no code."""

    class_name: str
    state: dict[str, Any]


def read_pickle(path: Path) -> Any:
    """What an NVIDIA `.pkl` holds: dicts, lists, numbers, text, tensors on the CPU, and a `Record` per network.

    Arrays of numpy are there in networks that navbench does not run, such as StyleGAN3's; they come inert, too.

    Raises:
        NavbenchError: there is no such file, it is damaged, or it asks for anything else, which is named.
    """
    with _mapped(path) as data, _told(path):
        source = str(path)
        content = cast(BinaryIO, data)
        return Machine(content, len(data), lambda *name: _find_nvidia(source, content, *name), _no_persistent).run()


def read_torch(path: Path) -> Any:
    """What a file of `torch.save` holds, of either layout: tensors, arrays of numpy and plain data, on the CPU.

    Raises:
        NavbenchError: there is no such file, it is damaged, or it asks for anything else, which is named.
    """
    with _mapped(path) as data:
        zipped = data[:4] == _ZIP
    with _told(path), path.open("rb") as file:
        _check_zip(str(path), file, path.stat().st_size) if zipped else _check_legacy_file(path)
        file.seek(0)
        mapped = zipped and not str(path).endswith(".safetensors")  # an ending that torch takes for another format
        with torch.serialization.safe_globals(SAFE):
            return torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)


def read_torch_bytes(content: bytes, source: str) -> Any:
    """What `read_torch` gives, of the bytes of such a file; `source` is what errors call it."""
    file = io.BytesIO(content)
    with _told(source):
        (_check_zip if content[:4] == _ZIP else _check_legacy)(source, file, len(content))
        file.seek(0)
        with torch.serialization.safe_globals(SAFE):
            return torch.load(file, map_location="cpu", weights_only=True)


def flattened(record: Record, source: str) -> dict[str, Tensor]:
    """All parameters and buffers of a record and the records in it, by their names in the module tree.

    Raises:
        NavbenchError: it is no module, or a module is in it twice.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    left = [("", record)]
    while left:
        prefix, module = left.pop()
        if not isinstance(module, Record) or id(module) in seen:
            raise NavbenchError(f"{source}: {prefix.rstrip('.') or 'its network'!r} is no module of a network.")
        seen.add(id(module))
        for kind in ("_parameters", "_buffers"):
            for name, value in _entries(module, kind, source).items():
                if isinstance(value, Tensor):
                    tensors[f"{prefix}{name}"] = value
        left += [
            (f"{prefix}{name}.", child)
            for name, child in _entries(module, "_modules", source).items()
            if child is not None
        ]
    return tensors


def _entries(module: Record, kind: str, source: str) -> dict[str, Any]:
    found = module.state.get(kind)
    if not isinstance(found, dict):
        raise NavbenchError(f"{source}: its object {module.class_name} has no {kind}, so it is no network.")
    return found


# --- errors ---------------------------------------------------------------------------------------------------


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """The content of a file, not read before it is looked at."""
    try:
        if not path.is_file():
            raise NavbenchError(f"There is no file {path}; check the path.")
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise NavbenchError(f"{path} is empty; fetch it again.")
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise NavbenchError(f"{path} cannot be read ({error.strerror or error}).") from None
    with content:
        yield content


@contextmanager
def _told(source: Path | str) -> Iterator[None]:
    """Whatever a damaged file leads a reader to, as one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it then refuses or reads
            yield
    except NavbenchError:
        raise
    except Exception as error:  # readers of pickles raise of all kinds
        raise NavbenchError(
            f"{source} is damaged or no checkpoint ({reason(error)}); fetch it again, or name another."
        ) from None


# --- NVIDIA's names -------------------------------------------------------------------------------------------


def _persistent_object(meta: Any) -> Record:
    """What NVIDIA's reader would execute; the source of the class is left behind here."""
    if not isinstance(meta, dict) or meta.get("type") != "class":
        raise ValueError("a persistent object without its description")
    name, state = meta.get("class_name"), meta.get("state")
    if not isinstance(name, str) or not isinstance(state, dict):
        raise ValueError("a persistent object without a name and a state")
    return Record(name, state)


def _storage(source: str, content: Any) -> Tensor:
    """All numbers of a pickled storage, (n,); its bytes are a file of `torch.save`, which may be as hostile."""
    if not isinstance(content, bytes):
        raise ValueError("a storage without bytes")
    _check_legacy(source, io.BytesIO(content), len(content))
    storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise ValueError("a storage that is none")
    return torch.empty(0, dtype=storage.dtype).set_(cast(Any, storage))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Tensor):
        raise ValueError("a tensor without a storage")
    _check_extent(len(storage), offset, size, stride)
    return storage.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Any:
    return data


_NVIDIA: Mapping[str, Callable[..., Any]] = {
    **PLAIN,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_tensor_v2": _tensor,
}


def _find_nvidia(source: str, stream: BinaryIO, module: str, name: str) -> Named:
    full = _full_name(module, name)
    if module.startswith(_TENSORFLOW):
        raise NavbenchError(
            f"{source} holds a TensorFlow network ({full}); where you trust it, convert it with legacy.py of NVIDIA's "
            "stylegan2-ada-pytorch (--source, --dest), and give the file that comes out."
        )
    if full == "torch.storage._load_from_bytes":  # torch's own loads anything
        return Named(full, lambda content: _storage(source, content))
    if _is_dtype(module, name):
        return Named(full, refused_call)
    if full not in _NVIDIA:
        raise not_known(source, full, _is_module(stream))
    return Named(full, _NVIDIA[full])


def _is_module(stream: BinaryIO) -> bool:
    """Whether a pickle holds the attributes of a module, as those that are saved whole do."""
    content: Any = stream.getvalue() if isinstance(stream, io.BytesIO) else stream  # else a mapped file
    return all(content.find(attribute) >= 0 for attribute in (b"_parameters", b"_buffers", b"_modules"))


def _is_dtype(module: str, name: str) -> bool:
    return module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)


def _full_name(module: str, name: str) -> str:
    return f"{'builtins' if module == '__builtin__' else module}.{name}"


def _no_persistent(_: Any) -> Any:
    raise ValueError("it refers to an object outside itself")


# --- what torch.save writes -----------------------------------------------------------------------------------


def _check_zip(source: str, file: BinaryIO, size: int) -> None:
    """Refuse a zip that is no file of torch.save, unpacks to more than itself, or holds a hostile pickle."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if any(name.endswith("/constants.pkl") for name in names):
            raise NavbenchError(
                f"{source} holds TorchScript, which is a program and is not run; where you trust it, write its weights "
                "alone, with torch.save(torch.jit.load(FILE).state_dict(), ANOTHER)."
            )
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed, which torch.save never does")
        if sum(member.file_size for member in members) > size:
            raise ValueError("it says that it unpacks to more than its own size")
        _check_index(archive, file, size)
        if len({name.lower() for name in names}) < len(names):  # torch's reader takes capitals for small letters
            raise ValueError("it holds two members of one name")
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it is a zip, but not one of torch.save")
        _drop_absent_sums(members)
        _checking(source, io.BytesIO(archive.read(pickles[0])), size).run()
        _check_sums(archive)


def _check_index(archive: zipfile.ZipFile, file: BinaryIO, size: int) -> None:
    """Refuse a zip whose list of members torch's reader may find elsewhere than zipfile, so that it sees other ones.

    zipfile takes the bytes right before the end of the file, torch's reader those that the end points to. torch.save
    writes an end without a comment, with or without one of 64 bits (`MZ_ZIP_FLAG_WRITE_ZIP64`) before it.
    """
    file.seek(max(0, size - 98))
    tail = file.read()
    end, locator, long_end = tail[-22:], tail[-42:-22], tail[-98:-42]
    begins = _number(end[16:20])
    if locator[:4] == b"PK\x06\x07":
        begins = _number(long_end[48:56])
        if long_end[:4] != b"PK\x06\x06" or _number(locator[8:16]) != size - 98:
            raise ValueError("its end points elsewhere than to its list of members")
    if end[:4] != b"PK\x05\x06" or _number(end[20:22]) or begins != archive.start_dir:
        raise ValueError("its end points elsewhere than to its list of members")


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _drop_absent_sums(members: Sequence[zipfile.ZipInfo]) -> None:
    """Let zipfile check no sum where torch was told to compute none, and wrote 0 (`set_crc32_options`)."""
    for member in members:
        if member.CRC == 0:
            del member.CRC


def _check_sums(archive: zipfile.ZipFile) -> None:
    """Read every member to its end, where zipfile compares its checksum; torch's own reader does not."""
    for member in archive.infolist():
        with archive.open(member) as content:
            while content.read(_CHUNK):
                pass


def _check_legacy_file(path: Path) -> None:
    with _mapped(path) as data:
        _check_legacy(str(path), cast(BinaryIO, data), len(data))


def _check_legacy(source: str, stream: BinaryIO, size: int) -> None:
    """Refuse a legacy file of torch.save whose pickles are hostile: magic, version, system, object, keys."""
    if stream.read(len(TORCH_LEGACY)) != TORCH_LEGACY:
        raise ValueError("it is no file of torch.save")
    machine = _checking(source, stream, size)
    for _ in range(4):
        machine.run()


def _checking(source: str, stream: BinaryIO, size: int) -> Machine:
    """A machine that builds no tensor, but looks at the size of each."""
    return Machine(stream, size, lambda *name: _find_torch(source, stream, *name), lambda key: _Extent.of(key, size))


@dataclass(frozen=True)
class _Extent:
    """A storage that was not read, of `count` numbers at most."""

    count: int

    @classmethod
    def of(cls, key: Any, most: int) -> "_Extent":
        kind, named, _, _, count, *_ = key
        if kind != "storage" or not isinstance(named, Named) or not isinstance(count, int) or not 0 <= count <= most:
            raise ValueError("a storage of more numbers than the file has bytes")
        return cls(count)


def _extent_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> None:
    if not isinstance(storage, _Extent):
        raise ValueError("a tensor without a storage")
    _check_extent(storage.count, offset, size, stride)


def _check_extent(count: int, offset: Any, size: Any, stride: Any) -> None:
    """Refuse a tensor that is not inside its storage of `count` numbers, or repeats them."""
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise ValueError("a tensor without a shape")
    if len(size) > MOST_DIMENSIONS or not whole((offset, *size, *stride)):
        raise ValueError("a tensor of an impossible shape")
    last = offset + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
    if prod(size) > count or (prod(size) and last >= count):
        raise ValueError("a tensor is larger than what is stored of it")


_TORCH: Mapping[str, Callable[..., Any]] = {
    **PLAIN,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _extent_tensor,
    "torch._utils._rebuild_tensor_v2": _extent_tensor,
    "torch._utils._rebuild_tensor_v3": _extent_tensor,
}


def _find_torch(source: str, stream: BinaryIO, module: str, name: str) -> Named:
    full = _full_name(module, name)
    is_storage = module in ("torch", "torch.cuda", "torch.storage") and name.endswith("Storage")
    if is_storage or _is_dtype(module, name):
        return Named(full, refused_call)
    if full not in _TORCH:
        raise not_known(source, full, _is_module(stream))
    return Named(full, _TORCH[full])
