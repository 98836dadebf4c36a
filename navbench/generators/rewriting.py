"""A checkpoint written anew with some of its tensors changed, in the layout that it came in, and all else as it was.

NVIDIA's pickles hold the code of their networks, which is neither run nor written here; their networks go into
safetensors under NVIDIA's names, or into rosinality's layout.
"""

import io
import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from navbench.errors import NavbenchError
from navbench.files import write_atomically
from navbench.generators import biggan_layouts, files, stylegan2_layouts
from navbench.generators.base import Generator
from navbench.generators.biggan import BigGAN
from navbench.generators.checkpoints import contents, family_of, network_in
from navbench.generators.dcgan import DCGAN
from navbench.generators.stylegan2 import StyleGAN2
from navbench.generators.stylegan2_settings import honoured

CARD = "baked"
"""Where a file says what was changed, if its layout has room: a key of its dictionary, or of its metadata."""
_TORCH = (".pt", ".pth", ".ckpt", ".bin", ".tar")
_ENDINGS = {
    "torch": _TORCH, "safetensors": (".safetensors",), "navbench": (".safetensors", ".pt"),
    "nvidia": (".safetensors", ".pt"),
}  # fmt: skip
"""What a file's name may end in, by the container of the source; .pt is rosinality's layout if that is another."""


def rewrite(
    generator: Generator, changed: Mapping[str, Tensor], target: Path, card: dict[str, Any], *, folded: bool = False
) -> None:
    """Write a generator's checkpoint with some tensors changed, atomically.

    Args:
        generator: from a file, or a DCGAN that comes with navbench, or a StyleGAN2.
        changed: its new tensors, by its names for them; float32. They are written at that precision, or the file's if
            that is higher; all others are as in the file.
        target: of the file, which is replaced. Its ending is one of the layout that the generator came in.
        card: what was changed; any JSON object.
        folded: without the spectral normalisation of a BigGAN.

    Raises:
        NavbenchError: the generator comes from no file and is none of those two, its file has changed, its layout
            cannot hold what is changed, or the ending is another.
    """
    if folded and not isinstance(generator, BigGAN):
        raise NavbenchError(f"Generator {generator.name} has no spectral normalisation to leave out; leave out folded.")
    path = generator.source.path if generator.source else None
    container = contents(path).container if path else _container_of(generator)
    check_ending(target, container)
    if container != "torch" and target.suffix == ".pt":
        if not isinstance(generator, StyleGAN2):
            raise NavbenchError(
                f"{target}: generator {generator.name} is no StyleGAN2, so it has no place in rosinality's layout; end "
                "the name in .safetensors."
            )
        content = _torch_bytes(stylegan2_layouts.to_rosinality(with_tensors(generator, changed)) | {CARD: card})
    elif path is None and isinstance(generator, StyleGAN2):
        content = files.generator_file(with_tensors(generator, changed), target, {CARD: card}, torch.float32)
    elif path is None:
        state = {key: value.cpu() for key, value in {**generator.state_dict(), **changed}.items()}
        content = _torch_bytes({"netG_state_dict": state, CARD: card})
    elif container == "navbench":
        content = files.changed_file(path, changed, {CARD: after(card, files.read_header(path).card.get(CARD))})
    else:
        content = _exchanged_file(generator, path, changed, card, folded)
    write_atomically(target, content)


def after(card: dict[str, Any], earlier: Any) -> dict[str, Any]:
    """A card that holds what a file says of edits that were baked into it before, if it says something."""
    return card if earlier is None else card | {"before": earlier}


def check_ending(target: Path, container: str) -> None:
    """Refuse a name whose ending is not one of the container."""
    if target.suffix in _ENDINGS[container]:
        return
    endings = " or ".join(_ENDINGS[container])
    if container == "nvidia":
        raise NavbenchError(
            f"{target}: NVIDIA's pickles hold the code of their networks, which navbench neither runs nor writes; end "
            "the name in .safetensors, for NVIDIA's names, or in .pt, for rosinality's layout."
        )
    raise NavbenchError(f"{target} is to be in the layout that the generator came in, so end its name in {endings}.")


