"""navbench's distances are torch-fidelity's, end to end, and its edits are models that torch-fidelity takes."""

import numpy as np
import pytest
import torch
import torch_fidelity
from torch.utils.data import Dataset
from torch_fidelity.noise import random_normal

from navbench.compute import Compute
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.experiments import fid_curve
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.experiments.torch_fidelity_adapter import ShiftedGenerator
from navbench.metrics.extractors import create_extractor, quantise
from navbench.metrics.parts import Parts
from navbench.metrics.perceptual import create_distance
from navbench.spaces import ParameterSpace

N, SEED = 40, 3


class Images(Dataset):
    """uint8 images as torch-fidelity reads a dataset."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def theirs(input1, input2, n=N, **options):
    """torch-fidelity's Fréchet and kernel distance."""
    metrics = torch_fidelity.calculate_metrics(
        input1=input1,
        input2=input2,
        feature_extractor="efficientnet-lite0",
        fid=True,
        kid=True,
        kid_subsets=1,
        kid_subset_size=n,
        batch_size=n,
        cuda=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
        **options,
    )
    return metrics["frechet_inception_distance"], metrics["kernel_inception_distance_mean"]


@pytest.fixture(scope="module")
def edit(faces):
    compute = Compute(batch=16)
    distance = create_distance("stlpips-alex", compute)
    settings = DiscoverySettings(directions=1, effect_codes=2)
    space = ParameterSpace(faces, faces.layer("main.9"))
    return Edit(faces, Discovery(space, distance, settings, compute, SEED).run("svd")[0], compute)


@pytest.fixture(scope="module")
def reference(faces):
    """The reference's images, as a run makes them, and what both distances to it need."""
    images = quantise(unshifted(faces, codes_for(faces, "reference", range(N), SEED), Compute()))
    extractor = create_extractor("efficientnet-lite0", Compute(batch=16))
    features = fid_curve.unshifted_features(faces, "reference", range(N), SEED, extractor, Compute(batch=16)).features
    return Images(images), extractor, fid_curve.ReferenceStatistics.of(Parts.of(features))


def test_a_curve_is_what_torch_fidelity_says_of_the_same_images(faces, edit, reference):
    images, extractor, prepared = reference
    distance = create_distance("stlpips-alex", edit.compute)
    t = edit.direction.t_max
    halves = range(24), range(24, N)
    shards = [fid_curve.curve_shard(edit, [t], indices, SEED, extractor, distance, 0) for indices in halves]
    curve = fid_curve.assemble([Parts.of(*(shard.features[0] for shard in shards))], shards[0].effects, prepared)
    shifted = quantise(edit.prepare(codes_for(faces, "curve", range(N), SEED))(t))
    frechet, kernel = theirs(Images(shifted), images)
    assert curve.frechet_at(0).value == pytest.approx(frechet, rel=1e-4)
    assert curve.kernel_at(0).value == pytest.approx(kernel, rel=1e-4)


def test_torch_fidelity_takes_a_shifted_generator_as_it_is(edit, reference):
    """And its figures are ours on the same codes, which torch-fidelity draws from numpy."""
    n, extractor = 16, reference[1]
    shifted = ShiftedGenerator(edit, edit.direction.t_max)
    images = Images(reference[0].images[:n])
    frechet, kernel = theirs(shifted, images, n, input1_model_num_samples=n, rng_seed=5)
    codes = random_normal(np.random.RandomState(5), (n, shifted.z_size))
    as_floats = [each / 127.5 - 1 for each in (images.images, shifted(codes))]
    prepared, features = fid_curve.ReferenceStatistics.of(Parts.of(extractor(as_floats[0]))), extractor(as_floats[1])
    assert frechet == pytest.approx(prepared.frechet.estimate(features).value, rel=1e-4)
    assert kernel == pytest.approx(prepared.measure(Parts.of(features))[1].value, rel=1e-4)


def test_images_are_those_of_the_edit_in_bytes(faces, edit):
    z = faces.sample(range(3), SEED).z
    shifted = ShiftedGenerator(edit, edit.direction.t_min)
    assert (shifted.z_size, shifted.z_type, shifted.num_classes, shifted.training) == (100, "normal", 0, False)
    images = shifted(z)
    assert images.dtype == torch.uint8
    offset = edit.direction.t_min * edit.direction.offset
    layer = edit.space.layer
    with torch.no_grad():
        expected = torch.func.functional_call(
            faces, {f"{layer.name}.weight": faces.kernel(layer) + offset}, (faces.sample(range(3), SEED),)
        )
    apart = (images.int() - quantise(expected).int()).abs()
    assert int(apart.max()) <= 1
    assert float(apart.float().mean()) < 1e-3
