"""A piece is kept under all that it depends on, and under nothing else."""

import shutil
from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch
import toy
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from navbench import tensor_files
from navbench.compute import Compute
from navbench.directions import write_set
from navbench.errors import Failure, NavbenchError, NavbenchWarning
from navbench.experiments.reference import open_reference, real_features
from navbench.fingerprints import tensor_hash
from navbench.generators import zoo
from navbench.library import Library, set_path
from navbench.metrics.extractors import create_extractor
from navbench.metrics.perceptual import create_distance
from navbench.runner import run as runner
from navbench.runner.executor import InProcess
from navbench.runner.store import Store
from navbench.work import Stored, content_of, pure, slices, steps

CURVE = {"curve_shard", "curve", "curve_quality"}
CURVES = CURVE | {"unshifted_features", "reference_statistics", "floor", "end_points", "end_floor"}
INSTRUMENT = {"unshifted_features", "reference_statistics", "floor", "damaged_shard", "curve"}
ALL = CURVES | INSTRUMENT | {"heat", "imitate", "strip", "codes_to_show", "strips_of_set", "samples", "pairing"}
SUBJECT = {"name": "toy:make", "layers": ["up"], "methods": ["svd", "random"]}


@dataclass(frozen=True)
class Pair:
    first: Tensor
    second: Tensor


@pure()
def pair(value: float = 1.0, part: str = "") -> Pair:
    """Two small tensors."""
    return Pair(torch.full((2, 3), value), torch.arange(4.0)[::2])


@pure()
def other_pair(value: float = 1.0, part: str = "") -> Pair:
    """Another function with the same result."""
    return Pair(torch.full((2, 3), value), torch.zeros(2))


@pure()
def joined(parts: tuple[Stored[Pair], ...]) -> Pair:
    """The first tensors of some parts, one after the other."""
    at = slices(parts, "first")
    return Pair(torch.stack([at(0).whole(), at(1).whole()]), torch.zeros(1))


class Recording(Store):
    """A store that counts the pieces it makes by function."""

    kinds: Counter

    def put(self, piece, result):
        self.kinds[piece.function.name] += 1
        super().put(piece, result)


@pytest.fixture
def kinds(monkeypatch):
    """The functions of the pieces that runs make from here on, and how often."""
    made = Counter()
    monkeypatch.setattr(Recording, "kinds", made, raising=False)
    monkeypatch.setattr(runner, "Store", Recording)
    return made


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ({"seed": 1}, ALL),
        ({"precision": "bf16"}, ALL),
        ({"screening": {"samples": 5}}, set()),  # the effects are those of the ends
        ({"ends": {"samples": 7}}, {"unshifted_features", "end_points", "end_floor"}),
        ({"ends": {"points": 5}}, {"end_points"}),
        ({"instrument": {"samples": 13}}, INSTRUMENT),
        ({"curves": {"samples": 21}}, CURVES),
        ({"curves": {"shifts": 5}}, CURVE),
        ({"curves": {"effect_samples": 5}}, CURVE | {"floor"}),
        # Its KID puts another random direction first, which was imitated before, as one of the controls.
        ({"curves": {"extractor": "other-toy-pixels"}}, CURVES | INSTRUMENT | {"heat"}),
        ({"curves": {"extractor_precision": "bf16"}}, CURVES | INSTRUMENT),
        ({"curves": {"pairwise_samples": 9}}, (CURVES | INSTRUMENT) - {"unshifted_features"}),
        ({"locality": {"samples": 12}}, {"heat"}),
        ({"locality": {"shifts": 4}}, {"heat"}),
        ({"reproduction": {"codes": 5}}, {"imitate"}),
        ({"reproduction": {"held_out": 7}}, {"imitate"}),
        ({"reproduction": {"steps": 3}}, {"imitate"}),
        ({"strips": {"codes": 3}}, {"codes_to_show", "strips_of_set"}),
        ({"strips": {"shifts": 5}}, {"strips_of_set", "strip"}),
        ({"strips": {"side": 12}}, {"strips_of_set"}),
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


