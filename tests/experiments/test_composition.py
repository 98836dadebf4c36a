"""Pairs of edits on a generator that is linear in its kernel and in its code, so that what is left over is known."""

import pytest
import torch
from analytic import LinearGenerator, direction, direction_set, edit, noise, styled, wrapped
from test_readings import Means

from navbench.compute import Compute
from navbench.errors import Failure
from navbench.experiments.composition import edited, interaction, paired, relation
from navbench.experiments.edit import Edit, codes_for
from navbench.metrics.composition import interaction_parts, relative_interaction

INDICES, SIDE = range(12), 4
GENERATOR = LinearGenerator(side=SIDE)
CHANNEL, IMAGE = 1, noise(5, 3, SIDE, SIDE)


def weights(image=IMAGE, channel=CHANNEL, end=2.0):
    """The edit that adds t times the code's number of a channel times an image of unit norm."""
    return edit(GENERATOR, GENERATOR.row(channel, image), layer="map", ends=(-1.0, end))


def code(channel=CHANNEL, end=3.0):
    """The edit that adds t to the code's number of a channel."""
    return edit(GENERATOR, torch.eye(GENERATOR.latent_dim)[channel], space="z", ends=(-1.0, end))


@pytest.mark.parametrize(("one", "other"), [(weights(), weights(noise(6, 3, SIDE, SIDE))), (code(0), code(1))])
def test_edits_of_one_tensor_that_a_generator_is_linear_in_add_up(one, other):
    found = interaction(one, other, INDICES, 0, Means())
    for parts in (found.pixels, found.attributes):
        assert relative_interaction(parts).value == pytest.approx(0, abs=1e-9)


def test_an_edit_of_weights_and_one_of_the_code_are_more_than_their_sum_by_the_product_of_both_shifts():
    found = interaction(weights(end=2.0), code(end=3.0), INDICES, 0)
    image = IMAGE / IMAGE.norm()
    z = codes_for(GENERATOR, "composition", INDICES, 0).z[:, CHANNEL, None, None, None]
    whole = 2 * z * image + 3 * GENERATOR.map.weight[CHANNEL] + 6 * image
    torch.testing.assert_close(found.pixels[:, 0].float(), torch.full((len(INDICES),), 36.0), rtol=1e-4, atol=0)
    torch.testing.assert_close(found.pixels[:, 1].float(), whole.square().flatten(1).sum(1), rtol=1e-4, atol=0)
    assert found.attributes.shape == (0, 2)


def test_an_edit_of_weights_that_the_code_does_not_meet_adds_up_with_it():
    found = interaction(weights(channel=0), code(channel=1), INDICES, 0)
    assert relative_interaction(found.pixels).value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "others", [("conv1", "convs.1"), ("convs.0", "w"), ("w", "w"), ("convs.1", "convs.1")], ids=" ".join
)
def test_the_order_of_two_edits_does_not_matter(others):
    generator, edits = styled(), []
    for seed, place in enumerate(others):
        latent = place == "w"
        shape = generator.latent_shape("w") if latent else generator.layer(place).shape
        where = {"space": "w"} if latent else {"layer": place}
        edits.append(edit(generator, noise(seed, *shape), **where))
    found = interaction(*edits, INDICES, 0)
    assert relative_interaction(found.order).value < 1e-9
    assert relative_interaction(found.pixels).value > 1e-4  # a StyleGAN2 is linear in neither


def test_the_number_of_both_is_that_of_the_formula():
    one, other, both = (noise(seed, 5, 7) for seed in range(3))
    parts = interaction_parts(one, other, both)
    torch.testing.assert_close(parts[:, 0], (both - one - other).double().square().sum(1))
    assert relative_interaction(parts).value == pytest.approx(float(parts[:, 0].sum() / parts[:, 1].sum()))
    assert relative_interaction(interaction_parts(one, other, one + other)).value == pytest.approx(0, abs=1e-12)


def test_the_generator_itself_stays_as_it_was():
    generator = styled()
    before = generator.kernel(generator.layer("conv1")).clone()
    one = edit(generator, noise(0, *before.shape), layer="conv1")
    shifted = edited(one, 2.0)
    torch.testing.assert_close(shifted.kernel(shifted.layer("conv1")), before + 2 * one.offset)
    assert torch.equal(generator.kernel(generator.layer("conv1")), before)
    assert shifted.fingerprint != generator.fingerprint


def test_a_module_of_a_user_composes_too():
    generator = wrapped()
    edits = [Edit(generator, direction(generator, noise(0, *generator.layer(name).shape), layer=name), Compute())
             for name in ("up", "last")]  # fmt: skip
    assert relative_interaction(interaction(*edits, INDICES, 0).order).value < 1e-9


def test_a_kernel_that_is_made_anew_is_refused():
    generator = wrapped()
    torch.nn.utils.parametrizations.weight_norm(generator.module.last)
    one = Edit(generator, direction(generator, noise(0, *generator.layer("last").shape), layer="last"), Compute())
    with pytest.raises(Failure, match=r"^The kernel of last of generator .* cannot be replaced by a shifted one\.$"):
        edited(one, 1.0)


def test_pairs_are_of_one_set_of_one_method_in_two_layers_and_of_a_layer_and_a_latent_space():
    generator = wrapped()

    def two(method, layer=None):
        shape = (6,) if layer is None else generator.layer(layer).shape
        space = "z" if layer is None else "parameter"
        return list(direction_set(generator, layer, noise(0, 2, *shape), method=method, space=space))

    groups = [two("svd", "up"), two("random", "up"), two("svd", "last"), two("random")]
    pairs = [(one.name.partition("/")[2], other.name.partition("/")[2], relation(one, other))
             for one, other in paired(groups)]  # fmt: skip
    assert pairs == [
        ("svd/up/0", "svd/up/1", "same layer"),
        ("random/up/0", "random/up/1", "same layer"),
        ("svd/last/0", "svd/last/1", "same layer"),
        ("random/z/0", "random/z/1", "same latent"),
        ("svd/up/0", "svd/last/0", "two layers"),
        ("svd/up/0", "random/z/0", "layer and latent"),
        ("random/up/0", "random/z/0", "layer and latent"),
        ("svd/last/0", "random/z/0", "layer and latent"),
    ]
