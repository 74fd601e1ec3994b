"""Where detectors of peers miss nonzeros, fail, or say too much: each is right here.

Those that trace the primal function do not see the rules of custom derivatives; those that compute indices
by formulas of their own disagree with JAX about negative numbers; those that merge the operands of a loop
confuse its constants.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from .oracle import N, nonzeros, pattern_of, transposed_pattern_of


@jax.custom_jvp
def rounded(x):
    return jnp.round(x)


rounded.defjvp(lambda p, t: (jnp.round(p[0]), t[0]))  # straight through


@jax.custom_vjp
def signs(x):
    return jnp.sign(x)


signs.defvjp(lambda x: (jnp.sign(x), None), lambda _, ct: (ct,))  # straight through


@jax.custom_jvp
def neighbor(x):
    return 2 * x


neighbor.defjvp(lambda p, t: (2 * p[0], jnp.roll(t[0], 1)))  # the rule reads other elements

EYE = np.eye(N, dtype=bool)


def test_rules_of_custom_derivatives_count():
    assert np.array_equal(pattern_of(rounded), EYE)
    assert np.array_equal(transposed_pattern_of(signs), EYE)
    assert np.array_equal(pattern_of(neighbor), np.roll(EYE, 1, axis=0))


def test_constants_of_the_condition_are_not_those_of_the_body():
    def f(x):
        limit, step = 3 * jnp.ones(()), x[::-1]
        return lax.while_loop(
            lambda c: c[0] < limit + lax.stop_gradient(x[0]) * 0,
            lambda c: (c[0] + 1, c[1] + step * c[1]),
            (0.0, x),
        )[1]

    found = pattern_of(f)
    assert not (nonzeros(f) & ~found).any()
    assert np.array_equal(found, EYE | EYE[::-1])


def test_scatter_clips():
    def f(x):
        return jnp.zeros(5).at[jnp.arange(N)].set(x**2, mode="clip")

    found = pattern_of(f)
    assert found[4, 4:].any() and np.array_equal(found[:4], EYE[:4])

    def g(x):
        return jnp.zeros(5).at[jnp.arange(N)].add(x**2, mode="clip")

    assert np.array_equal(pattern_of(g), nonzeros(g))


@pytest.mark.parametrize("divide", [lax.div, lax.rem, jnp.floor_divide, jnp.remainder])
def test_index_arithmetic_is_that_of_jax(divide):
    index = divide(jnp.arange(N) - 6, jnp.full(N, 4))

    def closed_over(x):
        return x[index] ** 2

    def traced(x):
        return x[divide(jnp.arange(N) - 6, jnp.full(N, 4))] ** 2

    expected = EYE[np.asarray(index)]
    assert np.array_equal(pattern_of(closed_over), expected)
    assert np.array_equal(pattern_of(traced), expected)


def test_a_start_that_depends_on_values():
    def f(x):
        return lax.dynamic_slice(x, (x[0].astype(int),), (3,)) * x[0]

    assert pattern_of(f).all()


def test_loops_of_many_sweeps():
    """By one position in every step: no bound on steps, or on sweeps."""
    n = 600

    def static(x):
        return lax.fori_loop(0, n // 2, lambda _, u: u.at[1:].add(u[:-1]), x)

    def traced(x):
        steps = lax.stop_gradient(x[0]).astype(int)
        return lax.fori_loop(0, steps, lambda _, u: u.at[1:].add(u[:-1]), x)

    assert np.array_equal(pattern_of(static, n), np.tri(n) - np.tri(n, k=-n // 2 - 1) > 0)
    assert np.array_equal(pattern_of(traced, n), np.tri(n, dtype=bool))


def test_counters_are_known_in_every_step():
    def f(x):
        return lax.fori_loop(1, 6, lambda i, c: c.at[i].set(c[i - 1] * c[i]), x)

    found = pattern_of(f, 8)
    assert np.array_equal(found, nonzeros(f, 8)) and found.sum() == 21 + 2


def test_rows_of_a_constant_table():
    table = jnp.arange(N).reshape(6, 2)[::-1]

    def f(x):
        return lax.scan(lambda c, row: (c, x[row[0]] * x[row[1]]), 0.0, table)[1]

    assert pattern_of(f).sum() == N


@pytest.mark.parametrize("T", [70, 1000, 5000])
def test_long_scans_are_exact(T):
    """Each result depends on all elements up to its own."""

    def f(x):
        return lax.scan(lambda c, a: (c * a, jnp.sin(c)), 1.0, x)[1]

    def g(x):
        return lax.scan(lambda c, a: (c * a, jnp.sin(c)), 1.0, x, reverse=True)[1]

    if T <= 1000:
        assert np.array_equal(pattern_of(f, T), np.tri(T, k=-1, dtype=bool))
        assert np.array_equal(pattern_of(g, T), np.tri(T, k=-1, dtype=bool).T)
    assert pattern_of(lambda x: lax.scan(lambda c, a: (c * a, None), 1.0, x)[0][None], T).all()


def test_elements_are_taken_from_the_same_step():
    """In a long loop whose results do not depend on the carry."""
    T = 200

    def f(x):
        return lax.scan(lambda c, a: (c + 1, a**2 * c), 1.0, x)[1]

    assert np.array_equal(pattern_of(f, T), np.eye(T, dtype=bool))


def test_integers_have_no_derivative():
    assert not pattern_of(lambda x: x.astype(int).astype(float)).any()
