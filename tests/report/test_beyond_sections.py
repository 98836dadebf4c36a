"""What the page says of rankings, quality, layers, pairs and photos, from tables with known numbers."""

import pandas as pd
import pytest

from navbench.report import layers, pairs, photos, quality
from navbench.report.tables import load_run

SETTING = {"metric": "FD", "extractor": "efficientnet-lite0", "reference": "renderings"}


@pytest.fixture
def run(make_builder, tmp_path):
    return make_builder().write(tmp_path / "run")


def tables_with(run, name, rows):
    pd.DataFrame(rows).to_csv(run / "tables" / f"{name}.csv", index=False)
    return load_run(run)


def who(method, index, space="parameter", layer="main.6"):
    return {
        "generator": "faces", "method": method, "layer": layer, "space": space, "direction": index,
        "name": f"faces/{method}/{layer}/{index}", "label": "",
    }  # fmt: skip


# --- rankings ----------------------------------------------------------------------------------------------------


def ranked(metric, method, against, difference, p, lower, status=""):
    realism = metric == "FD"
    return {
        "generator": "faces", "layer": "main.6", "metric": metric, "method": method, "against": against,
        "extractor": SETTING["extractor"] if realism else "", "reference": "r" if realism else "",
        "n": 128, "directions": 4, "directions_against": 4,
        "value": 1.0, "value_against": 1.0 - difference, "difference": difference, "stderr": 0.5, "p": p,
        "lower": lower, "status": status,
    }  # fmt: skip


def test_a_ranking_names_the_lowest_and_never_calls_an_easy_imitation_better(run):
    tables = tables_with(run, "ranking", [
        ranked("FD", "svd", "spectrum", 9.0, 0.001, "spectrum"),
        ranked("FD", "svd", "hybrid", 7.0, 0.001, "hybrid"),
        ranked("FD", "spectrum", "hybrid", -2.0, 0.4, ""),
        ranked("unexplained fraction in z", "svd", "spectrum", 0.3, 0.01, "spectrum"),
    ])  # fmt: skip
    (words,) = quality.ranking_sentences(tables)
    assert "FD (efficientnet-lite0): none lower than spectrum and hybrid (2 of 3 pairs decided)" in words
    assert "unexplained fraction in z: spectrum lowest (1 of 1 pairs decided)" in words
    assert "best" not in words
    table = quality.ranking_table(tables)
    assert [row[-1].text for row in table.rows] == ["spectrum", "hybrid", "not significant", "spectrum"]


@pytest.mark.parametrize(("metric", "words"), [("recall", "recall: spectrum highest"), ("KID", "KID: svd lowest")])
def test_a_share_is_better_the_higher_and_a_distance_the_lower(run, metric, words):
    (told,) = quality.ranking_sentences(
        tables_with(run, "ranking", [ranked(metric, "svd", "spectrum", -1, 0.01, "svd")])
    )
    assert words in told


def test_methods_on_different_footings_are_not_ranked(run):
    row = ranked("FD", "svd", "spectrum", float("nan"), float("nan"), "", "on different footings")
    (words,) = quality.ranking_sentences(tables_with(run, "ranking", [row]))
    assert "FD (efficientnet-lite0): not compared, as the methods are on different footings" in words


# --- quality -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "words"), [("renderings", ""), ("unshifted", "of faces is the generator itself.")]
)
def test_naturalness_says_where_its_images_are_the_generators_own(run, reference, words):
    row = who("svd", 0) | {
        "metric": "dvn", "end": "", "by": "efficientnet-lite0", "n": 64, "value": 0.7, "stderr": 0.05,
        "reference": reference, "n_reference": 128,
    }  # fmt: skip
    told = quality.dvn_words(tables_with(run, "quality", [row]))
    assert words in told
    assert bool(words) == bool(told)


def test_a_confusion_is_a_table_of_shares_with_the_accuracy(run):
    rows = [
        who("svd", shown) | {"named": named, "share": share, "n": 40}
        for shown, named, share in ((0, 0, 0.75), (0, 1, 0.25), (1, 0, 0.0), (1, 1, 1.0))
    ]
    (table,) = quality.confusion_tables(tables_with(run, "confusion", rows))
    assert [[cell.sort for cell in row[1:]] for row in table.rows] == [[0.75, 0.25], [0.0, 1.0]]
    assert "0.875" in table.caption


# --- layers ------------------------------------------------------------------------------------------------------


