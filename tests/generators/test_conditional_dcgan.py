"""The DCGAN that reads a class: the published module's arithmetic, classes by (seed, index), files, and `eyes`."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st

from navbench import baking
from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.directions import Direction
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit
from navbench.generators import dcgan, zoo
from navbench.generators.base import Codes
from navbench.generators.checkpoints import read_checkpoint
from navbench.generators.classes import ClassCodes
from navbench.generators.options import Options


def made(latent_dim=5, class_count=3, **sizes):
    """A small one whose batch norms are not the identity."""
    sizes = {"channels": 2, "resolution": 16} | sizes
    generator = dcgan.ConditionalDCGAN("small", "a small conditional DCGAN", class_count, latent_dim, **sizes)
    for index, (name, value) in enumerate(generator.state_dict().items()):
        if value.is_floating_point():
            value.copy_(noise(index, *value.shape).abs() + 0.1 if "var" in name else 0.6 * noise(index, *value.shape))
    return Compute().place(generator)


SMALL = made()


def published(state, z, label, class_count):
    """What the published module does with its state dict in evaluation, from its layers' positions alone."""
    x = torch.cat([z, torch.eye(class_count)[label]], dim=1)[:, :, None, None]
    kernels = [key for key, value in state.items() if value.ndim == 4]
    for number, key in enumerate(kernels):
        x = F.conv_transpose2d(x, state[key], stride=2 if number else 1, padding=1 if number else 0)
        if key == kernels[-1]:
            return x.tanh()
        norm = f"main.{int(key.split('.')[1]) + 1}."
        mean, var, gain, bias = (
            state[norm + part][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.relu((x - mean) / (var + 1e-5).sqrt() * gain + bias)
    raise AssertionError


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_images_are_those_of_the_published_module():
    codes = SMALL.sample(range(6), seed=0)
    assert len(set(codes.label.tolist())) > 1
    close(SMALL(codes), published(SMALL.state_dict(), codes.z, codes.label, 3))


def test_layers_have_the_names_of_the_published_module():
    assert [layer.name for layer in SMALL.layers()] == ["main.0", "main.4", "main.7"]


def test_dropout_does_nothing_once_placed():
    codes = SMALL.sample(range(2), seed=0)
    assert torch.equal(SMALL(codes), SMALL(codes))
    assert not torch.equal(made().train()(codes), SMALL(codes))


def test_the_class_changes_the_image_of_the_same_z():
    z = SMALL.sample([0], seed=0).z.expand(3, -1)
    images = SMALL(ClassCodes(z, torch.arange(3)))
    assert min(float((images[a] - images[b]).abs().mean()) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.01


@given(st.lists(st.integers(0, 10**9), max_size=6), st.integers(0, 2**62))
def test_a_code_and_its_class_depend_on_the_seed_and_its_number_only(indices, seed):
    together = SMALL.sample(indices, seed)
    assert together.z.shape == (len(indices), 5)
    for place, index in enumerate(indices):
        alone = SMALL.sample([index], seed)
        assert torch.equal(together[place : place + 1].z, alone.z)
        assert torch.equal(together[place : place + 1].label, alone.label)


def test_z_is_that_of_the_same_seed_without_classes():
    assert torch.equal(SMALL.sample(range(4), seed=3).z, dcgan.DCGAN("a", "", 5, 2, 16).sample(range(4), seed=3).z)


def test_all_classes_are_drawn_alike_and_others_than_the_chosen_never():
    counts = Counter(SMALL.sample(range(3000), seed=0).label.tolist())
    assert counts.keys() == {0, 1, 2}
    assert max(counts.values()) < 1000 + 4 * (3000 * 2 / 9) ** 0.5
    chosen = made()
    chosen.configure(Options(classes=(0, 2)))
    assert set(chosen.sample(range(50), seed=0).label.tolist()) == {0, 2}


def test_chosen_classes_are_another_variant_and_another_fingerprint():
    chosen = made()
    chosen.configure(Options(classes=(2,)))
    assert (SMALL.variant, chosen.variant) == ("", "classes 2")
    assert chosen.fingerprint != SMALL.fingerprint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(classes=(3,)), r"^Generator small has the classes 0 to 2, not 3\.$"),
        (Options(classes=(-1,)), r"not -1\.$"),
        (Options(truncation=0.5), r"^Generator small has no option 'truncation'; leave it out\.$"),
    ],
)
def test_options_that_it_does_not_have_are_refused(options, words):
    with pytest.raises(NavbenchError, match=words):
        made().configure(options)


