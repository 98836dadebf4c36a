"""The generator `cars` that comes with the package: trained by `navbench testbed train`, written by `export`."""

from pathlib import Path

from navbench.errors import NavbenchError
from navbench.generators.files import read_generator
from navbench.generators.stylegan2 import StyleGAN2

WEIGHTS = Path(__file__).parent / "weights"
"""What is shipped: weights, the model card and its picture."""
GENERATOR = WEIGHTS / "cars.safetensors"


def cars() -> StyleGAN2:
    """The shipped generator of 64x64 cars; the entry point `cars`."""
    if not GENERATOR.is_file():
        raise NavbenchError(
            f"The generator 'cars' has no weights at {GENERATOR}; make them: navbench testbed train, then "
            f"navbench testbed export runs/testbed --out {GENERATOR}."
        )
    return read_generator(GENERATOR)
