"""Directions are found by their names among the sets that there are."""

from dataclasses import replace

import pytest
from analytic import LinearGenerator, direction_set, noise, wrapped
from sets import made

from navbench.directions import write_set
from navbench.errors import NavbenchError, unknown
from navbench.library import Library, SetFile, set_path


@pytest.fixture(scope="module")
def generator():
    return wrapped()


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


def test_of_a_direction_its_own_channel_and_attribute_are_told(tmp_path, generator):
    told = {"channels": ["a:1", "b:2", "c:3"], "attributes": ["hue", "tone", "size"], "losses": [3, 2, 1]}
    written = replace(made(generator), provenance=told)
    write_set(written, set_path(tmp_path, written.set_id))
    (file,) = Library([tmp_path]).of("convolutions")
    assert file.provenance_of(1) == {"channel": "b:2", "attribute": "tone", "losses": [3, 2, 1]}
    assert file.header["provenance"] == told


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
