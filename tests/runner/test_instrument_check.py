"""The check of the instrument: with extractors whose answers are known, and on the shipped generators."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import toy
from analytic import Extractor, noise, wrapped
from made_up import measurement
from torch import nn

from navbench import suite
from navbench.compute import Compute
from navbench.experiments.edit import codes_for, unshifted
from navbench.experiments.instrument import ENOUGH, FLOORS, OVERLAP, Instrument, damaged_shard
from navbench.library import SHIPPED
from navbench.metrics.damage import DAMAGES, STEPS, damaged
from navbench.report.instrument import trusted
from navbench.report.tables import load_run
from navbench.seeds import Role

CODES = 14


class Tiles(nn.Module):
    """A generator of 6x6 even tiles with sharp edges, from (N, 12) codes to (N, 3, 24, 24) images."""

    latent_dim = 12

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(12, 3, 6)
        for index, parameter in enumerate(self.parameters()):
            parameter.data = 0.2 * noise(index, *parameter.shape)

    def forward(self, z):
        return F.interpolate(torch.tanh(self.up(z[:, :, None, None])), scale_factor=4)


GENERATOR = f"{__name__}:Tiles"
NAME = f"{__name__}.Tiles"


class Thumbnails(nn.Module):
    """An extractor that sees each tile's colour, and what is uneven in tiles and between them."""

    def forward(self, images):
        """Of each of 6x6 fields the mean and the deviation, and the deviation of the means, (N, 219)."""
        fields = F.unfold(images, images.shape[2] // 6, stride=images.shape[2] // 6)
        fields = fields.unflatten(1, (3, -1))
        means, uneven = fields.mean(2), fields.std(2)
        return torch.cat([means.flatten(1), 6 * uneven.flatten(1), 30 * means.std(2)], dim=1)


class Blind(nn.Module):
    """An extractor that ignores images."""

    def forward(self, images):
        """The same four features of all, (N, 4)."""
        return torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(len(images), 4)


class Flat(nn.Module):
    """An extractor that sees the mean colour, which no blur and no shuffle changes."""

    def forward(self, images):
        """(N, 3)."""
        return images.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """A folder of direction sets of that generator."""
    return toy.write_sets(tmp_path_factory.mktemp("tiles"), GENERATOR, methods=("svd",))


def check(folder, tiles, extractor, samples=64):
    """The tables of a check of the tiles by an extractor of this module."""
    subject = {"name": GENERATOR, "layers": ["up"], "methods": ["svd"]}
    curves = {"extractor": f"{__name__}:{extractor}", "samples": 8, "shard": 32}
    chosen = toy.tiny(generators=[subject], experiments=["curves"], curves=curves, instrument={"samples": samples})
    toy.execute(folder, chosen, tiles)
    return load_run(folder)


def verdicts(tables):
    """By check, whether it is passed in every metric."""
    return tables.instrument.groupby("check", sort=False)["passed"].all().to_dict()


# --- the pieces --------------------------------------------------------------------------------------------------


def shard(batch=32, indices=range(CODES)):
    return damaged_shard(wrapped(), STEPS, indices, 0, Extractor(), Compute(batch=batch))


def test_a_shard_has_images_as_they_are_and_with_each_damage():
    generator = wrapped()
    images = unshifted(generator, codes_for(generator, Role.INSTRUMENT, range(CODES), 0), Compute())
    expected = [images, *(damaged(images, step, range(CODES), 0) for step in STEPS)]
    torch.testing.assert_close(shard().features, torch.stack([Extractor()(each) for each in expected]))


@pytest.mark.parametrize("batch", [1, 5])
def test_features_do_not_depend_on_the_batch_or_the_shards(batch):
    whole = shard().features
    torch.testing.assert_close(shard(batch).features, whole, rtol=1e-4, atol=1e-6)
    parts = [shard(batch, part).features for part in (range(3), range(3, CODES))]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-6)


# --- extractors whose answers are known --------------------------------------------------------------------------


def test_an_extractor_that_sees_damage_passes(tmp_path, tiles):
    tables = check(tmp_path / "run", tiles, "Thumbnails")
    assert verdicts(tables) == dict.fromkeys((*FLOORS, *(damage.name for damage in DAMAGES), OVERLAP), True)
    assert trusted(tables, NAME)


