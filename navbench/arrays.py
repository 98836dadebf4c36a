"""Files of numpy of other people, read without running anything, once it is known how much memory they would take."""

import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from navbench.errors import NavbenchError, reason

MOST_BYTES = 256 << 20
MOST_TIMES = 8
"""What arrays may unpack to: so many bytes, or where the file is large, so many times its size."""
_ALONE = ""
"""The name of the one array of an `.npy`."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those that numpy writes."""


def read_arrays(path: Path, names: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of numbers in an `.npz` by their names, or the one of an `.npy` under the name ''.

    Args:
        path: of the file, whose content tells which it is.
        names: of those that are wanted and may be missing; empty for all.

    Raises:
        NavbenchError: there is no such file, it is damaged, holds objects, or would take far more memory than its size.
    """
    if not path.is_file():
        raise NavbenchError(f"There is no file {path}; check the path.")
    try:
        return _unpacked(path, names) if zipfile.is_zipfile(path) else {_ALONE: _alone(path)}
    except NavbenchError:
        raise
    except Exception as error:  # of many types, as the file may say anything
        raise NavbenchError(
            f"{path} cannot be read as a file of numpy ({reason(error)}); fetch it again, or name another."
        ) from None


def _unpacked(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    most = max(MOST_BYTES, MOST_TIMES * path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        wanted = {name: member for name, member in members.items() if not names or name in names}
        if any(member.compress_type not in _COMPRESSIONS for member in wanted.values()):
            raise ValueError("it is compressed as numpy compresses nothing")
        if sum(member.file_size for member in wanted.values()) > most:
            raise NavbenchError(
                f"{path} unpacks to more than {most >> 20} MiB, far more than its own size, so it is not read; "
                "save its arrays again with numpy.savez."
            )
        return {name: _array(archive.open(member), member.file_size) for name, member in wanted.items()}


def _alone(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return _array(file, path.stat().st_size)


def _array(file: IO[bytes], size: int) -> np.ndarray:
    """The array of an open `.npy` of `size` bytes; numpy makes room for what a header says before it reads."""
    with file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"its format {version} is none of arrays of numbers")
        shape, _, dtype = _HEADERS[version](file)
        if dtype.kind not in "biuf":
            raise ValueError(f"it holds {dtype}, no numbers")
        if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > size - file.tell():
            raise ValueError(f"it says that it holds {shape}, more than there is of it")
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)
