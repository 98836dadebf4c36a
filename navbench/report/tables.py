"""The tables of a run folder: read, checked, and typed; whatever is wrong names the file and the column."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from navbench.errors import NavbenchError
from navbench.report.numbers import FID_EXTRACTOR, place, short_place

WHO = ("generator", "method", "layer", "direction", "name", "label")
SETTING = ("metric", "extractor", "reference")
_OTHER = ("other", "other_method", "other_layer", "other_space", "other_end")
RESIDUALS = ("z", "w", "w+", "activation", "parameter")
"""The kinds of spaces in which imitations may be sought."""


@dataclass(frozen=True)
class Schema:
    """The columns of one table: those of text, those of numbers, and numbers that a run may leave out."""

    text: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    maybe_text: tuple[str, ...] = ()
    required: bool = False


def _with_stderr(*names: str) -> tuple[str, ...]:
    return tuple(column for name in names for column in (name, f"{name}_stderr"))


SCHEMAS = {
    "directions": Schema(
        text=(*WHO, "measured"),
        numbers=("t_min", "t_max"),
        maybe=(
            *_with_stderr("effect_min", "effect_max", "fd_floor", "fd_at_min", "fd_at_max"),
            *_with_stderr("kid_floor", "kid_at_min", "kid_at_max"),
            *_with_stderr("area50", "area90", "participation", "entropy_area", "mean_change"),
            *_with_stderr(*(f"residual_{kind}" for kind in RESIDUALS)),
            *_with_stderr("attribute_change"),
            *("attribute_share", "monotonicity", "attribute_dependency"),
            *("rayleigh", "solver_residual", "accuracy", "singular_value", "variance"),
            *("n", "n_reference", "n_effect", "n_reproduction"),
        ),
        maybe_text=(*SETTING, "distance", "space", "verdict", "attribute", "auto_label", "resolution"),
        required=True,
    ),
    "methods": Schema(
        text=("generator", "layer", "method"),
        numbers=("directions", "curves"),
        maybe=(
            *_with_stderr("fd_mean", "kid_mean"),
            *("effect_target", "accuracy", "n", "n_reference", "fd_rank_best", "fd_rank_worst"),
            *("area50_mean", *(f"residual_{kind}_mean" for kind in RESIDUALS)),
            *("interpretable", "entangled", "attributes_found", "dependency_mean"),
        ),
        maybe_text=(*SETTING, "space"),
        required=True,
    ),
    "curves": Schema(
        text=(*WHO, *SETTING),
        numbers=("t", "value", "stderr", "n"),
        maybe=(*_with_stderr("effect"), "n_effect", "n_reference"),
        maybe_text=("distance", "precision", "space", "resolution"),
    ),
    "support": Schema(
        text=(*WHO, *SETTING),
        numbers=("t", "value", "stderr", "n"),
        maybe=("effect", "n_reference", "neighbours"),
        maybe_text=("distance", "space"),
    ),
    "regions": Schema(
        text=(*WHO, "region", "segmentation"),
        numbers=("share", "share_stderr", "area", "n"),
        maybe=("area_stderr",),
        maybe_text=("space",),
    ),
    "overlap": Schema(
        text=("generator", "layer", "method", "other"),
        numbers=("share", "chance", "rank", "other_rank"),
        maybe=("largest_cosine",),
        maybe_text=("space",),
    ),
    "asymmetry": Schema(
        text=(*WHO, *SETTING, "dearer"),
        numbers=("effect_min", "effect_max", "value_min", "value_max", "difference", "stderr", "n"),
        maybe=(*_with_stderr("beyond_min", "beyond_max"), "level_min", "level_zero", "level_max", "n_reference"),
        maybe_text=("space", "attribute", "unit", "rarer"),
    ),
    "attributes": Schema(
        text=(*WHO, "attribute"),
        numbers=("change", "standardised", "share"),
        maybe=(
            *("spread", "change_stderr", "standardised_per_effect", "magnitude"),
            *("consistency", "monotonicity", "n", "shifts"),
        ),
        maybe_text=("space", "unit", "scorer"),
    ),
    "found": Schema(
        text=("generator", "attribute", "method", "layer", "direction", "name", "best"), numbers=("share",)
    ),
    "calibration": Schema(
        text=(*WHO, "end", "quantity", "is_reached"),
        numbers=("target", "t", "reached"),
        maybe=("reached_stderr", "n"),
        maybe_text=("space",),
    ),
    "matched": Schema(
        text=(*WHO, "attribute", "side", "is_reached", *SETTING),
        numbers=("target", "t", "reached", "value", "stderr", "n"),
        maybe=("effect", "reached_stderr", "n_reference"),
        maybe_text=("space",),
    ),
    "claims": Schema(
        text=("generator", "claim", "layer", "method", "against", "attribute", "holds", *SETTING),
        numbers=("change", "difference", "stderr", "n"),
        maybe=("stderr_of_change",),
    ),
    "locality": Schema(
        text=(*WHO, "metric"),
        numbers=("value", "stderr", "n"),
        maybe=("t_min", "t_max", "shifts"),
        maybe_text=("space",),
    ),
    "reproduction": Schema(
        text=(*WHO, "target"),
        numbers=("t", "residual", "residual_stderr", "n"),
        maybe=("steps", "n_train", "residual_train", "perceptual", "perceptual_edit"),
        maybe_text=("distance", "space"),
    ),
    "reproduction_steps": Schema(text=(*WHO, "target"), numbers=("t", "step", "residual_train"), maybe_text=("space",)),
    "layers": Schema(  # what they are, and what the survey found
        text=("generator", "layer", "shape"),
        numbers=("index",),
        maybe=(
            *("parameters", "input_size", "directions", "survey_directions", "n_survey", "n", "interpretable"),
            *("survey_effect", "fd_directions", "n_reference", "n_attributes"),
            *_with_stderr("coarse", "middle", "fine", "geometry", "area50", "fd", "effect"),
            "attributes_reached",
        ),
        maybe_text=("survey_method", "survey_settings", "attributes", "resolution", *SETTING),
    ),
    "pairs": Schema(
        text=(*WHO, *_OTHER, "by_label", "closest"),
        numbers=("cosine", "cosine_stderr", "cosine_of_choice", "n"),
        maybe_text=("space",),
    ),
    "pair_curves": Schema(
        text=(*WHO, *_OTHER, "member", *SETTING),
        numbers=("t", "signed_effect", "value", "stderr", "n"),
        maybe_text=("space", "distance"),
    ),
    "projection": Schema(
        text=("generator", "photo", "source", "space", "distance"),
        numbers=("steps", "perceptual_start", "perceptual", "psnr_db", "seconds"),
        maybe=("mse_start", "mse", "pixel_weight"),
        maybe_text=("layer", "cropped"),
    ),
    "photo_attributes": Schema(
        text=(*WHO, "photo", "projected_into", "attribute"),
        numbers=("t", "value", "photo_value"),
        maybe=("true_value", "change", "error"),
        maybe_text=("space", "unit"),
    ),
    "quality": Schema(
        text=(*WHO, "metric"),
        numbers=("value", "stderr", "n"),
        maybe=("n_reference",),
        maybe_text=("space", "end", "by", "reference"),
    ),
    "confusion": Schema(text=(*WHO, "named"), numbers=("share", "n"), maybe_text=("space",)),
    "stability": Schema(
        text=("generator", "layer", "method", "varied"),
        numbers=("value", "share", "chance", "median_angle", "directions"),
        maybe=("smallest_angle", "largest_angle"),
        maybe_text=("space",),
    ),
    "ranking": Schema(
        text=("generator", "layer", "metric", "method", "against", "lower", "status"),
        numbers=("value", "value_against", "difference", "stderr", "p", "n"),
        maybe=("n_reference",),
        maybe_text=("extractor", "reference"),
    ),
    "images": Schema(
        text=(*WHO, "kind", "file", "columns"), numbers=("rows",), maybe_text=("space", "members", "target")
    ),
}


@dataclass(frozen=True)
class RunTables:
    """Everything the report reads of a run but its images; a table the run lacks has no rows.

    Tables of directions, methods and claims have two columns more than their files: `place`, how headings and
    sentences call the layer or the latent space, and `where`, the same in short.
    """

    run: Path
    manifest: dict[str, Any]
    suite_toml: str
    directions: pd.DataFrame
    methods: pd.DataFrame
    curves: pd.DataFrame
    support: pd.DataFrame
    regions: pd.DataFrame
    overlap: pd.DataFrame
    asymmetry: pd.DataFrame
    attributes: pd.DataFrame
    found: pd.DataFrame
    calibration: pd.DataFrame
    matched: pd.DataFrame
    claims: pd.DataFrame
    locality: pd.DataFrame
    reproduction: pd.DataFrame
    reproduction_steps: pd.DataFrame
    layers: pd.DataFrame
    pairs: pd.DataFrame
    pair_curves: pd.DataFrame
    projection: pd.DataFrame
    photo_attributes: pd.DataFrame
    quality: pd.DataFrame
    confusion: pd.DataFrame
    stability: pd.DataFrame
    ranking: pd.DataFrame
    images: pd.DataFrame

    @property
    def complete(self) -> bool:
        """Whether the run says that it finished."""
        return self.manifest["complete"] is True

    @property
    def measured(self) -> pd.DataFrame:
        """The directions of which there is a curve, a heatmap, an imitation or a picture."""
        return self.directions[self.directions["measured"]]

    @property
    def several_generators(self) -> bool:
        """Whether sentences and headings must name the generator."""
        return self.directions["generator"].nunique() > 1

    @property
    def curved(self) -> pd.DataFrame:
        """The directions that have curves."""
        return self.directions[self.directions["fd_at_max"].notna()]


def load_run(run: Path) -> RunTables:
    """Read the manifest, the suite and the tables of a run folder."""
    run = Path(run)
    manifest = _manifest(run)
    tables = {name: _table(run, name, schema) for name, schema in SCHEMAS.items()}
    tables["directions"] = _directions(tables["directions"], run)
    flags = [("found", "best"), ("calibration", "is_reached"), ("matched", "is_reached")]
    for name, column in (*flags, ("pairs", "by_label"), ("pairs", "closest")):
        tables[name] = tables[name].assign(**{column: _flags(tables[name], column, run / "tables" / f"{name}.csv")})
    spaces = tables["methods"].drop_duplicates(["generator", "layer"]).set_index(["generator", "layer"])["space"]
    unplaced = ("layers", "projection")
    tables |= {name: _placed(table, spaces) for name, table in tables.items() if name not in unplaced}
    for name in ("directions", "methods", "curves"):
        _check_fid(tables[name], run / "tables" / f"{name}.csv")
    suite = run / "suite.toml"
    text = suite.read_text(encoding="utf-8", errors="replace") if suite.is_file() else ""
    return RunTables(run=run, manifest=manifest, suite_toml=text, **tables)


def _manifest(run: Path) -> dict[str, Any]:
    path = run / "manifest.json"
    if not run.is_dir():
        raise NavbenchError(f"{run} is not a folder; give the folder that `navbench run-all` wrote.")
    if not path.is_file():
        raise NavbenchError(f"{run} is not a run folder: it has no manifest.json.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NavbenchError(f"{path} is not JSON: {error}.") from error
    if not isinstance(manifest, dict) or "complete" not in manifest:
        raise NavbenchError(f"{path} is not the manifest of a run: it has no field 'complete'.")
    return manifest


def _table(run: Path, name: str, schema: Schema) -> pd.DataFrame:
    path = run / "tables" / f"{name}.csv"
    if path.is_file() and (schema.required or not _has_no_rows(path)):
        frame = _read(path)
    elif schema.required:
        raise NavbenchError(f"{path} is missing; if the run was interrupted, start it again to finish it.")
    else:
        frame = pd.DataFrame(columns=[*schema.text, *schema.numbers], dtype=str)
    absent = [column for column in (*schema.text, *schema.numbers) if column not in frame]
    if absent:
        raise NavbenchError(f"{path} lacks the column {absent[0]!r}; it has {', '.join(frame.columns)}.")
    columns = {column: frame[column] for column in schema.text}
    columns |= {column: _text(frame, column) for column in schema.maybe_text}
    columns |= {column: _numbers(frame, column, path) for column in (*schema.numbers, *schema.maybe)}
    return pd.DataFrame(columns, index=frame.index)


def _has_no_rows(path: Path) -> bool:
    """Whether a file is the bare line end that pandas writes for a table without rows."""
    return path.stat().st_size <= 2 and path.read_bytes() in (b"\n", b"\r\n")


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:  # so are the parser's, the empty file's and the decoder's errors
        raise NavbenchError(f"{path} is not a CSV table: {error}.") from error


def _text(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame[column] if column in frame else pd.Series("", index=frame.index, dtype=str)


def _numbers(frame: pd.DataFrame, column: str, path: Path) -> pd.Series:
    if column not in frame:
        return pd.Series(float("nan"), index=frame.index, dtype=float)
    numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
    words = frame[column].str.strip().str.lower()
    wrong = frame.loc[numbers.isna() & ~words.isin(["", "nan"]), column]
    if len(wrong):
        line = int(wrong.index[0]) + 2
        raise NavbenchError(f"{path}, line {line}: column {column!r} holds {wrong.iloc[0]!r}, not a number.")
    return numbers


def _directions(frame: pd.DataFrame, run: Path) -> pd.DataFrame:
    path = run / "tables" / "directions.csv"
    twice = frame.loc[frame["name"].duplicated(), "name"]
    if len(twice):
        raise NavbenchError(f"{path} lists the direction {twice.iloc[0]!r} twice.")
    return frame.assign(measured=_flags(frame, "measured", path))


def _flags(frame: pd.DataFrame, column: str, path: Path) -> pd.Series:
    words = frame[column].str.strip().str.lower()
    odd = frame.loc[~words.isin(["true", "false", "1", "0"]), column]
    if len(odd):
        raise NavbenchError(f"{path}: column {column!r} holds {odd.iloc[0]!r}, neither True nor False.")
    return words.isin(["true", "1"])


def _placed(frame: pd.DataFrame, spaces: pd.Series) -> pd.DataFrame:
    """A table with words for each row's layer or latent space; a table without spaces has those of the methods."""
    keys = pd.MultiIndex.from_frame(frame[["generator", "layer"]])
    space = frame["space"] if "space" in frame else spaces.reindex(keys).fillna("")
    pairs = list(zip(frame["layer"], space, strict=True))
    words = {"place": [place(*pair) for pair in pairs], "where": [short_place(*pair) for pair in pairs]}
    return frame.assign(**{name: pd.Series(column, index=frame.index, dtype=str) for name, column in words.items()})


def _check_fid(frame: pd.DataFrame, path: Path) -> None:
    false = frame[(frame["metric"] == "FID") & (frame["extractor"] != FID_EXTRACTOR)]
    if len(false):
        raise NavbenchError(
            f"{path} calls a number FID, but its extractor is {false['extractor'].iloc[0]!r}; "
            f"only {FID_EXTRACTOR} makes a FID."
        )
