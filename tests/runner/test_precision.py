"""What bf16 does to a curve, and how a run at bf16 says so."""

import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch_fidelity
import toy
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from navbench import suite
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.experiments.fid_curve import ReferenceStatistics
from navbench.generators import zoo
from navbench.library import Library
from navbench.metrics.extractors import create_extractor
from navbench.metrics.parts import Parts
from navbench.metrics.perceptual import create_distance
from navbench.report.html import write_report

N = 32
COMPUTES = {precision: Compute("cpu", precision, batch=N) for precision in ("float32", "bf16")}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Per precision of the generator, its images of the reference, at t = 0, and at t_max of two directions."""
    sets = toy.write_sets(tmp_path_factory.mktemp("sets"), "faces", ["main.6", "main.9"], ["svd"])
    made = {}
    for precision, compute in COMPUTES.items():
        faces = zoo.create("faces", compute)
        codes = codes_for(faces, "curve", range(N), 0)
        shown = {
            "reference": unshifted(faces, codes_for(faces, "reference", range(N), 0), compute),
            "zero": unshifted(faces, codes, compute),
        }
        for layer in ("main.6", "main.9"):
            direction = Library([sets]).sets[f"faces/svd/{layer}"].load(faces)[0]
            shown[layer] = Edit(faces, direction, compute).prepare(codes)(direction.t_max)
        made[precision] = shown
    return made


@pytest.fixture(scope="module")
def curve(images):
    """A function to the Fréchet distances with the generator and the extractor at some precision."""
    extractors = {precision: create_extractor("efficientnet-lite0", compute) for precision, compute in COMPUTES.items()}
    done = {}

    def distances(generation, extraction):
        if (generation, extraction) not in done:
            features = {name: extractors[extraction](shown) for name, shown in images[generation].items()}
            reference = ReferenceStatistics.of(Parts.of(features.pop("reference")))
            values = [reference.frechet.distance_from_features(each) for each in features.values()]
            done[generation, extraction] = torch.tensor(values, dtype=torch.float64)
        return done[generation, extraction]

    return distances


def change(values, exact):
    """The largest relative change."""
    return float((values / exact - 1).abs().max())


def test_generation_at_bf16_moves_a_curve_by_less_than_one_percent(curve):
    assert change(curve("bf16", "float32"), curve("float32", "float32")) < 0.01


def test_extraction_at_bf16_moves_a_curve_by_less_than_five_percent(curve):
    assert change(curve("bf16", "bf16"), curve("float32", "float32")) < 0.05


def test_generation_at_bf16_moves_effects_by_less_than_one_percent(images):
    distance = create_distance("stlpips-alex", Compute())
    effects = {}
    for precision, shown in images.items():
        pairs = [(shown["zero"][:16], shown[layer][:16]) for layer in ("main.6", "main.9")]
        effects[precision] = torch.stack([distance(*pair).mean() for pair in pairs])
    assert change(effects["bf16"], effects["float32"]) < 0.01


@pytest.mark.parametrize("name", suite.PRESETS)
def test_presets_compute_at_float32(name):
    assert suite.read(name).precision == "float32"


@pytest.mark.parametrize("name", sorted({*suite.PRESETS} - {"full"}))
def test_presets_of_many_images_extract_at_float32(name):
    """The sampling error of thousands of images may be smaller than what bf16 does."""
    curves = suite.read(name).curves
    assert curves.extractor_precision == "float32" or curves.samples <= 512


def test_where_the_preset_full_extracts_at_bf16_its_report_has_measured_that_at_t_0_it_is_below_the_sampling_error():
    manifest = json.loads((Path(__file__).parents[2] / "reports" / "full" / "manifest.json").read_text("utf-8"))
    assert manifest["extractor_precision"] == suite.read("full").curves.extractor_precision == "bf16"
    measured = [re.findall(r"([\d.]+) of its standard error", sentence) for sentence in manifest["rounding"]]
    assert [len(each) for each in measured] == [2, 2, 2]  # FD and KID of each generator
    assert max(float(number) for each in measured for number in each) <= 0.1


# --- a run with another precision of its extractor -------------------------------------------------------------


class Scaled(toy.Pixels):
    """The toy extractor with features twice as large at bf16: its Fréchet distances are four times as large."""

    def forward(self, images):
        """Return (N, 6) features."""
        (features,) = super().forward(images)
        return (features * (2 if torch.is_autocast_enabled("cpu") else 1),)


@pytest.fixture(scope="module")
def scaled(tmp_path_factory, sets):
    """The run of an extractor whose error is known, and the same at float32."""
    name = "toy-scaled"
    if name not in FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor(name, Scaled)
    folder, made = tmp_path_factory.mktemp("scaled"), {}
    for precision in ("float32", "bf16"):
        curves = {"extractor": name, "extractor_precision": precision, "shard": 3}
        made[precision] = toy.execute(folder / precision, toy.tiny(experiments=["curves"], curves=curves), sets)
    return made


def floors(run):
    """The FD and the KID at t = 0."""
    curves = pd.read_csv(run.folder / "tables" / "curves.csv")
    return {metric: rows.iloc[0] for metric, rows in curves[curves["t"] == 0].groupby("metric")}


def test_a_run_measures_how_far_the_precision_moves_its_distances(scaled):
    (told,) = scaled["bf16"].manifest.facts["rounding"]
    exact, rough = floors(scaled["float32"]), floors(scaled["bf16"])
    for metric in ("FD", "KID"):
        moved = rough[metric]["value"] - exact[metric]["value"]
        assert f"the {metric} at t = 0 by {moved:.2g}, {abs(moved) / rough[metric]['stderr']:.2f} of its" in told
    assert rough["FD"]["value"] == pytest.approx(4 * exact["FD"]["value"], rel=1e-2)


def test_an_error_that_is_not_below_the_sampling_error_is_a_warning_and_a_limit(scaled):
    run = scaled["bf16"]
    (told,) = run.manifest.facts["rounding"]
    assert "not below the sampling error" in told
    assert any(told in warning for warning in run.manifest.warnings)
    assert html.unescape(write_report(run.folder).read_text()).count("Extraction at bf16 moves") >= 2


def test_a_run_at_float32_has_no_rounding_to_tell_of(scaled):
    run = scaled["float32"]
    assert run.manifest.facts["rounding"] == []
    assert run.manifest.facts["extractor_precision"] == "float32"
    assert not run.manifest.warnings


def test_an_extractor_of_another_package_is_refused_at_another_precision(tmp_path, sets):
    chosen = toy.tiny(curves={"extractor": "toy:embedding", "extractor_precision": "bf16"})
    with pytest.raises(NavbenchError, match="'toy:embedding' computes at float32 alone; do not ask for 'bf16'"):
        toy.execute(tmp_path / "run", chosen, sets)
