"""What a run was: versions, hashes, device, and the seconds and peak memory of each stage."""

import json
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from navbench.compute import Compute, peak_memory, reset_peak_memory
from navbench.places import Place
from navbench.runner.executor import Account, Tally

MANIFEST = "manifest.json"
STAGE = ("stage", "seconds", "peak_memory_mib", "cached")
"""What is told of a stage."""
PACKAGES = ("navbench", "torch", "torchvision", "torch-fidelity", "timm", "lpips", "numpy", "scipy", "pandas")


@dataclass
class Manifest:
    """The record of a run, written after every stage.

    Attributes:
        place: of the run.
        earlier: what is in the manifest of an interrupted run that this one goes on with, whose seconds are added; `{}`
            for none.
    """

    place: Place
    facts: dict[str, Any]
    earlier: Mapping[str, Any] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    @contextmanager
    def stage(self, name: str, compute: Compute, tally: Tally) -> Iterator[None]:
        """Time a stage; it is 'cached' if it took pieces from the store and made none.

        Stages of several threads overlap, and their peak memory is that of all.
        """
        begun, made, found = time.monotonic(), tally.made, tally.found
        reset_peak_memory(compute.device)
        yield
        past = self._earlier_stages().get(name, {"seconds": 0.0, "peak_memory_mib": None})
        peaks = (peak_memory(compute.device), past["peak_memory_mib"])
        told = {
            "stage": name,
            "seconds": round(time.monotonic() - begun + past["seconds"], 2),
            "peak_memory_mib": max((round(peak) for peak in peaks if peak is not None), default=None),
            "cached": tally.found > found and tally.made == made,
        }
        with self._lock:
            self.stages.append(told)
            self.write(complete=False)

    def write(self, *, complete: bool) -> None:
        """Write manifest.json."""
        done = {stage["stage"] for stage in self.stages}
        stages = [*(stage for name, stage in self._earlier_stages().items() if name not in done), *self.stages]
        seconds = round(self.earlier.get("seconds", 0.0) + time.monotonic() - self._begun, 1)
        content = {
            **self.facts,
            "complete": complete,
            "finished": now(),
            "seconds": seconds,
            "stages": stages,
            "warnings": self.warnings,
        }
        self.place.write(MANIFEST, json.dumps(content, indent=1))

    def tell_workers(self, accounts: Mapping[str, Account]) -> None:
        """Say what each worker did, in an interrupted run before this one, too."""
        workers = {name: Account(**account) for name, account in self.earlier.get("workers", {}).items()}
        for name, account in accounts.items():
            workers[name] = account.after(workers[name]) if name in workers else account
        self.facts["workers"] = {name: asdict(account) for name, account in sorted(workers.items())}

    def _earlier_stages(self) -> dict[str, dict[str, Any]]:
        return {stage["stage"]: stage for stage in self.earlier.get("stages", [])}


def earlier_manifest(place: Place) -> dict[str, Any]:
    """The seconds, stages and workers of a manifest that is there already; `{}` if they cannot be read."""
    try:
        content = json.loads(place.read(MANIFEST))
        stages = [{key: stage[key] for key in STAGE} for stage in content["stages"]]
        workers = {name: asdict(Account(**account)) for name, account in content.get("workers", {}).items()}
        return {"seconds": float(content["seconds"]), "stages": stages, "workers": workers}
    except (OSError, ValueError, KeyError, TypeError):
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
        "device": torch.cuda.get_device_name(compute.device) if cuda else compute.device.type,
        "processor": f"{_processor()}, {torch.get_num_threads()} threads",
        "precision": compute.precision,
        "versions": versions,
    }


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
