"""What fails says so, with the column or the entry; nothing is silently wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..helpers import assert_close
from .problems import Problem

PIVOTED = ["ldl", "lu"]


def _matrix(X, kind):
    A = ex.SparseMatrix.from_dense(np.asarray(X, float))
    return A if kind == "lu" else ex.SymmetricMatrix.from_general(A)


def _singular(n=30):
    """A Laplacian without a boundary condition, on a path."""
    X = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    X[0, 0] = X[-1, -1] = 1
    return X


@pytest.mark.parametrize("kind", PIVOTED)
def test_a_singular_matrix_has_no_determinant(kind):
    F = ex.factor(_matrix(_singular(), kind), kind)
    assert F.status == -3
    for compute in (F.logdet, F.slogdet, F.selected_inverse, F.inverse_diagonal):
        with pytest.raises(ex.FactorizationError, match="pivots too small") as caught:
            compute()
        assert caught.value.column == F.detail
    if kind == "ldl":
        with pytest.raises(ex.FactorizationError, match="pivots too small"):
            F.inertia()


@pytest.mark.parametrize("kind", PIVOTED)
def test_a_singular_system_that_has_no_solution_stagnates(kind):
    F = ex.factor(_matrix(_singular(), kind), kind)
    b = np.arange(30.0)
    with pytest.raises(ex.FactorizationError, match="stagnated at a componentwise") as caught:
        F.solve(b)
    assert caught.value.error > 1e-10
    with pytest.raises(Exception, match="stagnated at a componentwise backward error of [0-9.]+e-"):
        jax.block_until_ready(jax.jit(F.solve)(b))


@pytest.mark.parametrize("kind", PIVOTED)
def test_without_throwing_outputs_are_nan(kind):
    singular, good = _matrix(_singular(), kind), _matrix(_singular() + np.eye(30), kind)
    b = jnp.arange(30.0)
    values = jnp.stack([good.values, singular.values, good.values])

    def outputs(v):
        F = ex.factor(good.with_values(v), kind, throw=False)
        checked = F.solve_checked(b)
        return F.status, checked.status, F.solve(b), F.logdet(), F.inverse_diagonal()

    status, solved, *outputs_of = jax.jit(jax.vmap(outputs))(values)
    assert status.tolist() == [0, -3, 0] and solved.tolist() == [0, -5, 0]
    expected = outputs(good.values)[2:]
    for got, one in zip(outputs_of, expected, strict=True):
        assert np.all(np.isnan(got[1]))
        np.testing.assert_array_equal(got[0], one)
        np.testing.assert_array_equal(got[2], one)
    gradient = jax.grad(lambda v: ex.factor(good.with_values(v), kind, throw=False).logdet())
    assert np.all(np.isnan(gradient(singular.values)))
    if kind == "ldl":
        assert ex.ldl(singular, throw=False).inertia() == (-1, -1, -1)


@pytest.mark.parametrize("kind", PIVOTED)
def test_under_a_trace_an_error_names_the_column(kind):
    A = _matrix(_singular(), kind)
    message = rf"in column {int(ex.factor(A, kind).detail)}, were replaced"
    f = jax.jit(lambda v: ex.factor(A.with_values(v), kind).logdet())
    with pytest.raises(Exception, match=message):
        jax.block_until_ready(f(A.values))
    batched = jax.vmap(lambda v: ex.factor(A.with_values(v), kind).logdet())
    with pytest.raises(Exception, match=message + r"(.|\n)*\(batch element 1\)"):
        jax.block_until_ready(batched(jnp.stack([2 * A.values + 1, A.values])))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", PIVOTED)
def test_values_that_are_not_finite(kind, value):
    A = _matrix(_singular() + np.eye(30), kind)
    bad = A.with_values(A.values.at[17].set(value))
    with pytest.raises(ex.FactorizationError, match="entry 17") as caught:
        ex.factor(bad, kind)
    assert caught.value.entry == 17
    F = ex.factor(bad, kind, throw=False)
    assert (F.status, F.detail) == (-1, 17)
    assert np.all(np.isnan(F.solve(np.ones(30)))) and np.isnan(F.logdet())
    with pytest.raises(Exception, match="entry 17"):
        jax.block_until_ready(
            jax.jit(lambda v: ex.factor(A.with_values(v), kind).logdet())(bad.values)
        )


def test_structurally_singular():
    """Three columns with entries in two rows."""
    X = np.eye(6) + np.eye(6, k=1)
    X[:, 1:4] = 0
    X[2, 1:4] = X[4, 1:4] = 1
    A = ex.SparseMatrix.from_dense(X)
    with pytest.raises(ValueError, match="structurally singular") as caught:
        ex.lu(A)
    assert "all entries of the 3 columns 1, 2, 3 lie in the 2 rows 2, 4" in str(caught.value)
    with pytest.raises(ValueError, match="structurally singular"):
        ex.analyze(A, kind="lu")
    with pytest.raises(ValueError, match="structurally singular"):
        ex.ldl(
            ex.SymmetricMatrix.from_dense(
                np.zeros((3, 3)), pattern=ex.Pattern.from_coo([2], [2], (3, 3), True)
            )
        )


def test_wrong_arguments():
    A = ex.SparseMatrix.from_dense(np.eye(3))
    S = ex.SymmetricMatrix.from_general(A)
    with pytest.raises(TypeError, match="`A` must be a SymmetricMatrix, got SparseMatrix"):
        ex.ldl(A)
    with pytest.raises(
        TypeError, match="`A` must be a SparseMatrix or a SymmetricMatrix, got ndarray"
    ):
        ex.lu(np.eye(3))
    with pytest.raises(ValueError, match=r"`A` must be square, got shape \(2, 3\); least_squares"):
        ex.lu(ex.SparseMatrix.from_dense(np.ones((2, 3))))
    with pytest.raises(TypeError, match="`symbolic` must be an LUSymbolic"):
        ex.lu(A, symbolic=ex.analyze(S))
    with pytest.raises(TypeError, match="`symbolic` must be a Symbolic"):
        ex.ldl(S, symbolic=ex.analyze(A, kind="lu"))
    with pytest.raises(ValueError, match="`symbolic` must be supernodal"):
        ex.ldl(S, symbolic=ex.analyze(S, method="simplicial"))
    with pytest.raises(ValueError, match="`method` is for kind='cholesky'"):
        ex.analyze(S, kind="ldl", method="simplicial")
    with pytest.raises(ValueError, match=r"`b` must have shape \(3,\)"):
        ex.lu(A).solve(np.ones(4))
    with pytest.raises(TypeError, match="complex128, the matrix float64"):
        ex.ldl(S).solve(np.ones(3) * 1j)
    complex_symmetric = ex.SymmetricMatrix.from_dense(np.eye(3) * 1j, hermitian=False)
    with pytest.raises(ValueError, match="no inertia"):
        ex.ldl(complex_symmetric).inertia()
    larger = ex.SparseMatrix.from_dense(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"the entry \(1, 0\) lies outside"):
        ex.lu(larger, symbolic=ex.analyze(A, kind="lu"))


@pytest.mark.parametrize("kind", PIVOTED)
def test_values_that_are_not_finite_are_not_analyzed(kind):
    A = _matrix(_singular(), kind)
    bad = A.with_values(A.values.at[3].set(np.nan))
    with pytest.raises(ValueError, match="`A` has a NaN or infinite value: entry 3 of `values`"):
        ex.analyze(bad, kind=kind)


@pytest.mark.parametrize("kind", PIVOTED)
def test_values_that_are_differentiated_are_analyzed(kind):
    """Outside of `jit` they are known."""
    A = _matrix(_singular() + np.eye(30), kind)

    def logdet(v):
        B = A.with_values(v)
        return ex.factor(B, kind, symbolic=ex.analyze(B, kind=kind)).logdet()

    expected = jax.grad(lambda v: ex.factor(A.with_values(v), kind).logdet())(A.values)
    assert_close(jax.grad(logdet)(A.values), expected, 1e-12)


def test_refinement_copes_with_a_matching_that_became_poor():
    """Analyzed for a matrix with a strong diagonal, used for one whose diagonal is zero but for rounding."""
    problem = Problem("grid_2d", "lu")
    X = problem.scipy.toarray()
    row_of_column = problem.symbolic.matching
    weak = X.copy()
    weak[row_of_column, np.arange(72)] = 1e-13
    A = ex.SparseMatrix.from_dense(weak, pattern=problem.matrix.pattern)
    assert np.linalg.cond(weak) < 1e6
    F = ex.lu(A, symbolic=problem.symbolic, throw=False)
    x = F.solve_checked(np.ones(72))
    exact = np.linalg.solve(weak, np.ones(72))
    assert F.status != 0 or abs(F.logdet() - np.linalg.slogdet(weak)[1]) < 1e-6
    assert x.status != 0 or np.allclose(x.value, exact, rtol=1e-6)
    again = ex.lu(A, symbolic=ex.analyze(A, kind="lu"))
    assert_close(again.logdet(), np.linalg.slogdet(weak)[1], 1e-8)
    assert_close(again.solve(np.ones(72)), exact, 1e-8)
