from dataclasses import replace

import pytest
import torch
from analytic import LAYERS, noise, styled, wrapped

from navbench import spaces
from navbench.compute import Compute
from navbench.errors import NavbenchError

KINDS = ["parameter", "activation", "z"]
PLACES = [(kind, f"main.{stage}") for kind in KINDS[:2] for stage in (0, 3, 6, 9, 12)] + [("z", None)]
STYLED = [(kind, layer) for kind in KINDS[:2] for layer in ("conv1", "convs.0", "convs.1")]
STYLED += [(kind, None) for kind in ("z", "w", "w+")]
LATENT = pytest.mark.parametrize("kind", ["z", "w", "w+"])


def zero_shift(generator, kind, layer, compute):
    """Images at t = 0 of some direction, and the generator's own."""
    codes = generator.sample(range(3), seed=0)
    space = spaces.create(generator, kind, layer)
    with torch.no_grad(), compute.autocast():
        found = space.render(space.prepare(codes), 0.0 * noise(1, *space.shape))
        return found, generator(codes)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_zero_shift_of_faces_is_the_generator_itself(request, precision, kind, layer):
    generator = request.getfixturevalue("faces" if precision == "float32" else "faces_bf16")
    found, own = zero_shift(generator, kind, layer, Compute(precision=precision))
    assert torch.equal(found, own)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", LAYERS)
def test_zero_shift_of_a_wrapped_module_is_the_module_itself(precision, kind, layer):
    compute = Compute(precision=precision)
    found, own = zero_shift(compute.place(wrapped()), kind, layer, compute)
    assert torch.equal(found, own)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("kind", "layer"), STYLED)
def test_zero_shift_of_a_stylegan2_is_the_generator_itself(precision, kind, layer):
    compute = Compute(precision=precision)
    found, own = zero_shift(compute.place(styled(truncation=0.7)), kind, layer, compute)
    assert torch.equal(found, own)


def test_a_parameter_offset_is_added_to_the_kernel():
    generator = wrapped()
    codes = generator.sample(range(3), seed=0)
    for name in LAYERS:
        space = spaces.create(generator, "parameter", name)
        offset = 0.1 * noise(0, *space.shape)
        found = space.render(space.prepare(codes), offset)
        other = wrapped()
        other.get_submodule(f"module.{name}").weight.data += offset
        assert torch.equal(found, other(codes))


def test_an_activation_offset_is_added_to_what_enters_the_layer():
    generator = wrapped()
    codes = generator.sample(range(3), seed=0)
    for name in LAYERS:
        space = spaces.create(generator, "activation", name)
        offset = 0.1 * noise(0, *space.shape)
        found = space.render(space.prepare(codes), offset)
        other = wrapped()
        other.get_submodule(f"module.{name}").register_forward_pre_hook(lambda _, x, offset=offset: (x[0] + offset,))
        assert torch.equal(found, other(codes))
        assert not torch.equal(found, generator(codes))


def test_a_latent_offset_is_added_to_the_code():
    generator = wrapped()
    codes = generator.sample(range(3), seed=0)
    space = spaces.create(generator, "z")
    offset = noise(0, *space.shape)
    assert torch.equal(space.render(space.prepare(codes), offset), generator.module(codes.z + offset))


@LATENT
def test_a_latent_offset_is_added_to_what_that_latent_is(kind):
    """Of w, to what the truncated mapping network makes."""
    generator = styled(truncation=0.7)
    codes = generator.sample(range(3), seed=0)
    space = spaces.create(generator, kind)
    offset = noise(0, *space.shape)
    z = codes.z + offset if kind == "z" else codes.z
    w = generator.w_avg + 0.7 * (generator.style(z) - generator.w_avg)
    styles = w[:, None].repeat(1, generator.styles_per_image, 1)
    styles = styles if kind == "z" else styles + offset
    torch.testing.assert_close(
        space.render(space.prepare(codes), offset), generator.synthesise(styles), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["w", "w+"])
def test_the_mapping_network_runs_once_for_all_offsets(kind):
    generator, runs = styled(), []
    generator.style.register_forward_hook(lambda *_: runs.append(1))
    space = spaces.create(generator, kind)
    state = space.prepare(generator.sample(range(3), seed=0))
    for seed in range(4):
        space.render(state, noise(seed, *space.shape))
    assert len(runs) == 1


