"""Least squares and minimum-norm solutions against dense ones; their derivatives; rank deficiency."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex

from .derivatives import assert_same_derivatives, draw
from .helpers import SCALARS, assert_close, coordinates, index, read_matrix, tolerance


def _matrix(m, n, dtype, seed=0):
    """Of full rank: a weak random part beside a strong diagonal of the shorter side."""
    rng = np.random.default_rng(seed)
    A = sp.random_array((m, n), density=0.2, rng=rng).astype(dtype)
    if np.issubdtype(dtype, np.complexfloating):
        A = A * np.exp(2j * np.pi * rng.uniform())
    k = min(m, n)
    A = A + 2 * sp.csc_array((np.ones(k, dtype), (np.arange(k), np.arange(k))), (m, n))
    A = sp.csc_array(A.astype(dtype))
    A.sum_duplicates()
    return A


SHAPES = [(12, 5), (5, 12), (9, 9), (7, 1), (1, 7), (60, 25)]


@pytest.mark.parametrize("dtype", SCALARS)
@pytest.mark.parametrize("damping", [0.0, 0.7])
@pytest.mark.parametrize("shape", SHAPES)
def test_against_dense_solutions(shape, damping, dtype, rng):
    A = _matrix(*shape, dtype)
    X = A.toarray().astype(np.promote_types(dtype, np.float64))
    b = draw(rng, (shape[0], 3), dtype)
    _, n = shape
    stacked = np.vstack([X, damping * np.eye(n)])
    expected = np.linalg.lstsq(stacked, np.vstack([b, np.zeros((n, 3))]))[0]
    rtol = tolerance(dtype, np.linalg.cond(X) ** 2)
    got = ex.lstsq(ex.SparseMatrix.from_scipy(A), b, damping)
    assert got.dtype == dtype
    assert_close(got, expected, rtol)
    assert_close(ex.lstsq(ex.SparseMatrix.from_scipy(A), b[:, 0], damping), expected[:, 0], rtol)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_derivatives_in_matrix_right_hand_side_and_damping(shape, dtype, rng):
    A = _matrix(*shape, dtype)
    S = ex.SparseMatrix.from_scipy(A)
    m, n = shape

    def oracle(v, b, damping):
        X = jnp.zeros(shape, dtype).at[coordinates(A)].set(v)
        damped = damping**2 * jnp.eye(n)
        return jnp.linalg.solve(X.conj().T @ X + damped, X.conj().T @ b)

    def sparse(v, b, damping):
        return ex.lstsq(S.with_values(v), b, damping)

    arguments = (S.values, draw(rng, (m, 2), dtype), jnp.asarray(0.6))
    assert_same_derivatives(sparse, oracle, arguments, rng, 1e-8)


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_derivatives_without_damping(shape, rng):
    A = _matrix(*shape, np.float64)
    S = ex.SparseMatrix.from_scipy(A)
    b = draw(rng, (shape[0],), np.float64)

    def oracle(v, b):
        X = jnp.zeros(shape).at[coordinates(A)].set(v)
        if shape[0] > shape[1]:
            return jnp.linalg.solve(X.T @ X, X.T @ b)
        return X.T @ jnp.linalg.solve(X @ X.T, b)

    def sparse(v, b):
        return ex.lstsq(S.with_values(v), b)

    for argument in (0, 1):
        jacobians = (
            jacobian(f, argument)(S.values, b)
            for f in (sparse, oracle)
            for jacobian in (jax.jacfwd, jax.jacrev)
        )
        first, *others = jacobians
        for other in others:
            assert_close(other, first, 1e-10)


def test_one_factorization_for_many_right_hand_sides(rng):
    A = ex.SparseMatrix.from_scipy(_matrix(60, 25, np.float64))
    F = ex.least_squares(A)
    b = draw(rng, (60, 4), np.float64)
    together = F.solve(b)
    for j in range(4):
        assert_close(F.solve(b[:, j]), together[:, j], 1e-12)
    batched = jax.jit(jax.vmap(F.solve, 1, 1))(b)
    assert_close(batched, together, 1e-12)
    x, status, error = F.solve_checked(b)
    assert np.all(status == 0) and np.all(error <= 10 * np.finfo(float).eps)
    assert_close(x, together, 1e-14)
    again = ex.least_squares(A, symbolic=F.augmented.symbolic)
    np.testing.assert_array_equal(again.solve(b), together)
    assert repr(F).startswith("LeastSquares(shape=(60, 25)")


def test_a_dense_row_does_not_fill_everything():
    n = 400
    A = sp.vstack([sp.eye_array(n), sp.diags_array(np.ones(n - 1), offsets=1), np.ones((1, n))])
    S = ex.SparseMatrix.from_scipy(sp.csc_array(A))
    F = ex.least_squares(S)
    assert F.augmented.symbolic.nnz < 30 * n
    b = np.arange(2.0 * n + 1)
    assert_close(F.solve(b), np.linalg.lstsq(A.toarray(), b)[0], 1e-10)


@pytest.mark.parametrize("transposed", [False, True])
def test_rank_deficiency_names_a_column_or_row(transposed):
    X = np.random.default_rng(0).normal(size=(10, 4))
    X[:, 2] = X[:, 1]
    X = X.T if transposed else X
    A, b = ex.SparseMatrix.from_dense(X), np.ones(X.shape[0])
    line = "row" if transposed else "column"
    message = f"rank-deficient, as far as .*; {line} [12] is zero or depends on others"
    with pytest.raises(ex.FactorizationError, match=message):
        ex.lstsq(A, b)
    with pytest.raises(Exception, match=message):
        jax.block_until_ready(jax.jit(lambda v: ex.lstsq(A.with_values(v), b))(A.values))
    F = ex.least_squares(A, throw=False)
    assert F.status == -3 and np.all(np.isnan(F.solve(b))) and F.solve_checked(b).status == -3
    damped = np.linalg.solve(X.T @ X + np.eye(X.shape[1]), X.T @ b)
    assert_close(ex.lstsq(A, b, 1.0), damped, 1e-10)


def test_no_rows_or_columns():
    for shape in [(0, 3), (3, 0), (0, 0)]:
        A = ex.SparseMatrix.from_dense(np.zeros(shape))
        got = ex.lstsq(A, np.ones(shape[0]), 1.0)
        np.testing.assert_array_equal(got, np.zeros(shape[1]))


def test_refuses():
    A = ex.SparseMatrix.from_dense(np.eye(3))
    with pytest.raises(TypeError, match="`A` must be a SparseMatrix, got SymmetricMatrix"):
        ex.lstsq(ex.SymmetricMatrix.from_general(A), np.ones(3))
    with pytest.raises(TypeError, match="`damping` must be a real scalar, got complex128"):
        ex.lstsq(A, np.ones(3), 1j)
    with pytest.raises(ValueError, match=r"`b` must have shape \(3,\)"):
        ex.lstsq(A, np.ones(4))
    with pytest.raises(ex.FactorizationError, match="NaN or infinite value: entry 1 of"):
        ex.lstsq(A.with_values([1.0, np.nan, 1.0]), np.ones(3))
    with pytest.raises(ValueError, match="`damping` must be finite, got nan"):
        ex.lstsq(A, np.ones(3), np.nan)


@pytest.mark.parametrize(
    "name", ["well1033", "illc1033", "well1850", "illc1850", "ash219", "abb313"]
)
def test_real_problems(name, rng, shared):
    A = read_matrix(name)
    M, b = ex.SparseMatrix.from_scipy(A), rng.normal(size=A.shape[0])
    expected, _, rank, s = np.linalg.lstsq(A.toarray(), b)
    if rank < min(A.shape):
        with pytest.raises(ex.FactorizationError, match="rank-deficient"):
            ex.lstsq(M, b)
    else:
        assert_close(ex.lstsq(M, b), expected, tolerance(np.float64, s[0] / s[-1]))
    gram = (A.T @ A).toarray() + 0.01 * np.eye(A.shape[1])
    assert_close(ex.lstsq(M, b, 0.1), np.linalg.solve(gram, A.T @ b), 1e-9)
    assert index()[name]["rows"] == A.shape[0]


@pytest.mark.parametrize("c", [1e-150, 1e-3, 1e6, 1e150])
@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_rows_or_columns_of_very_different_size(c, shape, rng):
    """[J; c I] is well-conditioned for large c, and if J is, for small c."""
    J, b = _matrix(*shape, np.float64).toarray(), rng.normal(size=sum(shape))
    m, n = shape
    A = np.vstack([J, c * np.eye(n)]) if m > n else np.hstack([J, c * np.eye(m)])
    F = ex.least_squares(ex.SparseMatrix.from_scipy(sp.csc_array(A)))
    expected, unit = np.linalg.pinv(A), max(c, 1.0)
    b, w = b[: A.shape[0]], rng.normal(size=A.shape[1])
    assert_close(F.solve(b) * unit, unit * (expected @ b), 1e-12)
    assert_close(F.solve(w, transpose=True) * unit, unit * (expected.T @ w), 1e-12)
