"""Failures: result codes, errors, what they say, and the rest of a batch."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

import elimax as ex

from .table import ROWS, assert_same, make_operator

# The column that is to blame, counted as the caller does.
COLUMN = 2
RESULTS = lx.RESULTS


def _failing(name: str, theta):
    """A `theta` whose matrix is singular, or not definite, on account of COLUMN."""
    row = ROWS[name]
    if "cholesky" in name or "definite" in name:
        return theta.at[COLUMN, COLUMN].set(-2 * row.shift)
    shift = np.broadcast_to(row.shift, min(row.shape))[COLUMN]
    if row.bands == (9, 9):
        others = theta.at[COLUMN].set(0) if name != "lstsq_tall" else theta
        theta = others.at[:, COLUMN].set(0)
    return theta.at[COLUMN, COLUMN].set(-shift)


SINGULAR = (
    "cholesky",
    "cholesky_negative",
    "ldl",
    "lu",
    "lstsq_tall",
    "lstsq_wide",
    "lower",
    "upper",
    "auto",
    "auto_symmetric",
    "auto_definite",
    "auto_diagonal",
    "auto_tall",
)
SENTENCES = {
    "cholesky": f"the pivot of column {COLUMN} is not above rounding level",
    "auto_definite": f"the pivot of column {COLUMN} is not above rounding level",
    "cholesky_negative": f"the pivot of column {COLUMN} is not above rounding level",
    "lstsq_tall": f"column {COLUMN} is zero or depends on others",
    "auto_tall": f"column {COLUMN} is zero or depends on others",
    "lstsq_wide": f"row {COLUMN} is zero or depends on others",
    "lower": f"the diagonal entry of column {COLUMN} is zero or missing",
    "upper": f"the diagonal entry of column {COLUMN} is zero or missing",
    "auto_diagonal": f"the diagonal entry of column {COLUMN} is zero or missing",
}


def _solve(name, theta, b, throw=False):
    row = ROWS[name]
    operator = make_operator(row, "sparse", theta)
    return lx.linear_solve(operator, b, row.solver, throw=throw)


@pytest.mark.parametrize("name", SINGULAR)
def test_a_failure(name, getkey):
    """As a code, NaN and a sentence; or as lineax's own error, inside of jit and outside."""
    theta, b = ROWS[name].draw(getkey())
    theta = _failing(name, theta)
    found = _solve(name, theta, b)
    assert found.result == RESULTS.singular
    assert not np.isfinite(found.value).all()
    with pytest.raises(ex.FactorizationError) as error:
        ex.check_solution(found)
    assert SENTENCES.get(name, f"the pivot of column {COLUMN}") in str(error.value)
    assert error.value.column == COLUMN
    with pytest.raises(Exception, match="non-finite"):
        _solve(name, theta, b, throw=True)
    with pytest.raises(Exception, match="non-finite"):
        jax.block_until_ready(jax.jit(lambda *x: _solve(name, *x, throw=True).value)(theta, b))


@pytest.mark.parametrize("name", SINGULAR)
def test_one_of_a_batch(name, getkey):
    """The others are solved; the sentence is that of the one that failed."""
    row = ROWS[name]
    theta, b = row.draw(getkey(), np.float64, (4,))
    theta = theta.at[1].set(_failing(name, theta[1]))
    found = jax.jit(jax.vmap(lambda *x: _solve(name, *x)))(theta, b)
    failed = np.arange(4) == 1
    assert (np.asarray(found.result == RESULTS.singular) == failed).all()
    assert (np.asarray(found.result == RESULTS.successful) == ~failed).all()
    assert not np.isfinite(found.value[1]).all()
    others = found.value[~failed]
    assert_same(others, jax.vmap(row.dense_solution)(theta, b)[~failed])
    with pytest.raises(ex.FactorizationError) as error:
        ex.check_solution(found)
    assert error.value.column == COLUMN
    with pytest.raises(Exception, match="non-finite"):
        jax.block_until_ready(jax.vmap(lambda *x: _solve(name, *x, throw=True).value)(theta, b))