def test_drawn_controls_are_calibrated_on_the_codes_of_the_edits_effects(tmp_path, sets, finished, kinds):
    """They are those of `ends`, so what is drawn depends on its settings, and on no others."""
    shutil.copytree(finished.folder / "cache", tmp_path / "cache")
    alone = {"generators": [SUBJECT | {"methods": ["svd"]}]}
    toy.execute(tmp_path, toy.tiny(**alone), sets)
    assert (kinds["calibrate"], set(kinds) - {"calibrate"}) == (4, {"imitate"})
    kinds.clear()
    toy.execute(tmp_path, toy.tiny(**alone, screening={"samples": 5}), sets)
    assert not kinds
    toy.execute(tmp_path, toy.tiny(**alone, ends={"samples": 7}), sets)
    assert kinds["calibrate"] == 4


def test_another_distance_makes_effects_anew_but_no_features(tmp_path, sets, finished, kinds, monkeypatch):
    def renamed(name, compute):
        distance = create_distance("stlpips-alex", compute)
        distance.name = name
        return distance

    shutil.copytree(finished.folder / "cache", tmp_path / "cache")
    monkeypatch.setattr(runner, "create_distance", renamed)
    toy.execute(tmp_path, toy.tiny(distance="lpips-alex"), sets)
    assert set(kinds) == {"end_points", *CURVE, "imitate", "codes_to_show"}


def test_other_directions_make_their_own_pieces_and_share_the_unshifted_ones(tmp_path, sets, finished, kinds):
    shutil.copytree(finished.folder / "cache", tmp_path / "run" / "cache")
    longer = tmp_path / "sets"
    shutil.copytree(sets, longer)
    for file in Library([sets]).sets.values():
        found = file.load(zoo.create("toy:make", Compute()))
        changed = replace(found, t_max=2 * found.t_max)
        write_set(changed, set_path(longer, found.set_id), overwrite=True)
    toy.execute(tmp_path / "run", toy.tiny(), longer)
    shared = {"unshifted_features", "reference_statistics", "floor", "end_floor", "damaged_shard", "samples"}
    shared |= {"codes_to_show"}
    assert set(kinds) == (ALL | {"span_overlap"}) - shared
    assert kinds["curve"] == 2


def test_other_weights_share_no_piece(tmp_path, finished, kinds, monkeypatch):
    def perturbed():
        module = toy.Toy()
        module.last.weight.data[0, 0, 0, 0] += 1e-6
        return module

    shutil.copytree(finished.folder / "cache", tmp_path / "run" / "cache")
    monkeypatch.setattr(toy, "make", perturbed)
    toy.execute(tmp_path / "run", toy.tiny(), toy.write_sets(tmp_path / "sets"))
    assert set(kinds) == ALL | {"span_overlap"}


def test_another_reference_shares_the_images_that_are_compared_with_it(tmp_path, sets, finished, kinds):
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(4):
        toy.picture(torch.full((24, 24, 3), 60 * index, dtype=torch.uint8)).save(photos / f"{index}.png")
    subject = SUBJECT | {"reference": str(photos)}
    shutil.copytree(finished.folder / "cache", tmp_path / "run" / "cache")
    toy.execute(tmp_path / "run", toy.tiny(generators=[subject]), sets)
    real = {*CURVE, "real_features", "reference_statistics", "floor", "end_points", "end_floor"}
    assert set(kinds) == real
    assert kinds["real_features"] == 1
    kinds.clear()
    toy.execute(tmp_path / "run", toy.tiny(generators=[subject]), sets)
    assert not kinds
    toy.picture(torch.full((24, 24, 3), 9, dtype=torch.uint8)).save(photos / "0.png")
    toy.execute(tmp_path / "run", toy.tiny(generators=[subject]), sets)
    assert set(kinds) == real


@pytest.mark.parametrize("sizes", [(24, 12), (12, 24)])
def test_real_images_are_other_features_at_another_size(tmp_path, sizes):
    """Two generators with one folder of images share nothing that depends on the size of their images."""
    for index in range(4):
        toy.picture(torch.full((48, 48, 3), 60 * index, dtype=torch.uint8)).save(tmp_path / f"{index}.png")
    extractor = create_extractor("toy-pixels", Compute())
    opened = [open_reference(str(tmp_path), (side, side), 4, "box") for side in sizes]
    keys = {real_features.piece(images, range(4), extractor, Compute()).key for images in opened}
    assert len(keys) == 2


def results(store, *pieces):
    return InProcess(store).results(pieces)


