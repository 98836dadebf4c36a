"""From pieces to the tidy tables of a run folder: one row per observation, one name per column everywhere."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from navbench.directions import Direction
from navbench.metrics import estimate
from navbench.runner.asymmetry_rows import asymmetry_rows
from navbench.runner.attribute_rows import (
    attribute_rows,
    calibration_rows,
    claim_rows,
    found_rows,
    matched_rows,
    summary,
)
from navbench.runner.curve_rows import curve_rows, support_rows
from navbench.runner.identity import Row, by_name, identities, identity
from navbench.runner.locality_rows import locality_of, locality_rows, region_rows
from navbench.runner.method_rows import method_rows
from navbench.runner.pair_rows import pair_curve_rows, pair_rows
from navbench.runner.photo_rows import photo_attribute_rows, projection_rows
from navbench.runner.quality_rows import confusion_rows, quality_rows, stability_rows
from navbench.runner.ranking_rows import ranking_rows
from navbench.runner.results import Results
from navbench.runner.survey_rows import layer_rows
from navbench.suite import Suite
from navbench.tables import write

SCORES = {
    "rayleigh": "rayleigh",
    "residual": "solver_residual",
    "accuracy": "accuracy",
    "singular_value": "singular_value",
    "variance": "variance",
}


def write_tables(folder: Path, suite: Suite, results: Sequence[Results]) -> None:
    """Write every table that has rows, and remove the files of the others."""
    tables: dict[str, list[Row]] = {
        "curves": [row for result in results for row in curve_rows(suite, result)],
        "attributes": [row for result in results for row in attribute_rows(suite, result, identities(result))],
        "found": [row for result in results for row in found_rows(result)],
        "calibration": [row for result in results for row in calibration_rows(suite, result, identities(result))],
        "matched": [row for result in results for row in matched_rows(suite, result, identities(result))],
        "claims": [row for result in results for row in claim_rows(suite, result)],
        "support": [row for result in results for row in support_rows(suite, result)],
        "asymmetry": [row for result in results for row in asymmetry_rows(suite, result, identities(result))],
        "overlap": [row for result in results for row in overlap_rows(result)],
        "locality": [row for result in results for row in locality_rows(suite, result)],
        "regions": [row for result in results for row in region_rows(result)],
        "reproduction": [row for result in results for row in reproduction_rows(suite, result)],
        "reproduction_steps": [row for result in results for row in step_rows(result)],
        "images": [row for result in results for row in result.pictures],
        "layers": [row for result in results for row in layer_rows(suite, result)],
        "pairs": [row for result in results for row in pair_rows(result)],
        "pair_curves": [row for result in results for row in pair_curve_rows(suite, result)],
        "projection": [row for result in results for row in projection_rows(result)],
        "photo_attributes": [row for result in results for row in photo_attribute_rows(result)],
        "quality": [row for result in results for row in quality_rows(suite, result, identities(result))],
        "confusion": [row for result in results for row in confusion_rows(result)],
        "stability": [row for result in results for row in stability_rows(result)],
        "ranking": [row for result in results for row in ranking_rows(suite, result)],
    }
    tables["directions"] = [row for result in results for row in direction_rows(suite, result, tables)]
    tables["methods"] = method_rows(suite, results, tables["directions"])
    write(folder, tables)


def reproduction_rows(suite: Suite, result: Results) -> Iterator[Row]:
    """Per direction and target space."""
    directions = by_name(result)
    for (name, target), found in result.reproductions.items():
        direction = directions[name]
        residual = estimate.ratio(found.errors, found.sizes)
        yield {
            **identity(direction),
            "t": direction.t_max,
            "target": target,
            "steps": len(found.steps) - 1,
            "n_train": suite.reproduction.codes,
            "n": residual.n,
            "residual": residual.value,
            "residual_stderr": residual.stderr,
            "residual_train": float(found.steps[-1]),
            "perceptual": float(found.perceptual.double().mean()),
            "perceptual_edit": float(found.perceptual_sizes.double().mean()),
            "distance": suite.distance,
        }


def step_rows(result: Results) -> Iterator[Row]:
    """Per direction, target space and step of the search."""
    directions = by_name(result)
    for (name, target), found in result.reproductions.items():
        direction = directions[name]
        for step, residual in enumerate(found.steps.tolist()):
            yield {
                **identity(direction),
                "t": direction.t_max,
                "target": target,
                "step": step,
                "residual_train": residual,
            }


def overlap_rows(result: Results) -> Iterator[Row]:
    """Per layer or latent space and pair of methods: how much of what the one spans lies in what the other does."""
    sets = {found.reference: found for found in result.plan.sets}
    for (reference, against), both in result.overlaps.items():
        found, other = sets[reference], sets[against]
        yield {
            "generator": found.generator,
            "layer": found.place,
            "space": found.space,
            "method": found.method,
            "other": other.method,
            "share": both.share,
            "chance": both.chance,
            "rank": both.rank,
            "other_rank": both.other_rank,
            "largest_cosine": float(both.cosines.max()),
        }


def measured_names(result: Results) -> set[str]:
    """The directions of which there is a curve, a heatmap, an imitation or a picture."""
    reproduced = {name for name, _ in result.reproductions}
    return {*result.curves, *result.heats, *reproduced, *(row["name"] for row in result.pictures)} - {""}


def score_columns(direction: Direction) -> Row:
    """What its method knows of a direction, under names that no other column has."""
    return {SCORES.get(name, f"score_{name}"): value for name, value in direction.scores.items()}


def direction_rows(suite: Suite, result: Results, tables: dict[str, list[Row]]) -> Iterator[Row]:
    """Per direction, every summary number: its effects, and of those measured the ends of its curve, and so on."""
    measured = measured_names(result)
    curves = {(row["name"], row["metric"], row["t"]): row for row in tables["curves"]}
    for direction in result.plan.all_directions():
        if direction.name not in result.effects:
            continue
        low, high = (estimate.mean(end) for end in result.effects[direction.name])
        row = {
            **identity(direction),
            "t_min": direction.t_min,
            "t_max": direction.t_max,
            "effect_min": low.value,
            "effect_min_stderr": low.stderr,
            "effect_max": high.value,
            "effect_max_stderr": high.stderr,
            "distance": suite.distance,
            "n_effect": low.n,
            **summary(result, direction.name),
            **score_columns(direction),
            "measured": direction.name in measured,
        }
        if direction.name in result.curves:
            row |= _curve_ends(direction, result, curves)
        if direction.name in result.heats:
            for metric, value in locality_of(result, direction.name).items():
                row |= {metric: value.value, f"{metric}_stderr": value.stderr}
        yield row | _residuals(direction, result)


def _residuals(direction: Direction, result: Results) -> Row:
    """Per kind of imitating space the residual; of several layers, the smallest."""
    row: Row = {}
    for (name, target), found in result.reproductions.items():
        if name == direction.name:
            residual, column = estimate.ratio(found.errors, found.sizes), f"residual_{target.partition(' ')[0]}"
            if column not in row or residual.value < row[column]:
                row |= {column: residual.value, f"{column}_stderr": residual.stderr, "n_reproduction": residual.n}
    return row


def _curve_ends(direction: Direction, result: Results, curves: dict[tuple[str, str, float], Row]) -> Row:
    """The distances at t_min, 0 and t_max."""
    ends: Row = {}
    for end, t in (("at_min", direction.t_min), ("floor", 0.0), ("at_max", direction.t_max)):
        for short, metric in (("fd", result.metric), ("kid", "KID")):
            row = curves[direction.name, metric, t]
            ends |= {f"{short}_{end}": row["value"], f"{short}_{end}_stderr": row["stderr"]}
            ends |= {key: row[key] for key in ("extractor", "reference", "n", "n_reference", "resolution")}
    return ends | {"metric": result.metric}
