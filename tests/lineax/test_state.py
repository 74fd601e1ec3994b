"""States: reused, carried through control flow, not differentiated; precision, pytrees and small sizes."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

import elimax as ex
from elimax._structure._native import counted

from .table import ESSENTIAL, ROWS, assert_same, make_operator, relative_error, solve


@pytest.mark.parametrize("name", ESSENTIAL)
def test_a_state_is_reused(name, getkey):
    """Between calls, with and without jit: one factorization for all right-hand sides."""
    row = ROWS[name]
    theta, b = row.draw(getkey())
    operator = make_operator(row, "sparse", theta)
    before = counted("factorization")
    state = jax.block_until_ready(jax.jit(row.solver.init)(operator, {}))
    made = counted("factorization") - before
    assert made == (0 if name == "lower" else 1)
    for scale in (1.0, 2.0, -3.0):
        found = lx.linear_solve(operator, scale * b, row.solver, state=state)
        assert_same(found.value, row.dense_solution(theta, scale * b))
    again = lx.linear_solve(operator, b, row.solver, state=found.state)
    assert_same(again.value, row.dense_solution(theta, b))
    assert counted("factorization") - before == made


@pytest.mark.parametrize("name", ["cholesky", "ldl", "lu", "lstsq_tall", "lower", "auto"])
def test_a_state_in_control_flow(name, getkey):
    """Carried by scan, while_loop and cond, factorized once before and anew in every step."""
    row = ROWS[name]
    thetas, B = row.draw(getkey(), np.float64, (3,))
    solver = row.solver
    operators = jax.vmap(lambda theta: make_operator(row, "sparse", theta))(thetas)
    first = make_operator(row, "sparse", thetas[0])

    def solve(operator, b, state):
        return lx.linear_solve(operator, b, solver, state=state).value

    @jax.jit
    def fixed(B):
        state = solver.init(first, {})
        return jax.lax.scan(lambda state, b: (state, solve(first, b, state)), state, B)[1]

    before = counted("factorization")
    assert_same(fixed(B), jnp.stack([row.dense_solution(thetas[0], b) for b in B]))
    assert counted("factorization") - before <= 1

    def step(state, x):
        operator, b = x
        new = solver.init(operator, {})
        return new, solve(operator, b, new)

    carried = jax.jit(lambda: jax.lax.scan(step, solver.init(first, {}), (operators, B))[1])
    assert_same(carried(), jnp.stack([row.dense_solution(*x) for x in zip(thetas, B, strict=True)]))

    @jax.jit
    def repeated(b):
        """Refactorizes in every other step."""

        def body(carry):
            k, state, total = carry
            state = jax.lax.cond(k % 2 == 0, lambda: solver.init(first, {}), lambda: state)
            return k + 1, state, total + solve(first, b, state)

        start = (0, solver.init(first, {}), jnp.zeros(row.shape[1]))
        return jax.lax.while_loop(lambda carry: carry[0] < 4, body, start)[2]

    assert_same(repeated(B[0]), 4 * row.dense_solution(thetas[0], B[0]))


class Undifferentiated(lx.AbstractLinearSolver):
    """A solver whose `init` cannot be differentiated."""

    solver: lx.AbstractLinearSolver

    def init(self, operator, options):
        dynamic, static = eqx.partition(operator, eqx.is_array)

        @jax.custom_jvp
        def init(dynamic):
            return self.solver.init(eqx.combine(dynamic, static), options)

        @init.defjvp
        def _(primals, tangents):
            raise AssertionError("`init` is differentiated")

        return init(dynamic)

    def compute(self, state, vector, options):
        return self.solver.compute(state, vector, options)

    def transpose(self, state, options):
        return self.solver.transpose(state, options)

    def conj(self, state, options):
        return self.solver.conj(state, options)

    def assume_full_rank(self):
        return self.solver.assume_full_rank()


@pytest.mark.parametrize("name", ESSENTIAL)
def test_init_is_not_differentiated(name, getkey):
    row = ROWS[name]
    guarded = dataclasses.replace(row, solver=Undifferentiated(row.solver))
    theta, b = row.draw(getkey())

    def first_and_second(f):
        gradient = jax.grad(lambda theta: jnp.sum(f(theta, b) ** 2))
        return jax.jvp(gradient, (theta,), (jnp.ones_like(theta),))

    found = first_and_second(lambda *x: solve(guarded, "sparse", *x).value)
    assert_same(found, first_and_second(row.dense_solution))
    with pytest.raises(AssertionError, match="is differentiated"):
        jax.jvp(
            lambda theta: guarded.solver.init(make_operator(row, "sparse", theta), {}),
            (theta,),
            (theta,),
        )


@pytest.mark.parametrize("name", ["cholesky", "lu", "lstsq_tall"])
def test_a_state_that_is_differentiated_through(name, getkey):
    """Derivatives come from the operator: the state only stands for its inverse."""
    row = ROWS[name]
    theta, b = row.draw(getkey())

    def loss(theta):
        operator = make_operator(row, "sparse", theta)
        state = row.solver.init(operator, {})
        return jnp.sum(lx.linear_solve(operator, b, row.solver, state=state).value)

    expected = jax.grad(lambda theta: jnp.sum(row.dense_solution(theta, b)))(theta)
    assert_same(jax.jit(jax.grad(loss))(theta), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("name", ESSENTIAL)
def test_single_precision(name, dtype, getkey):
    """Computed in its own precision, with errors to match; gradients, too."""
    row = ROWS[name]
    wide = {np.float32: np.float64, np.complex64: np.complex128}[dtype]
    theta, b = row.draw(getkey(), wide)
    narrow = (theta.astype(dtype), b.astype(dtype))
    operator = make_operator(row, "sparse", narrow[0])
    assert row.solver.init(operator, {}).factor.dtype == dtype

    def value_and_gradient(theta, b):
        found, pull = jax.vjp(lambda *x: solve(row, "sparse", *x).value, theta, b)
        return found, pull(found)

    found = jax.jit(value_and_gradient)(*narrow)
    expected, pull = jax.vjp(row.dense_solution, theta, b)
    for x, exact in zip(jax.tree.leaves(found), [expected, *pull(expected)], strict=True):
        assert x.dtype == dtype
        assert 1e-9 < relative_error(np.asarray(x, wide), exact) < 2e-5


def _array(x, dtype):
    return jnp.asarray(x, dtype)


@pytest.mark.parametrize("solver", [ex.SparseLU(), ex.SparseLSTSQ(), ex.AutoSparse()])
@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        (np.float32, np.float64, [-3.25, 1.25]),
        (np.complex64, np.complex128, [-3.25, 1.25]),
        (np.float64, np.complex128, [-3.25, 1.25]),
    ],
)
def test_mixed_dtypes(solver, narrow, wide, expected):
    """Leaves of several dtypes are computed with in the common one and returned in their own."""
    blocks = [[_array(1, narrow), _array(5, wide)], [_array(-2, narrow), _array(-2, wide)]]
    vector = [_array(3, wide), _array(4, wide)]
    operator = lx.PyTreeLinearOperator(blocks, jax.eval_shape(lambda: vector))
    found = lx.linear_solve(operator, vector, solver)
    assert found.state.factor.dtype == wide
    assert_same(found.value, [_array(expected[0], narrow), _array(expected[1], wide)], 1e-7)


def test_a_complex_vector_needs_a_complex_structure():
    """A real matrix between complex vectors is factorized as a complex one."""
    A = ex.SparseMatrix.from_dense(jnp.array([[2.0, 1.0], [0.0, 4.0]]))
    complex_vector = jax.ShapeDtypeStruct((2,), np.complex128)
    operator = ex.SparseLinearOperator(A, in_structure=complex_vector, out_structure=complex_vector)
    b = jnp.array([1.0 + 2j, 3.0 - 1j])
    found = lx.linear_solve(operator, b, ex.SparseLU()).value
    assert_same(found, jnp.linalg.solve(A.todense().astype(complex), b))


@pytest.mark.parametrize("solver", [ex.SparseLU(), ex.SparseLSTSQ(), ex.AutoSparse()])
def test_pytrees(solver, rng):
    """Rows and columns of different structure, nested, with scalars, empty leaves and None."""
    dense = rng.normal(size=(5, 5)) + 4 * np.eye(5)
    columns = {
        "a": jnp.zeros((2, 1)),
        "b": (jnp.zeros(()), None, jnp.zeros((0, 3))),
        "c": jnp.zeros(2),
    }
    rows = [jnp.zeros((1, 2, 1)), jnp.zeros(3)]
    operator = ex.SparseLinearOperator(
        ex.SparseMatrix.from_dense(dense), in_structure=columns, out_structure=rows
    )
    b = rng.normal(size=5)
    vector = [jnp.asarray(b[:2]).reshape(1, 2, 1), jnp.asarray(b[2:])]
    x = jnp.linalg.solve(dense, b)
    found = lx.linear_solve(operator, vector, solver).value
    told = {"a": x[:2, None], "b": (x[2], None, jnp.zeros((0, 3))), "c": x[3:]}
    assert_same(found, told)
    assert_same(operator.mv(found), vector)


SOLVERS = {
    "cholesky": (ex.SparseCholesky(), lx.positive_semidefinite_tag),
    "ldl": (ex.SparseLDL(), lx.symmetric_tag),
    "lu": (ex.SparseLU(), ()),
    "lstsq": (ex.SparseLSTSQ(), ()),
    "triangular": (ex.SparseTriangular(), lx.lower_triangular_tag),
    "auto": (ex.AutoSparse(), ()),
    "auto_definite": (ex.AutoSparse(), lx.positive_semidefinite_tag),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_no_unknowns_and_one(name):
    solver, tags = SOLVERS[name]
    for n in (0, 1):
        operator = ex.SparseLinearOperator(4.0 * ex.SparseMatrix.eye(n), tags)
        b = jnp.full(n, 2.0)

        def value(b):
            return lx.linear_solve(operator, b, solver).value  # noqa: B023

        assert_same(value(b), b / 4)
        assert_same(jax.jit(jax.grad(lambda b: value(b).sum()))(b), jnp.full(n, 0.25))
        assert_same(jax.vmap(value)(jnp.stack([b, 3 * b])), jnp.stack([b, 3 * b]) / 4)


def test_least_squares_without_rows_or_columns():
    """Nothing to fit is fitted by zeros."""
    for shape in ((3, 0), (0, 3)):
        operator = ex.SparseLinearOperator(ex.SparseMatrix.from_dense(np.zeros(shape)))
        found = lx.linear_solve(operator, jnp.ones(shape[0]), ex.SparseLSTSQ()).value
        assert_same(found, jnp.zeros(shape[1]))


def test_empty_rows_and_columns(rng):
    """A tall matrix may have empty rows, a wide one empty columns."""
    dense = rng.normal(size=(6, 3))
    dense[[1, 4]] = 0
    for A in (dense, dense.T):
        b = rng.normal(size=A.shape[0])
        operator = ex.SparseLinearOperator(ex.SparseMatrix.from_dense(A))
        for solver in (ex.SparseLSTSQ(), ex.AutoSparse()):
            found = lx.linear_solve(operator, jnp.asarray(b), solver).value
            assert_same(found, jnp.linalg.pinv(A) @ b)


@pytest.mark.parametrize("name", ["cholesky", "ldl", "lu", "lstsq_tall", "lower"])
def test_a_solver_is_a_static_argument(name, getkey):
    """Hashable, comparable: two of the same options are one program."""
    solver = ROWS[name].solver
    twin = type(solver)()
    assert solver == twin and hash(solver) == hash(twin)
    assert jax.tree.leaves(solver) == []
    theta, b = ROWS[name].draw(getkey())
    traces = []

    @eqx.filter_jit
    def f(operator, b, solver):
        traces.append(1)
        return lx.linear_solve(operator, b, solver).value

    operator = make_operator(ROWS[name], "sparse", theta)
    assert_same(f(operator, b, solver), f(operator, b, twin))
    assert len(traces) == 1
