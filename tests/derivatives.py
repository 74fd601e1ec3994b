"""Derivatives of a function against those of an oracle, in both modes, mixed and batched.

    assert_same_derivatives(sparse, dense, (v, x), rng)

Both functions take the same arrays and return one array. Every transformation is applied to both, under
`jit`, and the results must agree.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .helpers import assert_close


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Normal random numbers, with imaginary parts if the dtype has them."""
    x = rng.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        x = x + 1j * rng.normal(size=shape)
    return jnp.asarray(x.astype(dtype))


def _real_inner(a: Any, b: Any) -> jax.Array:
    products = jax.tree.map(lambda x, y: jnp.sum(jnp.real(x * y)), a, b)
    return jax.tree.reduce(jnp.add, products)


def _transformations(f: Callable[..., jax.Array], x: tuple, t: tuple, w: jax.Array) -> dict:
    # The square makes second derivatives of linear functions differ from zero.
    def scalar(*x):
        return jnp.sum(jnp.real(f(*x) * w) ** 2)

    arguments = tuple(range(len(x)))
    gradient = jax.grad(scalar, arguments)
    batch = jax.tree.map(lambda x, t: jnp.stack([x, t, x - t]), x, t)
    return {
        "value": f(*x),
        "jvp": jax.jvp(f, x, t)[1],
        "gradient": gradient(*x),
        "jvp of gradient": jax.jvp(gradient, x, t)[1],
        "gradient of gradient": jax.grad(lambda *x: _real_inner(gradient(*x), t), arguments)(*x),
        "gradient of jvp": jax.grad(lambda *x: jax.jvp(scalar, x, t)[1], arguments)(*x),
        "linearize": jax.linearize(f, *x)[1](*t),
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


def assert_same_derivatives(
    f: Callable[..., jax.Array],
    oracle: Callable[..., jax.Array],
    x: tuple[jax.Array, ...],
    rng: np.random.Generator,
    rtol: float = 1e-10,
) -> None:
    t = tuple(draw(rng, z.shape, z.dtype) for z in x)
    shape = jax.eval_shape(oracle, *x)
    w = draw(rng, shape.shape, shape.dtype)
    expected = jax.jit(lambda x, t, w: _transformations(oracle, x, t, w))(x, t, w)
    actual = jax.jit(lambda x, t, w: _transformations(f, x, t, w))(x, t, w)
    for name, value in expected.items():
        for a, b in zip(jax.tree.leaves(actual[name]), jax.tree.leaves(value), strict=True):
            assert a.dtype == b.dtype, name
            try:
                assert_close(a, b, rtol)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None
