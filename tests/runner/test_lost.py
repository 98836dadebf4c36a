"""Scorers that do not see their subject in every image: what is lost, and what is read of the others."""

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from torch import nn

from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.experiments import lost
from navbench.experiments.calibration import by_attribute
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.lost import LADDER
from navbench.generators import zoo
from navbench.library import Library
from navbench.metrics.attributes import Attribute, Scorer, movement, seen, verdict
from navbench.metrics.estimate import mean, mean_of
from navbench.metrics.instrument import Verdict
from navbench.report.html import write_report
from navbench.report.lost import _damage_table, damage_sentences, lost_sentences
from navbench.report.numbers import short_direction
from navbench.report.tables import load_run
from navbench.runner.plan import plan

EVERY = ["attributes", "ends", "curves", "matched", "disentanglement", "composition", "stability", "strips"]
MORE = {
    "attributes": {"samples": 12, "shifts": 3},
    "disentanglement": {"samples": 60},
    "stability": {"methods": ["random"]},
    "matched": {"attribute": "brightness", "change": 0.002, "codes": 12},
}


class Looking(toy.Reader):
    """The toy's scorer, which sees a toy where the mean of an image is above a bound."""

    subject = "toy"
    bound = -0.115

    def forward(self, images):
        scores = super().forward(images)
        return torch.where((scores[:, :1] > self.bound), scores, torch.nan)


class LookingAnywhere(Looking):
    bound = -9.0


def looking():
    return Looking()


def looking_anywhere():
    return LookingAnywhere()


def suite_with(scorer, *, embedding="", **values):
    subject = toy.judged().generators[0].model_dump() | {"scorer": scorer, "embedding": embedding}
    return toy.judged(generators=[subject], **{"experiments": EVERY, **MORE, **values})


@pytest.fixture(scope="module")
def run(tmp_path_factory, judged_sets):
    return toy.execute(tmp_path_factory.mktemp("runs") / "lost", suite_with("test_lost:looking"), judged_sets)


def table(run, name):
    return pd.read_csv(run.folder / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""])


def images(judged_sets, samples=12):
    """Of each direction the images of the readings, (T, n, 3, H, W), by name."""
    suite = toy.judged()
    generator = zoo.create("toy:make", Compute())
    for direction in plan(suite, suite.generators[0], generator, Library([judged_sets])).all_directions():
        render = Edit(generator, direction, Compute()).prepare(codes_for(generator, "attributes", range(samples), 0))
        yield direction, torch.stack([render(t) for t in direction.shifts(3).tolist()])


def beyond_the_first():
    """A bound on the mean of an image that the first two of the generator are below."""
    generator = zoo.create("toy:make", Compute())
    return float(generator(generator.sample([0, 1], seed=0)).mean(dim=(1, 2, 3)).max()) + 1e-6


class LookingFurther(Looking):
    """Sees no toy in the first two images of the generator."""

    def __init__(self):
        super().__init__()
        self.bound = beyond_the_first()


class Noisy(LookingFurther):
    """Reads noise where it sees a toy."""

    def forward(self, images):
        return super().forward(images) + torch.randn(len(images), 1)


class NoisyPlaces(LookingFurther):
    """Embeds what shows a toy by noise, and all else at one place."""

    def forward(self, images):
        shown = ~super().forward(images).isnan().any(dim=1, keepdim=True)
        return torch.where(shown, torch.randn(len(images), 3), torch.ones(len(images), 3))


@pytest.mark.parametrize(
    "networks",
    [
        {"scorer": "test_lost:Noisy"},
        {"scorer": "test_lost:LookingFurther", "embedding": "test_lost:NoisyPlaces"},
    ],
)
def test_no_network_is_taken_for_a_function_as_it_sees_nothing(networks, tmp_path, judged_sets):
    with pytest.raises(NavbenchError, match=r"Noisy.* is not a function of its images: two passes"):
        toy.execute(tmp_path / "run", suite_with(**networks), judged_sets)


