"""The suite: the whole benchmark as data, read from TOML, validated to the last key."""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, ValidationError

from navbench.discovery.settings import DiscoverySettings, Settings
from navbench.errors import NavbenchError, unknown
from navbench.experiments.calibration import parse_target
from navbench.generators.options import Options
from navbench.methods import METHODS

Experiment = Literal[
    "attributes", "curves", "matched", "locality", "reproduction", "strips", "survey", "pairs", "photos",
    "recognition", "stability",
]  # fmt: skip
PRESETS = ("smoke", "quick", "standard", "paper")


class Subject(Settings):
    """One generator of a suite.

    Attributes:
        name: an installed generator, 'package.module:callable', or the path of a checkpoint.
        options: how a generator from a checkpoint is to run.
        layers: names or indices; empty for the layers of the direction sets there are, or if there are none, three of
            different depth.
        methods: whose directions are measured on those layers.
        latents: latent spaces, 'z', 'w' or 'w+'; one that the generator lacks is refused.
        latent_methods: whose directions are measured there; in each space those that are defined in it.
        reference: 'unshifted', the generator itself at t = 0 with other codes; an installed distribution, such as
            'renderings', the truth of `cars`; a folder or zip of images; or a file of their statistics, .npz or of
            torch-fidelity's cache.
        resize: of images of another size in a folder or zip: 'box', 'bilinear', 'bicubic' or 'lanczos', which changes a
            Fréchet distance and is recorded; '' to refuse them.
        scorer: an installed attribute scorer, or 'package.module:callable'; '' for none.
        segmentation: an installed segmentation, or 'package.module:callable', that says what parts changes lie on; ''
            for none.
        embedding: an installed embedding, or 'package.module:callable', that tells whose identity an image shows; ''
            for none.
        photos: to be edited: image files, folders of them, names of distributions, and codes that an earlier run wrote.
        discovery: how its directions are found, all of it; none for what the suite says of all generators.
    """

    name: str
    options: Options = Options()
    layers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("svd", "optimization", "spectrum", "hybrid")
    latents: tuple[Literal["z", "w", "w+"], ...] = ()
    latent_methods: tuple[str, ...] = ("ganspace", "sefa", "latent-spectrum", "latent-optimization", "random")
    reference: str = "unshifted"
    resize: Literal["", "box", "bilinear", "bicubic", "lanczos"] = ""
    scorer: str = ""
    segmentation: str = ""
    embedding: str = ""
    photos: tuple[str, ...] = ()
    discovery: DiscoverySettings | None = None

    @property
    def all_methods(self) -> tuple[str, ...]:
        """Of layers and of latent spaces."""
        return (*self.methods, *(self.latent_methods if self.latents else ()))


class Curves(Settings):
    """FD and KID against the shift.

    Attributes:
        directions: how many of each set, from the first.
        shifts: points of a curve, odd, t = 0 inside.
        samples: images per point.
        reference_samples: images of a reference that can be drawn without end; 0 for as many as `samples`.
        shard: images per resumable piece; changes no result.
        extractor: of the features: one of torch-fidelity, an entry point of `navbench.extractors`, or
            'package.module:callable'; only 'inception-v3-compat' makes an FID.
        extractor_weights: a file with its weights, '' for the ones it downloads.
        effect_samples: on how many of the codes the effect is measured along the curve.
    """

    directions: int = Field(2, ge=0)
    shifts: int = Field(5, ge=3)
    samples: int = Field(512, ge=2)
    reference_samples: int = Field(0, ge=0)
    shard: int = Field(256, ge=1)
    extractor: str = "efficientnet-lite0"
    extractor_weights: str = ""
    effect_samples: int = Field(64, ge=2)


class Screening(Settings):
    """The effect of every direction of every set, at both ends of its range, over `samples` codes."""

    samples: int = Field(32, ge=2)


class Attributes(Settings):
    """What every direction moves, as the generator's attribute scorer reads it.

    Attributes:
        samples: codes.
        shifts: from t_min to t_max, odd, t = 0 inside.
    """

    samples: int = Field(32, ge=2)
    shifts: int = Field(5, ge=3)


class Matched(Settings):
    """Methods compared where they change one attribute by the same amount, each by its best direction for it.

    Attributes:
        attribute: of the scorer; '' to leave the comparison out.
        change: in the attribute's unit, up on one side and down on the other.
        codes: over which the change is measured when the shifts are solved for.
    """

    attribute: str = ""
    change: float = Field(1.0, gt=0)
    codes: int = Field(32, ge=2)


