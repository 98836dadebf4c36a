"""What a suite says of all its experiments: the generators, and what every measurement shares."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, Field, create_model

from navbench.discovery.settings import SCORED, DiscoverySettings
from navbench.errors import NavbenchError, unknown
from navbench.generators.options import Options
from navbench.settings import PERMISSION, SPEED, Name, Settings
from navbench.texts import file_name
from navbench.words import DISTANCE

if TYPE_CHECKING:
    from navbench.experiments.experiment import Experiment

S = TypeVar("S", bound=Settings)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, to have t = 0")
    return value


OddCount = Annotated[int, AfterValidator(_odd)]
"""A number of shifts from t_min to t_max, t = 0 inside."""


def _plain(name: str) -> str:
    if name and (not name.strip() or name[0] == "." or file_name(name) != name):
        raise ValueError("must be a plain name, as files are called by it, without '/' and not hidden")
    return name


_ALIAS: Any = create_model("_Alias", __base__=Settings, **{"as": (Annotated[str, AfterValidator(_plain)], "")})  # type: ignore[call-overload]
"""What has the key `as`, which Python has no attribute for."""


class Subject(_ALIAS):
    """One generator of a suite.

    Attributes:
        as: what it is called in all tables, instead of its own name; '' for that. A suite that measures one generator
            twice, or two checkpoints of one file name, needs it.
        name: an installed generator, 'package.module:callable', or the path of a checkpoint.
        options: how the generator is to run: one from a checkpoint, or `eyes`, whose classes can be chosen.
        layers: names or indices; empty for the layers of the direction sets there are, or if there are none, three of
            different depth.
        methods: the methods whose directions are measured on those layers, with their controls.
        latents: latent spaces, 'z', 'w', 'w+' or 's'; one that the generator lacks is refused.
        latent_methods: the methods whose directions are measured there; each in the spaces in which it is defined.
        reference: 'unshifted', the generator itself at t = 0 with other codes; an installed distribution, such as
            'renderings', the truth of `cars`; a folder or zip of images; or a file of their statistics, .npz or of
            torch-fidelity's cache.
        resize: of images of another size in a folder or zip: 'box', 'bilinear', 'bicubic' or 'lanczos', which changes a
            Fréchet distance and is recorded; '' to refuse them.
        convert: 'rgb' to convert images of a folder or zip that are grey, of a palette, CMYK, with alpha (on white) or
            of 16 bits (the upper 8); '' to refuse them.
        scorer: an installed attribute scorer, or 'package.module:callable'; '' for none.
        segmentation: an installed segmentation, or 'package.module:callable', that says what parts changes lie on; ''
            for none.
        embedding: an installed embedding, or 'package.module:callable', that tells whose identity an image shows; ''
            for none.
        photos: to be edited: image files, folders of them, names of distributions, and codes that an earlier run wrote.
        discovery: how its directions are found, all of it; `None` for what the suite says of all generators.
    """

    name: Name
    options: Options = Options()
    layers: tuple[Name, ...] = ()
    methods: tuple[Name, ...] = (
        *("svd", "optimization", "spectrum", "hybrid"),
        *("random", "random-in-svd", "random-in-spectrum"),
    )
    latents: tuple[Literal["z", "w", "w+", "s"], ...] = ()
    latent_methods: tuple[Name, ...] = ("ganspace", "sefa", "latent-spectrum", "latent-optimization", "random")
    reference: Name = "unshifted"
    resize: Literal["", "box", "bilinear", "bicubic", "lanczos"] = ""
    convert: Literal["", "rgb"] = ""
    scorer: str = ""
    segmentation: str = ""
    embedding: str = ""
    photos: tuple[Name, ...] = ()
    discovery: DiscoverySettings | None = None

    @property
    def alias(self) -> str:
        """What it is called instead of its own name; '' for that."""
        return str(getattr(self, "as"))

    @property
    def all_methods(self) -> tuple[str, ...]:
        """Of layers and of latent spaces."""
        return (*self.methods, *(self.latent_methods if self.latents else ()))


class Common(Settings):
    """What a suite says beside the sections of its experiments.

    Attributes:
        batch: images per forward pass; moves results by rounding alone.
        rediscover: find directions anew, even where there are some.
        allow_stochastic: measure generators, scorers and other networks also if they give other answers to the same
            inputs, and say in the report by how much; without it they are refused.
        calibrate: what every direction's range is solved for, 'effect=0.2' or 'wheel radius=+2px'; '' for the ranges
            of the direction files.
        directions: of each set, the first ones, to measure those alone where `only` names none; 0 for all.
        only: directions by name, to measure those alone; empty for what each experiment's `directions` says.
        experiments: by name, beside those that are part of every run.
    """

    name: Name
    seed: int = Field(0, ge=0)
    precision: Literal["float32", "bf16"] = "float32"
    batch: int = Field(32, ge=1, json_schema_extra=SPEED)
    rediscover: bool = False
    allow_stochastic: bool = Field(False, json_schema_extra=PERMISSION)
    calibrate: str = ""
    directions: int = Field(0, ge=0)
    only: tuple[Name, ...] = ()
    experiments: tuple[str, ...] = ()
    generators: tuple[Subject, ...] = Field(min_length=1)
    distance: Name = DISTANCE
    discovery: DiscoverySettings = DiscoverySettings()

    def section(self, kind: "type[Experiment[S, Any]]") -> S:
        """The settings of an experiment."""
        section = getattr(self, kind.name) if kind.name in type(self).model_fields else kind.settings()
        return cast(S, section)

    def names(self, kind: "type[Experiment[Any, Any]]") -> bool:
        """Whether an experiment is part of every run, or among `experiments`."""
        return kind.always or kind.name in self.experiments

    def discovery_of(self, subject: Subject) -> DiscoverySettings:
        """How directions of one of its generators are found; methods that name no scorer take its own."""
        settings = subject.discovery or self.discovery
        asking = {name: part for name in SCORED if not (part := getattr(settings, name)).scorer}
        return settings.model_copy(
            update={name: part.model_copy(update={"scorer": subject.scorer}) for name, part in asking.items()}
        )

    def measured_methods(self) -> list[str]:
        """The methods whose directions are measured, of all generators."""
        return [method for subject in self.generators for method in subject.all_methods]


def check_names(generators: Sequence[tuple[str, str]]) -> None:
    """Refuse two generators of one name.

    Args:
        generators: what the suite says of each, a path for example, and what it is called.

    Raises:
        NavbenchError: it says how to tell them apart.
    """
    called: dict[str, str] = {}
    for source, name in generators:
        if name in called:
            which = f"{called[name]!r} and {source!r}" if called[name] != source else f"{source!r}, twice"
            raise NavbenchError(
                f"Two generators of the suite are called {name!r} ({which}); give each a name of its own by "
                "as = 'NAME' under [[generators]]."
            )
        called[name] = source


def check_methods(methods: Collection[str], known: Collection[str], key: str) -> None:
    """Refuse a method of a suite's key that is none of the known ones; '' stands for a default.

    Raises:
        NavbenchError: it names the nearest known method.
    """
    for method in methods:
        if method and method not in known:
            raise unknown(f"method in {key}", method, known)
