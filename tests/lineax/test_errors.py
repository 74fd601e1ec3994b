"""What is said of wrong arguments of operators and solvers."""

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest

import elimax as ex


def _operator(dense, tags=(), **structures):
    return ex.SparseLinearOperator(ex.SparseMatrix.from_dense(dense), tags, **structures)


def _vector(*shape):
    return jax.ShapeDtypeStruct(shape, np.float64)


OPERATOR_ERRORS = {
    "a dense array": (
        lambda: ex.SparseLinearOperator(np.eye(3)),
        TypeError,
        r"`matrix` must be a SparseMatrix.* got ndarray; a dense array goes with SparseMatrix.from_dense",
    ),
    "an operator": (
        lambda: ex.SparseLinearOperator(_operator(np.eye(2))),
        TypeError,
        "got SparseLinearOperator",
    ),
    "columns": (
        lambda: _operator(np.eye(3), in_structure=_vector(4)),
        ValueError,
        "`in_structure` must have 3 elements to fit the matrix, got 4",
    ),
    "rows": (
        lambda: _operator(np.eye(3), out_structure=[_vector(1), _vector(1)]),
        ValueError,
        "`out_structure` must have 3 elements to fit the matrix, got 2",
    ),
    "symmetric between different structures": (
        lambda: _operator(np.eye(3), lx.symmetric_tag, in_structure=[_vector(3)]),
        ValueError,
        "must have matching input and output structures",
    ),
    "a vector of another shape": (
        lambda: _operator(np.eye(3)).mv(jnp.ones(4)),
        ValueError,
        r"`vector` must have the structure .*\(3,\).* of the operator, got .*\(4,\)",
    ),
    "a vector of another tree": (
        lambda: _operator(np.eye(3)).mv([jnp.ones(3)]),
        ValueError,
        "`vector` must have the structure",
    ),
}


@pytest.mark.parametrize("name", OPERATOR_ERRORS)
def test_wrong_arguments_of_an_operator(name):
    call, error, message = OPERATOR_ERRORS[name]
    with pytest.raises(error, match=message):
        call()


def _solve(operator, solver):
    vector = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), operator.out_structure())
    return lx.linear_solve(operator, vector, solver)


def _large(n=100_000):
    return lx.FunctionLinearOperator(jnp.cumsum, _vector(n))


FULL = lx.MatrixLinearOperator(jnp.ones((3, 3)) + jnp.eye(3))
SOLVER_ERRORS = {
    "LU, not square": (
        _operator(np.eye(3, 2)),
        ex.SparseLU(),
        r"square matrices, got shape \(3, 2\); SparseLSTSQ",
    ),
    "LDL, not square": (_operator(np.eye(3, 2)), ex.SparseLDL(), "square matrices"),
    "Cholesky, not square": (_operator(np.eye(3, 2)), ex.SparseCholesky(), "square matrices"),
    "triangular, not square": (_operator(np.eye(3, 2)), ex.SparseTriangular(), "square matrices"),
    "LDL, not symmetric": (
        FULL,
        ex.SparseLDL(),
        "symmetric operators; tag this one with lineax.symmetric_tag",
    ),
    "Cholesky, not definite": (
        FULL,
        ex.SparseCholesky(),
        "positive or negative definite operators; tag this one with lineax.positive_semidefinite_tag",
    ),
    "triangular, neither": (
        FULL,
        ex.SparseTriangular(),
        "triangular operators; tag this one with lineax.lower_triangular_tag",
    ),
    "a pattern of another shape": (
        FULL,
        ex.SparseLU(pattern=ex.Pattern.eye(4)),
        r"`pattern` must have the shape of the operator, \(3, 3\), got \(4, 4\)",
    ),
    "a tag of another shape": (
        lx.MatrixLinearOperator(jnp.eye(3), ex.Pattern.eye(4)),
        ex.AutoSparse(),
        r"`pattern` must have the shape of the operator, \(3, 3\), got \(4, 4\)",
    ),
    "large and of no pattern": (
        _large(),
        ex.SparseLU(),
        r"pattern of this FunctionLinearOperator of shape \(100000, 100000\) could not be found.*tags=P",
    ),
    "large and chosen for": (_large(), ex.AutoSparse(), r"as a dense matrix it would be too large"),
    "structurally singular": (
        _operator(np.diag([1.0, 0.0])),
        ex.SparseLU(),
        "structurally singular",
    ),
}


@pytest.mark.parametrize("name", SOLVER_ERRORS)
@pytest.mark.filterwarnings("ignore:this FunctionLinearOperator:UserWarning")
def test_operators_that_do_not_fit_a_solver(name):
    operator, solver, message = SOLVER_ERRORS[name]
    with pytest.raises(ValueError, match=message):
        _solve(operator, solver)


def test_wrong_arguments_of_a_solver():
    for solver in (ex.SparseLU, ex.SparseTriangular, ex.AutoSparse):
        with pytest.raises(TypeError, match=r"`pattern` must be an elimax.Pattern, got tuple"):
            solver(pattern=(0, 1))
    for solver in (ex.SparseLU, ex.AutoSparse):
        with pytest.raises(TypeError, match=r"`ordering` must be a name, got tuple.*symbolic="):
            solver(ordering=(0, 1, 2))
    with pytest.raises(ValueError, match="`ordering`"):
        _solve(FULL, ex.SparseLU(ordering="fast"))
    with pytest.raises(TypeError, match="`symbolic` must be an LUSymbolic"):
        _solve(FULL, ex.SparseLU(symbolic=ex.analyze(ex.Pattern.eye(3, symmetric=True))))
