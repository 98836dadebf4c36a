"""What a network gives by ranges of bytes is what a disk gives, and no more is read than is asked for."""

from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from navbench.places import Folder, place_at
from navbench.tensor_files import FIRST_BYTES, open_tensors, read_tensors
from navbench.work import Stored, slices

TENSORS = {
    "features": torch.randn(5, 40, 512, generator=torch.Generator().manual_seed(0)),
    "effects": torch.arange(12, dtype=torch.float64).reshape(3, 4),
    "half": torch.linspace(0, 1, 6).reshape(2, 3).to(torch.bfloat16),
    "images": torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(2, 0),
}
CONTENT = save(TENSORS, {"note": "words"})


@dataclass(frozen=True)
class Features:
    features: Tensor
    effects: Tensor


@pytest.fixture
def places(s3, tmp_path):
    """The same file on a disk and in a bucket."""
    both = Folder(tmp_path), place_at(f"{s3.bucket()}/cache")
    for place in both:
        place.write("a.safetensors", CONTENT)
    s3.requests.clear()
    return both


def test_tensors_slices_and_metadata_are_those_of_the_file_on_disk(places):
    here, there = (open_tensors(place, "a.safetensors") for place in places)
    assert here.metadata() == there.metadata() == {"note": "words"}
    assert sorted(here.names()) == sorted(there.names()) == sorted(TENSORS)
    for name, tensor in TENSORS.items():
        assert torch.equal(there.tensor(name), tensor)
        assert there.tensor(name).dtype == tensor.dtype
        for index in range(len(tensor) if tensor.dim() else 0):
            assert torch.equal(there.slice(name, index), here.slice(name, index))
    with pytest.raises(IndexError):
        there.slice("effects", 3)


def test_a_whole_file_is_one_request(places, s3):
    here, there = (read_tensors(place, "a.safetensors") for place in places)
    assert here[0] == there[0]
    assert all(torch.equal(there[1][name], tensor) for name, tensor in TENSORS.items())
    assert len(s3.requests) == 1


def test_of_a_slice_of_parts_only_its_bytes_are_read(places, s3):
    parts = tuple(Stored(Features, places[1], "a.safetensors") for _ in range(2))
    at = slices(parts, "features")
    joined = [at(index).whole() for index in (0, 4)]
    assert torch.equal(joined[1], TENSORS["features"][4].repeat(2, 1))
    gets = s3.asked("GET")
    assert len(gets) == len(s3.requests) == 2 * 3  # a header and two slices of each
    assert sum(request.size for request in gets) == 2 * (FIRST_BYTES + 2 * 40 * 512 * 4)
    assert len(CONTENT) / 10 > 2 * FIRST_BYTES


def test_of_one_tensor_the_others_are_not_read(places, s3):
    stored = Stored(Features, places[1], "a.safetensors")
    assert torch.equal(stored.read("effects"), TENSORS["effects"])
    assert sum(request.size for request in s3.asked("GET")) == FIRST_BYTES + 12 * 8
    assert torch.equal(stored.load().features, TENSORS["features"])


def test_a_header_longer_than_the_first_read_is_read_to_its_end(s3):
    tensors = {f"a tensor of a long name {index:050d}": torch.full((2,), float(index)) for index in range(400)}
    place = place_at(s3.bucket())
    place.write("long", save(tensors))
    file = open_tensors(place, "long")
    assert len(file.names()) == 400
    assert all(torch.equal(file.tensor(name), tensors[name]) for name in list(tensors)[::99])
