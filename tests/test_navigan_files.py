"""Files that are broken, hostile or of something else: each is refused in one sentence that names it."""

import pickle

import pytest
import torch
from analytic import LinearGenerator, noise
from theirs import (
    EYE,
    GENERATOR,
    LAYER,
    SHAPE,
    Code,
    decomposed,
    put,
    put_checkpoint,
    put_eigenvectors,
    put_svd_checkpoint,
    refused,
)

from navbench import navigan


def whole(shift=None):
    return {"layer_ix": 1, "shift": noise(1, 1, 1, *SHAPE) if shift is None else shift}


def dense(tmp_path):
    """The bytes of a file that is whole."""
    return put(tmp_path / "x.pt", whole(noise(1, 1, 1, 8, 8, 3, 300))).read_bytes()


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_neither_run_nor_loaded(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "d.pt"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Code(), protocol=2))
    else:
        torch.save(whole() | {"note": Code()}, path, _use_new_zipfile_serialization=kind == "zip")
    complaint = (
        r"d\.pt is damaged or no checkpoint \(it is no file of torch\.save\)"
        if kind == "pickle"
        else r"d\.pt wants to use (posix|nt)\.system, which is no tensor and no plain container, so it is refused"
    )
    refused(complaint, path)
    checkpoint = put_checkpoint(tmp_path / "c.pt", direction_to_basis_coefs=noise(1, 2, 4))
    refused(complaint, checkpoint, eigenvectors=path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty; fetch it again"),
        (b"hello, world\n", "is damaged or no checkpoint"),
        (b"PK\x03\x04 and nothing else", "is damaged or no checkpoint"),
        (slice(20_000), "is damaged or no checkpoint"),
        (slice(-200), "is damaged or no checkpoint"),
    ],
)
def test_a_file_that_is_not_whole_is_named(tmp_path, content, complaint):
    content = content if isinstance(content, bytes) else dense(tmp_path)[content]
    (tmp_path / "d.pt").write_bytes(content)
    refused(rf"d\.pt {complaint}", tmp_path / "d.pt")


def test_a_file_or_folder_that_is_not_there_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    refused(r"There is no file .*d\.pt; check the path", tmp_path / "d.pt")
    refused(r"folder has no \.pt files", tmp_path / "folder")
    refused(r"There is no file of directions to read", [])
    refused(
        r"There is no file .*folder; check the path",
        put_checkpoint(tmp_path / "c.pt", direction_to_basis_coefs=noise(1, 2, 4)),
        eigenvectors=tmp_path / "folder",
    )


