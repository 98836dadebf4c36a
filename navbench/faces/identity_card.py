"""How far the embedding `faces` can be trusted, measured on samples of `faces`: python -m navbench.faces.identity_card.

Writes the table of `weights/identity.md`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor

from navbench.faces.card import SEED, Change, batches, enlarged, moved, rewrite
from navbench.faces.identity import SIZE, Identity, faces
from navbench.metrics.damage import damaged

CARD = Path(__file__).parent / "weights" / "identity.md"
ALL_AT_ONCE = "mirrored, shifted, scaled, brighter and with noise"
Embed = Callable[[Tensor], Tensor]


def brighter(images: Tensor, by: float) -> Tensor:
    """Images (N, 3, H, W), [-1, 1], plus a constant."""
    return (images + by).clamp(-1, 1)


def noisy(images: Tensor) -> Tensor:
    """Images with normal noise of a standard deviation of .05, another in each."""
    return damaged(images, ("grain", 0.05 * 255 / 2), range(len(images)), SEED).clamp(-1, 1)


CHANGES: Mapping[str, Change] = {
    "shift by 1 pixel": lambda images: moved(images, right=1),
    "shift by 2 pixels, down": lambda images: moved(images, down=2),
    "shift by 2 pixels, along both axes": lambda images: moved(images, right=2, down=-2),
    "scale .95": lambda images: moved(images, scale=0.95),
    "scale 1.05": lambda images: moved(images, scale=1.05),
    "brighter by .15, in [-1, 1]": lambda images: brighter(images, 0.15),
    "darker by .15": lambda images: brighter(images, -0.15),
    "noise of standard deviation .05": noisy,
    "mirrored": lambda images: images.flip(3),
    "rotated by 5 degrees": lambda images: moved(images, angle=5),
    "enlarged to 256x256": lambda images: enlarged(images, 256),
    ALL_AT_ONCE: lambda images: noisy(brighter(moved(images.flip(3), right=1.5, down=-1, scale=0.95), 0.15)),
}
"""Changes that leave a person who they are."""


def separation(same: Tensor, others: Tensor) -> float:
    """The AUC of similarities of the same person against those of others: 1 if each of the former is greater."""
    labels = torch.cat([torch.ones_like(same), torch.zeros_like(others)])
    return float(roc_auc_score(labels, torch.cat([same, others])))


def between_people(table: Tensor) -> Tensor:
    """The similarities of different people in a symmetric table of all, (N, N)."""
    return table[~torch.eye(len(table), dtype=torch.bool)]


def embed_in_batches(embed: Embed, images: Tensor) -> Tensor:
    """Embeddings of images, 20 at a time."""
    return torch.cat([embed(part) for part in images.split(20)])


@torch.no_grad()
def measure(embedding: Identity) -> str:
    """The measured part of the card, as Markdown."""
    images = torch.cat([images for _, images in batches()])

    def embed(images: Tensor) -> Tensor:
        return F.normalize(embed_in_batches(embedding, images))

    plain = embed(images)
    others = between_people(plain @ plain.T)
    cosines = {name: (plain * embed(change(images))).sum(1) for name, change in CHANGES.items()}
    lines = [
        f"Cosines of all pairs of different samples: {others.mean():z.2f} in the mean, standard deviation "
        f"{others.std():.2f}.\n",
        "| change | cosine, mean | cosine, least | AUC |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {same.mean():.3f} | {same.min():.3f} | {separation(same, others):.5f} |"
        for name, same in cosines.items()
    ]
    together = torch.cat(list(cosines.values()))
    lines.append(
        f"| all of these | {together.mean():.3f} | {together.min():.3f} | {separation(together, others):.5f} |"
    )

    def as_published(images: Tensor) -> Tensor:
        """Of whole images, not of the face that the mesh finds and its mirror image."""
        return embedding.recognition(F.interpolate(images, size=SIZE, mode="bilinear", antialias=True))

    whole = embed_in_batches(as_published, images)
    jittered = embed_in_batches(as_published, CHANGES[ALL_AT_ONCE](images))
    auc = separation(-(whole - jittered).norm(dim=1), -between_people(torch.cdist(whole, whole)))
    lines.append(
        f"\nThe AUC of descriptors as they are published, of whole images and by Euclidean distance, is {auc:.4f} "
        f"where an image is {ALL_AT_ONCE}."
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    text = measure(faces())
    print(text)
    rewrite(CARD, text)


if __name__ == "__main__":
    main()
