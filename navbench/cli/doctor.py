"""The command that tells what is here and what is missing: `navbench doctor`."""

import os
import shutil
import tomllib
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

import click

from navbench import weights
from navbench.cli.common import console, example, folding
from navbench.cli.loading import loading
from navbench.words import DISTANCE, EXTRACTOR, PRESETS


@click.command("doctor", cls=click.Command, **example("navbench doctor"))
@click.option("--torch", "asked", is_flag=True, help="Load torch too, and ask it for its devices.")
def doctor(asked: bool) -> None:
    """Say which weights are here, which are missing, and what each preset needs."""
    table = folding("weights", "here", "from")
    present = {}
    for item in weights.status():
        present[item.name] = item.present
        table.add_row(item.name, "yes" if item.present else "no", item.source)
    console.print(table)
    console.print(f"cache: {weights.cache_folder()}")
    for name in PRESETS:
        needs = sorted(needs_of(name))
        missing = [need for need in needs if not present.get(need, True)]
        verdict = f"missing {', '.join(missing)}, fetched when first used" if missing else "all here"
        console.print(f"preset {name}: needs {', '.join(needs)}; {verdict}")
    console.print(_loaded_torch() if asked else _installed_torch())


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
