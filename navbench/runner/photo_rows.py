"""The tables of photos: how well each was projected, and what edits of it did to its attributes."""

from collections.abc import Iterator

from navbench.runner.identity import Row, identity
from navbench.runner.results import Results


def projection_rows(result: Results) -> Iterator[Row]:
    """Per photo and space that it was projected into."""
    for each in result.projected:
        piece = each.projection
        yield {
            "generator": result.generator.name,
            "photo": each.photo.name,
            "source": each.photo.source,
            "cropped": each.photo.cropped,
            "space": each.space,
            "layer": each.layer,
            "steps": each.steps,
            "distance": each.distance,
            "perceptual_start": float(piece.distances[0]),
            "perceptual": float(piece.distances[1]),
            "psnr_db": piece.psnr,
            "mse_start": float(piece.errors[0]),
            "mse": float(piece.errors[1]),
            "seconds": float(piece.seconds),
        }


def photo_attribute_rows(result: Results) -> Iterator[Row]:
    """Per direction, photo, attribute and shift: what a scorer reads of the edit, of the photo, and what is true."""
    if result.scorer is None:
        return
    for edited in result.edited:
        for photo, scores in zip(edited.photos, edited.scores, strict=True):
            for index, attribute in enumerate(result.scorer.attributes):
                for t, value in zip(edited.shifts, scores[1:, index].tolist(), strict=True):
                    yield {
                        **identity(edited.direction),
                        "photo": photo.name,
                        "projected_into": edited.space,
                        "attribute": attribute.name,
                        "unit": attribute.unit,
                        "t": t,
                        "value": value,
                        "photo_value": float(scores[0, index]),
                        "true_value": photo.truth.get(attribute.name),
                    }
