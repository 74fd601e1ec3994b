"""Functions around control flow, linear algebra and the primitives of Elimax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jax import lax

import elimax as ex

from .oracle import Case, N

SPARSE = ex.SparseMatrix.from_scipy(
    sp.random_array((N, N), density=0.2, rng=np.random.default_rng(1), format="csc")
)
BLOCKS = ex.SymmetricMatrix.from_dense(
    np.kron(np.eye(4), np.array([[4.0, 1.0, 1.0], [1.0, 4.0, 1.0], [1.0, 1.0, 4.0]]))
)
LOWER = np.tril(np.random.default_rng(5).normal(size=(4, 4))) + 2 * np.eye(4)
BAND = 3 * np.eye(4) + np.eye(4, k=-1)
TABLE = np.array([[3, 1, 0], [2, 2, 5], [11, 4, 7], [0, 6, 9]])


def heat(x, steps):
    return lax.fori_loop(0, steps, lambda _, u: u + 0.1 * (jnp.roll(u, 1) - u) * u, x)


def running(x, reverse=False):
    def step(c, a):
        return c * a, jnp.sin(c) * a

    return lax.scan(step, 1.5, x, reverse=reverse)[1]


def last(x, steps, reverse=False):
    """The carry of a scan over more elements than it is long."""

    def step(c, a):
        return jnp.roll(c, 1).at[0].set(jnp.sin(a)) * 1.1, None

    return lax.scan(step, x[:4], jnp.tile(x, steps // N + 1)[:steps], reverse=reverse)[0]


def recurrence(x):
    return lax.fori_loop(1, N, lambda i, c: c.at[i].set(c[i - 1] * c[i]), x)


def shifting(x):
    return lax.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1].at[1:].add(c[1][:-1] * x[1:])), (0, x)
    )[1]


def until_small(x):
    """The number of steps depends on values."""
    return lax.while_loop(lambda c: jnp.sum(c**2) > 1e-2, lambda c: 0.5 * jnp.roll(c, 1), x)


def both_constants(x):
    """The condition and the body have constants of their own."""
    stop, step = jnp.sum(lax.stop_gradient(x) > 9) + 2, jnp.sin(x[::-1])
    return lax.while_loop(lambda c: c[0] < stop, lambda c: (c[0] + 1, c[1] * step), (0, x))[1]


def rows(x):
    """Each step reads the elements that a row of a table names."""
    return lax.scan(lambda c, row: (c, jnp.prod(x[row])), 0.0, TABLE)[1]


def nested(x):
    def outer(c, i):
        inner = lax.fori_loop(0, 2, lambda j, u: u.at[i + j].multiply(x[i]), c)
        return inner, inner[i]

    return lax.scan(outer, x**2, jnp.arange(4))[1]


def choosing(x):
    """The branch of each step is known."""

    def step(c, i):
        return lax.cond(i % 2 == 0, lambda c: c * x[0], lambda c: jnp.roll(c, 1), c), c[0]

    return jnp.concatenate(lax.scan(step, x[1:4], jnp.arange(5)))


def counting(x):
    """A while loop in a scan."""

    def step(c, a):
        d = lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] * a), (0, c))[1]
        return d, d

    return lax.scan(step, 1.0, x[:5])[1]


@jax.custom_jvp
def reversing(x):
    return x


reversing.defjvp(lambda p, t: (p[0], t[0][::-1]))


@jax.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))


@jax.custom_vjp
def cubed(x):
    return x**3


cubed.defvjp(lambda x: (x**3, x), lambda x, ct: (3 * x**2 * ct,))


def by_conjugate_gradients(x):
    A = jnp.eye(3) * 4 + 1
    return jax.scipy.sparse.linalg.cg(lambda b: b @ A, x.reshape(4, 3))[0].ravel()


CONTROL_FLOW = {
    "jit in jit": Case(lambda x: jax.jit(lambda y: jax.jit(jnp.roll)(y, 2) ** 2)(x)),
    "checkpoint": Case(jax.checkpoint(lambda x: jnp.sin(jnp.roll(x, 2)) * x)),
    "custom_jvp": Case(lambda x: reversing(x) ** 1),
    "custom_vjp of a constant": Case(lambda x: x * doubled(jnp.arange(1.0, N + 1))),
    "custom_vjp in a gradient": Case(
        jax.grad(lambda x: jnp.sum(cubed(x) * x[::-1])), gradient=None
    ),
    "linear_call": Case(
        lambda x: jax.custom_derivatives.linear_call(
            lambda r, x: r * x[::-1], lambda r, ct: (r * ct)[::-1], 2.0, x**2
        )
    ),
    "lax.map": Case(lambda x: lax.map(lambda a: a * jnp.sin(a), jnp.repeat(x, 10))),
    "cond": Case(
        lambda x: lax.cond(x[0] > 0, lambda x: jnp.roll(x, 1), lambda x: x**2, x), False, False
    ),
    "cond, known": Case(lambda x: lax.cond(len(x) > 3, lambda x: x[::-1] ** 2, jnp.cumsum, x)),
    "switch": Case(
        lambda x: lax.switch(jnp.argmax(x[:3]), [jnp.sin, jnp.flip, lambda x: jnp.roll(x, 3)], x),
        False,
        False,
    ),
    "switch, known": Case(lambda x: lax.switch(jnp.int32(1), [jnp.sin, jnp.flip], x) ** 2),
    "fori_loop": Case(lambda x: heat(x, 3)),
    "long fori_loop": Case(lambda x: heat(x, 70)),
    "scan": Case(running),
    "scan, reversed": Case(functools.partial(running, reverse=True)),
    "scan, longer": Case(lambda x: running(jnp.repeat(x, 8)), gradient=None),
    "scan, longer, reversed": Case(
        lambda x: running(jnp.repeat(x, 6), reverse=True), gradient=None
    ),
    "scan to the last": Case(lambda x: last(x, 5), gradient=False),
    "scan to the last, longer": Case(lambda x: last(x, 70), gradient=False),
    "scan to the last, longer, reversed": Case(lambda x: last(x, 71, reverse=True), gradient=False),
    "scan of nothing": Case(lambda x: lax.scan(lambda c, a: (c * a, a), x, jnp.zeros(0))[0] ** 2),
    "recurrence": Case(recurrence),
    "rows of a table": Case(rows),
    "loop in a scan": Case(nested, gradient=False),
    "branches in a scan": Case(choosing),
    "while in a scan": Case(counting, gradient=None),
    "while": Case(shifting, gradient=None),
    "while, by values": Case(until_small, False, None),
    "while, both constants": Case(both_constants, False, None),
    "fori_loop by values": Case(
        lambda x: lax.fori_loop(0, jnp.argmax(x[:3]), lambda i, u: u.at[i].multiply(x[3]), x**2),
        False,
        None,
    ),
}


def positive(x):
    return x.reshape(4, 3) @ x.reshape(4, 3).T + 2 * jnp.eye(4)


ALGEBRA = {
    "triangular_solve": Case(
        lambda x: jax.scipy.linalg.solve_triangular(LOWER, x.reshape(4, 3), lower=True).ravel() ** 2
    ),
    "triangular_solve, transposed": Case(
        lambda x: (
            jax.scipy.linalg.solve_triangular(LOWER, x.reshape(4, 3), lower=True, trans="T").ravel()
            ** 2
        )
    ),
    "triangular_solve, right side": Case(
        lambda x: lax.linalg.triangular_solve(LOWER, x.reshape(3, 4), lower=True).ravel() ** 2
    ),
    "triangular_solve, sparse": Case(
        lambda x: (
            lax.linalg.triangular_solve(
                BAND * (np.arange(4) != 2),
                x.reshape(4, 3),
                left_side=True,
                lower=True,
                unit_diagonal=True,
            ).ravel()
            ** 2
        )
    ),
    "triangular_solve by both": Case(
        lambda x: lax.linalg.triangular_solve(
            jnp.tril(x[:9].reshape(3, 3)) + 3 * jnp.eye(3), x[9:, None], left_side=True, lower=True
        ).ravel(),
        False,
        False,
    ),
    "tridiagonal_solve": Case(
        lambda x: lax.linalg.tridiagonal_solve(
            jnp.ones(4), 3 * jnp.ones(4), jnp.ones(4), x.reshape(4, 3) ** 2
        ).ravel(),
        False,
        False,
    ),
    "solve": Case(lambda x: jnp.linalg.solve(3 * jnp.eye(N) + jnp.diag(x), x), False, False),
    "solve, batched": Case(
        lambda x: jnp.linalg.solve(
            3 * jnp.eye(2) + x[:8].reshape(2, 2, 2), x[8:].reshape(2, 2, 1)
        ).ravel()
    ),
    "inv, det": Case(
        lambda x: jnp.append(
            jnp.linalg.inv(x[:4].reshape(2, 2) + 3 * jnp.eye(2)).ravel(),
            jnp.linalg.det(x[4:8].reshape(2, 2)),
        ),
        False,
        False,
    ),
    "cg": Case(by_conjugate_gradients),
    "cholesky": Case(lambda x: jnp.linalg.cholesky(positive(x)).ravel(), False, False),
    "cholesky, batched": Case(
        lambda x: jnp.linalg.cholesky(
            jnp.einsum("bij,bkj->bik", x.reshape(3, 2, 2), x.reshape(3, 2, 2)) + jnp.eye(2)
        ).ravel(),
        False,
        False,
    ),
    "eigh": Case(lambda x: jnp.linalg.eigh(positive(x))[0], False, False),
    "eigh, vectors": Case(lambda x: jnp.linalg.eigh(positive(x))[1].ravel(), False, None),
    "svd": Case(lambda x: jnp.linalg.svd(x.reshape(4, 3), compute_uv=False), False, False),
    "svd, batched": Case(
        lambda x: jnp.linalg.svd(x.reshape(2, 3, 2), full_matrices=False)[0].ravel(), False, None
    ),
    "qr": Case(lambda x: jnp.linalg.qr(x.reshape(4, 3))[1].ravel(), False, None),
    "lu": Case(
        lambda x: lax.linalg.lu(x[:9].reshape(3, 3) + 3 * jnp.eye(3))[0].ravel(), False, None
    ),
    "slogdet": Case(lambda x: jnp.linalg.slogdet(positive(x))[1][None], False, False),
    "eig": Case(lambda x: jnp.abs(jnp.linalg.eigvals(x[:9].reshape(3, 3))), False, None),
    "expm": Case(lambda x: jax.scipy.linalg.expm(x[:9].reshape(3, 3) / 5).ravel(), False, None),
}
ELIMAX = {
    "product": Case(lambda x: SPARSE @ x**2, holomorphic=True, gradient=False),
    "product by values": Case(lambda x: repeated(x) @ x),
    "columns": Case(
        lambda x: (SPARSE.T @ x.reshape(4, 3).repeat(3, 0)).ravel() ** 2, gradient=False
    ),
    "symmetric": Case(lambda x: ex.SymmetricMatrix.diags(x) @ jnp.roll(x, 1)),
    "a Jacobian": Case(
        lambda x: ex.jacfwd(lambda x: x**3 * jnp.roll(x, 1), verify=False)(x).values, False, False
    ),
    "gather and scatter": Case(lambda x: ex.SymmetricMatrix.diags(x).to_general().T.values ** 2),
    "batches": Case(
        lambda x: jax.vmap(lambda v: SPARSE.with_values(v).T @ jnp.ones(N))(
            jnp.sin(jnp.outer(x[:2], jnp.ones(SPARSE.nnz)))
        ).ravel(),
        False,
        False,
    ),
    "cholesky": Case(lambda x: ex.cholesky(BLOCKS, throw=False).solve(x**2)),
    "cholesky, values": Case(
        lambda x: ex.cholesky(ex.SymmetricMatrix.diags(x**2 + 1), throw=False).solve(x)
    ),
    "logdet": Case(lambda x: ex.cholesky(blocks(x), throw=False).logdet()[None]),
    "selected inverse": Case(
        lambda x: ex.cholesky(blocks(x), throw=False).selected_inverse().values,
        gradient=None,
    ),
    "half_solve": Case(
        lambda x: ex.cholesky(blocks(x), throw=False).half_solve(x),
        False,
        None,
    ),
    "ldl": Case(lambda x: ex.ldl(BLOCKS, throw=False).solve(x**2), gradient=False),
    "lu": Case(
        lambda x: ex.lu(SPARSE + ex.SparseMatrix.diags(x + 9), throw=False).solve(x), False, None
    ),
    "triangular": Case(
        lambda x: ex.triangular_solve(
            ex.SparseMatrix.from_dense(LOWER), x[:4], lower=True, throw=False
        ),
        False,
        False,
    ),
    "sparse times sparse": Case(
        lambda x: (ex.SparseMatrix.diags(x) @ SPARSE).values ** 2, gradient=False
    ),
    "sparse times sparse, both": Case(
        lambda x: (repeated(x) @ repeated(x[::-1])).values, False, False
    ),
    "factor": Case(lambda x: ex.cholesky(blocks(x), throw=False).L.values, False, False),
    "half_solve, transposed": Case(
        lambda x: ex.cholesky(blocks(x), throw=False).half_solve(x, transpose=True), False, False
    ),
    "lu, logdet": Case(
        lambda x: ex.lu(SPARSE + ex.SparseMatrix.diags(x + 9), throw=False).slogdet()[1][None],
        False,
        False,
    ),
    "guarded": Case(lambda x: ex.lu(ex.SparseMatrix.diags(x + 9)).inverse_diagonal(), False, None),
}


def blocks(x):
    """A block of three for every three numbers."""
    return BLOCKS.with_values(BLOCKS.values + 0.01 * jnp.repeat(x, 2))


def repeated(x):
    return SPARSE.with_values(jnp.tile(x, 9)[: SPARSE.nnz])
