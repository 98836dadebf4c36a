"""pix2pixHD, against the published arithmetic written out in float64 on the published tensors."""

import itertools
import re

import numpy as np
import pytest
import torch
from analytic import noise
from PIL import Image
from published_pix2pixhd import Textbook, blocky, shapes, state, write_maps

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.generators.base import Codes
from navbench.generators.checkpoints import read_checkpoint
from navbench.generators.label_maps import edges
from navbench.generators.options import Options
from navbench.generators.pix2pixhd_layouts import build, recognised
from navbench.spaces import LatentSpace

SIZE = (16, 32)
VARIANTS = {
    "global": {},
    "global, deeper": {"downs": 3, "blocks": 1, "ngf": 2},
    "global, one halving": {"downs": 1, "blocks": 3},
    "local": {"local": (2,), "downs": 1},
    "two enhancers": {"local": (1, 2), "downs": 1, "ngf": 2, "blocks": 1},
}


@pytest.fixture(params=VARIANTS)
def sizes(request):
    return VARIANTS[request.param]


@pytest.fixture
def folders(tmp_path):
    return write_maps(tmp_path, SIZE)


def made(folders, sizes=VARIANTS["global"], **options):
    labels, instances = folders
    return build(state(**sizes), "made", Options(labels=labels, instances=instances, **options))


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def one_hot(codes, classes=4):
    parts = [codes.labels[:, None] == torch.arange(classes, dtype=torch.uint8).view(1, -1, 1, 1)]
    return torch.cat(parts + ([] if codes.edges is None else [codes.edges[:, None]]), dim=1).double()


# --- images


def test_images_are_those_of_the_published_arithmetic(folders, sizes):
    generator = made(folders, sizes)
    codes = generator.sample(range(3), seed=0)
    images = generator(codes)
    assert images.dtype == torch.float32
    assert images.shape == (3, 3, *SIZE)
    assert 0.1 < images.abs().mean() < 0.9  # the comparison would say little of images that are saturated
    close(images, Textbook(state(**sizes)).images(one_hot(codes)).float(), 1e-3)


def test_edges_are_the_last_channel(tmp_path):
    folders = write_maps(tmp_path, SIZE, instances=True)
    generator = made(folders, {"inputs": 5})
    codes = generator.sample(range(3), seed=0)
    assert codes.edges.any()
    close(generator(codes), Textbook(state(inputs=5)).images(one_hot(codes)).float(), 1e-3)


def test_the_published_network_has_as_many_parameters_as_reported():
    """label2city_1024p's LocalEnhancer at ngf 32: sums of 9 c_in c_out + c_out, and 49 c_in c_out + c_out."""

    def conv(inputs, outputs, side=3):
        return inputs * outputs * side**2 + outputs

    widths = [64, 128, 256, 512, 1024]
    expected = conv(36, 64, 7) + sum(2 * conv(a, b) - b + a for a, b in itertools.pairwise(widths))
    expected += 18 * conv(1024, 1024)
    expected += conv(36, 32, 7) + conv(32, 64) + 6 * conv(64, 64) + conv(64, 32) + conv(32, 3, 7)
    found = shapes(inputs=36, ngf=32, downs=4, blocks=9, local=(3,))
    assert sum(int(np.prod(shape)) for shape in found.values()) == expected
    names = {key.rpartition(".")[0] for key in shapes(inputs=36, ngf=64, downs=4, blocks=9)}
    inner = {f"model.{block}.conv_block.{place}" for block in range(16, 25) for place in (1, 5)}
    assert names == inner | {f"model.{place}" for place in (1, 4, 7, 10, 13, 25, 28, 31, 34, 38)}


def test_every_layer_is_laid_open(folders, sizes):
    generator = made(folders, sizes)
    codes = generator.sample(range(2), seed=0)
    images = generator(codes)
    layers = generator.layers()
    assert {layer.name for layer in layers} == {key.removesuffix(".bias") for key in shapes(**sizes) if "bias" in key}
    for layer in layers:
        state_ = generator.before(codes, layer)
        own = generator.kernel(layer)
        close(generator.after(state_, layer), images)
        close(generator.after(state_, layer, own), images)
        offset = noise(3, *layer.shape)
        moved = generator.after(state_, layer, own + offset)
        assert (moved - images).abs().max() > 1e-3
        each = torch.stack([own + offset, own - offset])
        one_by_one = [generator.after(state_, layer, kernel)[row] for row, kernel in enumerate(each)]
        close(generator.after(state_, layer, each), torch.stack(one_by_one), 1e-4)


