"""Powers of two that scale the rows and columns of a matrix, and its scaled values.

Pivots of an indefinite or general matrix are compared with the other entries of their rows and columns, which
only means something where all of these have about the same size. The scales are constants to every
derivative: what is computed from scaled values is then scaled back.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Inexact

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._primitive.product import STORAGES, Storage
from elimax._structure.pattern import Pattern


def _equilibrate_results(a: Shape, *, pattern: Pattern, storage: Storage):
    real = np.finfo(a.dtype).dtype
    return Shape((pattern.shape[0],), real), Shape((pattern.shape[1],), real)


def _equilibrate_attributes(*, pattern: Pattern, storage: Storage) -> dict[str, Any]:
    return {"pattern": pattern, "storage": STORAGES.index(storage)}


equilibrate_p = define(
    Kernel("equilibrate", (1,), _equilibrate_results, _equilibrate_attributes),
    multiple_results=True,
)
scale_p = define(
    Kernel(
        "scale",
        (1, 1, 1),
        results=lambda a, rows, columns, *, pattern: a,
        attributes=lambda *, pattern: {"pattern": pattern},
    )
)


def equilibrate(
    a: Inexact[Array, " nnz"], pattern: Pattern, storage: Storage
) -> tuple[Float[Array, " m"], Float[Array, " n"]]:
    """Scales r of the rows and c of the columns: the largest entries of diag(r) A diag(c) are about 1.

    For symmetric storage r = c, and it is the 2-norms that are about 1. They have no derivative.
    """
    check_values(pattern.nnz, a)
    rows, columns = equilibrate_p.bind(jax.lax.stop_gradient(a), pattern=pattern, storage=storage)
    return rows, columns


def scale(
    a: Inexact[Array, " nnz"],
    rows: Float[Array, " m"],
    columns: Float[Array, " n"],
    pattern: Pattern,
) -> Inexact[Array, " nnz"]:
    """The values of diag(rows) A diag(columns), linear in `a`."""
    check_values(pattern.nnz, a)
    return scale_p.bind(a, rows, columns, pattern=pattern)