class Locality(Settings):
    """Heatmaps over `samples` codes and a uniform grid of `shifts`, of the first `directions` of each set."""

    directions: int = Field(2, ge=0)
    samples: int = Field(64, ge=2)
    shifts: int = Field(8, ge=2)


class Reproduction(Settings):
    """The test of eq. 5, of the first `directions` of each set at t_max.

    Attributes:
        targets: the spaces that are to imitate: of a parameter direction, latent spaces and 'activation', the tensor
            that enters its layer; of a latent direction, 'parameter', the kernel of each layer of the generator's
            `layers`. Those that a generator lacks are left out.
        codes: on which the offset is found; held_out: others, on which it is measured.
        steps: of L-BFGS.
    """

    directions: int = Field(1, ge=0)
    targets: tuple[Literal["z", "w", "w+", "activation", "parameter"], ...] = (
        "z",
        "w",
        "w+",
        "activation",
        "parameter",
    )
    codes: int = Field(32, ge=1)
    held_out: int = Field(64, ge=2)
    steps: int = Field(20, ge=1)


class Strips(Settings):
    """Image sequences: `codes` rows of `shifts` images, of the first `directions` of each set."""

    directions: int = Field(2, ge=0)
    codes: int = Field(3, ge=1)
    shifts: int = Field(7, ge=3)


class Survey(Settings):
    """What directions change in each layer (Figure 20, section 6.2), by one method at an equal budget.

    Attributes:
        method: '' for the first of the generator's `methods`.
        layers: names or indices; empty for all.
        directions: how many of each set, from the first.
        samples: codes.
        curves: of how many of those the Fréchet distance is taken, at both ends of their range.
    """

    method: str = ""
    layers: tuple[str, ...] = ()
    directions: int = Field(2, ge=0)
    samples: int = Field(32, ge=2)
    curves: int = Field(1, ge=0)


class Pairs(Settings):
    """The same edit by other methods (Figures 5, 6, 14 and 15), on the same codes at the same effect.

    Attributes:
        method: whose directions the others' are set beside; '' for the last of the generator's `methods`.
        directions: how many of each of its sets, from the first.
        codes: over which pixel changes are compared; the closest is chosen on one half and measured on the other.
        shown: of them, in pictures.
        curves: of how many directions of each set the closest latent one gets a curve.
    """

    method: str = ""
    directions: int = Field(1, ge=0)
    codes: int = Field(16, ge=4)
    shown: int = Field(2, ge=1)
    curves: int = Field(1, ge=0)


class Photos(Settings):
    """Real images, projected and edited (Figures 9 and 10).

    Attributes:
        count: of each folder and distribution.
        spaces: where they are projected; empty for w+, or where there is none, z and z with the layer's activations,
            and for a latent direction that moves nothing there, its own space.
        steps: of the projector; the original's are 1000.
        directions: how many of each set, from the first.
    """

    count: int = Field(4, ge=1)
    spaces: tuple[Literal["w+", "w", "z", "z+activation"], ...] = ()
    steps: int = Field(1000, ge=1)
    directions: int = Field(1, ge=0)


class Recognition(Settings):
    """Whether a network tells the directions of a set apart: the reconstructor's accuracy (RCA) and its confusions.

    Attributes:
        methods: whose sets; empty for all.
        steps, batch, learning_rate: of Adam.
        pairs: on which it is measured afterwards.
    """

    methods: tuple[str, ...] = ()
    steps: int = Field(2000, ge=1)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(3e-4, gt=0)
    pairs: int = Field(1024, ge=2)


class Stability(Settings):
    """Whether a method finds the same span again, from other codes and from other numbers of codes.

    Attributes:
        methods: that are run again.
        seeds: how many further seeds.
        codes: further numbers of codes of the Hessian, and of samples of w.
    """

    methods: tuple[str, ...] = ("spectrum",)
    seeds: int = Field(1, ge=0)
    codes: tuple[Annotated[int, Field(ge=1)], ...] = ()


