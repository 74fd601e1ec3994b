"""Incomplete LU: its defining property, complete factors where nothing fills in, and lost pivots."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex

from .helpers import SCALARS, WELL_CONDITIONED, assert_close, spd, tolerance


def unsymmetric(name: str, dtype) -> sp.csc_array:
    """A matrix of the gallery whose upper triangle is weaker than its lower one."""
    A = spd(name, dtype)
    return sp.csc_array(sp.tril(A) + 0.7 * sp.triu(A, 1))


def factors(F: ex.IncompleteLU):
    M = F.factors.todense()
    return jnp.tril(M, -1) + jnp.eye(M.shape[0], dtype=M.dtype), jnp.triu(M)


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("name", WELL_CONDITIONED)
def test_it_agrees_with_the_matrix_on_its_pattern(name, dtype):
    S = unsymmetric(name, dtype)
    F = ex.incomplete_lu(ex.SparseMatrix.from_scipy(S))
    L, U = factors(F)
    i, j = S.nonzero()
    assert_close((L @ U)[i, j], S.toarray()[i, j], tolerance(dtype))
    assert F.status == 0 and F.dtype == dtype


@pytest.mark.parametrize("name", ["tridiagonal", "arrow_last", "dense", "one", "diagonal"])
def test_it_is_complete_where_nothing_fills_in(name, rng):
    A = ex.SparseMatrix.from_scipy(unsymmetric(name, np.float64))
    F = ex.incomplete_lu(A)
    b = jnp.asarray(rng.normal(size=(A.shape[0], 2)))
    assert_close(A @ F.solve(b), b, 1e-12)
    assert_close(A.T @ F.solve(b[:, 0], transpose=True), b[:, 0], 1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_it_is_symmetric_for_symmetric_matrices(dtype):
    Q = ex.SymmetricMatrix.from_scipy(spd("grid_3d", dtype)).as_positive_definite()
    L, U = factors(ex.incomplete_lu(Q))
    D = jnp.diagonal(U)
    assert (D.real > 0).all()
    assert_close(U, D[:, None] * L.T.conj(), 1e-13)


def test_the_modified_form_keeps_column_sums():
    A = ex.SparseMatrix.from_scipy(unsymmetric("grid_2d", np.float64))
    L, U = factors(ex.incomplete_lu(A, modified=True))
    assert_close(jnp.sum(L @ U, 0), A.sum(0), 1e-13)
    plain = factors(ex.incomplete_lu(A))
    assert abs(jnp.sum(plain[0] @ plain[1], 0) - A.sum(0)).max() > 1e-3


def test_solves_with_its_factors(rng):
    A = ex.SparseMatrix.from_scipy(unsymmetric("grid_3d", np.complex128))
    F = ex.incomplete_lu(A)
    L, U = factors(F)
    b = jnp.asarray(rng.normal(size=A.shape[0]) + 1j)
    assert_close(F.solve(b), jnp.linalg.solve(L @ U, b), 1e-12)
    assert_close(F.solve(b, transpose=True), jnp.linalg.solve((L @ U).T, b), 1e-12)


def test_lost_pivots_are_replaced():
    A = ex.SparseMatrix.from_dense(jnp.array([[0.0, 2.0], [3.0, 1.0]]))
    F = ex.incomplete_lu(A)  # of the diagonal, too, which the pattern lacks
    assert (F.status, F.detail) == (-3, 0)
    assert jnp.isfinite(F.factors.values).all()
    Q = ex.SymmetricMatrix.from_dense(jnp.array([[-1.0, 0.5], [0.5, 2.0]])).as_positive_definite()
    _, U = factors(ex.incomplete_lu(Q))
    assert (jnp.diagonal(U) > 0).all()
    assert ex.incomplete_lu(Q, positive_definite=False).status == 0
    bad = ex.incomplete_lu(A.with_values(jnp.array([1.0, jnp.nan, 1.0])))
    assert (bad.status, bad.detail) == (-1, A.on_pattern(A.pattern.with_diagonal()).nnz - 2)
    assert jnp.isnan(bad.solve(jnp.ones(2))).any()


def test_batches_and_empty_matrices(rng):
    A = ex.SparseMatrix.from_scipy(unsymmetric("grid_2d", np.float64))
    scales = jnp.array([1.0, 2.0, -3.0])
    b = jnp.asarray(rng.normal(size=A.shape[0]))
    batch = jax.jit(jax.vmap(lambda s: ex.incomplete_lu(s * A).solve(b)))(scales)
    assert_close(batch, ex.incomplete_lu(A).solve(b) / scales[:, None], 1e-13)
    empty = ex.incomplete_lu(ex.SparseMatrix.eye(0))
    assert empty.solve(jnp.ones(0)).shape == (0,)


def test_errors():
    with pytest.raises(
        TypeError, match="`A` must be a SparseMatrix or a SymmetricMatrix, got ndarray"
    ):
        ex.incomplete_lu(np.eye(3))
    with pytest.raises(ValueError, match=r"`A` must be square, got shape \(2, 3\)"):
        ex.incomplete_lu(ex.SparseMatrix.from_dense(jnp.ones((2, 3))))
