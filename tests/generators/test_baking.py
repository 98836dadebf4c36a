"""A baked checkpoint is rendered by its original code, and by navbench, as the edit; all else in it is as it was."""

import json
import pickle

import numpy as np
import published
import published_pix2pixhd
import pytest
import torch
from analytic import noise, styled, unit
from published_biggan import Published
from published_biggan import Textbook as BigGANTextbook
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_pix2pixhd import one_hot
from test_stylegan2_layouts import Nvidia, Rosinality

from navbench import baking
from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.directions import Direction
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit
from navbench.generators.biggan import standing_statistics
from navbench.generators.checkpoints import contents, convert, read_checkpoint
from navbench.generators.dcgan import DCGAN
from navbench.generators.files import read_header, write_generator
from navbench.generators.options import Options
from navbench.spaces import create

STYLED = styled(8)
BIGGAN = Published(attn=(8,))
DEEP = Published(table=(16, 16, 8, 4, 2), ch=4, dim_z=6, depth=2, attn=(8,), bottom=2)


def direction(generator, kind="parameter", layer=None, seed=0):
    """A unit-norm offset at random."""
    space = create(generator, kind, layer)
    name = None if space.layer is None else space.layer.name
    offset = DenseBasis(unit(noise(seed, *space.shape))[None])
    return Direction(generator.name, "svd", kind, name, seed, "a label", offset, torch.ones(1), -1.0, 1.0)


def edited(generator, one, t, codes):
    return Edit(generator, one, Compute()).prepare(codes)(t)


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def refusal(generator, shifts, target, **how):
    with pytest.raises(NavbenchError) as refused:
        baking.bake(generator, shifts, target, **how)
    assert "\n" not in str(refused.value)
    assert not target.exists() or how
    return str(refused.value)


def saved(path, content):
    torch.save(content, path)
    return path


# --- the original code renders it


def nvidia_images(state, codes):
    theirs = Nvidia(state)
    styles = [theirs.mapping(z) for z in codes.z.double().numpy()]
    return torch.stack([theirs.synthesis([w] * 4) for w in styles])


def rosinality_images(content, codes):
    """Its tensors are loaded strictly; their arithmetic is NVIDIA's (see test_stylegan2_layouts)."""
    theirs = Rosinality(8, 8, 2, {4: 16, 8: 8})
    theirs.load_state_dict(content["g_ema"], strict=True)
    plain = styled(8)
    tensors = {
        key: value.reshape(plain.state_dict()[key].shape)
        for key, value in content["g_ema"].items()
        if not key.endswith("kernel")
    }
    plain.load_state_dict(tensors | {"w_avg": content["latent_avg"]}, strict=True)
    return nvidia_images(published.nvidia_state(plain), codes)


def biggan_images(settings, state, codes):
    theirs = BigGANTextbook(settings)
    theirs.state = {key: value.double() for key, value in state.items()}
    return theirs.images(codes.z, codes.label)


def maps_of(folder):
    return published_pix2pixhd.write_maps(folder / "maps", (16, 32))[0]