class Suite(Settings):
    """One benchmark.

    Attributes:
        batch: images per forward pass; changes no result.
        rediscover: find directions anew, even where there are some.
        calibrate: what every direction's range is solved for, 'effect=0.2' or 'wheel radius=+2px'; '' for the ranges
            of the direction files.
        only: directions by name, to measure those alone; empty for what each experiment's `directions` says.
        experiments: which to do, after the screening; 'survey' (which with `rediscover` finds directions in every
            layer), 'recognition' and 'stability' must be asked for.
    """

    name: str
    seed: int = Field(0, ge=0)
    precision: Literal["float32", "bf16"] = "float32"
    batch: int = Field(32, ge=1)
    rediscover: bool = False
    calibrate: str = ""
    only: tuple[str, ...] = ()
    experiments: tuple[Experiment, ...] = (
        "attributes", "curves", "matched", "locality", "reproduction", "strips", "pairs", "photos",
    )  # fmt: skip
    generators: tuple[Subject, ...] = Field(min_length=1)
    distance: str = "stlpips-alex"
    discovery: DiscoverySettings = DiscoverySettings()
    screening: Screening = Screening()
    attributes: Attributes = Attributes()
    curves: Curves = Curves()
    matched: Matched = Matched()
    locality: Locality = Locality()
    reproduction: Reproduction = Reproduction()
    strips: Strips = Strips()
    survey: Survey = Survey()
    pairs: Pairs = Pairs()
    photos: Photos = Photos()
    recognition: Recognition = Recognition()
    stability: Stability = Stability()

    def toml(self) -> str:
        """The suite as a file that reads back as the same suite, every key spelled out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def discovery_of(self, subject: Subject) -> DiscoverySettings:
        """How directions of one of its generators are found."""
        return subject.discovery or self.discovery

    def with_values(self, **values: Any) -> "Suite":
        """The suite with other values, given by their keys: `seed=3`, `curves={"samples": 99}`; validated anew."""
        content = self.model_dump(mode="json")
        for key, value in values.items():
            content[key] = content[key] | value if isinstance(value, dict) else value
        return _validated(content, "the command line")

    @property
    def cache_key(self) -> str:
        """A hash of all that changes results: two suites with one identity give the same tables."""
        content = self.model_dump(mode="json", exclude={"batch": True, "curves": {"shard"}})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read(source: str) -> Suite:
    """The suite of a preset's name or of a TOML file."""
    if source in PRESETS:
        return parse(files("navbench").joinpath("presets", f"{source}.toml").read_text(), f"preset {source}")
    path = Path(source)
    if path.suffix != ".toml" and not path.exists():
        raise unknown("preset", source, PRESETS)
    try:
        return parse(path.read_text(), source)
    except (OSError, UnicodeDecodeError) as error:
        raise NavbenchError(f"Suite {source} cannot be read ({error}).") from error


def parse(text: str, source: str) -> Suite:
    """The suite in a TOML text; `source` names it in errors."""
    try:
        return _validated(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as error:
        raise NavbenchError(f"{source} is not valid TOML: {error}.") from error


def _validated(content: dict[str, Any], source: str) -> Suite:
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise NavbenchError(f"{source}: {_explain(error)}") from error
    _check_methods(suite, source)
    if any(counted.shifts % 2 == 0 for counted in (suite.curves, suite.strips, suite.attributes)):
        raise NavbenchError(f"{source}: the shifts of curves, strips and attributes must be odd, to have t = 0.")
    if suite.calibrate:
        parse_target(suite.calibrate)
    return suite


def _check_methods(suite: Suite, source: str) -> None:
    """Refuse misspelt methods: what is to be found must be in the table, but sets may be of methods of their own.

    A survey's sets may be of a method that nothing else is of; the plan knows whether there are any.
    """
    own = [method for subject in suite.generators for method in subject.all_methods]
    measured = {"pairs.method": [suite.pairs.method], "recognition.methods": list(suite.recognition.methods)}
    measured |= {"survey.method": [suite.survey.method]} if suite.rediscover else {}
    for method in own if suite.rediscover else ():
        _check_method(method, METHODS, source)
    for method in suite.stability.methods:
        _check_method(method, METHODS, f"{source}, stability.methods")
    for key, methods in measured.items():
        for method in filter(None, methods):
            _check_method(method, (*METHODS, *own), f"{source}, {key}")


def _check_method(method: str, known: Collection[str], place: str) -> None:
    if method not in known:
        raise unknown(f"method in {place}", method, known)


def _explain(error: ValidationError) -> str:
    """The first complaint, in one sentence; an unknown key with the nearest known one."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{place}: {first['msg'].lower()}, found {first['input']!r}."
    *parents, key = first["loc"]
    known = _keys(Suite, [part for part in parents if isinstance(part, str)])
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
    return f"unknown key {place!r}; {hint}"


def _keys(model: Any, path: list[str]) -> list[str]:
    """The keys that are known at a place in the suite."""
    for part in path:
        annotation = model.model_fields[part].annotation
        model = next(
            (inner for inner in getattr(annotation, "__args__", ()) if hasattr(inner, "model_fields")),
            annotation,
        )
    return sorted(model.model_fields)
