"""The face to lineax: solutions and their derivatives of every order, by the same few objects."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
import pytest
import scipy.sparse as sp

import elimax as ex

from ..helpers import SCALARS
from .solvers import Dense, matrix

N = 7
KINDS = ("general", "own transpose", "symmetric", "refresh", "columns")


def external(dense, kind="general", **options):
    return ex.ExternalSolver(
        dense.setup,
        dense.solve,
        transpose_solve=None if kind == "own transpose" else dense.transpose_solve,
        refresh=dense.refresh if kind == "refresh" else None,
        vmap="columns" if kind == "columns" else "sequential",
        release=dense.release,
        name="dense",
        **options,
    )


def make(kind="general", dtype=np.float64, **options):
    """A matrix, the solver, and what it counts."""
    S = matrix(N, dtype)
    A = (
        ex.SymmetricMatrix.from_scipy(S + S.T.conj())
        if kind == "symmetric"
        else ex.SparseMatrix.from_scipy(S)
    )
    dense = Dense(kind == "columns")
    return A, external(dense, kind, **options), dense


def vector(rng, dtype=np.float64, *shape):
    b = rng.normal(size=(*(shape or (N,)), 2))
    return jnp.asarray(
        b[..., 0] + 1j * b[..., 1] if np.issubdtype(dtype, np.complexfloating) else b[..., 0], dtype
    )


def solution(A, solver):
    """values, b -> x, by the solver, and by dense algebra."""

    def sparse(values, b):
        return lx.linear_solve(ex.SparseLinearOperator(A.with_values(values)), b, solver).value

    def dense(values, b):
        return jnp.linalg.solve(A.with_values(values).todense(), b)

    return sparse, dense


def close(x, y, tolerance=1e-9):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), x, y
    )


# ---------------------------------------------------------------------------------------------
# Values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", SCALARS)
def test_solution_and_its_statistics(rng, dtype, kind):
    A, solver, _ = make(kind, dtype)
    b = vector(rng, dtype)
    done = lx.linear_solve(ex.SparseLinearOperator(A), b, solver)
    np.testing.assert_allclose(A.todense() @ done.value, b, atol=1e3 * np.finfo(dtype).eps)
    assert done.value.dtype == dtype and done.result == lx.RESULTS.successful
    assert done.stats["status"] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_transposed_and_conjugated_states(rng, dtype, kind):
    A, solver, dense = make(kind, dtype)
    D, b = np.asarray(A.todense()), vector(rng, dtype)
    state = solver.init(ex.SparseLinearOperator(A), {})
    transposed, _ = solver.transpose(state, {})
    conjugated, _ = solver.conj(state, {})
    both, _ = solver.conj(transposed, {})
    for s, M in [(state, D), (transposed, D.T), (conjugated, D.conj()), (both, D.conj().T)]:
        x, result, _ = solver.compute(s, b, {})
        np.testing.assert_allclose(M @ x, b, atol=1e-10)
        assert result == lx.RESULTS.successful
    assert dense.called["setup"] == (2 if kind == "own transpose" else 1)


def test_operators_of_any_kind(rng):
    A, solver, _ = make()
    D, b = A.todense(), vector(rng)
    operators = [
        lx.MatrixLinearOperator(D),
        lx.FunctionLinearOperator(lambda x: D @ x, jax.eval_shape(lambda: b)),
        2.0 * ex.SparseLinearOperator(A) / 2.0,
        lx.TaggedLinearOperator(ex.SparseLinearOperator(A), A.pattern),
    ]
    for operator in operators:
        np.testing.assert_allclose(D @ lx.linear_solve(operator, b, solver).value, b, atol=1e-10)
    tree = {"x": b[:3], "y": b[3:].reshape(2, 2)}
    flat = lx.FunctionLinearOperator(
        lambda v: {"x": 2 * v["x"], "y": 3 * v["y"]}, jax.eval_shape(lambda: tree)
    )
    close(lx.linear_solve(flat, tree, solver).value, {"x": b[:3] / 2, "y": b[3:].reshape(2, 2) / 3})


def test_symmetric_tag_spares_the_setup_of_the_transpose(rng):
    S = matrix(N)
    D = jnp.asarray((S + S.T).toarray())
    dense = Dense()
    solver = external(dense, "own transpose")

    def loss(b):
        return jnp.sum(
            lx.linear_solve(lx.MatrixLinearOperator(D, lx.symmetric_tag), b, solver).value ** 2
        )

    close(
        jax.grad(loss)(jnp.ones(N)),
        jax.grad(lambda b: jnp.sum(jnp.linalg.solve(D, b) ** 2))(jnp.ones(N)),
    )
    assert dense.called["setup"] == 1


# ---------------------------------------------------------------------------------------------
# Derivatives


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_two_orders(rng, kind):
    dtype = np.complex128
    A, solver, _ = make(kind, dtype)
    sparse, dense = solution(A, solver)
    args = A.values, vector(rng, dtype)
    direction = vector(rng, dtype, A.nnz), vector(rng, dtype)
    if kind == "symmetric":
        real = A.pattern.rows == A.pattern.columns
        direction = jnp.where(real, direction[0].real, direction[0]), direction[1]

    def loss(f):
        return lambda *args: jnp.sum(jnp.abs(f(*args)) ** 2)

    def jvp(f):
        return lambda *args: jax.jvp(f, args, direction)[1]

    def gradient(f):
        return jax.grad(loss(f), argnums=(0, 1))

    def derivatives(f):
        once = jvp(f), gradient(f)
        twice = jvp(jvp(f)), jvp(gradient(f)), jax.grad(jvp(loss(f)), argnums=(0, 1))
        return jax.jit(lambda *args: [g(*args) for g in (*once, *twice)])

    close(derivatives(sparse)(*args), derivatives(dense)(*args))


def test_hessian(rng):
    A, solver, _ = make()
    b = vector(rng)
    sparse, dense = (
        jax.jit(jax.hessian(lambda v, b, f=f: jnp.sum(f(v, b) ** 3), argnums=(0, 1)))
        for f in solution(A, solver)
    )
    close(sparse(A.values, b), dense(A.values, b))


def test_gradient_lives_on_the_nonzeros(rng):
    A, solver, _ = make()
    b = vector(rng)

    def loss(operator):
        return jnp.sum(lx.linear_solve(operator, b, solver).value ** 2)

    gradient = jax.grad(loss)(ex.SparseLinearOperator(A)).matrix
    whole = jax.grad(lambda D: jnp.sum(jnp.linalg.solve(D, b) ** 2))(A.todense())
    assert gradient.pattern == A.pattern and gradient.values.shape == (A.nnz,)
    close(gradient.todense(), np.where(A.pattern.to_scipy().toarray(), whole, 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_one_setup_for_a_gradient(rng, kind):
    A, solver, dense = make(kind)
    sparse, _ = solution(A, solver)
    gradient = jax.jit(jax.value_and_grad(lambda v, b: jnp.sum(sparse(v, b) ** 2), argnums=(0, 1)))
    jax.block_until_ready(gradient(A.values, vector(rng)))
    assert dense.called["setup"] == (2 if kind == "own transpose" else 1)
    assert dense.called["solve"] + dense.called["transpose_solve"] == 2
    hessian_product = jax.jit(
        lambda v, b: jax.jvp(jax.grad(lambda v: jnp.sum(sparse(v, b) ** 2)), (v,), (v,))
    )
    jax.block_until_ready(hessian_product(A.values, vector(rng)))
    assert dense.called["setup"] == (2 if kind == "own transpose" else 1)


def test_derivatives_when_everything_is_evicted_at_once(rng):
    """Forward and transposed objects of two matrices in one place: slow, and right."""
    A, solver, dense = make("own transpose", capacity=1)
    sparse, oracle = solution(A, solver)
    b = vector(rng)

    def loss(f):
        return lambda v: jnp.sum(f(2 * v, f(v, b)) ** 2)

    for derivative in (jax.grad, lambda f: lambda v: jax.jvp(jax.grad(f), (v,), (v,))):
        ours, theirs = (jax.jit(derivative(loss(f))) for f in (sparse, oracle))
        close(ours(A.values), theirs(A.values))
    assert len(dense.released) == dense.called["setup"] - 1


# ---------------------------------------------------------------------------------------------
# Transformations


@pytest.mark.parametrize("kind", ["general", "columns"])
def test_vmap_over_right_hand_sides_is_one_call(rng, kind):
    A, solver, dense = make(kind)
    operator = ex.SparseLinearOperator(A)
    B = vector(rng, np.float64, 5, N)
    state = solver.init(operator, {})
    calls = solver.counts.calls
    X = jax.vmap(lambda b: lx.linear_solve(operator, b, solver, state=state).value)(B)
    np.testing.assert_allclose(A.todense() @ X.T, B.T, atol=1e-10)
    assert solver.counts.calls == calls + 1
    assert dense.shapes == ([(N, 5)] if kind == "columns" else 5 * [(N,)])


@pytest.mark.parametrize("kind", ["columns", "refresh"])
def test_vmap_over_matrices_and_its_gradient(rng, kind):
    A, solver, dense = make(kind)
    sparse, oracle = solution(A, solver)
    V, B = jnp.stack([A.values, 2 * A.values, 3 * A.values]), vector(rng, np.float64, 3, N)

    def value_and_gradient(f):
        return lambda v, b: (
            f(v, b),
            jax.grad(lambda v, b: jnp.sum(f(v, b) ** 2), argnums=(0, 1))(v, b),
        )

    for axes, args in [((0, 0), (V, B)), ((0, None), (V, B[0])), ((None, 0), (V[0], B))]:
        ours, theirs = (jax.jit(jax.vmap(value_and_gradient(f), axes)) for f in (sparse, oracle))
        close(ours(*args), theirs(*args))
    assert dense.called["setup"] == 3


def test_jacobian_is_one_solve_with_a_block(rng):
    A, solver, dense = make("columns")
    sparse, _ = solution(A, solver)
    b = vector(rng)
    jacobian = jax.jit(jax.jacrev(sparse, argnums=1))
    close(jacobian(A.values, b), jnp.linalg.inv(A.todense()))
    assert (
        dense.shapes == [(N, N)] and dense.called["transpose_solve"] == 1
    )  # XLA drops the solution itself


def test_scan_with_a_state_sets_up_once(rng):
    A, solver, dense = make()
    operator, b = ex.SparseLinearOperator(A), vector(rng)

    @jax.jit
    def iterate(operator, b):
        state = solver.init(operator, {})

        def step(x, _):
            return lx.linear_solve(operator, x, solver, state=state).value, None

        return jax.lax.scan(step, b, length=6)[0]

    np.testing.assert_allclose(
        np.linalg.matrix_power(A.todense(), 6) @ iterate(operator, b), b, atol=1e-6
    )
    assert dense.called == {"setup": 1, "solve": 6}
    gradient = jax.jit(jax.grad(lambda b: jnp.sum(iterate(operator, b))))
    inverse = np.linalg.inv(A.todense())
    close(gradient(b), np.linalg.matrix_power(inverse.T, 6) @ np.ones(N))
    assert dense.called["setup"] == 1


def test_checkpoint_cond_and_while(rng):
    A, solver, _ = make()
    sparse, oracle = solution(A, solver)
    b = vector(rng)
    f = jax.checkpoint(lambda v: jnp.sum(sparse(v, b) ** 2))
    close(jax.grad(f)(A.values), jax.grad(lambda v: jnp.sum(oracle(v, b) ** 2))(A.values))
    g = jax.jit(lambda p, b: jax.lax.cond(p, lambda b: sparse(A.values, b), lambda b: b, b))
    close((g(True, b), g(False, b)), (oracle(A.values, b), b))
    h = jax.jit(
        lambda b: jax.lax.while_loop(
            lambda x: jnp.sum(x**2) > 1e-6, lambda x: sparse(A.values, x), b
        )
    )
    assert jnp.sum(h(b) ** 2) <= 1e-6


def test_newton_of_optimistix_refreshes_one_object(rng):
    """A matrix-free Jacobian whose pattern is known, a new matrix at every step."""
    A, _, dense = make()
    solver = external(dense, "refresh", pattern=A.pattern.union(ex.Pattern.eye(N)))
    b = vector(rng)

    def residual(x, b):
        return A @ x + x**3 / 10 - b

    def root(b):
        newton = optx.Newton(rtol=1e-10, atol=1e-10, linear_solver=solver)
        return optx.root_find(residual, newton, jnp.zeros(N), b, throw=False).value

    x = jax.jit(root)(b)
    np.testing.assert_allclose(residual(x, b), 0.0, atol=1e-8)
    assert dense.called["setup"] == 1 and dense.called["refresh"] >= 2


# ---------------------------------------------------------------------------------------------
# Failures


def failing(error, **options):
    def solve(made, b):
        raise error

    return ex.ExternalSolver(lambda matrix: None, solve, name="mine", **options)


@pytest.mark.parametrize(
    "solver, result",
    [
        (failing(ex.NotConverged("no")), lx.RESULTS.max_steps_reached),
        (failing(ZeroDivisionError("no")), lx.RESULTS.breakdown),
        (ex.ExternalSolver(lambda m: None, lambda m, b: b[:2], name="mine"), lx.RESULTS.breakdown),
        (
            ex.ExternalSolver(lambda m: None, lambda m, b: b * np.nan, name="mine"),
            lx.RESULTS.singular,
        ),
        (ex.ExternalSolver(lambda m: 1 / 0, lambda m, b: b, name="mine"), lx.RESULTS.breakdown),
    ],
)
def test_result_of_a_failure(rng, solver, result):
    A, _, _ = make()
    operator, b = ex.SparseLinearOperator(A), vector(rng)
    with pytest.warns(RuntimeWarning, match="ExternalSolver 'mine'"):
        done = lx.linear_solve(operator, b, solver, throw=False)
        jax.block_until_ready(done.value)
    assert done.result == result and np.isnan(done.value).all()
    with pytest.raises(ex.FactorizationError, match="an external solver failed"):
        ex.check_solution(done)
    with pytest.warns(RuntimeWarning), pytest.raises(Exception, match="solver"):
        jax.block_until_ready(lx.linear_solve(operator, b, solver).value)


def test_input_that_is_not_finite(rng):
    A, solver, dense = make()
    good = vector(rng)
    with pytest.warns(RuntimeWarning, match="NaN"):
        for values, b in [(A.values, good.at[0].set(jnp.nan)), (A.values.at[0].set(jnp.inf), good)]:
            operator = ex.SparseLinearOperator(A.with_values(values))
            done = lx.linear_solve(operator, b, solver, throw=False)
            assert done.result == lx.RESULTS.nonfinite_input
    assert dense.called["solve"] == 0


def test_raising_names_the_solver(rng):
    A, _, _ = make()
    solver = failing(ZeroDivisionError("oh"), on_failure="raise")
    for throw in (True, False):
        with pytest.raises(Exception, match="ExternalSolver 'mine': .*ZeroDivisionError: oh"):
            jax.block_until_ready(
                lx.linear_solve(ex.SparseLinearOperator(A), vector(rng), solver, throw=throw).value
            )


def test_batch_elements_fail_alone(rng):
    A, _, _ = make()
    dense = Dense()
    plain = dense.setup

    def setup(S):
        if S[0, 0] < 0:
            raise ValueError("not mine")
        return plain(S)

    dense.setup = setup
    solver = external(dense)
    V, b = jnp.stack([A.values, -A.values, 2 * A.values]), vector(rng)

    def solve(v):
        done = lx.linear_solve(ex.SparseLinearOperator(A.with_values(v)), b, solver, throw=False)
        return done.value, done.stats["status"]

    with pytest.warns(RuntimeWarning, match="ValueError: not mine .*batch element 1; 1 of 3 fail"):
        X, status = jax.block_until_ready(jax.jit(jax.vmap(solve))(V))
    assert status.tolist() == [0, -20, 0] and np.isnan(X[1]).all()
    np.testing.assert_allclose(2 * A.todense() @ X[2], b, atol=1e-10)


# ---------------------------------------------------------------------------------------------
# The object itself


def test_context_repr_and_close(rng):
    A, solver, dense = make(capacity=3)
    assert repr(solver) == "ExternalSolver('dense', 0 of 3 objects)"
    with solver as same:
        assert same is solver
        lx.linear_solve(ex.SparseLinearOperator(A), vector(rng), solver)
        assert repr(solver) == "ExternalSolver('dense', 1 of 3 objects)"
    assert dense.released == [1] and repr(solver) == "ExternalSolver('dense', closed)"
    with pytest.raises(ValueError, match="ExternalSolver 'dense' is closed: make a new one"):
        solver.init(ex.SparseLinearOperator(A), {})


def test_default_name_is_that_of_setup():
    assert ex.ExternalSolver(sp.linalg.splu, lambda lu, b: lu.solve(b)).name == "splu"
    assert ex.ExternalSolver(dict, lambda made, b: b, name="mine").name == "mine"


@pytest.mark.parametrize(
    "options, error, sentence",
    [
        ({"setup": 3}, TypeError, "`setup` must be a function, got int"),
        ({"solve": None}, TypeError, "`solve` must be a function, got NoneType"),
        ({"release": "x"}, TypeError, "`release` must be a function, got str"),
        ({"vmap": "expand_dims"}, ValueError, '`vmap` must be "sequential" or "columns"'),
        ({"on_failure": "ignore"}, ValueError, '`on_failure` must be "result" or "raise"'),
        ({"capacity": 0}, ValueError, "`capacity` must be a positive integer, got 0"),
        ({"capacity": 2.5}, ValueError, "`capacity` must be a positive integer, got 2.5"),
        ({"name": 7}, TypeError, "`name` must be a string, got int"),
    ],
)
def test_bad_arguments(options, error, sentence):
    with pytest.raises(error, match=sentence):
        ex.ExternalSolver(**({"setup": dict, "solve": lambda made, b: b} | options))


def test_rectangular_is_an_error():
    A = ex.SparseMatrix.from_scipy(sp.random_array((5, 3), density=0.5))
    with pytest.raises(
        ValueError, match="`ExternalSolver` may only be used .* got shape \\(5, 3\\)"
    ):
        make()[1].init(ex.SparseLinearOperator(A), {})
