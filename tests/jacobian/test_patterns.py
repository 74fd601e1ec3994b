"""Patterns of derivatives as users ask for them: everywhere, at a point, for trees and shapes, verified."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax._jacobian import detection
from elimax._primitive.define import is_traced

N = 12


def stencil(x):
    return x**3 - jnp.roll(x, 1) * x


def branching(x):
    return jnp.where(x > 0, x**2, x * jnp.roll(x, 1))


def cases(x):
    return jax.lax.cond(x[0] > 0, lambda x: x**2, lambda x: x[::-1] ** 2, x)


def product(x):
    return x * jnp.roll(x, 1)


def as_array(P):
    return P.to_scipy().toarray()


def test_shapes_suffice():
    struct = jax.ShapeDtypeStruct((N,), jnp.float32)
    P = ex.jacobian_pattern(stencil, struct)
    assert P == ex.jacobian_pattern(stencil, jnp.ones(N))
    expected = np.eye(N) + np.roll(np.eye(N), 1, 0)
    assert np.array_equal(as_array(P), expected > 0)
    H = ex.hessian_pattern(lambda x: jnp.sum(stencil(x)), struct)
    assert H.symmetric and np.array_equal(
        as_array(H.to_general()[0]), (expected + np.roll(np.eye(N), -1, 0)) > 0
    )


def test_local_patterns_are_those_at_a_point(rng):
    """Branches that are not taken, and factors that are zero, do not count."""
    x = rng.normal(size=N)
    x[3] = 0
    x = jnp.asarray(x)
    for f in (branching, cases, product, lambda x: jnp.maximum(x, jnp.roll(x, 1))):
        everywhere, here = ex.jacobian_pattern(f, x), ex.jacobian_pattern(f, x, local=True)
        dense = np.asarray(jax.jacobian(f)(x)) != 0
        assert np.array_equal(as_array(here) | dense, as_array(here))
        assert here.nnz < everywhere.nnz
        assert here.union(everywhere) == everywhere
        ex.check_pattern(f, x, pattern=here)
    gathered = lambda x, i: x[i] ** 2  # noqa: E731
    index = jnp.asarray(rng.permutation(N))
    assert ex.jacobian_pattern(gathered, jnp.ones(N), index, local=True).nnz == N
    assert ex.jacobian_pattern(gathered, x, index).nnz == N * N
    assert ex.hessian_pattern(lambda x: jnp.sum(branching(x)), jnp.ones(N), local=True).nnz == N


def test_a_local_pattern_needs_a_point():
    with pytest.raises(ValueError, match="local=True asks for the pattern at a point"):
        ex.jacobian_pattern(stencil, jax.ShapeDtypeStruct((N,), float), local=True)
    with pytest.raises(ValueError, match="local=True asks for the pattern at a point"):
        jax.jit(lambda x: ex.jacobian_pattern(stencil, x, local=True).nnz)(jnp.ones(N))


def test_trees():
    def f(p, t):
        return {"y": p["u"][::-1] * t, "z": (p["v"].sum(), p["u"][0])}

    p = {"u": jnp.ones(3), "v": jnp.ones((2, 1))}
    P = ex.jacobian_pattern(f, p, 2.0)
    expected = [[0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 1], [1, 0, 0, 0, 0]]
    assert np.array_equal(as_array(P), np.array(expected) > 0)
    both = ex.jacobian_pattern(f, p, 2.0, argnums=(0, 1))
    assert both.shape == (5, 6) and np.array_equal(as_array(both)[:, 5], [1, 1, 1, 0, 0])
    aux = ex.jacobian_pattern(lambda p, t: (f(p, t), t), p, t=2.0, has_aux=True)
    assert aux == P


def test_within_jit():
    """Patterns are static: they can be asked for while a program is traced."""

    @jax.jit
    def nnz(x):
        assert is_traced(x)
        return ex.jacobian_pattern(stencil, x).nnz * x[0]

    assert nnz(jnp.ones(N)) == 2 * N


def test_what_is_dense():
    with pytest.warns(UserWarning, match="the Jacobian of `softmax` of shape .* is taken to be"):
        P = ex.jacobian_pattern(jax.nn.softmax, jnp.ones(200))
    assert P.density == 1
    with (
        pytest.raises(ValueError, match="could not be found, and as a dense matrix it would be"),
        pytest.warns(UserWarning, match="is taken to be a dense matrix"),
    ):
        ex.jacobian_pattern(jax.nn.softmax, jnp.ones(100_000))


# -- verification


@pytest.fixture
def incomplete(monkeypatch):
    """A rule that forgets: the pattern of every function is its diagonal."""
    monkeypatch.setattr(detection, "linear_pattern", lambda f, n, dtype: ex.Pattern.eye(n))


def test_missing_entries_are_an_error(incomplete):
    x = jnp.ones(N)
    message = r"the pattern that was found for the derivative of `stencil` lacks entries: row \d+"
    for argument in (x, jax.ShapeDtypeStruct((N,), float)):
        with pytest.raises(ValueError, match=message):
            ex.jacobian_pattern(stencil, argument)
        with pytest.raises(ValueError, match="lacks entries"):
            ex.hessian_pattern(lambda x: jnp.sum(stencil(x)), argument)
    assert ex.jacobian_pattern(stencil, x, verify=False) == ex.Pattern.eye(N)
    for make in (ex.jacfwd, ex.jacobian):
        with pytest.raises(ValueError, match=message):
            make(stencil)(x)
        with pytest.raises(ValueError, match=message):
            jax.jit(make(stencil))(x)
    with pytest.raises(ValueError, match=r"lacks entries: column \d+"):
        ex.jacrev(stencil)(x)
    with pytest.raises(ValueError, match="lacks entries"):
        ex.hessian(lambda x: jnp.sum(stencil(x)))(x)
    wrong = ex.jacfwd(stencil, verify=False)(x)
    assert wrong.nnz == N


def test_missing_entries_are_nan_where_nothing_can_be_run(incomplete):
    """A function of traced values is compared in each run."""
    x = jnp.ones(N)
    for make in (ex.jacfwd, ex.jacrev):
        found = jax.jit(lambda x, a, make=make: make(lambda y: a * stencil(y))(x).values)(x, 2.0)
        assert jnp.isnan(found).all()
        right = jax.jit(lambda x, a, make=make: make(lambda y: a * y**2)(x).values)(x, 2.0)
        assert np.array_equal(right, np.full(N, 4.0))


def test_functions_that_fail_at_random_points(rng):
    """A factorization of what is not definite: then each run is compared."""

    def f(x):
        A = ex.SymmetricMatrix(ex.Pattern.eye(N, symmetric=True), x - 100)
        return ex.cholesky(A).inverse_diagonal()

    x = jnp.asarray(rng.uniform(101, 102, N))
    J = jax.jit(ex.jacobian(f))(x)
    assert np.allclose(J.todense(), np.diag(-1 / (np.asarray(x) - 100) ** 2))


def test_check_pattern():
    x = jnp.linspace(0.5, 1.5, N)
    P = ex.jacobian_pattern(stencil, x)
    ex.check_pattern(stencil, x)
    ex.check_pattern(stencil, x, pattern=P)
    ex.check_pattern(stencil, jax.ShapeDtypeStruct((N,), jnp.float64), pattern=P)
    ex.check_pattern(stencil, x, pattern=ex.Pattern.dense((N, N)))
    lacking = ex.Pattern.from_coo(P.rows[1:], P.columns[1:], P.shape)
    with pytest.raises(
        ValueError, match="given for the derivative of `stencil` lacks entries: row 0"
    ):
        ex.check_pattern(stencil, x, pattern=lacking)
    energy = lambda x: jnp.sum(stencil(x))  # noqa: E731
    ex.check_pattern(energy, x, pattern=ex.hessian_pattern(energy, x))
    with pytest.raises(ValueError, match="lacks entries"):
        ex.check_pattern(energy, x, pattern=ex.Pattern.eye(N, symmetric=True))
    with pytest.raises(ValueError, match="`pattern` must have the shape of the derivative"):
        ex.check_pattern(stencil, x, pattern=ex.Pattern.eye(3))
    with pytest.raises(TypeError, match="`pattern` must be a Pattern"):
        ex.check_pattern(stencil, x, pattern=np.eye(N))
    with pytest.raises(TypeError, match="cannot be evaluated here"):
        jax.jit(lambda a: ex.check_pattern(lambda x: a * x, x))(2.0)


def test_patterns_of_jacobians(rng):
    """A function of a sparse Jacobian has a sparse Jacobian itself."""
    f = lambda x: ex.jacobian(stencil, verify=False)(x).diagonal()  # noqa: E731
    x = jnp.asarray(rng.normal(size=N))
    for g in (f, lambda x: ex.jacrev(stencil, verify=False)(x).values):
        found = as_array(ex.jacobian_pattern(g, x))
        assert np.array_equal(found, np.asarray(jax.jacobian(g)(x)) != 0)
