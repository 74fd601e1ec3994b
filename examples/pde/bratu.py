"""The Bratu problem: -Laplace u = lambda exp(u) in the unit square, u = 0 on its boundary.

With N x N interior points at distance h = 1 / (N + 1) and the 5-point stencil,

    4 u[i, j] - u[i-1, j] - u[i+1, j] - u[i, j-1] - u[i, j+1] - h^2 lambda exp(u[i, j]) = 0.

It has two solutions for 0 < lambda < 6.808, of which Newton's method from zero finds the smaller one; there
the Jacobian is symmetric and positive definite.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import scipy.sparse as sp
from jaxtyping import Array, Float

import elimax as ex


def residual(u: Float[Array, "N N"], lam: Float[Array, ""] | float) -> Float[Array, "N N"]:
    around = jnp.pad(u, 1)
    neighbors = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    return 4 * u - neighbors - (lam / (u.shape[0] + 1) ** 2) * jnp.exp(u)


def start(size: int) -> Float[Array, "N N"]:
    return jnp.zeros((size, size))


def pattern(size: int) -> ex.Pattern:
    """Of the Jacobian: every point and its neighbors."""
    path = sp.diags_array([1.0, 1.0, 1.0], offsets=(-1, 0, 1), shape=(size, size))
    return ex.Pattern.from_scipy(sp.csc_array(sp.kronsum(path, path)))


def mean(u: Float[Array, "N N"]) -> jax.Array:
    """Its integral over the square, by the trapezoidal rule."""
    return jnp.sum(u) / (u.shape[0] + 1) ** 2
