"""A generator and an extractor so small that a whole suite runs in a second; importing this registers the extractor."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
import torch_fidelity
from PIL import Image
from rich.console import Console
from torch import nn
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from navbench import suite
from navbench.compute import Compute
from navbench.directions import write_set
from navbench.discovery.methods import Discovery
from navbench.discovery.settings import DiscoverySettings
from navbench.generators import zoo
from navbench.library import Library, set_path
from navbench.metrics.attributes import Attribute
from navbench.metrics.perceptual import create_distance
from navbench.runner.run import Run
from navbench.spaces import LatentSpace, ParameterSpace


class Toy(nn.Module):
    """A smooth random network from (N, 4) codes to (N, 3, 24, 24) images; any module is a generator."""

    latent_dim = 4

    def __init__(self):
        super().__init__()
        self.first = nn.ConvTranspose2d(4, 8, 6)
        self.up = nn.Conv2d(8, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3, 3, padding=1, bias=False)
        for index, parameter in enumerate(self.parameters()):
            values = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
            parameter.data = 0.3 * values

    def forward(self, z):
        x = torch.tanh(self.first(z[:, :, None, None]))
        x = F.interpolate(torch.tanh(self.up(x)), scale_factor=4, mode="bilinear")
        return torch.tanh(self.last(x))


def make():
    """The generator, `toy:make`."""
    return Toy()


def broken():
    """The same, with weights that are not numbers in its last layer."""
    module = Toy()
    module.last.weight.data.fill_(float("nan"))
    return module


class Reader(nn.Module):
    """Reads two attributes that are linear in the pixels."""

    attributes = (Attribute("brightness", "lx", 0.05), Attribute("redness", "", 1.0))

    def forward(self, images):
        """The mean of all pixels, and of red less blue."""
        return torch.stack([images.mean(dim=(1, 2, 3)), (images[:, 0] - images[:, 2]).mean(dim=(1, 2))], dim=1)


def scorer():
    """The attribute scorer, `toy:scorer`."""
    return Reader()


def picture(array):
    """An image file of (H, W, 3), uint8."""
    return Image.fromarray(array.numpy())


class Pixels(torch_fidelity.FeatureExtractorBase):
    """Six random projections of the pixels."""

    def __init__(self, name, features_list, feature_extractor_weights_path=None, **options):
        super().__init__(name, list(features_list))
        matrix = torch.randn(3 * 24 * 24, 6, generator=torch.Generator().manual_seed(len(name)))
        self.register_buffer("matrix", matrix / len(matrix) ** 0.5 / 32)

    def forward(self, images):
        return (images.float().flatten(1) @ self.matrix,)

    @staticmethod
    def get_provided_features_list():
        return ("6",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "6"

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return torch.zeros(1, 3, 24, 24, dtype=torch.uint8)


for registered in ("toy-pixels", "other-toy-pixels"):
    if registered not in FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor(registered, Pixels)

TINY = """
name = "tiny"
batch = 16
[[generators]]
name = "toy:make"
layers = ["up"]
methods = ["svd", "random"]
[discovery]
directions = 2
effect = 0.01
effect_codes = 2
[screening]
samples = 4
[ends]
samples = 6
[instrument]
samples = 12
[curves]
directions = 1
shifts = 3
samples = 20
shard = 8
extractor = "toy-pixels"
effect_samples = 6
[locality]
directions = 1
samples = 11
shifts = 3
[reproduction]
directions = 1
codes = 4
held_out = 6
steps = 2
[strips]
directions = 1
codes = 2
shifts = 3
"""


def tiny(**values):
    """A suite that takes a second, with other values where they are given."""
    return suite.parse(TINY, "tiny.toml").with_values(**values)


def judged(**values):
    """The same with an attribute scorer, and with directions in z."""
    subject = tiny().generators[0].model_dump() | {
        "latents": ["z"],
        "latent_methods": ["random"],
        "scorer": "toy:scorer",
    }
    more = {"attributes": {"samples": 5, "shifts": 3}}
    more["matched"] = {"attribute": "brightness", "change": 0.002, "codes": 4}
    return tiny(**({"generators": [subject], **more} | values))


def write_latent_set(root, name="toy:make"):
    """Two random directions in z, in a folder of direction sets."""
    compute = Compute()
    settings = DiscoverySettings(directions=2, effect_codes=2, effect=0.01)
    space = LatentSpace(zoo.create(name, compute), "z")
    found = Discovery(space, create_distance("stlpips-alex", compute), settings, compute, 0).run("random")
    write_set(found, set_path(root, found.set_id))


def write_sets(root, name="toy:make", layers=("up",), methods=("svd", "random"), count=2):
    """Some directions of each method on each layer, in a folder of direction sets."""
    compute = Compute()
    generator, distance = zoo.create(name, compute), create_distance("stlpips-alex", compute)
    settings = DiscoverySettings(directions=count, effect_codes=2, effect=0.01)
    for layer in layers:
        discovery = Discovery(ParameterSpace(generator, generator.layer(layer)), distance, settings, compute, 0)
        for method in methods:
            found = discovery.run(method)
            write_set(found, set_path(root, found.set_id))
    return root


def execute(folder, chosen, sets, *, fresh=False):
    """Run a suite in a folder, or at a URL, quietly."""
    where = folder if "://" in str(folder) else Path(folder)
    compute = Compute("cpu", chosen.precision, chosen.batch)
    run = Run(where, chosen, compute, Library([Path(sets)]), Console(file=io.StringIO()))
    run.execute(fresh=fresh)
    return run


def slow_run(folder, sets):
    """A process that runs the tiny suite, and pauses after each piece, so that it can be killed on the way."""
    program = (
        "import sys, toy, time\n"
        "from navbench.runner.store import Store\n"
        "put = Store.put\n"
        "def slow(store, piece, result):\n"
        "    put(store, piece, result)\n"
        "    time.sleep(0.05)\n"
        "Store.put = slow\n"
        "toy.execute(sys.argv[1], toy.tiny(), sys.argv[2])\n"
    )
    search = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", program, str(folder), str(sets)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": search})


def table_bytes(folder):
    """Every table of a run folder, as it stands in its file."""
    return {path.name: path.read_bytes() for path in sorted((Path(folder) / "tables").glob("*.csv"))}


def assert_same_tables(one, other, rtol=1e-4):
    """Every table of two run folders has the same words, and numbers that agree to `rtol`."""
    names = sorted(path.name for path in (Path(one) / "tables").iterdir())
    assert names == sorted(path.name for path in (Path(other) / "tables").iterdir())
    for name in names:
        frames = [pd.read_csv(Path(folder) / "tables" / name) for folder in (one, other)]
        pd.testing.assert_frame_equal(*frames, rtol=rtol, atol=1e-9, check_dtype=False, obj=name)


class Thumbnail(nn.Module):
    """An embedding: the image at 4 by 4."""

    def forward(self, images):
        """(N, 48)."""
        return F.adaptive_avg_pool2d(images, 4).flatten(1)


def embedding():
    """The embedding, `toy:embedding`."""
    return Thumbnail()
