import json
from dataclasses import replace

import pytest
import torch
from analytic import LinearGenerator, direction, direction_set, noise, styled, unit, wrapped
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from navbench.basis import IdentityBasis, SvdBasis, random_basis
from navbench.directions import write_set
from navbench.errors import NavbenchError, unknown
from navbench.library import Library, SetFile, open_set, set_path
from navbench.naming import SetKeeper

LAYER = "wide"


@pytest.fixture(scope="module")
def generator():
    return wrapped()


def made(generator, basis_name="stored", count=3, **changes):
    """A set of that kind of basis, as its method would make it."""
    shape = generator.layer(LAYER).shape
    found = direction_set(generator, LAYER, noise(0, count, *shape), **changes)
    if basis_name == "svd":
        basis = SvdBasis(generator.layer(LAYER), generator.kernel(generator.layer(LAYER)))
        return replace(found, method="svd", basis_name="svd", basis=basis, coefficients=torch.eye(count, basis.count))
    if basis_name == "random":
        return replace(found, method="random", basis_name="random", basis=random_basis(shape, count, found.seed))
    return found


def header_of(path):
    return open_set(path).header


def rewrite(path, header=None, drop=(), **tensors):
    """Damage a set: other entries of the header, or other tensors, or fewer."""
    kept = {name: value for name, value in (load_file(path) | tensors).items() if name not in drop}
    kept_header = {name: value for name, value in (header_of(path) | (header or {})).items() if value is not ...}
    save_file(kept, path, {"navbench": json.dumps(kept_header)})


# --- directions ----------------------------------------------------------------------------------------------


@given(st.floats(-1e5, -1e-3), st.floats(1e-3, 1e5), st.integers(1, 20))
def test_shifts_rise_from_end_to_end_through_zero(t_min, t_max, half):
    generator = LinearGenerator()
    shifts = direction(generator, noise(0, 4, 3, 4, 4), layer="map", ends=(t_min, t_max)).shifts(2 * half + 1)
    assert len(shifts) == 2 * half + 1
    assert shifts[half] == 0
    assert (shifts.diff() > 0).all()
    assert shifts[0] == pytest.approx(t_min)
    assert shifts[-1] == pytest.approx(t_max)
    torch.testing.assert_close(shifts[: half + 1].diff(), torch.full((half,), -t_min / half, dtype=torch.float64))
    torch.testing.assert_close(shifts[half:].diff(), torch.full((half,), t_max / half, dtype=torch.float64))


@pytest.mark.parametrize("count", [-1, 0, 1, 2, 10])
def test_a_curve_without_zero_in_its_middle_is_refused(count):
    with pytest.raises(NavbenchError, match="odd number of at least 3"):
        direction(LinearGenerator(), noise(0, 4, 3, 4, 4), layer="map").shifts(count)


def test_a_direction_is_named_by_generator_method_place_and_index(generator):
    found = made(generator)[2]
    assert found.name == "convolutions/spectrum/wide/2"
    assert found.slug == "convolutions-spectrum-wide-2"
    assert direction(generator, noise(0, 6), space="z").name == "convolutions/made/z/0"
    assert [each.place for each in (found, direction(generator, noise(0, 6), space="z"))] == ["wide", "z"]


def test_a_direction_of_another_shape_is_refused(generator):
    found = direction(generator, noise(0, 8, 8, 1, 1), layer=LAYER)
    with pytest.raises(NavbenchError, match=r"\(8, 8, 1, 1\), but parameter wide .* \(8, 8, 3, 3\)"):
        found.space_of(generator)
    assert made(generator)[0].space_of(generator).shape == (8, 8, 3, 3)


def test_directions_are_combinations_of_the_basis_scaled_to_unit_norm(generator):
    coefficients = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, -2.0]])
    found = made(generator, coefficients=coefficients, t_min=-torch.ones(2), t_max=torch.ones(2), labels=("", ""))
    vectors = found.basis.vectors
    assert len(found) == len(list(found)) == 2
    torch.testing.assert_close(found[0].offset, unit(3 * vectors[0] + 4 * vectors[1]))
    torch.testing.assert_close(found[1].offset, -vectors[2])


# --- files ---------------------------------------------------------------------------------------------------


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
    assert found(Library([tmp_path]), f"{kind}/1") == f"styled/latent-spectrum/{kind}/1"


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


# --- the library ---------------------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path, generator):
    """Sets of two methods and of two generators; one direction of each has a label."""
    for basis_name, labels in (("stored", ("smile", "", "")), ("svd", ("", "Wide Eyes", ""))):
        found = made(generator, basis_name, labels=labels)
        write_set(found, set_path(tmp_path, found.set_id))
    linear = direction_set(LinearGenerator(), "map", noise(0, 1, 4, 3, 4, 4), labels=("",))
    write_set(linear, set_path(tmp_path, linear.set_id))
    return Library([tmp_path])