def surveyed(layer, index, coarse, effect=0.12, settings="aaaa"):
    return {
        "generator": "faces", "layer": layer, "index": index, "shape": "3x3", "parameters": 9, "input_size": 8,
        "directions": 2, "survey_method": "spectrum", "survey_directions": 2, "survey_effect": effect,
        "survey_settings": settings, "n_survey": 16, "attributes": "", "coarse": coarse, "coarse_stderr": 0.01,
        "middle": 0.9 - coarse, "middle_stderr": 0.01, "fine": 0.1, "fine_stderr": 0.01, "geometry": coarse,
        "geometry_stderr": 0.01, "area50": 0.2, "area50_stderr": 0.01, "fd": 30.0, "fd_stderr": 1.0,
        "fd_directions": 1, "n": 128, "n_reference": 300, "resolution": 64, "effect": 0.12, "effect_stderr": 0.01,
        **SETTING,
    }  # fmt: skip


def test_layers_are_said_to_be_on_one_footing_only_where_they_are(run):
    alike = tables_with(run, "layers", [surveyed("a", 0, 0.7), surveyed("b", 1, 0.3)])
    words = list(layers.survey_sentences(alike))
    assert words[0] == (
        "Directions were found with the same settings in all its layers, and calibrated to the same effect, 0.120."
    )
    assert "coarsest in a" in words[1]
    assert "colour has the largest part in b (0.70)" in words[1]
    unlike = tables_with(run, "layers", [surveyed("a", 0, 0.7), surveyed("b", 1, 0.3, 0.2, "bbbb")])
    assert next(layers.survey_sentences(unlike)) == (
        "Directions were found with different settings in a; in b, and calibrated not to the same effect."
    )


def test_the_distance_of_a_layer_stands_beside_its_own_directions_reference_and_counts(run):
    tables = tables_with(run, "layers", [surveyed("a", 0, 0.7), surveyed("b", 1, 0.3)])
    (chart,), table = layers.survey_charts(tables), layers.survey_table(tables)
    for caption in (chart.caption, table.caption):
        words = caption.replace("\N{NO-BREAK SPACE}", " ")
        assert "FD (efficientnet-lite0) is of the first 1; reference: renderings, n = 128 (reference 300)" in words


# --- found again, as a code, and together ------------------------------------------------------------------------


def cells(table, head):
    return [row[table.heads.index(head)].text.replace("\N{NO-BREAK SPACE}", " ") for row in table.rows]


def test_labels_that_were_found_again_stand_beside_chance(run):
    row = {
        "generator": "faces", "layer": "main.6", "space": "parameter", "method": "spectrum", "varied": "seed",
        "value": 1, "share": 0.9, "chance": 0.1, "smallest_angle": 1.0, "median_angle": 2.0, "largest_angle": 3.0,
        "directions": 16,
    }  # fmt: skip
    told = row | {"labelled": 8, "labels_kept": 0.75, "labels_kept_stderr": 0.16, "labels_chance": 0.06}
    table = quality.stability_table(tables_with(run, "stability", [told]))
    assert cells(table, "found again") == ["0.75 ± 0.16"]
    assert "by chance" in table.heads
    untold = row | {"labelled": "", "labels_kept": "", "labels_kept_stderr": "", "labels_chance": ""}
    assert "found again" not in quality.stability_table(tables_with(run, "stability", [untold])).heads


def test_the_measures_of_a_code_stand_in_one_row_per_set(run):
    rows = [
        {"generator": "faces", "layer": "main.6", "space": "parameter", "method": method, "metric": metric,
         "value": value, "stderr": 0.01, "directions": 16, "attributes": 13, "scorer": "cars", "n": 512}
        for method, values in (("svd", (0.2, 0.3, 0.4, 0.05)), ("random", (0.1, 0.2, 0.3, 0.01)))
        for metric, value in zip(("disentanglement", "completeness", "informativeness", "mig"), values, strict=True)
    ]  # fmt: skip
    table = quality.code_table(tables_with(run, "disentanglement", rows))
    assert cells(table, "Method") == ["svd", "random"]
    assert cells(table, "Informativeness") == ["0.400 ± 0.010", "0.300 ± 0.010"]
    assert cells(table, "MIG") == ["0.050 ± 0.010", "0.010 ± 0.010"]


def test_interactions_are_means_over_the_pairs_of_a_kind(run):
    def composed(index, other_method, relation, value):
        return who("svd", index) | {
            "other": f"faces/{other_method}/x/{index}", "other_method": other_method, "other_layer": "x",
            "relation": relation, "interaction": value, "interaction_stderr": 0.02, "interaction_attributes": "",
            "interaction_attributes_stderr": "", "order": 1e-12, "n": 32,
        }  # fmt: skip

    rows = [
        composed(0, "svd", "same layer", 0.1),
        composed(1, "svd", "same layer", 0.3),
        composed(0, "random", "layer and latent", 0.5),
    ]
    table = quality.composition_table(tables_with(run, "composition", rows))
    assert cells(table, "Methods") == ["svd", "svd and random"]
    assert cells(table, "Pairs") == ["2", "1"]
    assert cells(table, "of pixels") == ["0.20 ± 0.10", "0.500 ± 0.020"]
    assert "of attributes" not in table.heads


