"""Files that are broken or hostile, each with what a user would do with it: the corpus of `test_corpus.py`.

Seeds are small files of every layout that navbench reads. Each is damaged in the same ways; beside these stand files
made by hand, of what damage does not lead to.
"""

import io
import json
import os
import pickle
import random
import shlex
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import published
import torch
from analytic import direction_set, noise, styled
from PIL import Image
from safetensors.torch import save

from navbench.directions import write_set
from navbench.generators.files import write_generator

GENERATOR = styled()
RAN = "RAN"
"""The file that hostile content would write, in the folder of the corpus."""


@dataclass(frozen=True)
class Case:
    """A file, and what is done with it: a key of `opened.DOORS`."""

    name: str
    door: str
    path: str


def written(folder: Path) -> list[Case]:
    """Write the corpus, and what its doors need beside it."""
    seeds = _seeds(folder / "seeds")
    cases = []
    for name, (door, content) in [*_damaged(seeds), *_by_hand(folder)]:
        place = folder / "cases" / name
        place.mkdir(parents=True)
        path = place / Path(name.partition(" ")[0]).name
        content(path) if callable(content) else path.write_bytes(content)
        cases.append(Case(name, door, str(path)))
    return cases


# --- seeds -------------------------------------------------------------------------------------------------------


def _seeds(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Whole files of each layout: door and content by name."""
    folder.mkdir(parents=True)
    write_generator(GENERATOR, folder / "own.safetensors", {})
    published.write_nvidia(folder / "nvidia.pkl", published.nvidia_state(GENERATOR))
    published.write_rosinality(folder / "rosinality.pt", GENERATOR)
    published.write_rosinality(folder / "legacy.pt", GENERATOR, legacy=True)
    layer = GENERATOR.layer("convs.1")
    write_set(direction_set(GENERATOR, "convs.1", noise(0, 3, *layer.shape)), folder / "set.safetensors")
    torch.save({"layer_ix": 1, "shift": noise(1, 1, 1, *layer.shape)}, folder / "navigan.pt")
    torch.save({"ckpt": "a.pt", "eigvec": torch.eye(GENERATOR.style_dim)}, folder / "factor.pt")
    np.save(folder / "boundary.npy", noise(2, 1, GENERATOR.style_dim).numpy())
    np.savez(folder / "components.npz", **_components())
    np.savez(folder / "projected.npz", w=noise(3, 1, GENERATOR.styles_per_image, GENERATOR.style_dim).numpy())
    torch.save(noise(4, 2, GENERATOR.styles_per_image, GENERATOR.style_dim), folder / "latents.pt")
    np.savez(folder / "statistics.npz", mu=np.zeros(6), sigma=np.eye(6))
    _picture().save(folder / "photo.png")
    _picture().save(folder / "photo.jpg")
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for index in range(3):
            archive.write(folder / "photo.png", f"{index}.png")
    doors = {
        "own.safetensors": "generator", "nvidia.pkl": "generator", "rosinality.pt": "generator",
        "legacy.pt": "generator", "set.safetensors": "set", "navigan.pt": "import", "factor.pt": "import",
        "boundary.npy": "import", "components.npz": "import", "projected.npz": "codes", "latents.pt": "codes",
        "statistics.npz": "statistics", "photo.png": "images", "photo.jpg": "images", "photos.zip": "reference",
    }  # fmt: skip
    return {name: (door, (folder / name).read_bytes()) for name, door in doors.items()}


def _components() -> dict[str, np.ndarray]:
    rows = noise(5, 3, 1, GENERATOR.style_dim).numpy()
    mean, spread = rows[:1, 0], np.ones(3)
    return {"act_comp": rows, "act_stdev": spread, "lat_comp": rows, "lat_mean": mean, "lat_stdev": spread}


def _picture(side: int = 24, mode: str = "RGB") -> Image.Image:
    return Image.fromarray((noise(6, side, side, 3) * 50 + 128).clamp(0, 255).byte().numpy()).convert(mode)


def _damaged(seeds: dict[str, tuple[str, bytes]]) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Each seed cut, flipped, overwritten, doubled and begun with something else."""
    for name, (door, content) in seeds.items():
        drawn, size = random.Random(name), len(content)
        for share in (0.1, 0.5, 0.9):
            yield f"{name} cut at {share}", (door, content[: int(share * size)])
        for count in (1, 2, 3):
            flipped = bytearray(content)
            for place in drawn.sample(range(size), min(10**count, size)):
                flipped[place] ^= 1 << drawn.randrange(8)
            yield f"{name} with {10**count} flipped bits", (door, bytes(flipped))
        start = drawn.randrange(size // 2)
        yield (
            f"{name} with zeros inside",
            (door, content[:start] + bytes(min(512, size - start)) + content[start + 512 :]),
        )
        yield f"{name} after words", (door, b"words" + content)
        yield f"{name} twice", (door, content + content)
        yield f"{name} with an end of noise", (door, content[: size // 2] + drawn.randbytes(size - size // 2))


# --- by hand -----------------------------------------------------------------------------------------------------


class _Calls:
    """Pickled as a call of something."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple:
        return self.made


def _by_hand(folder: Path) -> Iterator[tuple[str, tuple[str, bytes | Callable[[Path], object]]]]:
    yield from _calls(folder / RAN)
    yield from _claims()
    yield from _bombs()
    yield from _no_files()
    yield from _headers()
    yield from _images()
    for name, door in (("empty.pt", "generator"), ("empty.pkl", "generator"), ("empty.npz", "statistics"),
                       ("empty.safetensors", "set"), ("empty.npy", "import"), ("empty.png", "images")):  # fmt: skip
        yield name, (door, b"")


def _calls(marker: Path) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Pickles that would write a file, in each wrapping that navbench reads."""
    calls = {
        "system": _Calls(os.system, f"touch {shlex.quote(str(marker))}"),
        "eval": _Calls(eval, f"open({str(marker)!r}, 'w')"),
        "exec": _Calls(exec, f"open({str(marker)!r}, 'w')"),
        "open": _Calls(open, str(marker), "w"),
        "load": _Calls(pickle.loads, pickle.dumps(_Calls(os.system, f"touch {shlex.quote(str(marker))}"))),
        "exit": _Calls(sys.exit, 0),
    }
    for name, call in calls.items():
        plain, torchs = pickle.dumps({"G_ema": call}, 4), {"g_ema": {"convs.0.conv.weight": call}}
        yield f"{name}.pkl", ("generator", plain)
        yield f"{name}.npy", ("import", _saved(np.array([call], object), np.save))
        yield f"{name}.npz", ("statistics", _saved({"mu": np.array([call], object), "sigma": np.eye(1)}, _savez))
        for legacy in (False, True):
            for door in ("generator", "import", "codes"):
                content = _saved(torchs, torch.save, _use_new_zipfile_serialization=not legacy)
                yield f"{name}.pt for {door}{', legacy' * legacy}", (door, content)


def _saved(content: object, save_to: Callable, **options: object) -> bytes:
    stream = io.BytesIO()
    save_to(content, stream, **options) if save_to is torch.save else save_to(stream, content)
    return stream.getvalue()


def _savez(stream: io.BytesIO, arrays: dict[str, np.ndarray]) -> None:
    np.savez(stream, **arrays)


def _claims() -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Sizes that are not there."""
    for door, entry in (("generator", "convs.0.conv.weight"), ("set", "coefficients")):
        for name, end in (("huge", 2**62), ("beyond", 4000), ("negative", -8)):
            header = {entry: {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, end]}}
            content = json.dumps(header).encode()
            yield f"{name}.safetensors for {door}", (door, struct.pack("<Q", len(content)) + content + bytes(64))
        yield f"endless-header.safetensors for {door}", (door, struct.pack("<Q", 2**60) + b"{}")
        yield f"deep.safetensors for {door}", (door, struct.pack("<Q", 200_000) + b"[" * 100_000 + b"]" * 100_000)
    shape = "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
    yield "huge.npy", ("import", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(shape)) + shape.encode())
    yield "deep.pkl", ("generator", b"\x80\x04" + b"]" * 300_000 + b"a" * 299_999 + b".")
    yield "endless.pkl", ("generator", b"\x80\x04" + b"]" + b"h\x00h\x00\x86" * 200_000 + b".")
    yield "tower.pkl", ("generator", b"\x80\x02X\x01\x00\x00\x00aq\x00" + b"h\x00h\x00\x86q\x00" * 60 + b".")


def _bombs() -> Iterator[tuple[str, tuple[str, bytes | Callable[[Path], object]]]]:
    """Files that unpack to gigabytes."""
    for name, door in (("bomb.npz", "statistics"), ("bomb.zip", "reference")):
        yield name, (door, _bomb)
    yield "bomb.png", ("images", _flat_png)


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        inner = {".npz": "mu.npy", ".zip": "0.png"}[path.suffix]
        with archive.open(inner, "w", force_zip64=True) as member:
            for _ in range(256):
                member.write(bytes(1 << 20))


def _flat_png(path: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(path)


def _no_files() -> Iterator[tuple[str, tuple[str, Callable[[Path], object]]]]:
    """What lies where a file is expected."""
    for door, suffix in (("generator", "pt"), ("import", "pt"), ("codes", "npz"), ("statistics", "npz")):
        yield f"folder.{suffix} for {door}", (door, Path.mkdir)
        yield f"pipe.{suffix} for {door}", (door, os.mkfifo)
        yield f"nowhere.{suffix} for {door}", (door, lambda path: path.symlink_to("nothing"))
        yield f"loop.{suffix} for {door}", (door, lambda path: path.symlink_to(path.name))
    yield "zero.pt", ("generator", lambda path: path.symlink_to("/dev/zero"))
    yield "\x1b[2Jcleared.pt", ("generator", b"words")
    yield "two\nlines.pt", ("generator", b"words")
    yield "half\udc80.pt", ("generator", b"words")


def _headers() -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Direction sets that say odd things."""
    good = {
        "format": 1, "generator": "styled", "weights": "0" * 64, "space": "parameter", "layer": "convs.1",
        "method": "m", "basis": "stored", "basis_sha256": "", "labels": [""], "seed": 0,
    }  # fmt: skip
    tensors = {"coefficients": torch.ones(1, 1), "t_min": -torch.ones(1), "t_max": torch.ones(1)}
    for name, change in {
        "outside": {"generator": "../../outside"}, "absolute": {"layer": "/etc/passwd"}, "other basis": {"basis": 5},
        "basis elsewhere": {"basis": "set:/etc/passwd"}, "basis outside": {"basis": "set:../../../x"},
        "escape": {"method": "\x1b]0;title\x07"}, "surrogate": {"generator": "\ud800"}, "long": {"layer": "x" * 10**6},
        "nested labels": {"labels": [[["a"]]]}, "numbers": {"space": 3, "method": 4}, "nan": {"seed": float("nan")},
        "nothing": {"weights": None}, "format": {"format": {"a": []}}, "formula": {"labels": ["=cmd|' /C calc'!A0"]},
    }.items():  # fmt: skip
        yield f"{name}.safetensors", ("set", save(tensors, {"navbench": json.dumps(good | change)}))


def _images() -> Iterator[tuple[str, tuple[str, bytes | Callable[[Path], object]]]]:
    for mode in ("L", "P", "RGBA", "CMYK", "I;16", "1", "LA"):
        made = _picture().convert("L").convert("I").convert("I;16") if mode == "I;16" else None
        suffix = "tif" if mode == "CMYK" else "png"
        yield f"{mode.replace(';', '')}.{suffix}", ("images", (made or _picture().convert(mode)).save)
    yield "script.png", ("images", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    yield "postscript.png", ("images", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 24\nshowpage\n")
    yield "single.png", ("images", _picture(1).save)
