"""The networks whose features a Fréchet or kernel distance compares: torch-fidelity's, and those of other packages.

Importing this module registers 'efficientnet-lite0' and 'stlpips-alex-pooled' with torch-fidelity, next to its own
extractors.  Packages add theirs as entry points of the group `navbench.extractors`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import timm
import torch
import torch.nn.functional as F
import torch_fidelity
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from navbench import plugins, seeds, weights
from navbench.compute import Compute
from navbench.errors import Failure, NavbenchError, reason, unknown
from navbench.fingerprints import fingerprint_of
from navbench.metrics import pooled
from navbench.metrics.networks import PluginNetwork, open_network, shape_of
from navbench.user_code import running

GROUP = "navbench.extractors"
FID_EXTRACTOR = "inception-v3-compat"
"""The one extractor whose Fréchet distance is called FID."""


FROM_TENSORS = (FID_EXTRACTOR, "vgg16")
"""The extractors of torch-fidelity itself that it can build from a file of plain tensors."""

PROBE_SIDE = 64
"""Height and width of the images that an extractor of another package is tried with."""

CPU_CHUNK = 4
"""Images per pass on a CPU, unless the network has another number: activations of more do not fit its caches, which
costs a factor of three."""


class EfficientNetLite0(torch_fidelity.FeatureExtractorBase):
    """EfficientNet-Lite0 (Liu, 2020; after Tan & Le, ICML 2019), of ImageNet; its pooled features, '1280'."""

    SIDE = 224

    def __init__(
        self,
        name: str,
        features_list: Sequence[str],
        feature_extractor_weights_path: str | Path | None = None,
        **options: object,
    ) -> None:
        """Build the network, for torch-fidelity.

        Args:
            name: 'efficientnet-lite0'.
            features_list: ['1280'].
            feature_extractor_weights_path: another file of the same weights; by default, they are fetched.
            options: the rest of torch-fidelity's settings, which this extractor does not use.
        """
        super().__init__(name, list(features_list))
        path = feature_extractor_weights_path
        state = weights.load("efficientnet-lite0") if path is None else weights.load_file(path)
        self.network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
        self.network.load_state_dict(_renamed(state, self.network.state_dict(), path or "efficientnet-lite0"))
        _fold_batch_norms(self.network)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the features (N, 1280), float32, of images, (N, 3, H, W), uint8."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"Expected uint8 images (N, 3, H, W), got {images.dtype} {tuple(images.shape)}.")
        size = (self.SIDE, self.SIDE)
        x = F.interpolate(images.float(), size, mode="bilinear", align_corners=False, antialias=True)
        # The scaling of Google's lite models (tpu/models/official/efficientnet/lite), which these weights are
        # converted from: not the mean and deviation of ImageNet that the PyTorch conversion's README shows.
        # With it, the stem's activations on photographs have the variances stored in its batch norm.
        network: Any = self.network
        x = (x - 127) / 128
        with torch.autocast(images.device.type, enabled=False):  # on smooth images, half of bf16's error arises here
            x = network.blocks[0](network.bn1(network.conv_stem(x)))
        x = network.bn2(network.conv_head(network.blocks[1:](x)))
        return (network.forward_head(x).float(),)

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        """Return the names of the features that can be asked for."""
        return ("1280",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Return '1280' for torch-fidelity's 'fid', 'kid' and 'prc'; there are no logits for 'isc'."""
        return {"fid": "1280", "kid": "1280", "prc": "1280"}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        """Return that torch.compile may wrap it."""
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """Return a small valid input."""
        return torch.zeros(1, 3, 4, 4, dtype=torch.uint8)


for _name, _kind in (("efficientnet-lite0", EfficientNetLite0), (pooled.NAME, pooled.PooledAlexNet)):
    if _name not in FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor(_name, _kind)


