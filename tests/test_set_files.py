"""A set of directions is read from its file as it was written, and what is no set of them is refused."""

import json
from dataclasses import replace

import pytest
import torch
from analytic import LinearGenerator, direction_set, noise, styled, wrapped
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sets import LAYER, header_of, made, rewrite

from navbench.basis import IdentityBasis, random_basis
from navbench.directions import write_set
from navbench.errors import NavbenchError
from navbench.library import Library, open_set, set_path
from navbench.naming import SetKeeper


@pytest.fixture(scope="module")
def generator():
    return wrapped()


@pytest.mark.parametrize(("basis_name", "tolerance"), [("stored", 2e-3), ("svd", 0), ("random", 0)])
def test_a_set_is_read_as_it_was_written(tmp_path, generator, basis_name, tolerance):
    scores = {"rayleigh": torch.tensor([3.0, 2.0, 1.0])}
    written = made(
        generator, basis_name, labels=("smile", "", "Größe"), scores=scores, settings={"a": [1, None]},
        provenance={"seconds": 1.5},
    )  # fmt: skip
    write_set(written, tmp_path / "set.safetensors")
    file = open_set(tmp_path / "set.safetensors")
    read = file.load(generator)
    assert (file.count, file.set_id) == (3, written.set_id)
    for name in ("generator", "weights", "space", "layer", "method", "basis_name", "labels", "seed"):
        assert getattr(read, name) == getattr(written, name), name
    assert (read.settings, read.provenance) == (written.settings, written.provenance)
    for name in ("coefficients", "t_min", "t_max"):
        assert torch.equal(getattr(read, name), getattr(written, name)), name
    assert torch.equal(read.scores["rayleigh"], scores["rayleigh"])
    for ours, theirs in zip(read, written, strict=True):
        assert float((ours.offset - theirs.offset).norm()) <= tolerance
        assert float(ours.offset.norm()) == pytest.approx(1, abs=1e-6)
        assert (ours.name, ours.label) == (theirs.name, theirs.label)
        assert (ours.t_min, ours.t_max) == (theirs.t_min, theirs.t_max)
    assert read[1].scores == {"rayleigh": 2.0}


@pytest.mark.parametrize("basis_name", ["svd", "random"])
def test_a_basis_that_weights_or_seed_determine_is_not_stored(tmp_path, generator, basis_name):
    write_set(made(generator, basis_name), tmp_path / "set.safetensors")
    assert set(load_file(tmp_path / "set.safetensors")) == {"coefficients", "t_min", "t_max"}


def test_a_stored_basis_takes_two_bytes_a_number(tmp_path, generator):
    write_set(made(generator, count=8), tmp_path / "set.safetensors")
    assert load_file(tmp_path / "set.safetensors")["basis"].dtype == torch.float16
    assert (tmp_path / "set.safetensors").stat().st_size < 8 * 8 * 8 * 9 * 2 + 2000


STYLED = styled()


def latent_set(kind, basis_name="stored", **changes):
    """Three directions in a latent space of a small StyleGAN2."""
    shape = STYLED.latent_shape(kind)
    axes = IdentityBasis(shape)
    values = {"space": kind, "method": "latent-spectrum"} | changes
    if basis_name == "random":
        values |= {"basis_name": "random", "basis": random_basis(shape, 3, 5)}
    if basis_name == "identity":
        values |= {"basis_name": "identity", "basis": axes, "coefficients": noise(1, 3, axes.count)}
    return direction_set(STYLED, None, noise(0, 3, *shape), **values)


@pytest.mark.parametrize("kind", ["z", "w", "w+"])
@pytest.mark.parametrize(("basis_name", "tolerance"), [("stored", 2e-3), ("random", 0), ("identity", 0)])
def test_a_latent_set_is_read_as_it_was_written_from_the_file_of_its_space(tmp_path, kind, basis_name, tolerance):
    written = latent_set(kind, basis_name)
    path = set_path(tmp_path, written.set_id)
    assert path == tmp_path / "styled" / "latent-spectrum" / f"{kind}.safetensors"
    write_set(written, path)
    file = open_set(path)
    assert (file.place, file.set_id, file.header["layer"]) == (kind, f"styled/latent-spectrum/{kind}", None)
    assert ("basis" in load_file(path)) == (basis_name == "stored")
    read = file.load(STYLED)
    assert (read.space, read.layer, read.place, read.basis_name) == (kind, None, kind, basis_name)
    for ours, theirs in zip(read, written, strict=True):
        assert float((ours.offset - theirs.offset).norm()) <= tolerance
        assert ours.name == theirs.name == f"styled/latent-spectrum/{kind}/{ours.index}"
        assert ours.space_of(STYLED).shape == ours.offset.shape == STYLED.latent_shape(kind)
    file, index = Library([tmp_path]).find(f"{kind}/1")
    assert file.names()[index] == f"styled/latent-spectrum/{kind}/1"


