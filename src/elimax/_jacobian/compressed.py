"""The entries of a matrix that is only known by its products, from one product for each color."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact, Int

from elimax._primitive.define import is_batchable
from elimax._primitive.product import gather
from elimax._structure.coloring import Coloring
from elimax._types import Values

# Seeds and products that are held at once, in elements; more colors are worked off in turns.
_AT_ONCE = 2**24


def read_off(
    product: Callable[[Inexact[Array, " n"]], Inexact[Array, " m"]],
    coloring: Coloring,
    dtype: np.dtype,
) -> Values:
    """The values of the matrix A on `coloring.pattern`, in the order of that pattern.

    **Arguments:**

    - `product`: x -> A x, for x of the given dtype.
    - `coloring`: of the columns of A, of the kind "column".

    **Derivative:** whatever that of `product` is; linear in the products.

    **Cost:** `coloring.num_colors` products: in one batch, or in turns where they would need much memory or
    `product` calls what has no batching rule, or one that works element by element.
    """
    n_colors, n = coloring.num_colors, coloring.pattern.shape[1]
    entries = coloring.entries  # which says so if they are too many, before anything is computed

    def column_sum(color: Int[Array, ""]) -> Inexact[Array, " m"]:
        unit = (jnp.arange(n_colors) == color).astype(dtype)
        return product(gather(unit, coloring.column_seed))

    if n_colors == 0:
        return jnp.zeros(coloring.pattern.nnz, dtype)
    if n_colors == 1:
        return gather(product(jnp.ones(n, dtype)), entries)
    at_once = max(1, _AT_ONCE // max(1, n, coloring.pattern.shape[0]))
    colors = jnp.arange(n_colors)
    if not is_batchable(product, jax.ShapeDtypeStruct((n,), dtype)):
        compressed = jax.lax.map(column_sum, colors)
    elif at_once < n_colors:
        compressed = jax.lax.map(column_sum, colors, batch_size=at_once)
    else:
        compressed = jax.vmap(column_sum)(colors)
    return gather(compressed.reshape(-1), entries)
