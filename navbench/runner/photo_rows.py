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
            "pixel_weight": each.pixel_weight,
            "perceptual_start": float(piece.distances[0]),
            "perceptual": float(piece.distances[1]),
            "psnr_db": piece.psnr,
            "mse_start": float(piece.errors[0]),
            "mse": float(piece.errors[1]),
            "seconds": float(piece.seconds),
        }


def photo_attribute_rows(result: Results) -> Iterator[Row]:
    """Per direction, photo, attribute and shift: what a scorer reads of the edit, of the photo, and what is true.

    `change` is that from t = 0, and `error` what the reading is off the truth by; both the shortest way round a circle.
    """
    if result.scorer is None:
        return
    for edited in result.edited:
        along = edited.scores[:, 1:].transpose(0, 1)  # (T, P, A)
        zero = edited.shifts.index(0.0)
        for place, photo in enumerate(edited.photos):
            for index, attribute in enumerate(result.scorer.attributes):
                true = photo.truth.get(attribute.name)
                unedited = float(along[zero, place, index])
                for step, t in enumerate(edited.shifts):
                    value = float(along[step, place, index])
                    yield {
                        **identity(edited.direction),
                        "photo": photo.name,
                        "projected_into": edited.space,
                        "attribute": attribute.name,
                        "unit": attribute.unit,
                        "t": t,
                        "value": value,
                        "change": attribute.shortest(value - unedited),
                        "photo_value": float(edited.scores[place, 0, index]),
                        "true_value": true,
                        "error": None if true is None else attribute.shortest(value - true),
                    }
