"""The embedding `faces`: the published network to its last digits, and whether it tells who is who."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.faces import identity, identity_card
from navbench.faces.convert_identity import tensors_of
from navbench.faces.identity import SIZE, recognition, shipped
from navbench.faces.identity_card import CHANGES
from navbench.metrics.embedding import Embedder, create_embedder

REFERENCE = json.loads((Path(__file__).parent / "identity_reference.json").read_text("utf-8"))
PEOPLE = 16


def pattern(number):
    """An image without any face, (150, 150, 3), uint8, whose every pixel is known."""
    y, x, c = np.meshgrid(np.arange(SIZE), np.arange(SIZE), np.arange(3), indexing="ij")
    waves = x * (number + 1) + y * (2 * number + 1) + (x - 75) * (y - 75) // (8 + 5 * number) + 40 * c
    return (waves % 256).astype(np.uint8)


@pytest.fixture(scope="module")
def embedder():
    return create_embedder("navbench.faces.identity:faces", Compute())


@pytest.fixture(scope="module")
def images(faces):
    with torch.no_grad():
        return faces(faces.sample(range(PEOPLE), seed=5)).clamp(-1, 1)


@pytest.fixture(scope="module")
def embeddings(embedder, images):
    return embedder(images)


def separation(embed, images):
    """The AUC of changed images of the same people against other people's."""
    plain = embed(images)
    same = [(plain * embed(change(images))).sum(1) for change in CHANGES.values()]
    return identity_card.separation(torch.cat(same), identity_card.between_people(plain @ plain.T))


def test_the_network_gives_the_numbers_of_the_published_runtime():
    inputs = torch.from_numpy(np.stack([pattern(number) for number in range(4)])).permute(0, 3, 1, 2)
    found = recognition(shipped())(inputs / 127.5 - 1)
    assert (found - torch.tensor(REFERENCE["descriptors"])).abs().max() < 1e-5


def test_the_same_face_under_jitter_is_nearer_than_other_faces(embedder, images):
    assert separation(embedder, images) >= 0.99


def test_an_embedding_that_is_the_same_for_all_tells_nobody_apart(images):
    assert separation(lambda images: torch.ones(len(images), 128) / 128**0.5, images) == pytest.approx(0.5)


def test_separation_is_the_share_of_pairs_in_order():
    found = identity_card.separation(torch.tensor([0.9, 0.4]), torch.tensor([0.1, 0.5, 0.6, 0.2]))
    assert found == pytest.approx(6 / 8)


def test_the_page_on_faces_has_the_numbers_of_the_card():
    rows = [line.strip("| ").split(" | ") for line in identity_card.CARD.read_text("utf-8").splitlines()]
    changes = {row[0]: row for row in rows if len(row) == 4 and row[0] in CHANGES}
    page = (Path(__file__).parents[2] / "docs" / "faces.md").read_text("utf-8")
    assert len(changes) == 12
    assert f"an AUC of {min(row[3] for row in changes.values())[:6]} or more under each of twelve changes" in page
    assert f"with itself, {min(float(row[2]) for row in changes.values()):.2f}, is that of the darkest image" in page


def test_another_face_is_at_0(embeddings):
    apart = ~torch.eye(PEOPLE, dtype=torch.bool)
    cosines = (embeddings @ embeddings.T)[apart]
    assert cosines.mean().abs() < 0.1  # of the published descriptors it is .92
    assert cosines.max() < 0.8


def test_the_size_of_an_image_does_not_matter(embedder, images, embeddings):
    larger = F.interpolate(images[:4], scale_factor=5, mode="bicubic").clamp(-1, 1)
    wider = F.pad(images[:4], (4, 4, 0, 0), mode="replicate")
    for changed, least in ((larger, 0.95), (wider, 0.85)):
        assert (embedder(changed) * embeddings[:4]).sum(1).min() > least


def test_it_is_a_function_of_each_image(embedder, images):
    assert embedder.repeatability(images[:2]).is_function


def test_an_image_without_a_face_has_an_embedding(embedder):
    assert torch.isfinite(embedder(torch.zeros(1, 3, 40, 56))).all()


def test_tensors_of_a_published_file_lie_one_after_the_other():
    entries = [
        {"name": "a", "shape": [3], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        {"name": "b", "shape": [1, 2], "dtype": "float32"},
    ]
    tensors, quantisation = tensors_of(entries, bytes([0, 2, 255]) + np.array([1.5, -2.5], "<f4").tobytes())
    assert tensors["a"].tolist() == [0, 2, 255]
    assert tensors["b"].tolist() == [[1.5, -2.5]]
    assert quantisation == {"a": (0.5, -1.0)}


@pytest.mark.parametrize("lacking", ["centre", "fc", "header"])
def test_a_file_that_lacks_a_part_is_one_sentence(monkeypatch, tmp_path, lacking):
    """Without the centre all people would be alike."""
    with safe_open(identity.SHIPPED, framework="pt") as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    tensors.pop(lacking, None)
    path = tmp_path / "identity.safetensors"
    path.write_bytes(save(tensors, None if lacking == "header" else header))
    monkeypatch.setattr(identity, "SHIPPED", path)
    with pytest.raises(NavbenchError, match=r"identity\.safetensors .* install navbench anew"):
        identity.faces()


def test_a_damaged_file_is_one_sentence(monkeypatch, tmp_path):
    path = tmp_path / "identity.safetensors"
    path.write_bytes(b"nothing")
    monkeypatch.setattr(identity, "SHIPPED", path)
    with pytest.raises(NavbenchError, match=r"identity\.safetensors cannot be read .* install navbench anew"):
        Embedder("faces", identity.faces(), Compute())