def test_an_extractor_that_ignores_images_fails(tmp_path, tiles):
    tables = check(tmp_path / "run", tiles, "Blind")
    told = set(tables.instrument["reason"])
    assert "the FD of different images is 0, so the extractor ignores them" in told
    assert "the strongest blur raises FD by 0, which is not significant" in told
    assert any(reason.startswith("precision falls by less than") for reason in told)
    assert not trusted(tables, NAME)


def test_an_extractor_that_sees_the_mean_colour_alone_misses_what_keeps_it(tmp_path, tiles):
    passed = verdicts(check(tmp_path / "run", tiles, "Flat"))
    assert not passed["block shuffle"]
    assert passed[FLOORS[0]]
    assert passed[FLOORS[1]]


def test_no_damage_scores_what_unshifted_images_do(tmp_path, tiles):
    rows = check(tmp_path / "run", tiles, "Thumbnails", samples=16).instrument
    zero = rows[(rows["strength"] == 0) & (rows["unit"] != "")]
    assert (zero.groupby("metric")["value"].nunique() == 1).all()
    assert len(zero) == 2 * len(DAMAGES)
    assert (rows["n"] == 16).all()
    assert (rows["n_reference"] == 16).all()


# --- references --------------------------------------------------------------------------------------------------


def test_a_reference_of_files_is_halved(tmp_path, sets):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(2 * ENOUGH + 5):
        pixels = np.random.default_rng(index).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        toy.picture(torch.from_numpy(pixels)).save(folder / f"{index}.png")
    subject = toy.tiny().generators[0].model_dump() | {"reference": str(folder)}
    toy.execute(tmp_path / "run", toy.tiny(generators=[subject], experiments=["curves"]), sets)
    rows = pd.read_csv(tmp_path / "run" / "tables" / "instrument.csv")
    of_reference = rows[rows["check"] == FLOORS[1]]
    assert (of_reference["n"] == ENOUGH + 2).all()
    assert (rows["n_reference"] == ENOUGH + 2).all()


def test_a_reference_without_images_is_not_checked_and_that_is_told():
    subject = toy.tiny().generators[0].model_dump() | {"reference": "statistics.npz"}
    on = measurement(suite=toy.tiny(generators=[subject], experiments=["curves"]), sets=[["a"]])
    assert not on.wants(Instrument)
    assert list(Instrument().gaps(on)) == [
        "The instrument was not checked on cars, whose reference does not have two halves of 8 images or more."
    ]
    without = measurement(suite=toy.tiny(generators=[subject], experiments=[]), sets=[["a"]])
    assert not list(Instrument().gaps(without))


def test_without_curves_nothing_is_checked(tmp_path, sets):
    toy.execute(tmp_path, toy.tiny(experiments=["locality"]), sets)
    assert not (tmp_path / "tables" / "instrument.csv").exists()


# --- the shipped generators --------------------------------------------------------------------------------------


def shipped(folder, generator, layer, reference, extractor, samples):
    """The tables of a check of a shipped generator."""
    subject = {"name": generator, "layers": [layer], "methods": ["svd"], "reference": reference}
    curves = {"directions": 1, "shifts": 3, "samples": 4, "effect_samples": 2, "extractor": extractor}
    small = {"curves": curves, "instrument": {"samples": samples}, "screening": {"samples": 2}}
    chosen = suite.parse('name = "check"\n[[generators]]\nname = "faces"\n', "check.toml")
    toy.execute(folder, chosen.with_values(generators=[subject], experiments=["curves"], **small), SHIPPED)
    return load_run(folder)


def test_on_cars_the_instrument_check_rejects_efficientnet_lite0(tmp_path):
    tables = shipped(tmp_path / "run", "cars", "convs.5", "renderings", "efficientnet-lite0", 12)
    assert not trusted(tables, "cars")
    told = set(tables.instrument["reason"])
    assert "precision of unshifted images is 0, below 0.05" in told
    assert any(reason.startswith("FD falls under more") for reason in told)


@pytest.mark.parametrize(
    ("generator", "layer", "reference"), [("cars", "convs.5", "renderings"), ("faces", "main.9", "unshifted")]
)
def test_the_instrument_check_accepts_what_the_presets_use(tmp_path, generator, layer, reference):
    extractor = suite.read("quick").curves.extractor
    tables = shipped(tmp_path / "run", generator, layer, reference, extractor, 32)
    assert trusted(tables, generator), set(tables.instrument["reason"])