SOURCES = {
    "NVIDIA's pickle": (
        lambda path: published.write_nvidia(path / "a.pkl", published.nvidia_state(STYLED)), "b.safetensors",
        lambda path, codes: nvidia_images(load_file(path), codes), {},
    ),
    "NVIDIA's pickle, for rosinality": (
        lambda path: published.write_nvidia(path / "a.pkl", published.nvidia_state(STYLED)), "b.pt",
        lambda path, codes: rosinality_images(torch.load(path), codes), {},
    ),
    "NVIDIA's tensors": (
        lambda path: save_file(published.nvidia_state(STYLED), path / "a.safetensors") or path / "a.safetensors",
        "b.safetensors", lambda path, codes: nvidia_images(load_file(path), codes), {},
    ),
    "NVIDIA's tensors, in parallel": (
        lambda path: save_file(
            {f"module.{key}": each for key, each in published.nvidia_state(STYLED).items()}, path / "a.safetensors"
        ),
        "b.safetensors",
        lambda path, codes: nvidia_images(
            {key.removeprefix("module."): each for key, each in load_file(path).items()}, codes
        ), {},
    ),
    "rosinality's": (
        lambda path: published.write_rosinality(path / "a.pt", STYLED), "b.pt",
        lambda path, codes: rosinality_images(torch.load(path), codes), {},
    ),
    "BigGAN's": (
        lambda path: saved(path / "G_ema.pth", BIGGAN.state()), "b.pth",
        lambda path, codes: biggan_images(BIGGAN, torch.load(path), codes), {},
    ),
    "BigGAN-deep's, in parallel": (
        lambda path: saved(path / "G_ema.pth", {f"module.{key}": each for key, each in DEEP.state().items()}), "b.pth",
        lambda path, codes: biggan_images(
            DEEP, {key.removeprefix("module."): each for key, each in torch.load(path).items()}, codes
        ), {},
    ),
    "pix2pixHD's": (
        lambda path: saved(path / "latest_net_G.pth", published_pix2pixhd.state()), "b.pth",
        lambda path, codes: published_pix2pixhd.Textbook(torch.load(path)).images(one_hot(codes)), {"labels": maps_of},
    ),
    "a DCGAN's": (
        lambda path: saved(path / "netG.pth", dcgan().state_dict()), "b.pth",
        lambda path, codes: dcgan(torch.load(path))(codes), {},
    ),
    "ours": (
        lambda path: write_generator(STYLED, path / "a.safetensors", {"seed": 1}, torch.float32), "b.safetensors",
        lambda path, codes: nvidia_images(published.nvidia_state(read_checkpoint(path)), codes), {},
    ),
}  # fmt: skip
"""What writes a file; the name of the baked one; its original code, from that to images; options by the folder."""


def dcgan(state=None):
    """A small one of the tutorial's layout."""
    generator = DCGAN("small", "", 5, 2, 16)
    for index, value in enumerate(generator.state_dict().values()):
        if value.is_floating_point():
            value.copy_(noise(index, *value.shape).abs() if value.ndim == 1 else 0.5 * noise(index, *value.shape))
    generator.load_state_dict(state or generator.state_dict(), strict=True)
    return generator.eval().requires_grad_(False)


@pytest.mark.filterwarnings("ignore::navbench.errors.NavbenchWarning")  # of entries and prefixes around it
@pytest.mark.parametrize("kind", SOURCES)
def test_the_original_code_renders_the_edit(tmp_path, kind):
    write, name, render, options = SOURCES[kind]
    source = write(tmp_path) or tmp_path / "a.safetensors"
    before = source.read_bytes()
    options = Options(**{key: value(tmp_path) for key, value in options.items()})
    generator = read_checkpoint(source, options)
    layer = generator.layers()[2].name
    one, t = direction(generator, layer=layer), 0.5 * float(generator.kernel(generator.layer(layer)).norm())
    codes = generator.sample(range(2), seed=0)
    images = edited(generator, one, t, codes)
    assert (images - generator(codes)).abs().max() > 0.02
    card = baking.bake(generator, [(one, t)], tmp_path / name)
    close(render(tmp_path / name, codes).float(), images)
    again = read_checkpoint(tmp_path / name, options)
    close(again(codes), images)
    assert again.cache_key != generator.cache_key
    if name.endswith(source.suffix):
        assert contents(tmp_path / name).value.keys() - {"baked"} == contents(source).value.keys() - {"baked"}
    assert source.read_bytes() == before
    assert card["weights"] == generator.fingerprint
    assert card["directions"] == [{"direction": one.name, "label": "a label", "t": t, "space": "parameter"}]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("kind", ["w", "w+", "s"])
@pytest.mark.parametrize("truncation", [None, 0.5])
def test_a_direction_of_styles_is_baked_behind_the_truncation(tmp_path, kind, truncation):
    source = published.write_nvidia(tmp_path / "a.pkl", published.nvidia_state(STYLED))
    generator = read_checkpoint(source, Options(truncation=truncation))
    one, codes = direction(generator, kind), generator.sample(range(2), seed=0)
    baking.bake(generator, [(one, 2.0)], tmp_path / "b.safetensors")
    images = edited(generator, one, 2.0, codes)
    assert (images - generator(codes)).abs().max() > 0.02
    close(read_checkpoint(tmp_path / "b.safetensors", Options(truncation=truncation))(codes), images)
    if truncation is None:
        close(nvidia_images(load_file(tmp_path / "b.safetensors"), codes), images)


