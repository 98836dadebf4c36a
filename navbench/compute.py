"""Where and how tensors are computed: device, precision, batch size, and what happens when memory runs out."""

import ctypes
import platform
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from navbench import memory
from navbench.errors import Failure, NavbenchError, NavbenchWarning

Precision = Literal["float32", "bf16"]
Module = TypeVar("Module", bound=nn.Module)
Result = TypeVar("Result")
_NUMBERS_PER_PIXEL = 1000
"""Of an image, what a pass holds of it at once, at most: StyleGAN2's maps make 600, at 64x64 as at 1024x1024."""


class _Notes(threading.local):
    """Whether images were finite, and whose they are, as a thread has noted it and not yet read it from the device."""

    unread: list[tuple[Tensor, str]] | None = None


class Compute:
    """Device, precision and batch size of a computation; results depend on none but the precision.

    Device 'auto' is the first of `best_device` on this machine.

    Attributes:
        batch: images per forward pass; halved, for good, whenever memory runs out.
        sharing: how many processes share the device's memory.
        watched: whether memory may not hold a batch, so that all work begins with one image, which is measured.
    """

    def __init__(
        self, device: str = "cpu", precision: Precision = "float32", batch: int = 32, sharing: int = 1
    ) -> None:
        if batch < 1:
            raise NavbenchError(f"The batch size is {batch}; it must be at least 1.")
        device = best_device() if device == AUTO else device
        if not re.fullmatch(r"cpu|mps|cuda(:[1-9]?\d)?", device):
            raise NavbenchError(f"Unknown device {device!r}; use 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.")
        self.device = torch.device(device)
        if precision not in get_args(Precision):
            raise NavbenchError(f"Unknown precision {precision!r}; use {' or '.join(map(repr, get_args(Precision)))}.")
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise NavbenchError(f"Device {device!r} was asked for, but torch sees no CUDA device; use --device cpu.")
        if self.device.type == "cuda" and (self.device.index or 0) >= torch.cuda.device_count():
            raise NavbenchError(f"Device {device!r} does not exist; torch sees {torch.cuda.device_count()} of them.")
        if self.device.type == "mps" and not torch.backends.mps.is_available():
            raise NavbenchError("Device 'mps' was asked for, but torch sees no Apple GPU; use --device cpu.")
        if self.device.type == "mps" and precision == "bf16":
            raise NavbenchError("bf16 is not offered on 'mps'; say --precision float32, or use another device.")
        if self.device.type == "cuda":  # float32 is float32, and two runs give the same tables
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.deterministic = True
        if self.device.type == "cpu":
            keep_freed_memory()
        self.precision = precision
        self.batch = batch
        self.sharing = sharing
        self.watched = False
        self._fitting: dict[str, tuple[int, int]] = {}  # by the name of a work: bytes of an image, images at a time
        self._notes = _Notes()

    @property
    def cache_key(self) -> str:
        """What results depend on: the precision."""
        return self.precision

    @property
    def exact(self) -> torch.device:
        """Where float64 and eigenproblems are computed: on the device, or beside MPS, which has neither, on the CPU."""
        return torch.device("cpu") if _is_mps(self.device) else self.device

    def at(self, precision: Precision) -> "Compute":
        """The same device and batch size at another precision."""
        return self._as_watched(Compute(str(self.device), precision, self.batch, self.sharing))

    def on(self, device: str) -> "Compute":
        """The same precision and batch size on another device."""
        return self._as_watched(Compute(device, self.precision, self.batch, self.sharing))

    def _as_watched(self, other: "Compute") -> "Compute":
        other.watched = self.watched
        return other

    def watch(self, size: tuple[int, int]) -> None:
        """Watch the memory from now on if it may not hold a batch of images of that height and width."""
        height, width = size
        needed = self.batch * _NUMBERS_PER_PIXEL * 4 * height * width
        self.watched = self.watched or needed > memory.room(self.device, self.sharing)

    def __repr__(self) -> str:
        return f"Compute({str(self.device)!r}, {self.precision!r}, batch={self.batch})"

    def place(self, module: Module) -> Module:
        """Move a pretrained module to the device, frozen and in evaluation mode; channels-last at bf16."""
        module = module.to(self.device).eval().requires_grad_(False)
        if self.precision == "bf16":
            module = module.to(memory_format=torch.channels_last)
        return module

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which forward passes run at this precision."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def finite(self, images: Tensor, what: str) -> Tensor:
        """Return the images as float32, or fail by name if any value is NaN or infinite.

        Within `over`, the device notes it, and the host reads the notes once per batch.
        """
        if self._notes.unread is None:
            return finite_images(images, what)
        self._notes.unread.append((torch.isfinite(images).all(), what))
        return images.float()

    @contextmanager
    def _finite_images_noted(self) -> Iterator[None]:
        """Read at the end whether all images were finite; an error that follows from those that were not is theirs."""
        outer, self._notes.unread = self._notes.unread, []
        try:
            yield
        finally:
            notes, self._notes.unread = self._notes.unread, outer
            _read(notes or ())

    def over(self, indices: Sequence[int], work: Callable[[Sequence[int]], Result]) -> Iterator[Result]:
        """Yield `work(chunk)` for consecutive chunks of at most `batch` indices, halving when memory runs out.

        Where memory is `watched`, the first chunk is one image, whose bytes say how many fit. What fits into a work of
        that name stays, as caches know chunks by their size, until an image takes more, of another layer or network.
        """
        start, name = 0, f"{work.__module__}.{getattr(work, '__qualname__', type(work).__qualname__)}"
        while start < len(indices):
            is_measured = self.watched and start == 0
            _, fitting = self._fitting.get(name, (0, self.batch))
            chunk = indices[start : start + (1 if is_measured else min(fitting, self.batch))]
            try:
                with self._finite_images_noted():
                    result = self._measured(name, work, chunk) if is_measured else work(chunk)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if len(chunk) == 1:
                    raise Failure(f"Out of memory on {self.device} with a single image; use another device.") from None
                torch.cuda.empty_cache()
                if self.device.type == "cpu":
                    return_freed_memory()
                self.batch = len(chunk) // 2
                warnings.warn(f"Out of memory: going on with batches of {self.batch}.", NavbenchWarning, stacklevel=2)
                continue
            start += len(chunk)
            yield result

    def _measured(self, name: str, work: Callable[[Sequence[int]], Result], chunk: Sequence[int]) -> Result:
        """The work of one image, whose bytes say how many images at a time there is room for in such work."""
        with memory.Allocations() as made:
            result = work(chunk)
        largest, _ = self._fitting.get(name, (0, 0))
        if made.peak > largest:
            fitting = int(memory.room(self.device, self.sharing) / (memory.SCRATCH * made.peak))
            self._fitting[name] = made.peak, max(1, fitting)
        return result


