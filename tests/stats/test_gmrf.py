"""Gaussian Markov random fields beside dense algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import elimax as ex
from elimax.stats import GMRF, NullSpace, independent

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

    subspace.assert_both_modes(sparse, oracle, (v, m, A, e, x), rng, 1e-8)


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
    subspace.assert_both_modes(sparse, oracle, (tau, m, e, x), rng, 1e-8)


# ---------------------------------------------------------------------------------------------
# Given something


def _mix(n, m, rng):
    """A sparse design: two elements a row."""
    rows = np.repeat(np.arange(m), 2)
    columns = np.concatenate([rng.choice(n, 2, replace=False) for _ in range(m)])
    return ex.SparseMatrix.from_coo(rows, columns, rng.normal(size=2 * m), (m, n))


@pytest.mark.parametrize("k", [0, 1, 2])
def test_conditioning_on_data(k, rng):
    n, m = 12, 7
    S = spd("small").toarray()
    M, A = rng.normal(size=(k, n)), _mix(n, m, rng)
    mean, D = rng.normal(size=n), rng.uniform(1, 2, m)
    constraints = (M, rng.normal(size=k)) if k else None
    field = GMRF(mean, ex.SymmetricMatrix.from_dense(S), constraints)
    y = rng.normal(size=m)
    posterior = field.condition(A, y, D)
    B = subspace.basis_of(M, n)
    prior = B @ np.linalg.inv(B.T @ S @ B) @ B.T
    design = np.asarray(A.todense())
    C = design @ prior @ design.T + np.diag(1 / D)
    gain = prior @ design.T @ np.linalg.inv(C)
    assert_close(posterior.mean, field.mean + gain @ (y - design @ field.mean), 1e-10)
    assert_close(posterior.variance(), np.diag(prior - gain @ design @ prior), 1e-10)
    evidence = scipy.stats.multivariate_normal(design @ field.mean, C).logpdf(y)
    assert_close(field.log_evidence(A, y, D), evidence, 1e-10)
    scalar, vector = field.condition(A, y, 2.0), field.condition(A, y, np.full(m, 2.0))
    assert_close(scalar.variance(), vector.variance(), 1e-14)


def test_data_resolve_a_null_space(rng):
    n, m = 12, 9
    Q, matrix, space = _besag(n, rng)
    A, y = _mix(n, m, rng), rng.normal(size=m)
    design = np.asarray(A.todense())
    H = Q + 3.0 * design.T @ design
    free = GMRF(0.0, matrix, None, space)
    posterior = free.condition(A, y, 3.0)
    assert posterior.is_proper and posterior.null_space is None
    assert_close(posterior.mean, np.linalg.solve(H, 3.0 * design.T @ y), 1e-9)
    assert_close(posterior.variance(), np.diag(np.linalg.inv(H)), 1e-9)
    # The evidence is the integral of the rank-deficient density: with a level of variance v it is that of a
    # proper field, times its density at zero.
    v = 1e5
    N = space.orthonormal
    cov = np.linalg.pinv(Q) + v * N @ N.T
    proper = scipy.stats.multivariate_normal(np.zeros(m), design @ cov @ design.T + np.eye(m) / 3)
    expected = proper.logpdf(y) + 0.5 * np.log(2 * np.pi * v)
    assert_close(free.log_evidence(A, y, 3.0), expected, 1e-4)
    # Under constraints, differences are data enough.
    difference = ex.SparseMatrix.from_coo([0, 0], [1, 4], [1.0, -1.0], (1, n))
    held = GMRF(0.0, matrix, (np.ones((1, n)), None), space)
    seen = held.condition(difference, np.array([2.0]), 5.0)
    d = np.asarray(difference.todense())
    _, V = subspace.moments(Q + 5.0 * d.T @ d, np.ones((1, n)))
    assert_close(seen.variance(), np.diag(V), 1e-9)
    assert_close(seen.mean, V @ d.T[:, 0] * 10.0, 1e-9)
    again = seen.condition(difference, np.array([2.0]), 5.0)
    assert_close(again.mean, held.condition(difference, np.array([2.0]), 10.0).mean, 1e-9)
    both = independent(seen, held)
    assert_close(both.variance(), np.concatenate([seen.variance(), held.variance()]), 1e-9)
    with pytest.raises(ValueError, match="does not go with an improper one"):
        independent(seen, free)
    # ... and without, they are not: a status, no number.
    unresolved = free.condition(difference, np.array([2.0]), 5.0)
    assert unresolved.status() != 0 and np.isnan(unresolved.mean).all()


def test_constraints_come_one_after_the_other(rng):
    n = 12
    S = ex.SymmetricMatrix.from_dense(spd("small").toarray())
    A, e, m = rng.normal(size=(3, n)), rng.normal(size=3), rng.normal(size=n)
    at_once = GMRF(m, S, (A, e))
    slowly = GMRF(m, S).constrain(A[:1], e[:1]).constrain(A[1:], e[1:])
    assert_close(slowly.mean, at_once.mean, 1e-11)
    assert_close(slowly.variance(), at_once.variance(), 1e-11)
    x = at_once.sample(jax.random.key(0))
    assert_close(slowly.log_prob(x), at_once.log_prob(x), 1e-11)
    # p(x | A x = e) = p(x) / p(A x = e), up to the volume of A: Rue and Held (2005), section 2.3.3
    cov = A @ np.linalg.inv(spd("small").toarray()) @ A.T
    marginal = scipy.stats.multivariate_normal(A @ m, cov).logpdf(e)
    volume = 0.5 * np.linalg.slogdet(A @ A.T)[1]
    assert_close(at_once.log_prob(x), GMRF(m, S).log_prob(x) - marginal - volume, 1e-10)
    assert GMRF(m, S).constrain(np.zeros((0, n))).constraints is None


@pytest.mark.parametrize("k", [0, 1, 2])
def test_divergence_and_entropy(k, rng):
    n = 12
    Q1, Q2 = spd("small").toarray(), 0.5 * spd("small").toarray() + np.eye(n)
    A = rng.normal(size=(k, n))
    m1, m2 = rng.normal(size=(2, n))
    e = rng.normal(size=k)
    pair = (A, e) if k else None
    f, g = (GMRF(m, ex.SymmetricMatrix.from_dense(Q), pair) for m, Q in ((m1, Q1), (m2, Q2)))
    B = subspace.basis_of(A, n)
    H1, H2 = B.T @ Q1 @ B, B.T @ Q2 @ B
    d = B.T @ (f.mean - g.mean)
    logdets = np.linalg.slogdet(H1)[1] - np.linalg.slogdet(H2)[1]
    expected = 0.5 * (np.trace(H2 @ np.linalg.inv(H1)) + d @ H2 @ d - (n - k) + logdets)
    assert_close(f.kl(g), expected, 1e-10)
    assert abs(f.kl(f)) < 1e-10
    entropy = scipy.stats.multivariate_normal(np.zeros(n - k), np.linalg.inv(H1)).entropy()
    assert_close(f.entropy(), entropy, 1e-11)
    with pytest.raises(ValueError, match="both must live on one subspace"):
        f.kl(f.constrain(np.eye(n)[3:4]))
    with pytest.raises(TypeError, match="`other` must be a GMRF"):
        f.kl(3)


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("design", ["inside", "fill", "solves", "dense"])
def test_predictions(design, constrained, rng):
    S = spd("tridiagonal" if design == "solves" else "grid_2d").toarray()
    n = len(S)
    pair = (rng.normal(size=(1, n)), np.ones(1)) if constrained else None
    field = GMRF(rng.normal(size=n), ex.SymmetricMatrix.from_dense(S), pair)
    if design == "inside":  # pairs of neighbors
        i, j = np.nonzero(np.triu(S, 1))
        m = i.size
        weights = rng.normal(size=2 * m)
        A = ex.SparseMatrix.from_coo(np.tile(np.arange(m), 2), np.r_[i, j], weights, (m, n))
    elif design == "fill":
        A = _mix(n, 400, rng)
    else:  # rows that touch everything
        A = ex.SparseMatrix.from_dense(rng.normal(size=(70 if design == "solves" else 3, n)))
    dense_A = np.asarray(A.todense())
    mean, variance = field.predict(A if design != "dense" else dense_A)
    _, V = subspace.moments(S, pair[0] if constrained else None)
    assert_close(mean, dense_A @ field.mean, 1e-10)
    assert_close(variance, np.diag(dense_A @ V @ dense_A.T), 1e-10)


def test_covariances_anywhere(rng):
    S = spd("grid_2d").toarray()
    n = len(S)
    A = rng.normal(size=(2, n))
    _, V = subspace.moments(S, A)
    field = GMRF(0.0, ex.SymmetricMatrix.from_dense(S), (A, None))
    far = ex.Pattern.from_coo([n - 1, 5, 30], [0, 5, 2], (n, n), symmetric=True)
    for pattern in (None, far):
        C = field.covariance(pattern)
        assert C.pattern == (pattern or field.precision.pattern)
        assert_close(C.values, V[C.pattern.rows, C.pattern.columns], 1e-10)
    with pytest.raises(ValueError, match="must be a symmetric Pattern|must be symmetric"):
        field.covariance(ex.Pattern.dense((n, n)))


@pytest.mark.slow
def test_derivatives_of_what_is_given(rng):
    S = spd("small")
    n, m = S.shape[0], 5
    M = ex.SymmetricMatrix.from_scipy(S)
    A, C = _mix(n, m, rng), rng.normal(size=(1, n))

    def sparse(v, mean, e, a, y, D):
        field, design = GMRF(mean, M.with_values(v)).constrain(C, e), A.with_values(a)
        posterior = field.condition(design, y, D)
        parts = [
            posterior.mean,
            posterior.variance(),
            posterior.predict(design)[1],
            posterior.kl(field)[None],
            field.log_evidence(design, y, D)[None],
        ]
        return jnp.concatenate(parts)

    def oracle(v, mean, e, a, y, D):
        Q, design = dense(S, v), A.with_values(a).todense()

        def moments(H):
            V = jnp.linalg.inv(H)
            return V - V @ C.T @ jnp.linalg.solve(C @ V @ C.T, C @ V)

        V = jnp.linalg.inv(Q)
        prior, post = moments(Q), moments(Q + design.T @ (D[:, None] * design))
        center = mean + V @ C.T @ jnp.linalg.solve(C @ V @ C.T, e - C @ mean)
        r = y - design @ center
        step = post @ design.T @ (D * r)
        K = design @ prior @ design.T + jnp.diag(1 / D)
        evidence = -0.5 * (jnp.linalg.slogdet(2 * np.pi * K)[1] + r @ jnp.linalg.solve(K, r))
        B = subspace.basis_of(C, n)
        H1, H2 = B.T @ (Q + design.T @ (D[:, None] * design)) @ B, B.T @ Q @ B
        logdets = jnp.linalg.slogdet(H1)[1] - jnp.linalg.slogdet(H2)[1]
        kl = 0.5 * (jnp.trace(jnp.linalg.solve(H1, H2)) + step @ Q @ step - (n - 1) + logdets)
        seen = jnp.diagonal(design @ post @ design.T)
        parts = [center + step, jnp.diagonal(post), seen, kl[None], evidence[None]]
        return jnp.concatenate(parts)

    x = (stored(S), rng.normal(size=n), rng.normal(size=1), A.values)
    x = (*x, rng.normal(size=m), rng.uniform(1, 2, m))
    subspace.assert_both_modes(sparse, oracle, x, rng, 1e-8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f.condition("A", 0, 1), TypeError, "`A` must be a SparseMatrix or an array"),
        (lambda f: f.condition(np.eye(2), np.zeros(2), 1), ValueError, "must have 3 columns"),
        (lambda f: f.condition(np.eye(3), np.zeros(2), 1), ValueError, "`y` must have one element"),
        (
            lambda f: f.condition(np.eye(3), np.zeros(3), np.ones(2)),
            ValueError,
            "`noise_precision`",
        ),
        (lambda f: f.predict(np.eye(4)), ValueError, "predict: `A` must have 3 columns"),
        (lambda f: f.constrain(np.eye(4)), ValueError, "A must have shape (k, 3)"),
    ],
)
def test_what_is_given_is_checked(call, error, message):
    with pytest.raises(error) as raised:
        call(GMRF(0.0, ex.SymmetricMatrix.eye(3)))
    assert message in str(raised.value)


# ---------------------------------------------------------------------------------------------
# As part of programs


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
            (0.0, ex.SymmetricMatrix.eye(3), None, NullSpace.constant(3)),
            ValueError,
            "`null_space`: the precision does not annihilate vector 0 of its basis",
        ),
        (
            (
                0.0,
                ex.SymmetricMatrix.from_dense(np.eye(3) - 1 / 3),
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


def test_a_constant_precision_inside_of_a_trace(rng):
    """Its null space is looked at there, too."""
    _, matrix, space = _besag(9, rng)
    x = rng.normal(size=9)

    def density(mean, space):
        return GMRF(mean, matrix, None, space).log_prob(x)

    value = jax.jit(lambda mean: density(mean, space))(0.5)
    np.testing.assert_allclose(value, density(0.5, space), rtol=1e-12)
    with pytest.raises(ValueError, match="does not annihilate"):
        jax.jit(lambda mean: density(mean, NullSpace.unit(9, [0])))(0.5)


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


def test_divergence_from_another_subspace_is_infinite():
    Q = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    n = Q.shape[0]
    A = np.random.default_rng(0).normal(size=(2, n))
    f = GMRF(0.0, Q, (A, np.ones(2)))
    mixed = np.array([[2.0, 1.0], [1.0, -1.0]])  # the same rows, otherwise combined
    assert abs(f.kl(GMRF(0.0, Q, (mixed @ A, mixed @ np.ones(2))))) < 1e-9
    assert f.kl(GMRF(0.0, Q, (A, np.array([1.0, 1.5])))) == np.inf
    assert f.kl(GMRF(0.0, Q, (A + np.eye(2, n), np.ones(2)))) == np.inf


def test_missing_observations_say_nothing():
    Q = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    n = Q.shape[0]
    A, y = np.eye(n)[:3], np.array([1.0, np.nan, -2.0])
    field, D = GMRF(0.3, Q), np.array([2.0, 3.0, 4.0])
    there = ~np.isnan(y)
    found, wanted = field.condition(A, y, D), field.condition(A[there], y[there], D[there])
    assert_close(found.mean, wanted.mean, 1e-12)
    assert_close(found.variance(), wanted.variance(), 1e-12)
    assert_close(
        field.log_evidence(A, y, D), field.log_evidence(A[there], y[there], D[there]), 1e-12
    )


def test_precisions_of_noise_are_positive():
    field = GMRF(0.0, ex.SymmetricMatrix.eye(3))
    for wrong in (-0.5, 0.0, np.nan, np.array([1.0, -2.0, 1.0])):
        with pytest.raises(ValueError, match="`noise_precision` must be positive: element"):
            field.condition(np.eye(3), np.ones(3), wrong)
    traced = jax.jit(lambda d: field.condition(np.eye(3), np.ones(3), d).mean)(-0.5)
    assert np.isnan(traced).all()


def test_a_mean_that_is_not_finite_has_a_status():
    assert GMRF(np.nan, ex.SymmetricMatrix.eye(3)).status() == -1
    assert GMRF(0.5, ex.SymmetricMatrix.eye(3)).status() == 0
