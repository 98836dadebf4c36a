"""The shipped scorer on renderings, whose factors are known, and how one is trained, kept and refused."""

import json
from itertools import pairwise

import pytest
import torch
from analytic import noise
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from navbench import seeds
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.metrics.attributes import Movement, Verdict, create_scorer, movement, verdict
from navbench.testbed import cars
from navbench.testbed.scorer import (
    HELD_OUT,
    SHIPPED,
    CarsScorer,
    ScorerSettings,
    decode,
    encode,
    r_squared,
    read_scorer,
    train,
    train_and_save,
    worn,
)

SHIFTS = [-2.0, -1.0, 0.0, 1.0, 2.0]
CODES = 24
FACTORS = pytest.mark.parametrize("factor", cars.FACTORS, ids=lambda factor: factor.name)


@pytest.fixture(scope="module")
def scorer():
    return create_scorer("cars", Compute())


def swept(*changes: tuple[cars.Factor, float]) -> Tensor:
    """Factors (5, n, 13) of cars in which each factor changes by so many of its ranges from the first to the last."""
    base = cars.sample(range(CODES), seed=123)
    found = base.expand(len(SHIFTS), -1, -1).clone()
    share = torch.linspace(0, 1, len(SHIFTS))[:, None]
    for factor, change in changes:
        index, size = cars.NAMES.index(factor.name), factor.high - factor.low
        place = (base[:, index] - factor.low) / size
        if factor.circular:
            place = (place + change * share) % 1
        else:  # start where the whole path stays within the range
            place = place * (1 - abs(change)) + max(0.0, -change) + change * share
        found[..., index] = factor.low + size * place
    return found


def read(scorer, factors: Tensor) -> Tensor:
    return torch.stack([scorer(cars.render(at)) for at in factors])


def judged(scorer, scores: Tensor) -> tuple[Movement, Verdict]:
    moved = movement(scores, SHIFTS, scorer.attributes)
    return moved, verdict(moved, scorer.attributes)


# --- what it reads


def test_each_factor_is_an_attribute_in_its_unit(scorer):
    assert tuple(attribute.name for attribute in scorer.attributes) == cars.NAMES
    for attribute, factor in zip(scorer.attributes, cars.FACTORS, strict=True):
        size = factor.high - factor.low
        assert (attribute.unit, attribute.period) == (factor.unit, size if factor.circular else None)
        assert attribute.spread == pytest.approx(size / 12**0.5)


def test_nineteen_twentieths_of_every_factors_variance_are_read_from_unseen_cars(scorer):
    found = r_squared(scorer, range(400), seed=991)
    assert tuple(found) == cars.NAMES
    assert {name: share for name, share in found.items() if share < 0.95} == {}


@FACTORS
@pytest.mark.parametrize("change", [1 / 3, -1 / 3], ids=["+", "-"])
def test_a_change_of_one_factor_is_called_by_its_name_and_sign(scorer, factor, change):
    moved, found = judged(scorer, read(scorer, swept((factor, change))))
    assert (found.kind, found.label) == ("interpretable", f"{factor.name} {'+' if change > 0 else '-'}")
    true = change * (factor.high - factor.low)
    assert moved.change[moved.dominant].value == pytest.approx(true, rel=0.2)


@pytest.mark.parametrize(
    "names",
    [("wheel radius", "sky tone"), ("body length", "cabin height"), ("wheelbase", "horizon"), ("body hue", "sun side")],
    ids=" and ".join,
)
def test_two_factors_that_change_alike_are_entangled(scorer, names):
    first, second = (cars.FACTORS[cars.NAMES.index(name)] for name in names)
    _, found = judged(scorer, read(scorer, swept((first, 0.4), (second, -0.4))))
    assert (found.kind, found.label) == ("entangled", "")
    assert found.attribute in names


def test_the_same_images_at_every_shift_are_no_direction(scorer):
    for images in (cars.renderings(range(CODES), seed=5), noise(0, CODES, 3, 64, 64).clamp(-1, 1)):
        scores = scorer(images).expand(len(SHIFTS), -1, -1)
        assert judged(scorer, scores)[1] == Verdict("none", "", "")


def test_cars_that_have_nothing_to_do_with_one_another_are_no_interpretable_direction(scorer):
    for seed in range(5):
        scores = torch.stack([
            scorer(cars.renderings(range(CODES * place, CODES * (place + 1)), seed)) for place in range(len(SHIFTS))
        ])  # fmt: skip
        assert judged(scorer, scores)[1].kind != "interpretable"


