"""BigGAN's spectral normalisation in a baked file: its code divides every edited kernel by one, or it is left out."""

from dataclasses import replace

import pytest
import torch
from test_baking import BIGGAN, DEEP, biggan_images, close, direction, edited, refusal, saved

from navbench import baking
from navbench.basis import DenseBasis
from navbench.generators.checkpoints import read_checkpoint


def singular_values(generator, name):
    return torch.linalg.svdvals(generator.get_parameter(f"{name}.weight").flatten(1))


def stored_norm(state, name):
    """What the published code divides a kernel of a file by: |W v|, v = u0 W / |u0 W|."""
    matrix = state[f"{name}.weight"].flatten(1)
    v = state[f"{name}.u0"] @ matrix
    return (v / v.norm() @ matrix.T).norm()


@pytest.mark.parametrize("settings", [BIGGAN, DEEP], ids=["plain", "deep"])
def test_every_kernel_is_divided_by_one(tmp_path, settings):
    generator = read_checkpoint(saved(tmp_path / "a.pth", settings.state()))
    layers = [layer for layer in generator.layers() if layer.shape[0] > 1]  # of one output there is one singular value
    shifts = [(direction(generator, layer=layer.name), 0.3) for layer in layers]
    baking.bake(generator, shifts, tmp_path / "b.pth")
    state = torch.load(tmp_path / "b.pth")
    for layer in layers:
        close(stored_norm(state, layer.name), torch.tensor(1.0), 1e-6)
        assert singular_values(generator, layer.name)[0] != 1  # the stored vectors are far from converged
    assert torch.equal(state["linear.weight"], settings.state()["linear.weight"])


@pytest.mark.parametrize("t", [10.0, 100.0, 1000.0])
def test_a_kernel_far_beyond_one_is_still_divided_by_one(tmp_path, t):
    """Its largest singular value is about t, its others are as they were, below and above 1."""
    generator = read_checkpoint(saved(tmp_path / "a.pth", BIGGAN.state()))
    layer = generator.layer("blocks.0.0.conv2")
    left, values, right = torch.linalg.svd(generator.kernel(layer).flatten(1), full_matrices=False)
    assert values[-1] < 1 < values[1]
    offset = DenseBasis((left[:, :1] @ right[:1]).reshape(1, *layer.shape))
    one = replace(direction(generator, layer=layer.name), basis=offset)
    baking.bake(generator, [(one, t)], tmp_path / "b.pth")
    close(stored_norm(torch.load(tmp_path / "b.pth"), layer.name), torch.tensor(1.0), 3e-6)
    close(read_checkpoint(tmp_path / "b.pth").kernel(layer), generator.kernel(layer) + t * one.offset)


def test_a_kernel_of_fewer_inputs_than_outputs_has_no_vector_beyond_one(tmp_path):
    generator = read_checkpoint(saved(tmp_path / "a.pth", BIGGAN.state()))
    layer = next(layer for layer in generator.layers() if layer.name.endswith(".o"))
    assert layer.shape[0] > layer.shape[1:].numel()
    message = refusal(generator, [(direction(generator, layer=layer.name), 60.0)], tmp_path / "b.pth")
    assert f"{layer.name}.weight cannot stand in a file with spectral normalisation, as its singular" in message


def test_a_kernel_below_one_needs_the_normalisation_left_out(tmp_path):
    generator = read_checkpoint(saved(tmp_path / "a.pth", BIGGAN.state()))
    layer = generator.layers()[1]
    kernel = generator.kernel(layer)
    shrink = replace(direction(generator, layer=layer.name), basis=DenseBasis(kernel[None]))
    t = -float(kernel.norm()) * 0.9  # a tenth of the kernel is left
    assert singular_values(generator, layer.name)[0] < 9
    message = refusal(generator, [(shrink, t)], tmp_path / "b.pth")
    assert f"The edited kernel {layer.name}.weight cannot stand in a file" in message
    assert "largest singular value is 0." in message
    assert "--folded" in message
    baking.bake(generator, [(shrink, t)], tmp_path / "b.pth", folded=True)
    state, codes = torch.load(tmp_path / "b.pth"), generator.sample(range(2), seed=0)
    assert not any(key.endswith(("u0", "sv0")) for key in state)
    assert state.keys() == replace(BIGGAN, spectral=False).state().keys()
    images = edited(generator, shrink, t, codes)
    close(biggan_images(replace(BIGGAN, spectral=False), state, codes).float(), images)
    close(read_checkpoint(tmp_path / "b.pth")(codes), images)


def test_sums_over_batches_stay_what_they_are(tmp_path):
    state = replace(BIGGAN, norm="mybn").state()
    generator = read_checkpoint(saved(tmp_path / "a.pth", state))
    one = direction(generator, layer="blocks.0.0.conv1")
    baking.bake(generator, [(one, 1.0)], tmp_path / "b.pth")
    changed = {key for key, value in torch.load(tmp_path / "b.pth").items() if not torch.equal(value, state[key])}
    assert changed == {"blocks.0.0.conv1.weight", "blocks.0.0.conv1.u0"}
