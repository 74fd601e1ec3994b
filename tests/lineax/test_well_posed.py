"""Solutions: every solver, for every kind of operator that its matrices can be given by."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

import elimax as ex

from .table import (
    ESSENTIAL,
    KINDS,
    MOSTLY_REAL,
    ROWS,
    as_vector,
    assert_same,
    flat,
    kinds_of,
    make_operator,
    solution,
    solve,
)


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
@pytest.mark.parametrize("name", ROWS)
def test_solution(name, dtype, getkey):
    row = ROWS[name]
    theta, b = row.draw(getkey(), dtype)
    kinds = kinds_of(row, dtype)
    found = jax.jit(lambda *x: {kind: solution(row, kind, *x) for kind in kinds})(theta, b)
    expected = row.dense_solution(theta, b)
    assert_same(found, {kind: expected for kind in kinds})


def test_every_kind_is_taken():
    rows = list(ROWS.values())
    assert {kind for row in rows for kind in kinds_of(row)} == set(KINDS)
    assert set(ESSENTIAL) <= set(ROWS)


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
@pytest.mark.parametrize("name", ["cholesky", "ldl", "lu", "lower_unit", "lstsq_tall"])
def test_an_operator_in_another_form(name, dtype, getkey):
    """Linearised or materialised, by lineax or by us."""
    row = ROWS[name]
    theta, b = row.draw(getkey(), dtype)
    forms = {"linearise": lx.linearise, "materialise": lx.materialise, "ours": ex.materialise}
    kinds = ("sparse", "jacobian_forward", "function", "total", "composed", "pytree")

    def solve_with(form, kind, theta, b):
        operator = form(make_operator(row, kind, theta))
        vector = as_vector(operator.out_structure(), b)
        return flat(lx.linear_solve(operator, vector, row.solver).value)

    def everything(theta, b):
        return {
            name: {kind: solve_with(form, kind, theta, b) for kind in kinds}
            for name, form in forms.items()
        }

    expected = row.dense_solution(theta, b)
    told = {name: dict.fromkeys(kinds, expected) for name in forms}
    assert_same(jax.jit(everything)(theta, b), told)


@pytest.mark.parametrize("name", ESSENTIAL)
def test_outside_of_jit(name, getkey):
    """With what comes along: a result, the state and statistics."""
    row = ROWS[name]
    theta, b = row.draw(getkey())
    found = solve(row, "sparse", theta, b)
    assert_same(found.value, row.dense_solution(theta, b))
    assert found.result == lx.RESULTS.successful
    assert int(found.stats["status"]) == 0
    error = float(found.stats["backward_error"])
    measured = name in ("ldl", "lu", "lstsq_tall", "lstsq_wide", "auto")
    assert error <= 10 * np.finfo(float).eps if measured else np.isnan(error)
    assert ex.check_solution(found) is found


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("auto", ex.SparseLU),
        ("auto_symmetric", ex.SparseLDL),
        ("auto_definite", ex.SparseCholesky),
        ("auto_upper", ex.SparseTriangular),
        ("auto_diagonal", ex.SparseTriangular),
        ("auto_tridiagonal", ex.SparseLU),
        ("auto_tall", ex.SparseLSTSQ),
        ("auto_wide", ex.SparseLSTSQ),
    ],
)
def test_the_solver_that_is_selected(name, solver, getkey):
    row = ROWS[name]
    theta, _ = row.draw(getkey())
    kinds = [kind for kind in kinds_of(row) if kind != "symmetric"]
    selected = {kind: row.solver.select_solver(make_operator(row, kind, theta)) for kind in kinds}
    assert {kind: type(chosen) for kind, chosen in selected.items()} == dict.fromkeys(kinds, solver)


def test_what_a_matrix_tells_by_itself_selects_the_solver(getkey):
    """Its type, what it is declared to be, and its pattern."""
    row = ROWS["auto_definite"]
    A = ex.SymmetricMatrix.from_dense(row.matrix(row.draw(getkey(), np.complex128)[0]))
    lower = ex.SparseMatrix.from_dense(jnp.tril(A.todense()))
    chosen = {
        ex.SparseLDL: A,
        ex.SparseCholesky: A.as_positive_definite(),
        ex.SparseLU: A.to_general(),
        ex.SparseTriangular: lower,
    }
    selected = [
        type(ex.AutoSparse().select_solver(ex.SparseLinearOperator(X))) for X in chosen.values()
    ]
    assert selected == list(chosen)


def test_a_pattern_of_the_solver_and_an_ordering(getkey):
    """Where no tag tells, and only what lies in the pattern is read."""
    row = ROWS["lu"]
    theta, b = row.draw(getkey())
    operator = lx.MatrixLinearOperator(jnp.where(row.mask, row.matrix(theta), 7.0))
    for ordering in ("auto", "amd", "nd", "natural"):
        for kind in (ex.SparseLU, ex.SparseLSTSQ, ex.AutoSparse):
            solver = kind(pattern=row.pattern, ordering=ordering)
            found = lx.linear_solve(operator, b, solver)
            assert_same(found.value, row.dense_solution(theta, b))


def test_a_symbolic_structure_is_used(getkey):
    for name, analyze in {"cholesky": {}, "ldl": {"kind": "ldl"}, "lu": {"kind": "lu"}}.items():
        row = ROWS[name]
        theta, b = row.draw(getkey())
        operator = make_operator(row, "sparse" if name == "lu" else "symmetric", theta)
        symbolic = ex.analyze(operator.matrix.pattern, ordering="natural", **analyze)
        solver = type(row.solver)(symbolic=symbolic)
        state = solver.init(operator, {})
        assert state.factor.symbolic is symbolic
        assert_same(lx.linear_solve(operator, b, solver).value, row.dense_solution(theta, b))


def test_a_looser_backward_error_accepts_what_refinement_cannot_reach(getkey):
    """Ten roundings by default: no solution of a nonsingular matrix fails, unless it is asked for more."""
    row = ROWS["lu"]
    theta, b = row.draw(getkey())
    operator = make_operator(row, "sparse", theta)
    strict = lx.linear_solve(operator, b, ex.SparseLU(backward_error=-1.0), throw=False)
    assert strict.result == lx.RESULTS.singular
    assert np.isnan(strict.value).all()
    loose = lx.linear_solve(operator, b, ex.SparseLU(backward_error=1e-3))
    assert loose.result == lx.RESULTS.successful


def test_a_damped_system_is_recognized_by_its_pattern(getkey):
    """[J; c I], as a Levenberg-Marquardt method builds it, with the pattern of J alone."""
    row = ROWS["lstsq_tall"]
    theta, b = row.draw(getkey())
    n = row.shape[1]
    J = row.matrix(theta)
    stacked = jnp.concatenate([jnp.where(row.mask, J, 7.0), 0.5 * jnp.eye(n)])
    solver = ex.SparseLSTSQ(pattern=row.pattern)
    found = lx.linear_solve(lx.MatrixLinearOperator(stacked), jnp.r_[b, jnp.zeros(n)], solver)
    assert_same(found.value, jnp.linalg.solve(J.T @ J + 0.25 * jnp.eye(n), J.T @ b))
