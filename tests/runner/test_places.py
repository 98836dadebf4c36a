"""A folder and a bucket are one to whoever writes into them; of several conditional writers, one succeeds."""

import errno
import os
import pickle
import sys
import threading
from functools import partial

import pytest

from navbench.buckets import Bucket
from navbench.errors import Failure, NavbenchError
from navbench.places import Conflict, Folder, mirrored, place_at


def test_what_is_written_is_read_back_whole_and_by_ranges(place):
    place.write("tables/z+w (1).csv", "täxt")
    place.write("tables/z+w (1).csv", b"0123456789")
    assert place.read("tables/z+w (1).csv") == b"0123456789"
    assert place.read("tables/z+w (1).csv", 2, 5) == b"234"
    assert place.read("tables/z+w (1).csv", 7) == b"789"
    assert place.read("tables/z+w (1).csv", 8, 99) == b"89"
    place.write("empty", b"")
    assert place.read("empty") == b""
    assert place.exists("empty")


def test_names_are_of_what_lies_below_a_folder(place):
    for name in ("a", "b/c", "b/d/e", "bc/f"):
        place.write(name, name)
    assert sorted(place.names()) == ["a", "b/c", "b/d/e", "bc/f"]
    assert sorted(place.names("b")) == ["b/c", "b/d/e"]
    assert sorted(place.within("b").names()) == ["c", "d/e"]
    assert list(place.names("nothing")) == []
    assert place.within("b").read("d/e") == b"b/d/e"
    assert not place.exists("c")


def test_what_is_removed_is_gone_and_nothing_else(place):
    for name in ("a", "b/c", "b/d/e", "bc/f"):
        place.write(name, name)
    place.delete("a")
    place.delete("a")
    place.clear("b")
    place.clear("nothing")
    assert list(place.names()) == ["bc/f"]
    assert place.version("a") is None
    with pytest.raises(FileNotFoundError):
        place.read("a")


def test_only_the_version_that_was_read_is_replaced(place):
    first = place.create("lease", b"1")
    with pytest.raises(Conflict):
        place.create("lease", b"other")
    assert place.version("lease") == first
    second = place.replace("lease", b"2", first)
    with pytest.raises(Conflict):
        place.replace("lease", b"other", first)
    assert place.version("lease") == second
    place.delete("lease")
    with pytest.raises(Conflict):
        place.replace("lease", b"other", second)
    assert not place.exists("lease")


def race(write, count=20):
    """How many of so many threads wrote; the others came too late."""
    barrier, won = threading.Barrier(count), []

    def attempt(index):
        barrier.wait()
        try:
            write(str(index).encode())
        except Conflict:
            return
        won.append(index)

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def test_of_twenty_writers_that_create_or_replace_one_wins(place):
    won = race(lambda content: place.create("lease", content))
    assert [place.read("lease")] == [str(index).encode() for index in won]
    version = place.version("lease")
    won = race(lambda content: place.replace("lease", b"again" + content, version))
    assert [place.read("lease")] == [f"again{index}".encode() for index in won]


def test_a_place_is_plain_data(place):
    place.write("a", b"content")
    again = pickle.loads(pickle.dumps(place))
    assert again == place
    assert again.read("a") == b"content"
    assert place_at(str(place)) == place == place_at(place)


def test_a_mirror_brings_what_was_asked_for_and_takes_back_what_changed(s3):
    place = place_at(f"{s3.bucket()}/runs/quick")
    for name in ("manifest.json", "tables/a.csv", "tables/b.csv", "cache/large"):
        place.write(name, name)
    s3.requests.clear()
    with mirrored(place, ("manifest.json", "absent"), ("tables",)) as folder:
        assert folder.name == "quick"
        assert sorted(Folder(folder).names()) == ["manifest.json", "tables/a.csv", "tables/b.csv"]
        (folder / "tables" / "b.csv").write_text("changed")
        (folder / "index.html").write_text("page")
    assert sorted(request.path.rpartition("/")[2] for request in s3.asked("PUT")) == ["b.csv", "index.html"]
    assert place.read("tables/b.csv") == b"changed"
    assert place.read("index.html") == b"page"
    assert not folder.exists()


def test_an_error_about_a_mirror_names_the_place(s3):
    place = place_at(f"{s3.bucket()}/run")
    with pytest.raises(Failure, match=rf"^{place}/tables is odd$"), mirrored(place) as folder:
        raise Failure(f"{folder}/tables is odd")


def test_a_folder_is_its_own_mirror(tmp_path):
    with mirrored(Folder(tmp_path)) as folder:
        assert folder == tmp_path


def test_a_place_of_no_known_kind_is_refused():
    with pytest.raises(NavbenchError, match=r"'s4://'.*did you mean 's3://'"):
        place_at("s4://bucket/run")


def test_without_obstore_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(NavbenchError, match=r"need the package obstore; install it with `pip install 'navbench\[cloud"):
        place_at("s3://bucket/run").exists("a")


def test_a_bucket_that_is_missing_is_empty_until_something_is_written(s3):
    place = Bucket.at("s3://nobody-s-bucket/run")
    assert not place.exists("a")
    with pytest.raises(NavbenchError, match="There is no bucket for s3://nobody-s-bucket/run/a; make it, or correct"):
        place.write("a", b"")


def failing(number, *_, **__):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("write", ["write", "create", "replace"])
def test_a_full_disk_leaves_the_old_content_and_nothing_half_written(tmp_path, monkeypatch, write):
    place = Folder(tmp_path)
    version = place.create("old", b"old")
    arguments = {"write": ("old", b"new"), "create": ("new", b"new"), "replace": ("old", b"new", version)}[write]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", partial(failing, errno.ENOSPC))
        with pytest.raises(Failure, match="No space left while writing"):
            getattr(place, write)(*arguments)
    assert place.read("old") == b"old"
    assert list(place.names()) == ["old"]
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["old"]
