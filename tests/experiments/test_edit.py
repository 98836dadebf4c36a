import pytest
import torch
from analytic import LinearGenerator, direction, edit, noise, wrapped

from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError
from navbench.experiments.edit import Edit, codes_for, unshifted
from navbench.experiments.strips import samples, strip, strips_of_set, to_bytes
from navbench.seeds import Role

PLACES = [("parameter", "main.6"), ("activation", "main.6"), ("z", None)]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("space", "layer"), PLACES)
def test_t_zero_of_any_direction_is_the_generator_itself(request, precision, space, layer):
    generator = request.getfixturevalue("faces" if precision == "float32" else "faces_bf16")
    compute = Compute(precision=precision)
    shape = {"parameter": (256, 128, 4, 4), "activation": (256, 8, 8), "z": (100,)}[space]
    made = edit(generator, noise(0, *shape), compute, space=space, layer=layer)
    codes = codes_for(generator, "curve", range(3), seed=0)
    render = made.prepare(codes)
    images = render(0.0)
    assert images.dtype == torch.float32
    assert torch.equal(images, unshifted(generator, codes, compute))
    assert not torch.equal(render(1.0), images)


def test_an_edit_adds_t_times_its_unit_offset():
    generator = LinearGenerator()
    offset = noise(0, *generator.map.weight.shape)
    made = edit(generator, 5 * offset, layer="map")
    codes = generator.sample(range(4), seed=0)
    render = made.prepare(codes)
    change = torch.einsum("nc,cdyx->ndyx", generator.inputs(codes), offset / offset.norm())
    for t in (-2.0, 0.5, 10.0):
        torch.testing.assert_close(render(t) - render(0.0), t * change, rtol=1e-4, atol=1e-5)


def test_codes_of_a_role_are_shared_by_all_and_those_of_roles_by_none():
    generator = wrapped()
    roles = list(Role)
    codes = {role: codes_for(generator, role, range(5), seed=0).z for role in roles}
    rows = torch.cat(list(codes.values()))
    assert len(torch.unique(rows, dim=0)) == 5 * len(roles)
    assert torch.equal(codes_for(generator, "curve", range(3, 5), seed=0).z, codes["curve"][3:])
    assert not torch.isclose(codes_for(generator, "curve", range(5), seed=1).z, codes["curve"]).any()


def test_a_direction_of_another_generator_is_refused():
    found = direction(LinearGenerator(), noise(0, 4, 3, 4, 4), layer="map")
    with pytest.raises(NavbenchError, match="layer of generator convolutions 'map'"):
        Edit(wrapped(), found, Compute())


def test_images_that_are_not_finite_name_the_shift_and_direction():
    generator = LinearGenerator()
    made = edit(generator, noise(0, *generator.map.weight.shape), layer="map")
    render = made.prepare(generator.sample(range(2), 0))
    with pytest.raises(Failure, match=r"linear at t = 1e\+39 of linear/made/map/0 made images with NaN"):
        render(1e39)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_a_strip_has_a_row_per_code_and_a_column_per_shift(batch):
    generator = wrapped()
    made = edit(generator, noise(0, 8, 8, 3, 3), Compute(batch=batch), layer="wide")
    shifts = [-3.0, 0.0, 1.5]
    found = strip(made, shifts, codes=3, seed=2).images
    assert (found.shape, found.dtype) == ((3, 3, 3, 8, 8), torch.uint8)
    codes = codes_for(generator, "strip", range(3), seed=2)
    assert torch.equal(found[:, 1], to_bytes(unshifted(generator, codes, Compute())))
    for column, t in enumerate(shifts):
        assert torch.equal(found[:, column], to_bytes(made.prepare(codes)(t)))
    assert not torch.equal(found[:, 0], found[:, 2])


@pytest.mark.parametrize("batch", [1, 64])
def test_strips_of_a_set_are_those_of_each_direction_on_the_codes_that_are_asked_for(batch):
    generator = wrapped()
    edits = [
        edit(generator, noise(seed, 8, 8, 3, 3), Compute(batch=batch), layer="wide", ends=(-1.0 - seed, 2.0))
        for seed in range(3)
    ]
    found = strips_of_set(edits, 5, [7, 2], 1, 8).images
    codes = codes_for(generator, "strip", [7, 2], seed=1)
    assert found.shape == (3, 2, 5, 3, 8, 8)
    for made, images in zip(edits, found, strict=True):
        for column, t in enumerate(made.direction.shifts(5).tolist()):
            assert torch.equal(images[:, column], to_bytes(made.prepare(codes)(t)))


def test_large_images_of_strips_are_means_over_areas():
    generator = wrapped()
    made = edit(generator, noise(0, 8, 8, 3, 3), Compute(), layer="wide")
    (found,) = strips_of_set([made], 3, [0], 1, 4).images
    whole = made.prepare(codes_for(generator, "strip", [0], seed=1))(made.direction.t_max)
    assert torch.equal(found[:, -1], to_bytes(whole.unflatten(2, (4, 2)).unflatten(4, (4, 2)).mean(dim=(3, 5))))


def test_samples_are_the_unshifted_images_that_strips_begin_with():
    generator = wrapped()
    found = samples(generator, 2, 3, seed=2, compute=Compute(batch=4)).images
    codes = codes_for(generator, "strip", range(6), seed=2)
    assert torch.equal(found.flatten(0, 1), to_bytes(unshifted(generator, codes, Compute(batch=6))))
    assert found.shape == (2, 3, 3, 8, 8)


def test_images_become_the_nearest_bytes_and_are_cut_at_the_ends_of_the_range():
    values = torch.tensor([-2.0, -1.0, -1 + 0.4 / 127.5, -1 + 0.6 / 127.5, 0.0, 1.0, 3.0])
    assert to_bytes(values).tolist() == [0, 0, 0, 1, 128, 255, 255]


def test_a_misspelt_role_draws_no_codes():
    with pytest.raises(ValueError, match="curves"):
        codes_for(LinearGenerator(), "curves", range(2), seed=0)


def test_results_depend_on_the_generator_the_direction_and_the_precision():
    offset = noise(0, 4, 3, 4, 4)

    def key(seed=0, scale=1.0, ends=(-2.0, 2.0), compute=None):
        changed = offset if scale == 1.0 else torch.cat([offset[:3], scale * offset[3:]])
        made = direction(LinearGenerator(seed=seed), changed, layer="map", ends=ends)
        return Edit(LinearGenerator(seed=seed), made, compute or Compute()).cache_key

    assert key() == key() == key(compute=Compute(batch=3))
    assert (
        len({str(each) for each in (key(), key(seed=1), key(ends=(-2.0, 3.0)), key(compute=Compute(precision="bf16")))})
        == 4
    )
