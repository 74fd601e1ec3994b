"""Derivatives of a function against those of an oracle, in both modes, mixed and batched.

    f, oracle = functions(A)["solve"]                    # of the stored values of A and a right-hand side
    assert_same_derivatives(f, oracle, (v, b), rng)      # the first two orders, and batches
    assert_every_mix(f, oracle, (v, b), rng)             # forward and reverse in any order, up to the fourth

Both functions take the same arrays and return one array. Every transformation is applied to both, under
`jit`, and the results must agree.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

import elimax as ex

from .helpers import assert_close, dense, on_pattern

Function = Callable[..., jax.Array]


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Normal random numbers, with imaginary parts if the dtype has them."""
    x = rng.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        x = x + 1j * rng.normal(size=shape)
    return jnp.asarray(x.astype(dtype))


# ---------------------------------------------------------------------------------------------
# What is computed from a factor, of (stored values, right-hand side): sparse, and dense


def functions(A: sp.csc_array, method: str = "auto") -> dict[str, tuple[Function, Function]]:
    S = ex.SymmetricMatrix.from_scipy(A)
    symbolic = ex.analyze(S, method=method)

    def factor(v):
        return ex.cholesky(S.with_values(v), symbolic=symbolic)

    def inverse(v):
        return jnp.linalg.inv(dense(A, v))

    p = symbolic.permutation
    entries = ex.cholesky(S, symbolic=symbolic).L.pattern

    def lower(v):
        return jnp.linalg.cholesky(dense(A, v)[p][:, p])

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
        "half_solve": (
            lambda v, b: factor(v).half_solve(b),
            lambda v, b: solve_triangular(lower(v), b[p], lower=True),
        ),
        "half_solve_transposed": (
            lambda v, b: factor(v).half_solve(b, transpose=True),
            lambda v, b: solve_triangular(lower(v), b, lower=True, trans="C")[np.argsort(p)],
        ),
        "L": (
            lambda v, b: factor(v).L.values,
            lambda v, b: lower(v)[entries.rows, entries.columns],
        ),
    }


FUNCTIONS = list(functions(sp.csc_array(np.eye(1))))


# ---------------------------------------------------------------------------------------------
# Two orders, and batches


def _real_inner(a: Any, b: Any) -> jax.Array:
    products = jax.tree.map(lambda x, y: jnp.sum(jnp.real(x * y)), a, b)
    return jax.tree.reduce(jnp.add, products)


def _transformations(f: Function, x: tuple, t: tuple, w: jax.Array) -> dict:
    # The sine makes second derivatives of linear functions differ from zero.
    def scalar(*x):
        return jnp.sum(jnp.sin(jnp.real(f(*x) * w)))

    arguments = tuple(range(len(x)))
    gradient = jax.grad(scalar, arguments)
    # Near x, where a matrix is positive definite.
    batch = jax.tree.map(lambda x, t: jnp.stack([x, 2 * x, x + 0.003 * t]), x, t)
    return {
        "value": f(*x),
        "jvp": jax.jvp(f, x, t)[1],
        "gradient": gradient(*x),
        "jvp of jvp": jax.jvp(lambda *x: jax.jvp(f, x, t)[1], x, t)[1],
        "jvp of gradient": jax.jvp(gradient, x, t)[1],
        "gradient of gradient": jax.grad(lambda *x: _real_inner(gradient(*x), t), arguments)(*x),
        "gradient of jvp": jax.grad(lambda *x: jax.jvp(scalar, x, t)[1], arguments)(*x),
        "linearize": jax.linearize(f, *x)[1](*t),
        "jvp of linearize": jax.jvp(lambda *x: jax.linearize(f, *x)[1](*t), x, t)[1],
        "vmap": jax.vmap(f)(*batch),
        "vmap of gradient": jax.vmap(gradient)(*batch),
        # every argument batched in turn, the others shared by the batch
        "gradient of vmap": [
            jax.grad(
                lambda *x, i=i: jnp.sum(
                    jax.vmap(scalar, [0 if j == i else None for j in arguments])(*x)
                ),
                arguments,
            )(*x[:i], batch[i], *x[i + 1 :])
            for i in arguments
        ],
    }


def _assert_same(actual: dict, expected: dict, rtol: float) -> None:
    for name, value in expected.items():
        for a, b in zip(jax.tree.leaves(actual[name]), jax.tree.leaves(value), strict=True):
            assert a.dtype == b.dtype, name
            try:
                assert_close(a, b, rtol)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None


def assert_same_derivatives(
    f: Function,
    oracle: Function,
    x: tuple[jax.Array, ...],
    rng: np.random.Generator,
    rtol: float = 1e-10,
) -> None:
    t = tuple(draw(rng, z.shape, z.dtype) for z in x)
    shape = jax.eval_shape(oracle, *x)
    w = draw(rng, shape.shape, shape.dtype)
    expected = jax.jit(lambda x, t, w: _transformations(oracle, x, t, w))(x, t, w)
    actual = jax.jit(lambda x, t, w: _transformations(f, x, t, w))(x, t, w)
    _assert_same(actual, expected, rtol)


# ---------------------------------------------------------------------------------------------
# Every mix of modes: with g(x) = Re <w, f(x)>, the derivative D^k g(x)[t, ..., t] is one number, whether each
# t is taken by a forward (f) or a reverse (r) step; the last step gives the whole gradient.


def _along(g: Function, modes: str, t: Any) -> Function:
    """x -> D^k g(x)[t, ..., t], by one step for each of `modes`."""
    for mode in modes:
        if mode == "f":
            g = lambda x, g=g: jax.jvp(g, (x,), (t,))[1]  # noqa: E731
        else:
            g = lambda x, g=g: _real_inner(jax.grad(g)(x), t)  # noqa: E731
    return g


def _gradient(g: Function, mode: str, x: Any) -> jax.Array:
    if mode == "r":
        return ravel_pytree(jax.grad(g)(x))[0]
    flat, unravel = ravel_pytree(x)
    basis = jnp.eye(flat.size, dtype=flat.dtype)

    @jax.vmap
    def slope(d):
        return jax.jvp(lambda flat: g(unravel(flat)), (flat,), (d,))[1]

    return slope(basis) - 1j * slope(1j * basis) if jnp.iscomplexobj(flat) else slope(basis)


def assert_every_mix(
    f: Function,
    oracle: Function,
    x: tuple[jax.Array, ...],
    rng: np.random.Generator,
    order: int = 4,
    rtol: float = 1e-9,
) -> None:
    t = tuple(0.3 * draw(rng, z.shape, z.dtype) for z in x)
    shape = jax.eval_shape(oracle, *x)
    w = draw(rng, shape.shape, shape.dtype)
    mixes = ["".join(m) for k in range(1, order + 1) for m in itertools.product("fr", repeat=k)]

    def gradients(function, mixes):
        def g(x):
            return jnp.sum(jnp.real(function(*x) * w))

        return jax.jit(lambda x, t: [_gradient(_along(g, m[:-1], t), m[-1], x) for m in mixes])(
            x, t
        )

    expected = gradients(oracle, ["f" * k + "r" for k in range(order)])
    actual = dict(zip(mixes, gradients(f, mixes), strict=True))
    _assert_same(actual, {m: expected[len(m) - 1] for m in mixes}, rtol)
