"""Triangular solves in every variant, with derivatives, against dense JAX."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.linalg import solve_triangular

import elimax as ex

from .helpers import assert_close

VARIANTS = list(itertools.product([True, False], repeat=3))


def _matrix(rng, n, dtype):
    """A general sparse matrix with a safe diagonal; the solve has to pick its triangle."""
    X = rng.normal(size=(n, n)) * (rng.uniform(size=(n, n)) < 0.2) + np.diag(rng.uniform(1, 2, n))
    if np.issubdtype(dtype, np.complexfloating):
        X = X * np.exp(1j * rng.normal(size=(n, n)))
    return X.astype(dtype)


def _oracle(T, lower, transpose, unit):
    rows, cols = T.pattern.rows, T.pattern.columns

    def solve(v, b):
        X = jnp.zeros(T.shape, v.dtype).at[rows, cols].set(v)
        return solve_triangular(X, b, lower=lower, trans=int(transpose), unit_diagonal=unit)

    return solve


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("lower, transpose, unit", VARIANTS)
def test_value_and_derivatives(lower, transpose, unit, dtype, rng):
    T = ex.SparseMatrix.from_dense(_matrix(rng, 23, dtype))
    oracle = _oracle(T, lower, transpose, unit)

    def sparse(v, b):
        return ex.triangular_solve(T.with_values(v), b, lower, transpose, unit)

    for shape in [(23,), (23, 4)]:
        b = jnp.asarray(rng.normal(size=shape)).astype(dtype)
        x = (T.values, b)
        t = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)).astype(dtype), x)

        def results(f, x=x, t=t):
            def loss(*x):
                return jnp.sum(jnp.sin(jnp.real(f(*x))))

            gradient = jax.grad(loss, (0, 1))
            return (
                f(*x),
                jax.jvp(f, x, t)[1],
                gradient(*x),
                jax.jvp(gradient, x, t)[1],
                jax.grad(lambda *x: jnp.real(jax.jvp(loss, x, t)[1]), (0, 1))(*x),
                jax.grad(lambda *x: sum(jnp.sum(jnp.real(g)) for g in gradient(*x)), (0, 1))(*x),
            )

        for got, expected in zip(
            *(jax.tree.leaves(jax.jit(results, static_argnums=0)(f)) for f in (sparse, oracle)),
            strict=True,
        ):
            assert_close(got, expected, 1e-9)


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_vmap(axes, rng):
    T = ex.SparseMatrix.from_dense(_matrix(rng, 11, np.float64))
    values, b = jnp.stack([T.values, 2 * T.values]), jnp.asarray(rng.normal(size=(2, 11)))
    x = (values if axes[0] == 0 else T.values, b if axes[1] == 0 else b[0])
    got = jax.vmap(lambda v, b: ex.triangular_solve(T.with_values(v), b), axes)(*x)
    assert_close(got, jax.vmap(_oracle(T, True, False, False), axes)(*x), 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_computes_in_its_own_precision(dtype, rng):
    X = _matrix(rng, 17, dtype)
    T = ex.SparseMatrix.from_dense(X)
    x = ex.triangular_solve(T, np.ones(17, dtype))
    assert x.dtype == dtype
    assert_close(np.tril(X) @ x, np.ones(17, dtype), 1e-4)


def test_wrong_arguments():
    T = ex.SparseMatrix.from_dense(np.eye(3))
    with pytest.raises(TypeError, match="SparseMatrix"):
        ex.triangular_solve(np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match=r"\(4,\)"):
        ex.triangular_solve(T, np.ones(4))
    with pytest.raises(ValueError, match="square"):
        ex.triangular_solve(ex.SparseMatrix.from_dense(np.ones((2, 3))), np.ones(2))


def test_empty():
    T = ex.SparseMatrix.from_dense(np.zeros((0, 0)))
    assert ex.triangular_solve(T, np.zeros(0)).shape == (0,)