# --- pairs -------------------------------------------------------------------------------------------------------


def test_the_closest_latent_direction_is_the_one_that_was_chosen_not_the_one_that_measured_best(run):
    def pair(index, cosine, closest):
        return who("svd", 0) | {
            "other": f"faces/ganspace/w/{index}", "other_method": "ganspace", "other_layer": "w", "other_space": "w",
            "other_end": "t_max", "cosine": cosine, "cosine_stderr": 0.1, "cosine_of_choice": 0.5, "by_label": False,
            "closest": closest, "n": 6,
        }  # fmt: skip

    (words,) = pairs.pair_sentences(tables_with(run, "pairs", [pair(0, 0.9, False), pair(1, 0.4, True)]))
    assert "ganspace/w/1 for svd/main.6/0 (0.40)" in words
    assert "ganspace/w/0" not in words


# --- photos ------------------------------------------------------------------------------------------------------


def photo_rows(name, photo, space, change, error=None, attribute="wheel radius"):
    who_is = dict(zip(("generator", "method", "layer", "direction"), name.split("/"), strict=True))
    for t, moved in ((-1.0, -change / 2), (0.0, 0.0), (1.0, change / 2)):
        yield who_is | {
            "name": name, "label": "", "space": "parameter", "photo": photo, "projected_into": space,
            "attribute": attribute, "unit": "px", "t": t, "value": 5 + moved, "change": moved, "photo_value": 5.0,
            "true_value": None if error is None else 5 - error, "error": error,
        }  # fmt: skip


def test_what_a_direction_moves_on_photos_is_a_mean_with_its_error_in_each_space(run):
    directions = pd.read_csv(run / "tables" / "directions.csv", keep_default_na=False)
    name = directions.loc[0, "name"]
    directions["attribute"], directions["attribute_change"], directions["attribute_change_stderr"] = "", "", ""
    directions.loc[0, ["attribute", "attribute_change", "attribute_change_stderr"]] = ["wheel radius", "2.0", "0.1"]
    directions.loc[0, ["t_min", "t_max"]] = [-1.0, 1.0]
    directions.to_csv(run / "tables" / "directions.csv", index=False)
    rows = [
        row
        for space, changes in (("z", (1.0, 2.0, 6.0)), ("w+", (2.0, 2.0, 2.0)))
        for photo, change in zip("abc", changes, strict=True)
        for row in photo_rows(name, photo, space, change)
    ]
    table = photos.photo_moves(tables_with(run, "photo_attributes", rows))
    cells = {row[table.heads.index("Into")].text: row[table.heads.index("on photos")] for row in table.rows}
    assert (cells["z"].sort, cells["w+"].sort) == (3.0, 2.0)
    assert cells["z"].text.replace("\N{NO-BREAK SPACE}", " ") == "3.0 ± 1.5"  # (1, 2, 6): deviation 2.65, by sqrt(3)
    assert {row[table.heads.index("on codes")].sort for row in table.rows} == {2.0}
    lost = [row for row in rows if (row["photo"], row["t"]) != ("c", 1.0)]  # the subject of the scorer
    table = photos.photo_moves(tables_with(run, "photo_attributes", lost))
    cells = {row[table.heads.index("Into")].text: row for row in table.rows}
    assert (cells["z"][table.heads.index("on photos")].sort, cells["z"][table.heads.index("Photos")].sort) == (1.5, 2)
    inner = [row | {"t": 0.5 * row["t"]} for row in rows]
    assert photos.photo_moves(tables_with(run, "photo_attributes", inner)) is None


def test_the_errors_of_projections_are_told_for_each_space(run):
    rows = [
        row
        for space, error in (("z", 0.5), ("w+", -0.25))
        for photo in "ab"
        for row in photo_rows("faces/svd/main.6/0", photo, space, 1.0, error)
    ]
    words = list(photos.photo_sentences(tables_with(run, "photo_attributes", rows)))
    assert [part.rpartition("by, in the mean: ")[2] for part in words] == [
        "wheel radius 0.50 px.",
        "wheel radius 0.25 px.",
    ]
    assert "into z " in words[0]
    assert "into w+ " in words[1]


def test_the_caption_of_projections_says_where_pixels_were_matched_too(run):
    row = {
        "generator": "faces", "photo": "me", "source": "me.png", "cropped": False, "layer": "", "steps": 100,
        "distance": "stlpips-alex", "perceptual_start": 0.3, "perceptual": 0.1, "psnr_db": 20.0, "seconds": 1.0,
    }  # fmt: skip
    rows = [row | {"space": "w+", "pixel_weight": 0.0}, row | {"space": "z", "pixel_weight": 1.0}]
    caption = photos.projection_table(tables_with(run, "projection", rows)).caption
    assert "minimising stlpips-alex, and in z the squared difference of pixels as well" in caption
