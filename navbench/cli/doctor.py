"""The command that tells what is here and what is missing: `navbench doctor`."""

import os
import shutil
import tomllib
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import click

from navbench import weights
from navbench.cli.common import example
from navbench.cli.grouping import Command
from navbench.cli.loading import loading
from navbench.cli.output import console, folding, json_option
from navbench.words import DISTANCE, EXTRACTOR, PRESETS


@click.command("doctor", cls=Command, **example("navbench doctor"))
@click.option("--torch", "asked", is_flag=True, help="Load torch too, and ask it for its devices.")
@json_option("an object with weights (name, here, from), cache, presets (preset, needs, missing) and torch, a sentence")
def doctor(asked: bool) -> dict[str, Any]:
    """Say which weights are here, which are missing, and what each preset needs."""
    weighed = [{"name": item.name, "here": item.present, "from": item.source} for item in weights.status()]
    absent = {str(row["name"]) for row in weighed if not row["here"]}
    presets = [
        {"preset": name, "needs": sorted(needs), "missing": sorted(needs & absent)}
        for name, needs in zip(PRESETS, map(needs_of, PRESETS), strict=True)
    ]
    table = folding("weights", "here", "from")
    for row in weighed:
        table.add_row(str(row["name"]), "yes" if row["here"] else "no", str(row["from"]))
    console.print(table)
    console.print(f"cache: {weights.cache_folder()}")
    for each in presets:
        missing = ", ".join(each["missing"])
        verdict = f"missing {missing}, fetched when first used" if missing else "all here"
        console.print(f"preset {each['preset']}: needs {', '.join(each['needs'])}; {verdict}")
    torch = _loaded_torch() if asked else _installed_torch()
    console.print(torch)
    return {"weights": weighed, "cache": str(weights.cache_folder()), "presets": presets, "torch": torch}


def needs_of(preset: str) -> set[str]:
    """The generators, distances and extractor that a preset names, read from its file as it stands."""
    content = tomllib.loads(files("navbench").joinpath(f"presets/{preset}.toml").read_text(encoding="utf-8"))
    found = {content.get("distance", DISTANCE), content.get("curves", {}).get("extractor", EXTRACTOR)}
    for subject in content["generators"]:
        discovery = subject.get("discovery", content.get("discovery", {}))
        found |= {subject["name"], discovery.get("distance", DISTANCE)}
    return found


def _installed_torch() -> str:
    """What can be said of torch without loading it."""
    try:
        installed = version("torch")
    except PackageNotFoundError:
        return "torch is not installed"
    driver = "an NVIDIA driver" if shutil.which("nvidia-smi") else "no NVIDIA driver"
    return f"torch {installed}, {driver}, {os.cpu_count()} processors; --torch asks torch itself"


def _loaded_torch() -> str:
    with loading():
        import torch
    cuda = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
    return f"torch {torch.__version__}, {cuda}, {torch.get_num_threads()} threads"