def test_the_table_has_the_share_of_images_without_the_subject_at_each_shift(run, judged_sets):
    rows = table(run, "lost").set_index("name")
    everywhere = []
    for direction, along in images(judged_sets):
        lost = (along.mean(dim=(2, 3, 4)) <= Looking.bound).double()
        own = rows.loc[direction.name].sort_values("t")
        assert own["value"].tolist() == pytest.approx(lost.mean(1).tolist())
        assert own["stderr"].tolist() == pytest.approx((lost.std(1) / 12**0.5).tolist())
        assert set(own["n"]) == {12}
        everywhere.append(lost)
    lost = torch.stack(everywhere)
    assert 0 < lost.mean() < 1, "the bound has to part the images"
    zero = table(run, "lost_damage").set_index("damage").loc[np.nan]
    assert zero["value"] == pytest.approx(float(lost[0, 1].mean()))


def test_attributes_are_of_the_codes_that_keep_the_subject_throughout(run, judged_sets):
    rows = table(run, "attributes").set_index(["name", "attribute"])
    verdicts = table(run, "directions").set_index("name")["verdict"]
    few = 0
    for direction, along in images(judged_sets):
        means = along.mean(dim=(2, 3, 4))
        kept = (means > Looking.bound).all(0)
        if kept.sum() < 6:
            assert direction.name not in rows.index
            assert verdicts[direction.name] == "unread"
            few += 1
            continue
        row = rows.loc[(direction.name, "brightness")]
        assert row["n"] == int(kept.sum())
        assert row["change"] == pytest.approx(float((means[2] - means[0])[kept].mean()), rel=1e-3, abs=1e-6)
    assert few > 0
    assert verdicts.notna().all()
    assert (verdicts == "unread").sum() == few


def test_a_change_of_the_codes_that_are_left_is_not_set_against_the_effect_of_all(run, judged_sets):
    rows, told = table(run, "attributes").groupby("name"), set()
    for direction, along in images(judged_sets):
        if direction.name in rows.groups:
            shown = along.mean(dim=(2, 3, 4)) > Looking.bound
            most_are_left = int(shown.all(0).sum()) >= 0.8 * int(shown[1].sum())
            own = rows.get_group(direction.name)
            assert (own["standardised_per_effect"].notna() == most_are_left).all()
            told.add(most_are_left)
    assert told == {True, False}


def test_methods_have_their_mean(run):
    every, methods = table(run, "directions"), table(run, "methods").set_index(["method", "layer"])
    both = every.assign(ends=every[["lost_at_min", "lost_at_max"]].mean(axis=1)).groupby(["method", "layer"])["ends"]
    for place, value in both.mean().items():
        assert methods.loc[place, "lost_mean"] == pytest.approx(value)


def test_methods_are_compared_by_what_is_lost_only_if_known_damage_raises_it(run, tmp_path, judged_sets, monkeypatch):
    """The mean of a toy is hardly moved by blur or grain, so the scorer that goes by it is no instrument."""
    damages = table(run, "lost_damage").set_index("damage")
    assert not damages.loc["blur", "passed"].any()
    assert damages.loc["blur", "reason"].notna().all()
    assert damages.loc[[np.nan, "blank images"], "passed"].all()
    assert "lost (toy)" not in set(table(run, "ranking")["metric"])
    (words,) = damage_sentences(load_run(run.folder))
    assert "It fails, as the strongest blur does not raise the share lost significantly" in words
    assert not any("significantly" in part for part in lost_sentences(load_run(run.folder)))
    monkeypatch.setattr(lost, "judge_losses", lambda losses: dict.fromkeys(losses, Verdict()))
    trusted = toy.execute(tmp_path / "run", suite_with("test_lost:looking", experiments=["attributes"]), judged_sets)
    assert "lost (toy)" in set(table(trusted, "ranking")["metric"])
    (words,) = damage_sentences(load_run(trusted.folder))
    assert words.endswith("Each raises it significantly, and none lowers it.")


