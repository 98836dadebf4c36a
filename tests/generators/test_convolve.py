from copy import deepcopy
from itertools import product

import pytest
import torch
from analytic import noise
from torch import nn

from navbench.compute import Compute
from navbench.errors import NavbenchError
from navbench.generators.base import check_kernel, convolve

CONVOLUTIONS = {
    "plain": lambda: nn.Conv2d(4, 6, 3),
    "one by one": lambda: nn.Conv2d(4, 6, 1, bias=False),
    "strided": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "oblong": lambda: nn.Conv2d(4, 6, (1, 3), stride=(2, 1), padding=(0, 2)),
    "same": lambda: nn.Conv2d(4, 6, 5, padding="same"),
    "dilated": lambda: nn.Conv2d(4, 6, 3, dilation=2, bias=False),
    "grouped": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 8, 3, padding=1, groups=4),
    "reflecting": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "circular, grouped": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular", groups=2, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(4, 6, 3),
    "transposed, strided": lambda: nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1, bias=False),
    "transposed, output padded": lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
    "transposed, dilated": lambda: nn.ConvTranspose2d(4, 6, 3, dilation=2),
    "transposed, grouped": lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2),
}


@pytest.fixture(params=CONVOLUTIONS)
def module(request):
    made = CONVOLUTIONS[request.param]()
    for index, parameter in enumerate(made.parameters()):
        parameter.data = noise(index, *parameter.shape)
    return made.double().requires_grad_(False)


def changed(module, kernel):
    """The module with its kernel replaced for good."""
    other = deepcopy(module)
    other.weight.data = kernel
    return other


def test_another_kernel_is_the_module_with_its_kernel_changed(module):
    inputs, kernel = noise(2, 3, 4, 9, 9).double(), noise(3, *module.weight.shape).double()
    own = module.weight.clone()
    assert torch.equal(convolve(module, inputs, kernel), changed(module, kernel)(inputs))
    assert torch.equal(module.weight, own)


def test_its_own_kernel_is_the_module_itself(module):
    inputs = noise(2, 3, 4, 9, 9).double()
    assert torch.equal(convolve(module, inputs, None), module(inputs))
    assert torch.equal(convolve(module, inputs, module.weight + 0), module(inputs))


def test_one_kernel_per_image_is_a_loop_over_images(module):
    inputs, kernels = noise(2, 3, 4, 9, 9).double(), noise(3, 3, *module.weight.shape).double()
    each = [changed(module, kernel)(image[None]) for image, kernel in zip(inputs, kernels, strict=True)]
    torch.testing.assert_close(convolve(module, inputs, kernels), torch.cat(each), rtol=1e-12, atol=1e-12)


def test_gradients_of_one_kernel_per_image_stay_with_their_image(module):
    inputs = noise(2, 3, 4, 9, 9).double()
    kernels = noise(3, 3, *module.weight.shape).double().requires_grad_()
    convolve(module, inputs, kernels)[1].square().sum().backward()
    assert (kernels.grad[[0, 2]] == 0).all()
    kernel = kernels.detach()[1].clone().requires_grad_()
    convolve(module, inputs[1:2], kernel).square().sum().backward()
    torch.testing.assert_close(kernels.grad[1], kernel.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("kind", "per_image"), list(product(["plain", "transposed, grouped"], [False, True])))
def test_under_autocast_another_kernel_is_rounded_as_the_modules_own(kind, per_image):
    module = CONVOLUTIONS[kind]().requires_grad_(False)
    inputs = noise(2, 1, 4, 9, 9)
    kernel = module.weight[None] + 0 if per_image else module.weight + 0
    with Compute(precision="bf16").autocast():
        found, own = convolve(module, inputs, kernel), module(inputs)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, own, rtol=0.01, atol=0.01)
    assert not torch.equal(found.float(), module(inputs))


def test_a_subclass_keeps_what_it_does_beside_the_convolution():
    class Scaled(nn.Conv2d):
        def forward(self, inputs):
            return 3 * super().forward(inputs)

    module = Scaled(2, 2, 1, bias=False).requires_grad_(False)
    inputs, kernels = noise(0, 2, 2, 5, 5), noise(1, 2, 2, 2, 1, 1)
    expected = 3 * torch.einsum("nihw,noi->nohw", inputs, kernels[..., 0, 0])
    torch.testing.assert_close(convolve(module, inputs, kernels), expected)
    torch.testing.assert_close(convolve(module, inputs[:1], kernels[0]), expected[:1])


def test_a_kernel_that_is_computed_from_other_parameters_is_refused():
    module = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 3, 3))
    with pytest.raises(NavbenchError, match=r"Layer conv computes its kernel.*remove_parametrizations"):
        check_kernel(module, "conv")
    check_kernel(nn.Conv2d(3, 3, 3), "conv")
