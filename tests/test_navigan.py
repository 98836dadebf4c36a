"""The authors' direction files, against their edits written out in numpy, and there and back."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic import LinearGenerator, direction, direction_set, noise, unit
from hypothesis import given
from hypothesis import strategies as st
from published import nvidia_state, write_nvidia, write_rosinality
from theirs import (
    CODES,
    GENERATOR,
    LAYER,
    SHAPE,
    close,
    decomposed,
    edited,
    names_in,
    put,
    put_checkpoint,
    put_direction,
    put_eigenvectors,
    put_svd_checkpoint,
    refused,
    rendered,
)

from navbench import navigan, suite
from navbench.basis import SvdBasis
from navbench.directions import write_set
from navbench.errors import NavbenchError
from navbench.generators.checkpoints import read_checkpoint
from navbench.library import Library, open_set, set_path
from navbench.runner.plan import plan

# --- what is read edits as it did there ----------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["convs.0", "convs.3"])
def test_a_direction_at_its_scale_is_its_shift_added_to_the_kernel(tmp_path, layer):
    place = GENERATOR.layer(layer)
    shift = 3.5 * unit(noise(1, *place.shape))
    found = navigan.read(put_direction(tmp_path / "wheel_size.pt", shift, place.index), GENERATOR)
    assert (found.set_id, found.labels, len(found)) == (f"styled/navigan/{layer}", ("wheel size",), 1)
    assert (found[0].t_min, found[0].t_max) == pytest.approx((-3.5, 3.5))
    assert found.provenance["range"] == "as published"
    close(found[0].offset, unit(shift), 1e-6)
    images = rendered(found[0], found[0].t_max)
    close(images, edited(shift, layer))
    assert float((images - GENERATOR(CODES)).abs().max()) > 0.1


def test_a_shift_makes_the_same_images_through_each_layout(tmp_path):
    shift = 2.5 * unit(noise(1, *SHAPE))
    file = put_direction(tmp_path / "wheel_size.pt", shift)
    write_nvidia(tmp_path / "nvidia.pkl", nvidia_state(GENERATOR))
    write_rosinality(tmp_path / "rosinality.pt", GENERATOR)
    for name in ("nvidia.pkl", "rosinality.pt"):
        generator = read_checkpoint(tmp_path / name)
        found = navigan.read(file, generator)[0]
        space = found.space_of(generator)
        codes = generator.sample(range(3), seed=0)
        close(space.render(space.prepare(codes), found.t_max * found.offset), edited(shift), 1e-4)


def test_eigenvectors_are_directions_of_the_layer_that_the_user_names(tmp_path):
    vectors = put_eigenvectors(tmp_path / "e.pt")
    for layer in ("convs.1", "1"):
        found = navigan.read(tmp_path / "e.pt", GENERATOR, layer=layer)
        assert (found.set_id, found.labels) == ("styled/spectrum/convs.1", ("",) * 4)
        assert found.provenance["range"] == "-1 to 1, as none is published"
        assert found.t_min.tolist() == [-1] * 4
        assert found.t_max.tolist() == [1] * 4
        for one, vector in zip(found, vectors, strict=True):
            close(one.offset, vector, 1e-6)
            close(rendered(one, 2.0), edited(2 * vector))
    refused(
        r"e\.pt holds a tensor 4x1x8x8x3x3 of float32, eigenvectors that do not say of which layer", tmp_path / "e.pt"
    )


@pytest.mark.parametrize("prefix", ["style_gan2.", "module.style_gan2."])
@pytest.mark.parametrize("scales", [1.0, [0.5, 2.0, 1.0, 7.0]])
def test_a_hybrid_is_the_normalised_combination_of_eigenvectors(tmp_path, prefix, scales):
    """Of the tensors as they are, also if these are not of unit norm."""
    vectors = put_eigenvectors(tmp_path / "e.pt", scales=scales)
    vectors = vectors * np.broadcast_to(scales, 4)[:, None, None, None, None]
    coefficients = noise(7, 3, 4)
    path = put_checkpoint(
        tmp_path / "c.pt", prefix=prefix, direction_to_basis_coefs=coefficients, weight=GENERATOR.kernel(LAYER)[None]
    )
    found = navigan.read(path, GENERATOR, eigenvectors=tmp_path / "e.pt")
    assert (found.set_id, found.provenance["step"]) == ("styled/hybrid/convs.1", 99000)
    assert names_in(found) == ["c.pt", "e.pt"]
    for one, row in zip(found, coefficients.double().numpy(), strict=True):
        shift = np.tensordot(row, vectors, axes=1)
        shift /= np.linalg.norm(shift)
        close(one.offset, shift, 1e-6)
        close(rendered(one, -1.5), edited(-1.5 * shift))


def test_moved_singular_values_are_the_authors_shift(tmp_path):
    delta = noise(8, 3, 8)
    found = navigan.read(put_svd_checkpoint(tmp_path / "c.pt", delta), GENERATOR)
    assert found.set_id == "styled/optimization/convs.1"
    u, vh = (each.double().numpy() for each in decomposed(GENERATOR.kernel(LAYER)))
    for one, row in zip(found, delta.double().numpy(), strict=True):
        shift = (u @ np.diag(row) @ vh).reshape(3, 3, 8, 8).transpose(3, 2, 0, 1)
        shift /= np.linalg.norm(shift)
        close(one.offset, shift, 1e-6)
        close(rendered(one, 3.0), edited(3 * shift))


def test_moved_singular_values_are_ours(tmp_path):
    """Where u and vh are those of the kernel itself, the offset is that of the basis 'svd'."""
    delta = noise(8, 2, 8)
    found = navigan.read(put_svd_checkpoint(tmp_path / "c.pt", delta), GENERATOR)
    ours = SvdBasis(LAYER, GENERATOR.kernel(LAYER)).combine(delta)
    for one, expected in zip(found, ours, strict=True):
        close(one.offset, unit(expected), 1e-4)


def test_another_order_of_the_axes_is_refused(tmp_path):
    """(in, k, k, out) instead of (k, k, in, out) has the same sizes, but does not make the kernel up."""
    kernel = GENERATOR.kernel(LAYER)
    u, _, vh = np.linalg.svd(kernel.numpy().transpose(1, 2, 3, 0).reshape(-1, 8), full_matrices=False)
    path = put_svd_checkpoint(tmp_path / "c.pt", noise(8, 2, 8), u=torch.from_numpy(u), vh=torch.from_numpy(vh))
    refused(r"c\.pt was trained on another kernel of convs\.1 than that of generator styled", path)


def test_a_checkpoint_of_another_generator_is_refused(tmp_path):
    path = put_svd_checkpoint(tmp_path / "svd.pt", noise(8, 2, 8), kernel=noise(3, *SHAPE))
    refused(r"svd\.pt was trained on another kernel of convs\.1 than that of generator styled; name", path)
    put_eigenvectors(tmp_path / "e.pt")
    path = put_checkpoint(tmp_path / "c.pt", direction_to_basis_coefs=noise(7, 3, 4), weight=noise(3, 1, *SHAPE))
    refused(r"c\.pt was trained on another kernel", path, eigenvectors=tmp_path / "e.pt")


def test_a_kernel_at_half_precision_is_the_same_kernel(tmp_path):
    path = put_svd_checkpoint(tmp_path / "svd.pt", noise(8, 2, 8), kernel=GENERATOR.kernel(LAYER).half().float())
    assert len(navigan.read(path, GENERATOR)) == 2


# --- many directions, labels, ranges -------------------------------------------------------------------------


def test_a_folder_of_directions_is_one_set_in_the_order_of_its_numbers(tmp_path):
    for index in (10, 2, 1):
        put_direction(tmp_path / f"nose_{index}.pt", index * unit(noise(index, *SHAPE)))
    found = navigan.read(tmp_path, GENERATOR)
    assert found.labels == ("nose 1", "nose 2", "nose 10")
    assert found.t_max.tolist() == pytest.approx([1, 2, 10])
    assert found.provenance["range"] == "as published, but -1 to 1 for 0, as none is published"
    for one, index in zip(found, (1, 2, 10), strict=True):
        close(one.offset, unit(noise(index, *SHAPE)), 1e-6)
    assert navigan.read([tmp_path, tmp_path / "nose_1.pt"], GENERATOR).labels == found.labels  # each file once


def test_files_of_several_layers_are_several_sets_whose_labels_count_the_files(tmp_path):
    files = [
        put_direction(tmp_path / f"{index}.pt", 5 * unit(noise(index, *GENERATOR.layer(str(layer)).shape)), layer)
        for index, layer in enumerate((3, 1, 3))
    ]
    (tmp_path / "names.txt").write_text("2: last\n1: middle\n")
    sets = navigan.read_sets(files, GENERATOR, annotation=tmp_path / "names.txt")
    assert [(found.layer, found.labels) for found in sets] == [("convs.1", ("middle",)), ("convs.3", ("", "last"))]
    assert [names_in(found) for found in sets] == [["1.pt"], ["0.pt", "2.pt"]]
    with pytest.raises(
        NavbenchError, match=r"0\.pt, .*2\.pt: the directions are of several layers, convs\.1, convs\.3"
    ):
        navigan.read(files, GENERATOR)
    refused(r"0\.pt is for layer convs\.3, not for convs\.1\.$", files, layer="1")


def test_labels_come_from_the_annotation_of_a_folder(tmp_path):
    put_eigenvectors(tmp_path / "e.pt")
    (tmp_path / "human_annotation.txt").write_bytes("\ufeff3: Größe: small\n\n  0 :nose\r\n2: nose \n".encode())
    assert navigan.read(tmp_path, GENERATOR, layer="1").labels == ("nose", "", "nose", "Größe: small")
    assert navigan.read(tmp_path / "e.pt", GENERATOR, layer="1").labels == ("",) * 4


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nose", r"line 3: found 'nose', expected 'index: name'"),
        ("1:", r"line 3: found '1:', expected 'index: name'"),
        ("-1: nose", r"line 3: found '-1: nose', expected"),
        ("4: nose", r"line 3: names direction 4, which is not there; they are 0 to 3"),
        ("0: nose", r"line 3: names direction 0, which an earlier line names too"),
    ],
)
def test_a_malformed_line_of_an_annotation_is_named_by_its_number(tmp_path, line, complaint):
    put_eigenvectors(tmp_path / "e.pt")
    (tmp_path / "a.txt").write_text(f"0: eyes\n\n{line}\n1: nose\n")
    refused(rf"a\.txt, {complaint}", tmp_path / "e.pt", layer="1", annotation=tmp_path / "a.txt")


def test_an_annotation_that_is_no_text_or_not_there_is_named(tmp_path):
    put_eigenvectors(tmp_path / "e.pt")
    (tmp_path / "a.txt").write_bytes(b"0: \xff\xfe")
    refused(r"a\.txt is not a text in UTF-8", tmp_path / "e.pt", layer="1", annotation=tmp_path / "a.txt")
    refused(r"There is no file .*b\.txt", tmp_path / "e.pt", layer="1", annotation=tmp_path / "b.txt")
    refused(r"cannot be read", tmp_path / "e.pt", layer="1", annotation=tmp_path)


def test_plain_values_beside_a_shift_are_passed_over(tmp_path):
    shift = 2 * unit(noise(1, *SHAPE))
    more = {"start_layer_ix": 1, "end_layer_ix": 2, "weight shapes": [torch.Size(SHAPE)], "author": "A", "seed": None}
    found = navigan.read(put_direction(tmp_path / "d.pt", shift, **more), GENERATOR)
    close(found[0].offset, unit(shift), 1e-6)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_leading_dimensions_of_one_may_be_missing_and_precision_may_be_any(tmp_path, cut):
    shift = (2 * unit(noise(1, *SHAPE)))[(None,) * cut].double()
    found = navigan.read(put(tmp_path / "d.pt", {"layer_ix": 1, "shift": torch.nn.Parameter(shift)}), GENERATOR)
    close(found[0].offset, unit(noise(1, *SHAPE)), 1e-6)


# --- there and back ------------------------------------------------------------------------------------------


@given(st.floats(-1e4, -1e-2), st.floats(1e-2, 1e4), st.integers(0, 3), st.integers(0, 5))
def test_a_direction_comes_back_as_it_was(tmp_path_factory, t_min, t_max, layer, seed):
    place = GENERATOR.layer(str(layer))
    ours = direction(GENERATOR, noise(seed, *place.shape), layer=place.name, ends=(t_min, t_max))
    path = tmp_path_factory.mktemp("out") / "d.pt"
    assert navigan.write(ours, path) == [path]
    there = torch.load(path, weights_only=True)
    assert (there["layer_ix"], there["shift"].shape) == (layer, (1, 1, *place.shape))
    assert float(there["shift"].norm()) == pytest.approx(t_max, rel=1e-6)
    back = navigan.read(path, GENERATOR)[0]
    assert back.layer == ours.layer
    assert (back.t_min, back.t_max) == pytest.approx((t_min, t_max), rel=1e-6)
    close(back.offset, ours.offset, 1e-6)


def ours(**changes):
    return direction_set(GENERATOR, "convs.1", noise(2, 4, *SHAPE), **changes)


def test_a_set_comes_back_as_it_was_and_makes_the_same_images(tmp_path):
    coefficients = noise(3, 3, 4)
    found = ours(
        method="hybrid", coefficients=coefficients, t_min=-torch.tensor([1, 0.1, 7]), t_max=torch.tensor([1, 30, 0.7]),
        labels=("nose", "", "große  Räder"),
    )  # fmt: skip
    written = navigan.write(found, tmp_path / "out")
    assert [path.name for path in written] == ["eigenvectors.pt", "human_annotation.txt", "ranges.txt"]
    there = torch.load(tmp_path / "out" / "eigenvectors.pt", weights_only=True)
    assert there.shape == (3, 1, *SHAPE)
    close(there.flatten(1).norm(dim=1), torch.ones(3), 1e-6)
    assert (tmp_path / "out" / "human_annotation.txt").read_text() == "0: nose\n2: große Räder\n"
    back = navigan.read(tmp_path / "out", GENERATOR, layer="convs.1")
    assert back.labels == ("nose", "", "große Räder")
    assert torch.equal(back.t_min, found.t_min)
    assert torch.equal(back.t_max, found.t_max)
    assert back.provenance["range"] == "as published"
    for one, expected in zip(back, found, strict=True):
        close(one.offset, expected.offset, 1e-6)
        close(rendered(one, one.t_max), rendered(expected, expected.t_max))


def test_a_broken_range_of_an_exported_set_is_named(tmp_path):
    navigan.write(ours(), tmp_path)
    (tmp_path / "ranges.txt").write_text("0: -1 2\n1: 3 4\n")
    refused(r"ranges\.txt, direction 1: found the range '3' '4', expected t_min < 0 < t_max", tmp_path, layer="1")
    (tmp_path / "ranges.txt").write_text("0: -1\n")
    refused(r"ranges\.txt, direction 0: found the range '-1', expected", tmp_path, layer="1")


@pytest.mark.parametrize(
    ("found", "place"),
    [
        (direction(GENERATOR, noise(0, 8), space="w"), "styled/made/w/0 is in w,"),
        (
            direction(GENERATOR, noise(0, *GENERATOR.layer("-1").shape), layer="conv1"),
            "made/conv1/0 is in parameter conv1",
        ),
        (direction(GENERATOR, noise(0, 8, 8, 8), space="activation", layer="convs.1"), "is in activation convs.1"),
        (direction_set(LinearGenerator(), "map", noise(0, 2, 4, 3, 4, 4)), "linear/spectrum/map is in parameter map"),
    ],
)
def test_what_their_files_cannot_hold_is_not_exported(tmp_path, found, place):
    with pytest.raises(NavbenchError, match=rf"{place},? but navigan's files hold shifts of the kernels convs\.0"):
        navigan.write(found, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_replaced_unless_that_is_said(tmp_path):
    found = ours()
    navigan.write(found[0], tmp_path / "d.pt")
    navigan.write(found, tmp_path / "set")
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    other = replace(found, coefficients=found.coefficients.flip(0), labels=("new",) * 4)
    (tmp_path / "set" / "eigenvectors.pt").unlink()
    for one, path in ((other[0], tmp_path / "d.pt"), (other, tmp_path / "set")):
        with pytest.raises(NavbenchError, match=r"exists already; choose another place, or say --force"):
            navigan.write(one, path)
    assert not (tmp_path / "set" / "eigenvectors.pt").exists()
    assert all(path.read_bytes() == content for path, content in kept.items() if path.exists())
    navigan.write(other[0], tmp_path / "d.pt", overwrite=True)
    navigan.write(other, tmp_path / "set", overwrite=True)
    close(navigan.read(tmp_path / "d.pt", GENERATOR)[0].offset, found[3].offset, 1e-6)
    assert navigan.read(tmp_path / "set", GENERATOR, layer="1").labels == ("new",) * 4


def test_an_imported_set_is_measured_under_its_method(tmp_path):
    found = navigan.read(put_direction(tmp_path / "nose.pt", 4 * unit(noise(1, *SHAPE))), GENERATOR)
    path = set_path(tmp_path / "sets", found.set_id)
    write_set(found, path)
    close(open_set(path).load(GENERATOR)[0].offset, found[0].offset, 1e-6)  # at float32 also on disk
    chosen = suite.parse('name = "x"\n[[generators]]\nname = "styled"\nmethods = ["navigan"]', "x")
    work = plan(chosen, chosen.generators[0], GENERATOR, Library([tmp_path / "sets"]))
    assert [one.name for one in work.all_directions()] == ["styled/navigan/convs.1/0"]


# --- what the arguments of a training say beside it


def test_the_arguments_of_a_training_give_its_range_its_layer_and_its_eigenvectors(tmp_path):
    vectors = put_eigenvectors(tmp_path / "eigenvectors_layer1_ffhq.pt")
    put_checkpoint(tmp_path / "checkpoint.pt", direction_to_basis_coefs=3 * torch.eye(2, 4))
    path = r"some\folder/../of/theirs/eigenvectors_layer1_ffhq.pt"
    said = {"shift_scale": 60, "deformator_conv_layer_index": 1, "basis_vectors_path": path}
    (tmp_path / "args.json").write_text(json.dumps(said), "utf-8")
    found = navigan.read(tmp_path / "checkpoint.pt", GENERATOR)
    assert (found.layer, found.method, found.provenance["range"]) == ("convs.1", "hybrid", "as published")
    assert (found.t_min.tolist(), found.t_max.tolist()) == ([-60, -60], [60, 60])
    for one, vector in zip(found, vectors, strict=False):
        close(rendered(one, 60), edited(60 * vector))
    other = put_eigenvectors(tmp_path / "other.pt")
    assert len(other) == 4
    named = navigan.read(tmp_path / "checkpoint.pt", GENERATOR, eigenvectors=tmp_path / "other.pt")
    assert names_in(named) == ["checkpoint.pt", "other.pt"]


def test_the_arguments_tell_which_of_several_layers_was_trained(tmp_path):
    keys = [f"style_gan2.convs.{index}.conv.direction_to_eigenvalues_delta" for index in (1, 3)]
    u, vh = decomposed(GENERATOR.kernel(GENERATOR.layer("1")))
    tensors = {"style_gan2.convs.1.conv.u": u, "style_gan2.convs.1.conv.vh": vh} | dict.fromkeys(keys, torch.eye(8))
    torch.save({"generator": tensors}, tmp_path / "checkpoint.pt")
    (tmp_path / "args.json").write_text('{"deformator_conv_layer_index": 1, "shift_scale": 3500.0}', "utf-8")
    found = navigan.read(tmp_path / "checkpoint.pt", GENERATOR)
    assert (found.layer, float(found.t_max[0])) == ("convs.1", 3500)


def test_eigenvectors_say_their_layer_in_the_name_of_their_file(tmp_path):
    put_eigenvectors(tmp_path / "eigenvectors_layer1_stylegan2_ffhq.pt")
    assert navigan.read(tmp_path / "eigenvectors_layer1_stylegan2_ffhq.pt", GENERATOR).layer == "convs.1"


def test_labels_are_exported_so_that_their_code_takes_them_apart_once(tmp_path):
    navigan.write(ours(labels=("hair: long", "a:b", "", "time: 3: 4")), tmp_path)
    lines = (tmp_path / "human_annotation.txt").read_text("utf-8").splitlines()
    assert [line.split(": ") for line in lines] == [["0", "hair - long"], ["1", "a:b"], ["3", "time - 3 - 4"]]
