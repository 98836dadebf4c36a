"""The quality of generators whose distribution is known: the renderer itself, and what falls short of it."""

import pytest
import torch
from click.testing import CliRunner
from distances import kernel_distance, precision_recall
from PIL import Image

from navbench.cli import main
from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.edit import codes_for
from navbench.generators.base import Generator
from navbench.generators.files import read_header
from navbench.metrics.attributes import Attribute
from navbench.metrics.frechet import FrechetReference, Moments
from navbench.testbed import cars
from navbench.testbed.card import model_card, picture
from navbench.testbed.evaluate import evaluate, factors, measure, rendered
from navbench.testbed.export import changes, export
from navbench.testbed.train import Training, TrainSettings

N = 80


class Draughtsman(Generator):
    """Draws the very distribution: code i becomes factors by the normal distribution function.

    `reach` below 1 keeps every factor so much nearer to the middle of its range.
    """

    def __init__(self, reach=1.0):
        super().__init__()
        self.name, self.description = "draughtsman", "the renderer itself"
        self.latent_dim, self.resolution, self.reach = len(cars.FACTORS), 64, reach
        self.here = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, codes):
        low, high = (torch.tensor([getattr(factor, end) for factor in cars.FACTORS]) for end in ("low", "high"))
        share = 0.5 + self.reach * (torch.special.ndtr(codes.z) - 0.5)
        return cars.render(low + (high - low) * share)

    def layers(self):
        return ()

    before = after = None  # there is no layer to stop at


class Tiles:
    """An extractor of 4x4 mean colours."""

    name, metric = "tiles", "FD"

    def __call__(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)


class Small:
    """A perceptual distance that compares images at an eighth of their size."""

    name = "small"

    def features(self, images):
        return torch.nn.functional.avg_pool2d(images, 8).flatten(1)


class Horizon:
    """A scorer of the one factor that can be read without a network: the share of sky in the first column."""

    name = "horizon"
    attributes = (Attribute("horizon", "px", 28 / 12**0.5),)

    def __call__(self, images):
        # The road is nearly grey, and the sky is not.
        grey = (images[:, :, :, 0].amax(1) - images[:, :, :, 0].amin(1)) < 0.08
        return 64 - grey.float().sum(1, keepdim=True)


def read_horizon():
    """The same as a network, as a package would register it."""
    network = torch.nn.Module()
    network.attributes, network.forward = Horizon.attributes, Horizon().__call__
    return network


def quality(generator, n=N, batch=32, seed=0):
    return evaluate(generator, Tiles(), Horizon(), Small(), n, seed, Compute(batch=batch))


@pytest.fixture(scope="module")
def true():
    return quality(Draughtsman())


@pytest.fixture(scope="module")
def timid():
    return quality(Draughtsman(0.4))


def test_the_renderer_itself_is_as_good_as_other_renderings(true):
    for name in ("frechet", "kernel", "precision", "recall", "perceptual_precision", "perceptual_recall"):
        ours, floor = getattr(true.generated, name), getattr(true.floor, name)
        assert abs(ours.value - floor.value) < 4 * (ours.stderr**2 + floor.stderr**2) ** 0.5, name
    assert true.factors[0].ratio == pytest.approx(1, abs=0.25)


def test_a_generator_of_less_variety_is_precise_but_recalls_less(true, timid):
    assert timid.generated.frechet.value > 4 * true.generated.frechet.value
    assert timid.generated.precision.value >= true.generated.precision.value - 0.05
    assert timid.generated.recall.value < 0.5 * true.generated.recall.value
    assert timid.generated.perceptual_recall.value < 0.5 * true.generated.perceptual_recall.value
    assert timid.factors[0].ratio == pytest.approx(0.4, abs=0.1)
    # A uniform distribution shrunk to 0.4 of its width moved by 0.6 / 4 of it in the mean, of 1 / sqrt(12) spread.
    assert timid.factors[0].distance == pytest.approx(0.6 / 4 * 12**0.5, abs=0.15)
    assert timid.factors[0].floor < 0.3


def test_the_floor_does_not_depend_on_the_generator(true, timid):
    assert true.floor.frechet.value == timid.floor.frechet.value
    assert true.factors[0].floor == timid.factors[0].floor


def test_the_floor_is_of_other_renderings_than_the_reference(true):
    assert true.floor.frechet.value > 3 * true.floor.frechet.stderr
    assert true.floor.precision.value < 1
    assert true.factors[0].floor > 0.01


def test_the_batch_changes_nothing(true):
    other = quality(Draughtsman(), batch=7)
    assert other.generated.frechet.value == pytest.approx(true.generated.frechet.value, rel=1e-4)
    assert other.factors == true.factors


def test_the_numbers_are_those_of_the_projects_own_metrics(true):
    compute = Compute()
    made = Draughtsman()
    images = made(codes_for(made, "quality", range(N), 0))
    features, reference = (
        Tiles()(images),
        measure(rendered(0, "quality"), N, Tiles(), Horizon(), Small(), compute).features,
    )
    frechet = FrechetReference.from_moments(Moments.of(reference)).distance(Moments.of(features))
    assert true.generated.frechet.value == pytest.approx(frechet, rel=1e-4)
    kernel = kernel_distance(features, reference).value
    assert true.generated.kernel.value == pytest.approx(kernel, rel=1e-4)
    assert true.generated.recall.value == precision_recall(features, reference).recall.value