@pytest.mark.parametrize("header", [{"layer": "conv1"}, {"space": "parameter"}])
def test_a_latent_set_with_a_layer_and_a_kernels_set_without_are_refused(tmp_path, header):
    path = tmp_path / "set.safetensors"
    write_set(latent_set("w"), path)
    rewrite(path, header=header)
    with pytest.raises(NavbenchError, match=r"set\.safetensors: its header names space .* latent spaces belong to no"):
        open_set(path)


def test_a_latent_set_on_the_svd_of_a_kernel_is_refused(tmp_path):
    path = tmp_path / "set.safetensors"
    write_set(latent_set("w"), path)
    rewrite(path, header={"basis": "svd"})
    with pytest.raises(NavbenchError, match=r"set\.safetensors: only a kernel has an svd, w has none\.$"):
        open_set(path).load(STYLED)


def test_a_latent_set_of_other_shapes_is_refused(tmp_path):
    path = tmp_path / "set.safetensors"
    write_set(latent_set("w"), path)
    rewrite(path, header={"space": "w+"})
    with pytest.raises(NavbenchError, match=r"3 offsets of shape \(8,\) .* do not fit w\+, \(4, 8\)"):
        open_set(path).load(STYLED)


def hybrid_on(generator, tmp_path):
    """A spectrum and a hybrid that takes its basis from there, on disk."""
    spectrum = made(generator)
    other = set_path(tmp_path, spectrum.set_id)
    write_set(spectrum, other)
    hybrid = replace(
        spectrum,
        method="hybrid",
        basis_name=f"set:../spectrum/{LAYER}.safetensors",
        basis_sha256=header_of(other)["basis_sha256"],
        coefficients=noise(1, 3, 3),
    )
    path = set_path(tmp_path, hybrid.set_id)
    write_set(hybrid, path)
    return hybrid, path, other


def test_a_basis_of_another_set_is_read_from_there(tmp_path, generator):
    hybrid, path, _ = hybrid_on(generator, tmp_path)
    assert "basis" not in load_file(path)
    read = open_set(path).load(generator)
    for ours, theirs in zip(read, hybrid, strict=True):
        assert float((ours.offset - theirs.offset).norm()) < 2e-3
        assert float(ours.offset.norm()) == pytest.approx(1, abs=1e-6)


def test_another_basis_in_its_place_is_refused(tmp_path, generator):
    hybrid, path, other = hybrid_on(generator, tmp_path)
    rewrite(other, basis=noise(7, 3, *hybrid.basis.shape).half())
    with pytest.raises(NavbenchError, match="another basis than"):
        open_set(path).load(generator)


def test_a_missing_basis_file_is_named(tmp_path, generator):
    _, path, other = hybrid_on(generator, tmp_path)
    other.unlink()
    with pytest.raises(NavbenchError, match=r"takes its basis from .*spectrum.*which does not exist"):
        open_set(path).load(generator)


@pytest.mark.parametrize("damage", [b"", b"not a set", "svd"])
def test_a_basis_file_that_holds_no_basis_is_named(tmp_path, generator, damage):
    _, path, other = hybrid_on(generator, tmp_path)
    if damage == "svd":
        write_set(made(generator, "svd"), other, overwrite=True)
    else:
        other.write_bytes(damage)
    with pytest.raises(NavbenchError, match=r"spectrum.*wide\.safetensors"):
        open_set(path).load(generator)


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path, generator):
    path = tmp_path / "set.safetensors"
    write_set(made(generator, seed=1), path)
    with pytest.raises(NavbenchError, match=r"exists already.*--force"):
        write_set(made(generator, seed=2), path)
    assert header_of(path)["seed"] == 1
    write_set(made(generator, seed=2), path, overwrite=True)
    assert header_of(path)["seed"] == 2