@LATENT
def test_derivatives_in_a_latent_are_those_of_finite_differences_in_both_modes(kind):
    generator = styled().double()
    space = spaces.create(generator, kind)
    codes = generator.sample(range(2), seed=0)
    state = space.prepare(replace(codes, z=codes.z.double()))
    at, along = 0.1 * noise(0, *space.shape).double(), noise(1, *space.shape).double()

    def images(offset):
        return space.render(state, offset)

    pushed = torch.func.jvp(images, (at,), (along,))[1]
    differences = (images(at + 1e-6 * along) - images(at - 1e-6 * along)) / 2e-6
    torch.testing.assert_close(pushed, differences, rtol=1e-5, atol=1e-6)
    weights = noise(2, *pushed.shape).double()
    pulled = torch.func.vjp(images, at)[1](weights)[0]
    torch.testing.assert_close((pulled * along).sum(), (weights * pushed).sum())


@LATENT
def test_many_latent_offsets_at_once_are_a_loop_over_them(kind):
    generator = styled()
    space = spaces.create(generator, kind)
    state, offsets = space.prepare(generator.sample(range(2), seed=0)), noise(0, 3, *space.shape)
    together = torch.func.vmap(lambda offset: space.render(state, offset))(offsets)
    each = torch.stack([space.render(state, offset) for offset in offsets])
    torch.testing.assert_close(together, each, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "layer"), STYLED)
def test_one_offset_per_image_of_a_stylegan2_is_a_loop_over_images(kind, layer):
    generator = styled()
    codes = generator.sample(range(3), seed=0)
    space = spaces.create(generator, kind, layer)
    offsets = 0.1 * noise(0, 3, *space.shape)
    together = space.render(space.prepare(codes), offsets)
    each = [space.render(space.prepare(codes[i : i + 1]), offset) for i, offset in enumerate(offsets)]
    torch.testing.assert_close(together, torch.cat(each), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", LAYERS)
def test_one_offset_per_image_is_a_loop_over_images(kind, layer):
    generator = wrapped()
    codes = generator.sample(range(3), seed=0)
    space = spaces.create(generator, kind, layer)
    offsets = 0.1 * noise(0, 3, *space.shape)
    together = space.render(space.prepare(codes), offsets)
    each = [space.render(space.prepare(codes[i : i + 1]), offset) for i, offset in enumerate(offsets)]
    torch.testing.assert_close(together, torch.cat(each), rtol=1e-4, atol=1e-5)


def test_spaces_are_named_as_in_tables():
    generator = wrapped()
    assert [spaces.describe(spaces.create(generator, kind, "wide")) for kind in KINDS] == [
        "parameter wide",
        "activation wide",
        "z",
    ]
    assert [spaces.describe(spaces.create(styled(), kind)) for kind in ("z", "w", "w+")] == ["z", "w", "w+"]


def test_a_place_is_the_layer_or_the_latent_space():
    generator = styled()
    places = [spaces.create(generator, kind, layer).place for kind, layer in STYLED]
    assert places == [layer or kind for kind, layer in STYLED]


def test_a_layer_may_be_named_by_its_index():
    assert spaces.create(wrapped(), "parameter", "3").layer.name == "wide"


def test_an_unknown_space_is_answered_with_the_nearest():
    with pytest.raises(NavbenchError, match="Unknown space 'parameters'; did you mean 'parameter'"):
        spaces.create(wrapped(), "parameters", "wide")


@pytest.mark.parametrize("kind", ["parameter", "activation"])
def test_a_space_of_a_layer_needs_the_layer(kind):
    with pytest.raises(NavbenchError, match="belongs to a layer"):
        spaces.create(wrapped(), kind)


@pytest.mark.parametrize("kind", ["w", "w+"])
def test_a_latent_space_that_the_generator_lacks_is_refused(kind):
    with pytest.raises(NavbenchError) as caught:
        spaces.create(wrapped(), kind)
    assert str(caught.value).startswith(f"Unknown latent space of generator convolutions {kind!r}; ")
