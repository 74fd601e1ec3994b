"""The Cholesky factor and what is computed from it, against dense algebra over the gallery."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex

from .helpers import GALLERY, SCALARS, WELL_CONDITIONED, assert_close, on_pattern, spd, tolerance

CASES = [
    (name, dtype)
    for dtype in SCALARS
    for name in (GALLERY if np.finfo(dtype).eps < 1e-10 else WELL_CONDITIONED)
]


def _condition(A) -> float:
    """The condition number after symmetric scaling to a unit diagonal: what Cholesky's error depends on."""
    X = A.toarray().astype(np.complex128)
    scale = np.sqrt(X.diagonal().real)
    return np.linalg.cond(X / np.outer(scale, scale))


def _right_hand_side(rng, shape, dtype):
    b = rng.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        b = b + 1j * rng.normal(size=shape)
    return b.astype(dtype)


@pytest.mark.parametrize("ordering", ["amd", "nd", "natural", "auto"])
@pytest.mark.parametrize("name", ["grid_2d", "arrow_first", "disconnected"])
def test_every_ordering_factors_the_permuted_matrix(name, ordering):
    A = spd(name)
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(A), ordering=ordering)
    L = F.L.to_scipy().toarray()
    permuted = A.toarray()[np.ix_(F.permutation, F.permutation)]
    assert_close(L @ L.T, permuted, tolerance(np.float64))
    assert np.all(np.triu(L, 1) == 0)


@pytest.mark.parametrize("method", ["supernodal", "simplicial"])
@pytest.mark.parametrize("name, dtype", CASES)
def test_factor_solve_logdet_inverse(name, dtype, method, rng):
    A = spd(name, dtype)
    n, condition = A.shape[0], _condition(A)
    wide = np.complex128 if np.issubdtype(dtype, np.complexfloating) else np.float64
    X = A.toarray().astype(wide)
    S = ex.SymmetricMatrix.from_scipy(A)
    F = ex.cholesky(S, symbolic=ex.analyze(S, method=method))
    assert int(F.status) == 0 and F.dtype == dtype

    L = F.L.to_scipy().toarray().astype(wide)
    backward = np.abs(L @ L.conj().T - X[np.ix_(F.permutation, F.permutation)])
    scale = np.sqrt(X.diagonal().real)[F.permutation]
    assert np.max(backward / np.outer(scale, scale)) <= tolerance(dtype)

    for shape in [(n,), (n, 1), (n, 7)]:
        b = _right_hand_side(rng, shape, dtype)
        x = np.asarray(F.solve(b))
        assert x.dtype == dtype and x.shape == shape
        residual = X @ x - b
        assert np.max(np.abs(residual)) <= tolerance(dtype) * (
            np.max(np.abs(X) @ np.abs(x)) + np.max(np.abs(b))
        )
        half = np.asarray(F.half_solve(b))
        residual = L @ half - b[F.permutation]
        assert np.all(np.abs(residual) <= tolerance(dtype) * (np.abs(L) @ np.abs(half) + 1e-3))
        assert_close(F.half_solve(half, transpose=True), x, tolerance(dtype))

    expected = np.linalg.slogdet(X)[1]
    assert abs(F.logdet() - expected) <= tolerance(dtype, condition) * max(1, abs(expected))
    inverse = np.linalg.inv(X)
    Z = F.selected_inverse()
    assert Z.dtype == dtype and Z.pattern == F.matrix.pattern
    assert_close(Z.values, on_pattern(inverse, A), tolerance(dtype, condition))
    variance = F.inverse_diagonal()
    assert np.isrealobj(variance)
    assert_close(variance, inverse.diagonal().real, tolerance(dtype, condition))


def test_L_has_the_exact_pattern_without_padding():
    n = 50
    A = ex.SymmetricMatrix.from_scipy(spd("tridiagonal"))
    L = ex.cholesky(A, ordering="natural").L
    assert L.nnz == 2 * A.shape[0] - 1
    arrow = ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("arrow_last")), ordering="natural").L
    assert arrow.nnz == 2 * arrow.shape[0] - 1
    eye = ex.cholesky(ex.SymmetricMatrix.from_scipy(sp.eye_array(n, format="csc") * 4.0)).L
    assert eye.nnz == n
    np.testing.assert_array_equal(eye.values, 2.0)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_selected_inverse_on_another_pattern(dtype):
    A = spd("grid_2d", dtype)
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(A))
    lower, _ = F.symbolic.factor_pattern()
    filled = lower.to_scipy().astype(float)
    inverse_permutation = np.argsort(F.permutation)
    filled = (filled + filled.T)[inverse_permutation][:, inverse_permutation]
    pattern = ex.Pattern.from_scipy(filled, symmetric=True)
    Z = F.selected_inverse(pattern)
    assert Z.pattern == pattern and Z.nnz > F.matrix.nnz
    expected = np.linalg.inv(A.toarray())[pattern.rows, pattern.columns]
    assert_close(Z.values, expected, tolerance(dtype, _condition(A)))
    diagonal = ex.Pattern.eye(A.shape[0], symmetric=True)
    assert_close(F.selected_inverse(diagonal).values.real, F.inverse_diagonal(), 1e-15)


