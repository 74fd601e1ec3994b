"""Programs that users write around a factorization: control flow, rematerialization, rules of their own.

Every program takes functions of (stored values, right-hand side) and runs twice, with the sparse and with the
dense ones, under `jit`; the results must agree.
"""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import elimax as ex

from ..derivatives import draw
from ..helpers import assert_close, dense, spd, stored

A = spd("small")
S = ex.SymmetricMatrix.from_scipy(A)


def _sparse(v, b):
    F = ex.cholesky(S.with_values(v))
    return F.solve(b) + F.logdet() * F.inverse_diagonal()


def _dense(v, b):
    X = dense(A, v)
    return jnp.linalg.solve(X, b) + jnp.linalg.slogdet(X)[1] * jnp.diagonal(jnp.linalg.inv(X))


SPARSE = types.SimpleNamespace(f=_sparse, solve=lambda v, b: ex.cholesky(S.with_values(v)).solve(b))
DENSE = types.SimpleNamespace(f=_dense, solve=lambda v, b: jnp.linalg.solve(dense(A, v), b))


def _loss(f):
    return lambda *x: jnp.sum(jnp.sin(f(*x)))


# -- cond, switch


def _cond(e, V, B):
    def f(p, v, b):
        return lax.cond(p, e.f, lambda v, b: b - e.f(2 * v, b), v, b)

    p = V[:, 0] > V[0, 0]
    gradient = jax.grad(_loss(f), (1, 2))
    return [
        f(p[0], V[0], B[0]),
        f(p[1], V[1], B[1]),
        gradient(p[1], V[1], B[1]),
        jax.vmap(f)(p, V, B),
        jax.vmap(f, (0, None, None))(p, V[0], B[0]),
        jax.vmap(gradient)(p, V, B),
        jax.grad(lambda V: jnp.sum(jax.vmap(f)(p, V, B)))(V),
    ]


def _switch(e, V, B):
    def f(i, v, b):
        branches = [e.f, lambda v, b: b, lambda v, b: e.solve(v, e.f(v, b))]
        return lax.switch(i, branches, v, b)

    i = jnp.arange(3) + V[0, 0].astype(int) * 0
    each = [f(k, V[0], B[0]) for k in (0, 1, 2)]
    return each, jax.vmap(f, (0, 0, None))(i, V, B[0]), jax.vmap(jax.grad(_loss(f), 1))(i, V, B)


# -- loops


def _scan(e, V, B):
    def f(V, b):
        def step(b, v):
            y = e.f(v, b)
            return 0.1 * y, jnp.sum(y)

        return lax.scan(step, b, V)

    def loss(V, b):
        return jnp.sum(f(V, b)[0] ** 2)

    gradient = jax.grad(loss, (0, 1))
    tangent = (V, B[0])
    return {
        "value": f(V, B[0]),
        "vmap": jax.vmap(f, (None, 0))(V, B),
        "jvp": jax.jvp(f, (V, B[0]), tangent)[1],
        "gradient": gradient(V, B[0]),
        "vmap of gradient": jax.vmap(gradient, (None, 0))(V, B),
        "jvp of gradient": jax.jvp(gradient, (V, B[0]), tangent)[1],
        "reversed": lax.scan(lambda c, v: (c, e.f(v, c)), B[0], V, reverse=True, unroll=2),
    }


def _while_loop(e, V, B):
    def f(v, b):
        """Iterates until the vector is small: elements of a batch stop at different times."""

        def body(state):
            i, b = state
            return i + 1, 0.1 * e.solve(v, b)

        return lax.while_loop(lambda s: jnp.max(jnp.abs(s[1])) > 1e-3, body, (0, b))

    scale = jnp.array([1.0, 30.0, 0.01])
    return {
        "value": f(V[0], B[0]),
        "vmap": jax.vmap(f)(V, scale[:, None] * B),
        "jvp": jax.jvp(lambda v, b: f(v, b)[1], (V[0], B[0]), (V[1], B[1]))[1],
        "jvp of vmap": jax.jvp(lambda V: jax.vmap(f, (0, None))(V, B[0])[1], (V,), (2 * V,))[1],
    }


def _fori_loop(e, V, B):
    def f(v, b):
        return lax.fori_loop(0, 3, lambda i, b: 0.1 * e.f(v * (1 + i), b), b)

    gradient = jax.grad(_loss(f), (0, 1))
    return f(V[0], B[0]), jax.vmap(f)(V, B), gradient(V[0], B[0]), jax.vmap(gradient)(V, B)


def _map(e, V, B):
    def f(V):
        return lax.map(lambda x: e.f(*x), (V, B), batch_size=2)

    return f(V), jax.grad(_loss(f))(V)


# -- rematerialization


