"""A checkpoint is known by its content and gives one generator; whatever it is instead is said in one sentence."""

import argparse
import io
import os
import pickle
import random
import zipfile

import published
import pytest
import torch
from analytic import noise, styled
from safetensors.torch import save_file
from torch import nn

from navbench.errors import NavbenchError
from navbench.generators.checkpoints import contents, convert, generator_name, read_checkpoint
from navbench.generators.files import read_header, write_generator
from navbench.generators.options import Options
from navbench.generators.stylegan2 import StyleGAN2

GENERATOR = styled(16)
CODES = GENERATOR.sample(range(2), seed=0)
WRITERS = {
    "nvidia": lambda path, made: published.write_nvidia(path, published.nvidia_state(made)),
    "nvidia, protocol 2": lambda path, made: published.write_nvidia(path, published.nvidia_state(made), 2),
    "rosinality": lambda path, made: published.write_rosinality(path, made),
    "rosinality, legacy": lambda path, made: published.write_rosinality(path, made, legacy=True),
    "ours": lambda path, made: write_generator(made, path, {}, torch.float32),
    "a state dict as safetensors": lambda path, made: save_file(published.nvidia_state(made), path),
    "a state dict of torch": lambda path, made: torch.save(published.nvidia_state(made), path),
}
CONTAINERS = pytest.mark.parametrize("kind", WRITERS)


def written(folder, kind, name="some.file", made=GENERATOR):
    WRITERS[kind](folder / name, made)
    return folder / name


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def refusal(path, **options):
    with pytest.raises(NavbenchError) as refused:
        read_checkpoint(path, Options(**options))
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    return message


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# --- what is read


@CONTAINERS
@pytest.mark.parametrize("name", ["church.pkl", "church.pt", "church.safetensors", "church"])
def test_every_container_gives_the_generator_whatever_its_name_says(tmp_path, kind, name):
    made = read_checkpoint(written(tmp_path, kind, name))
    assert isinstance(made, StyleGAN2)
    assert made.fingerprint == GENERATOR.fingerprint
    assert made.name == "church"
    assert torch.equal(made(CODES), GENERATOR(CODES))
    assert not any(weight.requires_grad for weight in made.parameters())
    assert {value.dtype for value in made.state_dict().values()} == {torch.float32}
    assert not made.training


def test_the_container_is_said(tmp_path):
    found = {kind: contents(written(tmp_path, kind)).container for kind in WRITERS}
    assert list(found.values()) == ["nvidia", "nvidia", "torch", "torch", "navbench", "safetensors", "torch"]


@CONTAINERS
def test_reading_takes_nothing_from_the_global_random_numbers_and_leaves_the_file(tmp_path, kind):
    path = written(tmp_path, kind)
    before, content = torch.get_rng_state(), path.read_bytes()
    made = read_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), before)
    made.convs[0].conv.weight.zero_()
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@CONTAINERS
def test_options_change_what_they_are_for(tmp_path, kind):
    path = written(tmp_path, kind)
    made = read_checkpoint(path, Options(truncation=0.5, noise="none", size=(12, 16)))
    expected = styled(16, truncation=0.5, noise="none")(CODES)[:, :, 2:14]
    assert torch.equal(made(CODES), expected)
    assert made.size == (12, 16)
    assert made.fingerprint != GENERATOR.fingerprint


@CONTAINERS
def test_options_that_do_not_fit_are_refused(tmp_path, kind):
    path = written(tmp_path, kind)
    assert "has no classes" in refusal(path, classes=(1,))
    assert "no part of the 16x16" in refusal(path, size=(17, 16))
    assert "has no option 'labels'" in refusal(path, labels=tmp_path)


def test_a_training_of_rosinalitys_gives_its_average(tmp_path):
    other = styled(16, strength=0.0)
    optimiser = torch.optim.Adam([nn.Parameter(torch.ones(2))]).state_dict()
    critic = {"convs.0.0.weight": noise(0, 2), "final_linear.0.weight": noise(0, 2)}
    path = published.write_rosinality(
        tmp_path / "050000.pt", GENERATOR, g=published.rosinality_state(other), d=critic, g_optim=optimiser,
        d_optim=optimiser, args=argparse.Namespace(size=16, latent=8, n_mlp=2), ada_aug_p=0.1,
    )  # fmt: skip
    made = read_checkpoint(path)
    assert made.name == "050000"
    assert made.fingerprint == GENERATOR.fingerprint


def test_a_bare_network_of_nvidias_is_read(tmp_path):
    with published.nvidia_modules():
        content = pickle.dumps(published.module_tree(published.nvidia_state(GENERATOR)))
    (tmp_path / "a.pkl").write_bytes(content)
    assert read_checkpoint(tmp_path / "a.pkl").fingerprint == GENERATOR.fingerprint


