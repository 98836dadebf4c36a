"""Checkpoints as other people publish them, made from our generators by the tables of their formats.

NVIDIA's pickles are real ones: their classes live in modules of the same names as theirs for as long as they are
pickled, and reduce as theirs do.
"""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from navbench.generators.stylegan2 import StyleGAN2

SOURCE = "raise SystemExit('the source of a class was run')\n"
FILTER = torch.tensor([[1.0, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]) / 64


def nvidia_state(generator: StyleGAN2) -> dict[str, Tensor]:
    """The generator's tensors by NVIDIA's names, as the state dict of its G_ema."""
    state = {"mapping.w_avg": generator.w_avg, "synthesis.b4.const": generator.input.input[0]}
    if generator.class_count:
        state |= {"mapping.embed.weight": generator.embed.weight, "mapping.embed.bias": generator.embed.bias}
    for index, layer in enumerate(generator.style[1:]):
        state |= {f"mapping.fc{index}.weight": layer.weight, f"mapping.fc{index}.bias": layer.bias}
    convolutions = [("b4.conv1", generator.conv1)]
    colours = [("b4", generator.to_rgb1)]
    for index, to_rgb in enumerate(generator.to_rgbs):
        block = f"b{2 ** (index + 3)}"
        convolutions += [(f"{block}.conv{each}", generator.convs[2 * index + each]) for each in (0, 1)]
        colours.append((block, to_rgb))
    for place, (name, layer) in enumerate(convolutions):
        noise_map = generator.noises.get_buffer(f"noise_{place}")
        for key, value in {
            "weight": layer.conv.weight, "affine.weight": layer.conv.modulation.weight,
            "affine.bias": layer.conv.modulation.bias, "bias": layer.activate.bias,
            "noise_strength": layer.noise.weight[0], "noise_const": noise_map[0, 0], "resample_filter": FILTER,
        }.items():  # fmt: skip
            state[f"synthesis.{name}.{key}"] = value
    for block, layer in colours:
        for key, value in {
            "resample_filter": FILTER, "torgb.weight": layer.conv.weight, "torgb.bias": layer.bias[0, :, 0, 0],
            "torgb.affine.weight": layer.conv.modulation.weight, "torgb.affine.bias": layer.conv.modulation.bias,
        }.items():  # fmt: skip
            state[f"synthesis.{block}.{key}"] = value
    return {key: value.detach().clone() for key, value in state.items()}


def rosinality_state(generator: StyleGAN2) -> dict[str, Tensor]:
    """The generator's tensors by rosinality's names, as g_ema."""
    state = {}
    for key, value in generator.state_dict().items():
        if key != "w_avg":
            state[key] = value[None].clone() if key.endswith("conv.weight") else value.clone()
    for index in range(len(generator.to_rgbs)):
        state[f"convs.{2 * index}.conv.blur.kernel"] = 4 * FILTER
        state[f"to_rgbs.{index}.upsample.kernel"] = 4 * FILTER
    return state


class Persistent:
    """An object of one of NVIDIA's persistent classes: pickled with its class's source."""

    def __init__(self, class_name: str, state: dict[str, Any], source: str = SOURCE):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,), None


Settings = dict[str, dict[str, Any]]
"""Attributes by the name of their module."""


def nvidia_settings(state: dict[str, Tensor]) -> Settings:
    """What the modules of the published networks hold beside tensors (training/networks.py, stylegan2-ada-pytorch)."""
    settings: Settings = {}
    for key, value in state.items():
        name, _, tensor = key.rpartition(".")
        if tensor != "weight":
            continue
        gain = 1 / np.sqrt(value[0].numel())
        if name.startswith("mapping.fc"):
            settings[name] = {"activation": "lrelu", "weight_gain": 0.01 * gain, "bias_gain": 0.01}
        elif name.endswith((".affine", ".embed")):
            settings[name] = {"activation": "linear", "weight_gain": gain, "bias_gain": 1}
        elif name.endswith(".torgb"):
            settings[name] = {"weight_gain": gain}
            settings[name.removesuffix(".torgb")] = {"architecture": "skip"}
        else:
            settings[name] = {"activation": "lrelu", "use_noise": f"{name}.noise_strength" in state}
    return settings


def module_tree(
    state: dict[str, Tensor], class_name: str = "Generator", source: str = SOURCE, settings: Settings | None = None,
    name: str = "",
) -> Persistent:  # fmt: skip
    """The module tree of a flat state dict, each module with attributes as torch and NVIDIA give them."""
    settings = settings or {}
    parameters, buffers, children = OrderedDict(), OrderedDict(), OrderedDict()
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if rest:
            children.setdefault(head, {})[rest] = value
        elif head in ("w_avg", "noise_const", "resample_filter"):
            buffers[head] = value
        else:
            parameters[head] = torch.nn.Parameter(value, requires_grad=False)
    modules = OrderedDict(
        (head, module_tree(inner, f"Of{head}", source, settings, f"{name}.{head}".lstrip(".")))
        for head, inner in children.items()
    )
    attributes = {
        "training": False, "_parameters": parameters, "_buffers": buffers, "_modules": modules,
        "_non_persistent_buffers_set": set(), "_forward_hooks": OrderedDict(), "_init_args": (),
        "_init_kwargs": sys.modules["dnnlib.util"].EasyDict(z_dim=8), "conv_clamp": 256, "act_gain": np.sqrt(2),
        "in_size": np.broadcast_to(np.asarray(16), [2]),
        "use_fp16": np.bool_(True), **settings.get(name, {}),
    }  # fmt: skip
    return Persistent(class_name, attributes, source)


@contextmanager
def nvidia_modules() -> Iterator[None]:
    """NVIDIA's modules, as far as pickles name them, while something is pickled."""
    names = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util", "dnnlib.tflib", "dnnlib.tflib.network")
    made = {name: ModuleType(name) for name in names}

    def _reconstruct_persistent_obj(meta: dict[str, Any]) -> Any:
        raise AssertionError("NVIDIA's reader is not there")

    class EasyDict(dict):
        pass

    class Network:
        pass

    for module, member in (
        ("torch_utils.persistence", _reconstruct_persistent_obj), ("dnnlib.util", EasyDict),
        ("dnnlib.tflib.network", Network),
    ):  # fmt: skip
        member.__module__, member.__qualname__ = module, member.__name__
        setattr(made[module], member.__name__, member)
    assert not made.keys() & sys.modules.keys()
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def write_nvidia(
    path: Path, state: dict[str, Tensor], protocol: int = 4, source: str = SOURCE, settings: Settings | None = None,
    **others: Any,
) -> Path:  # fmt: skip
    """A training snapshot with that G_ema, with the published settings or others, and more entries if given."""
    settings = nvidia_settings(state) if settings is None else settings
    with nvidia_modules():
        snapshot = {
            "G": module_tree(state, source=source, settings=settings),
            "D": module_tree({"b8.fromrgb.weight": torch.zeros(2)}),
            "G_ema": module_tree(state, source=source, settings=settings), "augment_pipe": None,
            "training_set_kwargs": sys.modules["dnnlib.util"].EasyDict(class_name="training.dataset.Dataset"), **others,
        }  # fmt: skip
        path.write_bytes(pickle.dumps(snapshot, protocol))
    return path


def write_rosinality(path: Path, generator: StyleGAN2, legacy: bool = False, **others: Any) -> Path:
    """A file as rosinality's converter writes it, or a training, with more entries."""
    content = {"g_ema": rosinality_state(generator), "latent_avg": generator.w_avg.clone(), **others}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path
