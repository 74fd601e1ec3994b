"""Dense oracles of fields on subspaces: an orthonormal basis of {A x = 0} by SciPy, and plain linear
algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse as sp

import elimax as ex
from elimax.stats import NullSpace

from ..helpers import assert_close


def basis_of(A, n):
    """An orthonormal basis of {A x = 0}."""
    return np.eye(n) if A is None or not len(A) else scipy.linalg.null_space(np.asarray(A))


def moments(H, A=None):
    """log det(B'HB) and B (B'HB)^-1 B'."""
    B = basis_of(A, len(H))
    M = B.T @ H @ B
    return jnp.linalg.slogdet(M)[1], B @ jnp.linalg.solve(M, B.T)


def pseudo_logdet(H, A, rank):
    """The logarithms of the largest `rank` eigenvalues of B'HB, added."""
    B = basis_of(A, len(H))
    return np.sum(np.log(np.sort(np.linalg.eigvalsh(B.T @ H @ B))[-rank:]))


def log_density(H, A, x, mean):
    """Of a field on the affine space through x and `mean`."""
    B = basis_of(A, len(H))
    logdet, _ = moments(H, A)
    return 0.5 * (logdet - B.shape[1] * np.log(2 * np.pi) - (x - mean) @ H @ (x - mean))


def bordered(H, A, b, e):
    """x of [H A'; A 0] [x; l] = [b; e]."""
    n, k = len(H), len(A)
    K = np.block([[H, A.T], [A, np.zeros((k, k))]])
    return np.linalg.solve(K, np.concatenate([b, e]))[:n]


def laplacian(n, rng, components=1):
    """A random weighted Laplacian of a graph with so many components, as a dense array, and their labels."""
    labels = np.sort(np.arange(n) % components)
    W = np.zeros((n, n))
    for c in range(components):
        members = np.flatnonzero(labels == c)
        for i in range(1, members.size):  # a random tree, and some more edges
            W[members[i], members[rng.integers(i)]] = rng.uniform(0.5, 2)
        for _ in range(members.size // 2):
            i, j = rng.choice(members, 2)
            W[i, j] = rng.uniform(0.5, 2) * (i != j)
    W = W + W.T
    return np.diag(W.sum(1)) - W, labels


def difference_structure(n, order):
    """D'D of the differences of this order, sparse, and its null space."""
    D = np.diff(np.eye(n), order, axis=0)
    R = ex.SymmetricMatrix.from_scipy(sp.csc_array(D.T @ D))
    return R, NullSpace.polynomial(np.arange(n), order - 1)


def assert_both_modes(f, oracle, x, rng, rtol):
    """Value, forward and reverse derivatives, and reverse over forward and forward over reverse, of both."""
    x = tuple(jnp.asarray(z, float) for z in x)
    t = tuple(jnp.asarray(rng.normal(size=z.shape)) for z in x)
    w = jnp.asarray(rng.normal(size=jax.eval_shape(oracle, *x).shape))
    arguments = tuple(range(len(x)))

    def all_of(function):
        def scalar(*x):
            return jnp.sum(jnp.sin(w * function(*x)))

        gradient = jax.grad(scalar, arguments)

        @jax.jit
        def derivatives(x, t):
            along = jax.jvp(function, x, t)
            mixed = jax.grad(lambda *x: jax.jvp(scalar, x, t)[1], arguments)(*x)
            return along, jax.jvp(gradient, x, t), mixed

        return jnp.concatenate([z.ravel() for z in jax.tree.leaves(derivatives(x, t))])

    assert_close(all_of(f), all_of(oracle), rtol)
