"""A StyleGAN2's file gives the generator back, and anything else is refused by one sentence before it is used."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from navbench.errors import NavbenchError
from navbench.generators.files import read_generator, read_header, write_generator
from navbench.generators.stylegan2 import StyleGAN2
from navbench.texts import LONGEST

CARD = {"images": 5, "settings": {"seed": 1}}
NEWER = ("class_count", "classes", "size")
"""Entries of the header that files of the first version lack."""


def small(channel_base=64, noise="const", truncation=0.7):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = StyleGAN2("tiny", "a tiny one", 8, 4, 6, 2, channel_base, 16, truncation, noise)
        made.w_avg.copy_(torch.randn(6))
        return made.requires_grad_(False)


@pytest.fixture
def path(tmp_path):
    write_generator(small(), tmp_path / "tiny.safetensors", CARD)
    return tmp_path / "tiny.safetensors"


def rewritten(path, tensors=None, **changed):
    """The file with other tensors, or other entries of its header."""
    header = json.loads(read_header(path).model_dump_json()) | changed
    save_file(load_file(path) if tensors is None else tensors, path, {"navbench": json.dumps(header)})
    return path


def refusal(path):
    with pytest.raises(NavbenchError) as refused:
        read_generator(path)
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_written_generator_is_read_back_rounded_to_half_precision(path):
    ours, read = small(), read_generator(path)
    for key, value in ours.state_dict().items():
        assert torch.equal(read.state_dict()[key], value.half().float()), key
    ours.load_state_dict({key: value.half().float() for key, value in ours.state_dict().items()})
    codes = ours.sample(range(3), 1)
    assert torch.equal(read(codes), ours(codes))


def test_whatever_a_generator_is_built_from_is_kept(tmp_path):
    write_generator(small(32, "none", 0.5), tmp_path / "a", CARD)
    read = read_generator(tmp_path / "a")
    assert (read.name, read.description, read.noise, read.truncation) == ("tiny", "a tiny one", "none", 0.5)
    assert (read.resolution, read.latent_dim, read.style_dim, read.mapping_layers) == (8, 4, 6, 2)
    assert (read.channel_base, read.channel_max) == (32, 16)


def test_the_header_tells_the_card_without_reading_tensors(path):
    assert read_header(path).card == CARD


def test_a_read_generator_is_frozen(path):
    read = read_generator(path)
    assert not read.training
    assert not any(weight.requires_grad for weight in read.parameters())


def test_reading_takes_nothing_from_the_global_random_numbers(path):
    before = torch.get_rng_state()
    read_generator(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_another_architecture_are_refused_with_both_shapes(path):
    header = read_header(path).model_dump()
    message = refusal(rewritten(path, architecture=header["architecture"] | {"channel_base": 32}))
    assert "4x6" in message or "8x" in message
    assert "16x" in message


def test_a_missing_tensor_is_named(path):
    tensors = load_file(path)
    del tensors["convs.1.conv.weight"]
    assert "lacks the tensor 'convs.1.conv.weight', which is to be 8x8x3x3" in refusal(rewritten(path, tensors))


def test_a_tensor_too_many_is_named(path):
    assert "'more'" in refusal(rewritten(path, load_file(path) | {"more": torch.zeros(1)}))


def test_a_tensor_that_is_not_finite_is_named(path):
    tensors = load_file(path)
    tensors["w_avg"][0] = torch.nan
    assert "'w_avg'" in refusal(rewritten(path, tensors))


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_or_empty_file_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    assert "not a whole safetensors file" in refusal(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "a").write_text("Sehr geehrte Damen und Herren")
    assert "not a whole safetensors file" in refusal(tmp_path / "a")


def test_a_missing_file_is_refused(tmp_path):
    assert "There is no" in refusal(tmp_path / "a")


def test_a_folder_is_refused(tmp_path):
    refusal(tmp_path)


def test_a_safetensors_file_without_a_header_is_refused(path):
    save_file(load_file(path), path)
    assert "has no header 'navbench'" in refusal(path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"format": 2}, "format"),
        ({"kind": "biggan"}, "kind"),
        ({"architecture": {"resolution": 8}}, "architecture.latent_dim"),
        ({"extra": 1}, "extra"),
        ({"card": 3}, "card"),
    ],
)
def test_a_header_of_another_form_is_refused_by_its_entry(path, changed, named):
    assert f"{named} of its header" in refusal(rewritten(path, **changed))


def test_texts_of_a_header_are_one_line_in_which_everything_is_seen(path):
    hostile = "words\x1b[31m\nclamp: 256" + "x" * 5000
    read = read_generator(rewritten(path, name=hostile, description=hostile, origin={hostile: hostile}))
    for text in (read.name, read.description, *read.origin, *read.origin.values()):
        assert text.startswith(r"words\x1b[31m\nclamp: 256x")
        assert len(text) <= LONGEST


@pytest.mark.parametrize("changed", [{"resolution": 12}, {"channel_base": 1}])
def test_an_architecture_that_cannot_be_built_is_refused(path, changed):
    header = read_header(path).model_dump()
    assert "cannot be built" in refusal(rewritten(path, architecture=header["architecture"] | changed))


def test_an_enormous_architecture_takes_no_memory_before_it_is_refused(path):
    header = read_header(path).model_dump()
    huge = {"style_dim": 10**6, "channel_base": 10**9, "channel_max": 10**6}
    assert "of its kind and size has 1000000" in refusal(rewritten(path, architecture=header["architecture"] | huge))


def test_weights_beyond_half_precision_are_refused_when_written(tmp_path):
    made = small()
    made.conv1.conv.weight[0, 0, 0, 0] = 1e6
    with pytest.raises(NavbenchError, match=r"conv1\.conv\.weight"):
        write_generator(made, tmp_path / "a", CARD)
    assert not (tmp_path / "a").exists()


def test_a_generator_can_be_kept_at_whole_precision(tmp_path):
    write_generator(small(), tmp_path / "a", CARD, torch.float32)
    read = read_generator(tmp_path / "a")
    assert read.fingerprint == small().fingerprint


def test_a_header_without_classes_and_size_is_of_a_generator_without(path):
    header = json.loads(read_header(path).model_dump_json())
    old = {key: header["architecture"][key] for key in header["architecture"] if key not in NEWER}
    read = read_generator(rewritten(path, architecture=old))
    assert (read.class_count, read.classes, read.size) == (0, (), (8, 8))


@pytest.mark.parametrize("changed", [{"size": [9, 8]}, {"classes": [0]}, {"class_count": 3, "classes": [3]}])
def test_classes_and_sizes_that_cannot_be_are_refused(path, changed):
    header = read_header(path).model_dump()
    assert "cannot be built" in refusal(rewritten(path, architecture=header["architecture"] | changed))
