"""The checks of D. Simpson's post on derivatives of sparse primitives in JAX (May 2022), against dense JAX.

His matrix is the 2-D Laplacian of an n x n grid plus the identity, n = 10 (solves) and 15 (log-determinant,
partial inverse). Two parameters enter the matrix, the right-hand side, both or neither; the table is the
agreement of primal, JVP and gradient. Single precision left him unhappy, double precision did not.

Source: "Sparse matrices 6: To catch a derivative, first you've got to think like a derivative".
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from jax.scipy.linalg import solve_triangular

import elimax as ex

from .helpers import assert_close

PRECISIONS = [(np.float32, 2e-5), (np.float64, 1e-13)]


def _matrix(n: int, dtype) -> sp.csc_array:
    one = np.ones(n - 1)
    path = sp.diags_array([-one, 2 * np.ones(n), -one], offsets=[-1, 0, 1])
    grid = sp.kron(path, sp.eye_array(n)) + sp.kron(sp.eye_array(n), path)
    return sp.csc_array(grid + sp.eye_array(n * n)).astype(dtype)


def _triangular_cases(n: int, dtype):
    """name -> (theta, sparse, dense), the matrix being the lower triangle of his."""
    lower = sp.csc_array(sp.tril(_matrix(n, dtype)))
    T, X, N = ex.SparseMatrix.from_scipy(lower), jnp.asarray(lower.toarray()), n * n
    diagonal = T.pattern.column_pointers  # the first entry of a column of a lower triangle
    one, theta = jnp.ones(N, dtype), (-142.0, 342.0)

    def right_hand_side(t):
        return one.at[0].set(t[0]).at[51].set(t[1])

    return {
        "variable L": (
            theta,
            lambda t: ex.triangular_solve(
                T.with_values(T.values.at[diagonal[[20, 50]]].add(t)),
                one,
                transpose=True,
            ),
            lambda t: solve_triangular(X.at[[20, 50], [20, 50]].add(t), one, lower=True, trans="T"),
        ),
        "variable b": (
            theta,
            lambda t: ex.triangular_solve(T, right_hand_side(t), transpose=True),
            lambda t: solve_triangular(X, right_hand_side(t), lower=True, trans="T"),
        ),
        "variable L and b": (
            theta,
            lambda t: ex.triangular_solve(
                T.with_values(T.values.at[diagonal[20]].add(t[0])), one.at[51].set(t[1])
            ),
            lambda t: solve_triangular(X.at[20, 20].add(t[0]), one.at[51].set(t[1]), lower=True),
        ),
        "no diff": (
            theta,
            lambda t: ex.triangular_solve(T, one),
            lambda t: solve_triangular(X, one, lower=True),
        ),
    }


def _cholesky_cases(n: int, dtype):
    """name -> (theta, sparse, dense)."""
    A = _matrix(n, dtype)
    S, X, N = ex.SymmetricMatrix.from_scipy(A), jnp.asarray(A.toarray()), n * n
    eye, one = ex.SymmetricMatrix.eye(N, dtype=dtype), jnp.ones(N, dtype)
    identity = jnp.eye(N, dtype=dtype)

    def right_hand_side(t):
        return one.at[0].set(t[0]).at[51].set(t[1])

    return {
        "solve, variable A": (
            (2.0, 3.0),
            lambda t: ex.cholesky(t[0] * S + t[1] * eye).solve(one),
            lambda t: jnp.linalg.solve(t[0] * X + t[1] * identity, one),
        ),
        "solve, variable b": (
            (-142.0, 342.0),
            lambda t: ex.cholesky(S).solve(right_hand_side(t)),
            lambda t: jnp.linalg.solve(X, right_hand_side(t)),
        ),
        "solve, variable A and b": (
            (2.0, 342.0),
            lambda t: ex.cholesky(S + t[0] * eye).solve(one.at[51].set(t[1])),
            lambda t: jnp.linalg.solve(X + t[0] * identity, one.at[51].set(t[1])),
        ),
        "log-determinant": (
            (2.0, 3.0),
            lambda t: ex.cholesky(t[0] / N * S + t[1] * eye).logdet(),
            lambda t: jnp.linalg.slogdet(t[0] / N * X + t[1] * identity)[1],
        ),
    }


def _check(case, dtype, rtol):
    theta, sparse, dense = case
    theta, direction = jnp.array(theta, dtype), jnp.array([1.0, 2.0], dtype)

    def row(f):
        primal, jvp = jax.jvp(f, (theta,), (direction,))
        return primal, jvp, jax.grad(lambda t: jnp.mean(f(t)))(theta)

    got, expected = (jax.jit(row, static_argnums=0)(f) for f in (sparse, dense))
    for value, oracle in zip(got, expected, strict=True):
        assert value.dtype == dtype
        assert_close(value, oracle, rtol)


@pytest.mark.parametrize("case", ["variable L", "variable b", "variable L and b", "no diff"])
@pytest.mark.parametrize("n", [10, 15])
@pytest.mark.parametrize("dtype, rtol", PRECISIONS)
def test_triangular_solve(case, n, dtype, rtol):
    _check(_triangular_cases(n, dtype)[case], dtype, rtol)


@pytest.mark.parametrize(
    "case",
    ["solve, variable A", "solve, variable b", "solve, variable A and b", "log-determinant"],
)
@pytest.mark.parametrize("n", [10, 15])
@pytest.mark.parametrize("dtype, rtol", PRECISIONS)
def test_solve_and_log_determinant(case, n, dtype, rtol):
    _check(_cholesky_cases(n, dtype)[case], dtype, rtol)


@pytest.mark.parametrize("dtype, rtol", PRECISIONS)
def test_partial_inverse_on_all_of_L_and_all_of_A(dtype, rtol):
    A = _matrix(15, dtype)
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(A), ordering="natural")
    inverse = np.linalg.inv(A.toarray().astype(np.float64))
    L, _ = F.symbolic.factor_pattern()
    k = F.permutation
    filled = ex.Pattern.from_coo(
        np.maximum(k[L.rows], k[L.columns]),
        np.minimum(k[L.rows], k[L.columns]),
        A.shape,
        symmetric=True,
    )
    for pattern in (filled, F.matrix.pattern):
        Z = F.selected_inverse(pattern)
        assert_close(Z.values, inverse[pattern.rows, pattern.columns], rtol)
