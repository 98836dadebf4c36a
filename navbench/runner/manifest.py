"""What a run was: versions, hashes, device, and the seconds and peak memory of each stage."""

import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from navbench.compute import Compute
from navbench.places import Place
from navbench.runner.store import Store

MANIFEST = "manifest.json"
PACKAGES = ("navbench", "torch", "torchvision", "torch-fidelity", "timm", "lpips", "numpy", "scipy", "pandas")


@dataclass
class Manifest:
    """The record of a run, written after every stage.

    Attributes:
        place: of the run.
        earlier: the stages of an interrupted run that this one goes on with, by name; their seconds are added.
    """

    place: Place
    facts: dict[str, Any]
    earlier: dict[str, dict[str, Any]] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, compute: Compute, store: Store) -> Iterator[None]:
        """Time a stage; it is 'cached' if it took pieces from the store and made none."""
        begun, made, found = time.monotonic(), store.made, store.found
        reset_peak_memory(compute)
        yield
        past = self.earlier.get(name, {"seconds": 0.0, "peak_memory_mib": None})
        peaks = (peak_memory(compute), past["peak_memory_mib"])
        self.stages.append(
            {
                "stage": name,
                "seconds": round(time.monotonic() - begun + past["seconds"], 2),
                "peak_memory_mib": max((round(peak) for peak in peaks if peak is not None), default=None),
                "cached": store.found > found and store.made == made,
            }
        )
        self.write(complete=False)

    def write(self, *, complete: bool) -> None:
        """Write manifest.json."""
        done = {stage["stage"] for stage in self.stages}
        stages = [*(stage for name, stage in self.earlier.items() if name not in done), *self.stages]
        seconds = round(sum(stage["seconds"] for stage in stages), 1)
        content = {
            **self.facts,
            "complete": complete,
            "finished": now(),
            "seconds": seconds,
            "stages": stages,
            "warnings": self.warnings,
        }
        self.place.write(MANIFEST, json.dumps(content, indent=1))


def earlier_stages(place: Place) -> dict[str, dict[str, Any]]:
    """The stages in a manifest that is there already; `{}` if it cannot be read."""
    try:
        return {stage["stage"]: stage for stage in json.loads(place.read(MANIFEST))["stages"]}
    except (OSError, ValueError, KeyError):
        return {}


def environment(compute: Compute) -> dict[str, Any]:
    """Versions and hardware."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    cuda = compute.device.type == "cuda"
    return {
        "navbench": versions["navbench"],
        "started": now(),
        "device": torch.cuda.get_device_name(compute.device) if cuda else "cpu",
        "processor": f"{_processor()}, {torch.get_num_threads()} threads",
        "precision": compute.precision,
        "versions": versions,
    }


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def reset_peak_memory(compute: Compute) -> None:
    """Begin a new peak: of CUDA's allocator, or of the process where the system can (Linux)."""
    if compute.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(compute.device)
    elif sys.platform == "linux":
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return  # then the peak is that of the whole process so far


def peak_memory(compute: Compute) -> float | None:
    """The peak since the last reset, in MiB; `None` on a system that does not report it (Windows)."""
    if compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated(compute.device) / 2**20
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
