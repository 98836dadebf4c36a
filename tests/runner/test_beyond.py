"""Survey, pairs, rankings, recognition and stability of a whole run: what their tables say, and the page of them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import toy
from made_up import measurement

from navbench.errors import NavbenchError
from navbench.experiments.stability import variants
from navbench.report.html import write_report

EVERYTHING = [
    *("attributes", "ends", "curves", "matched", "locality", "strips", "survey", "pairs", "recognition", "stability"),
    *("disentanglement", "composition"),
]
SIZES = {
    "survey": {"method": "svd", "directions": 2, "samples": 6},
    "pairs": {"method": "svd", "codes": 6, "shown": 1},
    "recognition": {"steps": 2, "batch": 4, "pairs": 24, "methods": ["svd"]},
    "stability": {"methods": ["svd", "random"], "seeds": 2},
    "disentanglement": {"samples": 50},
    "composition": {"samples": 4},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of all that a suite may ask for, on three layers."""
    sets = toy.write_sets(tmp_path_factory.mktemp("sets"), layers=("first", "up", "last"), count=3)
    toy.write_latent_set(sets)
    chosen = toy.judged(experiments=EVERYTHING, **SIZES)
    subject = chosen.generators[0].model_dump() | {"layers": ["up"], "embedding": "toy:embedding"}
    return toy.execute(tmp_path_factory.mktemp("runs") / "all", chosen.with_values(generators=[subject]), sets)