def test_a_generator_by_name_takes_the_classes(monkeypatch):
    monkeypatch.setattr(dcgan, "small", made, raising=False)
    found = zoo.create("navbench.generators.dcgan:small", Compute(), Options(classes=(1,)))
    assert found.sample(range(4), seed=0).label.tolist() == [1, 1, 1, 1]


def test_codes_without_classes_are_refused():
    with pytest.raises(NavbenchError, match=r"^Generator small is class-conditional, so its codes need classes"):
        SMALL(Codes(noise(0, 2, 5)))


def test_a_shift_of_z_keeps_the_class_and_is_read_by_the_first_layer_alone():
    codes, offset = SMALL.sample(range(4), seed=0), noise(1, 5)
    moved = SMALL.shift_latent(codes, "z", offset)
    assert torch.equal(moved.label, codes.label)
    change = SMALL.main[0](SMALL.entering(moved)) - SMALL.main[0](SMALL.entering(codes))
    expected = (SMALL.latent_weights("z") @ offset).expand(4, -1)
    close(change.flatten(1), expected)


# --- files -----------------------------------------------------------------------------------------------------


def saved(path, generator):
    torch.save(generator.state_dict(), path)
    return path


def test_a_file_with_dropout_behind_the_first_stage_is_read_with_its_classes(tmp_path):
    generator = made(latent_dim=100)
    read = read_checkpoint(saved(tmp_path / "netG.pth", generator))
    codes = generator.sample(range(3), seed=0)
    assert torch.equal(read(read.sample(range(3), seed=0)), generator(codes))
    assert (read.description, read.latent_dim) == ("DCGAN, 16x16, 3 classes, from a file", 100)
    assert read.details["inputs"] == "100 of z, and then 3 classes (assumed)"
    chosen = read_checkpoint(tmp_path / "netG.pth", Options(classes=(1,)))
    assert set(chosen.sample(range(5), seed=0).label.tolist()) == {1}


def test_an_edit_is_baked_into_a_file_that_is_read_with_its_classes(tmp_path):
    generator = made(latent_dim=100)
    offset = DenseBasis(0.1 * noise(9, 1, *generator.layer("main.4").shape))
    one = Direction("small", "svd", "parameter", "main.4", 0, "", offset, torch.ones(1), -1.0, 1.0)
    baking.bake(generator, [(one, 2.0)], tmp_path / "baked.pt")
    codes = generator.sample(range(3), seed=0)
    expected = Edit(generator, one, Compute()).prepare(codes)(2.0)
    assert float((expected - generator(codes)).abs().max()) > 1e-3
    close(read_checkpoint(tmp_path / "baked.pt")(codes), expected)


def test_a_file_that_reads_too_little_for_z_and_classes_is_refused_with_its_path(tmp_path):
    path = saved(tmp_path / "netG.pth", SMALL)
    with pytest.raises(NavbenchError, match=r"netG\.pth: .* reads 8 numbers, which are no z of 100 and classes"):
        read_checkpoint(path)


def test_a_file_without_classes_refuses_them(tmp_path):
    path = saved(tmp_path / "netG.pth", dcgan.DCGAN("a", "", 5, 2, 16))
    with pytest.raises(NavbenchError, match=r"Generator netG has no option 'classes'; leave it out\.$"):
        read_checkpoint(path, Options(classes=(1,)))


# --- eyes ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eyes():
    return zoo.create("eyes", Compute())


def test_eyes_are_the_published_module_with_its_weights(eyes):
    codes = eyes.sample(range(3), seed=0)
    images = eyes(codes)
    close(images, published(eyes.state_dict(), codes.z, codes.label, 8))
    assert images.shape == (3, 3, 128, 128)
    assert [tuple(layer.shape) for layer in eyes.layers()][::4] == [(108, 1024, 4, 4), (128, 64, 4, 4)]


def test_classes_of_eyes_are_their_colours(eyes):
    z = eyes.sample(range(8), seed=0).z
    mean = {
        name: eyes(ClassCodes(z, torch.full((8,), number))).mean((0, 2, 3)) for number, name in enumerate(dcgan.EYES)
    }
    redness = {name: float(colour[0] - colour[2]) for name, colour in mean.items()}
    assert abs(redness["grayscale"]) < 0.1 < redness["brown"]
    assert redness["blue"] < redness["amber"]
    greenness = {name: float(colour[1] - colour[0]) for name, colour in mean.items()}
    assert greenness["green"] > greenness["red"]
    assert eyes.details["classes"].startswith("0 amber, 1 blue, 2 brown")


def test_eyes_is_found_by_its_name():
    assert zoo.known()["eyes"].value == "navbench.generators.dcgan:eyes"