def found(library, reference):
    file, index = library.find(reference)
    return file.names()[index]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("convolutions/svd/wide/2", "convolutions/svd/wide/2"),
        ("smile", "convolutions/spectrum/wide/0"),
        ("SMILE", "convolutions/spectrum/wide/0"),
        ("wide eyes", "convolutions/svd/wide/1"),
        ("svd/wide/0", "convolutions/svd/wide/0"),
        ("spectrum/wide/1", "convolutions/spectrum/wide/1"),
        ("linear", "linear/spectrum/map/0"),
        ("map/0", "linear/spectrum/map/0"),
    ],
)
def test_a_direction_is_found_by_its_name_its_label_or_a_unique_part(library, reference, name):
    assert found(library, reference) == name


@pytest.mark.parametrize("reference", ["svd", "wide/0", "0", "convolutions/spectrum/wide"])
def test_an_ambiguous_part_is_refused_with_what_it_could_mean(library, reference):
    with pytest.raises(NavbenchError, match=r"is not unique; say more of the name") as caught:
        library.find(reference)
    assert str(caught.value).count(reference) >= 3


def test_the_names_of_an_ambiguous_part_stand_a_line_each(library):
    with pytest.raises(NavbenchError) as caught:
        library.find("svd")
    first, *names = str(caught.value).splitlines()
    assert first.endswith(f"take one of these {len(names)}:")
    assert [name.strip() for name in names] == library.sets["convolutions/svd/wide"].names()


def test_an_automatic_label_is_a_name_after_labels_by_hand_and_its_sign_may_be_a_true_minus(library):
    automatic = {"convolutions/svd/wide/2": "sky tone -", "convolutions/svd/wide/0": "smile"}
    for name in ("sky tone -", "Sky tone \N{MINUS SIGN}"):
        file, index = library.find(name, automatic)
        assert file.names()[index] == "convolutions/svd/wide/2"
    file, index = library.find("smile", automatic)
    assert file.names()[index] == "convolutions/spectrum/wide/0"


@pytest.mark.parametrize(
    ("reference", "nearest"),
    [("convolutions/sdv/wide/2", "convolutions/svd/wide/2"), ("smyle", "smile")],
)
def test_an_unknown_direction_is_answered_with_the_nearest(library, reference, nearest):
    with pytest.raises(NavbenchError, match=f"did you mean '{nearest}'"):
        library.find(reference)


@pytest.mark.parametrize("reference", ["", "/", "ide/0", "convolutions/svd/wide/22", "wide/"])
def test_half_a_part_of_a_name_finds_nothing(library, reference):
    with pytest.raises(NavbenchError, match="Unknown direction"):
        library.find(reference)


def test_a_full_name_is_found_even_if_it_is_a_label_of_another(tmp_path, generator):
    spectrum = made(generator, labels=("", "", "convolutions/spectrum/wide/0"))
    write_set(spectrum, set_path(tmp_path, spectrum.set_id))
    assert found(Library([tmp_path]), "convolutions/spectrum/wide/0") == "convolutions/spectrum/wide/0"


def test_sets_of_a_generator_come_sorted(library):
    assert [file.set_id for file in library.of("convolutions")] == [
        "convolutions/spectrum/wide",
        "convolutions/svd/wide",
    ]
    assert library.of("faces") == []


def test_an_earlier_folder_hides_a_later_ones_set(tmp_path, generator):
    for name, seed in (("mine", 1), ("shipped", 2)):
        (tmp_path / name).mkdir()
        written = made(generator, seed=seed)
        write_set(written, set_path(tmp_path / name, written.set_id))
    svd = made(generator, "svd")
    write_set(svd, set_path(tmp_path / "shipped", svd.set_id))
    both = Library([tmp_path / "mine", tmp_path / "shipped"])
    assert both.sets["convolutions/spectrum/wide"].header["seed"] == 1
    assert len(both.sets) == 2
    turned = Library([tmp_path / "shipped", tmp_path / "mine"])
    assert turned.sets["convolutions/spectrum/wide"].header["seed"] == 2


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(NavbenchError, match="not a folder of directions"):
        Library([tmp_path / "absent"])


def test_the_nearest_of_known_names_is_offered_or_all_of_them():
    assert str(unknown("layer", "main.66", ["main.6", "main.9"])) == "Unknown layer 'main.66'; did you mean 'main.6'?"
    assert str(unknown("layer", "xyz", ["b", "a"])) == "Unknown layer 'xyz'; known: a, b."
    assert str(unknown("layer", "xyz", [])) == "Unknown layer 'xyz'; known: none."


def test_only_the_header_is_read_to_list_a_set(library, monkeypatch):
    def refuse(*_):
        raise AssertionError("tensors were read")

    monkeypatch.setattr("navbench.directions._tensors", refuse)
    assert len([name for file in library.sets.values() for name in file.names()]) == 7
    assert all(isinstance(file, SetFile) for file in library.sets.values())
