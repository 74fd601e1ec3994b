"""Whether a matrix that was read off few products maps vectors as the function does.

An entry that its pattern lacks cannot be seen in the values: it is added to another one. It shows in the
product with a vector of no structure, which differs from that of the function in the entry's row.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Inexact

from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._structure.pattern import Pattern

Product = Callable[[Inexact[Array, " n"]], Inexact[Array, " m"]]

# The relative error of a product, row by row, from which on an entry is missing, and not digits.
_MISSING = 1e-3


def probes(n: int, count: int, dtype: Any) -> Inexact[np.ndarray, "count n"]:
    """Vectors of no structure, the same in every process."""
    return np.random.default_rng(0).uniform(0.5, 1.5, (count, n)).astype(dtype) * np.where(
        np.random.default_rng(1).integers(0, 2, (count, n)), 1, -1
    ).astype(dtype)


def differing_rows(
    matrix: SparseMatrix | SymmetricMatrix,
    product: Product,
    dtype: np.dtype,
    vector: Inexact[Array, " n"] | None = None,
) -> tuple[Bool[Array, " m"], Float[Array, " m"]]:
    """Where the product with a vector of no structure is not that of the matrix, and by how much.

    Rows in which either is not a number do not count.
    """
    plain = jnp.cos(1 + 2.4 * jnp.arange(matrix.shape[1])) if vector is None else vector
    x = plain.astype(dtype)
    expected = product(x)
    difference = jnp.abs(matrix @ x - expected)
    size = matrix.with_values(jnp.abs(matrix.values).astype(matrix.dtype)) @ jnp.abs(x)
    size = jnp.abs(size) + jnp.abs(expected)
    rounding = 1000 * np.finfo(dtype).eps * jnp.max(size, initial=0)
    return difference > _MISSING * size + rounding, difference


def marked(matrix: SparseMatrix | SymmetricMatrix, product: Product, dtype: np.dtype) -> Any:
    """The same matrix, if it maps one vector as the function does; NaN everywhere if not."""
    wrong, _ = differing_rows(matrix, product, dtype)
    mark = jnp.where(wrong.any(), jnp.nan, 1).astype(matrix.values.real.dtype)
    return matrix.with_values(matrix.values * mark)


def markable(pattern: Pattern) -> Pattern:
    """Some entry has to be there to be NaN if the pattern turns out to be wrong."""
    return pattern if pattern.nnz else Pattern.band(pattern.shape, 0, 0)
