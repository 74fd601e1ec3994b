"""Factors as preconditioners of lineax's iterative solvers: fewer steps, the same solutions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg

import elimax as ex
import preconditioned

from ..helpers import assert_close

K = 20


def laplacian(shift: float = 0.01) -> ex.SymmetricMatrix:
    line = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(K, K))
    S = sp.csc_array(sp.kronsum(line, line) + shift * sp.eye_array(K * K))
    return ex.SymmetricMatrix.from_scipy(S).as_positive_definite()


def convection(strength: float = 0.8) -> ex.SparseMatrix:
    wind = ex.SparseMatrix.diags([strength, -strength], [1, -1], (K * K, K * K))
    return laplacian() + wind


B = jnp.sin(jnp.arange(float(K * K)))
CG = lx.CG(rtol=1e-9, atol=1e-9)
ITERATIONS = {
    "gmres": lx.GMRES(rtol=1e-9, atol=1e-9, restart=40),
    "bicgstab": lx.BiCGStab(rtol=1e-9, atol=1e-9),
}


def steps(operator, solver, M=None) -> int:
    solution = lx.linear_solve(
        operator, B, solver, options={} if M is None else {"preconditioner": M}
    )
    assert_close(operator.mv(solution.value), B, 1e-6)
    return int(solution.stats["num_steps"])


def test_conjugate_gradients():
    A = laplacian()
    operator = ex.SparseLinearOperator(A)
    plain = steps(operator, CG)
    assert steps(operator, CG, ex.preconditioner(operator)) <= 2
    assert steps(operator, CG, ex.preconditioner(ex.cholesky(A))) <= 2
    stale = ex.preconditioner(ex.SparseLinearOperator(laplacian(0.1)))
    assert steps(operator, CG, stale) < plain / 3
    incomplete = steps(operator, CG, ex.preconditioner(operator, ex.SparseILU()))
    assert incomplete < 0.6 * plain
    assert steps(operator, CG, ex.preconditioner(ex.incomplete_lu(A))) == incomplete
    modified = ex.preconditioner(operator, ex.SparseILU(modified=True))
    assert steps(operator, CG, modified) < incomplete


@pytest.mark.parametrize("name", ITERATIONS)
def test_unsymmetric_iterations(name):
    solver = ITERATIONS[name]
    A = convection()
    operator = ex.SparseLinearOperator(A)
    plain = steps(operator, solver)
    for exact in (ex.preconditioner(operator), ex.preconditioner(ex.lu(A))):
        assert steps(operator, solver, exact) <= 3
    assert steps(operator, solver, ex.preconditioner(ex.lu(convection(0.7)))) < plain
    assert steps(operator, solver, ex.preconditioner(operator, ex.SparseILU())) < plain


def test_any_solver_preconditions():
    """lineax's own, and one of another library on the host."""
    operator = ex.SparseLinearOperator(convection())
    stale = ex.SparseLinearOperator(convection(0.7))
    plain = steps(operator, ITERATIONS["gmres"])
    with ex.ExternalSolver(scipy.sparse.linalg.splu, lambda lu, b: lu.solve(b)) as external:
        for solver in (lx.LU(), external):
            M = ex.preconditioner(stale, solver)
            assert steps(operator, ITERATIONS["gmres"], M) < plain


def test_precision_may_be_lower():
    A = convection()
    rough = ex.preconditioner(ex.SparseLinearOperator(A.astype(jnp.float32)))

    single = lx.FunctionLinearOperator(
        lambda x: rough.mv(x.astype(jnp.float32)).astype(x.dtype), jax.eval_shape(lambda: B)
    )
    assert steps(ex.SparseLinearOperator(A), ITERATIONS["gmres"], single) <= 4


@pytest.mark.parametrize("name", ITERATIONS)
def test_derivatives_are_those_of_the_system(name):
    A = convection()
    M = ex.preconditioner(ex.lu(convection(0.7)))
    w = jnp.cos(jnp.arange(float(K * K)))

    def iterated(v, b):
        operator = ex.SparseLinearOperator(A.with_values(v))
        solution = lx.linear_solve(operator, b, ITERATIONS[name], options={"preconditioner": M})
        return jnp.vdot(w, solution.value)

    def direct(v, b):
        return jnp.vdot(w, ex.lu(A.with_values(v)).solve(b))

    for a, b in zip(
        jax.grad(iterated, (0, 1))(A.values, B), jax.grad(direct, (0, 1))(A.values, B), strict=True
    ):
        assert_close(a, b, 1e-5)