def test_a_piece_comes_back_as_it_was_stored(tmp_path):
    store = Store(tmp_path)
    (first,) = results(store, pair.piece())
    (again,) = results(store, pair.piece())
    torch.testing.assert_close(again.first, first.first, rtol=0, atol=0)
    torch.testing.assert_close(again.second, first.second, rtol=0, atol=0)
    assert (store.made, store.found) == (1, 1)


def test_results_come_in_the_order_of_the_pieces_and_each_is_made_once(tmp_path):
    store = Store(tmp_path)
    found = results(store, pair.piece(3.0), pair.piece(1.0), pair.piece(3.0))
    assert [float(each.first[0, 0]) for each in found] == [3.0, 1.0, 3.0]
    assert store.made == 2


def test_a_key_is_of_the_function_and_of_all_that_it_is_given():
    pieces = [pair.piece(), pair.piece(2.0), pair.piece(1.0, "a"), pair.piece(True), other_pair.piece()]
    assert len({each.key for each in pieces}) == len(pieces)
    assert pair.piece(1.0).key == pair.piece(value=1.0).key == pair.piece(part="", value=1.0).key
    assert pair.piece().but(note="words", transient=True).key == pair.piece().key
    assert joined.piece((pair.piece(),)).key != joined.piece((pair.piece(2.0),)).key


def test_the_content_of_a_tensor_is_its_values_shape_and_kind():
    tensors = [torch.zeros(4), torch.zeros(2, 2), torch.zeros(4).double(), torch.zeros(4).int(), torch.ones(4)]
    assert len({str(content_of(tensor)) for tensor in tensors}) == len(tensors)


def test_what_does_not_tell_its_content_cannot_be_given():
    with pytest.raises(NavbenchError, match=r"pair\(value\) is a object, which does not tell what it holds"):
        _ = pair.piece(object()).key


def test_pieces_of_another_torch_or_revision_are_others(monkeypatch):
    before = pair.piece().key
    monkeypatch.setattr("navbench.work.REVISION", -1)
    revised = pair.piece().key
    monkeypatch.setattr("navbench.work.VERSIONS", {"torch": "0.0"})
    assert len({before, revised, pair.piece().key}) == 3


def test_a_piece_that_was_dropped_is_made_again(tmp_path):
    store = Store(tmp_path)
    results(store, pair.piece())
    store.drop(pair.piece())
    store.drop(pair.piece())
    results(store, pair.piece())
    assert store.made == 2


def test_a_part_that_changes_after_it_was_verified_is_made_again(tmp_path):
    store, parts = Store(tmp_path), (pair.piece(1.0), pair.piece(2.0))
    executor = InProcess(store)
    executor.results(parts)
    path = tmp_path / store.name(parts[0])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.warns(NavbenchWarning, match="its content has changed"):
        (whole,) = executor.results([joined.piece(parts)])
    assert torch.equal(whole.first, torch.tensor([[1.0, 1, 1, 2, 2, 2]] * 2))


def test_a_piece_that_cannot_be_made_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        results(Store(tmp_path), joined.piece((pair.piece(), replace(pair.piece(), given={"value": "words"}))))
    assert {path.parent.name for path in tmp_path.rglob("*.safetensors")} == {"pair"}


def test_transient_parts_are_dropped_with_their_last_user(tmp_path):
    store, ticks = Store(tmp_path), []
    parts = tuple(pair.piece(value).but(transient=True) for value in (1.0, 2.0))
    wholes = [joined.piece(parts), joined.piece(parts[::-1])]
    found = InProcess(store).results(wholes, ticks.append)
    torch.testing.assert_close(found[0].first, torch.tensor([1.0, 1, 1, 2, 2, 2]).repeat(2, 1))
    assert not [part for part in parts if store.has(part)]
    assert store.made == 4
    assert len(ticks) == steps(wholes) == 4


def test_progress_is_told_part_by_part_while_a_piece_is_made(tmp_path):
    """Long work is in the parts, so each is told before the next is begun, and in a later run again."""
    store, told = Store(tmp_path), []
    parts = tuple(pair.piece(value).but(note=f"part {value:.0f}", transient=True) for value in (1.0, 2.0))

    def tick(note):
        told.append((note, sum(store.has(part) for part in parts)))

    InProcess(store).results([joined.piece(parts).but(note="whole")], tick)
    assert told == [("part 1", 1), ("part 2", 2), ("whole", 0)]
    told.clear()
    InProcess(store).results([joined.piece(parts).but(note="whole")], tick)
    assert [note for note, _ in told] == ["part 1", "part 2", "whole"]


