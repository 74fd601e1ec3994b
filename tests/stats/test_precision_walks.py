"""Fields on a line: random walks, seasons, autoregressions; closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import elimax as ex
from elimax.stats import precision

from ..helpers import assert_close
from . import subspace


def _logdet(family, *parameters):
    return family.field(*parameters, constrained=False).restricted().logdet()


def test_determinants_in_closed_form():
    n = 50
    # One spanning tree of a path, n of a circle (Rue and Held 2005, section 3.3.1).
    assert_close(_logdet(precision.rw1(n), 2.0), (n - 1) * np.log(2.0) + np.log(n), 1e-12)
    assert_close(_logdet(precision.rw1(n, cyclic=True), 1.0), 2 * np.log(n), 1e-12)
    # Eigenvalues of the cyclic RW2 are squares of those of the cyclic RW1.
    assert_close(_logdet(precision.rw2(366, cyclic=True), 1.0), 4 * np.log(366), 1e-9)
    # |D D'| of second differences: n^2 (n^2 - 1) / 12
    assert_close(_logdet(precision.rw2(100), 1.0), np.log(100**2 * (100**2 - 1) / 12), 1e-9)
    assert_close(_logdet(precision.iid(7), 3.0), 7 * np.log(3.0), 1e-13)
    rho = 0.7
    innovation = precision.ar1(n, by="innovation")
    assert_close(ex.logdet(innovation(rho, 1.0)), np.log(1 - rho**2), 1e-12)


@pytest.mark.parametrize("cyclic", [False, True])
@pytest.mark.parametrize("builder", [precision.rw1, precision.rw2])
def test_walks_have_their_null_space(builder, cyclic):
    for positions in (8, np.array([0.0, 1.0, 1.5, 4.0, 4.2, 7.0, 9.0])):
        walk = builder(positions, cyclic)
        R = np.asarray(walk(1.0).todense())
        scale = abs(R).max()
        assert abs(R @ walk.null_space.orthonormal).max() < 1e-13 * scale
        eigenvalues = np.linalg.eigvalsh(R)
        assert walk.rank == np.sum(eigenvalues > 1e-9 * scale)
        assert eigenvalues[0] > -1e-12 * scale
        assert walk.null_space.rank == (1 if cyclic or builder is precision.rw1 else 2)


def test_walks_are_what_they_say(rng):
    t = np.array([0.0, 1.0, 1.5, 4.0, 4.2])
    x, d = rng.normal(size=5), np.diff(t)
    R1, R2 = precision.rw1(t)(3.0), precision.rw2(t)(3.0)
    assert_close(x @ (R1 @ x), 3.0 * np.sum(np.diff(x) ** 2 / d), 1e-12)
    turns = np.diff(np.diff(x) / d)
    assert_close(x @ (R2 @ x), 3.0 * np.sum(turns**2 / ((d[1:] + d[:-1]) / 2)), 1e-12)
    D = np.diff(np.eye(9), 2, axis=0)
    assert_close(precision.rw2(9)(2.0).todense(), 2 * D.T @ D, 1e-13)
    assert_close(precision.rw2(np.arange(9.0))(2.0).todense(), 2 * D.T @ D, 1e-13)
    circle = scipy.linalg.circulant([6.0, -4, 1, 0, 0, 0, 1, -4])
    assert_close(precision.rw2(8, cyclic=True)(1.0).todense(), circle, 1e-13)
    # Around a circle it makes no difference where it is cut.
    whole = precision.rw2(np.array([0.0, 1.0, 3.0, 6.0]), cyclic=True, period=10.0)(1.0).todense()
    turned = precision.rw2(np.array([0.0, 2.0, 5.0, 9.0]), cyclic=True, period=10.0)(1.0).todense()
    order = [1, 2, 3, 0]
    assert_close(whole[np.ix_(order, order)], turned, 1e-12)


def test_seasons(rng):
    season = precision.seasonal(12, 4)
    x = rng.normal(size=12)
    sums = np.convolve(x, np.ones(4), "valid")
    assert_close(x @ (season(2.0) @ x), 2.0 * np.sum(sums**2), 1e-12)
    R = np.asarray(season(1.0).todense())
    assert abs(R @ season.null_space.basis).max() < 1e-13 and season.null_space.rank == 3
    expected = subspace.pseudo_logdet(R, None, 9)
    assert_close(_logdet(season, 1.0), expected, 1e-10)
    assert precision.seasonal(3, 3).rank == 1


def test_scaled_walks_have_typical_variance_one():
    for walk in (precision.rw1(20, scale=True), precision.rw2(20, scale=True)):
        assert_close(np.exp(np.mean(np.log(walk.field(1.0).variance()))), 1.0, 1e-9)


@pytest.mark.parametrize("n", [1, 2, 6])
def test_ar1(n):
    lag = abs(np.arange(n)[:, None] - np.arange(n))
    marginal = precision.ar1(n)(-0.6, 4.0)
    assert_close(np.linalg.inv(marginal.todense()), (-0.6) ** lag / 4.0, 1e-12)
    innovation = precision.ar1(n, by="innovation")(-0.6, 4.0)
    assert_close(np.linalg.inv(innovation.todense()), (-0.6) ** lag / 4.0 / (1 - 0.36), 1e-12)


def _autocovariances(phi, innovation, lags):
    """By solving the Yule-Walker equations."""
    p = len(phi)
    A, b = np.eye(p + 1), np.zeros(p + 1)
    b[0] = innovation
    for k in range(p + 1):
        for j in range(1, p + 1):
            A[k, abs(k - j)] -= phi[j - 1]
    gamma = list(np.linalg.solve(A, b))
    for k in range(p + 1, lags):
        gamma.append(sum(phi[j] * gamma[k - 1 - j] for j in range(p)))
    return np.array(gamma[:lags])


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_ar(n):
    partial = np.array([0.6, -0.5, 0.3])
    phi = np.zeros(0)
    for r in partial:
        phi = np.append(phi - r * phi[::-1], r)
    tau = 2.0
    gamma = _autocovariances(phi, np.prod(1 - partial**2) / tau, n)
    assert_close(gamma[0], 1 / tau, 1e-12)
    Q = precision.ar(n, 3)(partial, tau)
    assert_close(np.linalg.inv(Q.todense()), scipy.linalg.toeplitz(gamma), 1e-11)
    one = precision.ar(n, 1)(np.array([0.7]), tau)
    assert_close(one.todense(), precision.ar1(n)(0.7, tau).todense(), 1e-13)


def test_derivatives_in_hyperparameters(rng):
    def f(partial, rho, tau):
        Q = precision.ar(7, 2)(jnp.tanh(partial), tau**2)
        R = precision.ar1(7)(jnp.tanh(rho), tau**2)
        return jnp.stack([ex.logdet(Q), Q.values @ Q.values, ex.logdet(R), R.values @ R.values])

    lag = abs(np.arange(7)[:, None] - np.arange(7))
    lower = np.tril(np.ones((7, 7)))

    def oracle(partial, rho, tau):
        a, b = jnp.tanh(partial)
        gamma = [jnp.ones(()), a]
        phi = (a * (1 - b), b)
        for _ in range(5):
            gamma.append(phi[0] * gamma[-1] + phi[1] * gamma[-2])
        Q = jnp.linalg.inv(jnp.stack(gamma)[lag] / tau**2)
        R = jnp.linalg.inv(jnp.tanh(rho) ** lag / tau**2)
        parts = [(jnp.linalg.slogdet(M)[1], jnp.sum(lower * M**2)) for M in (Q, R)]
        return jnp.stack([z for part in parts for z in part])

    subspace.assert_both_modes(f, oracle, (np.array([0.4, -0.3]), 0.5, 1.3), rng, 1e-8)


def test_constraints_by_choice():
    walk = precision.rw2(10)
    assert repr(walk) == "Precision(rw2(tau), n=10, nnz=27, null_space of rank 2)"
    held, level, free = (walk.field(1.0, constrained=c) for c in (True, "level", False))
    assert (held.n_constraints, level.n_constraints, free.n_constraints) == (2, 1, 0)
    assert held.is_proper and not level.is_proper and not free.is_proper
    assert held.rank == level.rank == free.rank == 8
    sums = np.ones(10) @ np.asarray(level.constraints[0]).T
    assert sums > 0 and np.ptp(level.constraints[0]) == 0
    season = precision.seasonal(8, 4)
    assert season.field(1.0, constrained="level").constraints is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: precision.rw1(1), ValueError, "`positions` must be at least 2"),
        (
            lambda: precision.rw2(np.array([0.0, 2.0, 1.0])),
            ValueError,
            "gap after element 1 is -1.0",
        ),
        (lambda: precision.rw2(np.zeros((3, 3))), ValueError, "at least 3 numbers"),
        (lambda: precision.rw1(np.arange(4.0), True, 2.0), ValueError, "stay within a period"),
        (lambda: precision.iid(2.5), TypeError, "`n` must be an integer, got float"),
        (lambda: precision.seasonal(3, 4), ValueError, "`n` must be at least 4"),
        (lambda: precision.ar1(3, by="sd"), ValueError, '`by` must be "marginal" or "innovation"'),
        (
            lambda: precision.ar(5, 2)(np.zeros(3), 1.0),
            ValueError,
            "must have shape (2,), got (3,)",
        ),
        (lambda: precision.ar1(3)(0.5), TypeError, "ar1 takes 2 hyperparameters (rho, tau), got 1"),
        (lambda: precision.rw1(3).field(1.0, constrained=2), ValueError, "`constrained` must be"),
    ],
)
def test_arguments_are_checked(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
