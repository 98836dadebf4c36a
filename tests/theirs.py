"""Files as the paper's authors write them, of a small StyleGAN2, and what their edits are."""

import os

import numpy as np
import pytest
import torch
from analytic import noise, styled

from navbench import navigan
from navbench.errors import NavbenchError
from navbench.spaces import ParameterSpace

GENERATOR = styled(16)
LAYER = GENERATOR.layer("convs.1")  # an 8x8x3x3 kernel; those of convs.0 and convs.2 are 8x16x3x3 and 4x8x3x3
SHAPE = tuple(LAYER.shape)
CODES = GENERATOR.sample(range(3), seed=0)
EYE = torch.eye(8)


def put(path, content):
    torch.save(content, path)
    return path


def put_direction(path, shift, layer_ix=1, **more):
    """A direction's file, the shift with the two leading dimensions that theirs have."""
    return put(path, {"layer_ix": layer_ix, "shift": shift[None, None], **more})


def put_eigenvectors(path, count=4, scales=1.0):
    """Orthonormal eigenvectors, and their file."""
    vectors = torch.linalg.qr(noise(5, GENERATOR.kernel(LAYER).numel(), count))[0].T.reshape(count, *SHAPE)
    put(path, (vectors.flatten(1) * torch.as_tensor(scales).reshape(-1, 1)).reshape(count, 1, *SHAPE))
    return vectors.double().numpy()


def put_checkpoint(path, layer=1, prefix="style_gan2.", **tensors):
    """A checkpoint of a training, with some tensors of its layer."""
    state = {f"{prefix}convs.{layer}.conv.{name}": value for name, value in tensors.items()}
    state |= {f"{prefix}input.input": noise(0, 1, 4, 4, 4), f"{prefix}convs.0.conv.weight": noise(1, 1, 8, 16, 3, 3)}
    return put(path, {"step": 99000, "deformator": {}, "shift_predictor": {"w": noise(2, 3)}, "generator": state})


def decomposed(kernel):
    """The authors' decomposition: axes (k, k, in, out), the first three as one."""
    matrix = kernel.numpy().transpose(2, 3, 1, 0).reshape(-1, len(kernel))
    u, _, vh = np.linalg.svd(matrix, full_matrices=False)
    return torch.from_numpy(u), torch.from_numpy(vh)


def put_svd_checkpoint(path, delta, kernel=None, **changes):
    u, vh = decomposed(GENERATOR.kernel(LAYER) if kernel is None else kernel)
    return put_checkpoint(path, **{"direction_to_eigenvalues_delta": delta, "u": u, "vh": vh} | changes)


def edited(shift, layer="convs.1"):
    """Images of the generator once a shift is added to its raw kernel, by hand."""
    key = f"{layer}.conv.weight"
    kernel = GENERATOR.get_parameter(key) + torch.as_tensor(np.asarray(shift)).float()
    return torch.func.functional_call(GENERATOR, {key: kernel}, (CODES,))


def rendered(found, t):
    """Images of a direction at the shift t."""
    space = found.space_of(GENERATOR)
    assert isinstance(space, ParameterSpace)
    return space.render(space.prepare(CODES), t * found.offset)


def names_in(found):
    """The names of the files that a set is from."""
    return [line.split()[0] for line in found.provenance["files"]]


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found, torch.as_tensor(expected).to(found.dtype), rtol=tolerance, atol=tolerance)


def refused(pattern, *arguments, **options):
    """One sentence, which begins with a file and matches the pattern."""
    with pytest.raises(NavbenchError, match=pattern) as caught:
        navigan.read_sets(*arguments, **{"generator": GENERATOR} | options)
    assert "\n" not in str(caught.value)


class Code:
    """An object whose pickle runs something when it is loaded."""

    def __reduce__(self):
        return os.system, ("echo this must never be printed > executed",)