def test_a_class_conditional_generator_draws_the_classes_asked_for(tmp_path):
    conditional = styled(8, class_count=6)
    path = published.write_nvidia(tmp_path / "a.pkl", published.nvidia_state(conditional))
    made = read_checkpoint(path, Options(classes=(1, 4)))
    assert set(made.sample(range(30), seed=0).label.tolist()) == {1, 4}
    assert "has the classes 0 to 5, not 6" in refusal(path, classes=(6,))
    assert read_checkpoint(path).fingerprint == conditional.fingerprint


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ffhq.pkl", "ffhq"),
        ("stylegan2-car-config-f.pkl", "stylegan2-car-config-f"),
        ("my best one (2).pt", "my-best-one-2"),
        ("a\\b:c.pt", "a-b-c"),
        ("...", "generator"),
        ("550000.pt", "550000"),
        ("Äpfel.pt", "Äpfel"),
    ],
)
def test_a_generators_name_is_a_part_of_a_reference(tmp_path, name, expected):
    assert generator_name(tmp_path / name) == expected


# --- conversion


@CONTAINERS
@pytest.mark.parametrize("precision", ["float32", "half"])
def test_a_converted_generator_makes_the_same_images(tmp_path, kind, precision):
    made = read_checkpoint(written(tmp_path, kind))
    convert(made, tmp_path / "church.safetensors", precision)
    ours = read_checkpoint(tmp_path / "church.safetensors")
    if precision == "float32":
        assert ours.fingerprint == made.fingerprint
        assert torch.equal(ours(CODES), made(CODES))
    else:
        halves = {key: value.half().float() for key, value in made.state_dict().items()}
        assert all(torch.equal(ours.state_dict()[key], value) for key, value in halves.items())
    convert(ours, tmp_path / "theirs.pt")
    theirs = read_checkpoint(tmp_path / "theirs.pt")
    close(theirs(CODES), ours(CODES))
    assert theirs.fingerprint == ours.fingerprint


def test_a_conversion_keeps_classes_size_truncation_and_noise(tmp_path):
    conditional = styled(16, class_count=4, classes=(0, 3), size=(12, 16), truncation=0.6, noise="random")
    convert(conditional, tmp_path / "a.safetensors")
    found = read_checkpoint(tmp_path / "a.safetensors")
    codes = conditional.sample(range(3), seed=1)
    assert found.fingerprint == conditional.fingerprint
    assert torch.equal(found(found.sample(range(3), seed=1)), conditional(codes))
    architecture = read_header(tmp_path / "a.safetensors").architecture
    assert (architecture.class_count, architecture.classes, architecture.size) == (4, (0, 3), (12, 16))
    other = read_checkpoint(tmp_path / "a.safetensors", Options(noise="none", classes=(1,)))
    assert (other.noise, other.classes, other.truncation) == ("none", (1,), 0.6)


def test_conversions_that_cannot_be_are_refused(tmp_path, faces):
    with pytest.raises(NavbenchError, match=r"ends neither in \.safetensors"):
        convert(GENERATOR, tmp_path / "a.bin")
    with pytest.raises(NavbenchError, match="float32"):
        convert(GENERATOR, tmp_path / "a.pt", "half")
    with pytest.raises(NavbenchError, match="faces is no StyleGAN2"):
        convert(faces, tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


# --- what is refused


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (["synthesis.L0_36_512.weight", "mapping.fc0.weight"], "StyleGAN3"),
        (["synthesis.input.freqs"], "StyleGAN3"),
        (["b64.fromrgb.weight", "b4.fc.weight"], "discriminator of StyleGAN"),
        (["convs.0.0.weight", "final_linear.0.weight"], "discriminator of StyleGAN"),
        (["blocks.0.0.conv1.weight", "embed.weight", "linear.weight"], "discriminator of BigGAN"),
        (["scale0_layer0.0.weight"], "discriminator of pix2pixHD"),
        (["down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"], "text-to-image"),
        (["model.diffusion_model.input_blocks.0.0.weight"], "text-to-image"),
        (["text_model.embeddings.position_embedding.weight"], "text-to-image"),
        (["generator.progression.0.conv1.weight"], "first StyleGAN"),
        (["encoder.weight"], "'encoder.weight'"),
    ],
)
@pytest.mark.parametrize("container", ["torch", "safetensors"])
def test_other_networks_are_recognised_and_named(tmp_path, keys, named, container):
    state = {key: noise(0, 2) for key in keys}
    path = tmp_path / "a"
    torch.save(state, path) if container == "torch" else save_file(state, path)
    assert named in refusal(path)