def _container_of(generator: Generator) -> str:
    """Of a generator that no file holds."""
    if isinstance(generator, StyleGAN2):
        return "navbench"
    if isinstance(generator, DCGAN):
        return "torch"
    raise NavbenchError(
        f"Generator {generator.name} comes from no checkpoint that navbench reads, so there is no layout to write; "
        "name the file that it was read from."
    )


def with_tensors(generator: Any, changed: Mapping[str, Tensor]) -> Any:
    """A copy of a generator with some tensors changed; it comes from no file."""
    edited = deepcopy(generator)
    edited.source = None
    for known in ("fingerprint", "cache_key", "style_deviations"):
        edited.__dict__.pop(known, None)
    edited.load_state_dict({**edited.state_dict(), **changed})
    return edited


# --- a file's content with some of its tensors exchanged -----------------------------------------------------


def _exchanged_file(
    generator: Generator, path: Path, changed: Mapping[str, Tensor], card: dict[str, Any], folded: bool
) -> bytes:
    held = contents(path)
    network = network_in(held.value)
    state = network.state
    if network.record is not None and isinstance(generator, StyleGAN2):
        read = honoured(network.record, state, f"the {network.record.class_name} in it")
        if "gains" in read.origin:
            raise NavbenchError(
                f"Generator {generator.name} has gains {read.origin['gains']}; its own code would multiply by them "
                "again, so end the name in .pt, for rosinality's layout, whose gains are the published ones."
            )
        state = read.state
    family = family_of(state)
    stored = biggan_layouts.folded if folded else family.stored
    new = {
        key: None if value is None else value.cpu().to(torch.promote_types(value.dtype, state[key].dtype))
        for key, value in stored(cast(Any, generator), changed, state).items()
    }
    _check(generator, changed, {key: value for key, value in (state | new).items() if value is not None})
    whole = state if held.container == "nvidia" else held.value
    has_room = not all(isinstance(value, Tensor) for value in whole.values())
    _exchange(whole, {id(state[key]): value for key, value in new.items()})
    if held.container == "torch":
        return _torch_bytes(whole | {CARD: after(card, whole.get(CARD))} if has_room else whole)
    metadata: dict[str, str] = {}
    if held.container == "safetensors":
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    metadata |= {CARD: json.dumps(after(card, metadata.get(CARD)))}
    return save({key: value.clone().contiguous() for key, value in whole.items()}, metadata)


def _check(generator: Generator, changed: Mapping[str, Tensor], state: dict[str, Tensor]) -> None:
    """Refuse to write what would not be read as the generator with the changed tensors."""
    assert generator.source is not None
    read = family_of(state).build(state, generator.name, generator.source.options)
    if read.variant != generator.variant:
        raise NavbenchError(
            f"Generator {generator.name} runs with settings that its tensors alone do not hold ({generator.variant}); "
            "convert its file to navbench's own layout, by navbench generators convert, and bake into that."
        )
    found = read.state_dict()
    for key, value in {**generator.state_dict(), **changed}.items():
        if not torch.allclose(found[key].double(), value.cpu().double(), rtol=1e-5, atol=1e-7):
            raise NavbenchError(
                f"{generator.source.path} does not hold the weights of generator {generator.name} ({key} is another); "
                "load it again."
            )


def _exchange(value: Any, tensors: Mapping[int, Tensor | None]) -> None:
    """Put other tensors in the place of those of these ids, wherever they are in plain data; `None` takes one out."""
    left, seen = [value], set()
    while left:  # no recursion, as a file may nest as deeply as it likes
        inner = left.pop()
        if id(inner) in seen or not isinstance(inner, dict | list):
            continue
        seen.add(id(inner))
        for place, item in list(inner.items() if isinstance(inner, dict) else enumerate(inner)):
            if id(item) not in tensors:
                left.append(item)
            elif (new := tensors[id(item)]) is None:
                del inner[place]
            else:
                inner[place] = new


def _torch_bytes(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
