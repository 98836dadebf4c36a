"""A piece is kept under all that it depends on, and under nothing else."""

import shutil
from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch
import toy
from torch import Tensor

from navbench.compute import Compute
from navbench.directions import Library, place_of, tensor_hash, write_set
from navbench.errors import Failure
from navbench.generators import zoo
from navbench.metrics.perceptual import create_distance
from navbench.runner import local
from navbench.runner.store import Store, slices

CURVE = {"shard", "curve", "quality"}
CURVES = CURVE | {"features"}
ALL = CURVES | {"screening", "heat", "reproduction", "strip", "pairing"}
SUBJECT = {"name": "toy:make", "layers": ["up"], "methods": ["svd", "random"]}


@dataclass(frozen=True)
class Pair:
    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class Other(Pair):
    """Another kind of piece with the same fields."""


def pair(value=1.0):
    return Pair(torch.full((2, 3), value), torch.arange(4.0)[::2])


class Recording(Store):
    """A store that counts the pieces it makes by kind."""

    kinds: Counter

    def put(self, key, piece):
        self.kinds[type(piece).__name__.lower()] += 1
        super().put(key, piece)


@pytest.fixture
def kinds(monkeypatch):
    """The kinds of the pieces that runs make from here on."""
    made = Counter()
    monkeypatch.setattr(Recording, "kinds", made, raising=False)
    monkeypatch.setattr(local, "Store", Recording)
    return made


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ({"seed": 1}, ALL),
        ({"precision": "bf16"}, ALL),
        ({"screening": {"samples": 5}}, {"screening"}),
        ({"curves": {"samples": 21}}, CURVES),
        ({"curves": {"shifts": 5}}, CURVE),
        ({"curves": {"effect_samples": 5}}, CURVE),
        ({"curves": {"extractor": "other-toy-pixels"}}, CURVES),
        ({"locality": {"samples": 12}}, {"heat"}),
        ({"locality": {"shifts": 4}}, {"heat"}),
        ({"reproduction": {"codes": 5}}, {"reproduction"}),
        ({"reproduction": {"held_out": 7}}, {"reproduction"}),
        ({"reproduction": {"steps": 3}}, {"reproduction"}),
        ({"strips": {"codes": 3}}, {"strip"}),
        ({"strips": {"shifts": 5}}, {"strip"}),
        ({"pairs": {"codes": 5}}, {"pairing"}),
        ({"pairs": {"shown": 1}}, {"strip"}),
        ({"batch": 5}, set()),
        ({"name": "renamed"}, set()),
        ({"generators": [SUBJECT | {"methods": ["random"]}]}, set()),
    ],
)
def test_a_changed_setting_makes_anew_what_depends_on_it_and_nothing_else(
    tmp_path, sets, finished, kinds, values, made
):
    shutil.copytree(finished.folder / "cache", tmp_path / "cache")
    toy.execute(tmp_path, toy.tiny(**values), sets)
    assert set(kinds) == made


def test_another_distance_makes_effects_anew_but_no_features(tmp_path, sets, finished, kinds, monkeypatch):
    def renamed(name, compute):
        distance = create_distance("stlpips-alex", compute)
        distance.name = name
        return distance

    shutil.copytree(finished.folder / "cache", tmp_path / "cache")
    monkeypatch.setattr(local, "create_distance", renamed)
    toy.execute(tmp_path, toy.tiny(distance="lpips-alex"), sets)
    assert set(kinds) == {"screening", *CURVE, "reproduction"}


def test_other_directions_make_their_own_pieces_and_share_the_unshifted_ones(tmp_path, sets, finished, kinds):
    shutil.copytree(finished.folder / "cache", tmp_path / "run" / "cache")
    longer = tmp_path / "sets"
    shutil.copytree(sets, longer)
    for file in Library([sets]).sets.values():
        found = file.load(zoo.create("toy:make", Compute()))
        changed = replace(found, t_max=2 * found.t_max)
        write_set(changed, place_of(longer, found.reference), overwrite=True)
    toy.execute(tmp_path / "run", toy.tiny(), longer)
    assert set(kinds) == ALL - {"features"}
    assert kinds["curve"] == 2


