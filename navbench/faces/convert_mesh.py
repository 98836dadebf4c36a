"""Makes the shipped face mesh from the published one: python -m navbench.faces.convert_mesh FILE.tflite.

Needs the package `tflite`, which reads the published file; nothing else of navbench does.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from navbench.faces import mesh
from navbench.files import write_atomically


def convert(path: Path) -> None:
    """Write `mesh.SHIPPED` from the published `face_landmark.tflite`, at its own half precision."""
    content = path.read_bytes()
    tensors = dict(_renamed(_half_tensors(content)))
    header = {
        "source": "mediapipe/modules/face_landmark/face_landmark.tflite of the wheel mediapipe==0.10.14",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
    }
    write_atomically(mesh.SHIPPED, save(tensors, {"navbench": json.dumps(header)}))


def _half_tensors(content: bytes) -> dict[str, Tensor]:
    """The float16 tensors of a TensorFlow Lite file, by name."""
    import tflite

    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    found = {}
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        if tensor.Type() == tflite.TensorType.FLOAT16:
            values = np.frombuffer(model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes(), np.float16)
            found[tensor.Name().decode()] = torch.from_numpy(values.copy()).view(*tensor.ShapeAsNumpy().tolist())
    return found


def _renamed(published: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The same under the names of `FaceMesh`, in torch's layout.

    Published layers are numbered by kind, in the order of the modules: the landmarks' head follows the trunk, and the
    presence's head has numbers of its own.
    """
    convolutions = iter([*range(1, 22), *range(28, 32)])
    depthwise = iter([*range(1, 19), *range(23, 25)])
    slopes = iter([*range(1, 21), *range(26, 29)])
    for name, module in mesh.FaceMesh().named_modules():
        if isinstance(module, nn.PReLU):
            yield f"{name}.weight", published[f"p_re_lu_{next(slopes)}/Alpha"].flatten()
        elif isinstance(module, nn.Conv2d) and module.groups > 1:  # published as (1, height, width, channels)
            layer = f"depthwise_conv2d_{next(depthwise)}"
            yield f"{name}.weight", published[f"{layer}/Kernel"].permute(3, 0, 1, 2).contiguous()
            yield f"{name}.bias", published[f"{layer}/Bias"]
        elif isinstance(module, nn.Conv2d):  # published as (outputs, height, width, inputs)
            layer = f"conv2d_{next(convolutions)}"
            yield f"{name}.weight", published[f"{layer}/Kernel"].permute(0, 3, 1, 2).contiguous()
            yield f"{name}.bias", published[f"{layer}/Bias"]


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
