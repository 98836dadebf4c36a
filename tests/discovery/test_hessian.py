import pytest
import torch
from analytic import Curved, LinearGenerator, Quadratic, noise, wrapped

from navbench import spaces
from navbench.compute import Compute
from navbench.discovery.hessian import PerceptualHessian, krylov, power
from navbench.errors import Failure, NavbenchError
from navbench.generators.base import Codes

LINEAR = LinearGenerator(latent_dim=3, side=4)
CODES = LINEAR.sample(range(10), seed=1)
SIZE = 4 * 48


def linear(matrix=None, batch=4):
    """The Hessian of the linear generator under |A (x - y)|^2, and itself as a matrix, float64."""
    space = spaces.create(LINEAR, "parameter", "map")
    made = PerceptualHessian(space, Quadratic(matrix), CODES, Compute(batch=batch))
    return made, LINEAR.hessian(CODES, matrix)


def distinct(rank=48):
    """A matrix A, (rank, 48), that gives the Hessian eigenvalues that are well apart."""
    return torch.diag(0.9 ** torch.arange(rank)) @ torch.linalg.qr(noise(9, 48, 48))[0][:rank]


def double(kind, layer, batch=4):
    """The Hessian of a smooth network under an LPIPS-like distance, float64."""
    generator = wrapped()
    space = spaces.create(generator, kind, layer)
    codes = generator.sample(range(5), seed=2)
    generator.double()
    return PerceptualHessian(space, Curved(), Codes(codes.z.double()), Compute(batch=batch))


PLACES = [("parameter", layer) for layer in ("first", "up", "reflect", "wide", "last")] + [("activation", "wide")]


# --- products ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", [None, noise(9, 7, 48)])
def test_a_product_is_that_of_the_closed_form(matrix):
    hessian, exact = linear(matrix)
    vectors = noise(0, 3, SIZE)
    torch.testing.assert_close(hessian.product(vectors).double(), vectors.double() @ exact, rtol=1e-4, atol=1e-4)
    assert hessian.products == 3


@pytest.mark.parametrize(("kind", "layer"), [*PLACES, ("z", None)])
def test_a_product_is_the_central_difference_of_gradients(kind, layer):
    """(g(eps v) - g(-eps v)) / (2 eps), eq. 4, whose error is O(eps^2): a hundredth for a tenth of eps."""
    hessian = double(kind, layer)
    v = noise(3, hessian.size).double()
    v = v / v.norm()
    product = hessian.product(v[None])[0]
    assert float(product.norm()) > 1e-4

    def error(epsilon):
        difference = (hessian.gradient(epsilon * v) - hessian.gradient(-epsilon * v)) / (2 * epsilon)
        return float((difference - product).norm() / product.norm())

    assert error(1e-4) < 1e-6
    assert error(1e-3) == pytest.approx(error(1e-2) / 100, rel=0.1)


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_the_quadratic_form_is_the_distance_of_a_small_shift(kind, layer):
    hessian = double(kind, layer)
    v = noise(3, hessian.size).double()
    v = v / v.norm()
    curvature = float(v @ hessian.product(v[None])[0])

    def distance(t):
        space, codes = hessian.space, hessian.codes
        state = space.prepare(codes)
        images = (space.render(state, shift * v.view(space.shape)) for shift in (t, 0.0))
        shifted, original = map(hessian.distance.features, images)
        return float((shifted - original).square().sum(1).mean())

    for epsilon in (1e-3, 1e-4):
        second = (distance(epsilon) - 2 * distance(0.0) + distance(-epsilon)) / epsilon**2
        assert second == pytest.approx(curvature, rel=20 * epsilon)


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_the_gradient_is_the_central_difference_of_the_distance(kind, layer):
    hessian = double(kind, layer)
    space, codes = hessian.space, hessian.codes
    a, v = 0.1 * noise(4, hessian.size).double(), noise(3, hessian.size).double()

    def distance(offset):
        state = space.prepare(codes)
        images = (space.render(state, at.view(space.shape)) for at in (offset, 0 * offset))
        shifted, original = map(hessian.distance.features, images)
        return float((shifted - original).square().sum(1).mean())

    slope = (distance(a + 1e-5 * v) - distance(a - 1e-5 * v)) / 2e-5
    assert float(hessian.gradient(a) @ v) == pytest.approx(slope, rel=1e-6)
    assert (hessian.gradient(0 * a) == 0).all()


