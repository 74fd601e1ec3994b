"""What `laplace` returns, what it costs, how it fails; constraints, missing data, tracing."""

import collections

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace, independent
from elimax.stats.laplace import LaplaceError, LatentGaussianModel, laplace
from elimax.stats.laplace import status as statuses
from elimax.stats.laplace.curvature import Hessian
from elimax.stats.likelihood import Binomial, FromLogDensity, Gaussian, Poisson, StudentT

N, M = 9, 14


def path(n: int) -> ex.SymmetricMatrix:
    D = np.diff(np.eye(n), axis=0)
    return ex.SymmetricMatrix.from_scipy(sp.csc_array(D.T @ D))


def poisson_model(rng, **changes) -> LatentGaussianModel:
    A = np.where(rng.uniform(size=(M, N)) < 0.4, rng.normal(size=(M, N)), 0.0)
    A[:, 0] += 0.3
    parts = {
        "latent": lambda t: jnp.exp(t) * path(N) + ex.SymmetricMatrix.eye(N),
        "design": ex.SparseMatrix.from_dense(A),
        "likelihood": Poisson(),
        "observations": rng.poisson(2.0, M).astype(float),
    }
    return LatentGaussianModel(**(parts | changes))


run = eqx.filter_jit(laplace)


@pytest.mark.parametrize("design", ["identity", "sparse", "empty_rows", "dense"])
def test_hessian_and_quadratic_forms(design, rng):
    Q = path(N) + ex.SymmetricMatrix.eye(N)
    A = None
    dense = np.eye(N)
    if design != "identity":
        keep = {"sparse": 0.3, "empty_rows": 0.1, "dense": 1.0}[design]
        dense = np.where(rng.uniform(size=(M, N)) < keep, rng.normal(size=(M, N)), 0.0)
        A = ex.SparseMatrix.from_dense(dense)
    d = rng.normal(size=dense.shape[0])
    hessian = Hessian.of(Q, A)
    expected = Q.todense() + dense.T @ np.diag(d) @ dense
    H = hessian.at(jnp.asarray(d))
    np.testing.assert_allclose(H.todense(), expected, 1e-12, 1e-12)
    S = rng.normal(size=(N, N))
    S = S + S.T
    on_pattern = ex.SymmetricMatrix.from_dense(S, H.pattern)
    expected = np.einsum("ki,ij,kj->k", dense, S, dense)
    np.testing.assert_allclose(hessian.quadratic_forms(on_pattern), expected, 1e-12, 1e-12)


def test_the_parts_of_an_approximation(rng):
    model = poisson_model(rng, offset=0.3, prior=lambda t: -0.5 * t**2)
    result = run(model, 0.4)
    joint = result.joint
    A, Q = model.design.todense(), joint.field.precision.todense()
    x = np.asarray(result.mode)
    mu = np.exp(0.3 + A @ x)
    np.testing.assert_allclose(A.T @ (np.asarray(model.observations) - mu), Q @ x, 1e-5, 1e-5)
    H = Q + A.T @ np.diag(mu) @ A
    S = np.linalg.inv(H)
    np.testing.assert_allclose(result.variance(), np.diag(S), 1e-10)
    np.testing.assert_allclose(result.predictor, np.log(mu), 1e-12)
    np.testing.assert_allclose(result.predictor_variance(), np.diag(A @ S @ A.T), 1e-10)
    posterior = result.posterior()
    np.testing.assert_allclose(posterior.mean, x)
    np.testing.assert_allclose(posterior.precision.todense(), H, 1e-10, 1e-12)
    np.testing.assert_allclose(result.log_posterior, result.log_marginal - 0.08, 1e-12)
    record = result.record
    assert int(record.status) == 0 and 2 < int(record.iterations) < 12
    assert float(record.decrement) < 1e-12 and float(record.gradient_norm) < 1e-5


def test_a_gaussian_likelihood_is_exact_in_one_iteration(rng):
    model = poisson_model(rng, likelihood=Gaussian(), parameters={"sd": 0.7})
    result = run(model, 0.4)
    A, Q = model.design.todense(), result.joint.field.precision.todense()
    covariance = A @ np.linalg.inv(Q) @ A.T + 0.49 * np.eye(M)
    y = np.asarray(model.observations)
    expected = -0.5 * (
        M * np.log(2 * np.pi)
        + np.linalg.slogdet(covariance)[1]
        + y @ np.linalg.solve(covariance, y)
    )
    np.testing.assert_allclose(result.log_marginal, expected, 1e-12)
    assert int(result.record.iterations) == 1


