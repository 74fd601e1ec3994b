"""Derivatives in both modes and their mixtures, against dense JAX.

A table of functions (of the stored values and a right-hand side) times a table of transformations; the
oracle is the same transformation of the same function of the dense matrix.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..helpers import assert_close, dense, on_pattern, spd, stored

NAMES = ["one", "grid_2d", "arrow_first", "disconnected", "dense"]


def _functions(A):
    """name -> (sparse, dense) functions of (values, b); every output is an array."""
    S = ex.SymmetricMatrix.from_scipy(A)

    def factor(v):
        return ex.cholesky(S.with_values(v))

    def inverse(v):
        return jnp.linalg.inv(dense(A, v))

    return {
        "solve": (
            lambda v, b: factor(v).solve(b),
            lambda v, b: jnp.linalg.solve(dense(A, v), b),
        ),
        "logdet": (
            lambda v, b: factor(v).logdet(),
            lambda v, b: jnp.linalg.slogdet(dense(A, v))[1],
        ),
        "selected_inverse": (
            lambda v, b: factor(v).selected_inverse().values,
            lambda v, b: on_pattern(inverse(v), A),
        ),
        "inverse_diagonal": (
            lambda v, b: factor(v).inverse_diagonal(),
            lambda v, b: jnp.real(jnp.diagonal(inverse(v))),
        ),
    }


def _scalar(f, weights):
    """A nonlinear real function of the output, so that second derivatives do not vanish."""

    def g(*x):
        y = f(*x)
        return jnp.sum(jnp.sin(jnp.real(y * weights))) if y.ndim else jnp.real(y) ** 2

    return g


def _first_order(f, x, t, w):
    g = _scalar(f, w)
    return {
        "value": f(*x),
        "jvp": jax.jvp(f, x, t)[1],
        "vjp": jax.grad(g, (0, 1))(*x),
        "linearize": jax.linearize(f, *x)[1](*t),
    }


def _second_order(f, x, t, w):
    g = _scalar(f, w)
    gradient = jax.grad(g, (0, 1))
    return {
        "jvp_of_vjp": jax.jvp(gradient, x, t)[1],
        "vjp_of_vjp": jax.grad(lambda *y: _inner(gradient(*y), t), (0, 1))(*x),
        "vjp_of_jvp": jax.grad(lambda *y: jax.jvp(g, y, t)[1], (0, 1))(*x),
        "jvp_of_jvp": jax.jvp(lambda *y: jax.jvp(f, y, t)[1], x, t)[1],
        "jvp_of_linearize": jax.jvp(lambda *y: jax.linearize(f, *y)[1](*t), x, t)[1],
    }


def _inner(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(jnp.sum(jnp.real(x * y)) for x, y in leaves)


def _arguments(A, dtype, rng):
    n = A.shape[0]

    def draw(*shape):
        x = rng.normal(size=shape)
        return jnp.asarray(
            x + 1j * rng.normal(size=shape) if np.issubdtype(dtype, np.complexfloating) else x
        )

    v = jnp.asarray(stored(A))
    return (v, draw(n, 2)), (draw(v.size), draw(n, 2)), draw


@pytest.mark.parametrize("order", [_first_order, _second_order])
@pytest.mark.parametrize("function", ["solve", "logdet", "selected_inverse", "inverse_diagonal"])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_agree_with_dense(name, dtype, function, order, rng):
    A = spd(name, dtype)
    x, t, draw = _arguments(A, dtype, rng)
    sparse, oracle = _functions(A)[function]
    w = draw(*jax.eval_shape(oracle, *x).shape)
    got = jax.jit(lambda x, t: order(sparse, x, t, w))(x, t)
    expected = jax.jit(lambda x, t: order(oracle, x, t, w))(x, t)
    for transformation, value in expected.items():
        for a, b in zip(jax.tree.leaves(got[transformation]), jax.tree.leaves(value), strict=True):
            assert_close(a, b, 1e-9)


@pytest.mark.parametrize("function", ["solve", "logdet", "selected_inverse"])
def test_derivatives_outside_of_jit(function, rng):
    A = spd("grid_2d")
    x, t, draw = _arguments(A, np.float64, rng)
    sparse, oracle = _functions(A)[function]
    w = draw(*jax.eval_shape(oracle, *x).shape)
    got, expected = _second_order(sparse, x, t, w), _second_order(oracle, x, t, w)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, 1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_third_and_fourth_derivative_of_logdet(dtype, rng):
    A = spd("random", dtype)
    (v, _), (t, _), _ = _arguments(A, dtype, rng)
    S = ex.SymmetricMatrix.from_scipy(A)

    def derivatives(f):
        d2 = jax.jvp(jax.grad(lambda v: jax.jvp(f, (v,), (t,))[1]), (v,), (t,))[1]
        third = jax.grad(lambda v: jnp.sum(jnp.real(jax.jvp(jax.grad(f), (v,), (t,))[1] * t)))
        return d2, third(v), jax.jvp(third, (v,), (t,))[1]

    got = jax.jit(lambda: derivatives(lambda v: ex.logdet(S.with_values(v))))()
    expected = jax.jit(lambda: derivatives(lambda v: jnp.linalg.slogdet(dense(A, v))[1]))()
    for a, b in zip(got, expected, strict=True):
        assert_close(a, b, 1e-9)


def test_gradient_of_logdet_is_the_weighted_selected_inverse():
    """An off-diagonal value stands for two entries of the matrix."""
    A = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    gradient = jax.grad(lambda v: ex.logdet(A.with_values(v)))(A.values)
    inverse = np.linalg.inv(A.todense())[A.pattern.rows, A.pattern.columns]
    weight = np.where(A.pattern.rows == A.pattern.columns, 1.0, 2.0)
    assert_close(gradient, weight * inverse, 1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("transpose", [False, True])
def test_half_solve_is_linear_in_its_right_hand_side(dtype, transpose, rng):
    A = spd("grid_2d", dtype)
    _, _, draw = _arguments(A, dtype, rng)
    F = ex.cholesky(ex.SymmetricMatrix.from_scipy(A))
    L, P = F.L.to_scipy().toarray(), np.eye(72)[F.permutation]
    M = P.T @ np.linalg.inv(L).conj().T if transpose else np.linalg.inv(L) @ P
    z, tz, ct = draw(72), draw(72), draw(72)

    def half(z):
        return F.half_solve(z, transpose=transpose)

    value, tangent = jax.jvp(half, (z,), (tz,))
    assert_close(value, M @ z, 1e-12)
    assert_close(tangent, M @ tz, 1e-12)
    assert_close(jax.vjp(half, z)[1](ct)[0], M.T @ ct, 1e-12)


def test_derivatives_that_do_not_exist_yet_say_so():
    A = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    for function in (
        lambda v: ex.cholesky(A.with_values(v)).half_solve(jnp.ones(72)),
        lambda v: ex.cholesky(A.with_values(v)).L.values,
    ):
        with pytest.raises(NotImplementedError, match="elimax"):
            jax.jvp(function, (A.values,), (A.values,))
