import numpy as np
import pytest
import torch
from analytic import noise, wrapped
from hypothesis import given
from hypothesis import strategies as st

from navbench.basis import DenseBasis, IdentityBasis, SvdBasis, random_basis
from navbench.generators.base import Layer

sides = st.integers(1, 4)
layers = st.builds(
    lambda shape, transposed: Layer("layer", 0, torch.Size(shape), transposed),
    st.tuples(sides, sides, sides, sides),
    st.booleans(),
)


def kernel_of(layer, seed=0):
    return noise(seed, *layer.shape)


def bases():
    """Every kind of basis on one layer: six vectors each but for the SVD's eight and one for every axis."""
    generator = wrapped()
    layer = generator.layer("wide")
    return {
        "svd": SvdBasis(layer, generator.kernel(layer)),
        "random": random_basis(layer.shape, 6, seed=3),
        "stored": DenseBasis(noise(4, 6, *layer.shape)),
        "identity": IdentityBasis(layer.shape),
    }


@given(layers)
def test_flattening_puts_the_window_and_inputs_in_rows_and_outputs_in_columns(layer):
    kernel = kernel_of(layer)
    inputs, outputs = layer.shape[:2] if layer.transposed else (layer.shape[1], layer.shape[0])
    height, width = layer.shape[2:]
    flat = layer.flatten(kernel)
    assert flat.shape == (height * width * inputs, outputs)
    for y in range(height):
        for x in range(width):
            for c in range(inputs):
                for o in range(outputs):
                    entry = kernel[c, o, y, x] if layer.transposed else kernel[o, c, y, x]
                    assert flat[(y * width + x) * inputs + c, o] == entry


@given(layers)
def test_unflattening_is_the_inverse_of_flattening(layer):
    kernel = kernel_of(layer)
    assert torch.equal(layer.unflatten(layer.flatten(kernel)), kernel)
    matrix = noise(1, *layer.flatten(kernel).shape)
    assert torch.equal(layer.flatten(layer.unflatten(matrix)), matrix)


@given(layers, st.integers(1, 3))
def test_many_matrices_are_unflattened_as_each_is(layer, count):
    matrices = noise(1, 2, count, *layer.flatten(kernel_of(layer)).shape)
    together = layer.unflatten(matrices)
    assert together.shape == (2, count, *layer.shape)
    for i in range(2):
        for j in range(count):
            assert torch.equal(together[i, j], layer.unflatten(matrices[i, j]))


@given(layers)
def test_the_svd_is_that_of_the_flattened_kernel(layer):
    kernel = kernel_of(layer)
    basis = SvdBasis(layer, kernel)
    u, s, v = np.linalg.svd(layer.flatten(kernel).numpy().astype(np.float64), full_matrices=False)
    assert basis.count == len(s)
    np.testing.assert_allclose(basis.singular_values.numpy(), s, rtol=1e-5, atol=1e-6)
    terms = basis.combine(torch.eye(len(s)))
    for index, term in enumerate(terms):
        expected = np.outer(u[:, index], v[index])  # the signs of u and v cancel
        np.testing.assert_allclose(layer.flatten(term).numpy(), expected, atol=1e-4)
    back = (basis.singular_values[:, None] * terms.flatten(1)).sum(0).view(layer.shape)
    torch.testing.assert_close(back, kernel, rtol=1e-4, atol=1e-5)


def test_the_singular_values_of_a_known_kernel_are_known():
    layer = Layer("layer", 0, torch.Size((2, 3, 1, 1)), transposed=False)  # 3 inputs, 2 outputs
    kernel = torch.tensor([[3.0, 0.0, 0.0], [0.0, -4.0, 0.0]])[:, :, None, None]
    basis = SvdBasis(layer, kernel)
    assert basis.singular_values.tolist() == pytest.approx([4, 3])
    expected = torch.zeros(2, 2, 3)
    expected[0, 1, 1], expected[1, 0, 0] = -1, 1
    torch.testing.assert_close(basis.combine(torch.eye(2))[..., 0, 0], expected)


