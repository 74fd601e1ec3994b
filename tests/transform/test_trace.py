"""Matrices and factors across the borders of traces: as constants, as arguments, as batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..helpers import assert_close, spd

SINGULAR = ex.SparseMatrix.from_coo([1], [0], np.ones(1), (2, 2))


def _matrix() -> ex.SymmetricMatrix:
    return ex.SymmetricMatrix.from_scipy(spd("grid_2d"))


def test_a_constant_matrix_inside_of_jit():
    A, b = _matrix(), jnp.ones(72)
    expected = np.linalg.solve(A.todense(), b)
    assert_close(jax.jit(lambda b: ex.solve(A, b))(b), expected, 1e-12)
    branch = jax.jit(lambda p: jax.lax.cond(p, lambda: ex.solve(A, b), lambda: b))
    assert_close(branch(True), expected, 1e-12)
    with pytest.raises(jax.errors.JaxRuntimeError, match="not positive definite"):
        jax.block_until_ready(jax.jit(lambda b: ex.solve(-A, b))(b))


def test_a_constant_triangle_inside_of_jit():
    T = ex.SparseMatrix.from_dense(np.array([[2.0, 0.0], [1.0, 4.0]]))
    x = jax.jit(lambda s: s * ex.triangular_solve(T, jnp.array([2.0, 5.0])))(1.0)
    np.testing.assert_array_equal(x, 1.0)
    with pytest.raises(jax.errors.JaxRuntimeError, match="column 0 is zero or missing"):
        jax.block_until_ready(jax.jit(lambda s: s * ex.triangular_solve(SINGULAR, np.ones(2)))(1.0))


@pytest.mark.parametrize("derivative", [jax.grad, jax.hessian, jax.jacfwd])
def test_derivatives_outside_of_jit_fail_with_pythons_error(derivative):
    A = _matrix()
    with pytest.raises(ex.FactorizationError, match="not positive definite"):
        derivative(lambda v: ex.logdet(A.with_values(v)))(-A.values)
    with pytest.raises(ex.FactorizationError, match="column 0"):
        derivative(lambda b: ex.triangular_solve(SINGULAR, b).sum())(np.ones(2))