def test_layers_come_in_forward_order_and_transposed_ones_are_told(folders):
    layers = made(folders, VARIANTS["local"]).layers()
    assert [layer.name for layer in layers] == [
        *("model.1", "model.4", "model.7.conv_block.1", "model.7.conv_block.5", "model.8.conv_block.1"),
        *("model.8.conv_block.5", "model.9", "model1_1.1", "model1_1.4", "model1_2.0.conv_block.1"),
        *("model1_2.0.conv_block.5", "model1_2.1.conv_block.1", "model1_2.1.conv_block.5", "model1_2.2", "model1_2.6"),
    ]
    assert [layer.name for layer in layers if layer.transposed] == ["model.9", "model1_2.2"]
    assert [layer.index for layer in layers] == list(range(15))


# --- codes


def test_code_i_depends_on_the_seed_and_i_alone(folders):
    generator = made(folders)
    codes = generator.sample(range(3), seed=4)
    for row in (2, 0):
        assert torch.equal(generator.sample([row], seed=4).labels[0], codes.labels[row])
    assert len(codes) == 3
    assert torch.equal(codes[1:].labels, codes.labels[1:])


def test_every_map_comes_once_before_any_comes_again(folders):
    generator = made(folders)
    with pytest.warns(NavbenchWarning, match="has 3 label maps, and more codes were asked for"):
        codes = generator.sample(range(9), seed=1)
    turns = codes.labels.reshape(3, 3, -1).tolist()
    assert all(sorted(turn) == sorted(turns[0]) for turn in turns)
    orders = {tuple(generator._map_number(i, seed) for i in range(3)) for seed in range(30)}
    assert len(orders) == 6


def test_a_pixel_is_an_edge_where_a_neighbour_is_of_another_object():
    found = edges(torch.tensor([[1, 1, 1, 2], [1, 1, 1, 2], [3, 1, 1, 1]]))
    assert found.int().tolist() == [[0, 0, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1]]


def test_maps_are_resized_to_the_size_asked_for_by_their_nearest_pixels(tmp_path):
    labels, instances = write_maps(tmp_path, (32, 64), count=1, instances=True)
    generator = made((labels, instances), {"inputs": 5}, size=SIZE)
    codes = generator.sample([0], seed=0)
    assert torch.equal(codes.labels[0], torch.from_numpy(blocky(0, SIZE, 4)).byte())
    assert generator.size == SIZE
    assert generator(codes).shape[2:] == SIZE


def test_a_folder_of_cityscapes_is_taken_as_it_is(tmp_path):
    labels, instances = write_maps(tmp_path, SIZE, instances=True)
    for path in instances.iterdir():
        (labels / path.name).write_bytes(path.read_bytes())
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(labels / path.name.replace("instanceIds", "color"))
    generator = made((labels, labels), {"inputs": 5})
    assert generator.maps.names == tuple(f"city_{number}_labelIds.png" for number in range(3))
    assert torch.equal(generator.sample([0], 0).edges, made((labels, instances), {"inputs": 5}).sample([0], 0).edges)


def test_there_is_no_latent_space(folders):
    generator = made(folders)
    for refused in (lambda: LatentSpace(generator, "z"), lambda: generator.latent(generator.sample([0], seed=0), "z")):
        with pytest.raises(NavbenchError, match="Unknown latent space of generator made 'z'; known: none"):
            refused()


def test_codes_of_another_generator_are_refused(folders):
    with pytest.raises(NavbenchError, match="makes images from label maps"):
        made(folders)(Codes(torch.zeros(1, 8)))


def test_other_maps_are_another_generator(folders, tmp_path):
    first = made(folders).fingerprint
    assert made(folders).fingerprint == first
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(folders[0] / "new.png")
    assert made(folders).fingerprint != first


# --- files