AUTO = "auto"
"""The device that is the best there is."""


def best_device() -> str:
    """The first of 'cuda', 'mps' and 'cpu' that torch sees."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def exact(tensor: Tensor) -> Tensor:
    """The tensor where float64 and eigenproblems can be computed: on the CPU if it is on MPS, which has neither."""
    return tensor.cpu() if _is_mps(tensor.device) else tensor


def doubled(tensor: Tensor) -> Tensor:
    """The tensor at float64, where that can be computed (see `exact`)."""
    return exact(tensor).double()


def _is_mps(device: torch.device) -> bool:
    return device.type == "mps"


def batches(count: int, size: int) -> list[range]:
    """Consecutive ranges of at most `size` that make up `count`."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


@cache
def keep_freed_memory() -> None:
    """Have glibc reuse freed memory for large tensors, until memory runs out; no-op elsewhere.

    By default it maps each tensor beyond 32 MiB anew and returns it to the kernel, which clears every page: up to a
    fifth of the time of a forward pass at float32. Now it returns what is free beyond 1 GiB at the heap's end.
    """
    _allocate(mapped=0, kept=2**30)


def return_freed_memory() -> None:
    """Have glibc map large tensors and return them again, for good: memory that is kept lies in pieces by and by."""
    _allocate(mapped=2**16, kept=2**17)  # its defaults


def _allocate(mapped: int, kept: int) -> None:
    """Say to glibc how many blocks it may map at a time, and how many free bytes it keeps at the heap's end."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, value in ((-4, mapped), (-1, kept)):  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
            libc.mallopt(option, value)
        libc.malloc_trim(0)


def out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the CPU's allocator had no more memory to give."""
    said = ("can't allocate memory", "bad_alloc", "MPS backend out of memory")
    is_known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_known or (isinstance(error, RuntimeError) and any(each in str(error) for each in said))


def finite_images(images: Tensor, what: str) -> Tensor:
    """Return the images as float32, or fail by name if any value is NaN or infinite."""
    _read([(torch.isfinite(images).all(), what)])
    return images.float()


def _read(notes: Sequence[tuple[Tensor, str]]) -> None:
    """Fail by the name of the first images that were not finite, of notes that are read from the device at once."""
    values = torch.stack([finite for finite, _ in notes]).tolist() if notes else []
    for finite, (_, what) in zip(values, notes, strict=True):
        if not finite:
            raise Failure(f"{what} made images with NaN or infinite values; check its weights, or use a smaller shift.")


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new peak: of CUDA's allocator, or of the process where the system can (Linux)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5", "utf-8")
        except OSError:
            return  # then the peak is that of the whole process so far


def peak_memory(device: torch.device) -> float | None:
    """The peak since the last reset, in MiB; `None` on a system that does not report it (Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
