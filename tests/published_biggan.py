"""Files of BigGAN and BigGAN-deep as BigGAN-PyTorch writes them, and its arithmetic written out in float64."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from analytic import noise

EPSILON = 1e-5


# --- files as the published code writes them -----------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """The published code's settings of a generator."""

    ch: int = 4
    table: tuple[int, ...] = (4, 4, 4, 4)
    dim_z: int = 8
    n_classes: int = 5
    shared_dim: int = 3
    shared: bool = True
    hier: bool = True
    attn: tuple[int, ...] = (16,)
    depth: int = 0
    bottom: int = 4
    spectral: bool = True
    norm: str = "plain"

    @property
    def widths(self):
        return [self.ch * each for each in self.table]

    @property
    def stages(self):
        return len(self.table) - 1

    @property
    def chunk(self):
        return self.dim_z if self.depth or not self.hier else self.dim_z // (self.stages + 1)

    def blocks(self):
        """(number, inputs, outputs, whether it doubles, whether attention follows)."""
        number = 0
        for stage, (inputs, outputs) in enumerate(pairwise(self.widths)):
            for place in range(self.depth or 1):
                last = place + 1 == (self.depth or 1)
                attends = last and self.bottom * 2 ** (stage + 1) in self.attn
                yield number, inputs, outputs if last else inputs, last, attends
                number += 1

    def shapes(self):
        """Names and shapes of all parameters, and the names and channels of the normalisations."""
        condition = self.shared_dim + (self.chunk if self.hier else 0)
        shapes = {"shared.weight": (self.n_classes, self.shared_dim)} if self.shared else {}
        shapes["linear.weight"] = (self.widths[0] * self.bottom**2, condition if self.depth else self.chunk)
        shapes["linear.bias"] = (self.widths[0] * self.bottom**2,)
        norms = {"output_layer.0": self.widths[-1]}
        for number, inputs, outputs, _, attends in self.blocks():
            path = f"blocks.{number}.0"
            hidden = inputs // 4
            sizes = [(outputs, inputs, 3), (outputs, outputs, 3), (outputs, inputs, 1)]
            names, channels = ["conv1", "conv2", "conv_sc"], [inputs, outputs]
            if self.depth:
                sizes = [(hidden, inputs, 1), (hidden, hidden, 3), (hidden, hidden, 3), (outputs, hidden, 1)]
                names, channels = ["conv1", "conv2", "conv3", "conv4"], [inputs, hidden, hidden, hidden]
            for name, (out, into, side) in zip(names, sizes, strict=True):
                shapes |= {f"{path}.{name}.weight": (out, into, side, side), f"{path}.{name}.bias": (out,)}
            for index, count in enumerate(channels, start=1):
                shape = (count, condition) if self.shared else (self.n_classes, count)
                shapes |= {f"{path}.bn{index}.{each}.weight": shape for each in ("gain", "bias")}
                norms[f"{path}.bn{index}"] = count
            if attends:
                c = outputs
                for name, shape in {
                    "theta": (c // 8, c),
                    "phi": (c // 8, c),
                    "g": (c // 2, c),
                    "o": (c, c // 2),
                }.items():
                    shapes[f"blocks.{number}.1.{name}.weight"] = (*shape, 1, 1)
                shapes[f"blocks.{number}.1.gamma"] = ()
        last = self.widths[-1]
        shapes |= {"output_layer.0.gain": (last,), "output_layer.0.bias": (last,)}
        return shapes | {"output_layer.2.weight": (3, last, 3, 3), "output_layer.2.bias": (3,)}, norms

    def state(self):
        """A file's content, with numbers at random; singular vectors are far from converged."""
        shapes, norms = self.shapes()
        state = {}
        for index, (key, shape) in enumerate(shapes.items()):
            state[key] = noise(index, 1, *shape)[0] / math.sqrt(math.prod(shape[1:]))
            if key.startswith("output_layer.0"):
                state[key] *= 0.2  # or most pixels would be at -1 or 1
            embeds = key == "shared.weight" or (not self.shared and ".bn" in key)
            if self.spectral and key.endswith(".weight") and not embeds:
                path = key.removesuffix(".weight")
                state |= {f"{path}.u0": noise(index + 7, 1, shape[0]), f"{path}.sv0": torch.ones(1)}
        inner = {"plain": "stored", "mybn": "bn.stored", "sync": "bn.running"}[self.norm]
        for index, (path, count) in enumerate(norms.items()):
            state[f"{path}.{inner}_mean"] = noise(100 + index, count)
            state[f"{path}.{inner}_var"] = 0.5 + noise(200 + index, count).square()
            if self.norm == "mybn":
                state[f"{path}.bn.accumulation_counter"] = torch.zeros(1)
            if self.norm == "sync":
                state[f"{path}.bn.num_batches_tracked"] = torch.tensor(7)
        return state


# --- the published network in evaluation mode, in float64 ----------------------------------------------------


class Textbook:
    """G(z, shared(y)) of BigGAN.py and BigGANdeep.py, by the names of the file, one operation after the other."""

    def __init__(self, settings):
        self.settings = settings
        self.state = {key: value.double() for key, value in settings.state().items()}

    def weight(self, path):
        """W / (v W' u), one power iteration after the stored vector."""
        w = self.state[f"{path}.weight"]
        if f"{path}.u0" not in self.state:
            return w
        matrix = w.reshape(len(w), -1)
        v = matrix.T @ self.state[f"{path}.u0"][0]
        v = v / v.norm()
        u = matrix @ v
        u = u / u.norm()
        return w / (u @ matrix @ v)

    def conv(self, path, x):
        weight = self.weight(path)
        return F.conv2d(x, weight, self.state.get(f"{path}.bias"), padding=weight.shape[-1] // 2)

    def normalised(self, path, x):
        inner = {"plain": "stored", "mybn": "bn.stored", "sync": "bn.running"}[self.settings.norm]
        mean, var = (self.state[f"{path}.{inner}_{each}"][:, None, None] for each in ("mean", "var"))
        return (x - mean) / torch.sqrt(var + EPSILON)

    def bn(self, path, x, y):
        if self.settings.shared:
            gain, bias = (y @ self.weight(f"{path}.{each}").T for each in ("gain", "bias"))
        else:
            gain, bias = (self.state[f"{path}.{each}.weight"][y] for each in ("gain", "bias"))
        return torch.relu(self.normalised(path, x) * (1 + gain[..., None, None]) + bias[..., None, None])

    @staticmethod
    def up(x):
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    @staticmethod
    def pool(x):
        return x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax(dim=(3, 5))

    def block(self, path, x, y):
        h = self.conv(f"{path}.conv1", self.up(self.bn(f"{path}.bn1", x, y)))
        h = self.conv(f"{path}.conv2", self.bn(f"{path}.bn2", h, y))
        return h + self.conv(f"{path}.conv_sc", self.up(x))

    def deep_block(self, path, x, y, outputs, doubles):
        up = self.up if doubles else lambda x: x
        h = self.conv(f"{path}.conv1", self.bn(f"{path}.bn1", x, y))
        h = self.conv(f"{path}.conv2", up(self.bn(f"{path}.bn2", h, y)))
        h = self.conv(f"{path}.conv3", self.bn(f"{path}.bn3", h, y))
        return self.conv(f"{path}.conv4", self.bn(f"{path}.bn4", h, y)) + up(x[:, :outputs])

    def attention(self, path, x):
        theta = self.conv(f"{path}.theta", x)
        phi, g = (self.pool(self.conv(f"{path}.{each}", x)) for each in ("phi", "g"))
        scores = torch.einsum("ncij,nckl->nijkl", theta, phi)
        beta = (scores - scores.amax(dim=(3, 4), keepdim=True)).exp()
        beta = beta / beta.sum(dim=(3, 4), keepdim=True)
        attended = torch.einsum("nijkl,nckl->ncij", beta, g)
        return self.state[f"{path}.gamma"] * self.conv(f"{path}.o", attended) + x

    def images(self, z, label):
        settings, z = self.settings, z.double()
        y = self.state["shared.weight"][label] if settings.shared else label
        chunks = z.split(settings.chunk, dim=1)
        first = torch.cat([y, z], dim=1) if settings.depth else chunks[0]
        x = first @ self.weight("linear").T + self.state["linear.bias"]
        x = x.reshape(len(z), -1, settings.bottom, settings.bottom)
        for number, _, outputs, doubles, attends in settings.blocks():
            path = f"blocks.{number}"
            if settings.depth:
                x = self.deep_block(f"{path}.0", x, torch.cat([y, z], dim=1), outputs, doubles)
            else:
                x = self.block(f"{path}.0", x, torch.cat([y, chunks[number + 1]], dim=1) if settings.hier else y)
            if attends:
                x = self.attention(f"{path}.1", x)
        x = self.normalised("output_layer.0", x) * self.state["output_layer.0.gain"][:, None, None]
        x = torch.relu(x + self.state["output_layer.0.bias"][:, None, None])
        return torch.tanh(self.conv("output_layer.2", x))
