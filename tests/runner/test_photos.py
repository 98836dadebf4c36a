"""Photos of a run: projected once, kept as codes, edited, scored, and shown."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from analytic import LinearGenerator, Quadratic, edit, noise, styled
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.experiments import photos as edited_photos
from navbench.experiments.photo_codes import read_latents
from navbench.experiments.photos import moves
from navbench.experiments.projection import Projector
from navbench.experiments.real_images import photo_strip
from navbench.experiments.strips import to_bytes
from navbench.generators import zoo
from navbench.report.html import write_report

PIECES = Projector._pieces
SIZES = {"steps": 30, "count": 2, "spaces": ["z", "z+activation"]}


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Two photos that the toy generator could have made."""
    folder = tmp_path_factory.mktemp("album")
    generator = zoo.create("toy:make", Compute())
    images = generator(generator.sample(range(2), 77)).clamp(-1, 1)
    for name, image in zip(("one", "two"), images, strict=True):
        Image.fromarray(((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()).save(folder / f"{name}.png")
    return folder


def with_photos(sources, **values):
    subject = toy.judged().generators[0].model_dump() | {"photos": [str(source) for source in sources]}
    chosen = toy.judged(generators=[subject], experiments=["photos"], photos=SIZES | values.pop("photos", {}))
    return chosen.with_values(**values)


@pytest.fixture(scope="module")
def run(tmp_path_factory, judged_sets, album):
    return toy.execute(tmp_path_factory.mktemp("runs") / "photos", with_photos([album]), judged_sets)


def test_each_photo_is_projected_once_into_each_space(run):
    table = pd.read_csv(run.folder / "tables" / "projection.csv", keep_default_na=False)
    assert list(zip(table["photo"], table["space"], table["layer"], strict=True)) == [
        ("one", "z", ""), ("two", "z", ""), ("one", "z+activation", "up"), ("two", "z+activation", "up"),
    ]  # fmt: skip
    before = table["perceptual_start"] + table["pixel_weight"] * table["mse_start"]
    after = table["perceptual"] + table["pixel_weight"] * table["mse"]
    assert (after < before).all()
    assert (table["steps"] == 30).all()


def test_latent_directions_edit_photos_without_activations(run):
    table = pd.read_csv(run.folder / "tables" / "images.csv")
    photos = table[table["kind"] == "photos"]
    assert set(photos.loc[photos["space"] == "z", "target"]) == {"z"}
    assert set(photos.loc[photos["space"] == "parameter", "target"]) == {"z", "z+activation"}


def test_what_the_scorer_reads_of_edits_is_of_the_pictures(run):
    table = pd.read_csv(run.folder / "tables" / "photo_attributes.csv")
    rows = pd.read_csv(run.folder / "tables" / "images.csv")
    row = rows[(rows["kind"] == "photos") & (rows["target"] == "z")].iloc[0]
    with Image.open(run.folder / row["file"]) as image:
        sheet = torch.from_numpy(np.array(image)).float() / 127.5 - 1
    own = table[(table["name"] == row["name"]) & (table["projected_into"] == "z") & (table["photo"] == "one")]
    read = own[own["attribute"] == "brightness"].sort_values("t")["value"].tolist()
    cells = [sheet[:24, 24 * place : 24 * (place + 1)].mean() for place in range(1, 1 + len(read))]
    assert read == pytest.approx([float(cell) for cell in cells], abs=0.02)  # a picture is of bytes, and compressed


def test_the_page_shows_them(run):
    page = write_report(run.folder).read_text(encoding="utf-8")
    assert 'id="photos"' in page
    assert "projected into z+activation" in page


def test_codes_of_an_earlier_run_stand_for_the_photo(run, tmp_path, judged_sets):
    codes = run.folder / "codes" / "one-z.safetensors"
    again = toy.execute(tmp_path / "again", with_photos([codes], photos={"spaces": []}), judged_sets)
    one, other = (pd.read_csv(each.folder / "tables" / "photo_attributes.csv") for each in (run, again))
    one = one[(one["photo"] == "one") & (one["projected_into"] == "z")].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, other, rtol=1e-4)
    assert not list((again.folder / "cache").glob("projection/*"))


def test_what_is_left_of_an_interrupted_projection_alone_is_projected(run, tmp_path, judged_sets, album, monkeypatch):
    shutil.copytree(run.folder / "cache", tmp_path / "run" / "cache")
    lost = sorted((tmp_path / "run" / "cache" / "project_photo").iterdir())[0]
    lost.unlink()
    made = []
    monkeypatch.setattr(Projector, "_pieces", lambda *arguments: made.append(len(arguments[1])) or PIECES(*arguments))
    toy.execute(tmp_path / "run", with_photos([album]), judged_sets)
    assert made == [1]


@pytest.mark.parametrize("space", ["z", "w", "w+", "s"])
@pytest.mark.parametrize("into", ["z", "w", "w+"])
def test_a_latent_direction_edits_what_it_leaves_alone_at_zero(space, into):
    generator = styled(strength=0.05)
    photos = 0.5 * noise(3, 2, 3, 8, 8).tanh()
    found = Projector(generator, Quadratic(), Compute(), 3, 0).project(photos, into)
    made = edit(generator, noise(1, *generator.latent_shape(space)), space=space)
    unedited = photo_strip(made, into, found, [-1.0, 0.0, 1.0]).images[:, 2]
    same = torch.equal(unedited, torch.stack([each.image for each in found]))
    assert same == moves(made.direction, into, "")


def test_a_direction_that_moves_no_photo_is_refused_before_any_is_projected(tmp_path, judged_sets, album):
    subject = with_photos([album]).generators[0].model_dump() | {"layers": [], "methods": []}
    chosen = with_photos([album], photos={"spaces": ["z+activation"]}).with_values(generators=[subject])
    with pytest.raises(NavbenchError, match=r"cannot edit photos in z\+activation.*project the photos into z"):
        toy.execute(tmp_path / "run", chosen, judged_sets)
    assert not (tmp_path / "run" / "codes").exists()


def test_activations_beside_codes_of_another_photo_are_those_of_the_photo_itself(run, tmp_path, judged_sets, album):
    sources = [album / "two.png", run.folder / "codes" / "one-z.safetensors"]
    again = toy.execute(tmp_path / "run", with_photos(sources, photos={"spaces": ["z+activation"]}), judged_sets)
    with safe_open(again.folder / "codes" / "two-z+activation-up.safetensors", framework="pt") as file:
        photo = file.get_tensor("photo")
    with Image.open(album / "two.png") as image:
        assert torch.equal(photo, torch.from_numpy(np.array(image)).permute(2, 0, 1))


def test_all_codes_of_a_run_together_stand_for_its_photos(run, tmp_path, judged_sets):
    sources = sorted((run.folder / "codes").iterdir())
    again = toy.execute(tmp_path / "run", with_photos(sources), judged_sets)
    one, other = (pd.read_csv(each.folder / "tables" / "projection.csv") for each in (run, again))
    order = ["space", "photo"]
    pd.testing.assert_frame_equal(*(each.sort_values(order).reset_index(drop=True) for each in (one, other)))


def test_codes_of_other_weights_are_refused(run, tmp_path, judged_sets, monkeypatch):
    def other():
        module = toy.Toy()
        module.last.weight.data[0, 0, 0, 0] += 1e-3
        return module

    monkeypatch.setattr(toy, "make", other)
    with pytest.raises(NavbenchError, match="other weights"):
        toy.execute(tmp_path / "run", with_photos([run.folder / "codes" / "one-z.safetensors"]), judged_sets)
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_codes_that_enter_another_layer_are_refused_by_name(run, tmp_path, judged_sets):
    codes = run.folder / "codes" / "one-z+activation-up.safetensors"
    subject = with_photos([codes]).generators[0].model_dump() | {
        "layers": [],
        "methods": [],
        "latent_methods": ["random"],
    }
    chosen = with_photos([codes]).with_values(generators=[subject])
    with pytest.raises(NavbenchError, match="enter up"):
        toy.execute(tmp_path / "run", chosen, judged_sets)


@pytest.mark.parametrize("content", [b"", b"not safetensors", bytes(200)])
def test_files_that_hold_no_codes_are_refused(tmp_path, judged_sets, content):
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(NavbenchError, match="does not hold the codes"):
        toy.execute(tmp_path / "run", with_photos([tmp_path / "bad.safetensors"]), judged_sets)


@pytest.mark.parametrize(
    ("header", "tensor", "words"),
    [
        ({"space": "../x"}, {}, "space of projection"),
        ({"layer": "no-such"}, {}, "layer of generator"),
        ({}, {"latent": torch.zeros(7)}, "'latent' has shape"),
        ({}, {"maps": torch.zeros(3)}, "'maps' has shape"),
        ({}, {"activation": torch.zeros(2, 2)}, "'activation' has shape"),
        ({"truth": 3}, {}, "does not hold the codes"),
    ],
)
def test_codes_that_do_not_fit_are_refused_by_what_is_wrong(run, tmp_path, judged_sets, header, tensor, words):
    with safe_open(run.folder / "codes" / "one-z.safetensors", framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        known = json.loads(file.metadata()["navbench codes"])
    bad = tmp_path / "bad.safetensors"
    save_file(kept | tensor, bad, {"navbench codes": json.dumps(known | header)})
    with pytest.raises(NavbenchError, match=words):
        toy.execute(tmp_path / "run", with_photos([bad]), judged_sets)


def test_codes_that_no_direction_moves_are_told_where_they_are():
    generator = styled()
    made = edit(generator, noise(1, 8), space="z").direction
    given = [SimpleNamespace(photo=SimpleNamespace(name="me"), space="w+", layer="")]
    album = SimpleNamespace(given=given, wanted=(), spaces=lambda _: [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edited_photos, "_Projections", lambda _: album)
        with pytest.raises(NavbenchError, match=r"codes of 'me' are in w\+, which none of these directions moves;"):
            edited_photos._check_edits(SimpleNamespace(), [made])


def test_a_suite_goes_on_where_some_directions_move_no_photo_and_says_so(tmp_path, judged_sets, album):
    chosen = with_photos([album], photos={"spaces": ["z+activation"], "count": 1, "steps": 2})
    made = toy.execute(tmp_path / "run", chosen, judged_sets)
    assert "random/z/0 cannot edit photos in z+activation" in " ".join(made.manifest.warnings)
    table = pd.read_csv(made.folder / "tables" / "images.csv")
    assert set(table.loc[table["kind"] == "photos", "space"]) == {"parameter"}


@pytest.mark.parametrize("with_photo", [False, True])
def test_a_photo_and_codes_of_the_same_name_and_space_are_kept_apart(run, tmp_path, judged_sets, album, with_photo):
    codes = run.folder / "codes" / "one-z.safetensors"
    with pytest.raises(NavbenchError, match="two of one in z"):
        toy.execute(tmp_path / "run", with_photos([codes, album if with_photo else codes]), judged_sets)


# --- latents of other tools


STYLED = styled(strength=0.05)
PLUS = STYLED.latent_shape("w+")


def held(path, latents):
    """A file of latents as the tool of its ending writes it."""
    if path.suffix == ".npz":
        np.savez(path, w=latents.numpy())
    else:
        torch.save(latents, path)
    return path


@pytest.mark.parametrize(
    ("name", "shape", "space"),
    [
        ("projected_w.npz", (1, *PLUS), "w+"),
        ("latents.pt", (3, *PLUS), "w+"),
        ("latents.pt", PLUS, "w+"),
        ("latents.pt", (2, PLUS[1]), "w"),
    ],
)
def test_latents_of_other_tools_are_edited_as_they_are(tmp_path, name, shape, space):
    latents = noise(1, *shape)
    found = read_latents(held(tmp_path / name, latents), STYLED)
    latents = latents.reshape(len(found), *STYLED.latent_shape(space))
    assert {each.space for each in found} == {space}
    assert len({each.photo.name for each in found}) == len(found)
    vector = noise(2, PLUS[1])
    made = edit(STYLED, vector, space="w")
    strip = photo_strip(made, space, [each.projection for each in found], [0.0, 1.5]).images
    offset = 1.5 * vector / vector.norm()
    for row, latent in zip(strip, latents, strict=True):
        own = latent.expand(PLUS)
        for column, expected in zip(row, (own, own, own + offset), strict=True):  # the photo stands for itself
            assert torch.equal(column, to_bytes(STYLED.synthesise(expected[None]))[0])


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (
            "a.npz",
            noise(1, 1, 18, 512),
            r"a\.npz holds latents of shape \(1, 18, 512\), but generator styled",
        ),
        ("a.pt", noise(1, 0, *PLUS), r"a\.pt holds latents of shape \(0, "),
        ("a.pt", noise(1, *PLUS) / 0, r"a\.pt holds no latents; expected w of a projected_w\.npz, or a tensor"),
        ("a.pt", {"w": noise(1, *PLUS)}, "holds no latents"),
        ("a.pt", torch.zeros(1, *PLUS, dtype=torch.int64), "holds no latents"),
    ],
)
def test_what_holds_no_latents_of_the_generator_is_refused(tmp_path, name, content, complaint):
    with pytest.raises(NavbenchError, match=complaint):
        read_latents(held(tmp_path / name, content), STYLED)


def test_an_npz_without_w_and_a_generator_without_w_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", v=np.zeros(PLUS))
    with pytest.raises(NavbenchError, match="holds no latents"):
        read_latents(tmp_path / "a.npz", STYLED)
    with pytest.raises(NavbenchError, match=r"has neither w nor w\+"):
        read_latents(held(tmp_path / "b.npz", noise(1, *PLUS)), LinearGenerator())
