"""What a piece holds arrives in another process as it was, networks and large tensors once."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from navbench.compute import Compute
from navbench.directions import Direction
from navbench.errors import Failure, NavbenchError
from navbench.experiments.edit import Edit
from navbench.generators import zoo
from navbench.library import Library
from navbench.runner import parcels
from navbench.runner.parcels import Packer, Unpacker
from navbench.runner.store import Store
from navbench.work import pure


@dataclass(frozen=True)
class Held:
    value: Tensor


@pure()
def held(what: object, also: object = None) -> Held:
    """Anything; nobody asks for it."""
    return Held(torch.zeros(1))


class Counting(Store):
    """A store that counts what is written and read by name."""

    def __init__(self, folder):
        super().__init__(folder)
        self.written, self.read = [], []

    def keep(self, name, content):
        if not self.place.exists(name):
            self.written.append(name)
        super().keep(name, content)

    def kept(self, name):
        self.read.append(name)
        return super().kept(name)


@pytest.fixture
def store(tmp_path):
    return Counting(tmp_path)


class Keyed:
    """Something with a content, for pieces."""

    def __init__(self, value):
        self.value = value

    cache_key = "keyed"


def sent(store, *values, packer=None, unpacker=None):
    """Values as they arrive."""
    piece = held.piece(Keyed(values))
    packer, unpacker = packer or Packer(store), unpacker or Unpacker(store, "cpu")
    (arrived,) = unpacker.unpack(packer.pack([piece]))
    assert arrived.key == piece.key
    assert arrived.function is held
    return arrived.given["what"].value


@given(
    axes=st.permutations(range(4)), sides=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    kind=st.sampled_from([torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.bool]),
    scale=st.sampled_from([1, 40]),
)  # fmt: skip
def test_a_tensor_arrives_with_its_values_kind_and_order_in_memory(tmp_path_factory, axes, sides, kind, scale):
    sides = [sides[0] * scale, *sides[1:]]
    tensor = torch.arange(torch.Size(sides).numel()).view(sides).permute(axes).to(kind)
    (arrived,) = sent(Store(tmp_path_factory.mktemp("store")), tensor)
    assert arrived.dtype == kind
    meaningful = [axis for axis, side in enumerate(tensor.shape) if side > 1]
    assert all(arrived.stride(axis) == tensor.stride(axis) for axis in meaningful)
    assert torch.equal(arrived, tensor)


def test_a_view_travels_without_what_it_is_a_view_of(store):
    large = torch.randn(1000, 1000)
    piece = held.piece(Keyed(large[3]))
    assert len(Packer(store).pack([piece])) < 20_000
    assert not store.written


def test_a_network_arrives_with_weights_formats_and_gradients_as_they_are(store):
    network = nn.Sequential(nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32)).to(memory_format=torch.channels_last).eval()
    network[0].requires_grad_(False)
    (arrived,) = sent(store, network)
    for (name, tensor), (other, copy) in zip(
        [*network.named_parameters(), *network.named_buffers()],
        [*arrived.named_parameters(), *arrived.named_buffers()],
        strict=True,
    ):
        assert (name, tensor.stride(), tensor.requires_grad) == (other, copy.stride(), copy.requires_grad)
        assert torch.equal(tensor, copy)
    assert not arrived.training
    images = torch.randn(2, 16, 8, 8)
    assert torch.equal(network(images), arrived(images))


def test_a_tensor_that_was_changed_in_place_is_sent_anew(store):
    packer, unpacker = Packer(store), Unpacker(store, "cpu")
    large = torch.zeros(1 << 16)
    (before,) = sent(store, large, packer=packer, unpacker=unpacker)
    (after,) = sent(store, large.add_(1), packer=packer, unpacker=unpacker)
    assert (float(before.max()), float(after.min())) == (0, 1)


def test_what_is_large_is_written_and_read_once_however_many_pieces_hold_it(store):
    network, basis = nn.Linear(100, 100), torch.randn(100, 100)
    packer, unpacker = Packer(store), Unpacker(store, "cpu")
    first, second = (sent(store, network, basis, packer=packer, unpacker=unpacker) for _ in range(2))
    assert first[0] is second[0]
    assert first[1] is second[1]
    assert sorted(store.written) == sorted(store.read)
    assert len(store.written) == 3  # the network, its weight, and the basis


def test_a_worker_lets_go_of_tensors_that_were_not_used_for_longest(store, monkeypatch):
    monkeypatch.setattr(parcels, "KEPT_BYTES", 100_000)
    packer, unpacker = Packer(store), Unpacker(store, "cpu")
    tensors = [torch.randn(100, 100) for _ in range(3)]  # of 40 kB each
    for index in (0, 1, 2, 2, 1, 0):
        sent(store, tensors[index], packer=packer, unpacker=unpacker)
    names = [packer.name_of(tensor) for tensor in tensors]
    assert [names.index(name) for name in store.read] == [0, 1, 2, 0]


def test_content_that_has_changed_is_refused(store):
    packer, tensor = Packer(store), torch.randn(100, 100)
    path = Path(store.place.address(packer.name_of(tensor)))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Failure, match="has changed since the driver wrote it; run the same command again"):
        sent(store, tensor, packer=packer)
    assert torch.equal(sent(store, tensor)[0], tensor)  # a driver that begins anew keeps it again


def test_a_compute_becomes_the_workers_own_which_keeps_its_halved_batch(store):
    unpacker = Unpacker(store, "cpu", sharing=2)
    (first,) = sent(store, Compute("cpu", "bf16", 8, sharing=64), unpacker=unpacker)
    assert (first.precision, first.batch, first.sharing) == ("bf16", 8, 2)
    first.batch = 4
    (second,) = sent(store, Compute("cpu", "bf16", 8), unpacker=unpacker)
    assert second is first


def test_what_cannot_be_sent_is_told_in_one_sentence(store):
    with pytest.raises(NavbenchError, match=r"A piece of held cannot be sent to another process \(.*without --workers"):
        sent(store, (each for each in ()))


def test_an_edit_of_any_wrapped_module_arrives_as_the_same_edit(store, sets):
    generator = zoo.create("toy:make", Compute())
    file = next(iter(Library([sets]).sets.values()))
    edit = Edit(generator, next(iter(file.load(generator))), Compute())
    (arrived,) = sent(store, edit)
    assert isinstance(arrived.direction, Direction)
    assert arrived.cache_key == edit.cache_key
    codes = generator.sample(range(3), 0)
    assert torch.equal(arrived.prepare(codes)(0.7), edit.prepare(codes)(0.7))


def test_classes_of_no_module_travel_with_their_code(store):
    class Local(nn.Module):
        def forward(self, x):
            return x * 3

    (arrived,) = sent(store, Local())
    assert float(arrived(torch.tensor(2.0))) == 6