def test_several_directions_are_baked_together_each_with_its_shift(tmp_path):
    generator = read_checkpoint(published.write_rosinality(tmp_path / "a.pt", STYLED))
    first, second = direction(generator, layer="convs.0"), direction(generator, layer="convs.0", seed=1)
    third, codes = direction(generator, "w", seed=2), generator.sample(range(2), seed=0)
    card = baking.bake(generator, [(first, 3.0), (second, -2.0), (third, 1.0)], tmp_path / "b.pt")
    offset = 3 * first.offset - 2 * second.offset
    kernel = {"convs.0.conv.weight": generator.kernel(generator.layer("convs.0")) + offset}
    moved = generator.shift_latent(codes, "w", third.offset)
    close(read_checkpoint(tmp_path / "b.pt")(codes), torch.func.functional_call(generator, kernel, (moved,)))
    assert [each["t"] for each in card["directions"]] == [3.0, -2.0, 1.0]


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "own.safetensors"])
def test_a_second_bake_keeps_what_is_said_of_the_first(tmp_path, name):
    source = tmp_path / name
    if name == "own.safetensors":
        write_generator(STYLED, source, {})
    else:
        generator = read_checkpoint(published.write_nvidia(tmp_path / "a.pkl", published.nvidia_state(STYLED)))
        baking.bake(generator, [(direction(generator, layer="convs.0"), 0.0)], source)
    cards = []
    for number in (1, 2):
        generator = read_checkpoint(source)
        target = tmp_path / f"{number}{name}"
        cards.append(baking.bake(generator, [(direction(generator, layer="convs.0"), float(number))], target))
        source = target
    held = contents(source)
    if held.container == "torch":
        last = held.value["baked"]
    else:
        with safe_open(source, "pt") as file:
            told = file.metadata()
        last = json.loads(told["baked"]) if "baked" in told else json.loads(told["navbench"])["card"]["baked"]
    first = last["before"]
    first = json.loads(first) if isinstance(first, str) else first
    assert [card["directions"] for card in (last, first)] == [cards[1]["directions"], cards[0]["directions"]]


# --- all else is as it was


@pytest.mark.parametrize("t", [2, torch.tensor(2.0), np.float32(2)], ids=["int", "tensor", "numpy"])
def test_a_shift_is_any_number(tmp_path, t):
    generator = read_checkpoint(published.write_nvidia(tmp_path / "a.pkl", published.nvidia_state(STYLED)))
    card = baking.bake(generator, [(direction(generator, layer="convs.0"), t)], tmp_path / "b.safetensors")
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        assert json.loads(file.metadata()["baked"]) == card


