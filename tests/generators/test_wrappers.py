"""Whatever a generator is wrapped in, the images are those of the unwrapped file, and what was taken off is said."""

import argparse
import os
import pickle
import sys
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import ModuleType, SimpleNamespace

import numpy as np
import published
import pytest
import torch
from analytic import noise, styled
from torch import nn

from navbench.errors import NavbenchError, NavbenchWarning
from navbench.generators.checkpoints import read_checkpoint
from navbench.texts import LONGEST

GENERATOR = styled(8)
CODES = GENERATOR.sample(range(2), seed=0)
STATE, MEAN = published.rosinality_state(GENERATOR), GENERATOR.w_avg
NVIDIA = published.nvidia_state(GENERATOR)
OTHER = published.rosinality_state(styled(8, strength=1.0))
CRITIC = {"convs.0.0.weight": noise(0, 2), "final_linear.0.weight": noise(0, 2)}
ENCODER = {"encoder.input_layer.0.weight": noise(0, 3), "encoder.body.0.weight": noise(1, 3)}


def under(prefix, state=STATE):
    return {f"{prefix}{key}": value for key, value in state.items()}


PREFIX = "the prefix {!r} was taken off the names of its tensors"
ENTRY = "the generator is its entry {}"
WRAPPED = {
    "as published": ({"g_ema": STATE, "latent_avg": MEAN}, []),
    "a state dict": (STATE | {"latent_avg": MEAN}, []),
    "DataParallel": ({"g_ema": under("module."), "latent_avg": MEAN}, [PREFIX.format("module.")]),
    "torch.compile": ({"g_ema": under("_orig_mod."), "latent_avg": MEAN}, [PREFIX.format("_orig_mod.")]),
    "both": ({"g_ema": under("_orig_mod.module."), "latent_avg": MEAN}, [PREFIX.format("_orig_mod.module.")]),
    "Lightning": (
        {"state_dict": under("generator.") | under("discriminator.", CRITIC), "latent_avg": MEAN, "epoch": 3},
        [ENTRY.format("'state_dict'"), PREFIX.format("generator."), "tensors beside these (2) are left out"],
    ),
    "netG": (
        {"state_dict": under("netG.") | {"latent_avg": MEAN}},
        [PREFIX.format("netG."), "tensors beside these (1) are left out"],
    ),
    "pSp": (
        {"state_dict": under("decoder.") | ENCODER, "latent_avg": MEAN.repeat(4, 1), "opts": {"lr": 0.1}},
        [ENTRY.format("'state_dict'"), PREFIX.format("decoder.")],
    ),
    "pSp, compiled": (
        {"state_dict": under("decoder.module.") | ENCODER, "latent_avg": MEAN[None]},
        ["decoder.module."],
    ),
    "ema-pytorch": (
        under("ema_model.") | under("online_model.", OTHER) | {"step": torch.tensor(3), "ema_model.latent_avg": MEAN},
        [PREFIX.format("ema_model.")],
    ),
    "an average of torch": (under("module.") | {"n_averaged": torch.tensor(3), "latent_avg": MEAN}, ["'module.'"]),
    "nested entries": (
        {"model": {"weights": {"g_ema": STATE, "g": OTHER}, "latent_avg": MEAN}, "step": 1},
        [ENTRY.format("'model' / 'weights' / 'g_ema'")],
    ),
    "an average beside": ({"netG": OTHER, "netG_ema": STATE, "latent_avg": MEAN}, [ENTRY.format("'netG_ema'")]),
    "only the weights": (
        {"g": STATE, "d": CRITIC, "latent_avg": MEAN},
        [ENTRY.format("'g'"), "not their moving average (g_ema)"],
    ),
    "NVIDIA's in a dictionary": ({"G": NVIDIA}, [ENTRY.format("'G'"), "not their moving average (g_ema)"]),
    "NVIDIA's, wrapped": ({"generator": under("module.", NVIDIA)}, [ENTRY.format("'generator'"), "'module.'"]),
}


def saved(path, content):
    torch.save(content, path)
    return path


