"""A synthetic run folder with known numbers: what the runner writes, made without a generator."""

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ATTRIBUTES = ("wheel radius", "body hue", "horizon")
CAR_SETS = (("convs.3", "parameter", ("svd", "hybrid")), ("w", "w", ("ganspace", "random")))
METHODS = ("svd", "optimization", "spectrum", "hybrid")
COST = {"svd": 26.0, "optimization": 15.0, "spectrum": 11.5, "hybrid": 11.0, "ganspace": 6.0, "random": 9.0}
REACH = {"svd": 31.0, "optimization": 24.0, "spectrum": 9.6, "hybrid": 12.1, "ganspace": 3.0, "random": 4.0}
LIMIT_SHARES = {
    "svd": (0.4, 0.5), "optimization": (0.6, 0.6), "spectrum": (0.8, 0.9), "hybrid": (None, 0.9),
    "ganspace": (0.7, 0.5), "random": (0.5, 0.5),
}  # fmt: skip
"""Of each method, the shares of both ends of the range at which realism breaks; `None` if it lies beyond."""
TARGET, FLOOR, SIZE = 0.12, 18.4, 64
LABELS = {("hybrid", 0): "opens the mouth", ("hybrid", 1): "longer face", ("spectrum", 0): "hair volume"}


def face(rng: np.random.Generator, t: float, kind: int, size: int) -> np.ndarray:
    """A drawing of a face, (size, size, 3) in [0, 1], that one of three edits moves."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    skin, hair, back = (
        rng.uniform([0.55, 0.4, 0.3], [0.95, 0.7, 0.6]),
        rng.uniform(0, 0.35, 3),
        rng.uniform(0, 1, 3),
    )
    wide, tall = 0.52 + 0.1 * t * (kind == 1), 0.72 - 0.08 * t * (kind == 1)
    picture = back * (0.7 + 0.2 * y[..., None])

    def paint(where: np.ndarray, colour: np.ndarray) -> None:
        cover = 1 / (1 + np.exp(np.clip(where * 40, -50, 50)))[..., None]
        picture[:] = picture * (1 - cover) + colour * cover

    paint(((x / (wide + 0.14 + 0.1 * t * (kind == 2))) ** 2 + ((y + 0.12) / (tall + 0.1)) ** 2) - 1, hair)
    paint(((x / wide) ** 2 + ((y - 0.05) / tall) ** 2) - 1, skin)
    for side in (-0.2, 0.2):
        paint((((x - side) / 0.08) ** 2 + ((y + 0.1) / 0.05) ** 2) - 1, np.full(3, 0.08))
    paint(
        ((x / 0.2) ** 2 + ((y - 0.4) / (0.05 + 0.05 * max(t, -0.7) * (kind == 0))) ** 2) - 1,
        np.array([0.6, 0.2, 0.2]),
    )
    return np.clip(picture + rng.normal(0, 0.015, picture.shape), 0, 1)


def ranked(a: dict, b: dict, *, decided: bool, status: str = "") -> dict:
    """A row of ranking.csv: two methods by KID."""
    difference = a["kid_mean"] - b["kid_mean"]
    return {
        **{key: a[key] for key in ("generator", "layer", "extractor", "reference")},
        "metric": "KID",
        "method": a["method"],
        "against": b["method"],
        "directions": 12,
        "directions_against": 12,
        "n": 64,
        "value": a["kid_mean"],
        "value_against": b["kid_mean"],
        "difference": difference,
        "stderr": 1e-4,
        "p": 0.001 if decided else 0.4,
        "lower": (a if difference < 0 else b)["method"] if decided else "",
        "status": status,
    }


class RunBuilder:
    """Writes one run folder; the tables stay at hand as lists of rows until `write`."""

    def __init__(self, layers: tuple[str, ...], measured: int, found: int, size: int, extractor: str) -> None:
        self.layers, self.measured, self.found, self.size = layers, measured, found, size
        self.setting = {
            "metric": "FID" if extractor == "inception-v3-compat" else "FD",
            "extractor": extractor,
            "reference": "generator at t = 0",
            "n": 2000,
        }
        self.rng = np.random.default_rng(0)
        self.tables: dict[str, list[dict]] = {name: [] for name in TABLES}
        self.generator, self.space = "faces", ""
        for depth, layer in enumerate(layers):
            self.tables["layers"].append(layer_row(layer, depth))
            for method in METHODS:
                self._method(layer, depth, method)

    def rank(self) -> None:
        """Compare the methods of each place by KID, as if a difference of 1.6 of the Fréchet distance were decided."""
        self.tables["ranking"], self.tables["equal"] = [], []
        for a, b in combinations(self.tables["methods"], 2):
            if (a["generator"], a["layer"]) == (b["generator"], b["layer"]) and not np.isnan(a["fd_mean"]):
                self.tables["ranking"].append(ranked(a, b, decided=abs(a["fd_mean"] - b["fd_mean"]) > 1.6))
        means = {(row["generator"], row["method"], row["layer"]): row["kid_mean"] for row in self.tables["methods"]}
        for row in self.tables["directions"]:
            mean = means[row["generator"], row["method"], row["layer"]]
            who = {key: row[key] for key in ("generator", "method", "layer", "space", "direction", "name", "label")}
            value = {"value": mean * (1 + 0.1 * row["direction"]), "stderr": 9e-5, "n": 64, "reached": True}
            self.tables["equal"].append({**who, **self.setting, "metric": "KID", "effect": TARGET, **value})

    def _method(self, layer: str, depth: int, method: str) -> None:
        rows = [self._direction(layer, depth, method, index) for index in range(self.found)]
        ends = [row[end] for row in rows if row["measured"] for end in ("fd_at_min", "fd_at_max")]
        self.tables["methods"].append(
            {
                "generator": self.generator,
                "layer": layer,
                "space": self.space,
                "method": method,
                "directions": self.found,
                "curves": self.measured,
                "fd_mean": np.mean(ends) if ends else np.nan,
                "fd_mean_stderr": 0.42,
                "fd_directions": self.measured,
                "kid_mean": (np.mean(ends) - FLOOR) / 9e3 if ends else np.nan,
                "kid_mean_stderr": 9e-5,
                "kid_mean_stderr_codes": 6e-5,
                "kid_directions": self.found if ends else np.nan,
                "kid_floor": -1e-5,
                "kid_floor_stderr": 9e-5,
                "n_kid": 64,
                "n_reference_kid": 2000,
                "effect": TARGET,
                "effect_target": TARGET,
                "accuracy": 0.83 if method in ("optimization", "hybrid") else np.nan,
                "area50_mean": 0.14,
                "unexplained_fraction_z_mean": 0.91,
                "unexplained_fraction_activation_mean": 0.62,
                **self.setting,
            }
        )

    def _direction(self, layer: str, depth: int, method: str, index: int) -> dict:
        reach = REACH[method] * (1 + index / 7)
        who = {"generator": self.generator, "method": method, "layer": layer, "direction": index}
        who |= {"name": f"{self.generator}/{method}/{layer}/{index}", "space": self.space}
        who |= {"label": LABELS.get((method, index), "") if self.generator == "faces" else ""}
        row = {
            **who,
            "t_min": -reach,
            "t_max": reach * 0.9,
            "measured": index < self.measured,
            **self.setting,
        }
        row |= {"effect_min": TARGET, "effect_max": TARGET * 1.01, "effect_min_stderr": 0.0021}
        row |= {"effect_max_stderr": 0.0024, "distance": "stlpips-alex", "n_effect": 256}
        spectral = method == "spectrum"
        row |= {"rayleigh": 3.1e-4 / (index + 1) if spectral else np.nan}
        row |= {"solver_residual": 0.0713 * (index + 1) if spectral else np.nan}
        if index < self.measured:
            row |= self._measure(who, row, depth)
        self.tables["directions"].append(row)
        return row

    def _measure(self, who: dict, row: dict, depth: int) -> dict:
        cost = COST[who["method"]] * self.rng.uniform(0.93, 1.07) * (1 + 0.25 * depth)
        kept = {"fd_floor": FLOOR, "fd_floor_stderr": 0.31, "kid_floor": -1e-5, "kid_floor_stderr": 9e-5}
        beside = {"n_reference": 2000, "resolution": self.size}
        kept |= beside
        for share in np.linspace(-1, 1, 9):
            t = -row["t_min"] * share if share < 0 else row["t_max"] * share
            rise = abs(share) ** 1.7 * cost * (1.2 if share < 0 else 0.9)
            point = {**who, "t": t, "effect": TARGET * share**2, "effect_stderr": 0.002, **self.setting}
            point |= {"distance": "stlpips-alex", "n_effect": 256, "precision": "float32", **beside}
            fd = {"value": FLOOR + rise, "stderr": 0.3 + 0.02 * rise}
            kid = {"metric": "KID", "value": rise / 9e3 - 1e-5, "stderr": 9e-5 + rise / 2e5}
            self.tables["curves"] += [{**point, **fd}, {**point, **kid}]
            for end in {-1.0: ["min"], 1.0: ["max"]}.get(float(share), []):
                kept |= {f"fd_at_{end}": fd["value"], f"fd_at_{end}_stderr": fd["stderr"]}
                kept |= {f"kid_at_{end}": kid["value"], f"kid_at_{end}_stderr": kid["stderr"]}
        kept |= self._locality(who, row) | self._reproduction(who, row)
        return kept

    def _locality(self, who: dict, row: dict) -> dict:
        area = float(self.rng.uniform(0.07, 0.24))
        values = {"area50": area, "area90": area * 3.1, "participation": area * 1.7, "mean_change": 0.021}
        values |= {"entropy_area": area * 2.3}
        at = {"t_min": row["t_min"], "t_max": row["t_max"], "shifts": 20, "n": 1600}
        self.tables["locality"] += [
            {**who, **at, "metric": metric, "value": value, "stderr": value / 30} for metric, value in values.items()
        ]
        return values | {f"{metric}_stderr": value / 30 for metric, value in values.items()}

    def _reproduction(self, who: dict, row: dict) -> dict:
        kept = {"n_reproduction": 256}
        of_kernel = (("z", 0.92), (f"activation {who['layer']}", 0.61))
        of_latent = (("parameter convs.3", 0.55), ("parameter convs.5", 0.75))
        for target, level in of_latent if self.space == "w" else of_kernel:
            value = level + float(self.rng.normal(0, 0.03))
            at = {**who, "t": row["t_max"], "target": target}
            self.tables["reproduction"].append(
                {
                    **at,
                    "steps": 300,
                    "n_train": 256,
                    "n": 256,
                    "unexplained_fraction": value,
                    "unexplained_fraction_stderr": 0.012,
                    "unexplained_fraction_train": value - 0.02,
                    "perceptual": 0.093,
                    "perceptual_edit": 0.12,
                    "distance": "stlpips-alex",
                }
            )
            for step in range(0, 301, 10):
                fallen = value - 0.02 + (1 - value + 0.02) * np.exp(-step / 60)
                self.tables["reproduction_steps"].append({**at, "step": step, "unexplained_fraction_train": fallen})
            column = f"unexplained_fraction_{target.split()[0]}"
            kept |= {column: min(value, kept.get(column, value)), f"{column}_stderr": 0.012}
        return kept

    def add_cars(self, attributes: tuple[str, ...] = ATTRIBUTES) -> "RunBuilder":
        """A second generator with latent directions, measured against another reference, and what was read of it."""
        self.generator, faces = "cars", self.setting
        self.setting = faces | {"reference": "renderings", "n": 4000}
        for depth, (layer, space, methods) in enumerate(CAR_SETS):
            self.space = space
            for method in methods:
                self._method(layer, depth, method)
        self.generator, self.space, self.setting = "faces", "", faces
        for name, rows in attribute_tables(self.tables, attributes).items():
            self.tables[name] = rows
        return self

    def add_limits(self) -> "RunBuilder":
        """How far each direction goes before realism breaks, and the KID at the ends of those without a curve."""
        self.tables |= {"limits": [], "ends": []}
        for row in self.tables["directions"]:
            who = {key: row[key] for key in ("generator", "method", "layer", "space", "direction", "name", "label")}
            at = {**who, **{key: row[key] for key in self.setting}, "metric": "KID", "n_reference": 2000}
            row["n_limit"] = row["n"] if row["measured"] else 32
            for end, share in zip(("min", "max"), LIMIT_SHARES[row["method"]], strict=True):
                self.tables["limits"].append(limit_row(at | {"n": row["n_limit"]}, row, end, share))
            if not row["measured"]:
                self.tables["ends"] += [end_row(at, row, share) for share in (-1, -0.5, 0.5, 1)]
        return self

    def write(self, run: Path, without: tuple[str, ...] = (), **manifest: object) -> Path:
        """Write the folder, but for the named tables, with other entries of the manifest."""
        for folder in ("tables", "figures", "strips"):
            (run / folder).mkdir(parents=True, exist_ok=True)
        self.rank()
        if "images" not in without:
            self._images(run)
        for name, rows in self.tables.items():
            if name not in without:
                pd.DataFrame(rows).to_csv(run / "tables" / f"{name}.csv", index=False)
        (run / "suite.toml").write_text('name = "quick"\nseed = 0\n\n[[generators]]\nname = "faces"\n')
        (run / "manifest.json").write_text(json.dumps(make_manifest(self) | manifest))
        return run

    def _images(self, run: Path) -> None:
        self.tables["images"] = []
        for place, row in enumerate(self.tables["directions"]):
            slug, kind = row["name"].replace("/", "-"), place % 3
            who = {key: row[key] for key in ("generator", "method", "layer", "direction", "name", "label")}
            best = "best parameter" if row["space"] == "w" else "best activation"
            shares = np.linspace(-1, 1, 7)
            shifts = [f"{-row['t_min'] * share if share < 0 else row['t_max'] * share:.1f}" for share in shares]
            strip = self._sheet([[(code, share, kind) for share in shares] for code in range(4)])
            same = [[(code, share, kind) for share in (0, 1, 0.1, 0.4)] for code in range(3)]
            frames = [self._sheet([[(code, share, kind) for code in range(4)]]) for share in np.linspace(-1, 1, 8)]
            for name, sheet, rows, columns in (
                ("strip", strip, 4, shifts),
                ("reproduction", self._sheet(same), 3, ["original", "edit", "best z", best]),
                ("animation", frames[0], 1, []),
            ):
                if name != "strip" and not row["measured"]:
                    continue
                file = f"strips/{name}-{slug}.webp"
                more = {"save_all": True, "append_images": frames[1:], "duration": 90, "loop": 0}
                sheet.save(run / file, quality=85, **(more if name == "animation" else {}))
                entry = {**who, "kind": name, "file": file, "rows": rows, "columns": json.dumps(columns)}
                self.tables["images"].append(entry)
            if row["measured"]:
                self._heatmap(run / "figures" / f"heatmap-{slug}.npz", kind)
        self._sheet([[(row * 8 + place, 0, 0) for place in range(8)] for row in range(2)]).save(
            run / "strips/samples.webp"
        )
        entry = dict.fromkeys(("method", "layer", "direction", "name", "label"), "")
        entry |= {
            "generator": "faces",
            "kind": "samples",
            "file": "strips/samples.webp",
            "rows": 2,
            "columns": "[]",
        }
        self.tables["images"].append(entry)

    def _sheet(self, cells: list[list[tuple[int, float, int]]]) -> Image.Image:
        rows = [
            np.concatenate([face(np.random.default_rng(code), t, kind, self.size) for code, t, kind in row], axis=1)
            for row in cells
        ]
        return Image.fromarray(np.round(np.concatenate(rows) * 255).astype(np.uint8))

    def _heatmap(self, path: Path, kind: int) -> None:
        pairs = [[face(np.random.default_rng(code), t, kind, self.size) for t in (0, 1)] for code in range(12)]
        change = np.mean([((b - a) ** 2).sum(-1) * 4 for a, b in pairs], axis=0)
        mean = np.mean([a for a, _ in pairs], axis=0).transpose(2, 0, 1) * 2 - 1
        np.savez(path, heatmap=change.astype(np.float32), mean_image=mean.astype(np.float32))


def limit_row(at: dict, row: dict, end: str, share: float | None) -> dict:
    """One row of limits.csv; the row of the direction grows the columns of that end."""
    limit = np.nan if share is None else share * row[f"t_{end}"]
    status = "beyond" if share is None else "within"
    row |= {f"limit_{end}": limit, f"limit_{end}_stderr": abs(limit) * 0.05, f"limit_{end}_status": status}
    made = {**at, "end": f"t_{end}", "t_end": row[f"t_{end}"], "limit": limit, "limit_stderr": abs(limit) * 0.05}
    made |= {
        "status": status,
        "shown": row[f"t_{end}"] if share is None else 0.9 * limit,
        "rise": 0.002,
        "rise_stderr": 1e-4,
        "amount": 0.001,
        "amount_stderr": 5e-5,
    }
    return made | {"damage": "grain", "strength": 12.0, "unit": "standard deviation, grey levels"}


def end_row(at: dict, row: dict, share: float) -> dict:
    """One row of ends.csv: the KID on few codes."""
    t = -row["t_min"] * share if share < 0 else row["t_max"] * share
    value = share**2 * COST[row["method"]] / 9e3
    made = {**at, "t": t, "effect": TARGET * share**2, "effect_stderr": 0.002, "distance": "stlpips-alex"}
    return made | {"n": 32, "resolution": SIZE, "value": value, "stderr": 4e-4}


def attribute_tables(tables: dict[str, list[dict]], attributes: tuple[str, ...]) -> dict[str, list[dict]]:
    """The tables that a scorer of the cars adds, with known numbers; the directions' and methods' rows grow columns.

    Direction 0 of each set but `random` is of the first attribute, direction 1 is entangled, others are of none.
    """
    made: dict[str, list[dict]] = {name: [] for name in ("attributes", "found", "calibration", "matched", "claims")}
    cars = [row for row in tables["directions"] if row["generator"] == "cars"]
    for row in cars:
        who = {key: row[key] for key in ("generator", "method", "layer", "space", "direction", "name", "label")}
        own = row["direction"] == 0 and row["method"] != "random"
        verdict = "interpretable" if own else "entangled" if row["direction"] == 1 else "none"
        share = SHARES[row["method"]] if own else 0.3
        row |= {"verdict": verdict, "attribute": "" if verdict == "none" else attributes[0], "monotonicity": 0.97}
        row |= {"auto_label": f"{attributes[0]} +" if own else "", "attribute_change": 1.8 if own else np.nan}
        row |= {"attribute_change_stderr": 0.05, "attribute_share": share, "attribute_dependency": 1 - share}
        for place, attribute in enumerate(attributes):
            change = (2.1 if own else 0.7) * (-1) ** row["direction"] * (1 if place == 0 else -0.2)
            numbers = {"spread": 0.9, "change": change * 0.9, "change_stderr": 0.03, "standardised": change}
            numbers |= {"standardised_per_effect": change / 0.24, "magnitude": abs(change), "share": share}
            numbers |= {"consistency": 0.93, "monotonicity": 0.97, "n": 256, "shifts": 5}
            made["attributes"].append({**who, "attribute": attribute, "unit": "px", "scorer": "cars", **numbers})
        for end, t in (("t_min", row["t_min"]), ("t_max", row["t_max"])):
            missed = row["method"] == "random" and end == "t_min"
            reached = {"t": t, "reached": 0.07 if missed else 0.12, "is_reached": not missed, "n": 256}
            made["calibration"].append({**who, "end": end, "quantity": "effect", "target": 0.12, **reached})
        if own:
            found = {key: who[key] for key in ("generator", "method", "layer", "direction", "name")}
            found |= {"attribute": attributes[0], "share": share, "best": share == max(SHARES.values())}
            made["found"].append(found)
        if row["direction"] == 0:
            made["matched"] += matched_ends(who, attributes[0])
    made["claims"] = [claim(*outcome, attributes[0]) for outcome in OUTCOMES]
    for row in tables["methods"]:
        if row["generator"] == "cars":
            some = row["method"] != "random"
            row |= {"interpretable": int(some), "entangled": 1, "attributes_found": int(some), "dependency_mean": 0.41}
    return made


def matched_ends(who: dict, attribute: str) -> list[dict]:
    """Both ends of a set's best direction at a change of 1; `random` does not reach the one to less."""
    rows = []
    for side, t in (("-", -2.5), ("+", 2.5)):
        missed = who["method"] == "random" and side == "-"
        at = {**who, "attribute": attribute, "target": 1.0, "side": side, "t": t, "is_reached": not missed}
        at |= {"reached": -0.41 if missed else float(f"{side}1"), "effect": 0.1, "extractor": "efficientnet-lite0"}
        at |= {"reference": "renderings", "n": 4000, "n_reference": 4000}
        cost = 20 + COST[who["method"]]
        rows.append({**at, "metric": "FD", "value": cost, "stderr": 0.8})
        rows.append({**at, "metric": "KID", "value": cost / 9e3, "stderr": 1e-4})
    return rows