def test_one_tensor_is_read_without_the_others(tmp_path):
    store = Store(tmp_path)
    results(store, pair.piece(3.0))
    stored = store.stored(pair.piece(3.0))
    assert torch.equal(stored.read("first"), stored.load().first)


# --- damaged pieces --------------------------------------------------------------------------------------------


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def body_of(content):
    return 8 + int.from_bytes(content[:8], "little")


def damages(content):
    """What may become of a file: sixty bad ones."""
    body, header = body_of(content), content.index(b"navbench piece")
    yield from (flipped(content, place, 3) for place in range(8))  # the length of the header
    yield from (flipped(content, place, 0) for place in range(9, header + 100, 6))
    yield from (flipped(content, place, place % 8) for place in range(body, len(content)))
    yield from (content[:length] for length in (0, 1, 7, 8, body - 1, body, len(content) - 1))
    yield from (b"words", bytes(100), content + b"\0", content + content)


def test_sixty_damaged_pieces_are_told_and_computed_again(tmp_path):
    store, piece = Store(tmp_path), pair.piece(2.0)
    results(store, piece)
    path = tmp_path / store.name(piece)
    whole = path.read_bytes()
    bad = list(dict.fromkeys(damages(whole)))
    assert len(bad) >= 60
    for content in bad:
        path.write_bytes(content)
        with pytest.warns(NavbenchWarning, match=r"is damaged \(.*\); it is computed again\.$"):
            (again,) = results(store, piece)
        assert torch.equal(again.first, torch.full((2, 3), 2.0))
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "tensors",
    [
        {"first": torch.full((2, 3), float("nan")), "second": torch.arange(4.0)[::2].contiguous()},
        {"first": torch.ones(3, 2), "second": torch.arange(4.0)[::2].contiguous()},
        {"first": torch.ones(2, 3, dtype=torch.float64), "second": torch.arange(4.0)[::2].contiguous()},
        {"first": torch.ones(2, 3)},
        {"first": torch.ones(2, 3), "second": torch.zeros(2), "third": torch.zeros(1)},
    ],
    ids=["nan", "shape", "kind", "missing", "more"],
)
def test_tensors_that_are_not_those_of_the_digest_are_computed_again(tmp_path, tensors):
    store, piece = Store(tmp_path), pair.piece()
    results(store, piece)
    with safe_open(tmp_path / store.name(piece), framework="pt") as file:
        header = file.metadata()
    save_file(tensors, tmp_path / store.name(piece), header)
    with pytest.warns(NavbenchWarning, match="its content has changed"):
        (again,) = results(store, piece)
    assert torch.equal(again.first, torch.ones(2, 3))


def test_another_piece_or_a_folder_under_this_name_is_computed_again(tmp_path):
    store, piece, other = Store(tmp_path), pair.piece(1.0), pair.piece(2.0)
    results(store, piece, other)
    path = tmp_path / store.name(piece)
    shutil.copy(tmp_path / store.name(other), path)
    with pytest.warns(NavbenchWarning, match="it holds another piece"):
        (again,) = results(store, piece)
    assert float(again.first[0, 0]) == 1.0
    path.unlink()
    path.mkdir()
    with pytest.warns(NavbenchWarning, match="is damaged"):
        results(store, piece)
    assert path.is_file()


def test_a_piece_that_cannot_be_read_now_is_kept(tmp_path, monkeypatch):
    store, piece = Store(tmp_path), pair.piece(1.0)
    results(store, piece)

    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(tensor_files, "safe_open", refuse)
    with pytest.raises(Failure, match=r"cannot be read .*Too many open files"):
        results(store, piece)
    assert (tmp_path / store.name(piece)).is_file()


def test_a_hash_of_a_tensor_is_of_its_values_not_its_strides():
    matrix = torch.arange(6.0).reshape(2, 3)
    assert tensor_hash(matrix.T) == tensor_hash(matrix.T.contiguous()) != tensor_hash(matrix)
    assert tensor_hash(matrix) != tensor_hash(matrix + torch.finfo(torch.float32).eps)
