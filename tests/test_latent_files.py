"""Latent directions of other tools: each layout by a small file, whose edits are the latent plus t times the vector."""

import json

import numpy as np
import pytest
import torch
from analytic import noise, unit
from theirs import CODES, GENERATOR, close

from navbench.directions import write_set
from navbench.errors import NavbenchError
from navbench.latent_files import holds_latent_directions, read_set
from navbench.library import open_set

WIDTH = GENERATOR.style_dim
STYLES = GENERATOR.styles_per_image
W = GENERATOR.map_to_w(CODES).w


def directly(vector, t):
    """Images of the codes' w (or of each layer's) plus t times a vector, rendered by the synthesis alone."""
    vector = torch.as_tensor(vector).float()
    return GENERATOR.synthesise(W + t * (vector.view(STYLES, WIDTH) if vector.numel() > WIDTH else vector))


def edits_as(direction, vector, t=1.5):
    """Whether a direction does what adding t times a vector does."""
    space = direction.space_of(GENERATOR)
    close(space.render(space.prepare(CODES), t * direction.offset), directly(vector, t))
    assert not torch.allclose(directly(vector, t), directly(vector, 0), atol=1e-3)


def refused(pattern, *files, **options):
    with pytest.raises(NavbenchError, match=pattern) as caught:
        read_set(files, GENERATOR, **options)
    assert "\n" not in str(caught.value)


def saved(path, array):
    np.save(path, np.asarray(array))
    return path


def ganspace(path, count=3, **changes):
    components = unit_rows(noise(3, count, WIDTH))
    arrays = {
        "act_comp": components[:, None], "act_mean": noise(4, 1, WIDTH), "act_stdev": torch.arange(1.0, count + 1),
        "lat_comp": components[:, None], "lat_mean": noise(4, 1, WIDTH), "lat_stdev": torch.arange(1.0, count + 1),
        "var_ratio": torch.ones(count), "random_stdevs": torch.ones(count),
    } | changes  # fmt: skip
    np.savez_compressed(path, **{name: np.asarray(array) for name, array in arrays.items() if array is not None})
    return components


def unit_rows(rows):
    return torch.nn.functional.normalize(rows, dim=1)


def test_boundaries_of_interfacegan_are_directions_named_by_their_files(tmp_path):
    normals = [unit(noise(seed, 1, WIDTH)) for seed in (1, 2)]
    paths = [saved(tmp_path / f"{name}_boundary.npy", normal)
             for name, normal in zip(("age", "smile"), normals, strict=True)]  # fmt: skip
    found = read_set(paths, GENERATOR, "w")
    assert (found.method, found.space, found.labels) == ("interfacegan", "w", ("age boundary", "smile boundary"))
    assert (found.t_min.tolist(), found.t_max.tolist()) == ([-3, -3], [3, 3])
    for one, normal in zip(found, normals, strict=True):
        edits_as(one, normal[0])


def test_a_boundary_of_all_layers_is_in_w_plus(tmp_path):
    normal = unit(noise(1, 1, STYLES * WIDTH))
    found = read_set([saved(tmp_path / "a.npy", normal)], GENERATOR)
    assert found.space == "w+"
    edits_as(found[0], normal[0])


def test_components_of_ganspace_go_two_of_their_deviations(tmp_path):
    components = ganspace(tmp_path / "stylegan2-ffhq_style_ipca_c3_n1000_w.npz")
    found = read_set([tmp_path / "stylegan2-ffhq_style_ipca_c3_n1000_w.npz"], GENERATOR)
    assert (found.method, found.space) == ("ganspace", "w")
    assert found.t_max.tolist() == [2, 4, 6]
    for one, component in zip(found, components, strict=True):
        edits_as(one, component)


def test_columns_of_a_factor_are_directions_of_w(tmp_path):
    columns = torch.linalg.svd(noise(1, 20, WIDTH)).Vh.T
    torch.save({"ckpt": "stylegan2.pt", "eigvec": columns}, tmp_path / "factor.pt")
    found = read_set([tmp_path / "factor.pt"], GENERATOR)
    assert (found.method, found.space, len(found), found.t_max[0]) == ("sefa", "w", WIDTH, 5)
    for index in (0, WIDTH - 1):
        edits_as(found[index], columns[:, index])


@pytest.mark.parametrize("folder", ["", "models"])
def test_columns_of_a_deformator_go_as_far_as_its_training_went(tmp_path, folder):
    matrix = noise(1, WIDTH, 3)
    (tmp_path / folder).mkdir(exist_ok=True)
    torch.save({"linear.weight": matrix, "linear.bias": torch.zeros(WIDTH)}, tmp_path / folder / "deformator_9.pt")
    (tmp_path / "args.json").write_text(json.dumps({"shift_scale": 6, "w_shift": True, "deformator": "linear"}))
    (tmp_path / "human_annotation.txt").write_text("1: nose\n", "utf-8")
    found = read_set([tmp_path / folder / "deformator_9.pt"], GENERATOR)
    assert (found.method, found.space, found.labels) == ("latent-optimization", "w", ("", "nose", ""))
    close(found.t_max, 6 * matrix.norm(dim=0))
    edits_as(found[1], unit(matrix[:, 1]))
    (tmp_path / "args.json").write_text(json.dumps({"shift_scale": 6, "w_shift": False, "deformator": "proj"}))
    found = read_set([tmp_path / folder / "deformator_9.pt"], GENERATOR)
    assert (found.space, found.t_max.tolist()) == ("z", [6, 6, 6])