def test_equal_sets_are_equal_files(tmp_path, generator):
    write_set(made(generator), tmp_path / "a.safetensors")
    write_set(made(generator), tmp_path / "b.safetensors")
    assert open_set(tmp_path / "a.safetensors").sha256 == open_set(tmp_path / "b.safetensors").sha256


def test_long_or_odd_texts_of_a_file_stay_as_they_are_when_something_is_named(tmp_path, generator):
    path, provenance = tmp_path / "set.safetensors", {"source": "a\x1b" + "b" * 2000}
    write_set(replace(made(generator), provenance=provenance), path)
    SetKeeper(path).change(1, lambda naming: naming.changed({"label": "smile"}))
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["navbench"])["provenance"] == provenance


def test_a_label_changes_nothing_else_of_the_file(tmp_path, generator):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    before = open_set(path).load(generator)
    SetKeeper(path).change(1, lambda naming: naming.changed({"label": "smile"}))
    after = open_set(path).load(generator)
    assert after.labels == ("", "smile", "")
    assert replace(after, labels=before.labels, basis=0, coefficients=0, t_min=0, t_max=0) == replace(
        before, basis=0, coefficients=0, t_min=0, t_max=0
    )
    for ours, theirs in zip(after, before, strict=True):
        assert torch.equal(ours.offset, theirs.offset)
        assert (ours.t_min, ours.t_max) == (theirs.t_min, theirs.t_max)


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis_name", ["stored", "svd", "random"])
def test_directions_of_other_weights_are_refused(tmp_path, generator, basis_name):
    write_set(made(generator, basis_name), tmp_path / "set.safetensors")
    with pytest.raises(NavbenchError, match=r"were found on weights .* rediscover them") as caught:
        open_set(tmp_path / "set.safetensors").load(wrapped(seed=1))
    assert caught.value.exit_code == 2


def test_directions_of_a_generator_without_their_layer_are_refused(tmp_path, generator):
    write_set(made(generator, "svd"), tmp_path / "set.safetensors")
    with pytest.raises(NavbenchError, match="were found on weights"):
        open_set(tmp_path / "set.safetensors").load(LinearGenerator())


@pytest.mark.parametrize(
    "damage",
    [
        {"basis": torch.zeros(3, 8, 8, 1, 1)},
        {"basis": torch.zeros(2, 8, 8, 3, 3)},
        {"coefficients": torch.ones(3, 4)},
    ],
)
def test_tensors_that_do_not_fit_the_space_are_refused(tmp_path, generator, damage):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    rewrite(path, **damage)
    with pytest.raises(NavbenchError, match="do not fit parameter wide"):
        open_set(path).load(generator)


def test_a_stored_basis_that_is_missing_is_refused(tmp_path, generator):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    rewrite(path, drop=["basis"])
    with pytest.raises(NavbenchError, match="'basis' is missing"):
        open_set(path).load(generator)


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, generator, length):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(NavbenchError, match="not a navbench direction set"):
        open_set(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(NavbenchError, match=r"absent\.safetensors"):
        open_set(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("metadata", [None, {}, {"navbench": "{"}, {"navbench": "[1]"}, {"navbench": "null"}])
def test_a_file_that_is_no_direction_set_is_refused(tmp_path, metadata):
    path = tmp_path / "set.safetensors"
    save_file({name: torch.ones(1) for name in ("coefficients", "t_min", "t_max")}, path, metadata)
    with pytest.raises(NavbenchError, match="not a navbench direction set"):
        open_set(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"drop": ["t_min"]},
        {"drop": ["coefficients"]},
        {"t_max": torch.ones(2)},
        {"coefficients": torch.ones(3)},
        {"header": {"labels": ["", ""]}},
    ],
)
def test_a_set_whose_parts_disagree_is_refused(tmp_path, generator, damage):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    rewrite(path, **damage)
    with pytest.raises(NavbenchError, match="not a navbench direction set"):
        open_set(path)


