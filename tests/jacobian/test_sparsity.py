"""Patterns of functions: nothing is ever missing, and where a rule can be exact it is.

The oracle is a dense Jacobian, at several points: its nonzeros must lie within the pattern, and are all of
it in the cases of EXACT; other rules unite what depends on values.
"""

import functools
import math
import warnings

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp

import elimax as ex
from elimax._jacobian import control_flow, dependence
from elimax._jacobian.sparsity import linear_pattern

N = 12
ORDER = np.random.default_rng(0).permutation(N)
WEIGHTS = np.diag(np.arange(12.0)) + np.eye(12, k=1)
SPARSE = ex.SparseMatrix.from_scipy(
    sp.random_array((N, N), density=0.2, rng=np.random.default_rng(1), format="csc")
)


def pattern_of(f, n=N, dtype=jnp.float64) -> np.ndarray | None:
    """That of the Jacobian of f, wherever it is taken: x is traced."""
    found = []

    def trace(x):
        found.append(linear_pattern(lambda t: jax.jvp(f, (x,), (t,))[1], n, dtype))
        return x

    jax.make_jaxpr(trace)(jax.ShapeDtypeStruct((n,), dtype))
    return None if found[0] is None else found[0].to_scipy().toarray()


def nonzeros(f, dtype=np.float64) -> np.ndarray:
    """Where the dense Jacobian is not zero at one of a few points."""
    rng = np.random.default_rng(2)
    total = False
    for _ in range(4):
        x = rng.normal(size=N)
        x = x + 1j * rng.normal(size=N) if np.issubdtype(dtype, np.complexfloating) else x
        J = jax.vmap(lambda t, x=x: jax.jvp(f, (jnp.asarray(x, dtype),), (t,))[1], out_axes=1)(
            jnp.eye(N, dtype=dtype)
        )
        total = total | (np.asarray(J) != 0)
    return total


def cube(x):
    return x.reshape(2, 3, 2)


def heat(x, steps):
    return jax.lax.fori_loop(0, steps, lambda _, u: u + 0.1 * (jnp.roll(u, 1) - u) * u, x)


def running(x, reverse=False):
    def step(c, a):
        return c * a, jnp.sin(c) * a

    return jax.lax.scan(step, 1.5, x, reverse=reverse)[1]


def shifting(x):
    return jax.lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1].at[1:].add(c[1][:-1] * x[1:])), (0, x)
    )[1]


@jax.custom_jvp
def reversing(x):
    return x


reversing.defjvp(lambda p, t: (p[0], t[0][::-1]))


@jax.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))