def read(path):
    """The generator, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NavbenchWarning)
        made = read_checkpoint(path)
    return made, [str(each.message) for each in caught if issubclass(each.category, NavbenchWarning)]


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_generator_is_the_unwrapped_one_and_what_was_around_it_is_said(tmp_path, name):
    content, sentences = WRAPPED[name]
    made, told = read(saved(tmp_path / "a.pt", content))
    assert torch.equal(made(CODES), GENERATOR(CODES))
    assert made.fingerprint == GENERATOR.fingerprint
    assert bool(told) == bool(sentences)
    for sentence in sentences:
        assert sentence in "".join(told)
        assert sentence in "".join(made.details.values())
    assert all(each.startswith(f"{tmp_path / 'a.pt'}: ") and each.endswith(".") for each in told)


def test_endless_names_around_a_generator_are_cut_where_they_are_kept(tmp_path):
    made, _ = read(saved(tmp_path / "a.pt", {"x\n\x1b" + "k" * 5000: STATE, "latent_avg": MEAN}))
    assert made.details["wrapping"].startswith(r"the generator is its entry 'x\n\x1bkkk")
    assert len(made.details["wrapping"]) <= LONGEST


def test_the_weights_of_a_training_of_nvidias_are_called_that(tmp_path):
    with published.nvidia_modules():
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G": published.module_tree(NVIDIA), "D": None}))
    made, told = read(tmp_path / "a.pkl")
    assert made.fingerprint == GENERATOR.fingerprint
    assert "not their moving average" in told[1]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"state_dict": under("netG_A.") | under("netG_B.", OTHER)}, "several generators, 'state_dict / netG_A.'"),
        ({"a": STATE, "b": STATE}, "several generators, 'a', 'b'"),
        ({"g_ema": CRITIC, "g": STATE}, "discriminator of StyleGAN"),
        ({"g_ema": under("module.", CRITIC)}, "discriminator of StyleGAN"),
        ({"state_dict": ENCODER}, "no generator that navbench runs"),
        ({"encoder": ENCODER, "critic": CRITIC}, "holds no generator, only 'encoder', 'critic'"),
        ({str(index): CRITIC for index in range(120)}, "100 networks or more"),
    ],
    ids=range(7),
)
def test_what_is_not_one_generator_is_said_in_one_sentence(tmp_path, content, named):
    with pytest.raises(NavbenchError) as refused:
        read_checkpoint(saved(tmp_path / "a.pt", content))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_dictionary_that_holds_itself_is_read(tmp_path):
    content = {"g_ema": STATE, "latent_avg": MEAN}
    content["self"] = content
    assert read(saved(tmp_path / "a.pt", content))[0].fingerprint == GENERATOR.fingerprint


# --- what stands beside it


class AttributeDict(dict):
    """Lightning's, by the name that its pickles have."""


BESIDE = {
    "numpy numbers": {"loss": np.float64(0.5), "step": np.int32(7), "done": np.bool_(True), "half": np.float16(1)},
    "numpy text": {"name": np.str_("cars"), "raw": np.bytes_(b"cars")},
    "numpy arrays and kinds": {"history": np.arange(3.0), "kind": np.float32, "dtype": np.dtype("f4")},
    "devices": {"device": torch.device("cuda:1"), "other": torch.device("cpu"), "dtype": torch.float16},
    "paths": {"out": Path("/data/runs"), "pure": PurePosixPath("a/b"), "windows": PureWindowsPath("C:/a")},
    "defaultdicts": {"log": defaultdict(list, {"loss": [1.0]}), "none": defaultdict(None), "count": defaultdict(int)},
    "namespaces": {"args": argparse.Namespace(size=8, out=Path("x")), "simple": SimpleNamespace(lr=np.float32(0.1))},
    "a dictionary of attributes": AttributeDict(lr=0.1, path=Path("x")),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", BESIDE)
def test_settings_of_a_training_do_not_make_a_file_damaged(tmp_path, monkeypatch, name, legacy):
    monkeypatch.setattr(AttributeDict, "__module__", "pytorch_lightning.utilities.parsing")
    for package in ("pytorch_lightning", "pytorch_lightning.utilities", "pytorch_lightning.utilities.parsing"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setattr(sys.modules[AttributeDict.__module__], "AttributeDict", AttributeDict, raising=False)
    content = {"g_ema": STATE, "latent_avg": MEAN, "args": BESIDE[name]}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    made, told = read(tmp_path / "a.pt")
    assert made.fingerprint == GENERATOR.fingerprint
    assert not told


@pytest.mark.parametrize("name", [name for name in BESIDE if "attributes" not in name])
def test_they_do_not_in_a_pickle_of_nvidias_either(tmp_path, name):
    made, _ = read(published.write_nvidia(tmp_path / "a.pkl", NVIDIA, args=BESIDE[name]))
    assert made.fingerprint == GENERATOR.fingerprint


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("layout", ["rosinality", "nvidia"])
def test_weights_of_any_precision_are_read_as_float32(tmp_path, dtype, layout):
    if layout == "rosinality":
        state = {key: value.to(dtype) for key, value in STATE.items()}
        made, _ = read(saved(tmp_path / "a.pt", {"g_ema": state, "latent_avg": MEAN.to(dtype)}))
    else:
        made, _ = read(
            published.write_nvidia(tmp_path / "a.pkl", {key: value.to(dtype) for key, value in NVIDIA.items()})
        )
    expected = GENERATOR.state_dict()
    for key, value in made.state_dict().items():
        assert torch.equal(value, expected[key].to(dtype).float())


# --- what is no state dict


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


WAY_OUT = r"torch\.save\({}\.state_dict\(\), "


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("wrap", [lambda module: module, lambda module: {"g_ema": module, "step": 3}])
def test_a_whole_module_is_called_that_with_the_way_out(tmp_path, kind, wrap):
    path, content = tmp_path / "a.pt", wrap(Generator())
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(NavbenchError, match="is a whole module with its class, .*" + WAY_OUT.format("module")) as told:
        read_checkpoint(path)
    assert "test_wrappers.Generator" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_called_that_with_the_way_out(tmp_path):
    torch.jit.trace(Generator(), torch.zeros(1, 2)).save(tmp_path / "a.pt")
    with pytest.raises(NavbenchError, match=r"TorchScript, .*torch\.save\(torch\.jit\.load\(FILE\)\.state_dict\(\), "):
        read_checkpoint(tmp_path / "a.pt")


def test_a_hostile_name_beside_a_module_is_named(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, ("echo it was run > ran",)

    torch.save(OrderedDict(a=Hostile(), b=nn.Linear(2, 2)), tmp_path / "a.pt")
    with pytest.raises(NavbenchError, match=r"wants to use posix\.system"):
        read_checkpoint(tmp_path / "a.pt")