def endless():
    deep = []
    deep.append(deep)
    return deep


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (whole() | {"layer_ix": 4}, r"is for layer 4, but generator styled has layers 0 to 3"),
        (whole() | {"layer_ix": -1}, r"layer_ix is -1; expected the index"),
        (whole() | {"layer_ix": True}, r"layer_ix is True; expected the index"),
        (whole() | {"layer_ix": 10**600}, r"layer_ix is an int; expected the index"),
        (whole() | {"layer_ix": [1]}, r"layer_ix is a list; expected the index"),
        ({"shift": whole()["shift"]}, r"layer_ix is nothing; expected the index"),
        (whole() | {"layer_ix": 0}, r"shift is 1x1x8x8x3x3, but layer convs\.0 of generator styled takes 1x1x8x16x3x3"),
        (whole(noise(1, 2, 1, *SHAPE)), r"shift is 2x1x8x8x3x3, but layer convs\.1 .* takes 1x1x8x8x3x3"),
        (whole(noise(1, 1, 2, *SHAPE)), r"shift is 1x2x8x8x3x3, but layer convs\.1"),
        (whole(noise(1, 0, 1, *SHAPE)), r"shift is 0x1x8x8x3x3, but layer convs\.1"),
        (whole(torch.tensor(1.0)), r"shift is a single number, but layer convs\.1"),
        (whole(torch.zeros(1, 1, *SHAPE)), r"shift has a direction that is zero everywhere"),
        (whole(torch.full((1, 1, *SHAPE), torch.nan)), r"shift has NaN or infinite values"),
        (whole(torch.full((1, 1, *SHAPE), 1e300, dtype=torch.float64)), r"shift has NaN or infinite values"),
        (whole(torch.full((1, 1, *SHAPE), 3e38)), r"found the range .*, expected t_min < 0 < t_max"),
        (whole(torch.ones(1, 1, *SHAPE, dtype=torch.int64)), r"shift is a tensor 1x1x8x8x3x3 of int64; expected"),
        (whole(torch.ones(1, 1, *SHAPE, device="meta")), r"wants to use torch\._utils\._rebuild_meta_tensor_no"),
        (whole([1.0, 2.0]), r"shift is a list; expected a tensor of real numbers"),
        (whole() | {"bias": noise(1, 8)}, r"holds 'bias' beside the shift, a tensor 8 of float32; expected plain"),
        (whole() | {"shifts": {"2": 1}}, r"holds 'shifts' beside the shift, a dict of '2'; expected plain"),
        (whole() | {"endless": endless()}, r"holds 'endless' beside the shift, a list; expected plain values only"),
        (whole() | {"start_layer_ix": 0}, r"is for the layers 0 to 1; expected one, layer_ix 1"),
        (whole() | {"end_layer_ix": 3}, r"is for the layers 1 to 3; expected one, layer_ix 1"),
        (whole() | {"t_min": 1.0}, r"found the range 1\.0 .*, expected t_min < 0 < t_max"),
        (whole() | {"t_min": -(10**400)}, r"found the range an int .*, expected t_min < 0 < t_max"),
        (whole() | {"t_min": [1]}, r"found the range a list .*, expected t_min < 0 < t_max"),
        ({}, r"holds an empty dict; expected a direction"),
        ({"step": 1}, r"holds a dict of 'step'; expected a direction \(with layer_ix and shift\), eigenvectors"),
        ([noise(1, *SHAPE)], r"holds a list; expected a direction"),
        ("text", r"holds 'text'; expected a direction"),
    ],
)  # fmt: skip
def test_a_direction_that_means_nothing_here_is_refused(tmp_path, content, complaint):
    refused(rf"d\.pt:? {complaint}", put(tmp_path / "d.pt", content))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (noise(1, 4, 1, 8, 16, 3, 3), r": the tensor is 4x1x8x16x3x3, but layer convs\.1 of .* takes nx1x8x8x3x3"),
        (noise(1, 0, 1, *SHAPE), r": the tensor is 0x1x8x8x3x3, but"),
        (
            torch.ones(1).expand(10**12),
            r".* \(a tensor is larger than what is stored of it\)",
        ),
        (torch.ones(1).expand(10**9, 1, *SHAPE), r".* \(a tensor is larger than what is stored of it\)"),
        (
            torch.cat([noise(1, 1, 1, *SHAPE), torch.zeros(1, 1, *SHAPE)]),
            r": the tensor has a direction that is zero everywhere",
        ),
        (torch.full((2, 1, *SHAPE), torch.inf), r": the tensor has NaN or infinite values"),
        (noise(1, 3, 3).to_sparse(), r" wants to use torch\._utils\._rebuild_sparse_tensor, which is no tensor"),
    ],
)
def test_broken_eigenvectors_are_refused(tmp_path, content, complaint):
    path = put(tmp_path / "e.pt", content)
    refused(rf"e\.pt{complaint}", path, layer="1")
    checkpoint = put_checkpoint(tmp_path / "c.pt", direction_to_basis_coefs=noise(1, 2, 4))
    refused(rf"e\.pt{complaint}", checkpoint, eigenvectors=path)


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({}, r"c\.pt has no coefficients; expected convs\.N\.conv\.direction_to_\.\.\."),
        (
            {"layer": 9, "direction_to_eigenvalues_delta": EYE},
            r"c\.pt is for layer 9, but generator styled has layers 0",
        ),
        (
            {"direction_to_eigenvalues_delta": EYE},
            r"c\.pt: style_gan2\.convs\.1\.conv\.u is nothing; expected a tensor",
        ),
        (
            {"direction_to_eigenvalues_delta": EYE, "u": noise(1, 3, 8)},
            r"convs\.1\.conv\.u is 3x8; expected 72x8, as convs\.1 has a kernel of 8x8x3x3",
        ),
        (
            {"direction_to_eigenvalues_delta": EYE, "u": noise(1, 72, 8), "vh": EYE[:, :5]},
            r"convs\.1\.conv\.vh is 8x5; expected 8x8",
        ),
        (
            {"direction_to_eigenvalues_delta": noise(1, 2, 5), "u": noise(1, 72, 8), "vh": EYE},
            r"c\.pt moves 5 singular values, but convs\.1 has 8",
        ),
        ({"direction_to_eigenvalues_delta": EYE[0]}, r"delta is a tensor 8 of float32; expected rows of coefficients"),
        ({"direction_to_eigenvalues_delta": 0 * EYE}, r"delta is a tensor 8x8 .*; expected rows .* none all zero"),
        ({"direction_to_eigenvalues_delta": EYE / 0}, r"eigenvalues_delta has NaN or infinite values"),
        (
            {"direction_to_basis_coefs": EYE},
            r"c\.pt has coefficients on the eigenvectors of another file; name that one",
        ),
    ],
)
def test_a_broken_checkpoint_is_refused(tmp_path, tensors, complaint):
    refused(complaint, put_checkpoint(tmp_path / "c.pt", **tensors))


