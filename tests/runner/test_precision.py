"""What bf16 does to a curve: why presets compute at float32, and what a suite at bf16 may expect."""

import pytest
import torch
import toy

from navbench import suite
from navbench.compute import Compute
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.experiments.fid_curve import ReferenceStatistics
from navbench.generators import zoo
from navbench.library import Library
from navbench.metrics.extractors import create_extractor
from navbench.metrics.parts import Parts
from navbench.metrics.perceptual import create_distance

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
    """As bf16 with its extraction does not keep a curve within one percent, no preset chooses it."""
    assert suite.read(name).precision == "float32"