@pytest.mark.parametrize(
    "name", ["cholesky", "ldl", "lu", "lstsq_tall", "lstsq_wide", "lower", "auto_diagonal"]
)
def test_a_matrix_that_is_not_finite(name, getkey):
    """The entry is told by its position in the values of the matrix that was handed over."""
    row = ROWS[name]
    theta, b = row.draw(getkey())
    kind = "symmetric" if row.symmetry else "sparse"
    operator = make_operator(row, kind, theta)
    A = operator.matrix
    entry = A.nnz - 1
    for value in (np.nan, np.inf):
        broken = ex.SparseLinearOperator(
            A.with_values(A.values.at[entry].set(value)), operator.tags
        )
        found = lx.linear_solve(broken, b, row.solver, throw=False)
        assert found.result == RESULTS.nonfinite_input
        with pytest.raises(ex.FactorizationError, match="NaN or infinite value") as error:
            ex.check_solution(found)
        assert error.value.entry == entry
        with pytest.raises(Exception, match="upstream of Lineax"):
            lx.linear_solve(broken, b, row.solver)


@pytest.mark.parametrize("name", ["cholesky", "ldl", "lu", "lstsq_tall", "lower", "auto_diagonal"])
def test_a_vector_that_is_not_finite(name, getkey):
    """One right-hand side of a batch; the others share its factor and its solve."""
    row = ROWS[name]
    theta, b = row.draw(getkey())
    for value in (np.nan, np.inf):
        B = jnp.stack([b, b.at[1].set(value), 2 * b])
        found = jax.vmap(lambda b: _solve(name, theta, b))(B)
        assert (np.asarray(found.result == RESULTS.nonfinite_input) == [False, True, False]).all()
        assert (np.asarray(found.result == RESULTS.successful) == [True, False, True]).all()
        x = row.dense_solution(theta, b)
        assert_same(found.value[::2], jnp.stack([x, 2 * x]))
        with pytest.raises(ex.FactorizationError, match="the right-hand side has a NaN"):
            ex.check_solution(found)


@pytest.mark.parametrize("name", ["cholesky", "lower", "auto_diagonal"])
def test_a_solution_that_overflows(name):
    row = ROWS[name]
    tiny = ex.SparseLinearOperator(1e-200 * ex.SparseMatrix.eye(5), row.tags)
    found = lx.linear_solve(tiny, jnp.full(5, 1e200), row.solver, throw=False)
    assert found.result == RESULTS.singular
    with pytest.raises(ex.FactorizationError, match="overflows"):
        ex.check_solution(found)


def test_what_is_consistent_is_no_failure():
    """A perturbed pivot alone does not matter: a solution is right or it is none."""
    operator = ex.SparseLinearOperator(
        ex.SparseMatrix.from_dense(jnp.array([[1.0, 1.0], [1.0, 1.0]]))
    )
    for b in (jnp.array([2.0, 2.0]), jnp.array([2.0, 1.0])):
        found = lx.linear_solve(operator, b, ex.SparseLU(), throw=False)
        solved = bool(found.result == RESULTS.successful)
        assert solved == (float(b[0]) == float(b[1]))
        if solved:
            assert_same(operator.mv(found.value), b)


def test_check_solution_of_others(getkey):
    """What succeeded is handed on whoever solved it, what failed must be ours."""
    operator = lx.MatrixLinearOperator(jnp.zeros((2, 2)))
    failed = lx.linear_solve(operator, jnp.ones(2), lx.LU(), throw=False)
    with pytest.raises(TypeError, match="must stem from a solver of Elimax"):
        ex.check_solution(failed)
    identity = lx.IdentityLinearOperator(jax.ShapeDtypeStruct((2,), np.float64))
    trivial = lx.linear_solve(identity, jnp.ones(2), ex.AutoSparse())
    assert ex.check_solution(trivial) is trivial


def test_structurally_singular():
    """There is nothing to compute: the error is raised where the operator is known, and names the entries."""
    A = ex.SparseMatrix.from_coo([0, 1, 1], [0, 0, 2], jnp.ones(3), (3, 3))
    operator = ex.SparseLinearOperator(A)
    with pytest.raises(ValueError, match="structurally singular"):
        lx.linear_solve(operator, jnp.ones(3), ex.SparseLU(), throw=False)
    found = lx.linear_solve(operator, jnp.ones(3), ex.SparseLSTSQ(), throw=False)
    assert found.result == RESULTS.singular
    with pytest.raises(ex.FactorizationError, match="column 1 is zero"):
        ex.check_solution(found)
