"""Derivatives in both modes and their mixtures, of every order, against dense JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..derivatives import FUNCTIONS, assert_every_mix, assert_same_derivatives, draw, functions
from ..helpers import assert_close, dense, spd, stored

DTYPES = [np.float64, np.complex128]


def _arguments(A, dtype, rng):
    return jnp.asarray(stored(A)), draw(rng, (A.shape[0], 2), dtype)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("name", "dtype", "method"),
    [
        ("grid_2d", np.float64, "supernodal"),
        pytest.param("disconnected", np.complex128, "supernodal", marks=pytest.mark.slow),
        ("grid_2d", np.complex128, "simplicial"),
        ("tridiagonal", np.float64, "simplicial"),
    ],
)
def test_two_orders_and_batches(name, dtype, method, function, rng):
    A = spd(name, dtype)
    arguments = _arguments(A, dtype, rng)
    assert_same_derivatives(*functions(A, method)[function], arguments, rng, 1e-9)


@pytest.mark.parametrize("function", ["L", "half_solve", "half_solve_transposed"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_of_a_factor_with_wide_supernodes(dtype, function, rng):
    """They are computed by blocks of columns: here there are several, and rows below all of them."""
    A = spd("wide", dtype)
    symbolic = ex.analyze(ex.SymmetricMatrix.from_scipy(A))
    assert np.any((np.diff(symbolic.super) > 64) & (np.diff(symbolic.row_ptr) > 0))
    assert_same_derivatives(*functions(A)[function], _arguments(A, dtype, rng), rng, 1e-9)


def test_the_small_matrix_is_not_trivial():
    A = spd("small")
    symbolic = ex.analyze(ex.SymmetricMatrix.from_scipy(A), method="supernodal")
    assert symbolic.supernodes == 4 and max(symbolic.super_parent) > 0
    assert symbolic.nnz > stored(A).size


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        ("supernodal", np.float64),
        pytest.param("supernodal", np.complex128, marks=pytest.mark.slow),
        pytest.param("simplicial", np.complex128, marks=pytest.mark.slow),
    ],
)
def test_every_mix_of_modes_up_to_order_four(method, dtype, function, rng):
    A = spd("small", dtype)
    assert_every_mix(*functions(A, method)[function], _arguments(A, dtype, rng), rng)


@pytest.mark.parametrize("dtype", DTYPES)
def test_selected_inverse_on_the_filled_pattern(dtype, rng):
    A = spd("small", dtype)
    S = ex.SymmetricMatrix.from_scipy(A)
    L, p = ex.cholesky(S).L, ex.analyze(S).permutation
    ends = p[L.pattern.rows], p[L.pattern.columns]
    ones = np.ones(L.nnz)
    filled = ex.SymmetricMatrix.from_coo(
        np.maximum(*ends), np.minimum(*ends), ones, A.shape
    ).pattern

    def sparse(v):
        return ex.cholesky(S.with_values(v)).selected_inverse(filled).values

    def oracle(v):
        return jnp.linalg.inv(dense(A, v))[filled.rows, filled.columns]

    assert filled.nnz > S.nnz
    assert_every_mix(sparse, oracle, (S.values,), rng, order=2)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_derivatives_in_single_precision(dtype, function, rng):
    A = spd("small", dtype)
    x = _arguments(A, dtype, rng)
    t = tuple(draw(rng, z.shape, dtype) for z in x)

    def derivatives(f):
        def loss(v, b):
            y = f(v, b)
            return jnp.sum(jnp.sin(jnp.real(y) - jnp.imag(y)))

        return jax.jvp(jax.grad(loss, (0, 1)), x, t)

    got, expected = (jax.jit(derivatives, static_argnums=0)(f) for f in functions(A)[function])
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        assert_close(a, b, 1e-4)


@pytest.mark.parametrize("function", ["solve", "half_solve", "half_solve_transposed"])
def test_real_right_hand_sides_of_a_complex_matrix(function, rng):
    A = spd("small", np.complex128)
    b = draw(rng, (12,), np.float64)
    assert_same_derivatives(*functions(A)[function], (jnp.asarray(stored(A)), b), rng)


@pytest.mark.parametrize("argument", [0, 1])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_holomorphic_derivatives_follow_the_conventions_of_jax(function, argument, rng):
    """A(v) is not holomorphic in v: what JAX returns is its convention, the same as for the dense matrix."""
    A = spd("small", np.complex128)
    x = _arguments(A, np.complex128, rng)

    def derivatives(f):
        g = lambda v, b: f(v, b).astype(np.complex128)  # noqa: E731
        forward = jax.jacfwd(g, argument, holomorphic=True)
        reverse = jax.jacrev(g, argument, holomorphic=True)
        return forward(*x), reverse(*x)

    got, expected = (jax.jit(derivatives, static_argnums=0)(f) for f in functions(A)[function])
    for a, b in zip(got, expected, strict=True):
        assert_close(a, b, 1e-11)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_derivatives_outside_of_jit(function, rng):
    A = spd("small")
    f, oracle = functions(A)[function]
    x = _arguments(A, np.float64, rng)
    assert_close(jax.hessian(f)(*x), jax.jit(jax.hessian(oracle))(*x), 1e-11)


def test_gradient_of_logdet_is_the_weighted_selected_inverse():
    """An off-diagonal value stands for two entries of the matrix."""
    A = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    gradient = jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet())(A.values)
    inverse = np.linalg.inv(A.todense())[A.pattern.rows, A.pattern.columns]
    weight = np.where(A.pattern.rows == A.pattern.columns, 1.0, 2.0)
    assert_close(gradient, weight * inverse, 1e-12)