def test_the_page_names_the_ends_at_which_significantly_more_is_lost_with_the_error(run):
    tables = load_run(run.folder)
    checked = tables.lost_damage.assign(passed=True, reason="")
    calm = tables.lost.assign(raised=0.25, raised_stderr=0.13)
    said = " ".join(lost_sentences(tables.with_tables(lost=calm, lost_damage=checked)))
    assert "At no end of a direction does it rise significantly (Holm, 5 %)." in said
    name = calm.loc[~calm["is_control"], "name"].iloc[-1]
    is_end = (calm["name"] == name) & (calm["t"] == calm.loc[calm["name"] == name, "t"].max())
    risen = calm.assign(raised=calm["raised"].mask(is_end, 1.0), raised_stderr=calm["raised_stderr"].mask(is_end, 0.0))
    said = " ".join(lost_sentences(tables.with_tables(lost=risen, lost_damage=checked)))
    ends = 2 * calm.loc[~calm["is_control"], "name"].nunique()
    assert (
        f"(Holm, 5 %) at 1 of {ends} ends of directions, most at an end of {short_direction(risen[is_end].iloc[0])}"
        in said
    )
    assert "(1.000\xa0±\xa00.083)" in said
    assert "broken, turned away, covered or small" in said


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0 (95 %: 0 to 0.24, n = 12)"), (1.0, "1.00 (95 %: 0.76 to 1.0, n = 12)")]
)
def test_a_share_of_none_or_all_has_an_interval(run, share, words):
    tables = load_run(run.folder)
    zero = tables.lost_damage.assign(value=share, stderr=0.0)
    assert words in next(lost_sentences(tables.with_tables(lost_damage=zero)))
    shown = _damage_table(tables.with_tables(lost_damage=zero))
    assert {row[shown.heads.index("95 %")].text for row in shown.rows} == {words.split(": ")[1].split(",")[0]}


def test_the_effect_of_a_shift_is_that_of_the_ends_and_of_the_curve_between_them(run):
    rows, directions = table(run, "lost"), table(run, "directions").set_index("name")
    for name, own in rows.groupby("name"):
        ends = directions.loc[name, ["effect_min", "effect_max"]].tolist()
        assert own.sort_values("t")["effect"].tolist() == pytest.approx([ends[0], 0.0, ends[1]])
    at_zero = rows[rows["t"] == 0].set_index("name")["value"]
    assert rows["raised"].tolist() == pytest.approx((rows["value"] - rows["name"].map(at_zero)).tolist())
    assert (rows.loc[rows["t"] == 0, ["raised", "raised_stderr"]] == 0).all(axis=None)


def test_the_page_asks_whether_the_subject_is_there_and_shows_the_check_by_damage(run):
    text = write_report(run.folder).read_text(encoding="utf8")
    assert "Is the toy still there?" in text
    damages = table(run, "lost_damage")
    assert set(damages["damage"].dropna()) == {damage.name for damage in LADDER}
    assert len(damages) == 1 + sum(len(damage.strengths) for damage in LADDER)
    tables = load_run(run.folder)
    unread = table(run, "lost")["name"].nunique() - table(run, "attributes")["name"].nunique()
    (words,) = [part for part in lost_sentences(tables) if "nothing is said" in part]
    assert words.startswith(f"Of {unread} of {len(table(run, 'directions'))} directions fewer than half")
    assert (run.folder / "figures" / "lost-along-toy.make.svg").exists()


def test_a_scorer_that_sees_all_gives_the_numbers_of_one_without_a_subject(tmp_path, judged_sets):
    runs = [
        toy.execute(tmp_path / name, suite_with(f"test_lost:{name}" if name != "scorer" else "toy:scorer"), judged_sets)
        for name in ("looking_anywhere", "scorer")
    ]
    for name in ("attributes", "matched", "disentanglement", "composition", "stability", "equal"):
        one, other = (table(run, name).drop(columns="scorer", errors="ignore") for run in runs)
        pd.testing.assert_frame_equal(one, other)
    assert not (runs[1].folder / "tables" / "lost.csv").exists() or table(runs[1], "lost").empty
    assert (table(runs[0], "lost")["value"] == 0).all()


