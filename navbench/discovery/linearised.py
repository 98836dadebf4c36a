"""The derivative of a function at a point, built once, and applied to many vectors from either side."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input
from torch.overrides import TorchFunctionMode

Map = Callable[..., Tensor]
Sizes = int | tuple[int, ...]


class Linearised:
    """J, the Jacobian of a function at a point: `push` multiplies by it, `pull` by its transpose.

    One forward and one backward pass build it. A pull is a backward pass. A push is a backward pass through the
    backward pass, J^T u, whose derivative by u is J: it computes no value anew, as forward mode does for each vector,
    and no zero tangents of frozen kernels, whose convolutions cost as much as those of the activations.

    Attributes:
        bytes: that it holds: what autograd has saved.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], point: Tensor) -> None:
        """Take a function of one tensor whose parameters have no gradients."""
        storages: dict[int, int] = {}

        def count(saved: Tensor) -> Tensor:
            storage = saved.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return saved.detach()  # or a result that its own node saves keeps itself alive

        hooks = torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved)
        with torch.enable_grad(), hooks, FrozenKernels():
            self._point = point.detach().requires_grad_()
            self._value = function(self._point)
            self._probe = torch.zeros_like(self._value, requires_grad=True)
            self._pulled = self._value.new_zeros(())
            if self._value.requires_grad:
                self._pulled = self.pull(self._probe, create_graph=True)
        self.bytes = sum(storages.values())

    def push(self, vector: Tensor) -> Tensor:
        """J v, of the shape of the function's values, for v of the shape of the point."""
        if not self._pulled.requires_grad:
            return torch.zeros_like(self._value)
        return torch.autograd.grad(self._pulled, self._probe, vector, retain_graph=True)[0]

    def pull(self, vector: Tensor, create_graph: bool = False) -> Tensor:
        """J^T v, of the shape of the point, for v of the shape of the function's values."""
        if not self._value.requires_grad:
            return torch.zeros_like(self._point)
        return torch.autograd.grad(
            self._value, self._point, vector, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )[0]


class _Linear(torch.autograd.Function):
    """A linear map of x with its transpose: (x, kernel, map, transpose) to map(x, kernel).

    torch's own convolution keeps its input for the derivative by the kernel, and its second derivative computes that
    by the kernel, too, whether they are needed or not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, forth: Map, back: Map) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.maps = forth, back
        return forth(x, kernel)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        forth, back = ctx.maps
        (gradient, *_), (kernel,) = gradients, ctx.saved_tensors
        kernel = kernel.to(gradient.dtype)  # autocast ran the map at that precision, and has ended
        return _Linear.apply(gradient, kernel, back, forth), None, None, None


class FrozenKernels(TorchFunctionMode):
    """Inside, a two-dimensional convolution by a kernel without gradient is a linear map, which keeps no input."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        maps: dict[Any, Map] = {F.conv2d: _convolved, F.conv_transpose2d: _convolved_back}
        return maps.get(function, function)(*args, **(kwargs or {}))


def _convolved(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,  # named as torch's arguments
    stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    if weight.requires_grad or isinstance(padding, str):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    shape = input.shape

    def forth(x: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(x, kernel, None, stride, padding, dilation, groups)

    def back(x: Tensor, kernel: Tensor) -> Tensor:
        return conv2d_input(shape, kernel, x, stride, padding, dilation, groups)

    return _biased(_Linear.apply(input, weight, forth, back), bias)


def _convolved_back(
    input: Tensor, weight: Tensor, bias: Tensor | None = None,  # named as torch's arguments
    stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    if weight.requires_grad:
        return F.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)

    def forth(x: Tensor, kernel: Tensor) -> Tensor:
        return F.conv_transpose2d(x, kernel, None, stride, padding, output_padding, groups, dilation)

    def back(x: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(x, kernel, None, stride, padding, dilation, groups)

    return _biased(_Linear.apply(input, weight, forth, back), bias)


def _biased(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias[:, None, None].to(x.dtype)
