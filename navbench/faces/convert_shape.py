"""Makes the shipped mean face from samples of `faces`: python -m navbench.faces.convert_shape."""

import json

import torch
from safetensors.torch import save
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from navbench.faces import mesh, shape
from navbench.faces.framing import PADDING, around, crop, whole
from navbench.faces.geometry import (
    CHIN,
    FOREHEAD,
    LEFT_EYE_CORNERS,
    MOUTH_CORNERS,
    NOSE_BASE,
    RIGHT_EYE_CORNERS,
    aligned,
)
from navbench.faces.regions import LEFT_EYE, LIPS, RIGHT_EYE, inside
from navbench.files import write_atomically
from navbench.generators.dcgan import faces

SAMPLES, SEED = 1000, 0
FLIP = torch.tensor([-1.0, 1.0, 1.0])


def convert() -> None:
    """Write `shape.SHIPPED`."""
    straight, mirrored = _meshes()
    everywhere = torch.ones(mesh.LANDMARKS, dtype=torch.bool)
    mean, other = _mean(straight, everywhere), _mean(mirrored, everywhere)
    mirror = _mirror(mean, other)
    mean = _upright((mean + mean[mirror] * FLIP) / 2)
    rigid = _rigid(mean)
    mean = _mean(torch.cat([straight, mirrored]), rigid, mean)
    mean = _upright((mean + mean[mirror] * FLIP) / 2)
    tensors = {"mean": mean, "mirror": mirror.short(), "rigid": rigid, "skin": _skin(mean)}
    header = {"source": f"samples 0 to {SAMPLES - 1} of seed {SEED} of generator faces", "licence": "MIT"}
    write_atomically(shape.SHIPPED, save(tensors, {"navbench": json.dumps(header)}))


@torch.no_grad()
def _meshes() -> tuple[Tensor, Tensor]:
    """Meshes of the samples and of the mirrored samples in which both looks see a face."""
    network, generator, found = mesh.shipped(), faces().eval(), []
    for start in range(0, SAMPLES, 20):
        images = (generator(generator.sample(range(start, start + 20), SEED)) + 1) / 2
        images = torch.cat([images, images.flip(3)])
        frames = whole(len(images), images.shape[2:], PADDING, images.device)
        frames = around(frames.outward(network(crop(images, frames))[0]))
        landmarks, presence = network(crop(images, frames))
        seen = (presence.view(2, -1) > 0).all(0)
        found.append(frames.outward(landmarks).view(2, -1, mesh.LANDMARKS, 3)[:, seen])
    straight, mirrored = torch.cat(found, dim=1)
    return straight, mirrored


def _mean(meshes: Tensor, rigid: Tensor, start: Tensor | None = None) -> Tensor:
    """The mean of meshes (N, 468, 3) that are laid over it, by their rigid landmarks (generalised Procrustes)."""
    mean = meshes.mean(0) if start is None else start
    for _ in range(8):
        mean = _normalised(mean)
        mean = aligned(meshes, mean, rigid).landmarks.mean(0)
    return _normalised(mean)


def _normalised(mean: Tensor) -> Tensor:
    """The same about its middle, in distances of the eyes."""
    left, right = (mean[list(corners)].mean(0) for corners in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS))
    return (mean - mean.mean(0)) / (left - right).norm()


def _mirror(mean: Tensor, mirrored: Tensor) -> Tensor:
    """Which landmark is where another one is in the mirror, by the means of meshes of images and mirrored images."""
    flipped = mirrored * FLIP  # over the mean, under other numbers
    cost = torch.cdist(mean, flipped).square()
    _, mirror = linear_sum_assignment((cost + cost.T).numpy())
    return torch.from_numpy(mirror)


def _upright(mean: Tensor) -> Tensor:
    """The same turned about the x axis until forehead and chin have the same depth."""
    across = mean[CHIN] - mean[FOREHEAD]
    cos, sin = across[1:] / across[1:].norm()
    y, z = mean[:, 1], mean[:, 2]
    return _normalised(torch.stack([mean[:, 0], cos * y + sin * z, cos * z - sin * y], dim=1))


def _rigid(mean: Tensor) -> Tensor:
    """All that lies well above the mouth's corners."""
    mouth = mean[list(MOUTH_CORNERS), 1].mean()
    return mean[:, 1] < mouth - 0.15 * (mean[CHIN, 1] - mean[FOREHEAD, 1])


def _skin(mean: Tensor) -> Tensor:
    """Between the eyes and the chin, away from features, nostrils and the face's outline, where all faces are bare."""
    x, y, _ = mean.unbind(1)
    below = mean[list(LEFT_EYE + RIGHT_EYE), 1].max()
    features = torch.cdist(mean[:, :2], mean[list(LEFT_EYE + RIGHT_EYE + LIPS), :2]).amin(1) < 0.09
    lips = inside(100 * (mean[None, list(LIPS), :2] + 2), 400, 400)[0]
    within = lips[(100 * (y + 2)).long(), (100 * (x + 2)).long()] > 0
    nostrils = (x.abs() < 0.35) & ((y - mean[NOSE_BASE, 1]).abs() < 0.18)
    return (x.abs() < 0.75) & (y > below) & (y < mean[CHIN, 1] - 0.18) & ~(features | within | nostrils)


if __name__ == "__main__":
    convert()
