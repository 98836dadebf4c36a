"""What names in other people's pickles stand for that are neither tensors nor networks: numbers, containers, settings.

None of them runs anything: a path is text, a device is text, a `defaultdict` a dict, and a class is only ever named.
"""

import argparse
import re
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from navbench.unpickler import Buildable, mapping, plain_set, refused_call

MOST_DIMENSIONS = 8
_CODES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""numpy's dtypes of numbers."""
_TEXT = re.compile(r"[US][1-9]\d{0,3}")
"""... and of text."""


class _Dtype(Buildable):
    """A numpy dtype of numbers or of text, 'f8' say, as a file builds it."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in _CODES and not (isinstance(code, str) and _TEXT.fullmatch(code)):
            raise ValueError(f"a numpy dtype {code!r}")
        self.code = code

    def build(self, state: Any) -> None:
        """Take the byte order out of numpy's (version, order, subtype, names, ...)."""
        if not isinstance(state, tuple) or state[1] not in ("<", ">", "|", "=") or state[2:5] != (None, None, None):
            raise ValueError("a state of a numpy dtype")
        if state[5] != (np.dtype(self.code).itemsize if _TEXT.fullmatch(self.code) else -1):
            raise ValueError("a numpy dtype of another size")
        self.code = state[1].replace("|", "") + self.code


class _Array(Buildable):
    """A numpy array, made empty and then given its numbers."""

    def __init__(self, *_: Any) -> None:
        self.numbers = np.empty(0)

    def build(self, state: Any) -> None:
        """Take numpy's (version, shape, dtype, in Fortran's order, bytes)."""
        _, shape, dtype, fortran, content = state
        self.numbers = _numbers(content, dtype, shape, "F" if fortran is True else "C")


def _numbers(content: Any, dtype: Any, shape: Any, order: Literal["C", "F"] = "C") -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | bytearray):
        raise ValueError("numbers of numpy without bytes or a dtype")
    if not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS or not whole(shape) or order not in ("C", "F"):
        raise ValueError("numbers of numpy without a shape")
    return np.frombuffer(content, np.dtype(dtype.code)).reshape(shape, order=order)


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """How pickles of protocol 5 hold an array."""
    array = _Array()
    array.numbers = _numbers(content, dtype, shape, order)
    return array


def _scalar(dtype: Any, content: Any) -> Any:
    return _numbers(content, dtype, ()).item()


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """How pickles of protocol 2 and below hold bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes that are no text of them")
    return text.encode("latin-1")


def _path(*parts: Any) -> str:
    """A path of whichever system, as text."""
    return str(PurePosixPath(*map(_text, parts)))


def _device(kind: Any, index: Any = None) -> str:
    """A device, as text; torch's own are of this machine."""
    return _text(kind) if index is None else f"{_text(kind)}:{int(index)}"


def _defaulting(_: Any = None, items: Any = ()) -> dict[Any, Any]:
    """A `defaultdict`, without its default."""
    return mapping(items)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a path or a device that is no text")
    return value


_CORES = ("core", "_core")
"""Where numpy 1 and numpy 2 keep what pickles name."""
_FACTORIES = ("bool", "dict", "float", "int", "list", "long", "str", "tuple", "unicode")
"""Of `defaultdict`s; never called."""
_PATHS = [
    f"{module}.{flavour}Path"
    for module in ("pathlib", "pathlib._local")
    for flavour in ("", "Pure", "Posix", "Windows", "PurePosix", "PureWindows")
]
SETTINGS: Mapping[str, Callable[..., Any]] = {
    "torch.device": _device,
    "collections.defaultdict": _defaulting,
    **dict.fromkeys((f"builtins.{name}" for name in _FACTORIES), refused_call),
    **dict.fromkeys(_PATHS, _path),
    **dict.fromkeys({f"numpy.{np.dtype(code).type.__name__}" for code in _CODES}, refused_call),
    "argparse.Namespace": mapping,
    "types.SimpleNamespace": mapping,
    **dict.fromkeys(
        [
            *("dnnlib.util.EasyDict", "pytorch_lightning.utilities.parsing.AttributeDict"),
            *("lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict"),
        ],
        mapping,
    ),
}
"""What stands among the settings of trainings."""
PLAIN: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": mapping,
    "builtins.set": plain_set,
    "_codecs.encode": _encoded,
    "builtins.bytes": lambda: b"",  # how old pickles hold none; a size is no argument
    "numpy.dtype": _Dtype,
    "numpy.ndarray": refused_call,
    **{
        f"numpy.{core}.{name}": builder
        for core in _CORES
        for name, builder in (
            ("multiarray.scalar", _scalar),
            ("multiarray._reconstruct", _Array),
            ("numeric._frombuffer", _array),
        )
    },
    **SETTINGS,
}
"""By name what a pickle machine of our own calls."""


class _Attributes:
    """A dict in place of one whose items are attributes, for torch's reader, which makes objects of classes only."""

    def __new__(cls, *items: Any) -> Any:
        """A plain dict."""
        return mapping(*items)


SAFE: list[Any] = [
    *(argparse.Namespace, types.SimpleNamespace, np.ndarray, np.dtype),
    *{type(np.dtype(code)) for code in (*_CODES, "U1", "S1")},
    *((np.empty(0).__reduce__()[0], f"numpy.{core}.multiarray._reconstruct") for core in _CORES),
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in _CORES),
    *((_Attributes if name.endswith("Dict") else builder, name) for name, builder in SETTINGS.items()
      if not name.endswith(("Namespace", ".device"))),
]  # fmt: skip
"""What torch's own reader is allowed beyond its own list; by then, the same names have been looked at here."""


def whole(numbers: Sequence[Any]) -> bool:
    """Whether all are whole numbers from 0."""
    return all(isinstance(number, int) and number >= 0 for number in numbers)
