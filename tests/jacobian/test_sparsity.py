"""Patterns of functions: what no rule is for, known values, sizes; `test_rules.py` has the rules."""

import math
import warnings

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from elimax._jacobian.sparsity import control_flow, dependence, scan
from elimax._jacobian.sparsity.linear_pattern import linear_pattern

from .oracle import N, local_pattern_of, nonzeros, pattern_of
from .programs import heat, running

mystery_p = jax.extend.core.Primitive("mystery")
mystery_p.def_abstract_eval(lambda x: x)


@jax.custom_jvp
def mysterious(x):
    return 2 * x


mysterious.defjvp(lambda p, t: (2 * p[0], mystery_p.bind(t[0])))


@jax.custom_jvp
def called_back(x):
    return 2 * x


def _on_the_host(t):
    return jax.pure_callback(lambda t: 2 * t, jax.ShapeDtypeStruct(t.shape, t.dtype), t)


called_back.defjvp(lambda p, t: (2 * p[0], _on_the_host(t[0])))


@pytest.mark.parametrize(
    "f, name", [(mysterious, "mystery"), (called_back, "pure_callback")], ids=lambda x: str(x)[:8]
)
def test_a_primitive_without_a_rule_is_dense_and_named(f, name):
    """Between what it depends on and its results, and nothing else."""
    with pytest.warns(UserWarning, match=f"the sparsity of the primitive `{name}` is not known"):
        found = pattern_of(lambda x: jnp.concatenate([f(x[:3]), x[3:] ** 2]))
    assert found[:3, :3].all() and found.sum() == 9 + N - 3


def test_a_primitive_that_only_values_go_through_needs_no_rule():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pattern_of(lambda x: x * mystery_p.bind(lax.stop_gradient(x))).sum() == N


def test_the_local_pattern_knows_what_values_say():
    """At a point, indices, branches, masks and numbers of steps are constants."""

    def f(x):
        a = jnp.where(x > 0, x**2, x[::-1])
        b = lax.cond(x[0] > 0, jnp.cumsum, jnp.sin, x)
        c = jnp.sort(x) * (x > 0)
        d = lax.while_loop(lambda c: c[0] < x[1], lambda c: (c[0] + 1, jnp.roll(c[1], 1)), (0, x))
        return jnp.concatenate([a, b, c, d[1], jnp.max(x)[None]])

    x = np.random.default_rng(0).normal(size=N)
    x[:2] = -1, 2.5
    J = np.asarray(jax.jacfwd(f)(x))
    assert np.array_equal(local_pattern_of(f, jnp.asarray(x)), J != 0)


def test_a_shard_map_over_one_device_divides_nothing():
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("i")

    def f(x):
        def body(a):
            return a * a[::-1] + lax.psum(a[:2], "i")[0] * lax.axis_index("i")

        return jax.shard_map(body, mesh=mesh, in_specs=spec, out_specs=spec)(x)

    expected = nonzeros(lambda x: x * x[::-1])
    expected[:, 0] = True
    assert np.array_equal(pattern_of(f), expected)


def test_mutable_arrays_are_not_followed():
    def f(x):
        ref = jax.new_ref(jnp.zeros(N))
        ref[...] = x**2
        return ref[...]

    assert pattern_of(f) is None


def test_nothing_is_said_of_what_is_too_dense(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pattern_of(jnp.cumsum, 100_000) is None
        assert pattern_of(jax.nn.softmax, 100_000) is None
    monkeypatch.setattr(dependence, "LARGEST", 30)
    assert pattern_of(lambda x: x * jnp.roll(x, 1)) is not None
    assert pattern_of(jax.nn.softmax) is None


def test_loops_are_followed_or_composed_or_united(monkeypatch):
    """The same pattern, but for loops that are too dense to compose, in which steps may see all others."""
    T = 80

    def f(x):
        return lax.scan(lambda c, a: (c * a, jnp.sin(c)), 1.0, x)[1]

    exact = np.tri(T, k=-1, dtype=bool)
    assert np.array_equal(pattern_of(f, T), exact)
    monkeypatch.setattr(scan, "_SHORT", T)
    assert np.array_equal(pattern_of(f, T), exact)
    monkeypatch.setattr(scan, "_SHORT", 1)
    monkeypatch.setattr(scan, "_composed", too_dense)
    assert np.array_equal(pattern_of(f, T), exact)
    monkeypatch.setattr(scan, "_LONG", 1)
    assert pattern_of(f, T).all()
    assert not (nonzeros(running) & ~pattern_of(running)).any()
    assert pattern_of(lambda x: heat(x, 3)).all()


def too_dense(body, steps):
    raise dependence.TooDense


def test_loops_that_are_too_long_to_follow_are_composed(monkeypatch):
    def f(x):
        return lax.fori_loop(1, N, lambda i, c: c.at[i].set(c[i - 1] * c[i]), x)

    assert np.array_equal(pattern_of(f), nonzeros(f))
    monkeypatch.setattr(control_flow, "STEPS", 4)
    monkeypatch.setattr(control_flow, "EQUATIONS", 8)
    assert not (nonzeros(f) & ~pattern_of(f)).any()


def test_what_a_loop_connects_is_dense_where_powers_are_too_dense(monkeypatch):
    """A long walk along a ring, of which little depends on few inputs."""
    n = 3000

    def f(x):
        start = jnp.zeros(n).at[:3].set(x)
        return lax.fori_loop(0, 10 * n, lambda _, u: u + jnp.roll(u, 1) ** 2, start)

    monkeypatch.setattr(dependence, "LARGEST", 10**5)
    monkeypatch.setattr(dependence, "_SMALL", 0)
    assert pattern_of(f, 3).all()


@pytest.mark.parametrize("n", [0, 1])
def test_small(n):
    assert np.array_equal(pattern_of(lambda x: x**2, n), np.eye(n, dtype=bool))


def test_a_million_unknowns():
    """Linear in the entries: a two-species reaction and diffusion on a periodic grid."""
    side = 300

    def f(y):
        u, v = y.reshape(2, side, side)

        def laplacian(a):
            return sum(jnp.roll(a, s, axis) for s in (1, -1) for axis in (0, 1)) - 4 * a

        return jnp.stack([u**2 * v + laplacian(u), laplacian(v) - u**2 * v]).ravel()

    n = 2 * side**2
    found = []
    jax.make_jaxpr(
        lambda x: found.append(linear_pattern(lambda t: jax.jvp(f, (x,), (t,))[1], n, x.dtype))
    )(jnp.ones(n))
    assert found[0].nnz == 6 * n and math.prod(found[0].shape) == n**2
