"""The settings of discovery, as they stand in suite files and in the headers of direction sets."""

from typing import Literal

from pydantic import Field

from navbench.settings import Settings
from navbench.words import DISTANCE


class SpectrumSettings(Settings):
    """How the perceptual Hessian's leading eigenvectors are found (section 3.3).

    Attributes:
        vectors: how many; the paper takes 64.
        codes: over how many codes the expectation goes; the paper takes 512.
        solver: 'krylov', exact products in a block Krylov space; or 'power', the paper's eq. 4.
        block: vectors per exact product of 'krylov'.
        tolerance: 'krylov' stops when every residual |Hv - lv| / l is under it ...
        products: ... or after this many Hessian-vector products.
        epsilon, iterations: of 'power'; the paper takes 0.1 and 10.
    """

    vectors: int = Field(64, ge=1)
    codes: int = Field(512, ge=1)
    solver: Literal["krylov", "power"] = "krylov"
    block: int = Field(8, ge=1)
    tolerance: float = Field(1e-2, gt=0)
    products: int = Field(192, ge=1)
    epsilon: float = Field(0.1, gt=0)
    iterations: int = Field(10, ge=1)


class LearnSettings(Settings):
    """How coefficients are learned (eq. 1-2, section 3.2).

    Attributes:
        steps, batch, learning_rate: of Adam.
        shift: T; `None` to choose it so that a typical direction reaches `DiscoverySettings.effect` at T.
        shift_floor: the smallest |t| of a training pair, as a share of T.
        regression: lambda * T, the weight of |t - t'| / T in the loss. The paper's lambda is 2.5e-3, which is
            8.75 at its T = 3500 for `optimization` and 0.2 at its T = 80 for `hybrid`.
        evaluation: pairs on which the reconstructor's accuracy is measured afterwards.
    """

    steps: int = Field(100_000, ge=1)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    shift: float | None = Field(None, gt=0)
    shift_floor: float = Field(0.1, ge=0, lt=1)
    regression: float = Field(0.2, ge=0)
    evaluation: int = Field(1024, ge=1)


class OptimizationSettings(LearnSettings):
    """Learning on the svd basis, with the paper's weight of the shift."""

    regression: float = Field(8.75, ge=0)


class HybridSettings(LearnSettings):
    """Learning on the spectrum's basis, with the paper's batch."""

    batch: int = Field(16, ge=1)


class GanspaceSettings(Settings):
    """Principal components of w over `samples` codes.

    GANSpace takes a million. The noise falls with the root of the number: on `cars`, the largest principal angle
    between the first five components from two seeds is 5.6 degrees at 1e4 samples and 1.1 at 1e5.
    """

    samples: int = Field(100_000, ge=2)


class LatentOptimizationSettings(LearnSettings):
    """Learning on the axes of a latent space (Voynov & Babenko, ICML 2020)."""


class DiscoverySettings(Settings):
    """What any method needs to know.

    Attributes:
        directions: K.
        distance: the perceptual distance of the Hessian and of effects.
        effect: the effect that every direction's t range is calibrated to reach on either side.
        effect_codes: over how many codes an effect is measured for that.
    """

    directions: int = Field(64, ge=1)
    distance: str = DISTANCE
    effect: float = Field(0.2, gt=0)
    effect_codes: int = Field(32, ge=1)
    spectrum: SpectrumSettings = SpectrumSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    hybrid: HybridSettings = HybridSettings()
    ganspace: GanspaceSettings = GanspaceSettings()
    latent_optimization: LatentOptimizationSettings = LatentOptimizationSettings()