def _checkpoint(e, V, B):
    policies = jax.checkpoint_policies
    results = []
    for policy in (None, policies.everything_saveable, policies.dots_with_no_batch_dims_saveable):
        f = jax.checkpoint(e.f, policy=policy)
        gradient = jax.grad(_loss(f), (0, 1))
        results += [gradient(V[0], B[0]), jax.vmap(gradient)(V, B)]
        results += [jax.jvp(gradient, (V[0], B[0]), (V[1], B[1]))[1]]
    step = jax.checkpoint(lambda b, v: (0.1 * e.f(v, b), None))
    results += [jax.grad(lambda V: jnp.sum(lax.scan(step, B[0], V)[0]))(V)]
    return results


# -- rules of the user's own


def _custom_jvp(e, V, B):
    @jax.custom_jvp
    def f(v, b):
        return e.f(v, b)

    @f.defjvp
    def rule(x, t):
        return e.f(*x), 3 * jax.jvp(e.f, x, t)[1]

    gradient = jax.grad(_loss(f), (0, 1))
    hessian = jax.jvp(gradient, (V[0], B[0]), (V[1], B[1]))[1]
    return gradient(V[0], B[0]), jax.vmap(gradient)(V, B), hessian


def _custom_vjp(e, V, B):
    @jax.custom_vjp
    def f(v, b):
        return e.solve(v, b)

    def forward(v, b):
        x = f(v, b)
        return x, (v, x)

    def backward(residuals, ct):
        v, x = residuals
        y = e.solve(v, ct)
        return jnp.zeros_like(v).at[0].set(-y[0] * x[0]), y

    f.defvjp(forward, backward)
    gradient = jax.grad(_loss(f), (0, 1))
    return gradient(V[0], B[0]), jax.vmap(gradient)(V, B), jax.vmap(gradient, (0, None))(V, B[0])


def _custom_linear_solve(e, V, B):
    def f(v, b):
        matvec = lambda x: jnp.asarray(A.toarray()) @ x * v[0]  # noqa: E731
        precondition = lambda _, b: e.solve(stored(A), b) / v[0]  # noqa: E731
        return lax.custom_linear_solve(matvec, b, precondition, symmetric=True)

    return f(V[0], B[0]), jax.grad(_loss(f), (0, 1))(V[0], B[0]), jax.vmap(f)(V, B)


# -- the pieces of automatic differentiation


def _linear(e, V, B):
    y, f_jvp = jax.linearize(e.f, V[0], B[0])
    transpose = jax.linear_transpose(lambda b: e.solve(V[0], b), B[0])
    y2, f_vjp = jax.vjp(e.f, V[0], B[0])
    return [
        y,
        jax.vmap(f_jvp)(V, B),
        jax.linear_transpose(f_jvp, V[0], B[0])(B[1]),
        transpose(B[1]),
        jax.vmap(transpose)(B),
        y2,
        jax.vmap(f_vjp)(B),
    ]


def _vectorize(e, V, B):
    f = jnp.vectorize(e.f, signature="(m),(n)->(n)")
    return f(V[:, None], B), f(V, B), f(V[0], B)


PROGRAMS = [
    _cond,
    _switch,
    _scan,
    _while_loop,
    _fori_loop,
    _map,
    _checkpoint,
    _custom_jvp,
    _custom_vjp,
    _custom_linear_solve,
    _linear,
    _vectorize,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__[1:])
def test_a_program_agrees_with_dense(program, rng):
    V = jnp.stack([stored(A) * s for s in (1.0, 1.5, 2.0)])
    B = draw(rng, (3, 12), np.float64)
    got, expected = (jax.jit(lambda V, B, e=e: program(e, V, B))(V, B) for e in (SPARSE, DENSE))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert_close(a, b, 1e-10)


def test_an_untaken_branch_is_isolated_without_throw():
    """Under a vmapped predicate both branches run; what fails in the one not taken is selected away."""

    def program(throw):
        def f(v):
            def inverse_diagonal(v):
                return ex.cholesky(S.with_values(v), throw=throw).inverse_diagonal()

            return lax.cond(v[0] > 0, inverse_diagonal, lambda v: v[:12], v)

        return f

    V = jnp.stack([S.values, -S.values])
    run = jax.jit(jax.vmap(program(throw=False)))
    np.testing.assert_array_equal(run(V)[0], jax.jit(program(throw=False))(V[0]))
    np.testing.assert_array_equal(run(V)[1], V[1, :12])
    jacobian = jax.jit(jax.vmap(jax.jacrev(program(throw=False))))(V)
    assert_close(jacobian[0], jax.jacfwd(program(throw=False))(V[0]), 1e-12)
    np.testing.assert_array_equal(jacobian[1], np.eye(12, S.nnz))
    np.testing.assert_array_equal(jax.vmap(jax.jacfwd(program(throw=False)))(V)[1], jacobian[1])
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"batch element 1"):
        jax.block_until_ready(jax.jit(jax.vmap(program(throw=True)))(V))