class Extractor(Protocol):
    """Features of a generator's images; distances compare their distributions.

    Compare distances of one precision only.  bf16 moves them by less than 1 %, as measured, whatever n is; so it may
    be below the sampling error of hundreds of images, and is above that of many thousands.

    Attributes:
        name: in tables and in a suite.
        metric: 'FID' for 'inception-v3-compat' of torch-fidelity, 'FD' for any other.
        dimensions: D, the number of features of an image.
    """

    name: str
    metric: str
    dimensions: int

    @property
    def cache_key(self) -> list[Any]:
        """What its features depend on, as JSON."""

    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, D), float32, on the device, of images (N, 3, H, W), float, [-1, 1].

        The images are first rounded to 8 bits, as they are when they are saved.
        """


class RegisteredExtractor:
    """An extractor that is registered with torch-fidelity, on a device; see `Extractor`."""

    def __init__(self, network: torch_fidelity.FeatureExtractorBase, compute: Compute) -> None:
        """Place a network, of which one feature was requested; see `create_extractor`."""
        self.name: str = network.get_name()
        self.metric = "FID" if self.name == FID_EXTRACTOR else "FD"
        self._network = compute.place(network).to(memory_format=torch.channels_last)
        self._compute = compute
        self.dimensions = self._features(network.get_dummy_input_for_compile()).shape[1]

    @cached_property
    def cache_key(self) -> list[Any]:
        """What its features depend on: its name and weights, and the precision."""
        return [self.name, fingerprint_of(self._network.state_dict()), self._compute.precision]

    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, D) of images; see `Extractor`."""
        return self._features(quantise(images))

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        images = images.to(self._compute.device)
        parts = (
            images.split(getattr(self._network, "CPU_CHUNK", CPU_CHUNK))
            if self._compute.device.type == "cpu"
            else (images,)
        )
        with self._compute.autocast(), running(f"Extractor {self.name!r}", {"images": images}):
            return torch.cat([self._network(part)[0].float() for part in parts])


class PluginExtractor(PluginNetwork):
    """An extractor that another package adds, in float32, whose every answer is checked; see `Extractor`.

    The network maps images (N, 3, H, W), float, [-1, 1], of any size to features (N, D).
    """

    kind, metric = "Extractor", "FD"

    def __init__(self, name: str, network: nn.Module, compute: Compute) -> None:
        """Take a network; the probe images tell D, and that it computes what it did before."""
        super().__init__(name, network, compute)
        self.dimensions = 0  # until the first features are there
        features = self(probe_images())
        self.dimensions = features.shape[1]
        self._probe = [f"{float(value):.3g}" for row in features.double() for value in (row.mean(), row.norm())]

    def __str__(self) -> str:
        """What it is and its name."""
        return f"{self.kind} {self.name!r}"

    def _meaning(self) -> list[Any]:
        kind = type(self._network)
        return [f"{kind.__module__}.{kind.__qualname__}", self._probe]

    def __call__(self, images: Tensor) -> Tensor:
        """Features (N, D) of images; see `Extractor`."""
        features = self._answer(quantise(images).float() / 127.5 - 1)
        is_matrix = isinstance(features, Tensor) and features.ndim == 2 and features.shape[1] > 0
        if not is_matrix or features.shape != (len(images), self.dimensions or features.shape[1]):
            raise NavbenchError(
                f"{self} gave {shape_of(features)} for {len(images)} images; it must give "
                f"({len(images)}, {self.dimensions or 'D'})."
            )
        if not torch.isfinite(features).all():
            raise Failure(
                f"{self} gave NaN or infinity; check its weights and the range of images it expects, which is [-1, 1]."
            )
        return features.float()


def probe_images() -> Tensor:
    """Two random images of 64x64 pixels, (2, 3, 64, 64), mostly in [-1, 1]: what extractors are tried with."""
    return seeds.normal(0, range(2), (3, PROBE_SIDE, PROBE_SIDE)) / 3


