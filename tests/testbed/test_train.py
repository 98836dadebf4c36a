"""A training is a function of its settings: interrupted, continued or not, it ends with the same weights."""

import csv
import math
import re

import pytest
import torch

from navbench import seeds
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.generators.files import read_generator, read_header
from navbench.testbed import cars
from navbench.testbed.discriminator import Discriminator, EqualConv2d
from navbench.testbed.export import changes, export
from navbench.testbed.train import Training, TrainSettings, read_checkpoint

SETTINGS = TrainSettings(
    images=12, batch=2, latent_dim=8, style_dim=8, mapping_layers=2, channel_base=64, channel_max=8, critic_base=64,
    r1_every=2, average=8, save_every=4, sample_every=1000,
)  # fmt: skip


def trained(folder, settings=SETTINGS, **changed):
    training = Training(settings.model_copy(update=changed), Compute(), folder)
    training.run()
    return training


def log(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def states(training):
    return [training.generator.state_dict(), training.critic.state_dict(), training.average.state_dict()]


def same(ours, theirs):
    return all(torch.equal(a[key], b[key]) for a, b in zip(states(ours), states(theirs), strict=True) for key in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training from beginning to end."""
    return trained(tmp_path_factory.mktemp("whole"))


def test_an_interrupted_training_ends_with_the_very_same_weights(whole, tmp_path):
    trained(tmp_path, images=4)
    assert same(trained(tmp_path), whole)


def test_a_killed_training_goes_on_from_its_last_checkpoint(whole, tmp_path):
    class Killed(Exception):
        pass

    def kill(done, total, note=""):
        if done == 6:
            raise Killed

    with pytest.raises(Killed):
        Training(SETTINGS, Compute(), tmp_path).run(kill)
    assert read_checkpoint(tmp_path / "checkpoint.pt").images == 4
    assert same(trained(tmp_path), whole)
    events = [(row["event"], row["images"]) for row in log(tmp_path)]
    assert events == [("begun", "0"), ("saved", "4"), ("resumed", "4"), ("saved", "8"), ("saved", "12")]


def test_another_seed_gives_other_weights(whole, tmp_path):
    assert not same(trained(tmp_path, seed=1), whole)


def test_training_takes_nothing_from_the_global_random_numbers(tmp_path):
    before = torch.get_rng_state()
    trained(tmp_path, images=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_changed_settings_are_used_and_told_by_the_log(tmp_path):
    trained(tmp_path, images=4)
    training = trained(tmp_path, images=8, batch=4, r1=0.5, learning_rate=1e-3)
    assert log(tmp_path)[2]["event"] == "resumed, batch 2 -> 4, learning_rate 0.002 -> 0.001, r1 2.0 -> 0.5"
    assert training.generator_steps.param_groups[0]["lr"] == 1e-3
    assert training.critic_steps.param_groups[0]["lr"] == pytest.approx(1e-3 * 2 / 3)
    assert read_checkpoint(training.checkpoint).settings.batch == 4


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 1}, "seed 0 (not 1)"),
        ({"channel_base": 128}, "channel_base 64 (not 128)"),
        ({"latent_dim": 4, "mixing": 0.5}, "latent_dim 8 (not 4), mixing 0.9 (not 0.5)"),
    ],
)
def test_a_training_does_not_go_on_as_another(whole, changed, told):
    with pytest.raises(NavbenchError, match=re.escape(f"trained with {told}; use the same, or another folder")):
        Training(SETTINGS.model_copy(update=changed), Compute(), whole.folder)


def test_every_saved_line_of_the_log_has_the_last_known_penalty(whole):
    rows = [row for row in log(whole.folder) if row["event"] == "saved"]
    assert rows
    assert all(float(row["penalty"]) > 0 for row in rows)


def test_the_checkpoint_keeps_its_published_form(whole):
    kept = torch.load(whole.checkpoint, weights_only=True)
    parts = {"generator", "critic", "average", "generator_steps", "critic_steps"}
    assert set(kept) == parts | {"images", "seconds", "settings"}
    assert kept["settings"] == SETTINGS.model_dump()


def test_the_average_moves_as_its_half_life_says(tmp_path):
    training = Training(SETTINGS, Compute(), tmp_path)
    before = training.average.conv1.conv.weight.clone()
    training.step()
    now = training.generator.conv1.conv.weight.detach()
    keep = 0.5 ** (2 / (0.05 * 2))  # at 2 images of 2 a step, the memory is a twentieth of what was seen
    assert torch.allclose(training.average.conv1.conv.weight, keep * before + (1 - keep) * now, atol=1e-6)


def test_a_step_has_the_non_saturating_losses_on_the_next_renderings(tmp_path):
    training = Training(SETTINGS.model_copy(update={"r1_every": 5}), Compute(), tmp_path)
    training.step()  # with a penalty; the next is without

    seen = []
    training.critic.register_forward_hook(lambda _, images, logits: seen.append((images[0], logits.detach())))
    losses = training.step()
    (fake, on_fake), (real, on_real), (same_fake, judged) = seen
    assert torch.equal(real, cars.renderings([2, 3], seeds.derived(SETTINGS.seed, "renderings")))
    assert torch.equal(fake, same_fake)
    expected = -torch.sigmoid(-on_fake).log().mean() - torch.sigmoid(on_real).log().mean()
    assert losses["discriminator_loss"] == pytest.approx(float(expected), rel=1e-4)
    assert losses["generator_loss"] == pytest.approx(float(-torch.sigmoid(judged).log().mean()), rel=1e-4)


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_styles_and_noise_are_new_in_each_step_and_mixed_as_asked(tmp_path, mixing):
    training = Training(SETTINGS.model_copy(update={"mixing": mixing}), Compute(), tmp_path)
    first, last = [], []
    training.generator.conv1.register_forward_pre_hook(lambda _, given: first.append(given[1:3]))
    training.generator.to_rgbs[-1].register_forward_pre_hook(lambda _, given: last.append(given[1]))
    for _ in range(2):
        training.step()
    (w, noise), (later_w, later_noise) = first
    assert not torch.allclose(w, later_w)
    assert not torch.equal(noise, later_noise)
    for (early, _), late in zip(first, last, strict=True):
        assert torch.equal(early, late) == (mixing == 0)


def test_the_penalty_is_the_squared_slope_of_the_discriminator(tmp_path):
    training = Training(SETTINGS, Compute(), tmp_path)
    weight = torch.randn(3 * 64 * 64, generator=torch.Generator().manual_seed(0)) / 100

    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(weight.clone())

        def forward(self, images):
            return images.flatten(1) @ self.weight

    training.critic = Linear()
    training.critic_steps = torch.optim.SGD(training.critic.parameters(), lr=0.01)
    training._penalise_critic(torch.zeros(2, 3, 64, 64))
    assert training._penalty["penalty"] == pytest.approx(float(weight.square().sum()), rel=1e-5)
    gradient = SETTINGS.r1 * SETTINGS.r1_every * weight  # of gamma/2 |w|^2, times the steps it stands for
    assert torch.allclose(training.critic.weight, weight - 0.01 * gradient, atol=1e-7)


def test_a_training_that_diverges_keeps_its_last_good_checkpoint(tmp_path):
    trained(tmp_path, images=4)
    training = Training(SETTINGS, Compute(), tmp_path)
    with torch.no_grad():
        training.critic.logit.bias.fill_(math.nan)
    with pytest.raises(Failure, match="diverged at 6 images"):
        training.run()
    kept = read_checkpoint(training.checkpoint)
    assert kept.images == 4
    assert torch.isfinite(kept.states["critic"]["logit.bias"]).all()


@pytest.mark.parametrize("content", [b"", b"PK", b"hello"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(NavbenchError, match="not a checkpoint of a training"):
        Training(SETTINGS, Compute(), tmp_path)


def test_a_state_of_other_sizes_is_refused_by_its_part(whole, tmp_path):
    kept = torch.load(whole.checkpoint, weights_only=True)
    kept["critic"]["logit.bias"] = torch.zeros(2)
    torch.save(kept, tmp_path / "checkpoint.pt")
    with pytest.raises(NavbenchError, match="no usable state of 'critic'"):
        Training(SETTINGS, Compute(), tmp_path)


# --- the discriminator


def test_a_logit_depends_on_its_own_group_of_images_only():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = Discriminator(64, 64, 8)
        images = torch.randn(8, 3, 64, 64)
    together = critic(images)
    groups = [images[start::2] for start in (0, 1)]  # of eight images, every second belongs to a group of four
    apart = torch.stack([critic(group) for group in groups], dim=1).flatten()
    assert torch.allclose(together, apart, atol=1e-4)
    lonely = critic(images[:1])
    assert not torch.allclose(together[:1], lonely, atol=1e-4)


def test_every_image_is_told_the_deviation_within_its_group():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = Discriminator(64, 64, 8)
    told = []
    critic.last.register_forward_pre_hook(lambda _, given: told.append(given[0]))
    strength = torch.tensor([10.0, 90.0] * 4).view(8, 1, 1, 1)  # the groups, every second image each, deviate unequally
    critic(strength * torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    features, deviation = told[0][:, :-1], told[0][:, -1]
    for group in (slice(0, None, 2), slice(1, None, 2)):
        expected = features[group].std(dim=0, unbiased=False).mean()
        assert expected > 0.01
        # to within the 1e-8 beneath the root
        assert torch.allclose(deviation[group], expected.expand(4, 4, 4), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [1, 3])
def test_halving_keeps_a_constant_image(size):
    layer = EqualConv2d(1, 1, size, down=True, activate=False)
    torch.nn.init.constant_(layer.weight, 1 / (size * size * layer.gain))
    inner = layer(torch.full((1, 1, 16, 16), 3.0))[..., 2:-2, 2:-2]
    assert inner.shape == (1, 1, 4, 4)
    assert torch.allclose(inner, torch.tensor(3.0))


# --- export


def test_the_export_is_the_average_at_half_precision_with_its_mean_style(whole, tmp_path):
    export(whole.folder, tmp_path / "cars.safetensors", "two cores.", ["slowly."])
    read = read_generator(tmp_path / "cars.safetensors")
    for key, value in whole.average.state_dict().items():
        if key != "w_avg":
            assert torch.equal(read.state_dict()[key], value.half().float()), key
    with torch.no_grad():
        mean = read.style(read.sample(range(4000), 5).z).mean(0)
    spread = read.style(read.sample(range(4000), 5).z).std(0)
    assert ((read.w_avg - mean).abs() < 5 * spread * (1 / 4000 + 1 / 10000) ** 0.5 + 2e-3).all()


def test_the_export_tells_how_the_generator_was_trained(tmp_path):
    trained(tmp_path, images=4)
    trained(tmp_path, images=8, r1=0.5)
    export(tmp_path, tmp_path / "cars.safetensors", "two cores.", ["slowly."])
    card = read_header(tmp_path / "cars.safetensors").card
    assert card["changes"] == [{"images": 4, "change": "r1 2.0 -> 0.5"}]
    assert (card["images"], card["settings"]["r1"], card["hardware"], card["notes"]) == (
        8,
        0.5,
        "two cores.",
        ["slowly."],
    )


def test_an_export_of_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(NavbenchError, match="There is no checkpoint"):
        export(tmp_path, tmp_path / "cars.safetensors")


def test_a_damaged_log_is_refused(tmp_path):
    (tmp_path / "log.csv").write_text("images,event\nmany,r1 1 -> 2\n")
    with pytest.raises(NavbenchError, match="not the log of a training"):
        changes(tmp_path / "log.csv")
