"""Directions of single style channels: those that change images most, and those of attributes."""

import sys

import analytic
import pytest
import torch
from torch import nn

from navbench import seeds
from navbench.basis import DenseBasis
from navbench.compute import Compute
from navbench.directions import Direction, write_set
from navbench.discovery.channels import Specific, channel_changes, channel_sensitivities, most_specific
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings, StylespaceSettings
from navbench.errors import NavbenchError
from navbench.experiments.edit import Edit
from navbench.experiments.imitation import imitate
from navbench.library import open_set
from navbench.methods import admitted, control_of, is_determined
from navbench.metrics.attributes import Attribute, create_scorer
from navbench.spaces import LatentSpace
from navbench.suite import parse


def generator():
    """One whose channel to_rgbs.0:2 moves red alone, and to_rgbs.0:5 green alone, both far more than any other."""
    made = analytic.styled(8)
    for layer in (made.conv1, *made.convs):
        layer.conv.modulation.weight.mul_(0.01)  # so that a standard deviation of their channels is little
    for colours in (made.to_rgb1, *made.to_rgbs):
        colours.conv.weight.mul_(0.05)
    made.to_rgbs[0].conv.weight[:, 2, 0, 0] = torch.tensor([1.0, 0, 0])
    made.to_rgbs[0].conv.weight[:, 5, 0, 0] = torch.tensor([0, 1.0, 0])
    return made


class Colours(nn.Module):
    """The means of the three colours; blue is read at a hundredth."""

    attributes = tuple(Attribute(name, "", spread) for name, spread in (("red", 0.1), ("green", 0.1), ("blue", 10.0)))

    def forward(self, images):
        return images.mean(dim=(2, 3))


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    monkeypatch.setitem(sys.modules, "test_channels", sys.modules[__name__])


SPACE = LatentSpace(generator(), "s")
NAMES = SPACE.generator.latent_names("s")
HOW = StylespaceSettings(codes=8, probes=8, candidates=20, scorer="test_channels:Colours")
SETTINGS = DiscoverySettings(directions=4, effect=0.05, effect_codes=4, stylespace=HOW)