def quantise(images: Tensor) -> Tensor:
    """Round images, float, [-1, 1] (clipped beyond), to uint8, [0, 255], as torchvision's save_image does."""
    return (images.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def create_extractor(name: str, compute: Compute, weights_path: str | Path | None = None) -> Extractor:
    """The extractor of that name: registered with torch-fidelity, or added by another package.

    Of torch-fidelity's own, only 'inception-v3-compat', and 'vgg16' from a file, are admitted: the others need
    unpinned downloads or code that comes with them.  Extractors that other packages register with torch-fidelity are
    admitted as they are.  Any other name is an entry point of `navbench.extractors`, or 'package.module:callable';
    either gives a callable that returns an `nn.Module` (see `PluginExtractor`).

    Args:
        name: the extractor; of one that is registered, its default features for a FID are taken.
        compute: device and precision.
        weights_path: a file with the weights of a registered extractor; by default they are downloaded, once.

    Raises:
        NavbenchError: the name is unknown or not admitted, the file is not of that network, or a network of another
            package does not give features.
        Failure: the weights could not be downloaded, or another package's extractor could not be built.
    """
    if name in FEATURE_EXTRACTORS_REGISTRY:
        return _registered(name, compute, weights_path)
    if ":" not in name and name not in (points := plugins.known(GROUP)):
        raise unknown("extractor", name, [*FEATURE_EXTRACTORS_REGISTRY, *points])
    if weights_path is not None:
        raise NavbenchError(
            f"Extractor {name!r} brings its own weights; leave out extractor_weights ({str(weights_path)!r})."
        )
    if compute.precision != "float32":
        raise NavbenchError(
            f"Extractor {name!r} computes at float32 alone; do not ask for {compute.precision!r} of it."
        )
    return PluginExtractor(name, open_network(GROUP, "extractor", name), compute)


def _registered(name: str, compute: Compute, weights_path: str | Path | None) -> RegisteredExtractor:
    kind = FEATURE_EXTRACTORS_REGISTRY[name]
    if kind.__module__.partition(".")[0] == "torch_fidelity":
        _admit(name, weights_path)
    if weights_path is None and name in weights.WEIGHTS:
        weights_path = weights.fetch(name)
    if weights_path is not None:
        weights.load_file(weights_path)  # torch-fidelity would run code that it finds in the file
    features = [kind.get_default_feature_layer_for_metric("fid")]
    try:
        path = None if weights_path is None else str(weights_path)
        network = kind(name, features, feature_extractor_weights_path=path, verbose=False)
    except NavbenchError:
        raise
    except Exception as error:  # of many types: networks, hubs and state dicts, after the extractor
        if weights_path is not None:
            raise NavbenchError(f"The weights {weights_path} are not those of {name!r}: {reason(error)}.") from None
        raise Failure(
            f"The extractor {name!r} could not be built ({reason(error)}); mend that, or give a file with its "
            "weights as extractor_weights."
        ) from None
    return RegisteredExtractor(network, compute)


def _admit(name: str, weights_path: str | Path | None) -> None:
    """Refuse the extractors for which torch-fidelity would run, or unpickle, what it downloads unpinned."""
    if name not in FROM_TENSORS:
        raise NavbenchError(
            f"Extractor {name!r} is not admitted, as torch-fidelity would run code that comes with its weights; "
            f"use 'efficientnet-lite0' or {FID_EXTRACTOR!r}, or add one of your own (see `navbench.extractors`)."
        )
    if weights_path is None and name not in weights.WEIGHTS:
        raise NavbenchError(
            f"Extractor {name!r} has no pinned weights, and torch-fidelity would load an unchecked download; "
            "give a file of plain tensors with its weights as extractor_weights."
        )


def _fold_batch_norms(network: nn.Module) -> None:
    """Merge each batch norm into the convolution ahead of it.

    It is faster, and at bf16 the means are then subtracted before rounding, which halves the error on smooth
    images.
    """
    conv = nn.Conv2d(1, 1, 1)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            conv = module
        elif isinstance(module, BatchNormAct2d):
            mean, variance = module.get_buffer("running_mean"), module.get_buffer("running_var")
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, mean, variance, module.eps, module.weight, module.bias
            )
            network.set_submodule(name, module.get_submodule("act"))


def _renamed(state: Mapping[str, Tensor], target: Mapping[str, Tensor], source: object) -> dict[str, Tensor]:
    """Name the tensors of efficientnet_lite_pytorch as timm does: both list the same layers in one order."""
    kept = {key: value for key, value in state.items() if not key.startswith("_fc.")}
    pairs = list(zip(target.items(), kept.items(), strict=False))
    fits = len(kept) == len(target) and all(
        ours.rpartition(".")[2] == theirs.rpartition(".")[2] and value.shape == tensor.shape
        for (ours, value), (theirs, tensor) in pairs
    )
    if not fits:
        raise NavbenchError(
            f"The weights {source} are not those of EfficientNet-Lite0, layer by layer as in "
            "efficientnet_lite_pytorch; use the released file."
        )
    return {ours: tensor for (ours, _), (_, tensor) in pairs}