def test_a_shift_along_the_svd_shifts_the_singular_values():
    generator = wrapped()
    layer = generator.layer("first")
    kernel = generator.kernel(layer)
    basis = SvdBasis(layer, kernel)
    shift = torch.linspace(1, 0.1, basis.count)
    moved = SvdBasis(layer, kernel + basis.combine(shift[None])[0])
    torch.testing.assert_close(moved.singular_values, basis.singular_values + shift, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["svd", "random", "stored", "identity"])
def test_every_vector_of_a_basis_has_unit_norm(kind):
    basis = bases()[kind]
    vectors = basis.combine(torch.eye(basis.count))
    assert vectors.shape == (basis.count, *basis.shape)
    torch.testing.assert_close(vectors.flatten(1).norm(dim=1), torch.ones(basis.count))


@pytest.mark.parametrize("kind", ["svd", "random", "stored", "identity"])
def test_combining_is_the_sum_of_vectors_by_their_coefficients(kind):
    basis = bases()[kind]
    vectors = basis.combine(torch.eye(basis.count))
    coefficients = noise(0, 3, basis.count)
    expected = torch.stack([sum(c * v for c, v in zip(row, vectors, strict=True)) for row in coefficients])
    torch.testing.assert_close(basis.combine(coefficients), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["svd", "random", "stored", "identity"])
def test_a_basis_on_another_device_is_the_same_basis(kind):
    basis = bases()[kind]
    coefficients = noise(0, 2, basis.count)
    torch.testing.assert_close(basis.to(torch.device("cpu")).combine(coefficients), basis.combine(coefficients))
    moved = basis.to(torch.device("meta"))
    assert moved.combine(coefficients.to("meta")).device.type == "meta"
    assert (moved.count, moved.shape) == (basis.count, basis.shape)


@pytest.mark.parametrize("kind", ["svd", "random", "stored", "identity"])
def test_gradients_reach_the_coefficients(kind):
    basis = bases()[kind]
    coefficients = noise(0, 2, basis.count).requires_grad_()
    target = noise(1, *basis.shape)
    (basis.combine(coefficients)[0] * target).sum().backward()
    expected = (basis.combine(torch.eye(basis.count)) * target).flatten(1).sum(1)
    torch.testing.assert_close(coefficients.grad[0], expected, rtol=1e-4, atol=1e-5)
    assert (coefficients.grad[1] == 0).all()


def test_the_vectors_of_the_svd_are_orthonormal():
    basis = bases()["svd"]
    vectors = basis.combine(torch.eye(basis.count)).flatten(1)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(basis.count), rtol=0, atol=1e-5)


@given(st.integers(0, 2**62), st.integers(1, 6), st.integers(0, 6))
def test_a_random_vector_depends_on_the_seed_and_its_number_only(seed, few, more):
    shape = torch.Size((2, 3, 1, 1))
    short, long = random_basis(shape, few, seed).vectors, random_basis(shape, few + more, seed).vectors
    assert torch.equal(short, long[:few])
    assert not torch.isclose(short, random_basis(shape, few, seed + 1).vectors).all()


def test_random_vectors_have_no_favourite_direction():
    vectors = random_basis(torch.Size((4,)), 4000, seed=0).vectors
    torch.testing.assert_close(vectors.T @ vectors / 4000, torch.eye(4) / 4, rtol=0, atol=0.02)
    assert float(vectors.mean(0).abs().max()) < 0.03


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_coefficients_on_the_axes_are_the_offsets_themselves(shape):
    basis = IdentityBasis(torch.Size(shape))
    coefficients = noise(0, 4, basis.count)
    offsets = basis.combine(coefficients)
    assert offsets.shape == (4, *shape)
    assert torch.equal(offsets.flatten(1), coefficients)
    assert offsets.data_ptr() == coefficients.data_ptr()


def test_a_stored_vector_of_zeros_stays_zero():
    basis = DenseBasis(torch.zeros(1, 2, 2))
    assert (basis.combine(torch.ones(1, 1)) == 0).all()