def test_a_change_is_solved_for_on_the_codes_that_keep_the_subject(judged_sets):
    direction, _ = next(images(judged_sets))
    generator = zoo.create("toy:make", Compute())
    edit = Edit(generator, direction, Compute())
    found = by_attribute(edit, Scorer("looking", Looking(), Compute()), "brightness", 0.002, 40, 0)
    for end in (0, 1):
        codes = codes_for(generator, "calibration", range(40), 0)
        render = edit.prepare(codes)
        before, after = (render(t).mean(dim=(1, 2, 3)) for t in (0.0, float(found.t[end])))
        kept = (before > Looking.bound) & (after > Looking.bound)
        assert 0 < kept.sum() < 40
        assert found.at[end].value == pytest.approx(float((after - before)[kept].mean()), rel=1e-3)
        assert torch.equal(~found.changes[end].isnan(), kept)


# --- the parts -----------------------------------------------------------------------------------------------------


class Says(nn.Module):
    """Reads what it is told."""

    attributes = (Attribute("one", "", 1.0), Attribute("two", "", 1.0))

    def __init__(self, scores, subject):
        super().__init__()
        self.scores, self.subject = torch.tensor(scores), subject

    def forward(self, images):
        return self.scores


NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "subject", "refused"),
    [
        ([[NAN, NAN], [1.0, 2.0]], "face", False),
        ([[NAN, NAN], [1.0, 2.0]], "", True),
        ([[NAN, 1.0], [1.0, 2.0]], "face", True),
        ([[float("inf")] * 2, [1.0, 2.0]], "face", True),
    ],
)
def test_only_a_whole_row_is_a_subject_that_is_not_seen(scores, subject, refused):
    scorer = Scorer("says", Says(scores, subject), Compute())
    if refused:
        with pytest.raises(Failure, match="read NaN or infinity for"):
            scorer(torch.zeros(2, 3, 4, 4))
    else:
        assert seen(scorer(torch.zeros(2, 3, 4, 4))).tolist() == [False, True]


@pytest.mark.parametrize("subject", [7, "two\nlines"])
def test_a_subject_is_a_word(subject):
    with pytest.raises(NavbenchError, match="has the subject"):
        Scorer("says", Says([[0.0, 0.0]], subject), Compute())


def test_a_scorer_without_a_subject_keeps_its_key():
    bare, named = (Scorer("says", Says([[0.0, 0.0]], subject), Compute()) for subject in ("", "face"))
    assert bare.cache_key == named.cache_key[:-1]


def test_a_movement_is_that_of_the_codes_that_are_left_and_none_of_too_few():
    scores = torch.randn(3, 10, 2, generator=torch.Generator().manual_seed(0))
    holed = scores.clone()
    holed[1, :4] = NAN
    attributes, shifts = Says.attributes, [-1.0, 0.0, 1.0]
    whole, left = movement(scores[:, 4:], shifts, attributes), movement(holed, shifts, attributes)
    assert torch.equal(whole.standardised, left.standardised)
    assert left.change[0].n == 6
    holed[2, 4:6] = NAN
    assert movement(holed, shifts, attributes) is None
    assert verdict(None, attributes).kind == "unread"


def test_a_mean_of_known_values_has_their_error_on_all_samples():
    values = torch.randn(9, generator=torch.Generator().manual_seed(1)).double()
    known = torch.arange(9) % 3 != 0
    one, other = mean_of(values, known), mean(values[known])
    assert (one.n, one.value) == (9, other.value)
    assert one.stderr == pytest.approx(other.stderr)
    assert (one.influence[~known] == 0).all()
