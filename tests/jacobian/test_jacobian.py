"""Sparse Jacobians: equal to dense ones, however they are colored, chunked, transformed and called."""

import functools
import pathlib
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..helpers import assert_close

N = 24


def stencil(x):
    return x**3 - jnp.roll(x, 1) * x + jnp.sin(jnp.roll(x, -1))


def bordered(x):
    """One dense row, one dense column, the diagonal."""
    return (x**2).at[0].set(jnp.sum(jnp.sin(x))) + x[0] * jnp.arange(x.size)


def wide(x):
    """More columns than rows, empty ones among them."""
    return jnp.concatenate([x[:7] * x[7:14], jnp.sum(x[14:20] ** 2)[None], jnp.ones(2)])


def tall(x):
    return jnp.concatenate([x, x[::-1] ** 2, jnp.zeros(3), x[:5] * x[5:10]])


FUNCTIONS = {"stencil": stencil, "bordered": bordered, "wide": wide, "tall": tall}
KINDS = {
    "jacfwd": ex.jacfwd,
    "jacrev": ex.jacrev,
    "jacobian": ex.jacobian,
    "by columns, one at a time": functools.partial(ex.jacfwd, chunk_size=1),
    "by columns, in chunks": functools.partial(ex.jacfwd, chunk_size=5),
    "by rows, in chunks": functools.partial(ex.jacrev, chunk_size=2),
    "fewest, in chunks": functools.partial(ex.jacobian, chunk_size=1),
}


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.uniform(0.5, 1.5, N))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, kind, x):
    f, make = FUNCTIONS[name], KINDS[kind]
    expected = jax.jacobian(f)(x)
    J = jax.jit(make(f))(x)
    assert isinstance(J, ex.SparseMatrix)
    assert_close(J.todense(), expected, 1e-14)
    assert J.pattern == ex.jacobian_pattern(f, x, verify=False)


@pytest.mark.parametrize("make", [ex.jacfwd, ex.jacrev, ex.jacobian])
def test_values_without_jit(make, x):
    assert_close(make(bordered)(x).todense(), jax.jacobian(bordered)(x), 1e-14)


