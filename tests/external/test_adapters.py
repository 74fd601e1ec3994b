"""The ready-made adapters, with the libraries themselves; one that is not installed is skipped."""

import importlib

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex

from ..helpers import SCALARS, spd
from .solvers import matrix

LIBRARY = {"superlu": "scipy", "pyamg": "pyamg", "cholmod": "cvxopt", "pardiso": "pypardiso"}
ADAPTERS = {
    "superlu": "superlu",
    "pyamg": "smoothed_aggregation",
    "cholmod": "cholmod",
    "pardiso": "pardiso",
}
SINGLE = {"superlu", "pyamg"}  # the others compute in double precision
PAIRS = [
    (name, dtype)
    for name in LIBRARY
    for dtype in SCALARS
    if name != "pardiso" or dtype().real.dtype == dtype
]
needs_definite = {"pyamg", "cholmod"}


def adapter(name, **options):
    pytest.importorskip(LIBRARY[name])
    module = importlib.import_module(f"elimax.adapters.{name}")
    return getattr(module, ADAPTERS[name])(**options)


def operator(name, dtype=np.float64):
    if name in needs_definite:
        A = ex.SymmetricMatrix.from_scipy(spd("grid_2d", dtype))
        return ex.SparseLinearOperator(A, lx.positive_semidefinite_tag)
    return ex.SparseLinearOperator(ex.SparseMatrix.from_scipy(matrix(40, dtype)))


def side(rng, n, dtype=np.float64):
    b = rng.normal(size=(n, 2))
    return jnp.asarray(
        b[:, 0] + 1j * b[:, 1] if np.issubdtype(dtype, np.complexfloating) else b[:, 0], dtype
    )


@pytest.mark.parametrize("name, dtype", PAIRS)
def test_solution(rng, name, dtype):
    A = operator(name, dtype)
    tolerance = 1e3 * np.finfo(dtype).eps
    options = {"tol": 100 * float(np.finfo(dtype).eps)} if name == "pyamg" else {}
    with adapter(name, **options) as solver:
        b = side(rng, A.in_size(), dtype)
        done = jax.jit(lambda A, b: lx.linear_solve(A, b, solver))(A, b)
        r = A.as_matrix() @ done.value - b
        assert done.value.dtype == dtype
        assert np.linalg.norm(r) <= tolerance * np.linalg.norm(b)
        assert solver.counts.setups == 1


@pytest.mark.parametrize("name", LIBRARY)
def test_gradient_and_batches(rng, name):
    A = operator(name)
    b = side(rng, A.in_size())
    options = {"tol": 1e-14} if name == "pyamg" else {}
    with adapter(name, **options) as solver:

        def loss(matrix, b):
            operator = ex.SparseLinearOperator(matrix, A.tags)
            return jnp.sum(lx.linear_solve(operator, b, solver).value ** 2)

        def oracle(matrix, b):
            return jnp.sum(jnp.linalg.solve(matrix.todense(), b) ** 2)

        ours, theirs = (jax.jit(jax.grad(f, argnums=(0, 1)))(A.matrix, b) for f in (loss, oracle))
        np.testing.assert_allclose(ours[0].values, theirs[0].values, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6, atol=1e-8)
        assert solver.counts.setups == 1  # the transposed solve has the same object

        B = jnp.stack([b, 2 * b, b - 1])
        before = solver.counts.calls
        state = solver.init(A, {})
        X = jax.vmap(lambda b: lx.linear_solve(A, b, solver, state=state).value)(B)
        np.testing.assert_allclose(A.as_matrix() @ X.T, B.T, atol=1e-8)
        assert solver.counts.calls == before + 2 and solver.counts.setups == 1


def test_one_hierarchy_for_many_solves(rng):
    """k solves with one PyAMG hierarchy cost one setup, across programs, scans and gradients."""
    solver = adapter("pyamg", tol=1e-12)
    S = ex.SymmetricMatrix.from_scipy(
        sp.kronsum(*2 * [sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(20, 20))])
    )
    A = ex.SparseLinearOperator(S, lx.positive_semidefinite_tag)

    @jax.jit
    def smooth(A, u):
        state = solver.init(A, {})
        return jax.lax.scan(
            lambda u, _: (lx.linear_solve(A, u, solver, state=state).value, None), u, length=10
        )[0]

    u = smooth(A, jnp.ones(400))
    assert (solver.counts.setups, solver.counts.solves) == (1, 10)
    inverse = np.linalg.inv(A.as_matrix())
    np.testing.assert_allclose(u, np.linalg.matrix_power(inverse, 10) @ np.ones(400), rtol=1e-8)
    jax.block_until_ready(jax.jit(jax.grad(lambda u: jnp.sum(smooth(A, u))))(u))
    jax.block_until_ready(lx.linear_solve(A, u, solver).value)
    assert solver.counts.setups == 1 and solver.counts.solves >= 21


def test_pyamg_that_does_not_converge(rng):
    solver = adapter("pyamg", tol=1e-14, maxiter=1)
    A = operator("pyamg")
    with pytest.warns(
        RuntimeWarning, match="'pyamg.smoothed_aggregation': it did not converge: the relative"
    ):
        done = lx.linear_solve(A, side(rng, A.in_size()), solver, throw=False)
        jax.block_until_ready(done.value)
    assert done.result == lx.RESULTS.max_steps_reached
    cycle = adapter("pyamg", tol=0, maxiter=1)  # a preconditioner
    assert lx.linear_solve(A, side(rng, A.in_size()), cycle).result == lx.RESULTS.successful


def test_cholmod_refreshes_and_refuses_indefinite_matrices(rng):
    solver = adapter("cholmod")
    A, b = operator("cholmod"), side(rng, operator("cholmod").in_size())
    for factor in (1.0, 2.0, 3.0):
        x = lx.linear_solve(factor * A, b, solver).value
        np.testing.assert_allclose(factor * A.as_matrix() @ x, b, atol=1e-10)
    assert solver.counts.setups == 1 and solver.counts.refreshes == 2
    with (
        pytest.warns(RuntimeWarning, match="'cholmod': `refresh` raised an exception"),
        pytest.warns(RuntimeWarning, match="'cholmod': its code raised an exception: Arith"),
    ):
        done = lx.linear_solve(-1.0 * A, b, solver, throw=False)
        jax.block_until_ready(done.value)
    assert done.result == lx.RESULTS.breakdown
    np.testing.assert_allclose(A.as_matrix() @ lx.linear_solve(A, b, solver).value, b, atol=1e-10)


@pytest.mark.parametrize("name", ["superlu", "pardiso"])
def test_singular_matrix_is_a_failure(name):
    solver = adapter(name, on_failure="raise")
    zero = ex.SparseMatrix.from_coo([0, 1, 1], [0, 0, 1], [1.0, 1.0, 0.0], (2, 2))
    if name == "pardiso":  # it perturbs small pivots, but refuses an empty column
        zero = ex.SparseMatrix.from_coo([0, 1], [0, 0], [1.0, 1.0], (2, 2))
    with pytest.raises(Exception, match=f"ExternalSolver '{name}': its code raised an exception"):
        jax.block_until_ready(
            lx.linear_solve(ex.SparseLinearOperator(zero), jnp.ones(2), solver).value
        )


def test_complex_matrix_is_a_failure_of_pardiso(rng):
    solver = adapter("pardiso", on_failure="raise")
    A = operator("pardiso", np.complex128)
    with pytest.raises(Exception, match="ExternalSolver 'pardiso': .*TypeError: .*complex128"):
        jax.block_until_ready(lx.linear_solve(A, side(rng, 40, np.complex128), solver).value)