def test_the_rest_of_a_training_is_kept_and_says_what_was_baked(tmp_path):
    other = published.rosinality_state(styled(8, strength=0.0))
    optimiser = {"state": {0: {"step": 3, "exp_avg": noise(5, 2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    path = published.write_rosinality(tmp_path / "a.pt", STYLED, g=other, g_optim=optimiser, ada_aug_p=0.1)
    generator = read_checkpoint(path)
    baking.bake(generator, [(direction(generator, layer="convs.1"), 2.0)], tmp_path / "b.pt")
    before, after = torch.load(path), torch.load(tmp_path / "b.pt")
    assert list(after) == [*before, "baked"]
    assert after["baked"]["directions"][0]["t"] == 2.0
    changed = {key for key, value in after["g_ema"].items() if not torch.equal(value, before["g_ema"][key])}
    assert changed == {"convs.1.conv.weight"}
    assert torch.equal(after["latent_avg"], before["latent_avg"])
    assert all(torch.equal(value, other[key]) for key, value in after["g"].items())
    assert after["g_optim"]["param_groups"] == optimiser["param_groups"]
    assert after["ada_aug_p"] == 0.1


def test_what_is_stored_at_half_precision_stays_so_but_for_what_changes(tmp_path):
    halves = {key: value.half() for key, value in published.nvidia_state(STYLED).items()}
    generator = read_checkpoint(saved(tmp_path / "a.pt", halves))
    one, codes = direction(generator, layer="conv1"), generator.sample(range(2), seed=0)
    baking.bake(generator, [(one, 2.0)], tmp_path / "b.pt")
    kinds = {key: value.dtype for key, value in torch.load(tmp_path / "b.pt").items()}
    assert kinds.pop("synthesis.b4.conv1.weight") == torch.float32
    assert set(kinds.values()) == {torch.float16}
    close(read_checkpoint(tmp_path / "b.pt")(codes), edited(generator, one, 2.0, codes))


def test_files_of_safetensors_keep_their_metadata_and_say_what_was_baked(tmp_path):
    save_file(published.nvidia_state(STYLED), tmp_path / "a.safetensors", {"licence": "theirs"})
    write_generator(STYLED, tmp_path / "ours.safetensors", {"seed": 1}, torch.float16)
    for name in ("a", "ours"):
        generator = read_checkpoint(tmp_path / f"{name}.safetensors")
        card = baking.bake(generator, [(direction(generator, layer="0"), 2.0)], tmp_path / "b.safetensors")
        if name == "a":
            with safe_open(tmp_path / "b.safetensors", "pt") as file:
                assert file.metadata()["licence"] == "theirs"
                assert json.loads(file.metadata()["baked"]) == card
        (tmp_path / "b.safetensors").rename(tmp_path / f"b-{name}.safetensors")
    assert read_header(tmp_path / "b-ours.safetensors").card == {"seed": 1, "baked": card}
    kinds = [value.dtype for value in load_file(tmp_path / "b-ours.safetensors").values()]
    assert kinds.count(torch.float32) == 1


def test_installed_generators_are_baked_into_their_layouts(tmp_path, faces):
    one, codes = direction(faces, layer="main.6"), faces.sample(range(2), seed=0)
    baking.bake(faces, [(one, 5.0)], tmp_path / "faces.pt")
    again = read_checkpoint(tmp_path / "faces.pt")
    assert isinstance(again, DCGAN)
    close(again(codes), edited(faces, one, 5.0, codes))
    assert torch.load(tmp_path / "faces.pt").keys() == {"netG_state_dict", "baked"}
    plain = styled(8)
    for name in ("plain.safetensors", "plain.pt"):
        one = direction(plain, layer="convs.0")
        baking.bake(plain, [(one, 2.0)], tmp_path / name)
        again, codes = read_checkpoint(tmp_path / name), plain.sample(range(2), seed=0)
        close(again(codes), edited(plain, one, 2.0, codes))


# --- what is refused


def test_what_cannot_be_baked_is_one_sentence(tmp_path):
    generator = read_checkpoint(published.write_nvidia(tmp_path / "a.pkl", published.nvidia_state(STYLED)))
    kernel, target = direction(generator, layer="convs.0"), tmp_path / "b.safetensors"
    table = [
        ([(direction(generator, "z"), 1.0)], target, {}, "A shift of the code z of generator a is no change of its"),
        ([(direction(generator, "activation", "convs.0"), 1.0)], target, {}, "A shift of the tensor that enters"),
        ([(kernel, float("nan"))], target, {}, "cannot be shifted by nan"),
        ([(kernel, float("-inf"))], target, {}, "cannot be shifted by -inf"),
        ([], target, {}, "There is no direction to bake"),
        ([(kernel, 1.0)], tmp_path / "b.pkl", {}, "NVIDIA's pickles hold the code of their networks"),
        ([(kernel, 1.0)], tmp_path / "b", {}, "NVIDIA's pickles hold"),
        ([(kernel, 1.0)], target, {"folded": True}, "has no spectral normalisation to leave out"),
        ([(direction(styled(16), layer="convs.2"), 1.0)], target, {}, "convs.2"),
    ]
    for shifts, path, how, expected in table:
        assert expected in refusal(generator, shifts, path, **how)
        assert not path.exists()
    biggan = read_checkpoint(saved(tmp_path / "G.pth", BIGGAN.state()))
    one = direction(biggan, layer="0")
    assert "end its name in .pt or .pth" in refusal(biggan, [(one, 1.0)], target)
    assert "comes from no checkpoint" in refusal(standing_statistics(biggan, 1, 0, 4), [(one, 1.0)], tmp_path / "b.pth")


def test_nothing_is_overwritten_unless_asked(tmp_path):
    generator = read_checkpoint(published.write_rosinality(tmp_path / "a.pt", STYLED))
    one, codes, before = direction(generator, layer="convs.0"), STYLED.sample([0], 0), (tmp_path / "a.pt").read_bytes()
    images = edited(generator, one, 2.0, codes)
    assert "exists already" in refusal(generator, [(one, 2.0)], tmp_path / "a.pt", overwrite=False)
    assert (tmp_path / "a.pt").read_bytes() == before
    baking.bake(generator, [(one, 2.0)], tmp_path / "a.pt", overwrite=True)  # onto itself
    close(read_checkpoint(tmp_path / "a.pt")(codes), images)
    other = [(direction(generator, layer="convs.1"), 2.0)]
    assert "does not hold the weights of generator a" in refusal(generator, other, tmp_path / "a.pt", overwrite=True)


def test_gains_that_its_own_code_would_multiply_by_again_are_refused_but_in_rosinalitys_layout(tmp_path):
    """NVIDIA's module keeps its gains as it loads tensors, in which they would be a second time."""
    state = published.nvidia_state(STYLED)
    settings = published.nvidia_settings(state)
    settings |= {name: {**own, "bias_gain": 0.3} for name, own in settings.items() if name == "mapping.fc1"}
    generator = read_checkpoint(published.write_nvidia(tmp_path / "a.pkl", state, settings=settings))
    one, codes = direction(generator, layer="convs.0"), STYLED.sample(range(2), seed=0)
    message = refusal(generator, [(one, 2.0)], tmp_path / "b.safetensors")
    assert "has gains of another learning rate, multiplied into mapping.fc1; its own code would multiply" in message
    baking.bake(generator, [(one, 2.0)], tmp_path / "b.pt")
    close(rosinality_images(torch.load(tmp_path / "b.pt"), codes).float(), edited(generator, one, 2.0, codes))


@pytest.mark.parametrize("made", [dcgan, BIGGAN])
def test_a_pickle_of_other_networks_tensors_is_not_put_in_rosinalitys_layout(tmp_path, made):
    state = made.state() if made is BIGGAN else made().state_dict()
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(dict(state), 2))
    generator = read_checkpoint(tmp_path / "a.pkl")
    one, codes = direction(generator, layer="1"), generator.sample(range(2), seed=0)
    assert "is no StyleGAN2, so it has no place in" in refusal(generator, [(one, 0.3)], tmp_path / "b.pt")
    baking.bake(generator, [(one, 0.3)], tmp_path / "b.safetensors")
    close(read_checkpoint(tmp_path / "b.safetensors")(codes), edited(generator, one, 0.3, codes))


def test_settings_that_flat_tensors_do_not_hold_are_refused_and_kept_in_our_own_layout(tmp_path):
    state = published.nvidia_state(STYLED)
    settings = published.nvidia_settings(state)
    clamped = {name: {**own, "conv_clamp": 1} for name, own in settings.items() if name.startswith("synthesis.")}
    source = published.write_nvidia(tmp_path / "a.pkl", state, settings=settings | clamped)
    generator, codes = read_checkpoint(source), STYLED.sample(range(2), seed=0)
    assert (generator(codes) - STYLED(codes)).abs().max() > 0.02
    one = direction(generator, layer="convs.0")
    message = refusal(generator, [(one, 2.0)], tmp_path / "b.safetensors")
    assert "settings that its tensors alone do not hold (clamp 1)" in message
    assert "has a clamp at 1" in refusal(generator, [(one, 2.0)], tmp_path / "b.pt")
    convert(generator, tmp_path / "ours.safetensors")
    ours = read_checkpoint(tmp_path / "ours.safetensors")
    baking.bake(ours, [(one, 2.0)], tmp_path / "b.safetensors")
    close(read_checkpoint(tmp_path / "b.safetensors")(codes), edited(generator, one, 2.0, codes))
