"""Random compositions of transformations, against the same composition for the dense function.

A transformation takes a function of (stored values, right-hand side) to another one, so that they nest in any
order.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ..derivatives import FUNCTIONS, draw, functions
from ..helpers import assert_close, spd, stored


def _vmap(values, right_hand_sides):
    def transformation(f, rng):
        i, j, out = (int(axis) for axis in rng.integers(-1, 2, size=3))
        in_axes = (i if values else None, j if right_hand_sides else None)

        def flat(v, b):  # scalars have no second axis
            return jnp.concatenate([jnp.ravel(y) for y in jax.tree.leaves(f(v, b))])

        def g(v, b):
            V = jnp.stack([v, 1.5 * v, 2 * v], i) if values else v
            B = jnp.stack([b, b - 1, 3 * b], j) if right_hand_sides else b
            return jax.vmap(flat, in_axes, out)(V, B)

        return g

    return transformation


def _jvp(values, right_hand_sides):
    def transformation(f, rng):
        def g(v, b):
            def moving(*moved):
                moved = list(moved)
                return f(moved.pop(0) if values else v, moved.pop() if right_hand_sides else b)

            x = (v,) * values + (b,) * right_hand_sides
            t = (0.1 * v + 0.05,) * values + (b + 1,) * right_hand_sides
            return jax.jvp(moving, x, t)

        return g

    return transformation


def _grad(argnums):
    def transformation(f, rng):
        w = rng.uniform(0.5, 1)

        def loss(*x):  # nonlinear, and real
            return sum(jnp.sum(jnp.sin(w * jnp.real((2 - 1j) * y))) for y in jax.tree.leaves(f(*x)))

        return jax.grad(loss, argnums)

    return transformation


def _linearize(f, rng):
    def g(v, b):
        y, f_jvp = jax.linearize(f, v, b)
        return y, jax.vmap(f_jvp)(jnp.stack([v, 0.1 * v]), jnp.stack([b, b + 1]))

    return g


def _vjp(f, rng):
    def g(v, b):
        y, f_vjp = jax.vjp(f, v, b)
        return jax.vmap(f_vjp)(jax.tree.map(lambda y: jnp.stack([y, jnp.cos(y)]), y))

    return g


def _scan(f, rng):
    def g(v, b):
        def step(b, s):
            y = f(s * v, b)
            return 0.9 * b + 0.1 * sum(jnp.mean(z) for z in jax.tree.leaves(y)), y

        return lax.scan(step, b, jnp.array([1.0, 1.5]))

    return g


def _map(f, rng):
    return lambda v, b: lax.map(lambda s: f(s * v, b), jnp.array([1.0, 1.5]))


def _cond(f, rng):
    def g(v, b):
        return lax.cond(jnp.real(jnp.sum(b)) > 0, f, lambda v, b: f(1.5 * v, b), v, b)

    return g


TRANSFORMATIONS = {
    "vmap": _vmap(True, True),
    "vmap over values": _vmap(True, False),
    "vmap over right-hand sides": _vmap(False, True),
    "jvp": _jvp(True, True),
    "jvp in values": _jvp(True, False),
    "jvp in right-hand side": _jvp(False, True),
    "grad": _grad((0, 1)),
    "grad in values": _grad(0),
    "grad in right-hand side": _grad(1),
    "linearize": _linearize,
    "vjp": _vjp,
    "scan": _scan,
    "map": _map,
    "cond": _cond,
    "checkpoint": lambda f, rng: jax.checkpoint(f),
    "jit": lambda f, rng: jax.jit(f),
}


@pytest.mark.parametrize("attempt", range(16))
def test_a_random_composition_agrees_with_dense(attempt, rng):
    rng = np.random.default_rng([rng.seed, attempt])
    dtype = rng.choice([np.float64, np.complex128])
    function = str(rng.choice(FUNCTIONS))
    names = [str(name) for name in rng.choice(list(TRANSFORMATIONS), size=rng.integers(2, 5))]
    print(function, dtype, names)  # pytest shows it if the test fails
    A = spd("small", dtype)
    x = jnp.asarray(stored(A)), draw(rng, (12,), dtype)
    seeds = rng.integers(2**32, size=len(names))

    def transformed(f):
        for name, seed in zip(names, seeds, strict=True):
            f = TRANSFORMATIONS[name](f, np.random.default_rng(seed))
        return jax.tree.leaves(jax.jit(f)(*x))

    got, expected = map(transformed, functions(A)[function])
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        assert_close(a, b, 1e-8)
