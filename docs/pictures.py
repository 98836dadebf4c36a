"""Write the pictures of the methods in `docs/concepts.md`: a strip of one shipped direction each.

python docs/pictures.py
"""

from pathlib import Path

import navbench as nb

FOLDER = Path(__file__).parent / "pictures"
SHOWN = {
    "svd": "cars/svd/convs.5/16",
    "optimization": "cars/optimization/convs.5/11",
    "spectrum": "cars/spectrum/convs.1/0",
    "hybrid": "cars/hybrid/convs.1/5",
    "ganspace": "cars/ganspace/w/4",
    "sefa": "cars/sefa/w/13",
    "latent-spectrum": "cars/latent-spectrum/w/7",
    "latent-optimization": "cars/latent-optimization/w/10",
    "supervised": "cars/supervised/w/9",
    "interfacegan": "cars/interfacegan/w/7",
    "random": "cars/random/convs.5/27",
}
"""Of each method the direction that takes the largest share of the squared change for one attribute, in reports/quick;
of sefa, whose directions are all entangled, the one with a curve there; of methods that see labels, body lightness."""


def main() -> None:
    """Twice as large as they are, as 64 pixels are small."""
    FOLDER.mkdir(exist_ok=True)
    for method, name in SHOWN.items():
        strip = nb.strip(nb.load_direction(name), shifts=7, codes=2)
        strip.resize((2 * strip.width, 2 * strip.height)).save(FOLDER / f"{method}.webp", quality=85, method=6)


if __name__ == "__main__":
    main()
