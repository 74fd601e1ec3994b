"""Solutions, determinants and inverses of matrices that are not definite, against dense algebra."""

import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..derivatives import draw
from ..helpers import SCALARS, WELL_CONDITIONED, assert_close, tolerance
from .problems import KINDS, Problem

SINGLE = [np.float32, np.complex64]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(
            name,
            dtype,
            marks=[pytest.mark.slow] if dtype in SINGLE and name != "grid_2d" else [],
        )
        for name in WELL_CONDITIONED
        for dtype in SCALARS
    ],
)
def test_against_dense_algebra(name, kind, dtype, rng):
    problem = Problem(name, kind, dtype)
    X = problem.scipy.toarray().astype(np.promote_types(dtype, np.float64))
    condition = np.linalg.cond(X)
    rtol = tolerance(dtype, condition)
    F = problem.factor()
    assert F.status == 0
    b = draw(rng, (X.shape[0], 3), dtype)
    assert_close(F.solve(b), np.linalg.solve(X, b), rtol)
    assert_close(F.solve(b[:, 0]), np.linalg.solve(X, b[:, 0]), rtol)
    sign, logdet = F.slogdet()
    expected_sign, expected_logdet = np.linalg.slogdet(X)
    assert sign.dtype == dtype and logdet.dtype == np.finfo(dtype).dtype
    assert_close(sign, expected_sign, rtol)
    assert abs(logdet - expected_logdet) <= rtol * (1 + abs(expected_logdet))
    inverse = np.linalg.inv(X)
    assert_close(F.selected_inverse().values, problem.on_inverse_pattern(inverse), rtol)
    assert_close(F.inverse_diagonal(), problem.diagonal_of(inverse), rtol)
    if kind == "lu":
        assert_close(F.solve(b, transpose=True), np.linalg.solve(X.T, b), rtol)
    if kind == "ldl" or (kind == "symmetric" and np.dtype(dtype).kind == "f"):
        eigenvalues = np.linalg.eigvalsh(X)
        assert F.inertia() == (np.sum(eigenvalues > 0), np.sum(eigenvalues < 0), 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_the_componentwise_backward_error_is_that_of_roundings(kind, dtype, rng):
    problem = Problem("badly_scaled", kind, dtype)
    A = problem.scipy
    b = draw(rng, (A.shape[0], 5), dtype) * jnp.logspace(-9, 9, A.shape[0])[:, None]
    x, status, error = problem.factor().solve_checked(b)
    assert np.all(status == 0) and status.shape == (5,)
    residual = np.abs(A.astype(np.clongdouble) @ np.asarray(x) - np.asarray(b))
    allowed = abs(A) @ np.abs(x) + np.abs(b)
    achieved = np.max(residual / allowed, axis=0)
    assert np.all(achieved <= 10 * np.finfo(float).eps)
    np.testing.assert_allclose(error, achieved, atol=np.finfo(float).eps)


def test_the_choice_by_kind(rng):
    general = Problem("grid_2d", "lu")
    symmetric = Problem("grid_2d", "ldl")
    assert isinstance(ex.factor(general.matrix), ex.LU)
    assert isinstance(ex.factor(symmetric.matrix), ex.LDL)
    assert isinstance(ex.factor(symmetric.matrix, kind="lu"), ex.LU)
    for problem in (general, symmetric):
        X, b = problem.scipy.toarray(), draw(rng, (72,), np.float64)
        assert_close(ex.solve(problem.matrix, b), np.linalg.solve(X, b), 1e-10)
        assert_close(ex.logdet(problem.matrix), np.linalg.slogdet(X)[1], 1e-10)
        assert_close(ex.slogdet(problem.matrix)[0], np.linalg.slogdet(X)[0], 1e-10)
        inverse = ex.selected_inverse(problem.matrix)
        assert_close(inverse.values, problem.on_inverse_pattern(np.linalg.inv(X)), 1e-9)
    with pytest.raises(ValueError, match="`kind` must be one of"):
        ex.factor(general.matrix, kind="qr")
    with pytest.raises(TypeError, match="SymmetricMatrix or a SparseMatrix, got ndarray"):
        ex.factor(np.eye(2))


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows(kind):
    A = ex.SparseMatrix.from_dense(np.zeros((0, 0)))
    A = A if kind == "lu" else ex.SymmetricMatrix.from_general(A, hermitian=kind == "ldl")
    F = ex.factor(A)
    assert F.status == 0 and F.logdet() == 0 and F.slogdet()[0] == 1
    assert F.solve(np.zeros((0, 2))).shape == (0, 2) and F.inverse_diagonal().shape == (0,)


def test_inverse_on_a_larger_pattern():
    problem = Problem("grid_2d", "lu")
    inverse = np.linalg.inv(problem.scipy.toarray())
    transposed = problem.matrix.pattern.transpose()[0]
    filled = problem.matrix.pattern.union(transposed)
    F = ex.lu(problem.matrix, ex.analyze(problem.matrix.on_pattern(filled), kind="lu"))
    assert_close(
        F.selected_inverse(filled).todense(), np.where(filled_mask(filled), inverse, 0), 1e-9
    )
    few = ex.Pattern.from_coo([3, 3], [3, 2], (72, 72))
    with pytest.raises(ValueError, match="outside of the filled pattern"):
        F.selected_inverse(ex.Pattern.dense((72, 72)))
    assert F.selected_inverse(few.intersection(filled)).pattern == few.intersection(filled)


def filled_mask(pattern: ex.Pattern) -> np.ndarray:
    return pattern.to_scipy().toarray() != 0