def test_an_orthogonal_deformator_is_the_exponential_of_its_logarithm(tmp_path):
    half = 0.3 * noise(1, WIDTH, WIDTH)
    torch.save({"log_mat_half": half}, tmp_path / "deformator.pt")
    found = read_set([tmp_path / "deformator.pt"], GENERATOR, "w")
    matrix = torch.linalg.matrix_exp(half - half.T)
    for one, column in zip(found, matrix.T, strict=True):
        close(one.offset, column)
    assert found.provenance["range"] == "-1 to 1, as none is published"
    edits_as(found[2], torch.nn.functional.linear(torch.eye(WIDTH)[2], matrix))


def test_an_imported_set_is_a_file_like_any_other(tmp_path):
    path = saved(tmp_path / "age_boundary.npy", unit(noise(1, 1, WIDTH)))
    write_set(read_set([path], GENERATOR, "z"), tmp_path / "set.safetensors")
    back = open_set(tmp_path / "set.safetensors")
    close(back.load(GENERATOR)[0].offset, np.load(path)[0])
    assert back.header["provenance"]["source"] == "interfacegan"


def test_a_space_that_no_file_says_is_asked_for(tmp_path):
    path = saved(tmp_path / "age.npy", unit(noise(1, 1, WIDTH)))
    refused(r"age\.npy does not say whether its directions are of z or w; say --space", path)
    named = saved(tmp_path / "stylegan_age_w_boundary.npy", unit(noise(1, 1, WIDTH)))
    assert read_set([named], GENERATOR).space == "w"


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.ones((1, 5)) / np.sqrt(5), "holds directions of 5 numbers .* which fit no such latent space of .* styled"),
        (np.ones((1, WIDTH)), "are no unit normals"),
        (np.zeros((1, WIDTH)), "none zero everywhere"),
        (np.full((1, WIDTH), np.nan), "has NaN or infinite values"),
        (np.ones((1, WIDTH), int), "expected a tensor of real numbers"),
        (np.zeros((0, WIDTH)), "expected directions"),
    ],
)
def test_what_is_no_boundary_is_refused(tmp_path, array, complaint):
    refused(rf"a\.npy:? .*{complaint}", saved(tmp_path / "a.npy", array), space="w")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lat_comp": None}, "has no lat_comp, which"),
        ({"lat_stdev": np.zeros(3)}, "lat_stdev is 3; expected 3 positive numbers"),
        ({"lat_stdev": np.ones(2)}, "lat_stdev is 2; expected 3 positive"),
    ],
)
def test_what_is_no_components_is_refused(tmp_path, changes, complaint):
    ganspace(tmp_path / "a.npz", **changes)
    refused(complaint, tmp_path / "a.npz", space="w")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"eigvec": noise(1, WIDTH)}, "eigvec is 8; expected a column per direction"),
        ({"eigvec": [1.0]}, "eigvec is a list; expected a tensor"),
        ({"linear.weight": noise(1, 2, 3, 4)}, "expected a column per direction"),
        ({"log_mat_half": noise(1, 2, 3)}, "expected a column per direction"),
        ({"eigvec": noise(1, 5, 5)}, "directions of 5 numbers in w, which fit no"),
    ],
)
def test_what_is_no_factor_or_deformator_is_refused(tmp_path, content, complaint):
    torch.save(content, tmp_path / "a.pt")
    assert holds_latent_directions(tmp_path / "a.pt")
    refused(complaint, tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "holds a list; expected the arguments"),
        ('{"shift_scale": "6"}', "shift_scale is '6'; expected float"),
        ('{"shift_scale": -1}', "shift_scale is -1; expected a positive number"),
        ('{"w_shift": 1}', "w_shift is 1; expected bool"),
    ],
)
def test_broken_arguments_are_named(tmp_path, text, complaint):
    torch.save({"linear.weight": noise(1, WIDTH, 3)}, tmp_path / "a.pt")
    (tmp_path / "args.json").write_text(text)
    refused(rf"args\.json:? .*{complaint}|args\.json {complaint}", tmp_path / "a.pt")


def test_files_of_several_tools_are_not_read_together(tmp_path):
    ganspace(tmp_path / "a.npz")
    path = saved(tmp_path / "b.npy", unit(noise(1, 1, WIDTH)))
    refused("Only boundaries of InterFaceGAN are read together", tmp_path / "a.npz", path)


def test_a_bias_that_is_left_out_is_told(tmp_path):
    torch.save({"linear.weight": noise(1, WIDTH, 3), "linear.bias": torch.ones(WIDTH)}, tmp_path / "a.pt")
    with pytest.warns(match="bias, which moves all codes alike"):
        read_set([tmp_path / "a.pt"], GENERATOR, "w")