def test_it_is_the_inverse():
    """As an operator: products, transpose, conjugate, matrix; for every factor, real and complex."""
    rng = np.random.default_rng(0)
    S = sp.random_array((9, 9), density=0.3, rng=rng) + 4 * sp.eye_array(9)
    S = sp.csc_array(S + 1j * sp.random_array((9, 9), density=0.2, rng=rng))
    H = sp.csc_array(S + S.conj().T)
    hermitian = ex.SymmetricMatrix.from_scipy(H)
    symmetric = ex.SymmetricMatrix.from_scipy(sp.csc_array(S + S.T), hermitian=False)
    general = ex.SparseMatrix.from_scipy(S)
    complete = ex.incomplete_lu(ex.SparseMatrix.from_dense(S.toarray(), ex.Pattern.dense((9, 9))))
    for source, matrix in (
        (ex.cholesky(hermitian), H),
        (ex.ldl(hermitian), H),
        (ex.ldl(symmetric), S + S.T),
        (ex.lu(general), S),
        (complete, S),
        (ex.SparseLinearOperator(general), S),
    ):
        M, inverse = ex.preconditioner(source), np.linalg.inv(matrix.toarray())
        b = jnp.asarray(rng.normal(size=9) + 1j * rng.normal(size=9))
        assert_close(M.mv(b), inverse @ b, 1e-13)
        assert_close(M.T.mv(b), inverse.T @ b, 1e-13)
        assert_close(lx.conj(M).mv(b), inverse.conj() @ b, 1e-13)
        assert_close(lx.conj(M.T).mv(b), inverse.conj().T @ b, 1e-13)
        assert_close(M.as_matrix(), inverse, 1e-13)
        assert_close(lx.diagonal(M), np.diag(inverse), 1e-13)
        assert_close(lx.tridiagonal(M)[1], np.diag(inverse, -1), 1e-13)
        assert lx.is_positive_semidefinite(M) == isinstance(source, ex.Cholesky)


def test_it_is_carried_through_a_loop_without_compiling_again():
    """A stale factor in the state of a scan, while the operator moves away from it."""
    traces = 0

    @eqx.filter_jit
    def run(M, shifts):
        nonlocal traces
        traces += 1

        def step(carry, shift):
            M, x = carry
            operator = ex.SparseLinearOperator(convection() + shift * ex.SparseMatrix.eye(K * K))
            options = {"preconditioner": M, "y0": x}
            solution = lx.linear_solve(operator, B, ITERATIONS["bicgstab"], options=options)
            return (M, solution.value), solution.value

        return jax.lax.scan(step, (M, jnp.zeros_like(B)), shifts)[1]

    shifts = jnp.array([0.0, 0.1, 0.2])
    for start in (0.8, 0.6):
        solutions = run(ex.preconditioner(ex.lu(convection(start))), shifts)
        for shift, x in zip(shifts, solutions, strict=True):
            assert_close((convection() + shift * ex.SparseMatrix.eye(K * K)) @ x, B, 1e-6)
    assert traces == 1


def test_errors():
    operator = ex.SparseLinearOperator(convection())
    with pytest.raises(TypeError, match="`source` must be a lineax operator, or a factor"):
        ex.preconditioner(convection())
    with pytest.raises(TypeError, match="and then `solver` None"):
        ex.preconditioner(ex.lu(convection()), ex.SparseLU())
    with pytest.raises(TypeError, match="`SparseILU` preconditions and does not solve"):
        lx.linear_solve(operator, B, ex.SparseILU())
    with pytest.raises(ValueError, match="must be positive definite"):
        lx.linear_solve(
            ex.SparseLinearOperator(laplacian()),
            B,
            CG,
            options={"preconditioner": ex.preconditioner(ex.lu(convection()))},
        )


def test_the_example_runs(capsys):
    """Every way of preconditioning takes the same steps."""
    preconditioned.main(["--quick"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "s a step" in line]
    assert len(lines) == len(preconditioned.WAYS)
    assert all(float(line.rsplit("differs by ", 1)[1]) < 1e-8 for line in lines)
