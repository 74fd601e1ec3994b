"""Draws from N(0, A^-1): their distribution, their shapes, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.linalg import solve_triangular

import elimax as ex

from .helpers import assert_close, dense, spd, stored


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_moments(dtype, getkey):
    A = ex.SymmetricMatrix.from_scipy(spd("random", dtype))
    draws = 40_000
    x = np.asarray(ex.cholesky(A).sample(getkey(), (draws,)))
    assert x.shape == (draws, A.shape[0]) and x.dtype == dtype
    covariance = np.linalg.inv(np.asarray(A.todense()))
    scale = np.sqrt(np.real(np.diagonal(covariance)))
    # standard errors of the means of x and of x x^H are at most 1 / sqrt(draws) and sqrt(2 / draws)
    assert np.abs(x.mean(axis=0) / scale).max() < 6 / np.sqrt(draws)
    error = (x.T @ x.conj() / draws - covariance) / np.outer(scale, scale)
    assert np.abs(error).max() < 6 * np.sqrt(2 / draws)
    if dtype == np.complex128:  # circular symmetry: E[x x^T] = 0
        assert np.abs(x.T @ x / draws / np.outer(scale, scale)).max() < 6 * np.sqrt(2 / draws)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_shapes_and_precision(dtype, getkey):
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("grid_2d", dtype)))
    key = getkey()
    for shape in ((), (3,), (2, 3), (0,), [2]):
        x = F.sample(key, shape)
        assert x.shape == (*shape, 72) and x.dtype == dtype
    np.testing.assert_array_equal(F.sample(key, (6,)).reshape(2, 3, 72), F.sample(key, (2, 3)))


def test_reparametrized_gradients(getkey):
    """E g(mu + x) over fixed keys, differentiated in mu and A, as with a dense factor."""
    A = spd("grid_2d")
    S, v = ex.SymmetricMatrix.from_scipy(A), jnp.asarray(stored(A))
    p = ex.analyze(S).permutation
    key, mu = getkey(), jnp.linspace(-1.0, 1.0, 72)

    def objective(draw):
        return lambda mu, v: jnp.mean(jnp.sum(jnp.tanh(mu + draw(v)) ** 3, axis=-1))

    def sparse(v):
        return ex.cholesky(S.with_values(v)).sample(key, (5,))

    def oracle(v):
        L = jnp.linalg.cholesky(dense(A, v)[p][:, p])
        z = jax.random.normal(key, (5, 72))
        return solve_triangular(L, z.T, lower=True, trans="T")[np.argsort(p)].T

    for transform in (
        lambda f: f,
        lambda f: jax.grad(f, (0, 1)),
        lambda f: jax.jvp(jax.grad(f, (0, 1)), (mu, v), (mu, v))[1],
    ):
        f, g = transform(objective(sparse)), transform(objective(oracle))
        got, expected = ((x(mu, v) if callable(x) else x) for x in (f, g))
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            assert_close(a, b, 1e-10)


def test_a_wrong_shape_is_an_error(getkey):
    F = ex.cholesky(ex.SymmetricMatrix.eye(3))
    with pytest.raises(TypeError, match=r"`shape` must be a tuple of integers.*got 2\.5"):
        F.sample(getkey(), 2.5)
    with pytest.raises(ValueError, match="negative"):
        F.sample(getkey(), (-1,))
