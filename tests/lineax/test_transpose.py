"""Transposes, conjugates and adjoints: of operators, of states, and of solutions as functions of b."""

import functools

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

import elimax as ex
from elimax._structure._native import counted

from .table import (
    MOSTLY_REAL,
    ROWS,
    as_vector,
    assert_same,
    flat,
    kinds_of,
    make_operator,
    solution,
)

NAMES = [name for name in ROWS if name not in ("auto_upper", "auto_tridiagonal", "auto_wide")]


def _inverse(row, theta):
    """The dense matrix of the map from b to the solution."""
    return jnp.stack(
        [row.dense_solution(theta, e) for e in jnp.eye(row.shape[0], dtype=theta.dtype)], 1
    )


VIEWS = {
    "transpose": (("transpose",), lambda X: X.T),
    "conj": (("conj",), jnp.conj),
    "adjoint": (("conj", "transpose"), lambda X: X.conj().T),
    "adjoint, the other way": (("transpose", "conj"), lambda X: X.conj().T),
    "transpose twice": (("transpose", "transpose"), lambda X: X),
    "conj of adjoint": (("transpose", "conj", "conj"), lambda X: X.T),
}


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
@pytest.mark.parametrize("name", NAMES)
def test_a_state(name, dtype, getkey):
    """Every view of a state solves as a state of that view of the operator, without a factorization."""
    row = ROWS[name]
    theta, b = row.draw(getkey(), dtype)
    _, c = row.draw(getkey(), dtype)
    c = jnp.resize(c, row.shape[1])
    operator = make_operator(row, "symmetric" if row.symmetry else "sparse", theta)

    def views(operator, solver, b, c):
        state = solver.init(operator, {})
        solutions = {}
        for view, (steps, _) in VIEWS.items():
            turned, viewed = state, operator
            for step in steps:
                turned, _ = getattr(solver, step)(turned, {})
                viewed = viewed.T if step == "transpose" else lx.conj(viewed)
            vector = c if steps.count("transpose") == 1 else b
            solutions[view] = lx.linear_solve(viewed, vector, solver, state=turned).value
        return solutions

    f = jax.jit(functools.partial(views, operator, row.solver))
    before = counted("factorization")
    found = jax.block_until_ready(f(b, c))
    assert counted("factorization") - before <= 1
    inverse = _inverse(row, theta)
    expected = {
        view: dense(inverse) @ (c if steps.count("transpose") == 1 else b)
        for view, (steps, dense) in VIEWS.items()
    }
    assert_same(found, expected)


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
@pytest.mark.parametrize(
    "name", ["cholesky", "ldl", "lu", "lower_unit", "lstsq_tall", "lstsq_wide"]
)
def test_an_operator(name, dtype, getkey):
    """A transposed or conjugated operator of any kind is solved with like any other."""
    row = ROWS[name]
    theta, b = row.draw(getkey(), dtype)
    c = jnp.resize(b, row.shape[1])
    kinds = [kind for kind in kinds_of(row, dtype) if kind not in ("pytree", "jacobian_backward")]

    def solve(operator, entries):
        vector = as_vector(operator.out_structure(), entries)
        return flat(lx.linear_solve(operator, vector, row.solver).value)

    def everything(theta, b, c):
        operators = {kind: make_operator(row, kind, theta) for kind in kinds}
        return {
            kind: (
                solve(operator.T, c),
                solve(lx.conj(operator), b),
                solve(lx.conj(operator).T, c),
                solve(lx.conj(operator.T), c),
            )
            for kind, operator in operators.items()
        }

    X = _inverse(row, theta)
    expected = (X.T @ c, X.conj() @ b, X.conj().T @ c, X.conj().T @ c)
    assert_same(jax.jit(everything)(theta, b, c), dict.fromkeys(kinds, expected))


def test_a_transposed_jacobian_without_forward_mode(getkey):
    row = ROWS["lu"]
    theta, b = row.draw(getkey())
    operator = make_operator(row, "jacobian_backward", theta)
    found = lx.linear_solve(operator.T, b, row.solver).value
    assert_same(found, jnp.linalg.solve(row.matrix(theta).T, b))


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
@pytest.mark.parametrize(
    "name", ["cholesky", "ldl", "lu", "lower", "lstsq_tall", "lstsq_wide", "auto"]
)
def test_linear_transpose(name, dtype, getkey):
    """The solution is linear in b: transposed by JAX, with one factorization for both."""
    row = ROWS[name]
    theta, b = row.draw(getkey(), dtype)
    c = jnp.resize(b, row.shape[1])
    f = functools.partial(solution, row, "sparse", theta)
    (found,) = jax.jit(jax.linear_transpose(f, b))(c)
    assert_same(found, _inverse(row, theta).T @ c)

    def both(b, c):
        x, pull = jax.vjp(f, b)
        return x, pull(c)

    before = counted("factorization")
    jax.block_until_ready(jax.jit(both)(b, c))
    assert counted("factorization") - before <= 1


@pytest.mark.parametrize("dtype", MOSTLY_REAL)
def test_the_adjoint_of_an_operator(dtype, getkey):
    """<A x, y> = <x, A^H y>, on every kind that takes a matrix of any shape."""
    row = ROWS["lstsq_wide"]
    theta, y = row.draw(getkey(), dtype)
    x = jnp.resize(y + 1, row.shape[1])
    for kind in kinds_of(row, dtype):
        operator = make_operator(row, kind, theta)
        image = flat(operator.mv(as_vector(operator.in_structure(), x)))
        adjoint = lx.conj(operator).T if kind != "jacobian_backward" else operator.T
        preimage = flat(adjoint.mv(as_vector(adjoint.in_structure(), y)))
        assert_same(jnp.vdot(y, image), jnp.vdot(preimage, x))


def test_transposes_of_structured_vectors():
    """Rows and columns of different structure change places."""
    A = ex.SparseMatrix.from_dense(np.arange(1.0, 7.0).reshape(2, 3))
    columns = {
        "x": jax.ShapeDtypeStruct((2,), np.float64),
        "y": jax.ShapeDtypeStruct((), np.float64),
    }
    operator = ex.SparseLinearOperator(
        A, in_structure=columns, out_structure=[jax.ShapeDtypeStruct((), np.float64)] * 2
    )
    solver = ex.SparseLSTSQ()
    state, _ = solver.transpose(solver.init(operator, {}), {})
    vector = {"x": jnp.array([1.0, 2.0]), "y": jnp.array(4.0)}
    found = lx.linear_solve(operator.T, vector, solver, state=state).value
    expected, *_ = jnp.linalg.lstsq(A.todense().T, jnp.array([1.0, 2.0, 4.0]))
    assert_same(found, list(expected))
    assert operator.T.out_structure() == columns
