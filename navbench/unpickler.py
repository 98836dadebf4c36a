"""A pickle machine that can build nothing but plain data, for untrusted files.

Python's own unpickler calls any function that a file names, sets any attribute, and hangs or exhausts the
memory on a few hostile bytes.  This one knows the operations that checkpoints are made of, calls only what it is
handed, by name, and keeps an account of the work that a file asks for.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pickletools import genops
from typing import Any, BinaryIO

from navbench.errors import NavbenchError

MOST_WORK = 4_000_000
"""Operations, and items in the arguments of calls; published checkpoints need below 200,000."""
MOST_COPIES = 4
"""Bytes in the arguments of calls, by the size of the file; honest files hand on each of theirs once."""
_KEYS = (str, int, float, bool, bytes, type(None))
"""Of dictionaries and sets: what has a hash at constant cost, which nested tuples have not."""


@dataclass(frozen=True)
class Named:
    """What a name in a pickle stands for: inert until the file calls it."""

    name: str
    call: Callable[..., Any]


def refused_call(*_: Any) -> Any:
    """Stand for a class that is only ever named, never called."""
    raise ValueError("a class is called that only names a type")


def mapping(items: Any = ()) -> dict[Any, Any]:
    """A dict in place of an OrderedDict or a subclass; of pairs, if any are given."""
    plain: dict[Any, Any] = {}
    for key, value in items.items() if isinstance(items, dict) else items:
        plain[checked_key(key)] = value
    return plain


def plain_set(items: Any = ()) -> set[Any]:
    """A set of plain items."""
    return {checked_key(item) for item in items}


def checked_key(key: Any) -> Hashable:
    """The key, or refuse one that is not plain."""
    if not isinstance(key, _KEYS):
        raise ValueError(f"a {type(key).__name__} is the key of a dictionary")
    return key


class Machine:
    """Runs one pickle after another of a stream; what is wrong with them is a ValueError or IndexError, or so.

    Args:
        stream: at the start of a pickle; reads beyond its end must come back short, as in memory.
        size: of the stream, in bytes.
        find: gives what 'module', 'name' stands for, or raises a NavbenchError.
        persistent: gives what a persistent id stands for.
    """

    def __init__(
        self, stream: BinaryIO, size: int, find: Callable[[str, str], Named], persistent: Callable[[Any], Any]
    ) -> None:
        self._stream, self._find, self._persistent = stream, find, persistent
        self._work, self._bytes = MOST_WORK, MOST_COPIES * size

    def run(self) -> Any:
        """The object of the next pickle."""
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        for opcode, argument, _ in genops(self._stream):
            self._spend(1)
            if opcode.name in _LITERALS:
                self._stack.append(argument)
            elif opcode.name in _MADE:
                self._stack.append(_MADE[opcode.name]())
            elif opcode.name in _OPERATIONS:
                _OPERATIONS[opcode.name](self, argument)
            elif opcode.name not in ("PROTO", "FRAME", "STOP"):
                raise ValueError(f"its operation {opcode.name} is none of a checkpoint's")
        return self._stack.pop()

    def _spend(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise ValueError("it asks for more work than any checkpoint")

    def _after_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _tuple(self, count: int) -> None:
        items = tuple(self._stack[len(self._stack) - count :])
        if len(items) < count:
            raise IndexError("its stack is empty")
        del self._stack[len(self._stack) - count :]
        self._stack.append(items)

    def _named(self, module: str, name: str) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name in it is no text")
        self._stack.append(self._find(module, name))

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._named(module, name)

    def _stack_global(self, _: None) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._named(module, name)

    def _call(self, _: None) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, Named) or not isinstance(arguments, tuple):
            raise ValueError("it calls what cannot be called")
        for argument in arguments:
            if isinstance(argument, tuple | list | dict | set):
                self._spend(len(argument))
            elif isinstance(argument, bytes | bytearray | str):
                self._bytes -= len(argument)
        if self._bytes < 0:
            raise ValueError("it hands on its bytes again and again")
        self._stack.append(called.call(*arguments))

    def _build(self, _: None) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Buildable):
            target.build(state)
        elif not isinstance(target, dict) or not isinstance(state, dict):  # attributes of a mapping are left out
            raise ValueError(f"it sets the state of a {type(target).__name__}")

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise ValueError(f"it appends to a {type(target).__name__}")
        target.extend(items)

    def _add(self, _: None) -> None:
        items, target = self._after_mark(), self._stack[-1]
        if type(target) is not set:
            raise ValueError(f"it adds to a {type(target).__name__}")
        target.update(plain_set(items))

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise ValueError(f"it sets items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def _set_one(self, _: None) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]


class Buildable(ABC):
    """What a pickle may give a state to after it has made it."""

    @abstractmethod
    def build(self, state: Any) -> None:
        """Take the state, or raise a ValueError."""


_LITERALS = frozenset([
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
])  # fmt: skip
_MADE: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
}
_OPERATIONS: Mapping[str, Callable[[Machine, Any], object]] = {
    "MARK": lambda machine, _: machine._marks.append(len(machine._stack)),
    "TUPLE": lambda machine, _: machine._stack.append(tuple(machine._after_mark())),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "LIST": lambda machine, _: machine._stack.append(machine._after_mark()),
    "APPEND": lambda machine, _: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._after_mark()),
    "ADDITEMS": Machine._add,
    "SETITEM": Machine._set_one,
    "SETITEMS": lambda machine, _: machine._set(machine._after_mark()),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._call,
    "NEWOBJ": Machine._call,
    "BUILD": Machine._build,
    "BINPERSID": lambda machine, _: machine._stack.append(machine._persistent(machine._stack.pop())),
    "GET": lambda machine, index: machine._stack.append(machine._memo[index]),
    "BINGET": lambda machine, index: machine._stack.append(machine._memo[index]),
    "LONG_BINGET": lambda machine, index: machine._stack.append(machine._memo[index]),
    "PUT": lambda machine, index: machine._remember(index),
    "BINPUT": lambda machine, index: machine._remember(index),
    "LONG_BINPUT": lambda machine, index: machine._remember(index),
    "MEMOIZE": lambda machine, _: machine._remember(len(machine._memo)),
    "POP": lambda machine, _: machine._stack.pop(),
    "POP_MARK": lambda machine, _: machine._after_mark(),
}


def not_known(source: str, name: str, is_module: bool = False) -> NavbenchError:
    """The refusal of a name, 'module.name', in a pickle, which may be that of a whole module."""
    advice = "save its weights alone, as a state dict of tensors."
    if is_module:
        advice = (
            "it is a whole module with its class, so where you have and trust its code, load it there and write its "
            "weights alone, with torch.save(module.state_dict(), FILE)."
        )
    return NavbenchError(
        f"{source} wants to use {name}, which is no tensor and no plain container, so it is refused and "
        f"nothing of it was run; {advice}"
    )