def test_circular_readings_lie_on_the_circle_and_follow_it_through_its_seam(scorer):
    readings = scorer(cars.renderings(range(100), seed=7))
    for index, factor in enumerate(cars.FACTORS):
        if factor.circular:
            assert (readings[:, index] >= factor.low).all()
            assert (readings[:, index] < factor.high).all()
            moved, _ = judged(scorer, read(scorer, swept((factor, 0.9))))
            assert moved.change[index].value == pytest.approx(0.9 * (factor.high - factor.low), rel=0.03)


def test_a_reading_does_not_depend_on_the_other_images_of_a_batch(scorer):
    images = cars.renderings(range(6), seed=7)
    torch.testing.assert_close(
        torch.cat([scorer(image[None]) for image in images]), scorer(images), rtol=1e-4, atol=1e-4
    )


def test_slightly_imperfect_images_are_read_nearly_as_well(scorer):
    """Grain of 0.05 costs no factor more than a twentieth of its variance."""
    images = cars.renderings(range(500), seed=992)
    true = encode(cars.sample(range(500), seed=992))
    wrong = (encode(scorer(images + 0.05 * noise(0, *images.shape))) - true).square().mean(0)
    assert (wrong < 0.1).all()


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (2, 1, 64, 64)])
def test_images_of_another_size_are_refused(scorer, shape):
    with pytest.raises(NavbenchError, match=r"^The scorer of cars reads images of 64x64 pixels, not .*\.$"):
        scorer(torch.zeros(shape))


# --- how factors are encoded


def test_decoding_undoes_encoding():
    factors = cars.sample(range(50), seed=1)
    torch.testing.assert_close(decode(encode(factors)), factors, rtol=1e-4, atol=1e-3)


@given(st.lists(st.floats(-0.5, 1.5), min_size=len(cars.FACTORS), max_size=len(cars.FACTORS)), st.integers(-3, 3))
def test_decoding_undoes_encoding_beyond_the_ranges_and_wraps_what_is_circular(places, turns):
    low, high = (torch.tensor([getattr(factor, end) for factor in cars.FACTORS]) for end in ("low", "high"))
    circular = torch.tensor([factor.circular for factor in cars.FACTORS])
    places = torch.where(circular, torch.tensor(places) % 1, torch.tensor(places))
    found = decode(encode((low + (high - low) * (places + turns * circular))[None]))[0]
    assert ((found >= low) & (found < high))[circular].all()
    off = (found - low) / (high - low) - places
    off = torch.where(circular, off - off.round(), off)  # just below the upper end is just above the lower
    assert off.abs().max() < 1e-5


def test_encoded_factors_have_mean_zero_and_variance_one():
    encoded = encode(cars.sample(range(4000), seed=1))
    assert encoded.mean(0).abs().max() < 0.06
    assert (encoded.var(0) - 1).abs().max() < 0.06


class Answers:
    """A scorer that knows the factors of the renderings it is asked about, and errs as it is told."""

    name, attributes = "answers", CarsScorer.attributes

    def __init__(self, readings: Tensor) -> None:
        self.left = readings

    def __call__(self, images: Tensor) -> Tensor:
        now, self.left = self.left.split([len(images), len(self.left) - len(images)])
        return now


def test_r_squared_is_one_of_the_truth_and_falls_by_the_variance_of_the_error():
    true = cars.sample(range(300), seed=3)
    assert r_squared(Answers(true), range(300), seed=3) == pytest.approx(dict.fromkeys(cars.NAMES, 1.0), abs=1e-5)
    index, deviation = cars.NAMES.index("horizon"), 0.5
    sign = torch.ones(300)
    sign[::2] = -1
    wrong = true.clone()
    wrong[:, index] += sign * deviation * true[:, index].std(correction=0)
    found = r_squared(Answers(wrong), range(300), seed=3)
    assert found["horizon"] == pytest.approx(1 - deviation**2, abs=1e-4)
    assert found["sky tone"] == pytest.approx(1)


# --- training and files


TINY = ScorerSettings(steps=3, batch=4)


