"""The settings of discovery, as they stand in suite files and in the headers of direction sets."""

from typing import Literal

from pydantic import Field

from navbench.settings import Settings
from navbench.words import DISTANCE

Trunk = Literal["small", "resnet18"]
"""The networks that a reconstructor can be."""


class SpectrumSettings(Settings):
    """How the perceptual Hessian's leading eigenvectors are found (section 3.3).

    Attributes:
        vectors: how many; the paper takes 64. The first `DiscoverySettings.directions` of them are directions, and
            `hybrid` learns on all.
        megabytes: that they may take in a file, where fewer are found if `vectors` take more; 0 for no limit.
        codes: over how many codes the expectation goes; the paper takes 512.
        solver: 'krylov', exact products in a block Krylov space; or 'power', the paper's eq. 4.
        block: vectors per exact product of 'krylov'.
        tolerance: 'krylov' stops when every residual |Hv - lv| / l is under it ...
        products: ... or after this many Hessian-vector products.
        epsilon, iterations: of 'power'; the paper takes 0.1 and 10.
    """

    vectors: int = Field(64, ge=1)
    megabytes: float = Field(0, ge=0)
    codes: int = Field(512, ge=1)
    solver: Literal["krylov", "power"] = "krylov"
    block: int = Field(8, ge=1)
    tolerance: float = Field(1e-2, gt=0)
    products: int = Field(192, ge=1)
    epsilon: float = Field(0.1, gt=0)
    iterations: int = Field(10, ge=1)

    def vectors_of(self, size: int) -> int:
        """How many vectors of so many numbers are found: at least one."""
        if not self.megabytes:
            return self.vectors
        return max(1, min(self.vectors, int(self.megabytes * 1e6 / (2 * size))))  # two bytes a number


class LearnSettings(Settings):
    """How coefficients are learned (eq. 1-2, section 3.2).

    Attributes:
        directions: K; 0 for that of `DiscoverySettings`.
        steps, batch: of Adam, whose rates fall as half a cosine, to a twentieth for the last quarter of the steps.
        learning_rate: the reconstructor's.
        row_learning_rate: the coefficients'; they need a higher one than the reconstructor, as they are few.
        start: near the first axes of the basis ('axes'), or anywhere ('random').
        reconstructor: the paper's ResNet-18, or four convolutions ('small'), which a CPU trains in minutes.
        codes: how many different ones training sees, whose unshifted images are kept in memory; 0 for new ones at
            every step, as in the paper.
        shift: T; `None` to choose it so that a typical direction reaches `DiscoverySettings.effect` at T.
        shift_floor: the smallest |t| of a training pair, as a share of T.
        regression: lambda * T, the weight of |t - t'| / T in the loss. The paper's lambda is 2.5e-3, which is
            8.75 at its T = 3500 for `optimization` and 0.2 at its T = 80 for `hybrid`.
        evaluation: pairs on which the reconstructor's accuracy is measured afterwards.
        recognition_codes: codes on which a plain recogniser tells directions apart afterwards, by as many others.
    """

    directions: int = Field(0, ge=0)
    steps: int = Field(3000, ge=1)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    row_learning_rate: float = Field(1e-2, ge=0)
    start: Literal["axes", "random"] = "axes"
    reconstructor: Trunk = "small"
    codes: int = Field(1024, ge=0)
    shift: float | None = Field(None, gt=0)
    shift_floor: float = Field(0.25, ge=0, lt=1)
    regression: float = Field(0.2, ge=0)
    evaluation: int = Field(1024, ge=1)
    recognition_codes: int = Field(128, ge=2)


class OptimizationSettings(LearnSettings):
    """Learning on the svd basis."""


class HybridSettings(LearnSettings):
    """Learning on the spectrum's basis, which should have several times more vectors than directions are learned."""


class GanspaceSettings(Settings):
    """Principal components of w over `samples` codes.

    GANSpace takes a million. The noise falls with the root of the number: on `cars`, the largest principal angle
    between the first five components from two seeds is 5.6 degrees at 1e4 samples and 1.1 at 1e5.
    """

    samples: int = Field(100_000, ge=2)


class StylespaceSettings(Settings):
    """Which style channels are directions: `stylespace` takes those that change images most for a small step.

    `stylespace-attributes` takes, of the `candidates` first of these, those that move one attribute of a scorer most,
    relative to all, in turns of the attributes.

    Attributes:
        codes: over how many codes both are measured.
        probes: random probes of each; the relative error of a channel's sensitivity is at least
            sqrt(2 / (codes probes)).
        candidates: how many channels the scorer reads, one standard deviation to either side.
        scorer: an attribute scorer, as a suite's generator names it; '' for that of the generator.
    """

    codes: int = Field(64, ge=2)
    probes: int = Field(4, ge=1)
    candidates: int = Field(128, ge=1)
    scorer: str = ""


class SupervisedSettings(Settings):
    """How `supervised` finds the offset that moves one attribute of a differentiable scorer, and no other.

    Attributes:
        codes: that the search sees, a batch at a time.
        held_out: codes by which the best offset on the way is chosen; what it does to them is told in its scores.
        steps, batch: of Adam, whose rate falls as half a cosine. A step sees every code of its batch at both ends.
        learning_rate: about how far the first step turns the direction, in radians.
        check: after so many steps, the range is solved anew and the offset is tried on held-out codes.
        change: in sigmas, at either end: what the attribute moves beyond that is no gain, as scorers extrapolate there.
        scorer: an attribute scorer, as a suite's generator names it; '' for that of the generator.
    """

    codes: int = Field(128, ge=2)
    held_out: int = Field(64, ge=2)
    steps: int = Field(60, ge=1)
    batch: int = Field(16, ge=1)
    learning_rate: float = Field(0.05, gt=0)
    check: int = Field(20, ge=1)
    change: float = Field(1.5, gt=0)
    scorer: str = ""


class InterfaceganSettings(Settings):
    """How `interfacegan` finds the boundary of an attribute in z or w (Shen et al., CVPR 2020).

    The paper takes 10,000 codes at either end, of 500,000, and trains on seven tenths of them (section 3.1).

    Attributes:
        samples: codes whose images are scored.
        extremes: codes that are taken at either end of an attribute.
        held_out: of both ends' codes, so many by which a boundary is judged.
        penalty: C of the linear support vector machine; the smaller, the wider its margin.
        scorer: an attribute scorer, as a suite's generator names it; '' for that of the generator.
    """

    samples: int = Field(10_000, ge=4)
    extremes: int = Field(1000, ge=2)
    held_out: int = Field(600, ge=1)
    penalty: float = Field(1.0, gt=0)
    scorer: str = ""


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
    stylespace: StylespaceSettings = StylespaceSettings()
    supervised: SupervisedSettings = SupervisedSettings()
    interfacegan: InterfaceganSettings = InterfaceganSettings()
    latent_optimization: LatentOptimizationSettings = LatentOptimizationSettings()


SCORED = ("stylespace", "supervised", "interfacegan")
"""The sections that name a scorer."""
