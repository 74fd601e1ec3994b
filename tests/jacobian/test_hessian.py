"""Sparse Hessians: equal to dense ones, by either kind of coloring, and ready for a factorization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex

from ..helpers import assert_close

N = 20


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def arrow(x):
    return jnp.sum(jnp.cos(x[0] * x[1:])) + jnp.sum(x**4)


def grid(x):
    u = x.reshape(4, 5)
    return jnp.sum((u[1:] - u[:-1]) ** 4) + jnp.sum(jnp.exp(u[:, 1:] * u[:, :-1])) + jnp.sum(u[::2])


def separable(x):
    return jnp.sum(jnp.cosh(x[::2])) + jnp.sum(x[1::2])


FUNCTIONS = {"rosenbrock": rosenbrock, "arrow": arrow, "grid": grid, "separable": separable}
COLORS = {  # star, acyclic
    "rosenbrock": (3, 2),
    "arrow": (2, 2),
    "grid": (5, 3),
    "separable": (1, 1),
}


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.uniform(0.5, 1.5, N))


@pytest.mark.parametrize("chunk_size", ["auto", 2])
@pytest.mark.parametrize("kind", ["star", "acyclic"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, kind, chunk_size, x):
    f = FUNCTIONS[name]
    H = jax.jit(ex.hessian(f, kind=kind, chunk_size=chunk_size))(x)
    assert isinstance(H, ex.SymmetricMatrix)
    assert_close(H.todense(), jax.hessian(f)(x), 1e-13)
    P = ex.hessian_pattern(f, x, verify=False)
    assert H.pattern == P and P.symmetric
    found = ex.color(P, kind).num_colors
    assert found == COLORS[name][kind == "acyclic"]


@pytest.mark.parametrize("kind", ["star", "acyclic"])
def test_derivatives_of_a_hessian(kind, x):
    """Third and fourth derivatives, in both modes, and batches: what a Laplace approximation needs."""

    def f(x):
        return 1e-2 * rosenbrock(x) + jnp.sum(jnp.cosh(3 * x))

    def logdet(x):
        return ex.cholesky(ex.hessian(f, kind=kind)(x), throw=False).logdet()

    def dense(x):
        return jnp.linalg.slogdet(jax.hessian(f)(x))[1]

    x = 0.3 * x
    assert_close(jax.jit(logdet)(x), dense(x), 1e-12)
    assert_close(jax.jit(jax.grad(logdet))(x), jax.jit(jax.grad(dense))(x), 1e-10)
    along = lambda g: jax.jit(lambda x: jax.jvp(g, (x,), (x**2,))[1])(x)  # noqa: E731
    assert_close(along(logdet), along(dense), 1e-10)
    assert_close(jax.jit(jax.hessian(logdet))(x), jax.jit(jax.hessian(dense))(x), 1e-8)
    batch = jnp.stack([x, x**2])
    assert_close(jax.jit(jax.vmap(logdet))(batch), jax.jit(jax.vmap(dense))(batch), 1e-12)


def test_newton_is_one_program(x):
    def f(x):
        return rosenbrock(x) + 500 * jnp.sum(x**2)

    @jax.jit
    def step(x):
        return x - ex.cholesky(ex.hessian(f)(x)).solve(jax.grad(f)(x))

    assert_close(step(x), x - jnp.linalg.solve(jax.hessian(f)(x), jax.grad(f)(x)), 1e-12)


def test_pytrees_argnums_and_aux():
    def f(a, p, power):
        return jnp.sum(a * p["u"] ** power) * p["v"][0], {"a": a}

    a, p = jnp.arange(1.0, 4.0), {"u": jnp.arange(2.0, 5.0), "v": jnp.ones((1, 1))}

    def flat(z):
        return f(z[:3], {"u": z[3:6], "v": z[6:].reshape(1, 1)}, 3)[0][0]

    z = jnp.concatenate([a, p["u"], p["v"].ravel()])

    def g(*args, **kwargs):
        value, aux = f(*args, **kwargs)
        return value[0], aux

    H, aux = ex.hessian(g, (0, 1), has_aux=True)(a, p, power=3)
    assert_close(H.todense(), jax.hessian(flat)(z), 1e-13)
    assert np.array_equal(aux["a"], a)
    assert ex.hessian(g, 1, has_aux=True)(a, p, power=3)[0].shape == (4, 4)


def test_holomorphic(rng):
    z = jnp.asarray(rng.normal(size=N) + 1j * rng.normal(size=N))
    for kind in ("star", "acyclic"):
        H = ex.hessian(rosenbrock, holomorphic=True, kind=kind)(z)
        assert not H.hermitian
        assert_close(H.todense(), jax.hessian(rosenbrock, holomorphic=True)(z), 1e-13)


@pytest.mark.parametrize("n", [0, 1])
def test_small_ones(n):
    H = ex.hessian(lambda x: jnp.sum(x**3))(jnp.ones(n))
    assert_close(H.todense(), 6 * np.eye(n), 1e-14)
    nothing = ex.hessian(lambda x: 3.0 * jnp.sum(x))(jnp.ones(5))
    assert nothing.shape == (5, 5) and nothing.nnz == 0


def test_given_patterns(x):
    general = ex.hessian_pattern(rosenbrock, x).to_general()[0]
    dense = ex.Pattern.dense((N, N))
    for P in (general, general.lower()[0], dense):
        H = ex.hessian(rosenbrock, pattern=P, verify=True)(x)
        assert_close(H.todense(), jax.hessian(rosenbrock)(x), 1e-13)
    coloring = ex.color(general, "acyclic")
    H = ex.hessian(rosenbrock, coloring=coloring)(x)
    assert_close(H.todense(), jax.hessian(rosenbrock)(x), 1e-13)


def test_errors(x):
    with pytest.raises(ValueError, match="must return one number to have a Hessian"):
        ex.hessian(jnp.sin)(x)
    with pytest.raises(ValueError, match='`kind` must be "star" or "acyclic"'):
        ex.hessian(rosenbrock, kind="column")
    with pytest.raises(ValueError, match='`coloring` is of kind "column"'):
        ex.hessian(rosenbrock, coloring=ex.color(ex.Pattern.eye(N)))
    with pytest.raises(ValueError, match="the pattern that was given for the derivative of"):
        ex.hessian(rosenbrock, pattern=ex.Pattern.eye(N), verify=True)(x)
    lopsided = ex.Pattern.from_coo([1], [0], (N, N))
    with pytest.raises(ValueError, match="is not symmetric"):
        ex.hessian(rosenbrock, pattern=lopsided)(x)