def icar_with_intercept(edges: ex.SymmetricMatrix, t):
    """Sum-to-zero ICAR and a flat intercept: the Hessian alone is singular, along (1, -1)."""
    n = edges.shape[0]
    constrained = GMRF(0.0, jnp.exp(t) * edges, (jnp.ones((1, n)), None), NullSpace.constant(n))
    flat = GMRF(0.0, ex.SymmetricMatrix.diags(jnp.zeros(1)), null_space=NullSpace.unit(1, [0]))
    return independent(constrained, flat)


def test_intercept_beside_a_sum_to_zero_field(rng):
    """The level that is free in an unconstrained ICAR is the intercept of a constrained one."""
    y = rng.poisson(3.0, N).astype(float)
    R, t = path(N), 0.3
    level_in_field = LatentGaussianModel(
        lambda t: GMRF(0.0, jnp.exp(t) * R, null_space=NullSpace.constant(N)), None, Poisson(), y
    )
    level_apart = LatentGaussianModel(
        lambda t: icar_with_intercept(R, t),
        ex.block([[ex.SparseMatrix.eye(N), ex.SparseMatrix.from_dense(np.ones((N, 1)))]]),
        Poisson(),
        y,
    )

    @eqx.filter_jit
    def both(model, t):
        def f(t):
            result = laplace(model, t)
            return result.log_marginal, result

        return jax.value_and_grad(f, has_aux=True)(t)

    (value, free), slope = both(level_in_field, t)
    (apart, held), slope_apart = both(level_apart, t)
    # x = z + a 1 has volume sqrt(n) da dz, the flat density of x and of a is 1
    np.testing.assert_allclose(value, apart + 0.5 * np.log(N), 1e-11)
    np.testing.assert_allclose(slope, slope_apart, 1e-8)
    np.testing.assert_allclose(held.mode[:N].sum(), 0, atol=1e-12)
    np.testing.assert_allclose(held.predictor, free.predictor, 1e-8, 1e-9)
    np.testing.assert_allclose(held.predictor_variance(), free.predictor_variance(), 1e-8)
    posterior = held.posterior()
    np.testing.assert_allclose(posterior.variance()[-1], held.variance()[-1], 1e-9)
    draws = posterior.sample(jax.random.key(0), (5,))
    np.testing.assert_allclose(draws[:, :N].sum(axis=1), 0, atol=1e-10)


def test_a_start_changes_the_iterations_only(rng):
    model = poisson_model(rng)
    cold = run(model, 0.4)
    warm = run(model, 0.4, cold.mode)
    far = run(model, 0.4, cold.mode + 3 * rng.normal(size=N))
    assert (
        int(warm.record.iterations) == 1 < int(cold.record.iterations) < int(far.record.iterations)
    )
    np.testing.assert_allclose(warm.log_marginal, cold.log_marginal, 1e-13)
    np.testing.assert_allclose(far.log_marginal, cold.log_marginal, 1e-8)


def test_a_likelihood_that_is_not_log_concave(rng):
    """Outliers make the Hessian indefinite on the way; the mode is one nevertheless."""
    y = np.where(rng.uniform(size=N) < 0.4, 30.0, 0.0) + rng.normal(size=N)
    model = LatentGaussianModel(
        lambda t: GMRF(0.0, 0.05 * path(N) + 0.01 * ex.SymmetricMatrix.eye(N)),
        None,
        StudentT(),
        y,
        parameters={"scale": 0.5, "df": 3.0},
    )
    result = run(model, 0.0, jnp.full(N, 15.0))
    assert int(result.status) == 0
    np.testing.assert_allclose(result.joint.gradient(result.mode), 0, atol=1e-5)
    H = result.joint.hessian_at(result.mode).todense()
    assert np.linalg.eigvalsh(H).min() > 0
    # no |D| in the determinant
    field = result.joint.field.log_prob(result.mode) + result.joint.log_likelihood(result.mode)
    expected = field + 0.5 * N * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(H)[1]
    np.testing.assert_allclose(result.log_marginal, expected, 1e-12)