def test_a_file_is_recognised_by_its_content(tmp_path, folders, sizes):
    torch.save(state(**sizes), tmp_path / "anything.bin")
    found = read_checkpoint(tmp_path / "anything.bin", Options(labels=folders[0]))
    assert found.name == "anything"
    codes = found.sample([0], seed=0)
    close(found(codes), made(folders, sizes)(codes))
    assert recognised(state(**sizes))


REFUSED = {
    "missing": (lambda tensors: tensors.pop("model.4.bias"), "lacks the tensor 'model.4.bias', which is to be 8"),
    "extra": (
        lambda tensors: tensors.update({"model.2.running_mean": torch.zeros(4)}),
        "holds a tensor 'model.2.running_mean'",
    ),
    "wrong shape": (
        lambda tensors: tensors.update({"model.4.weight": torch.zeros(8, 4, 5, 5)}),
        "'model.4.weight' is 8x4x5x5, but a generator of its kind and size has 8x4x3x3",
    ),
    "not finite": (lambda tensors: tensors["model.4.bias"].fill_(np.nan), "'model.4.bias' has NaN"),
    "a gap": (lambda tensors: tensors.pop("model.11.conv_block.1.weight"), "lacks|has residual blocks"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_damaged_state_dict_is_refused_by_its_key(folders, what):
    spoil, sentence = REFUSED[what]
    tensors = state()
    spoil(tensors)
    with pytest.raises(NavbenchError, match=sentence):
        build(tensors, "made", Options(labels=folders[0]))


def test_options_of_other_families_are_refused(folders):
    with pytest.raises(NavbenchError, match="pix2pixHD has no option 'truncation'"):
        made(folders, truncation=0.5)


def test_without_maps_it_says_what_it_needs():
    with pytest.raises(NavbenchError, match=re.escape("label maps of 3 classes and instance maps, or from label")):
        build(state(), "made", Options())


# --- maps


def grey(folder, name="city_0_labelIds.png", values=0, size=SIZE):
    Image.fromarray(np.full(size, values, np.uint8)).save(folder / name)


def test_a_class_out_of_range_is_refused_with_the_file_the_class_and_the_range(folders):
    grey(folders[0], values=4)
    generator = made(folders)
    with pytest.raises(NavbenchError, match=r"city_0_labelIds\.png has the class 4, but the generator knows 0 to 3"):
        generator.sample(range(3), seed=0)


def test_maps_that_cannot_be_used_are_refused(folders, tmp_path):
    labels = folders[0]
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(labels / "city_1_labelIds.png")
    with pytest.raises(NavbenchError, match=r"city_1_labelIds\.png has mode RGB, but the pixels of a map are whole"):
        made(folders).sample(range(3), seed=0)
    grey(labels, "city_1_labelIds.png", size=(8, 32))
    with pytest.raises(NavbenchError, match=r"city_1_labelIds\.png is 8x32, but city_0_labelIds\.png is 16x32; say to"):
        made(folders)
    (labels / "city_1_labelIds.png").write_bytes(b"no image")
    with pytest.raises(NavbenchError, match=r"city_1_labelIds\.png cannot be read"):
        made(folders)
    (tmp_path / "empty").mkdir()
    for folder, sentence in (("empty", "holds no label maps"), ("none", "There is no folder")):
        with pytest.raises(NavbenchError, match=sentence):
            made((tmp_path / folder, None))


def test_a_label_map_without_its_instance_map_is_refused(tmp_path):
    labels, instances = write_maps(tmp_path, SIZE, instances=True)
    (instances / "city_1_instanceIds.png").unlink()
    with pytest.raises(NavbenchError, match=r"There is no instance map .*city_1_labelIds\.png"):
        made((labels, instances), {"inputs": 5}).sample(range(3), seed=0)


@pytest.mark.parametrize(("size", "near"), [((18, 32), "16x32"), ((4, 32), "8x32"), ((30, 30), "32x32")])
def test_a_size_that_the_network_does_not_take_is_refused_with_the_nearest(folders, size, near):
    with pytest.raises(NavbenchError, match=f"multiples of 4, at least 8, not .*; the nearest is size {near}"):
        made(folders, size=size)
