"""A curve against one torch-fidelity run per shift, and images per second at both precisions."""

import pytest
import torch
import torch_fidelity

from navbench.basis import SvdBasis
from navbench.compute import Compute
from navbench.directions import Direction
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.experiments.fid_curve import ReferenceStatistics, assemble, curve_shard, unshifted_features
from navbench.experiments.torch_fidelity_adapter import ShiftedGenerator
from navbench.generators import zoo
from navbench.metrics.extractors import create_extractor
from navbench.metrics.parts import Parts
from navbench.metrics.perceptual import create_distance

IMAGES = 64
SHIFTS = (-6.0, -3.0, 3.0, 6.0)


@pytest.fixture(scope="module")
def direction(faces):
    layer = faces.layer("main.9")
    basis = SvdBasis(layer, faces.kernel(layer))
    first = torch.eye(basis.count)[0]
    return Direction("faces", "svd", "parameter", "main.9", 0, "", basis, first, SHIFTS[0], SHIFTS[-1])


@pytest.mark.benchmark(group="curve of 4 shifts, 64 images each, float32")
def test_navbench_curve(measured, faces, direction):
    compute = Compute(batch=32)
    extractor, distance = create_extractor("efficientnet-lite0", compute), create_distance("stlpips-alex", compute)

    def curve():
        images = unshifted_features(faces, "reference", range(IMAGES), 0, extractor, compute)
        reference = ReferenceStatistics.of(Parts.of(images.features))
        edit = Edit(faces, direction, compute)
        shard = curve_shard(edit, SHIFTS, range(IMAGES), 0, extractor, distance, effect_codes=0)
        return assemble(map(Parts.of, shard.features), shard.effects, reference)

    assert len(measured(curve).frechet) == len(SHIFTS)


@pytest.mark.benchmark(group="curve of 4 shifts, 64 images each, float32")
def test_one_torch_fidelity_run_per_shift(measured, faces, direction):
    edit = Edit(faces, direction, Compute(batch=32))

    def curve():
        return [
            torch_fidelity.calculate_metrics(
                input1=ShiftedGenerator(edit, t),
                input2=ShiftedGenerator(edit, 0.0),
                input1_model_num_samples=IMAGES,
                input2_model_num_samples=IMAGES,
                feature_extractor="efficientnet-lite0",
                batch_size=32,
                fid=True,
                kid=True,
                kid_subset_size=IMAGES,
                kid_subsets=1,
                cuda=False,
                verbose=False,
                cache=False,
            )
            for t in SHIFTS
        ]

    assert len(measured(curve)) == len(SHIFTS)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", ["cars", "faces"])
def test_a_shard_of_a_curve_by_the_precision_of_its_extractor(benchmark, measured, name, precision):
    benchmark.group = f"curve_shard of {name}, 4 shifts, {IMAGES} images each, generator at float32"
    compute = Compute(batch=64)
    generator, distance = zoo.create(name, compute), create_distance("stlpips-alex", compute)
    extractor = create_extractor("efficientnet-lite0", compute.at(precision))
    layer = generator.layers()[len(generator.layers()) // 2]
    basis = SvdBasis(layer, generator.kernel(layer))
    made = Direction(name, "svd", "parameter", layer.name, 0, "", basis, torch.eye(basis.count)[0], -1.0, 1.0)
    edit, shifts = Edit(generator, made, compute), (-1.0, -0.5, 0.5, 1.0)
    shard = measured(lambda: curve_shard(edit, shifts, range(IMAGES), 0, extractor, distance, effect_codes=16))
    assert shard.features.shape == (len(shifts), IMAGES, extractor.dimensions)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("what", ["generation", "extraction"])
def test_images_per_second(benchmark, measured, what, precision):
    benchmark.group = f"{what} of 64 images"
    compute = Compute(precision=precision, batch=64)
    generator = zoo.create("faces", compute)
    codes = codes_for(generator, "curve", range(IMAGES), 0)
    images = unshifted(generator, codes, compute)
    if what == "generation":
        measured(lambda: unshifted(generator, codes, compute), rounds=5)
    else:
        extractor = create_extractor("efficientnet-lite0", compute)
        measured(lambda: extractor(images), rounds=3)
    benchmark.extra_info["images_per_second"] = round(IMAGES / benchmark.stats["median"], 1)