def test_a_header_that_lacks_an_entry_names_it(tmp_path, generator):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    rewrite(path, header={"seed": ..., "weights": ...})
    with pytest.raises(NavbenchError, match="lacks seed, weights"):
        open_set(path)


def test_a_format_of_the_future_is_refused(tmp_path, generator):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    rewrite(path, header={"format": 2})
    with pytest.raises(NavbenchError, match="format 2; this navbench reads format 1"):
        open_set(path)


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ('"generator": 3', "generator in its header is 3, not a text"),
        ('"weights": null', "weights in its header is None, not a text"),
        ('"space": ["w"]', "space in its header is ['w'], not a text"),
        ('"layer": 7', "layer in its header is 7, not a text or null"),
        ('"method": {}', "method in its header is {}, not a text"),
        ('"basis": false', "basis in its header is False, not a text"),
        ('"basis_sha256": 1e400', "basis_sha256 in its header is inf, not a text"),
        ('"labels": "abc"', "labels in its header is 'abc', not a list"),
        ('"labels": {"a": 1, "b": 2, "c": 3}', "not a list"),
        ('"labels": ["", 3, ""]', "labels in its header must be one text per direction"),
        ('"labels": ["", ""]', "labels in its header must be one text per direction"),
        ('"seed": true', "seed in its header is True, not a whole number"),
        ('"seed": "0"', "seed in its header is '0', not a whole number"),
        ('"seed": -1', "seed in its header must be from 0 to 2**63 - 1"),
        (f'"seed": 1{"0" * 40}', "seed in its header must be from 0 to 2**63 - 1"),
        (f'"seed": 1{"0" * 5000}', "is not a navbench direction set"),
        ('"settings": [1]', "settings in its header is [1], not a table"),
        ('"provenance": "words"', "provenance in its header is 'words', not a table"),
        (f'"provenance": {DEEP}', "is not a navbench direction set"),
        (f'"labels": {DEEP}', "is not a navbench direction set"),
        ('"not_interpretable": 0', "not_interpretable in its header must list directions of the set"),
        ('"not_interpretable": [3]', "not_interpretable in its header must list directions of the set"),
        ('"ranges_by_hand": [[0]]', "ranges_by_hand in its header must list directions of the set"),
        ('"generator": "\\u001b[2J\\ud800", "labels": 1', "labels in its header is 1, not a list"),
    ],
)
def test_an_entry_of_another_kind_is_named(tmp_path, generator, entry, sentence):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()["navbench"]
    save_file(load_file(path), path, {"navbench": f"{header[:-1]}, {entry}}}"})  # the last of a name counts
    with pytest.raises(NavbenchError, match=r"not a navbench direction set") as caught:
        open_set(path)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        (
            {"coefficients": torch.ones(3, 3, dtype=torch.int64)},
            "coefficients is of I64, not of F16, F32, F64",
        ),
        ({"basis": torch.zeros(3, 8, 8, 3, 3, dtype=torch.int8)}, "basis is of I8, not of F16, F32, F64"),
        ({"basis": torch.zeros(3, 8, 8, 3, 3).bfloat16()}, "basis is of BF16, not of F16, F32, F64"),
        ({"t_min": torch.ones(3, dtype=torch.bool)}, "t_min is of BOOL, not of F16, F32, F64"),
        ({"t_max": torch.ones(3, 1)}, "t_min and t_max must have one number per direction"),
        ({"score.a": torch.ones(2)}, "score.a must have one number per direction"),
        ({"score.a": torch.ones(3, 2)}, "score.a must have one number per direction"),
        ({"coefficients": torch.ones(0, 3), "t_min": torch.ones(0), "t_max": torch.ones(0)}, "it holds no direction"),
    ],
)
def test_tensors_of_another_kind_are_named(tmp_path, generator, tensors, sentence):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    rewrite(path, **tensors)
    with pytest.raises(NavbenchError, match="not a navbench direction set") as caught:
        open_set(path)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_basis_that_is_not_finite_is_refused(tmp_path, generator, number):
    path = tmp_path / "set.safetensors"
    write_set(made(generator), path)
    basis = load_file(path)["basis"]
    basis[2, 0, 0, 0, 0] = number
    rewrite(path, basis=basis)
    with pytest.raises(NavbenchError, match="its basis holds NaN or infinite numbers; write the set again"):
        open_set(path).load(generator)
