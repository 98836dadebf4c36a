"""Images of stacks: those of an edit, sums within a layer, kernels and codes at once, and what is refused."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import number, photo_file, same
from PIL import Image

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments.composition import edited
from navbench.experiments.edit import Edit, codes_for
from navbench.experiments.projection import codes_of
from navbench.experiments.strips import strip, to_bytes
from navbench.inspect.bench import Part, PhotoCode, Sample, check_stack, parse_codes, parse_stack
from navbench.inspect.frames import Order, encoded, fitting_side, render_on
from navbench.seeds import Role

CODES = (Sample(3, 0), Sample(3, 1), Sample(3, 5))
KERNEL, DEEPER, W, Z = "styled/spectrum/convs.0", "styled/spectrum/convs.1", "styled/ganspace/w", "styled/ganspace/z"


def edit_of(session, name):
    return Edit(session.generator, session.shelf.direction(number(session, name)), Compute())


def codes_at(session, role=Role.STRIP):
    return codes_for(session.generator, role, [code.index for code in CODES], 3)


def part(session, name, t):
    return Part(number(session, name), t)


@pytest.mark.parametrize("place", [KERNEL, DEEPER, W, Z])
@pytest.mark.parametrize("t", [-1.5, 0.0, 0.7])
def test_a_frame_of_one_direction_is_what_its_edit_gives_pixel_for_pixel(session, place, t):
    edit = edit_of(session, f"{place}/2")
    wanted = to_bytes(edit.prepare(codes_at(session))(t))
    assert same(session.bench.images([part(session, f"{place}/2", t)], CODES), wanted)
    frame = render_on(session.bench)(Order(((part(session, f"{place}/2", t),),), CODES, 64))
    assert frame.kind == "image/png"
    pixels = np.asarray(Image.open(io.BytesIO(frame.content)).convert("RGB"))  # the codes side by side
    columns = torch.from_numpy(pixels.copy()).permute(2, 0, 1).split(session.generator.size[1], dim=2)
    assert same(torch.stack(columns), wanted)


def test_codes_are_those_of_a_runs_strips(session):
    edit = edit_of(session, f"{KERNEL}/0")
    wanted = strip(edit, [-1.0, 0.0, 2.0], 3, 7).images[:, 2]
    codes = tuple(Sample(7, index) for index in range(3))
    assert same(session.bench.images([part(session, f"{KERNEL}/0", 2.0)], codes), wanted)


def test_two_directions_of_one_layer_are_their_sum(session):
    one, other = (session.shelf.direction(number(session, f"{KERNEL}/{index}")) for index in (0, 1))
    edit = edit_of(session, f"{KERNEL}/0")
    state = edit.state(codes_at(session))
    wanted = to_bytes(edit.space.render(state, 1.5 * one.offset - 2 * other.offset))
    stack = [part(session, f"{KERNEL}/0", 1.5), part(session, f"{KERNEL}/1", -2.0)]
    assert same(session.bench.images(stack, CODES), wanted)


@pytest.mark.parametrize("turned", [False, True])
def test_two_layers_are_the_generator_that_one_changed_under_the_other_in_either_order(session, turned):
    names = [(f"{KERNEL}/1", 1.5), (f"{DEEPER}/3", -2.0)]
    changed = edited(edit_of(session, names[0][0]), 1.5)
    other = Edit(changed, session.shelf.direction(number(session, names[1][0])), Compute())
    wanted = to_bytes(other.prepare(codes_at(session))(-2.0))
    stack = [part(session, *each) for each in (names[::-1] if turned else names)]
    assert same(session.bench.images(stack, CODES), wanted)


def test_codes_move_before_kernels_and_z_before_w(session):
    directions = {name: session.shelf.direction(number(session, f"{name}/1")) for name in (Z, W, KERNEL)}
    codes = session.generator.shift_latent(codes_at(session), "z", 0.5 * directions[Z].offset)
    codes = session.generator.shift_latent(codes, "w", -1.0 * directions[W].offset)
    wanted = to_bytes(edit_of(session, f"{KERNEL}/1").prepare(codes)(2.0))
    stack = [part(session, f"{name}/1", t) for name, t in ((KERNEL, 2.0), (W, -1.0), (Z, 0.5))]
    assert same(session.bench.images(stack, CODES), wanted)


def test_four_directions_leave_the_generator_as_it_is(session):
    before = {key: value.clone() for key, value in session.generator.state_dict().items()}
    stack = [part(session, f"{name}/0", 3.0) for name in (KERNEL, DEEPER, W, Z)]
    first = session.bench.images(stack, CODES)
    assert all(torch.equal(value, before[key]) for key, value in session.generator.state_dict().items())
    alone = session.bench.images(stack[1:2], CODES)
    assert same(alone, to_bytes(edit_of(session, f"{DEEPER}/0").prepare(codes_at(session))(3.0)))
    assert same(session.bench.images(stack, CODES), first)


def test_what_is_kept_of_earlier_frames_changes_none(session):
    """States before a layer are kept: they are of these codes, and of what is shifted before it."""
    stacks = [
        [part(session, f"{KERNEL}/0", 1.0), part(session, f"{DEEPER}/0", t), part(session, f"{Z}/0", u)]
        for t in (0.0, 1.0)
        for u in (0.0, 2.0)
    ]
    kept = [session.bench.images(stack, CODES) for stack in stacks + stacks]
    for stack, images in zip(stacks + stacks, kept, strict=True):
        session.bench._states._values.clear()
        assert same(session.bench.images(stack, CODES), images)


def test_codes_of_several_seeds_and_photos_keep_their_places(opened, generator, tmp_path):
    session = opened(codes=(photo_file(generator, tmp_path, "w+"),))
    stack = [part(session, f"{KERNEL}/0", 1.0)]
    mixed = (Sample(3, 0), PhotoCode(0), Sample(4, 0), Sample(3, 1))
    images = session.bench.images(stack, mixed)
    for place, code in enumerate(mixed):
        gap = images[place].int() - session.bench.images(stack, [code])[0].int()
        assert gap.abs().max() <= 1  # in another batch, rounding


def test_a_photo_is_edited_from_its_codes_file_and_from_its_runs_folder(opened, generator, tmp_path):
    path = photo_file(generator, tmp_path, "w+")
    session = opened(codes=(path,))
    codes = codes_of(generator, [session.album[0].projection], "w+")
    wanted = to_bytes(edit_of(session, f"{KERNEL}/0").prepare(codes)(1.0))
    assert same(session.bench.images([part(session, f"{KERNEL}/0", 1.0)], [PhotoCode(0)]), wanted)
    (path.parent / "other.safetensors").write_bytes(b"no codes")
    assert [each.photo.name for each in opened(codes=(tmp_path,)).album] == ["ann"]


def test_a_photo_that_a_direction_cannot_move_is_refused_by_name(opened, generator, tmp_path):
    session = opened(codes=(photo_file(generator, tmp_path, "w+"),))
    with pytest.raises(NavbenchError, match=r"ganspace/z/0 does not move photo 'ann', projected into w\+"):
        session.bench.images([part(session, f"{Z}/0", 1.0)], [PhotoCode(0)])
    with pytest.raises(NavbenchError, match="no photo 1"):
        session.bench.images([part(session, f"{KERNEL}/0", 1.0)], [PhotoCode(1)])


def test_what_cannot_be_stacked_is_refused_in_a_sentence(session):
    directions = [session.shelf.direction(place) for place in range(5)]
    with pytest.raises(NavbenchError, match="1 to 4 directions, not of 5"):
        check_stack(directions)
    with pytest.raises(NavbenchError, match="not of 0"):
        check_stack([])
    with pytest.raises(NavbenchError, match="is in the stack already"):
        check_stack([directions[0], directions[0]])
    with pytest.raises(NavbenchError, match="shifts an activation"):
        check_stack([replace(directions[0], space="activation"), directions[1]])
    with pytest.raises(NavbenchError, match="no direction 99"):
        session.shelf.direction(99)


def test_a_shift_that_breaks_images_is_told_by_name(session):
    with pytest.raises(NavbenchError, match=r"ganspace/w/0 at t = 1e\+39.*NaN"):
        session.bench.images([part(session, f"{W}/0", 1e39)], CODES)


def test_stacks_and_codes_are_read_as_they_are_written():
    assert parse_stack("3:1.5,17:-2e1") == (Part(3, 1.5), Part(17, -20.0))
    assert parse_codes("s0.12,p1,s7.0") == (Sample(0, 12), PhotoCode(1), Sample(7, 0))
    for wrong in ("", "3", "3:", "3:nan", "3:inf", "-1:2", "3:1;4:2", "x:1", "3:1,"):
        with pytest.raises(NavbenchError, match="no direction with its shift"):
            parse_stack(wrong)
    for wrong in ("", "s0", "s0.", "p", "q1", "s0.1,", "s0.99999999999", "../p0"):
        with pytest.raises(NavbenchError, match="no code"):
            parse_codes(wrong)


def test_large_images_are_webp_and_small_ones_are_exact():
    small, large = torch.zeros(1, 4, 3, 64, 64, dtype=torch.uint8), torch.zeros(1, 2, 3, 256, 256, dtype=torch.uint8)
    assert encoded(small)[1] == "image/png"
    assert encoded(large)[1] == "image/webp"
    assert encoded(small[:, :1].repeat(7, 12, 1, 1, 1))[1] == "image/webp"  # many
    assert Image.open(io.BytesIO(encoded(large)[0])).size == (512, 256)
    assert [fitting_side(wanted) for wanted in (0, 64, 65, 9999)] == [32, 64, 96, 2048]


def test_images_are_reduced_to_the_size_at_which_they_are_shown(session):
    session.bench.images = lambda _stack, codes: torch.full((len(codes), 3, 40, 80), 7, dtype=torch.uint8)
    frame = render_on(session.bench)(Order(((Part(0, 0.0),),), CODES[:2], 32))
    picture = Image.open(io.BytesIO(frame.content))
    assert picture.size == (2 * 32, 16)
    assert set(np.asarray(picture).flat) == {7}
