"""Files of numpy are read as numbers alone, and none takes far more memory than its size."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from navbench import arrays
from navbench.arrays import read_arrays
from navbench.errors import NavbenchError


def refusal(path):
    with pytest.raises(NavbenchError) as refused:
        read_arrays(path)
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def written(path, content):
    path.write_bytes(content)
    return path


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def claiming(shape, kind="<f8"):
    """An `.npy` whose header promises an array that is not there."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_they_were_saved(tmp_path, save):
    saved = {"a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.eye(3, dtype="f4")), "c": np.array(7)}
    save(tmp_path / "a.npz", **saved)
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == saved.keys()
    for name, array in saved.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert read_arrays(tmp_path / "a.npz", ("b", "none")).keys() == {"b"}


def test_a_single_array_has_no_name(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4))
    assert read_arrays(tmp_path / "a.npy")[""].tolist() == [0, 1, 2, 3]


def test_an_archive_that_unpacks_to_gigabytes_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("mu.npy", "w") as member:
        member.write(claiming((5 << 20, 8)))
        for _ in range(40):
            member.write(bytes(8 << 20))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    assert "unpacks to more than 256 MiB" in refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_compressed_file_may_be_as_large_as_numbers_are(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MOST_BYTES", 0)
    np.savez_compressed(tmp_path / "a.npz", a=np.random.default_rng(0).normal(size=1000))
    assert len(read_arrays(tmp_path / "a.npz")["a"]) == 1000


@pytest.mark.parametrize("shape", [(2**40,), (2**62, 4), (3,), (-1, 2)])
def test_a_header_that_promises_more_than_there_is_makes_no_room_for_it(tmp_path, shape):
    assert "more than there is of it" in refusal(written(tmp_path / "a.npy", claiming(shape)))


@pytest.mark.parametrize(
    "content",
    [
        npy(np.array([{"a": 1}], dtype=object)),
        npy(np.array(["text"])),
        npy(np.zeros(2, [("a", "f4"), ("b", "i4")])),
        npy(np.arange(4))[:-3],
        npy(np.arange(4))[:20],
        b"\x93NUMPY\x09\x00" + npy(np.arange(4))[8:],
        b"hello",
        b"",
    ],
)
def test_what_holds_no_numbers_is_refused_in_one_sentence(tmp_path, content):
    refusal(written(tmp_path / "a.npy", content))


def test_an_archive_whose_compression_may_ask_for_any_memory_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy(np.arange(4)))
    assert "compressed as numpy compresses nothing" in refusal(tmp_path / "a.npz")


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "There is no file" in refusal(tmp_path / "a.npz")
    assert "There is no file" in refusal(tmp_path)
