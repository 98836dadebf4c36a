import importlib
import subprocess

import pytest
import torch
import torch_fidelity
from distances import kernel_distance
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch.utils.data import Dataset
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torchvision.transforms.functional import pil_to_tensor
from torchvision.utils import save_image

from navbench import weights
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.metrics import extractors
from navbench.metrics.extractors import create_extractor, quantise


def pictures(seed: int, n: int, side: int = 32) -> torch.Tensor:
    """Smooth random images (n, 3, side, side), uint8."""
    coarse = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(coarse, side, mode="bilinear") * 255).to(torch.uint8)


class Pictures(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


@pytest.fixture(scope="module")
def lite0():
    return create_extractor("efficientnet-lite0", Compute())


def test_efficientnet_is_the_network_of_its_package(lite0):
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(weights.load("efficientnet-lite0"))
    images = pictures(0, 3, 224)
    with torch.no_grad():
        expected = theirs.extract_features((images.float() - 127) / 128).mean((2, 3))
    found = lite0(images.float() / 127.5 - 1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (lite0.dimensions, lite0.metric, found.dtype) == (1280, "FD", torch.float32)


def test_torch_fidelity_runs_the_registered_extractor_to_the_same_kernel_distance(lite0):
    x, y = pictures(1, 8), pictures(2, 8)
    metrics = torch_fidelity.calculate_metrics(
        input1=Pictures(x),
        input2=Pictures(y),
        feature_extractor="efficientnet-lite0",
        kid=True,
        kid_subsets=1,
        kid_subset_size=8,
        cuda=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
    )
    ours = kernel_distance(lite0(x / 127.5 - 1), lite0(y / 127.5 - 1)).value
    assert metrics["kernel_inception_distance_mean"] == pytest.approx(ours, rel=1e-4)


def test_registering_twice_is_harmless():
    importlib.reload(extractors)


def test_quantisation_is_that_of_a_saved_image(tmp_path):
    images = 2.2 * torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1.1
    save_image((images + 1) / 2, tmp_path / "image.png")
    torch.testing.assert_close(quantise(images)[0], pil_to_tensor(Image.open(tmp_path / "image.png")))


def test_every_level_survives_quantisation():
    levels = torch.arange(256)
    torch.testing.assert_close(quantise(levels / 127.5 - 1), levels.to(torch.uint8))


def test_bf16_changes_features_little(lite0):
    images = 2 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3)) - 1
    exact, rough = lite0(images), create_extractor("efficientnet-lite0", Compute(precision="bf16"))(images)
    assert rough.dtype == torch.float32
    assert float((rough - exact).norm() / exact.norm()) < 0.05


def test_only_inception_makes_a_fid(tmp_path):
    network = FEATURE_EXTRACTORS_REGISTRY["inception-v3-compat"]
    path = tmp_path / "random.pth"
    torch.save({}, path)
    with pytest.MonkeyPatch.context() as patch:  # a random network, to save the weights of
        patch.setattr(network, "load_state_dict", lambda self, state: None)
        torch.save(network("", ["2048"], feature_extractor_weights_path=path).state_dict(), path)
    found = create_extractor("inception-v3-compat", Compute(), path)
    assert (found.metric, found.dimensions) == ("FID", 2048)


def test_without_network_the_fid_says_what_to_fetch(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(Failure, match="fetch https://github"):
        create_extractor("inception-v3-compat", Compute())


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("efficientnet-lite0", "inception-v3-compat"):
        with pytest.raises(NavbenchError, match=r"other\.pth are not those of"):
            create_extractor(name, Compute(), tmp_path / "other.pth")


@pytest.mark.parametrize("name", ["dinov2-vit-s-14", "clip-vit-b-32"])
@pytest.mark.parametrize("given", [False, True])
def test_what_torch_fidelity_builds_from_downloaded_code_is_refused(tmp_path, monkeypatch, name, given):
    monkeypatch.setattr(torch.hub, "load", lambda *_, **__: pytest.fail("ran downloaded code"))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("ran the file's code"))
    torch.save({}, tmp_path / "file.pth")
    with pytest.raises(NavbenchError, match=r"is not admitted.*use 'efficientnet-lite0'") as caught:
        create_extractor(name, Compute(), tmp_path / "file.pth" if given else None)
    assert caught.value.exit_code == 2


def test_vgg16_is_taken_from_a_file_of_plain_tensors_only(tmp_path):
    with pytest.raises(NavbenchError, match=r"'vgg16' has no pinned weights.*as extractor_weights"):
        create_extractor("vgg16", Compute())
    torch.save({"model": subprocess.Popen}, tmp_path / "code.pth")
    with pytest.raises(NavbenchError, match="which is no tensor and no plain container"):
        create_extractor("vgg16", Compute(), tmp_path / "code.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(NavbenchError, match=r"other\.pth are not those of 'vgg16'"):
        create_extractor("vgg16", Compute(), tmp_path / "other.pth")


def test_every_extractor_of_torch_fidelity_but_the_pinned_one_is_refused_without_a_file():
    own = [name for name, kind in FEATURE_EXTRACTORS_REGISTRY.items() if kind.__module__.startswith("torch_fidelity")]
    assert len(own) > 10
    for name in set(own) - set(weights.WEIGHTS):
        with pytest.raises(NavbenchError, match=name):
            create_extractor(name, Compute())


class Theirs(extractors.EfficientNetLite0):
    """An extractor of another package, that fetches its weights itself."""

    def __init__(self, name, features_list, feature_extractor_weights_path=None, **options):
        raise OSError("no network.")


def test_an_extractor_of_another_package_is_admitted_and_its_failure_is_one_sentence(monkeypatch):
    monkeypatch.setitem(FEATURE_EXTRACTORS_REGISTRY, "theirs", Theirs)
    with pytest.raises(Failure, match=r"'theirs' could not be built \(no network\)"):
        create_extractor("theirs", Compute())


def test_an_unknown_extractor_is_answered_with_the_nearest_one():
    with pytest.raises(NavbenchError, match="did you mean 'inception-v3-compat'"):
        create_extractor("inception-v3", Compute())
