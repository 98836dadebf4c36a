"""The presets on a generator of each family, from a file as it is published, by one command.

StyleGAN2 goes through both, the others through one: what differs between presets is not the family.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from analytic import styled
from click.testing import CliRunner
from PIL import Image
from published import nvidia_state, write_nvidia
from published_biggan import Published
from published_pix2pixhd import state as pix2pixhd_state
from published_pix2pixhd import write_maps

from navbench import suite
from navbench.cli import main
from navbench.methods import is_labelled

SMALL = {
    "batch": 8,
    "screening": {"samples": 4},
    "locality": {"directions": 1, "samples": 10, "shifts": 2},
    "reproduction": {"directions": 1, "codes": 4, "held_out": 4, "steps": 2, "bound": 0, "controls": 2},
    "strips": {"directions": 1, "codes": 2, "shifts": 3},
    "curves": {"directions": 1, "shifts": 3, "samples": 12, "shard": 12, "effect_samples": 4},
    "attributes": {"samples": 4, "shifts": 3},
    "ends": {"samples": 6, "points": 3},
    "instrument": {"samples": 8},
    "disentanglement": {"samples": 50},
    "survey": {"directions": 1, "samples": 4},
    "pairs": {"directions": 1, "codes": 4, "shown": 1},
    "photos": {"count": 1, "steps": 2},
    "recognition": {"steps": 2, "batch": 4, "pairs": 8},
    "stability": {"codes": [5]},
    "composition": {"directions": 2, "samples": 2},
}
LEARNING = {"directions": 3, "steps": 2, "batch": 4, "evaluation": 4, "recognition_codes": 4}
FETCHED = {"distance": "stlpips-alex", "extractor": "efficientnet-lite0"}
"""In place of networks whose weights are not in the package index."""


def small(preset: str) -> str:
    """A preset with its structure and methods, at the smallest sizes, as a suite file."""
    own = suite.read(preset)
    content = own.model_dump(mode="json")
    discovery = content["discovery"] | {"directions": 3, "effect_codes": 4, "distance": FETCHED["distance"]}
    for name in ("optimization", "hybrid", "latent_optimization"):
        discovery[name] = discovery[name] | LEARNING
    solver = {"vectors": 3, "codes": 4, "products": 12, "block": 4, "iterations": 1}
    discovery["spectrum"] = discovery["spectrum"] | solver
    discovery["ganspace"] = {"samples": 64}
    curves = SMALL["curves"] | {"extractor": FETCHED["extractor"]}
    values = {**SMALL, "curves": curves, "discovery": discovery, "distance": FETCHED["distance"]}
    return own.with_values(name="small", **values).toml()


def stylegan2(folder: Path) -> list[str]:
    generator = styled(resolution=32)
    write_nvidia(folder / "network.pkl", nvidia_state(generator))
    return ["--generator", "network.pkl", "--truncation", "0.7", "--size", "24x32"]


def biggan(folder: Path) -> list[str]:
    torch.save(Published(attn=(8,)).state(), folder / "G_ema.pth")
    return ["--generator", "G_ema.pth", "--truncation", "0.5", "--classes", "1,3"]


def pix2pixhd(folder: Path) -> list[str]:
    torch.save(pix2pixhd_state(inputs=5, local=(1,), downs=1, blocks=1), folder / "latest_net_G.pth")
    write_maps(folder / "maps", (32, 64), 12, instances=True)
    maps = ["--labels", "maps/labels", "--instances", "maps/instances"]
    return ["--generator", "latest_net_G.pth", *maps]


FAMILIES = {"network": (stylegan2, (24, 32)), "G_ema": (biggan, (32, 32)), "latest_net_G": (pix2pixhd, (32, 64))}


def references(folder: Path, size: tuple[int, int]) -> dict[str, str]:
    """A folder of images of that size, a zip of larger ones, and the statistics of some features."""
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(6):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / "photos" / f"{number}.png")
    features = rng.normal(size=(40, 1280))
    np.savez(folder / "theirs.npz", mu=features.mean(0), sigma=np.cov(features, rowvar=False))
    return {"standard": "photos", "paper": "theirs.npz"}


@pytest.mark.parametrize(
    ("name", "preset"),
    [("network", "standard"), ("network", "paper"), ("G_ema", "paper"), ("latest_net_G", "standard")],
)
def test_a_preset_runs_end_to_end_on_a_checkpoint(tmp_path, monkeypatch, name, preset):
    monkeypatch.chdir(tmp_path)
    write, size = FAMILIES[name]
    (tmp_path / "small.toml").write_text(small(preset))
    reference = references(tmp_path, size)[preset]
    line = ["run-all", "small.toml", *write(tmp_path), "--reference", reference, "--layer", "1", "--out", "run"]
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    tables = {path.stem: pd.read_csv(path) for path in Path("run/tables").glob("*.csv")}
    methods = {method for method in suite.read(preset).generators[0].methods if not is_labelled(method)}
    assert set(tables["directions"]["method"]) == methods
    curves = tables["curves"]
    assert set(curves["reference"]) == {reference}
    assert curves.loc[curves["metric"] == "FD", "value"].notna().all()
    has_kernel = curves.loc[curves["metric"] == "KID", "value"].notna()
    assert has_kernel.all() if preset == "standard" else not has_kernel.any()  # a mean and covariance have no kernel
    assert tables["reproduction"]["unexplained_fraction"].notna().all()
    assert (curves.loc[curves["t"] == 0, "effect"] == 0).all()
    assert (curves.loc[curves["t"] != 0, "effect"] > 0).all()
    page = Path("run/index.html").read_text()
    assert "as they are, not resized" in page if preset == "standard" else "does not tell how" in page


def test_a_label_map_of_an_unknown_class_stops_a_run_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(small("standard"))
    line = ["run-all", "small.toml", *pix2pixhd(tmp_path), "--out", "run"]
    Image.fromarray(np.full((32, 64), 255, np.uint8)).save("maps/labels/city_11_labelIds.png")
    for command in (line, ["discover", "--method", "svd", *line[2:-2], "--layer", "1", "--out", "run"]):
        refused = CliRunner().invoke(main, command)
        assert refused.exit_code == 2
        assert "city_11_labelIds.png has the class 255, but the generator knows 0 to 3" in refused.output
        assert not Path("run").exists()


def test_an_unknown_layer_stops_a_run_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(small("standard"))
    refused = CliRunner().invoke(main, ["run-all", "small.toml", *stylegan2(tmp_path), "--layer", "9", "--out", "run"])
    assert refused.exit_code == 2
    assert "Unknown layer of generator network '9'" in refused.output
    assert not Path("run").exists()
