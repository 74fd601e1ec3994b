"""Fields whose correlation reaches farther in one direction than in another."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from elimax._matrix import SymmetricMatrix
from elimax.stats.precision.finite_elements import FiniteElements


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("c0", "stiffness", "squares"),
    meta_fields=(),
)
@dataclasses.dataclass(frozen=True, eq=False)
class DirectionalElements:
    """Stiffness by direction, so that a diffusion tensor may be a parameter.

    Made by `Mesh.directional_elements`.

    **Attributes:**

    - `c0`: the lumped mass matrix.
    - `stiffness`: (G_xx, G_xy + G_yx, G_yy), on one pattern; element (i, j) of G_xy is the integral of
        the derivative by x of basis function i times that by y of j.
    - `squares`: the six products P C0^-1 Q of these (those of P and Q different together with Q C0^-1 P), in
        the order of the upper triangle of their table, on one pattern.
    """

    c0: SymmetricMatrix
    stiffness: tuple[SymmetricMatrix, ...]
    squares: tuple[SymmetricMatrix, ...]

    def with_diffusion(self, tensor: Float[ArrayLike, "2 2"]) -> FiniteElements:
        r"""The elements of $\kappa^2 - \nabla \cdot H \nabla$, for `matern`.

        With det H = 1 the marginal variance is that of the isotropic field, otherwise it is smaller by a
        factor of sqrt(det H). The range in the direction of a unit vector e is larger by a factor of
        $(e^\top H^{-1} e)^{-1/2}$.

        **Arguments:**

        - `tensor`: H, symmetric (or the symmetric part of it is taken) and positive definite; see
            `diffusion_tensor`.

        **Raises:** `ValueError` for another shape.

        **Derivative:** in `tensor`: G is linear in it, G C0^-1 G quadratic.

        **Cost:** nine multiply-adds of vectors.

        **Source:** Fuglstad, Lindgren, Simpson and Rue, Statistica Sinica 25 (2015).
        """
        H = jnp.asarray(tensor, self.c0.dtype)
        if H.shape != (2, 2):
            raise ValueError(f"`tensor` must have shape (2, 2), got {H.shape}")
        h = jnp.stack([H[0, 0], 0.5 * (H[0, 1] + H[1, 0]), H[1, 1]])
        first = sum(h[k] * A.values for k, A in enumerate(self.stiffness))
        pairs = zip(*np.triu_indices(3), strict=True)
        second = sum(h[i] * h[j] * A.values for (i, j), A in zip(pairs, self.squares, strict=True))
        return FiniteElements(
            self.c0, self.stiffness[0].with_values(first), self.squares[0].with_values(second)
        )


def diffusion_tensor(
    angle: Float[ArrayLike, ""], ratio: Float[ArrayLike, ""]
) -> Float[Array, "2 2"]:
    """The tensor of determinant 1 with which the range is `ratio` times longer at an angle than across.

    **Arguments:**

    - `angle`: of the direction of the longest range (if `ratio` > 1), in radians, counterclockwise from x.
    - `ratio`: positive; 1 is isotropic.

    **Derivative:** in both arguments.
    """
    angle, ratio = jnp.asarray(angle, float), jnp.asarray(ratio, float)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    along, across = jnp.stack([cos, sin]), jnp.stack([-sin, cos])
    return ratio * jnp.outer(along, along) + jnp.outer(across, across) / ratio