def test_a_circular_factor_is_compared_around_the_circle_and_has_no_spread():
    angle = Attribute("hue", "degrees", 360 / 12**0.5, 360.0)
    reference = 360 * (torch.arange(100.0)[:, None] / 100)
    turned = (reference + 90) % 360
    narrow = torch.full((100, 1), 359.0)
    same, single = factors([angle], turned, reference, reference)[0], factors([angle], narrow, reference, reference)[0]
    assert same.distance == pytest.approx(0, abs=1e-6)
    assert single.distance == pytest.approx(90 / (360 / 12**0.5), rel=0.02)  # a quarter of the circle in the mean
    assert same.ratio is None
    assert same.rendered_spread is None


def test_progress_counts_all_three_kinds_of_images():
    told = []

    def report(done, total, note=""):
        told.append((done, total))

    evaluate(Draughtsman(), Tiles(), Horizon(), Small(), 8, 0, Compute(batch=4), report)
    assert told == [(done, 24) for done in (4, 8, 12, 16, 20, 24)]


def test_too_few_images_are_refused():
    with pytest.raises(NavbenchError, match="more than 3 images"):
        quality(Draughtsman(), n=3)


# --- the card and the commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A training of a few steps, once changed, with its export."""
    place = tmp_path_factory.mktemp("training")
    sizes = {"latent_dim": 8, "style_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8}
    settings = TrainSettings(images=4, batch=2, critic_base=64, save_every=2, **sizes)
    Training(settings, Compute(), place).run()
    Training(settings.model_copy(update={"images": 8, "r1": 0.5}), Compute(), place).run()
    export(place, place / "cars.safetensors", "two cores, 2020.", ["It was interrupted by lunch."])
    return place


def test_the_card_tells_the_training_and_every_number_with_its_floor(folder, true):
    text = model_card(read_header(folder / "cars.safetensors"), true, 1234, "cars.png")
    for said in (
        "MIT",
        "1,234 parameters",
        "![64 generated cars beside 64 rendered ones](cars.png)",
        "- At 4 images: r1 2.0 -> 0.5.",
        "- It was interrupted by lunch.",
        "| hardware | two cores, 2020. |",
        "| renderings seen | 8, each once |",
        f"{N} generated images against {N} fresh renderings",
    ):
        assert said in text
    generated, floor = true.generated.frechet, true.floor.frechet
    cells = [f"{each.value:.2f} ± {each.stderr:.2f}" for each in (generated, floor)]
    assert f"| FD (tiles) | {cells[0]} | {cells[1]} |" in text
    row = next(line for line in text.splitlines() if line.startswith("| horizon |"))
    assert f"| {true.factors[0].distance:.3f} | {true.factors[0].floor:.3f} |" in row


def test_the_picture_shows_64_generated_beside_64_rendered_images(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(Draughtsman(), 0))
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (8 * 64 + 8 + 8 * 64, 8 * 64)
        assert image.getpixel((8 * 64 + 4, 100)) == (255, 255, 255)


def run(*arguments):
    return CliRunner().invoke(main, ["testbed", *map(str, arguments)])


def test_export_never_replaces_a_file_unasked(folder, tmp_path):
    out = tmp_path / "mine.safetensors"
    out.write_text("mine")
    refused = run("export", folder, "--out", out)
    assert refused.exit_code == 2
    assert "--force" in refused.output
    assert out.read_text() == "mine"
    assert run("export", folder, "--out", out, "--force").exit_code == 0
    assert read_header(out).card["images"] == 8


def test_evaluate_refuses_before_any_work_where_a_picture_stands(folder, tmp_path):
    (tmp_path / "card.png").write_text("mine")
    refused = run("evaluate", "--generator", folder / "cars.safetensors", "--card", tmp_path / "card.md")
    assert refused.exit_code == 2
    assert "card.png is there already" in refused.output


def test_evaluate_prints_every_number_of_its_card(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores = ("--scorer", f"{__name__}:read_horizon", "--samples", 8, "--batch", 8)
    done = run("evaluate", "--generator", folder / "cars.safetensors", *scores, "--card", "card.md")
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "card.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(("| FD", "| KID", "| precision", "| recall", "| horizon"))]
    assert len(rows) == 7
    printed = done.output.splitlines()
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert any(all(cell in line for cell in cells) for line in printed), row
    assert (tmp_path / "card.png").is_file()


def test_samples_draws_the_renderings_that_a_card_shows(tmp_path):
    assert run("samples", "--count", 64, "--out", tmp_path / "s.png").exit_code == 0
    (tmp_path / "card.png").write_bytes(picture(Draughtsman(), 0))
    with Image.open(tmp_path / "s.png") as alone, Image.open(tmp_path / "card.png") as beside:
        assert alone.tobytes() == beside.crop((8 * 64 + 8, 0, *beside.size)).tobytes()


def test_samples_draws_a_sheet_of_a_named_generator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"{__name__}:Draughtsman"
    done = run("samples", "--generator", name, "--count", 9, "--out", "s.png")
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "s.png") as image:
        assert image.size == (8 * 64, 2 * 64)


def test_train_goes_on_in_its_folder_and_refuses_another_seed(tmp_path):
    command = ("train", "--out", tmp_path, "--batch", 2, "--precision", "float32")
    assert run(*command, "--images", 2).exit_code == 0
    assert run(*command, "--images", 4, "--r1", 0.5).exit_code == 0
    assert changes(tmp_path / "log.csv") == [{"images": 2, "change": "r1 2.0 -> 0.5"}]
    refused = run(*command, "--images", 6, "--seed", 1)
    assert refused.exit_code == 2
    assert "was trained with seed 0 (not 1)" in refused.output


def test_export_of_an_empty_folder_is_one_sentence(tmp_path):
    refused = run("export", tmp_path, "--out", tmp_path / "a")
    assert refused.exit_code == 2
    assert refused.output.startswith("Error: There is no checkpoint")
