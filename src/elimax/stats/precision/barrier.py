"""Fields that do not see across a barrier, as the life in a lake does not see across land."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Float

from elimax._matrix import SymmetricMatrix
from elimax._primitive.define import is_traced
from elimax._primitive.product import contract, gather
from elimax._structure.index_map import IndexMap
from elimax._structure.pattern import Pattern
from elimax.stats.precision.finite_elements import FiniteElements, square_pattern


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("c0", "g1"),
    meta_fields=("dimension",),
)
@dataclasses.dataclass(frozen=True, eq=False)
class BarrierElements:
    """Mass and stiffness of the normal cells and of those of the barrier; made by `Mesh.barrier_elements`.

    **Attributes:**

    - `c0`: two lumped mass matrices: of the normal cells, of the barrier.
    - `g1`: two stiffness matrices, on one pattern.
    - `dimension`: of the space.
    """

    c0: tuple[SymmetricMatrix, SymmetricMatrix]
    g1: tuple[SymmetricMatrix, SymmetricMatrix]
    dimension: int

    def with_fraction(self, range_fraction: Float[ArrayLike, ""] = 0.2) -> FiniteElements:
        r"""The elements of a field whose range is a fraction of itself in the barrier, for `matern`.

        With $C_f = C_\text{normal} + f^2 C_\text{barrier}$, and $G_f$ likewise, the precision of alpha = 2 is
        $\tau^2 A C_f^{-1} A$ with $A = \kappa^2 C_0 + G_f$: correlation goes around the barrier, not through
        it. Far from it, range and standard deviation are those that are given to `matern`; with fraction 1
        the field is the stationary one.

        **Arguments:**

        - `range_fraction`: f, in (0, 1]. The result hardly depends on it below 0.2.

        **Raises:** `ValueError` for a concrete fraction that is not in (0, 1].

        **Derivative:** in `range_fraction`.

        **Cost:** one sparse product, where it is called: outside of `jit` for a fixed fraction, and then a
        precision is one multiply-add of three vectors.

        **Source:** Bakka, Vanhatalo, Illian, Simpson and Rue, Spatial Statistics 29 (2019), section 2; with
        the mass matrix lumped throughout.
        """
        fraction = jnp.asarray(range_fraction, self.c0[0].dtype)
        if fraction.ndim or (not is_traced(fraction) and not 0 < fraction <= 1):
            raise ValueError(
                f"`range_fraction` must be one number in (0, 1], got {range_fraction!r}"
            )
        f = fraction**2
        mass = self.c0[0].values + self.c0[1].values
        weighted = self.c0[0].values + f * self.c0[1].values
        lower, n = self.g1[0].pattern, mass.size
        g = self.g1[0].values + f * self.g1[1].values
        share = mass / weighted
        i, j = (gather(share, IndexMap(index, n)) for index in (lower.rows, lower.columns))
        G = self.g1[0].with_values(g).to_general()
        of_column = gather(1 / weighted, IndexMap(G.pattern.columns, n))
        square = square_pattern(G.pattern)
        as_general = Pattern(square.shape, square.column_pointers, square.rows)
        second = contract(G.values * of_column, G.values, G.pattern, G.pattern, as_general)
        return FiniteElements(
            self.c0[0].with_values(mass * share),
            self.g1[0].with_values(0.5 * (i + j) * g),
            SymmetricMatrix(square, second),
            self.dimension,
            barrier=True,
        )