def test_a_product_is_linear_symmetric_and_never_negative():
    hessian = double("parameter", "wide")
    u, v = noise(0, hessian.size).double(), noise(1, hessian.size).double()
    hu, hv, both = hessian.product(torch.stack([u, v, 2 * u - 3 * v]))
    torch.testing.assert_close(both, 2 * hu - 3 * hv, rtol=1e-9, atol=1e-12)
    assert float(u @ hv) == pytest.approx(float(v @ hu), rel=1e-9)
    assert float(u @ hu) > 0


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 64])
def test_products_and_gradients_do_not_depend_on_the_batch(batch):
    whole, parts = double("parameter", "wide", batch=5), double("parameter", "wide", batch=batch)
    v = 0.1 * noise(0, whole.size).double()
    torch.testing.assert_close(parts.product(v[None]), whole.product(v[None]), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(parts.gradient(v), whole.gradient(v), rtol=1e-9, atol=1e-12)


def test_the_work_before_the_layer_is_done_once_for_all_products():
    hessian = double("parameter", "wide", batch=2)
    prepare, prepared = hessian.space.prepare, []
    hessian.space.prepare = lambda codes: prepared.append(len(codes)) or prepare(codes)
    for _ in range(2):
        hessian.product(noise(0, 3, hessian.size).double())
        hessian.gradient(noise(1, hessian.size).double())
    assert prepared == [2, 2, 1]


def test_batches_are_linearised_once_while_memory_holds_them(monkeypatch):
    hessian = double("parameter", "wide", batch=2)
    features, passes = hessian.distance.features, []
    hessian.distance.features = lambda images: passes.append(len(images)) or features(images)
    vectors = noise(0, 3, hessian.size).double()
    first = hessian.product(vectors)
    assert passes == [2, 2, 1]
    assert torch.equal(hessian.product(vectors), first)
    assert passes == [2, 2, 1]
    monkeypatch.setattr("navbench.discovery.hessian.KEPT", 0)
    without = double("parameter", "wide", batch=2)
    without.distance.features = hessian.distance.features
    assert torch.equal(without.product(vectors), first)
    assert torch.equal(without.product(vectors), first)
    assert passes == 3 * [2, 2, 1]
    assert without._linearised == without._states == {}


def test_states_of_a_batch_that_did_not_fit_are_dropped(recwarn):
    hessian = double("parameter", "wide", batch=4)
    expected = hessian.product(noise(0, 1, hessian.size).double())
    features = hessian.distance.features

    def hungry(images):
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return features(images)

    hessian = double("parameter", "wide", batch=4)
    hessian.gradient(noise(0, hessian.size).double())  # states of batches of 4
    hessian.distance.features = hungry
    torch.testing.assert_close(hessian.product(noise(0, 1, hessian.size).double()), expected, rtol=1e-9, atol=1e-12)
    assert sorted(hessian._states) == [(0, 2), (2, 2), (4, 1)]


# --- solvers -------------------------------------------------------------------------------------------------


def true_residuals(found, exact):
    vectors, values = found.vectors.double(), found.values.double()
    return (vectors @ exact - values[:, None] * vectors).norm(dim=1) / values


def check_orthonormal(vectors):
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(len(vectors)), rtol=0, atol=2e-6)


@pytest.mark.parametrize("block", [1, 3, 8, 50])
@pytest.mark.parametrize("count", [1, 6, 20])
def test_krylov_finds_the_leading_eigenpairs_of_a_known_hessian(count, block):
    hessian, exact = linear(distinct())
    values, vectors = torch.linalg.eigh(exact)
    found = krylov(hessian, count, block=block, tolerance=1e-4)
    torch.testing.assert_close(found.values.double(), values.flip(0)[:count], rtol=1e-5, atol=0)
    overlap = (found.vectors.double() * vectors.flip(1)[:, :count].T).sum(1).abs()
    assert float(overlap.min()) > 1 - 1e-4
    check_orthonormal(found.vectors)
    assert float(found.residuals.max()) <= 1e-4
    assert found.products == hessian.products <= 192


def test_the_residuals_that_krylov_reports_are_the_true_ones():
    hessian, exact = linear(distinct())
    found = krylov(hessian, 12, block=4, products=20, tolerance=1e-9)
    true = true_residuals(found, exact)
    assert float(true.max()) > 0.01, "20 products are too few, and it must say so"
    torch.testing.assert_close(found.residuals.double(), true, rtol=1e-2, atol=1e-5)
    assert found.products == hessian.products == 20


def test_krylov_stops_when_all_residuals_are_under_the_tolerance():
    rough = krylov(linear(distinct())[0], 6, tolerance=0.1)
    fine = krylov(linear(distinct())[0], 6, tolerance=1e-4)
    assert rough.products < fine.products < 192
    assert 1e-4 < float(rough.residuals.max()) <= 0.1


@pytest.mark.parametrize("products", [30, 31, 37])
def test_krylov_spends_no_more_products_than_allowed(products):
    hessian, _ = linear(distinct())
    found = krylov(hessian, 20, block=8, products=products, tolerance=1e-9)
    assert found.products == hessian.products == products
    check_orthonormal(found.vectors)


def test_seeds_and_batches_change_the_eigenpairs_only_by_rounding():
    one = krylov(linear(distinct())[0], 5, seed=0, tolerance=1e-5)
    other = krylov(linear(distinct(), batch=10)[0], 5, seed=1, tolerance=1e-5)
    torch.testing.assert_close(one.values, other.values, rtol=1e-5, atol=0)
    assert float((one.vectors * other.vectors).sum(1).abs().min()) > 1 - 1e-4


@pytest.mark.parametrize("solver", [krylov, power])
def test_equal_settings_give_equal_vectors(solver):
    first, second = (solver(linear(distinct())[0], 3, seed=4) for _ in range(2))
    assert torch.equal(first.vectors, second.vectors)
    assert torch.equal(first.values, second.values)


