"""The commands that import and export the authors' direction files."""

import pickle
import shlex
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import numpy as np
import pytest
import torch
from analytic import noise, styled, unit
from click.testing import CliRunner
from theirs import EYE, GENERATOR, SHAPE, Code, close, put_checkpoint, put_direction, put_eigenvectors

from navbench import navigan, plugins
from navbench.cli import main
from navbench.generators import zoo


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run a command line in a folder, where the generator is installed as `styled` and importable as `mine:make`."""
    module = ModuleType("mine")
    module.make = lambda: styled(16)
    monkeypatch.setitem(sys.modules, "mine", module)
    there = plugins.known
    point = {zoo.GROUP: {"styled": EntryPoint("styled", "mine:make", zoo.GROUP)}}
    monkeypatch.setattr(plugins, "known", lambda group: there(group) | point.get(group, {}))
    monkeypatch.chdir(tmp_path)

    def run(line, code=0):
        result = CliRunner().invoke(main, shlex.split(line))
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.mark.parametrize("generator", ["styled", "mine:make"])
def test_a_published_direction_is_imported_found_by_its_name_and_exported_as_it_was(call, tmp_path, generator):
    shift = 3.5 * unit(noise(1, *SHAPE))
    put_direction(tmp_path / "wheel_size.pt", shift)
    put_direction(tmp_path / "other.pt", unit(noise(2, *GENERATOR.layer("3").shape)), 3)
    printed = call(f"directions import wheel_size.pt other.pt --generator {generator} --out sets").stdout.splitlines()
    assert printed == [
        "Directions: sets/styled/navigan/convs.1.safetensors",
        "  1 of convs.1, range as published",
        "Directions: sets/styled/navigan/convs.3.safetensors",
        "  1 of convs.3, range -1 to 1, as none is published",
    ]
    assert "wheel size" in call("directions list --directions sets").stdout
    shown = call("directions show 'wheel size' --directions sets").stdout
    assert "styled/navigan/convs.1/0" in shown
    assert "[-3.5, 3.5]" in shown
    call("directions export 'wheel size' --directions sets --out back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    close(back["shift"], shift[None, None], 1e-6)
    assert back["layer_ix"] == 1


def test_a_hybrid_is_imported_with_its_labels_and_exported_as_a_set(call, tmp_path):
    vectors = put_eigenvectors(tmp_path / "e.pt")
    put_checkpoint(tmp_path / "checkpoint.pt", direction_to_basis_coefs=EYE[:2, :4])
    (tmp_path / "labels.txt").write_text("1: nose\n")
    line = "directions import checkpoint.pt --generator styled --layer 1 --eigenvectors e.pt --annotation labels.txt"
    call(f"{line} --out sets")
    printed = call("directions export styled/hybrid/convs.1 --directions sets --out set").stdout
    assert printed == "Written: set/eigenvectors.pt\nWritten: set/human_annotation.txt\nWritten: set/ranges.txt\n"
    back = navigan.read(tmp_path / "set", GENERATOR, layer="1")
    assert back.labels == ("", "nose")
    for one, vector in zip(back, vectors[:2], strict=True):
        close(one.offset, vector, 1e-3)  # a stored basis is at half precision
    call("directions import set --generator styled --layer convs.1 --out sets")
    assert "nose" in call("directions show styled/spectrum/convs.1/1 --directions sets").stdout


def test_sets_and_files_that_are_there_are_kept_unless_forced(call, tmp_path):
    put_direction(tmp_path / "a.pt", noise(1, *SHAPE))
    put_direction(tmp_path / "b.pt", noise(2, *GENERATOR.layer("0").shape), 0)
    line = "directions import a.pt --generator styled --out sets"
    call(line)
    message = r"Error: sets/styled/navigan/convs.1.safetensors exists already; choose another --out, or say --force"
    assert message in call(line, 2).stderr
    call(f"{line} b.pt", 2)
    assert not (tmp_path / "sets" / "styled" / "navigan" / "convs.0.safetensors").exists()  # nothing, rather than half
    call(f"{line} b.pt --force")
    assert (tmp_path / "sets" / "styled" / "navigan" / "convs.0.safetensors").exists()
    call("directions export styled/navigan/convs.1/0 --directions sets --out out.pt")
    assert (
        "out.pt exists already" in call("directions export navigan/convs.1/0 --directions sets --out out.pt", 2).stderr
    )
    call("directions export navigan/convs.1/0 --directions sets --out out.pt --force")


def test_a_broken_file_is_one_sentence_on_the_command_line(call, tmp_path):
    (tmp_path / "d.pt").write_bytes(pickle.dumps(Code(), protocol=4))
    error = call("directions import d.pt --generator styled --out sets", 2).stderr
    assert error.startswith("Error: d.pt is damaged or no checkpoint (it is no file of torch.save)")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "sets").exists()


def test_latent_directions_of_other_tools_are_imported_and_found_by_their_names(call, tmp_path):
    normal = unit(noise(1, 1, GENERATOR.style_dim))
    np.save(tmp_path / "age_boundary.npy", normal.numpy())
    line = "directions import age_boundary.npy --generator styled --out sets"
    assert "say --space" in call(line, 2).stderr
    assert call(f"{line} --space w").stdout.splitlines() == [
        "Directions: sets/styled/interfacegan/w.safetensors",
        "  1 of w, range as published",
    ]
    assert "styled/interfacegan/w/0" in call("directions show 'age boundary' --directions sets").stdout
    assert "leave --layer" in call(f"{line} --space w --layer 1 --force", 2).stderr
    put_direction(tmp_path / "a.pt", noise(1, *SHAPE))
    assert "leave --space out" in call("directions import a.pt --generator styled --space w --out sets", 2).stderr


def test_a_space_that_is_imported_is_not_taken_for_one_that_was_found(call, tmp_path):
    np.savez(tmp_path / "a_w.npz", lat_comp=unit(noise(1, 1, GENERATOR.style_dim)).numpy(), lat_stdev=np.ones(1))
    call("directions import a_w.npz --generator styled --out sets")
    error = call("discover --generator styled --latent w --method ganspace --preset smoke --out sets", 2).stderr
    assert "was imported from ganspace; choose another folder" in error