def table(run, name):
    return pd.read_csv(run.folder / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_every_layer_is_surveyed_by_the_same_method(run):
    layers = table(run, "layers")
    assert layers["layer"].tolist() == ["first", "up", "last"]
    assert (layers["survey_method"] == "svd").all()
    shares = layers[["coarse", "middle", "fine"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(np.ones(3), abs=0.01)  # means of ratios that sum to 1
    assert layers["geometry"].between(0, 1).all()
    assert layers["fd"].notna().all()
    assert (layers["survey_directions"] == 2).all()
    assert (layers["fd_directions"] == 1).all()  # the default
    assert layers["attributes_reached"].between(0, 2).all()
    strips = table(run, "images")
    assert sorted(strips.loc[strips["kind"] == "layer", "layer"]) == ["first", "last", "up"]


def test_a_layer_without_directions_is_named_as_left_out(tmp_path, sets):
    made = toy.execute(tmp_path, toy.tiny(experiments=["survey"], **SIZES), sets)
    layers = table(made, "layers")
    assert layers["coarse"].notna().tolist() == [False, True, False]
    assert "no svd directions in first, last" in " ".join(made.manifest.facts["left_out"])


def test_a_survey_of_layers_that_are_named_needs_their_directions(tmp_path, sets):
    sizes = SIZES | {"survey": {"method": "spectrum", "layers": ["up"]}}
    with pytest.raises(NavbenchError, match=r"toy\.make/spectrum/up"):
        toy.execute(tmp_path, toy.tiny(experiments=["survey"], **sizes), sets)


def test_a_survey_finds_the_directions_of_all_layers_if_asked_to(tmp_path, sets):
    made = toy.execute(tmp_path, toy.tiny(experiments=["survey"], rediscover=True, **SIZES), sets)
    assert table(made, "layers")["coarse"].notna().all()
    assert sorted(path.stem for path in (tmp_path / "directions").rglob("svd/*.safetensors")) == ["first", "last", "up"]


def test_each_direction_has_a_partner_in_every_other_set_of_its_layer_and_of_latent_spaces(run):
    pairs = table(run, "pairs")
    assert pairs["name"].unique().tolist() == ["toy.make/svd/up/0"]
    assert pairs["other_method"].tolist() == ["random", "random"]
    assert pairs["other_space"].tolist() == ["parameter", "z"]
    assert pairs["cosine"].between(-1, 1).all()
    curves = table(run, "pair_curves")
    assert curves["member"].nunique() == 2
    for _, line in curves.groupby("member"):
        assert sorted(np.sign(line["signed_effect"])) == [-1, 0, 1]
    at_zero = curves[curves["t"] == 0]
    (floor,) = table(run, "directions")["fd_floor"].dropna().unique()
    assert at_zero["value"].to_numpy() == pytest.approx([floor, floor])


def test_methods_are_ranked_by_all_their_directions(run):
    ranking, methods = table(run, "ranking"), table(run, "methods")
    pair = ranking[(ranking["metric"] == "KID") & (ranking["layer"] == "up")].iloc[0]
    means = methods[methods["layer"] == "up"].set_index("method")["kid_mean"]
    assert pair["difference"] == pytest.approx(means[pair["method"]] - means[pair["against"]], rel=1e-4)
    decided = isinstance(pair["lower"], str)
    assert not decided or pair["lower"] == means.idxmin()
    assert decided == (pair["p"] < 0.05)
    assert set(ranking["metric"]) == {"FD", "KID", "precision", "recall", "density", "coverage", "area50"}
    chosen = ranking.set_index("metric")["status"]
    best = "measured of some of their directions, which stand for no method"
    assert set(chosen[["FD", "area50"]]) == {best}
    assert chosen.drop(["FD", "area50"]).isna().all()


def test_quality_has_a_row_per_number_and_end(run):
    quality = table(run, "quality")
    counts = quality.groupby("name")["metric"].nunique()
    measured = table(run, "directions").set_index("name")["measured"]
    assert counts[measured.index[measured]].min() >= 2
    (svd,) = table(run, "curves").loc[lambda frame: frame["method"] == "svd", "name"].unique()
    first = quality[quality["name"] == svd]
    assert set(first["metric"]) == {
        *("path_speed_cv", "feature coherence", "dvn", "id_similarity", "attribute coherence", "rca")
    }
    assert (first.loc[first["metric"] == "id_similarity", "by"] == "toy:embedding").all()
    assert first.loc[first["metric"] == "id_similarity", "value"].between(-1, 1).all()


def test_confusions_are_shares_of_what_was_shown(run):
    confusion = table(run, "confusion")
    assert set(confusion["method"]) == {"svd"}
    shown = confusion.groupby("name")["share"].sum()
    assert shown.to_numpy() == pytest.approx(np.ones(len(shown)))


def test_a_random_basis_is_not_found_again_and_one_that_the_weights_determine_is_not_looked_for(run):
    stability = table(run, "stability")
    assert set(stability["method"]) == {"random"}
    random = stability[stability["space"] == "parameter"]  # z has four dimensions, so spans of two overlap anyway
    assert (random["share"] < 0.05).all()
    assert random["value"].tolist() == [1, 2]
    assert "weights alone determine svd" in " ".join(run.manifest.facts["left_out"])


def test_labels_are_compared_where_a_scorer_gave_some(run):
    stability, methods = table(run, "stability"), table(run, "methods")
    keys = ["layer", "space", "method"]
    interpretable = methods.set_index(keys)["interpretable"]
    assert stability["labelled"].tolist() == [interpretable[tuple(row)] for row in stability[keys].to_numpy()]
    assert stability["labels_kept"].notna().tolist() == (stability["labelled"] > 0).tolist()


def test_every_set_is_measured_as_a_code_of_the_attributes(run):
    code = table(run, "disentanglement")
    assert set(code[["layer", "method", "directions"]].itertuples(index=False, name=None)) == {
        ("up", "svd", 3), ("up", "random", 3), ("z", "random", 2),
    }  # fmt: skip
    assert set(code["metric"]) == {"disentanglement", "completeness", "informativeness", "mig"}
    assert (code["attributes"] == 2).all()
    assert code["value"].dropna().max() <= 1


def test_directions_are_composed_in_pairs(run):
    composition = table(run, "composition")
    assert composition["relation"].value_counts().to_dict() == {
        "same layer": 2, "same latent": 1, "layer and latent": 2,
    }  # fmt: skip
    assert (composition["interaction"] > 0).all()
    assert (composition["order"] < 1e-6).all()
    assert composition["interaction_attributes"].notna().all()


def test_other_numbers_of_codes_are_tried_where_a_method_has_codes():
    sets = {
        method: SimpleNamespace(method=method, seed=5, settings={})
        for method in ("spectrum", "ganspace", "optimization", "random", "svd")
    }
    suite = toy.tiny(stability={"seeds": 1, "codes": [16, 64]})
    tried = {method: [*variants(measurement(suite=suite), found)] for method, found in sets.items()}
    assert [each.value for each in tried["spectrum"] if each.varied == "codes"] == [16, 64]
    assert [each.settings.spectrum.codes for each in tried["spectrum"]][1:] == [16, 64]
    assert [each.settings.ganspace.samples for each in tried["ganspace"]][1:] == [16, 64]
    for method in ("spectrum", "ganspace"):  # codes of another seed: a part of the same ones would be found again
        assert len({5, *(each.seed for each in tried[method])}) == 4
    assert [each.varied for each in tried["optimization"]] == [each.varied for each in tried["random"]] == ["seed"]
    assert tried["svd"] == []


def test_the_page_shows_all_of_it(run):
    page = write_report(run.folder).read_text(encoding="utf-8")
    for section in ("pairs", "quality", "layers"):
        assert f'id="{section}"' in page
    for words in (
        "The closest latent direction",
        "not significant",
        "Are they found again?",
        "Are they a disentangled code?",
        "Do two of them add up?",
        "Coarse is up to 4 cycles",
    ):
        assert words in page
    assert (run.folder / "figures" / "layers-toy.make.svg").is_file()
    assert (run.folder / "figures" / "pairs-toy.make.svg").is_file()


def test_single_images_are_kept_with_their_heatmaps(run):
    (path,) = (run.folder / "figures").glob("heatmap-toy.make-svd-up-*.npz")
    with np.load(path) as arrays:
        examples, changes = arrays["examples"], arrays["example_changes"]
    assert examples.shape == (1, 2, 3, 24, 24)
    assert changes.shape == (1, 24, 24)
    last = ((examples[:, 1].astype(float) - examples[:, 0]) / 127.5) ** 2
    # the change is averaged over shifts from t_min to t_max, whose ends have alike effects
    assert np.corrcoef(last.sum(1).ravel(), changes.ravel())[0, 1] > 0.5


def test_a_survey_is_calibrated_with_the_rest(tmp_path):
    """Layers that are surveyed and not measured have rows of their calibration, and no effect that was not reached."""
    sets = toy.write_sets(tmp_path / "sets", layers=("first", "up", "last"))
    subject = toy.tiny().generators[0].model_dump() | {"layers": ["up"]}
    chosen = toy.tiny(experiments=["survey"], calibrate="effect=0.001", **SIZES).with_values(generators=[subject])
    made = toy.execute(tmp_path / "run", chosen, sets)
    calibrated = table(made, "calibration")
    assert set(calibrated["layer"]) == {"first", "up", "last"}
    layers = table(made, "layers")
    reached = calibrated[calibrated["method"] == "svd"].groupby("layer")["is_reached"].all()
    assert layers.set_index("layer")["survey_effect"].notna().to_dict() == reached.to_dict()
    write_report(made.folder)