def claim(claim: str, method: str, against: str, layer: str, difference: float, holds: str, attribute: str) -> dict:
    """One row of claims.csv."""
    row = {"generator": "cars", "claim": claim, "layer": layer, "method": method, "against": against}
    row |= {"attribute": attribute, "change": 1.0, "metric": "FD", "extractor": "efficientnet-lite0"}
    return row | {"reference": "renderings", "n": 4000, "difference": difference, "stderr": 1.0, "holds": holds}


SHARES = {"svd": 0.62, "hybrid": 0.81, "ganspace": 0.74}
FASTER, LESS = "svd loses realism faster", "less costs more than more"
OUTCOMES = (
    (FASTER, "svd", "hybrid", "convs.3", 12.1, "yes"),
    (FASTER, "svd", "spectrum", "convs.3", -3.4, "no"),
    (FASTER, "svd", "optimization", "convs.3", -7.5, "no"),
    (FASTER, "svd", "random", "convs.3", 0.6, "undecided"),
    (LESS, "svd", "", "convs.3", 5.0, "yes"),
    (LESS, "hybrid", "", "convs.3", 6.0, "yes"),
    (LESS, "ganspace", "", "w", -4.2, "no"),
)

TABLES = ("directions", "methods", "curves", "locality", "reproduction", "reproduction_steps", "layers")


