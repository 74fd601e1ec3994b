"""The tables of D. Simpson's posts on sparse derivatives in JAX (2022), against dense JAX.

The cases are his: the 2-D Laplacian on an n x n grid plus the identity, n = 10 and 15, scaled and shifted by
two parameters, A(theta) = theta_0 A + theta_1 I; solves with its lower triangle and with A, log-determinants.
His float32 tables showed errors around 1e-6 to 1e-4; in float64 everything agrees to rounding.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from jax.scipy.linalg import solve_triangular

import elimax as ex

from .helpers import assert_close

THETA = (2.0, 3.0)


def _laplacian(n: int) -> sp.csc_array:
    path = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    return sp.csc_array(
        sp.kron(path, sp.eye_array(n)) + sp.kron(sp.eye_array(n), path) + sp.eye_array(n * n)
    )


def _cases(n: int, dtype):
    """name -> (sparse, dense) functions of theta."""
    A = _laplacian(n).astype(dtype)
    N = n * n
    b = jnp.ones(N, dtype)
    S, T = ex.SymmetricMatrix.from_scipy(A), ex.SparseMatrix.from_scipy(sp.tril(A))
    eye, general_eye = ex.SymmetricMatrix.eye(N, dtype=dtype), ex.SparseMatrix.eye(N, dtype=dtype)

    def sparse(theta):
        return theta[0] * S + theta[1] * eye

    def triangle(theta):
        return theta[0] * T + theta[1] * general_eye

    def dense(theta):
        return theta[0] * A.toarray() + theta[1] * jnp.eye(N, dtype=dtype)

    def dense_triangle(theta):
        return theta[0] * np.tril(A.toarray()) + theta[1] * jnp.eye(N, dtype=dtype)

    return {
        "lower": (
            lambda t: ex.triangular_solve(triangle(t), b),
            lambda t: solve_triangular(dense_triangle(t), b, lower=True),
        ),
        "lower_transposed": (
            lambda t: ex.triangular_solve(triangle(t), b, transpose=True),
            lambda t: solve_triangular(dense_triangle(t), b, lower=True, trans=1),
        ),
        "solve": (
            lambda t: ex.solve(sparse(t), b),
            lambda t: jnp.linalg.solve(dense(t), b),
        ),
        "logdet": (
            lambda t: ex.logdet(sparse(t)),
            lambda t: jnp.linalg.slogdet(dense(t))[1],
        ),
    }


@pytest.mark.parametrize("case", ["lower", "lower_transposed", "solve", "logdet"])
@pytest.mark.parametrize("n", [10, 15])
@pytest.mark.parametrize("dtype, rtol", [(np.float32, 2e-5), (np.float64, 1e-13)])
def test_primal_jvp_and_gradient(case, n, dtype, rtol):
    sparse, oracle = _cases(n, dtype)[case]
    theta, direction = jnp.array(THETA, dtype), jnp.array([1.0, 2.0], dtype)

    def gradient(f):
        return jax.grad(lambda t: jnp.mean(f(t) ** 2))(theta)

    assert sparse(theta).dtype == dtype
    assert_close(sparse(theta), oracle(theta), rtol)
    assert_close(
        jax.jvp(sparse, (theta,), (direction,))[1], jax.jvp(oracle, (theta,), (direction,))[1], rtol
    )
    assert_close(gradient(sparse), gradient(oracle), rtol)