def test_a_checkpoint_without_a_generators_tensors_is_refused(tmp_path):
    refused(r"c\.pt has no coefficients", put(tmp_path / "c.pt", {"generator": noise(1, 2)}))
    refused(r"c\.pt has no coefficients", put(tmp_path / "c.pt", {"generator": {1: noise(1, 2)}}))


def test_a_checkpoint_of_two_layers_needs_one_named(tmp_path):
    u, vh = decomposed(GENERATOR.kernel(LAYER))
    one = {f"style_gan2.convs.1.conv.{name}": value for name, value in {"u": u, "vh": vh}.items()}
    keys = [f"style_gan2.convs.{index}.conv.direction_to_eigenvalues_delta" for index in (1, 3)]
    path = put(tmp_path / "c.pt", {"generator": one | dict.fromkeys(keys, EYE)})
    refused(r"c\.pt has coefficients for the layers 1, 3; expected .* for one, or name which", path)
    refused(r"c\.pt has coefficients for the layers 1, 3; expected", path, layer="0")
    assert navigan.read(path, GENERATOR, layer="1").layer == "convs.1"


def test_eigenvectors_of_another_count_or_where_none_are_needed_are_refused(tmp_path):
    put_eigenvectors(tmp_path / "e.pt", count=3)
    path = put_checkpoint(tmp_path / "c.pt", direction_to_basis_coefs=noise(1, 2, 4))
    refused(r"c\.pt has coefficients on 4 eigenvectors, but .*e\.pt holds 3", path, eigenvectors=tmp_path / "e.pt")
    for path in (put(tmp_path / "d.pt", whole()), tmp_path / "e.pt"):
        refused(r"(d|e)\.pt holds .* which needs no eigenvectors", path, layer="1", eigenvectors=tmp_path / "e.pt")
    path = put_svd_checkpoint(tmp_path / "s.pt", EYE)
    refused(r"s\.pt was trained on singular values, without eigenvectors", path, eigenvectors=tmp_path / "e.pt")


def test_only_single_directions_are_read_together(tmp_path):
    put_eigenvectors(tmp_path / "b.pt")
    put(tmp_path / "a.pt", whole())
    refused(r"b\.pt holds a tensor .*; only single directions are read together", tmp_path, layer="1")


def test_another_kind_of_generator_is_refused(tmp_path):
    path = put(tmp_path / "d.pt", whole())
    refused(r"d\.pt: navigan's .* a StyleGAN2, but generator linear is a LinearGen", path, generator=LinearGenerator())
