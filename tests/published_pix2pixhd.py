"""Files of pix2pixHD as NVIDIA's code writes them, its networks written out anew, and folders of maps."""

import numpy as np
import torch
import torch.nn.functional as F
from analytic import noise
from PIL import Image

EPSILON = 1e-5


# --- files ------------------------------------------------------------------------------------------------------


def shapes(inputs=4, ngf=4, downs=2, blocks=2, local=()):
    """Names and shapes of the state dict of a GlobalGenerator, or of a LocalEnhancer with `local` blocks."""
    found = {}

    def put(name, *shape):
        out = shape[1] if name.endswith("T") else shape[0]
        name = name.rstrip("T")
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, (out,)

    wide = ngf * 2 ** len(local)
    put("model.1", wide, inputs, 7, 7)
    place = 4
    for step in range(downs):
        put(f"model.{place}", wide * 2 ** (step + 1), wide * 2**step, 3, 3)
        place += 3
    deep = wide * 2**downs
    for _ in range(blocks):
        put(f"model.{place}.conv_block.1", deep, deep, 3, 3)
        put(f"model.{place}.conv_block.5", deep, deep, 3, 3)
        place += 1
    for step in range(downs):
        put(f"model.{place}T", deep // 2**step, deep // 2 ** (step + 1), 3, 3)
        place += 3
    if not local:
        put(f"model.{place + 1}", 3, ngf, 7, 7)
    for number, count in enumerate(local, start=1):
        own = ngf * 2 ** (len(local) - number)
        put(f"model{number}_1.1", own, inputs, 7, 7)
        put(f"model{number}_1.4", 2 * own, own, 3, 3)
        for block in range(count):
            put(f"model{number}_2.{block}.conv_block.1", 2 * own, 2 * own, 3, 3)
            put(f"model{number}_2.{block}.conv_block.5", 2 * own, 2 * own, 3, 3)
        put(f"model{number}_2.{count}T", 2 * own, own, 3, 3)
        if number == len(local):
            put(f"model{number}_2.{count + 4}", 3, own, 7, 7)
    return found


def state(seed=0, **sizes):
    """A state dict of random numbers."""
    return {key: 0.3 * noise(seed + place, *shape) for place, (key, shape) in enumerate(shapes(**sizes).items())}


# --- the arithmetic of the published networks ----------------------------------------------------------------


class Textbook:
    """The published forward passes, in float64, from a state dict."""

    def __init__(self, tensors):
        self.tensors = {key: value.double() for key, value in tensors.items()}

    def images(self, entering):
        levels = [entering.double()]
        count = sum(key.endswith("_1.1.weight") for key in self.tensors)
        for _ in range(count):
            ones = F.avg_pool2d(torch.ones_like(levels[-1]), 3, 2, 1)  # zeros around do not count
            levels.append(F.avg_pool2d(levels[-1], 3, 2, 1) / ones)
        out = self.sequence("model", levels[count])
        for number in range(1, count + 1):
            own = self.sequence(f"model{number}_1", levels[count - number])
            out = self.sequence(f"model{number}_2", own + out)
        return torch.tanh(out)

    def sequence(self, path, x):
        """All convolutions of a sequence by their numbers, and what the published code puts around each kind."""
        places = sorted({int(key.split(".")[1]) for key in self.tensors if key.startswith(f"{path}.")})
        for place in places:
            name = f"{path}.{place}"
            if f"{name}.conv_block.1.weight" in self.tensors:
                y = F.relu(self.normed(self.convolved(f"{name}.conv_block.1", x, 1)))
                x = x + self.normed(self.convolved(f"{name}.conv_block.5", y, 1))
                continue
            weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
            if weight.shape[2] == 7:
                x = self.convolved(name, x, 3)
                if weight.shape[0] == 3:
                    return x
            elif weight.shape[0] == 2 * weight.shape[1]:
                if (path == "model" and place > self.middle) or path.endswith("_2"):
                    x = F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
                else:
                    x = F.conv2d(x, weight, bias, stride=2, padding=1)
            x = F.relu(self.normed(x))
        return x

    @property
    def middle(self):
        return max(int(key.split(".")[1]) for key in self.tensors if key.startswith("model.") and "conv_block" in key)

    def convolved(self, name, x, border):
        padded = F.pad(x, (border,) * 4, mode="reflect")
        return F.conv2d(padded, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    @staticmethod
    def normed(x):
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
        return (x - mean) / (var + EPSILON).sqrt()


# --- maps -------------------------------------------------------------------------------------------------------


def blocky(seed, size, count):
    """A map of rectangles, (H, W), numbers below `count`."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, count, (4, 4))
    rows, columns = np.arange(size[0]) * 4 // size[0], np.arange(size[1]) * 4 // size[1]
    return coarse[rows[:, None], columns[None]]


def write_maps(folder, size=(16, 32), count=3, classes=4, instances=False):
    """A folder of label maps, and beside it one of instance maps of 16 bits."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "instances").mkdir(exist_ok=True)
    for number in range(count):
        name = f"city_{number}_labelIds.png"
        Image.fromarray(blocky(number, size, classes).astype(np.uint8)).save(folder / "labels" / name)
        if instances:
            objects = 1000 * blocky(number + 100, size, 9)
            place = folder / "instances" / name.replace("labelIds", "instanceIds")
            Image.fromarray(objects.astype(np.uint16)).save(place)
    return folder / "labels", folder / "instances" if instances else None