@pytest.mark.parametrize("kind", ["column", "row", "bidirectional"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_given_colorings(name, kind, x):
    f = FUNCTIONS[name]
    coloring = ex.color(ex.jacobian_pattern(f, x, verify=False), kind)
    for size in ("auto", 3):
        J = jax.jit(ex.jacobian(f, coloring=coloring, chunk_size=size))(x)
        assert_close(J.todense(), jax.jacobian(f)(x), 1e-14)


def test_fewest_products(x):
    """Columns for a stencil, rows where rows are few, both for an arrow: counted as products are made."""

    def products(f, make):
        counted = []

        @jax.custom_jvp
        def identity(x):
            return x

        @identity.defjvp
        def _(primals, tangents):
            jax.debug.callback(lambda t: counted.append(1), tangents[0])
            return primals[0], tangents[0]

        jax.block_until_ready(jax.jit(make(lambda x: f(identity(x)), verify=False))(x).values)
        jax.effects_barrier()
        return len(counted)

    assert products(stencil, ex.jacobian) == 3
    assert products(bordered, ex.jacfwd) == N
    assert products(bordered, ex.jacobian) <= 4


@pytest.mark.parametrize("make", [ex.jacfwd, ex.jacrev, ex.jacobian])
def test_derivatives_of_a_jacobian(make, x):
    """Second derivatives in both modes, and a batch."""

    def weigh(J):
        return jnp.sum(jnp.cos(J) * jnp.arange(1.0, J.size + 1).reshape(J.shape))

    sparse = lambda x: weigh(make(stencil)(x).todense())  # noqa: E731
    dense = lambda x: weigh(jax.jacobian(stencil)(x))  # noqa: E731
    assert_close(jax.grad(sparse)(x), jax.grad(dense)(x), 1e-12)
    assert_close(jax.jvp(sparse, (x,), (x**2,))[1], jax.jvp(dense, (x,), (x**2,))[1], 1e-12)
    assert_close(jax.hessian(sparse)(x), jax.hessian(dense)(x), 1e-12)
    batch = jnp.stack([x, 2 * x, x**2])
    assert_close(jax.vmap(sparse)(batch), jax.vmap(dense)(batch), 1e-12)
    values = jax.jit(jax.vmap(make(stencil)))(batch).values
    assert_close(values[2], make(stencil)(x**2).values, 1e-14)


def test_derivatives_of_chunks(x):
    f = lambda x: jnp.sum(ex.jacobian(bordered, chunk_size=1)(x).todense() ** 3)  # noqa: E731
    g = lambda x: jnp.sum(jax.jacobian(bordered)(x) ** 3)  # noqa: E731
    assert_close(jax.grad(f)(x), jax.grad(g)(x), 1e-12)
    assert_close(jax.hessian(f)(x), jax.hessian(g)(x), 1e-12)
    assert_close(jax.vmap(f)(jnp.stack([x, 2 * x])), jax.vmap(g)(jnp.stack([x, 2 * x])), 1e-12)


def test_a_newton_step_is_one_program(x):
    @jax.jit
    def step(x):
        return x - ex.solve(ex.jacobian(stencil)(x), stencil(x))

    expected = x - jnp.linalg.solve(jax.jacobian(stencil)(x), stencil(x))
    assert_close(step(x), expected, 1e-10)


# -- calls


def model(parameters, scale, t=1.0, power=2):
    u, v = parameters["u"], parameters["v"]
    return {"a": scale * u**power, "b": jnp.sum(v) * t * jnp.ones((2, 1))}, (scale, u.sum())


PARAMETERS = {"u": jnp.arange(1.0, 4.0), "v": jnp.ones((2, 2))}


def flat(tree):
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("argnums", [0, 1, (0, 1), (1, 0), -1, [1]])
def test_argnums_and_pytrees(argnums):
    J, aux = ex.jacobian(model, argnums, has_aux=True)(PARAMETERS, 3.0, t=2.0, power=3)
    args = [PARAMETERS, 3.0]
    chosen = [argnums] if isinstance(argnums, int) else list(argnums)
    leaves, tree = jax.tree.flatten([args[k] for k in chosen])

    def whole(z):
        stops = np.cumsum([np.size(leaf) for leaf in leaves])[:-1]
        parts = [
            part.reshape(np.shape(leaf))
            for part, leaf in zip(jnp.split(z, stops), leaves, strict=True)
        ]
        filled = list(args)
        for k, value in zip(chosen, jax.tree.unflatten(tree, parts), strict=True):
            filled[k] = value
        return flat(model(*filled, t=2.0, power=3)[0])

    z = jnp.concatenate([jnp.ravel(jnp.asarray(leaf)) for leaf in leaves])
    assert_close(J.todense(), jax.jacobian(whole)(z), 1e-14)
    assert aux[0] == 3.0 and aux[1] == 6.0


def test_what_is_no_array(x):
    """Arguments and auxiliary results of any kind go where they belong."""

    def f(x, g, mode):
        return g(x) if mode == "sine" else x, ("sine", 3, x.sum(), None)

    J, aux = ex.jacobian(f, has_aux=True)(x, jnp.sin, "sine")
    assert_close(J.todense(), np.diag(np.cos(x)), 1e-14)
    assert aux[:2] == ("sine", 3) and aux[2] == x.sum() and aux[3] is None
    assert ex.hessian(lambda x: (jnp.sum(x**3), "aux"), has_aux=True)(x)[1] == "aux"


def test_dtypes():
    for dtype in (jnp.float32, jnp.float64):
        J = ex.jacobian(stencil)(jnp.ones(N, dtype))
        assert J.dtype == dtype
    mixed = {"a": jnp.ones(3, jnp.float32), "b": jnp.ones(2, jnp.float64)}
    J = ex.jacrev(lambda t: jnp.concatenate([t["a"] ** 2, t["b"] * t["a"][:2]]))(mixed)
    assert J.dtype == jnp.float64
    assert_close(
        J.todense(),
        [[2, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 2, 0, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 1]],
        1e-6,
    )


def test_holomorphic(rng):
    z = jnp.asarray(rng.normal(size=N) + 1j * rng.normal(size=N))
    expected = jax.jacobian(stencil, holomorphic=True)(z)
    for make in (ex.jacfwd, ex.jacrev, ex.jacobian):
        assert_close(make(stencil, holomorphic=True)(z).todense(), expected, 1e-14)


@pytest.mark.parametrize("n, m", [(0, 0), (1, 1), (0, 3), (3, 0)])
def test_empty_ones(n, m):
    f = lambda x: jnp.zeros(m) + jnp.sum(x) ** 2  # noqa: E731
    for make in (ex.jacfwd, ex.jacrev, ex.jacobian):
        J = make(f)(jnp.ones(n))
        assert J.shape == (m, n)
        assert_close(J.todense(), np.full((m, n), 2.0 * n), 1e-14)
    nothing = ex.jacobian(lambda x: jnp.ones(4))(jnp.ones(3))
    assert nothing.shape == (4, 3) and nothing.nnz == 0


def test_only_one_mode(x):
    """A function with a reverse rule alone is differentiated by rows, a while loop by columns."""

    @jax.custom_vjp
    def reverse_only(x):
        return stencil(x)

    reverse_only.defvjp(lambda x: jax.vjp(stencil, x), lambda back, ct: back(ct))

    def forward_only(x):
        return jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, 1.1 * c[1]), (0, x))[1]

    for f, make in ((reverse_only, ex.jacrev), (forward_only, ex.jacfwd)):
        for make_ in (make, ex.jacobian):
            assert_close(
                make_(f)(x).todense(),
                jax.jacrev(f)(x) if f is reverse_only else jax.jacfwd(f)(x),
                1e-14,
            )
    assert ex.jacobian_pattern(reverse_only, x) == ex.jacobian_pattern(stencil, x)
    ex.check_pattern(reverse_only, x)
    with pytest.raises(
        TypeError, match="`reverse_only` has no forward derivatives, .* elimax.jacrev"
    ):
        ex.jacfwd(reverse_only)(x)
    with pytest.raises(
        TypeError, match="`forward_only` has no reverse derivatives.* elimax.jacfwd"
    ):
        ex.jacrev(forward_only)(x)
    with pytest.raises(TypeError, match="no derivatives forward over reverse"):
        ex.hessian(lambda x: jnp.sum(forward_only(x)))(x)