def test_selected_inverse_outside_of_the_filled_pattern_is_an_error():
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("tridiagonal")), ordering="natural")
    outside = ex.Pattern.from_coo([9], [0], F.shape, symmetric=True)
    with pytest.raises(ValueError, match=r"\(9, 0\)"):
        F.selected_inverse(outside)


def test_missing_diagonal_entries_are_structural_zeros():
    A = ex.SymmetricMatrix.from_coo([1, 2], [1, 2], np.array([2.0, 3.0]), (3, 3))
    with pytest.raises(ex.FactorizationError) as error:
        ex.cholesky(A)
    assert error.value.column == 0


def test_empty_matrix():
    A = ex.SymmetricMatrix.from_scipy(sp.csc_array((0, 0)))
    F = ex.cholesky(A)
    assert F.logdet() == 0.0
    assert F.solve(np.zeros(0)).shape == (0,)
    assert F.solve(np.zeros((0, 3))).shape == (0, 3)
    assert F.inverse_diagonal().shape == (0,)
    assert F.selected_inverse().nnz == 0
    assert jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet())(A.values).shape == (0,)


def test_no_right_hand_sides():
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("grid_2d")))
    assert F.solve(np.zeros((72, 0))).shape == (72, 0)


def test_symbolic_is_reused_for_smaller_patterns():
    A = ex.SymmetricMatrix.from_scipy(spd("banded"))
    symbolic = ex.analyze(A, ordering="natural")
    B = ex.SymmetricMatrix.from_scipy(sp.csc_array(sp.diags_array(np.arange(1.0, 61.0))))
    F = ex.cholesky(B, symbolic=symbolic)
    np.testing.assert_allclose(F.logdet(), np.sum(np.log(np.arange(1.0, 61.0))))
    with pytest.raises(ValueError):
        ex.cholesky(A, symbolic=ex.analyze(B))


def test_one_call_forms():
    A = ex.SymmetricMatrix.from_scipy(spd("random")).as_positive_definite()
    X, b = A.todense(), jnp.arange(1.0, 71.0)
    assert isinstance(ex.factor(A), ex.Cholesky)
    assert_close(ex.solve(A, b), np.linalg.solve(X, b), 1e-12)
    assert_close(ex.logdet(A), np.linalg.slogdet(X)[1], 1e-12)
    assert_close(ex.selected_inverse(A).todense().diagonal(), np.linalg.inv(X).diagonal(), 1e-12)


@pytest.mark.parametrize(
    "b, error, match",
    [
        (np.zeros(71), ValueError, r"\(72,\).*\(71,\)"),
        (np.zeros((72, 2, 2)), ValueError, "vmap"),
        (np.zeros(72, np.complex128), TypeError, "complex128.*astype"),
        (None, TypeError, "`b` must be a dense array of numbers, got NoneType"),
        (sp.eye_array(72), TypeError, "`b` must be a dense array of numbers, got dia_array"),
    ],
)
def test_wrong_right_hand_side(b, error, match):
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("grid_2d")))
    with pytest.raises(error, match=match):
        F.solve(b)


def test_wrong_matrix():
    with pytest.raises(TypeError, match="SymmetricMatrix"):
        ex.cholesky(np.eye(3))
    general = ex.SparseMatrix.from_scipy(spd("grid_2d"))
    with pytest.raises(TypeError, match="from_general, which reads the lower triangle only"):
        ex.cholesky(general)
    A = ex.SymmetricMatrix.from_scipy(sp.csc_array(np.eye(2) * (1 + 1j)), hermitian=False)
    with pytest.raises(ValueError, match="hermitian"):
        ex.cholesky(A)
    with pytest.raises(ValueError, match="kind"):
        ex.analyze(general.pattern, kind="qr")
    with pytest.raises(TypeError, match="SymmetricMatrix or a Pattern, got SparseMatrix"):
        ex.analyze(general)


def test_wrong_symbolic():
    A = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    with pytest.raises(TypeError, match="Symbolic.*got str; an ordering is given by name"):
        ex.cholesky(A, "amd")
    with pytest.raises(ValueError, match=r"\(72, 72\)"):
        ex.cholesky(A, symbolic=ex.analyze(ex.SymmetricMatrix.eye(3)))


def test_wrong_pattern_of_the_selected_inverse():
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("grid_2d")))
    for pattern in (F.matrix, F.matrix.to_general().pattern, ex.Pattern.eye(3, symmetric=True)):
        with pytest.raises(ValueError, match="must be a symmetric Pattern"):
            F.selected_inverse(pattern)


def test_repr_says_what_it_is():
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("grid_2d")), ordering="amd")
    assert "(72, 72)" in repr(F) and "float64" in repr(F) and "amd" in repr(F)
