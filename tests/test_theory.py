"""Closed forms: determinants and inverses that are known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax._structure._native import counted


def _path(n: int) -> sp.csc_array:
    return sp.diags_array(
        [-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1], format="csc"
    )


def _grid(*sizes: int) -> sp.csc_array:
    """The Dirichlet Laplacian of a grid: a Kronecker sum of paths."""
    A = sp.csc_array((1, 1))
    for n in sizes:
        A = sp.csc_array(sp.kron(A, sp.eye_array(n)) + sp.kron(sp.eye_array(A.shape[0]), _path(n)))
    return A


def _path_eigenvalues(n: int) -> np.ndarray:
    return 2 - 2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000, 100_000])
def test_path_determinant_and_inverse(n):
    """det = n + 1, (A^-1)_ij = min(i, j) (n + 1 - max(i, j)) / (n + 1) with i, j from 1."""
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(_path(n)))
    np.testing.assert_allclose(F.logdet(), np.log(n + 1), rtol=1e-9)
    i = np.arange(1.0, n + 1)
    np.testing.assert_allclose(F.inverse_diagonal(), i * (n + 1 - i) / (n + 1), rtol=1e-6)
    Z = F.selected_inverse()
    row, col = Z.pattern.rows + 1.0, Z.pattern.columns + 1.0
    np.testing.assert_allclose(Z.values, col * (n + 1 - row) / (n + 1), rtol=1e-6)


@pytest.mark.parametrize("sizes", [(30, 20), (7, 6, 5)])
def test_grid_determinant_is_a_product_over_modes(sizes):
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(_grid(*sizes)))
    eigenvalues = np.zeros(1)
    for n in sizes:
        eigenvalues = np.add.outer(eigenvalues, _path_eigenvalues(n)).ravel()
    np.testing.assert_allclose(F.logdet(), np.sum(np.log(eigenvalues)), rtol=1e-12)
    # trace of the inverse, and derivative of log det (A + s I) at s = 0
    trace = np.sum(1 / eigenvalues)
    np.testing.assert_allclose(np.sum(F.inverse_diagonal()), trace, rtol=1e-12)


def test_determinant_of_a_shifted_grid_and_its_derivatives():
    """d^k/ds^k log det(A + s I) = (-1)^(k-1) (k-1)! sum 1 / (lambda + s)^k."""
    A = ex.SymmetricMatrix.from_scipy(_grid(12, 11))
    eye = ex.SymmetricMatrix.eye(132)
    modes = np.add.outer(_path_eigenvalues(12), _path_eigenvalues(11)).ravel() + 0.3
    f = lambda s: ex.cholesky(A + s * eye).logdet()  # noqa: E731
    for k in range(4):
        expected = (
            np.sum(np.log(modes))
            if k == 0
            else ((-1) ** (k - 1) * [1, 1, 1, 2][k] * np.sum(modes**-k))
        )
        np.testing.assert_allclose(f(0.3), expected, rtol=1e-10)
        f = jax.grad(f)


def test_ar1_precision():
    """The stationary AR(1) process: det Q = 1 - rho^2, covariances rho^|i-j| / (1 - rho^2)."""
    n, rho = 500, 0.95
    d = np.full(n, 1 + rho**2)
    d[[0, -1]] = 1
    Q = sp.diags_array(
        [np.full(n - 1, -rho), d, np.full(n - 1, -rho)], offsets=[-1, 0, 1], format="csc"
    )
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(Q))
    np.testing.assert_allclose(F.logdet(), np.log(1 - rho**2), rtol=1e-9)
    np.testing.assert_allclose(F.inverse_diagonal(), 1 / (1 - rho**2), rtol=1e-9)


def test_sampling_half_has_the_right_covariance():
    """M = P^T L^-H applied to unit vectors gives M M^H = A^-1."""
    A = ex.SymmetricMatrix.from_scipy(_grid(6, 5))
    F = ex.cholesky(A)
    M = np.asarray(F.half_solve(jnp.eye(30), transpose=True))
    np.testing.assert_allclose(M @ M.T, np.linalg.inv(A.todense()), rtol=1e-12, atol=1e-14)


def test_value_gradient_and_hessian_vector_product_share_one_factorization():
    A = ex.SymmetricMatrix.from_scipy(_grid(20, 20))
    b = jnp.ones(400)

    @jax.jit
    def everything(v, t):
        def f(v):
            F = ex.cholesky(A.with_values(v))
            return F.logdet() + b @ F.solve(b)

        (value, gradient), (slope, hvp) = jax.jvp(jax.value_and_grad(f), (v,), (t,))
        return value, gradient, slope, hvp

    jax.block_until_ready(everything(A.values, A.values))
    before = counted("factorization")
    jax.block_until_ready(everything(1.5 * A.values, A.values))
    assert counted("factorization") - before == 1


def test_new_values_never_recompile_and_a_new_pattern_does():
    traces = []

    @jax.jit
    def f(A):
        traces.append(A.pattern)
        return ex.cholesky(A).logdet()

    A, B = (ex.SymmetricMatrix.from_scipy(_path(n)) for n in (10, 11))
    for s in (1.0, 2.0, 3.0):
        np.testing.assert_allclose(f(s * A), np.log(11.0) + 10 * np.log(s))
    assert len(traces) == 1
    f(B)
    assert len(traces) == 2


def test_other_platforms_are_a_clear_error():
    A = ex.SymmetricMatrix.from_scipy(_path(5))
    traced = jax.jit(lambda v: ex.cholesky(A.with_values(v)).logdet()).trace(A.values)
    with pytest.raises(NotImplementedError, match="device_put"):
        traced.lower(lowering_platforms=("cuda",))
