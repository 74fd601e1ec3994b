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
    assert_close(jax.jit(lambda b: ex.cholesky(A).solve(b))(b), expected, 1e-12)
    branch = jax.jit(lambda p: jax.lax.cond(p, lambda: ex.cholesky(A).solve(b), lambda: b))
    assert_close(branch(True), expected, 1e-12)
    with pytest.raises(jax.errors.JaxRuntimeError, match="not positive definite"):
        jax.block_until_ready(jax.jit(lambda b: ex.cholesky(-A).solve(b))(b))


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
        derivative(lambda v: ex.cholesky(A.with_values(v)).logdet())(-A.values)
    with pytest.raises(ex.FactorizationError, match="column 0"):
        derivative(lambda b: ex.triangular_solve(SINGULAR, b).sum())(np.ones(2))


def test_a_factor_is_a_pytree():
    A, b = _matrix(), jnp.arange(72.0)
    F = jax.jit(ex.cholesky)(A)
    assert jax.tree.structure(F) == jax.tree.structure(ex.cholesky(A))
    assert_close(jax.jit(lambda F, b: F.solve(b))(F, b), ex.cholesky(A).solve(b), 1e-15)
    same = jax.tree.map(jnp.copy, F)
    assert_close(same.logdet(), ex.cholesky(A).logdet(), 1e-15)
    gradient = jax.grad(lambda F: F.logdet(), allow_int=True)(F)
    expected = jax.grad(lambda A: ex.cholesky(A).logdet())(A)
    assert_close(gradient.matrix.values, expected.values, 1e-15)
    np.testing.assert_array_equal(gradient.values, 0)  # a cache has no derivative
    assert "dtype=None" in repr(jax.tree.map(jnp.shape, F))


def test_without_jit():
    A = _matrix()
    with jax.disable_jit():
        gradient = jax.jit(jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet()))(A.values)
    assert_close(
        gradient, jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet())(A.values), 1e-15
    )


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_debugging_of_nans_names_the_primitive(wrap):
    A = _matrix()
    with jax.debug_nans(True):
        assert np.isfinite(wrap(ex.logdet)(A))
        with pytest.raises(FloatingPointError, match="elimax_cholesky"):
            wrap(lambda v: ex.cholesky(A.with_values(v), throw=False).logdet())(-A.values)


BATCH_MAKERS = {
    "symmetric": lambda A: A,
    "general": lambda A: A.to_general(),
    "factor": ex.cholesky,
}
OPERATIONS = {
    "symmetric": [
        lambda A: A @ np.ones(72),
        lambda A: np.ones((2, 72)) @ A,
        lambda A: A.diagonal(),
        lambda A: A.trace(),
        lambda A: A.sum(),
        lambda A: A.todense(),
        lambda A: A[0, 0],
        lambda A: (A + A).values,
        lambda A: (2 * A).values,
        ex.logdet,
    ],
    "general": [
        lambda A: A @ np.ones(72),
        lambda A: A.sum(axis=0),
        lambda A: A.T.values,
        lambda A: A.todense(),
        lambda A: A.to_bcoo().data,
        lambda A: (A @ A).values,
        lambda A: A[3, 3],
        lambda A: ex.block([[A, None], [None, A]]).values,
        lambda A: ex.triangular_solve(A, np.ones(72)),
    ],
    "factor": [
        lambda F: F.solve(np.ones(72)),
        lambda F: F.half_solve(np.ones((72, 2))),
        lambda F: F.logdet(),
        lambda F: F.selected_inverse().values,
        lambda F: F.inverse_diagonal(),
        lambda F: F.L.values,
    ],
}


@pytest.mark.parametrize("kind", BATCH_MAKERS)
def test_a_batch_is_for_vmap_only(kind):
    A, make = _matrix(), BATCH_MAKERS[kind]
    for size in (1, 3):  # a batch of one is a batch
        values = A.values * jnp.arange(1.0, 1.0 + size)[:, None]
        batch = jax.vmap(lambda v: make(A.with_values(v)))(values)
        for operation in OPERATIONS[kind]:
            got = jax.vmap(operation)(batch)
            for k in range(size):
                assert_close(got[k], operation(make(A.with_values(values[k]))), 1e-12)
            with pytest.raises(ValueError, match="batch of matrices"):
                operation(batch)