def found(method, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return Discovery(SPACE, analytic.Quadratic(), settings, Compute(batch=5), 3).run(method)


def test_sensitivities_are_half_the_diagonal_of_the_perceptual_hessian():
    how = (analytic.Quadratic(), 4, 200, Compute(batch=3), 1)
    values = channel_sensitivities(SPACE, *how).values
    codes = SPACE.prepare(SPACE.generator.sample(range(4), seeds.derived(1, "channels")))
    jacobian = torch.func.jacfwd(lambda offset: how[0].features(SPACE.render(codes, offset)))(torch.zeros(SPACE.shape))
    exact = jacobian.square().sum(dim=1).mean(dim=0)
    assert exact.max() > 20 * exact.median()
    torch.testing.assert_close(values, exact, rtol=0.25, atol=1e-6)  # 800 probes: two in a hundred err by 0.05
    again = channel_sensitivities(SPACE, *how[:3], Compute(batch=4), 1).values
    torch.testing.assert_close(again, values, rtol=1e-4, atol=1e-7)


def test_stylespace_is_the_channels_that_change_images_most():
    one = found("stylespace")
    sensitivities = channel_sensitivities(SPACE, analytic.Quadratic(), 8, 8, Compute(batch=5), 3).values
    channels = sensitivities.topk(4).indices
    assert {"to_rgbs.0:2", "to_rgbs.0:5"} <= set(one.provenance["channels"])
    assert one.provenance["channels"] == [NAMES[channel] for channel in channels]
    assert torch.equal(one.scores["sensitivity"], sensitivities[channels])
    for direction, channel in zip(one, channels, strict=True):
        assert torch.equal(direction.offset, torch.eye(len(NAMES))[channel])
        assert direction.t_min < 0 < direction.t_max
    assert (one.space, one.layer, one.basis_name) == ("s", None, "identity")


def test_a_set_of_channels_is_read_as_it_was_written(tmp_path):
    one = found("stylespace", directions=2)
    write_set(one, tmp_path / "a.safetensors")
    again = open_set(tmp_path / "a.safetensors").load(SPACE.generator)
    assert again.cache_key == one.cache_key
    assert again.provenance["channels"] == one.provenance["channels"]


def test_channels_of_attributes_move_those_alone_and_take_turns():
    one = found("stylespace-attributes")
    assert one.provenance["channels"][:2] == ["to_rgbs.0:2", "to_rgbs.0:5"]
    assert one.provenance["attributes"][:2] == ["red", "green"]
    assert one.scores["specificity"][:2].min() > 0.95
    assert len(set(one.provenance["channels"])) == 4


def test_changes_are_in_sigmas_from_a_step_down_to_a_step_up():
    channel, compute = NAMES.index("to_rgbs.0:2"), Compute(batch=3)
    scorer = create_scorer("test_channels:Colours", compute)
    (means,) = channel_changes(SPACE, scorer, [channel], 4, compute, 0).means
    state = SPACE.prepare(SPACE.generator.sample(range(4), seeds.derived(0, "channel changes")))
    step = torch.eye(len(NAMES))[channel]
    down, up = (SPACE.render(state, sign * step).clamp(-1, 1).mean(dim=(0, 2, 3)) for sign in (-1, 1))
    torch.testing.assert_close(means, (up - down) / torch.tensor([0.1, 0.1, 10.0]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("means", "count", "expected"),
    [
        ([[1.0, 0.0], [0.5, 0.5], [0.0, -2.0]], 3, [(2, 1, 1.0), (0, 0, 1.0), (1, 0, 0.5)]),
        ([[3.0, 0.0], [2.0, 0.0], [0.0, 0.1]], 3, [(0, 0, 1.0), (2, 1, 1.0), (1, 0, 1.0)]),  # turns, not size
        ([[3.0, 3.0], [2.0, 0.0]], 1, [(1, 0, 1.0)]),  # 3 of which a half is its own is less than 2
        ([[0.0, 0.0], [0.0, 1.0]], 5, [(1, 1, 1.0)]),
        ([[0.0, 0.0]], 5, []),
    ],
)
def test_the_most_specific_channels_take_turns(means, count, expected):
    assert most_specific(torch.tensor(means), count) == [Specific(*each) for each in expected]


def test_methods_of_channels_are_refused_elsewhere_and_without_a_scorer():
    assert admitted(["stylespace", "stylespace-attributes", "ganspace"], "w") == ("ganspace",)
    assert admitted(["stylespace", "stylespace-attributes", "ganspace"], "s") == ("stylespace", "stylespace-attributes")
    assert control_of("stylespace") == "random"
    assert not is_determined("stylespace")
    with pytest.raises(NavbenchError, match="asks an attribute scorer; name one"):
        found("stylespace-attributes", stylespace=HOW.model_copy(update={"scorer": ""}))
    with pytest.raises(NavbenchError, match="not defined in w spaces"):
        Discovery(LatentSpace(SPACE.generator, "w"), analytic.Quadratic(), SETTINGS, Compute(), 3).run("stylespace")


def test_an_edit_of_w_is_imitated_in_s_and_one_of_s_is_not_in_w():
    made = analytic.styled(8)
    compute = Compute(batch=8)

    def left(kind, offset, target):
        basis = DenseBasis(offset[None])
        direction = Direction("styled", "random", kind, None, 0, "", basis, torch.ones(1), -1.0, 1.0)
        edit = Edit(made, direction, compute)
        found = imitate(LatentSpace(made, target), edit, 1.0, analytic.Quadratic(), 0, 8, 8, 60, 0)
        return found.unexplained_fraction.value

    assert left("w", analytic.noise(1, 8), "s") < 0.01
    assert left("s", analytic.noise(2, *made.latent_shape("s")), "w") > 0.1


def test_a_suite_names_the_space_and_its_methods_and_gives_its_scorer():
    text = """
    name = "s"
    [[generators]]
    name = "cars"
    scorer = "cars"
    latents = ["s"]
    latent_methods = ["stylespace", "stylespace-attributes", "random"]
    [reproduction]
    targets = ["s", "w"]
    """
    suite = parse(text, "a suite")
    assert suite.discovery_of(suite.generators[0]).stylespace.scorer == "cars"
    assert "s" in suite.reproduction.targets
    assert "s" not in parse('name = "s"\n[[generators]]\nname = "cars"', "a suite").reproduction.targets
    assert suite.generators[0].all_methods[-3:] == ("stylespace", "stylespace-attributes", "random")