def test_missing_observations_are_predicted_and_nothing_else(rng):
    y = rng.poisson(2.0, M).astype(float)
    gone = np.arange(M) % 3 == 1
    A = np.where(rng.uniform(size=(M, N)) < 0.4, rng.normal(size=(M, N)), 0.0)

    def value(model):
        return eqx.filter_jit(
            jax.value_and_grad(lambda t: laplace(model, t, throw=False).log_marginal)
        )(0.4)

    whole = poisson_model(
        rng,
        design=ex.SparseMatrix.from_dense(A),
        observations=np.where(gone, np.nan, y),
        likelihood=Poisson(np.full(M, 2.0)),
    )
    kept = poisson_model(
        rng,
        design=ex.SparseMatrix.from_dense(A[~gone]),
        observations=y[~gone],
        likelihood=Poisson(2.0),
    )
    np.testing.assert_allclose(value(whole), value(kept), 1e-10)
    assert np.isfinite(run(whole, 0.4).predictor).all()


def test_any_log_density_and_what_it_closes_over(rng):
    """Tracers in the functions of a model are differentiated as hyperparameters are."""
    y = rng.poisson(2.0, M).astype(float)
    model = poisson_model(rng, observations=y)

    def value(scale, shift, by_hand):
        def density(eta, y):
            return scale * y * (eta + shift) - scale * jnp.exp(eta + shift)

        def tilted(eta, y):  # the same, with a Poisson likelihood, when scale is 1
            return Poisson()._kernel(eta + shift, y)

        changed = poisson_model(
            np.random.default_rng(1),
            likelihood=FromLogDensity(density if by_hand else tilted),
            latent=lambda t: jnp.exp(shift) * path(N) + ex.SymmetricMatrix.eye(N),
            observations=y,
        )
        return laplace(changed, 0.0).log_marginal

    gradient = jax.jit(jax.grad(value, argnums=(0, 1)), static_argnums=2)(1.0, 0.2, True)
    h = 1e-5
    plain = jax.jit(value, static_argnums=2)
    expected = (
        (plain(1 + h, 0.2, True) - plain(1 - h, 0.2, True)) / (2 * h),
        (plain(1.0, 0.2 + h, True) - plain(1.0, 0.2 - h, True)) / (2 * h),
    )
    np.testing.assert_allclose(gradient, expected, 1e-6)
    np.testing.assert_allclose(plain(1.0, 0.2, True), plain(1.0, 0.2, False), 1e-12)
    assert model.likelihood.closed(None, None, {}) is model.likelihood


def test_vmap_jit_and_one_compilation(rng):
    model = poisson_model(rng)
    compiled = 0

    def value(t):
        nonlocal compiled
        compiled += 1
        return laplace(model, t).log_marginal

    f = jax.jit(jax.value_and_grad(value))
    thetas = jnp.asarray([-1.0, 0.0, 0.5, 2.0])
    one_by_one = [f(t) for t in thetas]
    assert compiled == 1
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(value)))(thetas)
    np.testing.assert_allclose(values, [v for v, _ in one_by_one], 1e-12)
    np.testing.assert_allclose(gradients, [g for _, g in one_by_one], 1e-8)


def test_a_gradient_costs_what_it_must(rng):
    """One selected inverse for H and one for Q; factorizations: of Q, and in Newton's loop."""
    model = poisson_model(rng)
    jaxpr = jax.make_jaxpr(jax.value_and_grad(lambda t: laplace(model, t).log_marginal))(0.4)
    count = collections.Counter(primitives(jaxpr.jaxpr))
    assert count["elimax_cholesky"] == 2
    assert count["elimax_inverse_gradient"] == 2
    assert count["elimax_logdet"] == 2
    # one in the loop, one for the implicit derivative
    assert count["elimax_solve"] == 2


def primitives(jaxpr):
    for equation in jaxpr.eqns:
        yield str(equation.primitive)
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from primitives(inner)


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_fields(n):
    y = np.arange(1.0, n + 1)
    model = LatentGaussianModel(lambda t: t * ex.SymmetricMatrix.eye(n), None, Poisson(), y)
    result = run(model, 2.0)

    def one(y):  # by Laplace's formula, in one dimension
        x = 0.0
        for _ in range(50):
            x += (y - np.exp(x) - 2 * x) / (np.exp(x) + 2)
        factorial = np.cumsum(np.log(np.arange(1.0, y + 1)))[-1]
        return y * x - np.exp(x) - factorial - x**2 + 0.5 * np.log(2 / (np.exp(x) + 2))

    np.testing.assert_allclose(result.log_marginal, sum(map(one, y)), 1e-9)


