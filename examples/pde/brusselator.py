"""The Brusselator with diffusion on a torus, discretized in space: a stiff ODE.

    du/dt = 1 + u^2 v - 4.4 u + alpha Laplace u + f(x, y, t)
    dv/dt = 3.4 u - u^2 v     + alpha Laplace v

on the unit square with periodic boundaries, N x N points, 5-point stencil; f = 5 in a disc from t = 1.1 on.
This is BRUSS-2D of Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.10. The Jacobian
has eigenvalues down to -8 alpha N^2 (-13,000 for N = 128) beside those of the reaction.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Array, Float

import elimax as ex

IGNITION = 1.1  # when f begins
END = 11.5
ALPHA = 0.1


def vector_field(t, w: Float[Array, "2 N N"], alpha: Float[Array, ""]) -> Float[Array, "2 N N"]:
    u, v = w
    reaction = u * u * v
    heat = 5.0 * _disc(u.shape[0]) * (t >= IGNITION)
    du = 1 + reaction - 4.4 * u + alpha * _laplace(u) + heat
    dv = 3.4 * u - reaction + alpha * _laplace(v)
    return jnp.stack([du, dv])


def _laplace(u: Float[Array, "N N"]) -> Float[Array, "N N"]:
    neighbors = jnp.roll(u, 1, 0) + jnp.roll(u, -1, 0) + jnp.roll(u, 1, 1) + jnp.roll(u, -1, 1)
    return (neighbors - 4 * u) * u.shape[0] ** 2


def _points(size: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(size) / size
    return x[:, None], x[None, :]


def _disc(size: int) -> np.ndarray:
    x, y = _points(size)
    return (x - 0.3) ** 2 + (y - 0.6) ** 2 <= 0.1**2


def start(size: int) -> Float[Array, "2 N N"]:
    x, y = np.broadcast_arrays(*_points(size))
    return jnp.stack([22 * (y * (1 - y)) ** 1.5, 27 * (x * (1 - x)) ** 1.5])


def pattern(size: int) -> ex.Pattern:
    """Of the Jacobian: every point, its neighbors, and the other chemical at the same point.

    It holds the whole diagonal, as the stages of an implicit method need: I - h gamma J.
    """
    path = sp.diags_array([1.0, 1.0, 1.0], offsets=(-1, 0, 1), shape=(size, size))
    wrap = sp.diags_array([1.0, 1.0], offsets=(1 - size, size - 1), shape=(size, size))
    grid = sp.kronsum(path + wrap, path + wrap)
    both = sp.kron(sp.eye_array(2), grid) + sp.kron(np.ones((2, 2)), sp.eye_array(size**2))
    return ex.Pattern.from_scipy(sp.csc_array(both)).with_diagonal()