def test_host_functions(x):
    """What has no batching rule is evaluated one product after the other."""

    @jax.custom_jvp
    def host(x):
        return jax.pure_callback(np.sin, jax.typeof(x), x, vmap_method="sequential")

    host.defjvp(lambda p, t: (host(p[0]), jnp.cos(p[0]) * t[0]))
    f = lambda x: host(x) * jnp.roll(x, 1)  # noqa: E731
    g = lambda x: jnp.sin(x) * jnp.roll(x, 1)  # noqa: E731
    assert_close(jax.jit(ex.jacfwd(f))(x).todense(), jax.jacobian(g)(x), 1e-12)


@hypothesis.settings(max_examples=8)  # each is compiled
@hypothesis.given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 0.6), st.integers(0, 2**31))
def test_random_patterns(m, n, density, seed):
    """f(x) = A sin(x) with a random A: a pattern that is known."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(m, n)) * (rng.random((m, n)) < density)
    rows, cols = np.nonzero(A)
    P = ex.Pattern.from_coo(rows, cols, (m, n))
    x = jnp.asarray(rng.normal(size=n))
    f = lambda x: jnp.asarray(A) @ jnp.sin(x)  # noqa: E731
    for make in (ex.jacfwd, ex.jacrev, ex.jacobian):
        J = make(f, pattern=P, verify=True)(x)
        assert np.array_equal(J.todense() != 0, A != 0)
        assert_close(J.todense(), A * np.cos(x), 1e-13)


# -- once for a function and shapes


def test_patterns_are_found_once(x, monkeypatch):
    from elimax._jacobian import plan

    made = []
    original = plan._make
    monkeypatch.setattr(plan, "_make", lambda *args: made.append(1) or original(*args))

    def f(x, a):
        return a * stencil(x)

    for _ in range(3):
        ex.jacobian(f)(x, 2.0)
        ex.jacobian(f)(x, 3.0)
    assert len(made) == 1
    ex.jacobian(f)(x[:5], 2.0)
    ex.jacobian(f)(x.astype(jnp.float32), 2.0)
    ex.jacfwd(f)(x, 2.0)
    assert len(made) == 4
    derivative = ex.jacobian(functools.partial(f, a=1.0))
    derivative(x), derivative(2 * x)
    assert len(made) == 5


def test_python_values_are_part_of_the_program(x):
    def f(x, shift):
        return x * jnp.roll(x, shift)

    for shift in (1, 2, 1):
        assert_close(
            ex.jacobian(f)(x, shift).todense(), jax.jacobian(lambda x, s=shift: f(x, s))(x), 1e-14
        )


def test_closures_over_traced_values(x):
    @jax.jit
    def total(x, a):
        return jnp.sum(ex.jacobian(lambda y: a * stencil(y))(x).todense() ** 2)

    assert_close(total(x, 2.0), 4 * jnp.sum(jax.jacobian(stencil)(x) ** 2), 1e-12)
    assert_close(jax.grad(total, 1)(x, 2.0), 4 * jnp.sum(jax.jacobian(stencil)(x) ** 2), 1e-12)


def test_a_function_that_has_become_another_one(x):
    """What it closes over is changed in place, or by name: then its pattern is found again."""
    index = np.arange(N)
    f = lambda x: x[index] * x  # noqa: E731
    for shift in (0, 1, 3):
        index[:] = np.roll(np.arange(N), shift)
        assert_close(ex.jacobian(f)(x).todense(), jax.jacobian(f)(x), 1e-14)


# -- errors


def test_errors(x):
    P = ex.Pattern.eye(N)
    with pytest.raises(ValueError, match="the argument at position 1, but got 1 positional"):
        ex.jacobian(stencil, 1)(x)
    with pytest.raises(ValueError, match="what is differentiated is passed by position"):
        ex.jacobian(stencil)(x=x)
    with pytest.raises(TypeError, match=r"argument\[0\] must be an array of numbers, got str"):
        ex.jacobian(stencil)("abc")
    with pytest.raises(
        TypeError, match=r"argument\[0\] has dtype bfloat16, but sparse matrices hold"
    ):
        ex.jacobian_pattern(stencil, x.astype(jnp.bfloat16))
    with pytest.raises(TypeError, match="`f` must be a function, got int"):
        ex.jacobian_pattern(3, x)
    with pytest.raises(TypeError, match="some argument is a jax.ShapeDtypeStruct"):
        ex.jacobian(stencil)(jax.ShapeDtypeStruct((N,), float))
    with pytest.raises(TypeError, match="looks at the value of an array in Python"):
        ex.jacobian(lambda x: x if x[0] > 0 else -x)(x)
    with pytest.raises(TypeError, match="`verify` must be True, False or None, got 'yes'"):
        ex.jacobian(stencil, verify="yes")
    with pytest.raises(ValueError, match="names an argument twice"):
        ex.jacobian(model, (0, 0))(PARAMETERS, 1.0)
    with pytest.raises(TypeError, match="`argnums` must be an integer or a sequence of integers"):
        ex.jacobian(stencil, "x")(x)
    with pytest.raises(TypeError, match=r"argument\[0\] has dtype int64; derivatives are of"):
        ex.jacobian(stencil)(jnp.arange(N))
    with pytest.raises(TypeError, match="result has dtype int64"):
        ex.jacobian(lambda x: x.astype(int))(x)
    with pytest.raises(TypeError, match="holomorphic=False; a function of complex numbers"):
        ex.jacobian(stencil)(x + 0j)
    with pytest.raises(TypeError, match="must return a pair"):
        ex.jacobian(stencil, has_aux=True)(x)
    with pytest.raises(TypeError, match="`f` must be a function, got int"):
        ex.jacobian(3)
    with pytest.raises(TypeError, match="`pattern` must be a Pattern, got ndarray"):
        ex.jacobian(stencil, pattern=np.eye(N))
    with pytest.raises(TypeError, match="`coloring` must be a Coloring, got Pattern"):
        ex.jacobian(stencil, coloring=P)
    with pytest.raises(ValueError, match=r'`coloring` is of kind "row", but needed is one of'):
        ex.jacfwd(stencil, coloring=ex.color(P, "row"))
    with pytest.raises(ValueError, match="not both"):
        ex.jacobian(stencil, pattern=P, coloring=ex.color(P))
    with pytest.raises(ValueError, match=r"has shape \(3, 3\), but the derivative of `stencil`"):
        ex.jacobian(stencil, pattern=ex.Pattern.eye(3))(x)
    with pytest.raises(ValueError, match="`chunk_size` must be positive, got 0"):
        ex.jacobian(stencil, chunk_size=0)
    with pytest.raises(TypeError, match=r'`chunk_size` must be an integer or "auto"'):
        ex.jacobian(stencil, chunk_size=1.5)


# -- memory

_PEAK = """
import jax, jax.numpy as jnp, elimax as ex
def f(x):
    return (x**2).at[0].set(jnp.sum(jnp.sin(x)))
n = 20_000
x = jnp.linspace(0.5, 1.5, n)
J = jax.jit(ex.jacfwd(f, verify=False))(x)
assert ex.color(J.pattern).num_colors == n, "a dense row needs a color for every column"
assert abs(J.values.sum() - (2 * x[1:].sum() + jnp.cos(x).sum())) < 1e-2 * n
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="memory as Linux says")
def test_many_colors_take_little_memory():
    """20,000 products with 20,000 elements: 3.2 GB at once, less than 1 GB in chunks."""
    run = subprocess.run([sys.executable, "-c", _PEAK], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 1.0
