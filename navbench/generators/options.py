"""What a user says of a checkpoint beside its path: how its generator is to run."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from navbench.errors import NavbenchError
from navbench.settings import Settings

Noise = Literal["const", "none", "random"]


class Options(Settings):
    """How a generator from a file runs; what is None or empty is left as the generator has it.

    Attributes:
        truncation: of the truncation trick (StyleGAN2), or of the normal distribution of z (BigGAN).
        noise: of StyleGAN2: 'const', what the checkpoint stores; 'none'; or 'random', drawn once per code.
        classes: of a class-conditional generator, those from which codes draw theirs; empty for all.
        labels: a folder of label maps, which are pix2pixHD's codes.
        instances: a folder of instance maps, for the edges between objects.
        size: height and width: of the part of StyleGAN2's canvas that is the image (LSUN Car: 384, 512).
    """

    truncation: float | None = Field(None, ge=0, allow_inf_nan=False)
    noise: Noise | None = None
    classes: tuple[int, ...] = ()
    labels: Path | None = None
    instances: Path | None = None
    size: tuple[int, int] | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the options that were given."""
        return tuple(self.model_dump(exclude_defaults=True))

    def refuse(self, *names: str, family: str) -> None:
        """Refuse options that a family of generators does not know, if they were given."""
        for name in names:
            if name in self.given:
                raise NavbenchError(f"{family} has no option {name!r}; leave it out.")