def layer_row(layer: str, depth: int) -> dict:
    """One row of layers.csv."""
    row = {"generator": "faces", "layer": layer, "index": depth, "shape": "256x128x4x4", "parameters": 524288}
    return {**row, "input_size": 8 * 2**depth, "directions": 48}


def make_manifest(builder: RunBuilder) -> dict:
    """What the runner says about a run."""
    return {
        "navbench": "0.1.0",
        "complete": True,
        "suite": "quick",
        "suite_sha256": "ab" * 32,
        "seed": 0,
        "started": "2025-03-01T09:00:00+00:00",
        "finished": "2025-03-01T09:31:00+00:00",
        "seconds": 1860.0,
        "device": "cpu",
        "processor": "8 cores",
        "precision": "float32",
        "versions": {"python": "3.11.9", "torch": "2.6.0", "navbench": "0.1.0"},
        "generators": {
            "faces": {
                "description": "DCGAN of 64x64 faces",
                "weights_sha256": "0c3b" * 16,
                "resolution": 64,
                "latent_dim": 100,
                "parameters": 3576704,
                "layers": [],
            }
        },
        "direction_sets": [
            {
                "set_id": f"faces/{method}/{layer}",
                "sha256": "cd" * 32,
                "directions": builder.found,
                "settings": {"steps": 400, "batch": 32},
                "provenance": {"seconds": 340.0 if method == "hybrid" else 41.0, "device": "cpu"},
            }
            for layer in builder.layers
            for method in METHODS
        ],
        "extractor": builder.setting["extractor"],
        "distance": "stlpips-alex",
        "reference": builder.setting["reference"],
        "samples": {"curve": 2000, "effect": 256, "locality": 1600, "reproduction": 256},
        "stages": [
            {"stage": "discover", "seconds": 1100.0, "peak_memory_mib": 2410.0, "cached": False},
            {"stage": "curves", "seconds": 540.0, "peak_memory_mib": 1900.5, "cached": True},
        ],
        "shown_by": "the middle of each of as many groups as there are rows",
        "shown_codes": {"faces": [3, 17, 40, 58]},
        "warnings": [],
        "left_out": ["real images: no projector for faces"],
    }


@pytest.fixture(scope="session")
def make_builder() -> Callable[..., RunBuilder]:
    """A builder of small run folders: one layer and two directions per method, unless told otherwise."""

    def build(
        layers: tuple[str, ...] = ("main.6",),
        measured: int = 1,
        found: int = 2,
        size: int = 16,
        extractor: str = "efficientnet-lite0",
    ) -> RunBuilder:
        return RunBuilder(layers, measured, found, size, extractor)

    return build


@pytest.fixture(scope="session")
def explorer_data() -> Callable[[str], dict]:
    """A function from a page's HTML to the data of its explorer, as a browser finds it."""

    def parse(page: str) -> dict:
        opening = '<script type="application/json" id="explorer-data">'
        start = page.index(opening) + len(opening)
        return json.loads(page[start : page.index("</script>", start)])

    return parse


@pytest.fixture(scope="session")
def without_scripts() -> Callable[[str], str]:
    """A function from a page's HTML to what of it is neither a script, its data, nor the style."""
    return lambda page: re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
