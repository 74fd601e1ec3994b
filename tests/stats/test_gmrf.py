"""Gaussian Markov random fields beside dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import elimax as ex
from elimax.stats import GMRF, NullSpace, independent

from ..derivatives import assert_same_derivatives
from ..helpers import assert_close, dense, spd, stored
from . import subspace


def _besag(n, rng):
    Q, _ = subspace.laplacian(n, rng)
    return Q, ex.SymmetricMatrix.from_dense(Q), NullSpace.constant(n)


def test_a_proper_density_is_that_of_scipy(rng):
    S = spd("small").toarray()
    m, x = rng.normal(size=(2, 12))
    field = GMRF(m, ex.SymmetricMatrix.from_dense(S))
    reference = scipy.stats.multivariate_normal(m, np.linalg.inv(S))
    assert_close(field.log_prob(x), reference.logpdf(x), 1e-12)
    assert_close(field.entropy(), reference.entropy(), 1e-12)
    assert_close(field.variance(), np.diag(reference.cov), 1e-12)
    X = rng.normal(size=(3, 12))
    assert_close(jax.vmap(field.log_prob)(X), reference.logpdf(X), 1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_constrained_densities(k, rng):
    n = 12
    S = spd("small").toarray()
    A, e, m = rng.normal(size=(k, n)), rng.normal(size=k), rng.normal(size=n)
    field = GMRF(m, ex.SymmetricMatrix.from_dense(S), (A, e))
    assert_close(A @ field.mean, e, 1e-12)
    assert_close(field.mean, subspace.bordered(S, A, S @ m, e), 1e-10)
    x = field.sample(jax.random.key(1), (2,))
    assert_close(x @ A.T, np.broadcast_to(e, (2, k)), 1e-10)
    assert_close(field.log_prob(x[0]), subspace.log_density(S, A, x[0], field.mean), 1e-11)
    assert_close(field.variance(), np.diag(subspace.moments(S, A)[1]), 1e-11)


@pytest.mark.parametrize("k", [1, 3])
def test_intrinsic_densities(k, rng):
    n = 12
    Q, matrix, space = _besag(n, rng)
    A = rng.normal(size=(k, n))
    e = rng.normal(size=k)
    field = GMRF(0.0, matrix, (A, e), space)
    assert field.is_proper and field.rank == n - k and field.status() == 0
    assert_close(A @ field.mean, e, 1e-12)
    x = field.sample(jax.random.key(1))
    # Mean and density, on the subspace: the mean minimizes, whatever the level
    assert_close(field.log_prob(x), subspace.log_density(Q, A, np.asarray(x), field.mean), 1e-10)
    assert_close(field.mean, subspace.bordered(Q, A, np.zeros(n), e), 1e-10)


@pytest.mark.parametrize("k", [0, 1])
def test_improper_densities(k, rng):
    """An RW2 that has a level and a slope, or a slope only."""
    n = 20
    R, space = subspace.difference_structure(n, 2)
    A = np.ones((k, n))
    field = GMRF(0.0, 3.0 * R, (A, None) if k else None, space)
    assert not field.is_proper and field.rank == n - 2
    x = rng.normal(size=n)
    x = x - k * x.mean()
    logdet = subspace.pseudo_logdet(3.0 * np.asarray(R.todense()), A, n - 2)
    quadratic = 3.0 * x @ R.todense() @ x
    expected = 0.5 * (logdet - (n - 2) * np.log(2 * np.pi) - quadratic)
    assert_close(field.log_prob(x), expected, 1e-9)
    assert_close(field.log_prob(x + 5 * np.linspace(-1, 1, n)), expected, 1e-9)
    for call in (field.entropy, field.variance, lambda: field.sample(jax.random.key(0))):
        with pytest.raises(ValueError, match="the field is improper"):
            call()


def test_a_mean_on_an_improper_subspace(rng):
    n = 10
    R, space = subspace.difference_structure(n, 2)
    m = rng.normal(size=n)
    field = GMRF(m, R, (np.ones((1, n)), np.array([4.0])), space)
    assert_close(field.mean.sum(), 4.0, 1e-12)
    assert_close(R @ field.mean, R @ m, 1e-10)


def test_independent_fields(rng):
    n = 8
    _, matrix, space = _besag(n, rng)
    first = GMRF(0.0, matrix, (np.ones((1, n)), None), space)
    second = GMRF(rng.normal(size=12), ex.SymmetricMatrix.from_scipy(spd("small")))
    R, trend = subspace.difference_structure(6, 2)
    third = GMRF(1.0, R, None, trend)
    both = independent(first, second, third)
    assert both.n == 26 and both.rank == 7 + 12 + 4 and both.n_constraints == 1
    x = rng.normal(size=26)
    parts = first.log_prob(x[:8]) + second.log_prob(x[8:20]) + third.log_prob(x[20:])
    assert_close(both.log_prob(x), parts, 1e-11)
    proper = independent(second.precision, first)
    variances = [GMRF(0.0, second.precision).variance(), first.variance()]
    assert_close(proper.variance(), np.concatenate(variances), 1e-10)
    assert independent(second).precision.nnz == second.precision.nnz
    with pytest.raises(ValueError, match="at least one"):
        independent()
    with pytest.raises(TypeError, match="expected a GMRF or a SymmetricMatrix, got int"):
        independent(3)


def test_derivatives_of_a_proper_density(rng):
    S = spd("small")
    n = S.shape[0]
    M = ex.SymmetricMatrix.from_scipy(S)
    A, e = jnp.asarray(rng.normal(size=(2, n))), jnp.asarray(rng.normal(size=2))
    v, m, x = jnp.asarray(stored(S)), *jnp.asarray(rng.normal(size=(2, n)))

    def sparse(v, m, A, e, x):
        field = GMRF(m, M.with_values(v), (A, e))
        return jnp.concatenate([field.log_prob(x)[None], field.mean])

    def oracle(v, m, A, e, x):
        H = dense(S, v)
        V = jnp.linalg.inv(H)
        P = A @ V @ A.T
        mean = m + V @ A.T @ jnp.linalg.solve(P, e - A @ m)
        logdet = jnp.linalg.slogdet(H)[1] + jnp.linalg.slogdet(P)[1]
        logdet = logdet - jnp.linalg.slogdet(A @ A.T)[1]
        d = x - mean
        density = 0.5 * (logdet - (n - 2) * jnp.log(2 * jnp.pi) - d @ H @ d)
        return jnp.concatenate([density[None], mean])

    assert_same_derivatives(sparse, oracle, (v, m, A, e, x), rng, 1e-8)


def test_derivatives_of_an_intrinsic_density(rng):
    n = 10
    Q, matrix, space = _besag(n, rng)
    B = subspace.basis_of(np.ones((1, n)), n)
    tau, m, x = jnp.asarray(2.0), *jnp.asarray(rng.normal(size=(2, n)))

    def sparse(tau, m, e, x):
        field = GMRF(m, tau * matrix, (np.ones((1, n)), e), space)
        draw = field.sample(jax.random.key(3))
        spread = jnp.sum((draw - field.mean) ** 2)
        variance = jnp.sum(field.variance())
        return jnp.stack([field.log_prob(x), variance, field.entropy(), spread, field.mean @ x])

    first = GMRF(0.0, matrix, (np.ones((1, n)), None), space).sample(jax.random.key(3))

    def oracle(tau, m, e, x):
        H = tau * B.T @ Q @ B
        mean = m + (e[0] - m.sum()) / n
        logdet = jnp.linalg.slogdet(H)[1]
        d = x - mean
        constant = (n - 1) * jnp.log(2 * jnp.pi)
        density = 0.5 * (logdet - constant - tau * d @ Q @ d)
        entropy = 0.5 * (n - 1 + constant - logdet)
        spread = jnp.sum(first**2) / tau
        variance = jnp.trace(jnp.linalg.inv(H))
        return jnp.stack([density, variance, entropy, spread, mean @ x])

    e = jnp.asarray(rng.normal(size=1))
    assert_same_derivatives(sparse, oracle, (tau, m, e, x), rng, 1e-8)


def test_fields_are_pytrees(rng):
    _, matrix, space = _besag(9, rng)
    field = GMRF(0.0, matrix, (np.ones((1, 9)), None), space)
    leaves, tree = jax.tree.flatten(field)
    assert len(leaves) == 4
    again = jax.tree.unflatten(tree, leaves)
    x = rng.normal(size=9)
    assert jax.jit(lambda f, x: f.log_prob(x))(again, x) == pytest.approx(field.log_prob(x))
    batch = jax.vmap(lambda tau: GMRF(0.0, tau * matrix, (np.ones((1, 9)), None), space))(
        jnp.array([1.0, 2.0])
    )
    values = jax.vmap(lambda f: f.log_prob(x))(batch)
    assert_close(values[0], field.log_prob(x), 1e-12)
    assert repr(field) == (
        f"GMRF(n=9, nnz={matrix.nnz}, dtype=float64, null_space of rank 1, 1 constraint)"
    )
    with pytest.raises(AttributeError, match="immutable"):
        field.mean = x


def test_new_parameters_do_not_compile_again(rng):
    _, matrix, space = _besag(9, rng)
    traced = []

    @jax.jit
    def log_prob(tau, x):
        traced.append(tau)
        return GMRF(0.0, tau * matrix, (np.ones((1, 9)), None), space).log_prob(x)

    x = rng.normal(size=9)
    assert log_prob(1.0, x) != log_prob(2.0, x)
    assert len(traced) == 1


def test_failures_are_values(rng):
    _, matrix, space = _besag(9, rng)
    x = rng.normal(size=9)
    indefinite = GMRF(0.0, -1.0 * matrix, None, space)
    assert indefinite.status() > 0 and np.isnan(indefinite.log_prob(x))
    undeclared = GMRF(0.0, matrix)  # singular
    assert undeclared.status() > 0 and np.isnan(undeclared.log_prob(x))
    assert np.isnan(undeclared.sample(jax.random.key(0))).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, np.eye(3)), TypeError, "`precision` must be a real SymmetricMatrix, got ndarray"),
        ((np.zeros(2), ex.SymmetricMatrix.eye(3)), ValueError, "`mean` must be a scalar or have"),
        (
            (0.0, ex.SymmetricMatrix.eye(3), None, NullSpace.constant(2)),
            ValueError,
            "`null_space` is one of 2 elements, but the field has 3",
        ),
        (
            (
                0.0,
                ex.SymmetricMatrix.eye(3),
                (np.array([[1.0, -1.0, 0.0]]), None),
                NullSpace.constant(3),
            ),
            ValueError,
            "on the null space of rank 1 the 1 rows of A have a rank below 1",
        ),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error) as raised:
        GMRF(*arguments)
    assert message in str(raised.value)


def test_the_shape_of_x_is_checked():
    with pytest.raises(ValueError, match=r"`x` must have shape \(3,\), got \(2, 3\)"):
        GMRF(0.0, ex.SymmetricMatrix.eye(3)).log_prob(np.zeros((2, 3)))


def test_one_element_and_single_precision():
    one = GMRF(1.0, ex.SymmetricMatrix.from_dense(np.array([[4.0]])))
    assert_close(one.log_prob(np.array([1.5])), scipy.stats.norm(1, 0.5).logpdf(1.5), 1e-14)
    held = GMRF(1.0, one.precision, (np.array([[2.0]]), np.array([6.0])))
    assert held.rank == 0 and held.mean == 3.0 and held.variance() == 0.0
    R, space = subspace.difference_structure(20, 1)
    field = GMRF(0.0, R.astype(np.float32), (np.ones((1, 20)), None), space)
    for result in (field.log_prob(field.mean), field.variance(), field.sample(jax.random.key(0))):
        assert result.dtype == np.float32
