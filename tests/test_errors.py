"""What errors say: one sentence, whatever there is to list and whatever went wrong underneath."""

import io

import pytest
from PIL import Image

from navbench.errors import image_trouble, unknown


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("main.66", ["main.6", "main.9"], "did you mean 'main.6'?"),
        ("xyz", ["b", "a", "b"], "known: a, b."),
        ("xyz", [], "known: none."),
        ("xyz", map(str, range(10)), "known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."),
        ("xyz", map(str, range(1000)), "known: 1,000 names, such as 0, 1, 10."),
        ("mian.6", [f"main.{index}" for index in range(500)], "did you mean 'main.6'?"),
        ("c-----", [f"{letter}{index}" for letter in "abc" for index in range(9)], "known: 27 names, such as c8, "),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_or_with_all_if_they_are_few(name, known, hint):
    assert str(unknown("layer", name, known)).startswith(f"Unknown layer {name!r}; {hint}")


@pytest.mark.parametrize("kind", ["direction", "generator"])
def test_where_many_are_known_it_is_said_what_lists_them(kind):
    sentence = str(unknown(kind, "xyz", map(str, range(11))))
    assert sentence == f"Unknown {kind} 'xyz'; known: 11 names, such as 0, 1, 10; navbench {kind}s list shows them."


def test_a_file_that_is_no_image_is_said_to_be_none_without_the_address_of_a_buffer():
    with pytest.raises(OSError, match="BytesIO") as caught:
        Image.open(io.BytesIO(b"words"))
    assert image_trouble(caught.value) == "not an image format that is known"


def test_other_trouble_with_an_image_keeps_its_words_or_its_name():
    assert image_trouble(OSError("image file is truncated")) == "image file is truncated"
    assert image_trouble(EOFError()) == "EOFError"