def test_a_training_depends_on_its_settings_only():
    state = torch.random.get_rng_state()
    first, again, other = (train(settings, Compute()) for settings in (TINY, TINY, TINY.model_copy(update={"seed": 1})))
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert not torch.equal(first.head[0].weight, other.head[0].weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_loss_of_a_training_falls():
    losses: list[float] = []
    train(
        ScorerSettings(steps=25, batch=16), Compute(), lambda done, total, note: losses.append(float(note.split()[-1]))
    )
    means = [sum(part) / len(part) for part in (losses[:5], losses[-5:])]
    assert means[1] < 0.8 * means[0]


def test_a_saved_scorer_is_half_precision_and_says_how_good_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("navbench.testbed.scorer.HELD_OUT", 64)
    path = tmp_path / "new" / "scorer.safetensors"
    found = train_and_save(path, TINY, Compute())
    kept = load_file(path)
    assert {value.dtype for key, value in kept.items() if "num_batches" not in key} == {torch.float16}
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["navbench"])
    assert header == {"settings": TINY.model_dump(), "held_out": 64, "r_squared": found}
    again = r_squared(read_scorer(path), range(64), seeds.derived(TINY.seed, "held out"))
    assert again == pytest.approx(found, abs=1e-6)


def test_the_shipped_scorer_is_small_and_was_measured_as_good():
    assert SHIPPED.stat().st_size <= 1.5e6
    with safe_open(SHIPPED, framework="pt") as file:
        header = json.loads(file.metadata()["navbench"])
    assert header["held_out"] == HELD_OUT
    assert tuple(header["r_squared"]) == cars.NAMES
    assert min(header["r_squared"].values()) >= 0.95
    ScorerSettings.model_validate(header["settings"])


def test_a_file_that_holds_no_scorer_is_refused_in_one_sentence(tmp_path):
    broken, other = tmp_path / "broken.safetensors", tmp_path / "other.safetensors"
    broken.write_bytes(SHIPPED.read_bytes()[:1000])
    tensors = CarsScorer().state_dict()
    cut = {**tensors, "trunk.0.weight": torch.zeros(1, 3, 3, 3)}
    for path in (tmp_path / "absent.safetensors", broken):
        with pytest.raises(NavbenchError, match=r"holds no scorer of cars .*\.$"):
            read_scorer(path)
    save_file(cut, other)
    with pytest.raises(NavbenchError, match=r"'trunk.0.weight' is to be \(16, 3, 3, 3\), found \(1, 3, 3, 3\)"):
        read_scorer(other)
    cut.pop("trunk.0.weight")
    save_file(cut, other)
    with pytest.raises(NavbenchError, match=r"'trunk.0.weight' is to be \(16, 3, 3, 3\), found nothing"):
        read_scorer(other)
    save_file({**tensors, "tail.weight": torch.zeros(1)}, other)
    with pytest.raises(NavbenchError, match=r"'tail.weight' is no part of a scorer of cars; train it anew\.$"):
        read_scorer(other)


@given(st.floats(-1, 1), st.integers(0, 1000))
def test_wear_moves_a_flat_image_by_its_shade_and_contrast_only(level, seed):
    random = torch.Generator().manual_seed(seed)
    found = worn(torch.full((2, 3, 8, 8), level), 0.0, random)
    assert (found - level).abs().max() <= 0.03 * abs(level) + 0.02 + 1e-6
    assert (found.flatten(1).std(dim=1) < 1e-5).all()


def test_wear_grows_with_its_noise_up_to_its_deviation():
    flat = torch.zeros(200, 3, 16, 16)
    deviations = []
    for size in (0.0, 0.03, 0.06):
        images = worn(flat, size, torch.Generator().manual_seed(0))
        grain = images.flatten(1).std(dim=1)
        assert grain.max() <= size * 1.1 + 1e-6
        deviations.append(float(grain.mean()))
    assert all(low < high for low, high in pairwise(deviations))


def test_wear_depends_on_its_generator_only_and_leaves_the_image_in_place():
    images = cars.renderings(range(8), seed=11)
    state, kept = torch.random.get_rng_state(), images.clone()
    first, again, other = (worn(images, 0.06, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).all(dim=(1, 2, 3)).any()
    assert torch.equal(images, kept)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_worn_images_stay_close_to_their_own():
    images = cars.renderings(range(64), seed=11)
    wrong = (worn(images, 0.06, torch.Generator().manual_seed(0)) - images).square().mean(dim=(1, 2, 3)).sqrt()
    assert wrong.max() < 0.15
    assert wrong.max() < images.std(dim=0).mean() / 3  # far less than cars differ from one another


@pytest.mark.parametrize("change", [-1.0, 1.0])
def test_a_wheel_that_leaves_its_range_is_read_as_far_as_it_goes(scorer, change):
    factors = cars.sample(range(300), 77)
    column = cars.NAMES.index("wheel radius")
    moved = factors.clone()
    moved[:, column] += change
    read = (scorer(cars.render(moved)) - scorer(cars.render(factors)))[:, column].mean()
    assert float(read) == pytest.approx(change, rel=0.05)