def test_single_precision(rng):
    y = rng.poisson(3.0, 60).astype(np.float32)
    Q = (path(60) + 0.3 * ex.SymmetricMatrix.eye(60)).astype(np.float32)
    model = LatentGaussianModel(lambda t: t * Q, None, Poisson(), y)
    value, gradient = jax.jit(jax.value_and_grad(lambda t: laplace(model, t).log_marginal))(
        np.float32(1.5)
    )
    double = LatentGaussianModel(lambda t: t * Q.astype(float), None, Poisson(), y.astype(float))
    expected = jax.jit(jax.value_and_grad(lambda t: laplace(double, t).log_marginal))(1.5)
    assert value.dtype == np.float32
    np.testing.assert_allclose((value, gradient), expected, 2e-4)


def test_failures_are_told(rng):
    def status_of(model, *arguments, **options):
        result = run(model, *arguments, throw=False, **options)
        assert np.isnan(result.log_marginal) and np.isnan(result.mode).all()
        return int(result.status)

    model = poisson_model(rng)
    assert status_of(model, 0.4, max_iterations=2) == statuses.NOT_CONVERGED
    assert status_of(model, 0.4, jnp.full(N, 1e6)) == statuses.NOT_FINITE
    negative = poisson_model(rng, latent=lambda t: -t * ex.SymmetricMatrix.eye(N))
    assert status_of(negative, 0.4) in (statuses.INDEFINITE, statuses.PRIOR_FAILED)
    # a level that no observation sees
    improper = LatentGaussianModel(
        lambda t: GMRF(0.0, path(N), null_space=NullSpace.constant(N)),
        None,
        Poisson(),
        np.full(N, np.nan),
    )
    assert status_of(improper, 0.0) == statuses.INDEFINITE
    with pytest.raises(LaplaceError, match="improper") as caught:
        laplace(improper, 0.0)
    assert caught.value.status == statuses.INDEFINITE
    outside = poisson_model(rng, likelihood=Gaussian(), parameters={"sd": np.nan})
    assert status_of(outside, 0.0) == statuses.NOT_FINITE


def test_a_gradient_of_a_failure_is_nan(rng):
    model = poisson_model(rng)
    gradient = jax.jit(jax.grad(lambda t: laplace(model, t, max_iterations=1).log_marginal))(0.4)
    assert np.isnan(gradient)


def test_arguments_are_checked(rng):
    model = poisson_model(rng)
    with pytest.raises(TypeError, match="`model`"):
        laplace(lambda t: t, 0.0)
    with pytest.raises(ValueError, match="`start`"):
        laplace(model, 0.0, np.zeros(3))
    with pytest.raises(ValueError, match="`max_iterations`"):
        laplace(model, 0.0, max_iterations=0)
    with pytest.raises(ValueError, match="`tolerance`"):
        laplace(model, 0.0, tolerance=-1.0)
    with pytest.raises(ValueError, match="`design`"):
        laplace(poisson_model(rng, design=None), 0.0)
    with pytest.raises(TypeError, match="`design`"):
        poisson_model(rng, design=np.eye(3))
    with pytest.raises(TypeError, match="`likelihood`"):
        poisson_model(rng, likelihood="poisson")
    with pytest.raises(TypeError, match="`latent`"):
        poisson_model(rng, latent=np.eye(N))
    with pytest.raises(TypeError, match="`latent`"):
        laplace(poisson_model(rng, latent=lambda t: np.eye(N)), 0.0)
    with pytest.raises(ValueError, match="`observations`"):
        poisson_model(rng, observations=np.ones((3, 2)))
    with pytest.raises(ValueError, match="`offset`"):
        laplace(poisson_model(rng, offset=np.ones(3)), 0.0)
    with pytest.raises(TypeError, match="takes sd"):
        laplace(poisson_model(rng, likelihood=Gaussian()), 0.0)
    with pytest.raises(ValueError, match="`prior`"):
        laplace(poisson_model(rng, prior=lambda t: np.ones(2)), 0.0)


def test_binary_data_against_quadrature():
    """One latent value per observation: the approximation is close to the integral, and not equal."""
    model = LatentGaussianModel(
        lambda t: t * ex.SymmetricMatrix.eye(2), None, Binomial(20.0), np.array([3.0, 15.0])
    )
    x, w = np.polynomial.hermite_e.hermegauss(80)
    d = Binomial(20.0)
    p = [w @ np.exp(d.log_prob(x, jnp.full(80, y))) / np.sqrt(2 * np.pi) for y in (3.0, 15.0)]
    np.testing.assert_allclose(run(model, 1.0).log_marginal, np.log(p).sum(), 0.01)