def test_the_paper_s_procedure_finds_the_same_eigenpairs_given_enough_iterations():
    hessian, exact = linear(distinct())
    found = power(hessian, 4, iterations=100)
    torch.testing.assert_close(found.values.double(), torch.linalg.eigvalsh(exact).flip(0)[:4], rtol=1e-3, atol=0)
    check_orthonormal(found.vectors)
    torch.testing.assert_close(found.residuals.double(), true_residuals(found, exact), rtol=0.05, atol=1e-4)
    assert found.products == 4 * 100 * 2
    assert hessian.products == 4, "only for the Rayleigh quotients"


def test_the_paper_s_vectors_are_sorted_by_rayleigh_quotient():
    hessian, exact = linear(distinct())
    found = power(hessian, 12, iterations=2)
    quotients = (found.vectors.double() @ exact * found.vectors.double()).sum(1)
    torch.testing.assert_close(found.values.double(), quotients, rtol=1e-4, atol=0)
    assert (found.values.diff() <= 0).all()


def test_the_paper_s_procedure_takes_epsilon_for_the_size_of_its_step():
    hessian = double("parameter", "wide")
    hessian.codes = Codes(hessian.codes.z.float())
    hessian.space.generator.float()
    seen = []
    gradient = hessian.gradient
    hessian.gradient = lambda offset: seen.append(float(offset.norm())) or gradient(offset)
    power(hessian, 2, iterations=3, epsilon=0.05)
    assert seen == pytest.approx([0.05] * 12, rel=1e-4)


SOLVERS = {
    "krylov": krylov,
    "krylov, one by one": lambda hessian, count: krylov(hessian, count, block=1),
    "krylov, by two": lambda hessian, count: krylov(hessian, count, block=2, tolerance=1e-6),
    "power": lambda hessian, count: power(hessian, count, iterations=60),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("rank", [1, 2])
def test_a_hessian_of_low_rank_gives_all_its_eigenpairs_and_no_more(solver, rank):
    hessian, exact = linear(distinct(rank))
    found = SOLVERS[solver](hessian, 12)
    full = 4 * rank  # the second moment of the inputs has rank 4
    torch.testing.assert_close(found.values.double(), torch.linalg.eigvalsh(exact).flip(0)[:full], rtol=1e-3, atol=0)
    assert torch.isfinite(found.residuals).all()
    assert float(found.residuals.max()) < 0.02
    check_orthonormal(found.vectors)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_hessian_of_zero_is_a_failure_that_names_the_space(solver):
    hessian, _ = linear(torch.zeros(1, 48))
    with pytest.raises(Failure, match="No offset of parameter map of generator linear changes its images"):
        SOLVERS[solver](hessian, 3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_no_more_eigenpairs_are_found_than_there_are(solver):
    generator = LinearGenerator(latent_dim=1, side=1)
    codes = generator.sample(range(10), seed=1)
    space = spaces.create(generator, "parameter", "map")
    matrix = torch.diag(torch.tensor([3.0, 1.7, 1.0]))
    found = SOLVERS[solver](PerceptualHessian(space, Quadratic(matrix), codes, Compute()), 64)
    exact = torch.linalg.eigvalsh(generator.hessian(codes, matrix)).flip(0)
    assert len(found.values) == space.shape.numel() == 6
    torch.testing.assert_close(found.values.double(), exact, rtol=1e-3, atol=0)
    check_orthonormal(found.vectors)


@pytest.mark.parametrize("block", [1, 2, 8])
def test_equal_eigenvalues_are_all_found_where_nothing_else_is_left(block):
    hessian, _ = linear()
    hessian.product = lambda vectors: 3 * vectors
    found = krylov(hessian, 12, block=block)
    assert found.values.tolist() == pytest.approx([3.0] * 12)
    check_orthonormal(found.vectors)


def test_too_few_products_for_the_vectors_asked_for_are_refused():
    with pytest.raises(NavbenchError, match="3 Hessian products cannot give 4 eigenvectors") as caught:
        krylov(linear()[0], 4, products=3)
    assert caught.value.exit_code == 2


def test_krylov_is_nearer_at_equal_cost_than_the_paper_s_procedure():
    """As many products as half the gradients: a product is a forward and a backward pass, like a gradient."""
    exact = linear(distinct())[1]
    paper = power(linear(distinct())[0], 4, iterations=10)
    ours = krylov(linear(distinct())[0], 4, products=paper.products // 2, tolerance=0)
    assert ours.products <= paper.products // 2
    top = torch.linalg.eigvalsh(exact).flip(0)[:4]
    assert float((ours.values.double() / top - 1).abs().max()) < float((paper.values.double() / top - 1).abs().max())
    assert float(ours.residuals.max()) < float(paper.residuals.max()) / 10


def test_progress_ends_at_the_total():
    for solve in (krylov, power):
        told = []
        solve(linear(distinct(1))[0], 12, report=lambda done, total, note="", told=told: told.append((done, total)))
        assert told[-1][0] == told[-1][1]
        assert all(done <= total for done, total in told)