def test_a_stylegan3_of_nvidias_is_named(tmp_path):
    path = published.write_nvidia(tmp_path / "a.pkl", {"synthesis.L0_36_512.weight": noise(0, 2)})
    assert "StyleGAN3" in refusal(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, "dict"),
        ([1, 2], "list"),
        (noise(0, 3), "Tensor"),
        ({"g_ema": {"a": 3}}, "'g_ema' is no state dict"),
        ({"g_ema": 3}, "'g_ema' is no state dict"),
        ({"epoch": 3}, "'epoch'"),
        (dict.fromkeys("ab", published.nvidia_state(GENERATOR)), "several generators, 'a', 'b'"),
        ({1: noise(0, 2)}, "no generator"),
    ],
    ids=str,
)  # fmt: skip
def test_files_without_one_generator_say_what_they_hold(tmp_path, content, named):
    assert named in refusal(saved(tmp_path / "a.pt", content))


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "ours"])
def test_a_tensor_that_is_missing_is_named_with_the_file(tmp_path, kind):
    state = published.rosinality_state(GENERATOR) if "rosinality" in kind else published.nvidia_state(GENERATOR)
    key = "convs.1.activate.bias" if "rosinality" in kind else "synthesis.b8.conv1.bias"
    del state[key]
    path = tmp_path / "a"
    if kind.startswith("nvidia"):
        published.write_nvidia(path, state)
    elif "safetensors" in kind:
        save_file(state, path)
    else:
        torch.save({"g_ema": state}, path, _use_new_zipfile_serialization="legacy" not in kind)
    assert f"lacks the tensor {key!r}, which is to be 8" in refusal(path)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "is empty"),
        (b"PK", "cut short"),
        (b"Sehr geehrte Damen und Herren, anbei", "is text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html><body>Too many requests", "web page"),
        (b"\x1f\x8b" + bytes(30), "compressed"),
        (b"a" * 257 + b"ustar" + bytes(250), "tar archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(30), "HDF5"),
        (bytes(30), "no file of torch.save"),
        (b"PK\x03\x04" + bytes(30), "damaged"),
        (b"\x80\x04" + bytes(30), "damaged"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(30), "damaged"),
        (b"\x14\x00\x00\x00\x00\x00\x00\x00{" + bytes(30), "not a whole safetensors file"),
    ],
    ids=range(13),
)  # fmt: skip
def test_other_files_are_named_by_their_beginning(tmp_path, content, named):
    (tmp_path / "a.pkl").write_bytes(content)
    assert named in refusal(tmp_path / "a.pkl")


def test_missing_files_and_folders_are_refused(tmp_path):
    assert "There is no file" in refusal(tmp_path / "none.pkl")
    assert "is a folder" in refusal(tmp_path)


def test_tensors_that_share_their_storage_cannot_exhaust_the_memory(tmp_path):
    shared = noise(0, 200, 200)
    state = {f"style.{index}.weight": shared for index in range(1, 200)}
    state |= {"conv1.conv.modulation.weight": shared, "to_rgb1.conv.weight": shared}
    assert "many times as large as the file" in refusal(saved(tmp_path / "a.pt", state))


@pytest.mark.parametrize("mode", ["zip", "legacy", "pickle"])
def test_a_checkpoint_that_calls_something_is_refused_and_does_not_run(tmp_path, mode):
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {ran}",)

    content = {"g_ema": published.rosinality_state(GENERATOR), "args": Hostile()}
    path = tmp_path / "a.pt"
    if mode == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=mode == "zip")
    assert "wants to use posix.system" in refusal(path)
    assert not ran.exists()


# --- damage


def mutated(content, draw):
    """The bytes with some of them flipped, cut out, doubled or exchanged, or the end cut off."""
    content = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        # the numbers of tensors are most of a file, and the least of its structure
        at = draw.randrange(len(content)) if draw.random() < 0.3 else draw.choice(structure(content))
        kind = draw.randrange(5)
        if kind == 0:
            content[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            content[at] = draw.randrange(256)
        elif kind == 2:
            del content[at : at + draw.randint(1, 9)]
        elif kind == 3:
            content[at:at] = content[at : at + draw.randint(1, 9)]
        else:
            del content[max(at, 1) :]
        if not content:
            return b""
    return bytes(content)


def structure(content):
    """Where text is, and what stands around it."""
    places = [at for at in range(0, len(content), 3) if 32 <= content[at] < 127]
    return places or [0]


def rezipped(content, draw):
    """A file of torch.save with a damaged pickle, but a zip that is whole."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as made:
        for name in archive.namelist():
            member = archive.read(name)
            made.writestr(name, mutated(member, draw) if name.endswith("data.pkl") else member)
    return out.getvalue()


def outcome(path):
    """What comes of reading a file: a generator of finite numbers, or one sentence."""
    try:
        made = read_checkpoint(path)
    except NavbenchError as error:
        return str(error)
    assert all(torch.isfinite(value).all() for value in made.state_dict().values())
    return ""


@pytest.mark.parametrize(
    ("kind", "damage"), [*((kind, mutated) for kind in WRITERS), ("rosinality", rezipped)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)  # fmt: skip
def test_a_damaged_file_is_read_or_refused_by_one_sentence(tmp_path, kind, damage):
    path = written(tmp_path, kind, made=styled(8, style_dim=3, latent_dim=3, channel_base=16))
    whole, draw = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(150):
        path.write_bytes(damage(whole, draw))
        said = outcome(path)
        assert "\n" not in said
        assert not said or str(path) in said
        assert list(tmp_path.iterdir()) == [path]
        refused += bool(said)
    assert refused > 50
