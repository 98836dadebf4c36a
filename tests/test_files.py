import errno
import os
import stat
from pathlib import Path

import pytest

from navbench.errors import Failure, NavbenchError
from navbench.files import content_hash, write_atomically


def failing(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"\x00\xff bytes", "täxt\n", b""])
def test_what_is_written_is_read_back(tmp_path, content):
    path = tmp_path / "new" / "folders" / "file.bin"
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(path.parent) == ["file.bin"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_file_is_replaced(tmp_path):
    write_atomically(tmp_path / "a", "a long first content")
    write_atomically(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "second"
    assert names(tmp_path) == ["a"]


MISHAPS = [
    (errno.ENOSPC, Failure, 1, "No space left"),
    (errno.EDQUOT, Failure, 1, "No space left"),
    (errno.EIO, Failure, 1, "cannot be written"),
    (errno.EACCES, NavbenchError, 2, "No permission.*--out"),
    (errno.EROFS, NavbenchError, 2, "No permission"),
]


@pytest.mark.parametrize("where", [(os, "fsync"), (Path, "replace")])
@pytest.mark.parametrize(("number", "kind", "code", "words"), MISHAPS)
def test_a_mishap_leaves_the_old_content_and_nothing_else(monkeypatch, tmp_path, where, number, kind, code, words):
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(*where, failing(number))
    with pytest.raises(kind, match=words) as caught:
        write_atomically(path, "new")
    assert type(caught.value) is kind
    assert caught.value.exit_code == code
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_an_interruption_leaves_the_old_content_and_nothing_else(monkeypatch, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "mkdir", failing(errno.EACCES))
    with pytest.raises(NavbenchError, match="No permission") as caught:
        write_atomically(tmp_path / "folder" / "file", "new")
    assert caught.value.exit_code == 2


def test_a_file_where_a_folder_is_needed_is_named(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(NavbenchError, match="a file stands where a folder is needed"):
        write_atomically(tmp_path / "file" / "inside", "new")


def test_a_folder_where_a_file_is_needed_is_named(tmp_path):
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(NavbenchError, match="or the reverse"):
        write_atomically(tmp_path / "folder", "new")
    assert names(tmp_path) == ["folder"]


def images(folder, contents):
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_hash_knows_the_content_and_neither_the_place_nor_the_order_of_writing(tmp_path):
    contents = {"a.png": b"one", "b/c.png": b"two" * 10**6}
    first = content_hash(images(tmp_path / "x", contents))
    assert first == content_hash(images(tmp_path / "elsewhere", dict(reversed(contents.items()))))
    (tmp_path / "file").write_bytes(b"one")
    (tmp_path / "copy").write_bytes(b"one")
    assert content_hash(tmp_path / "file") == content_hash(tmp_path / "copy")


@pytest.mark.parametrize(
    "other",
    [
        {"a.png": b"onf", "b.png": b"two"},
        {"a.png": b"onet", "b.png": b"wo"},
        {"a.png": b"one", "c.png": b"two"},
        {"a.png": b"two", "b.png": b"one"},
        {"a.png": b"one", "b.png": b"two", "c.png": b""},
        {"a.png": b"one", "d/b.png": b"two"},
    ],
)
def test_any_other_content_or_name_has_another_hash(tmp_path, other):
    same = {"a.png": b"one", "b.png": b"two"}
    assert content_hash(images(tmp_path / "x", same)) != content_hash(images(tmp_path / "y", other))


def test_the_hash_of_nothing_is_refused(tmp_path):
    with pytest.raises(NavbenchError, match="does not exist"):
        content_hash(tmp_path / "absent")
