"""The face mesh against its published runtime, and what is known of its landmarks."""

import numpy as np
import pytest
import torch

from navbench import weights
from navbench.errors import NavbenchError
from navbench.faces import mesh, shape
from navbench.faces.framing import crop, whole
from navbench.generators.dcgan import faces


def published(crops):
    """Landmarks (N, 468, 3) in pixels of 192 and logits (N,), by TensorFlow Lite's own runtime."""
    runtime = pytest.importorskip("ai_edge_litert.interpreter")  # the extra has it on Linux
    network = runtime.Interpreter(str(weights.fetch("face-landmark")), num_threads=1)
    network.allocate_tensors()
    place = network.get_input_details()[0]["index"]
    outputs = sorted(network.get_output_details(), key=lambda output: -int(np.prod(output["shape"])))
    landmarks, logits = [], []
    for image in crops.permute(0, 2, 3, 1).contiguous().numpy():
        network.set_tensor(place, image[None])
        network.invoke()
        landmarks.append(network.get_tensor(outputs[0]["index"]).reshape(mesh.LANDMARKS, 3))
        logits.append(network.get_tensor(outputs[1]["index"]).item())
    return torch.from_numpy(np.stack(landmarks)), torch.tensor(logits)


@torch.no_grad()
def test_a_hundred_images_are_read_as_the_published_runtime_reads_them():
    random = torch.Generator().manual_seed(0)
    generator = faces().eval()
    images = (generator(generator.sample(range(60), 0)) + 1) / 2
    crops = [crop(images, whole(60, (64, 64), 0.15, images.device))]
    crops.append(torch.rand(30, 3, mesh.SIZE, mesh.SIZE, generator=random))
    crops.append(torch.rand(10, 3, 1, 1, generator=random).expand(-1, -1, mesh.SIZE, mesh.SIZE))
    crops = torch.cat(crops).clamp(0, 1)
    landmarks, logits = published(crops)
    ours, presence = mesh.shipped()(crops)
    assert (ours - landmarks).abs().max() < 1e-3  # pixels of 192; 2e-4 were measured
    assert (presence - logits).abs().max() < 1e-3
    assert (logits[:60] > 0).float().mean() > 0.8  # of samples of `faces`
    assert (logits[60:] < 0).all()


def test_the_shipped_file_is_half_precision_and_names_its_source():
    from safetensors import safe_open

    with safe_open(mesh.SHIPPED, framework="pt") as file:
        assert weights.WEIGHTS["face-landmark"].sha256 in file.metadata()["navbench"]
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118 (not a mapping)
    assert mesh.SHIPPED.stat().st_size < 1.3e6


def test_a_damaged_file_is_one_sentence(monkeypatch, tmp_path):
    path = tmp_path / "mesh.safetensors"
    path.write_bytes(b"damaged")
    monkeypatch.setattr(mesh, "SHIPPED", path)
    with pytest.raises(NavbenchError, match="install navbench anew"):
        mesh.shipped()


def test_the_mean_face_is_its_own_mirror_image_and_upright():
    known = shape.shipped()
    assert (known.mirror[known.mirror] == torch.arange(mesh.LANDMARKS)).all()
    # MediaPipe's numbers: outer corners of the eyes, of the mouth; forehead, nose tip and chin are in the middle.
    pairs = {33: 263, 133: 362, 61: 291, 234: 454, 10: 10, 4: 4, 152: 152}
    assert {one: int(known.mirror[one]) for one in pairs} == pairs
    flipped = known.mean[known.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(flipped, known.mean, atol=1e-5)
    assert float(known.mean[10, 2]) == pytest.approx(float(known.mean[152, 2]), abs=1e-5)
    assert known.mean[10, 1] < known.mean[4, 1] < known.mean[152, 1]  # y is down
    assert known.mean[4, 2] < known.mean[234, 2]  # the nose is nearer than the ears