EXACT = {
    "nothing": lambda x: jnp.ones(3),
    "integers": lambda x: x.astype(int).astype(float),
    "stop_gradient": lambda x: jax.lax.stop_gradient(x[::-1]) * x,
    "custom_jvp": lambda x: reversing(x) ** 1,
    "elementwise": lambda x: jnp.sin(x) * jnp.exp(x) / (1 + x**2) - x,
    "broadcasting": lambda x: (
        x.reshape(4, 3) / jnp.sum(jnp.exp(x.reshape(4, 3)), 1, keepdims=True)
    ).ravel(),
    "scalar": lambda x: x * x[3],
    "reshape, transpose": lambda x: cube(x).transpose(2, 0, 1).ravel() * x,
    "rev, squeeze": lambda x: jnp.squeeze(x[None, ::-1], 0) ** 2,
    "slice": lambda x: x[1:11:3] ** 2,
    "roll": lambda x: jnp.roll(x, 1) * x,
    "where, known": lambda x: jnp.where(jnp.arange(N) % 3 == 0, x[::-1], x**2),
    "pad": lambda x: jnp.pad(x, (1, 2))[:12] + x**2,
    "pad, interior": lambda x: jax.lax.pad(x[:5], 0.0, [(-1, 2, 1)]) ** 2,
    "pad by a value": lambda x: jax.lax.pad(x[:3], x[5], [(1, 1, 1)]) ** 2,
    "concatenate": lambda x: jnp.concatenate([x[6:], jnp.ones(2), x[:3]]) ** 2,
    "concatenate, axis": lambda x: jnp.concatenate([cube(x), cube(x) ** 2], 1).ravel(),
    "stack": lambda x: jnp.stack([x, jnp.ones(N), x[::-1]], 1).ravel(),
    "unstack": lambda x: jnp.concatenate(
        [a.ravel() ** 2 for a in jnp.unstack(cube(x), axis=1)[::2]]
    ),
    "split": lambda x: jnp.split(cube(x), 3, 1)[1].ravel() ** 2,
    "broadcast_in_dim": lambda x: jnp.broadcast_to(x[:3], (2, 3)).ravel() ** 2,
    "tile, repeat": lambda x: jnp.tile(x[:2], 3) * jnp.repeat(x[3:5], 3),
    "reduce_sum": lambda x: jnp.sum(cube(x) ** 2, (0, 2)),
    "mean and variance": lambda x: jnp.var(cube(x), 1).ravel(),
    "prod": lambda x: jnp.prod(cube(x), 1).ravel(),
    "cumsum": lambda x: jnp.cumsum(cube(x) ** 2, 1).ravel(),
    "cumsum, reversed": lambda x: jax.lax.cumsum(x**2, reverse=True),
    "logsumexp": lambda x: jax.nn.logsumexp(cube(x), 1).ravel(),
    "gather": lambda x: x[ORDER] ** 2,
    "gather, rows": lambda x: x.reshape(4, 3)[ORDER[:5] % 4].ravel() ** 2,
    "gather, two indices": lambda x: x.reshape(4, 3)[ORDER[:5] % 4, ORDER[:5] % 3] ** 2,
    "gather, clipped": lambda x: x.at[jnp.arange(12) + 3].get(mode="clip") ** 2,
    "gather, filled": lambda x: x.at[jnp.arange(12) + 3].get(mode="fill", fill_value=0.0) ** 2,
    "indices by arithmetic": lambda x: x[(jnp.arange(N) * 5 + 2) // 2 % N] ** 2,
    "take_along_axis": lambda x: (
        jnp.take_along_axis(x.reshape(4, 3), ORDER.reshape(4, 3) % 4, 0).ravel() ** 2
    ),
    "scatter-add": lambda x: jnp.zeros(7).at[ORDER % 7].add(x**2),
    "scatter-add, rows": lambda x: (
        jnp.zeros((5, 3)).at[ORDER[:4] % 5].add(x.reshape(4, 3) ** 2).ravel()
    ),
    "scatter": lambda x: (x**2).at[3:6].set(x[:3]),
    "scatter by indices": lambda x: (x**2).at[ORDER[:4]].set(x[:4] ** 3),
    "subtract": lambda x: (x**2).at[ORDER[:4]].subtract(x[:4] ** 3),
    "segment_sum": lambda x: jax.ops.segment_sum(x**2, ORDER // 3, 4),
    "dynamic_slice": lambda x: jax.lax.dynamic_slice(cube(x), (0, 1, 0), (2, 2, 1)).ravel() ** 2,
    "dynamic_slice, clamped": lambda x: jax.lax.dynamic_slice(x, (10,), (4,)) ** 2,
    "dynamic_update_slice": lambda x: jax.lax.dynamic_update_slice(x**2, x[:3], (5,)),
    "dot, constant": lambda x: WEIGHTS @ jnp.sin(x),
    "dot, from the right": lambda x: (x.reshape(4, 3) @ np.triu(np.ones((3, 3)))).ravel() ** 2,
    "dot, both": lambda x: (x.reshape(3, 4) @ x.reshape(4, 3)).ravel(),
    "dot, batched": lambda x: jnp.einsum("bij,bkj->bik", cube(x), cube(x)).ravel(),
    "einsum": lambda x: jnp.einsum("ijk,kl->jil", cube(x), jnp.ones((2, 2))).ravel() ** 2,
    "outer": lambda x: jnp.outer(x[:3], x[4:8]).ravel(),
    "convolve": lambda x: jnp.convolve(x**2, jnp.array([1.0, -2.0, 1.0]), mode="same"),
    "convolution, features": lambda x: jax.lax.conv(
        x.reshape(1, 2, 2, 3) ** 2, jnp.ones((3, 2, 2, 2)), (1, 1), "SAME"
    ).ravel(),
    "convolution, strided and dilated": lambda x: jax.lax.conv_general_dilated(
        x.reshape(1, 1, 12) ** 2, jnp.ones((2, 1, 3)), (2,), [(1, 2)], (2,), (2,)
    ).ravel(),
    "windows": lambda x: jax.lax.reduce_window(
        x.reshape(3, 4) ** 2, 0.0, jax.lax.add, (2, 3), (1, 2), ((1, 0), (0, 2)), None, (1, 2)
    ).ravel(),
    "windows, dilated": lambda x: jax.lax.reduce_window(
        x[:5] ** 2, 0.0, jax.lax.add, (3,), (1,), ((2, 1),), (2,)
    ),
    "random constants": lambda x: x * jax.random.uniform(jax.random.key(0), (N,)),
    "custom_vjp of a constant": lambda x: x * doubled(jnp.arange(1.0, N + 1)),
    "lax.map": lambda x: jax.lax.map(lambda a: a * jnp.sin(a), jnp.repeat(x, 10)),
    "jit in jit": lambda x: jax.jit(lambda y: jax.jit(jnp.roll)(y, 2) ** 2)(x),
    "checkpoint": jax.checkpoint(lambda x: jnp.sin(jnp.roll(x, 2)) * x),
    "vmap": lambda x: jax.vmap(lambda r: r * r[0])(x.reshape(4, 3)).ravel(),
    "fori_loop": lambda x: heat(x, 3),
    "scan": running,
    "scan, reversed": functools.partial(running, reverse=True),
    "elimax: product": lambda x: SPARSE @ x**2,
    "elimax: columns": lambda x: (SPARSE.T @ x.reshape(4, 3).repeat(3, 0)).ravel() ** 2,
    "elimax: gather and scatter": lambda x: ex.SymmetricMatrix.diags(x).to_general().T.values ** 2,
}
# No entry is missing, but what depends on values is united.
INEXACT = {
    "tridiagonal_solve": lambda x: jax.lax.linalg.tridiagonal_solve(
        jnp.ones(4), 3 * jnp.ones(4), jnp.ones(4), x.reshape(4, 3) ** 2
    ).ravel(),
    "triangular_solve": lambda x: (
        jax.scipy.linalg.solve_triangular(
            jnp.tril(jnp.ones((4, 4))), x.reshape(4, 3) ** 2, trans="T"
        ).ravel()
        * 1.0
    ),
    "fft": lambda x: (
        jnp.real(jnp.fft.rfft(x.reshape(3, 4) ** 2, axis=1)).ravel() * (1 + jnp.arange(9))
    ),
    "where": lambda x: jnp.where(x > 0, x, x[::-1]),
    "max": lambda x: jnp.max(cube(x), 1).ravel(),
    "sort": lambda x: jnp.sort(cube(x), 1).ravel(),
    "gather by values": lambda x: x[jnp.argsort(x)] * x,
    "rows by values": lambda x: x.reshape(4, 3)[jnp.argsort(x[:4])].ravel() ** 2,
    "scatter by values": lambda x: (x**2).at[jnp.argsort(x)[:4]].set(x[:4] ** 3),
    "scatter-add by values": lambda x: (
        jnp.zeros((4, 3)).at[jnp.argsort(x[:4])].add(x.reshape(4, 3) ** 2).ravel()
    ),
    "slice by values": lambda x: jax.lax.dynamic_slice(
        cube(x), (0, jnp.argmax(x[:2]), 0), (2, 2, 2)
    ).ravel(),
    "update by values": lambda x: jax.lax.dynamic_update_slice(
        x**2, x[:3] ** 2, (jnp.argmax(x[:9]),)
    ),
    "cond": lambda x: jax.lax.cond(x[0] > 0, lambda x: jnp.roll(x, 1), lambda x: x**2, x),
    "switch": lambda x: jax.lax.switch(
        jnp.argmax(x[:3]), [jnp.sin, jnp.flip, lambda x: jnp.roll(x, 3)], x
    ),
    "while": shifting,
    "long fori_loop": lambda x: heat(x, 70),
    "solve": lambda x: jnp.linalg.solve(3 * jnp.eye(N) + jnp.diag(x), x),
    "cholesky": lambda x: jnp.linalg.cholesky(
        x.reshape(4, 3) @ x.reshape(4, 3).T + jnp.eye(4)
    ).ravel(),
    "elimax: solve": lambda x: ex.lu(SPARSE + ex.SparseMatrix.diags(x + 9)).solve(x),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact(name):
    assert np.array_equal(pattern_of(EXACT[name]), nonzeros(EXACT[name]))


@pytest.mark.parametrize("name", INEXACT)
@pytest.mark.filterwarnings("ignore:the sparsity of the primitive")
def test_nothing_is_missing(name):
    found, needed = pattern_of(INEXACT[name]), nonzeros(INEXACT[name])
    assert found.shape == needed.shape
    assert not (needed & ~found).any()


def test_what_is_united_is_no_more_than_that():
    """Rows and columns that values cannot reach stay apart."""
    assert pattern_of(INEXACT["sort"]).sum() == 3 * N  # within lines of three
    assert pattern_of(INEXACT["rows by values"]).sum() == 4 * N  # within columns of four
    assert pattern_of(INEXACT["fft"]).sum() == 4 * 9
    assert pattern_of(INEXACT["where"]).sum() == 2 * N
    assert pattern_of(INEXACT["while"]).sum() <= N * (N + 1) / 2  # lower triangular


def test_complex_functions():
    def f(x):
        return jnp.fft.ifft(x.reshape(3, 4), axis=0).ravel() * x

    found, needed = pattern_of(f, dtype=jnp.complex128), nonzeros(f, np.complex128)
    assert not (needed & ~found).any() and found.sum() == 3 * N


MOVES = {
    "roll": lambda u: jnp.roll(u, 1),
    "flip": lambda u: u[::-1],
    "permute": lambda u: u[ORDER],
    "transpose": lambda u: u.reshape(3, 4).T.ravel(),
    "square": lambda u: u**2,
    "sums": lambda u: jnp.repeat(jnp.sum(u.reshape(6, 2), 1), 2),
    "shift": lambda u: jnp.pad(u, (2, 0))[:N],
    "weights": lambda u: WEIGHTS @ u,
    "scatter": lambda u: jnp.zeros(N).at[ORDER // 2].add(u),
    "scan": lambda u: jax.lax.scan(lambda c, a: (c + a, c * a), u[0], u)[1],
    "double": lambda u: u + jnp.sin(u[::-1]),
}


@hypothesis.given(st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=5))
@hypothesis.settings(max_examples=40)
def test_compositions(names):
    def f(x):
        for name in names:
            x = MOVES[name](x) + 0.1
        return x

    found, needed = pattern_of(f), nonzeros(f)
    assert not (needed & ~found).any()


def test_a_primitive_without_a_rule_is_dense_and_named():
    def pooled(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (3,), (1,), "SAME")

    with pytest.warns(UserWarning, match="the sparsity of the primitive `.*` is not known"):
        assert pattern_of(pooled).all()


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


def test_loops_are_followed_or_closed(monkeypatch):
    """A few steps of a stencil reach a few neighbors; more than are followed may reach all of them."""
    assert pattern_of(lambda x: heat(x, 3)).sum() == 4 * N
    monkeypatch.setattr(control_flow, "_STEPS", 2)
    assert pattern_of(lambda x: heat(x, 3)).all()
    closed = pattern_of(running)
    assert not (nonzeros(running) & ~closed).any()


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
