"""Coordinates on {A x = e}: a field with hard constraints, as a vector that has none.

Samplers move in all of R^(n - k). Householder's reflections H1 ... Hk, which make A' triangular, are an
orthogonal map Q; its last n - k columns span what A cannot see, its first k are settled by e:

    A' = Q [R; 0],    x = Q [R^-T e; z]

It is an isometry, so that a density on the subspace (with respect to its Lebesgue measure, as that of a
`GMRF`) and the density of z are the same number: no Jacobian.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=("reflections", "settled"), meta_fields=()
)
@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
    """An isometry from R^(n - k) onto {A x = e}; made by `Coordinates.of`. A pytree.

    **Attributes:** `reflections`: unit vectors v of I - 2 v v', (k, n), in their order; `settled`, R^-T e.
    """

    reflections: Float[Array, "k n"]
    settled: Float[Array, " k"]

    @classmethod
    def of(cls, A: Float[ArrayLike, "k n"], e: Float[ArrayLike, " k"]) -> "Coordinates":
        """For k independent rows A. Differentiable in A and e. **Cost:** 4 n k^2 flops.

        **Source:** Golub and Van Loan, Matrix Computations (2013), algorithm 5.2.1.
        """
        rows = jnp.asarray(A)
        k, n = rows.shape
        element = jnp.arange(n)
        reflections = []
        for j in range(k):
            w = jnp.where(element >= j, rows[j], 0)
            size = jnp.where(w[j] < 0, -1, 1) * jnp.linalg.norm(w)
            v = w.at[j].add(size)
            v = v / jnp.linalg.norm(v)
            reflections.append(v)
            rows = _reflect(v, rows)
        R = rows[:, :k].T
        settled = jax.scipy.linalg.solve_triangular(R.T, jnp.asarray(e, rows.dtype), lower=True)
        return cls(jnp.stack(reflections), settled)

    @property
    def n(self) -> int:
        """The number of elements of the field."""
        return self.reflections.shape[1]

    @property
    def dimension(self) -> int:
        """The number of free coordinates, n - k."""
        return self.n - self.reflections.shape[0]

    def embed(self, z: Float[Array, "... d"]) -> Float[Array, "... n"]:
        """The x on the subspace with coordinates z. **Cost:** 4 n k flops each."""
        settled = jnp.broadcast_to(self.settled, (*z.shape[:-1], self.settled.size))
        x = jnp.concatenate([settled.astype(z.dtype), z], axis=-1)
        for v in self.reflections[::-1]:
            x = _reflect(v, x)
        return x

    def project(self, x: Float[Array, "... n"]) -> Float[Array, "... d"]:
        """The coordinates of x; of the point of the subspace next to it, if it is not on it."""
        for v in self.reflections:
            x = _reflect(v, x)
        return x[..., self.reflections.shape[0] :]


def _reflect(v: Float[Array, " n"], x: Float[Array, "... n"]) -> Float[Array, "... n"]:
    """(I - 2 v v') x, along the last axis."""
    return x - 2 * (x @ v)[..., None] * v
