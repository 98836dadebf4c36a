"""An edit as torch-fidelity takes one, so that its metrics can be had of any direction at any shift."""

import torch_fidelity
from torch import Tensor

from navbench.experiments.edit import Edit
from navbench.generators.base import Codes
from navbench.metrics.extractors import quantise


class ShiftedGenerator(torch_fidelity.GenerativeModelBase):
    """A generator under one direction at one shift, for `torch_fidelity.calculate_metrics`.

    It stays on the edit's own device, whatever torch-fidelity is told about CUDA; images follow the codes.

        shifted = ShiftedGenerator(Edit(generator, direction, Compute()), t=3.0)
        torch_fidelity.calculate_metrics(
            input1=shifted, input1_model_num_samples=10_000, input2="photos", feature_extractor="efficientnet-lite0",
            fid=True, kid=True,
        )
    """

    def __init__(self, edit: Edit, t: float) -> None:
        """Take a direction on its generator, and how far to go along it; t = 0 is the generator itself."""
        super().__init__()
        self.edit, self.t = edit, t  # no submodule: what moves or trains this module leaves the generator alone
        edit.space.generator.eval()
        self.eval()

    @property
    def z_size(self) -> int:
        """The number of dimensions of a code."""
        return self.edit.space.generator.latent_dim

    @property
    def z_type(self) -> str:
        """Codes are standard normal."""
        return "normal"

    @property
    def num_classes(self) -> int:
        """There are no classes."""
        return 0

    def forward(self, z: Tensor) -> Tensor:
        """Return images (N, 3, H, W), uint8, of codes (N, z_size), rounded as `metrics.extractors` rounds them."""
        render = self.edit.prepare(Codes(z.to(self.edit.compute.device)))
        return quantise(render(self.t)).to(z.device)