def test_other_weights_share_no_piece(tmp_path, finished, kinds, monkeypatch):
    def perturbed():
        module = toy.Toy()
        module.last.weight.data[0, 0, 0, 0] += 1e-6
        return module

    shutil.copytree(finished.folder / "cache", tmp_path / "run" / "cache")
    monkeypatch.setattr(toy, "make", perturbed)
    toy.execute(tmp_path / "run", toy.tiny(), toy.write_sets(tmp_path / "sets"))
    assert set(kinds) == ALL | {"angles"}


def test_another_reference_shares_the_images_that_are_compared_with_it(tmp_path, sets, finished, kinds):
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(4):
        toy.picture(torch.full((24, 24, 3), 60 * index, dtype=torch.uint8)).save(photos / f"{index}.png")
    subject = SUBJECT | {"reference": str(photos)}
    shutil.copytree(finished.folder / "cache", tmp_path / "run" / "cache")
    toy.execute(tmp_path / "run", toy.tiny(generators=[subject]), sets)
    assert set(kinds) == CURVES
    assert kinds["features"] == 1
    kinds.clear()
    toy.execute(tmp_path / "run", toy.tiny(generators=[subject]), sets)
    assert not kinds
    toy.picture(torch.full((24, 24, 3), 9, dtype=torch.uint8)).save(photos / "0.png")
    toy.execute(tmp_path / "run", toy.tiny(generators=[subject]), sets)
    assert set(kinds) == CURVES


def test_a_piece_comes_back_as_it_was_stored(tmp_path):
    store = Store(tmp_path)
    first = store.get(Pair, {"a": 1}, pair)
    again = store.get(Pair, {"a": 1}, lambda: pytest.fail("made again"))
    torch.testing.assert_close(again.first, first.first, rtol=0, atol=0)
    torch.testing.assert_close(again.second, first.second, rtol=0, atol=0)
    assert (store.made, store.found) == (1, 1)


def test_pieces_of_another_key_or_kind_are_others(tmp_path):
    store = Store(tmp_path)
    keys = [{"a": 1}, {"a": 2}, {"a": 1.5}, {"a": 1, "b": None}, {"b": 1}]
    places = {store.path(kind, key) for kind in (Pair, Other) for key in keys}
    assert len(places) == 2 * len(keys)
    assert store.path(Pair, {"a": 1, "b": 2}) == store.path(Pair, {"b": 2, "a": 1})


def test_pieces_of_another_torch_or_revision_are_others(tmp_path, monkeypatch):
    store = Store(tmp_path)
    before = store.path(Pair, {})
    monkeypatch.setattr("navbench.runner.store.REVISION", -1)
    revised = store.path(Pair, {})
    monkeypatch.setattr("navbench.runner.store.VERSIONS", {"torch": "0.0"})
    assert len({before, revised, store.path(Pair, {})}) == 3


def test_a_piece_that_was_dropped_is_made_again(tmp_path):
    store = Store(tmp_path)
    store.get(Pair, {}, pair)
    store.drop(Pair, {})
    store.drop(Pair, {})
    store.get(Pair, {}, pair)
    assert store.made == 2


@pytest.mark.parametrize("content", [b"", b"words", bytes(100)])
def test_what_is_not_a_piece_is_replaced(tmp_path, content):
    store = Store(tmp_path)
    store.get(Pair, {}, pair)
    store.path(Pair, {}).write_bytes(content)
    found = store.get(Pair, {}, lambda: pair(7.0))
    assert (float(found.first[0, 0]), store.made, store.found) == (7.0, 2, 0)


def test_a_piece_that_cannot_be_made_leaves_no_file(tmp_path):
    def fail():
        raise Failure("no images")

    with pytest.raises(Failure):
        Store(tmp_path).get(Pair, {}, fail)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_slices_join_files_along_their_second_dimension(tmp_path):
    store = Store(tmp_path)
    whole = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    for index, part in enumerate(whole.split([2, 3], dim=1)):
        store.get(Pair, {"part": index}, lambda part=part: Pair(part, torch.zeros(1)))
    with slices([store.path(Pair, {"part": index}) for index in (0, 1)], "first") as at:
        for index in range(3):
            torch.testing.assert_close(at(index), whole[index], rtol=0, atol=0)


def test_a_hash_of_a_tensor_is_of_its_values_not_its_strides():
    matrix = torch.arange(6.0).reshape(2, 3)
    assert tensor_hash(matrix.T) == tensor_hash(matrix.T.contiguous()) != tensor_hash(matrix)
    assert tensor_hash(matrix) != tensor_hash(matrix + torch.finfo(torch.float32).eps)
