"""Incomplete LU factors: the values of L and U on the pattern of A."""

import jax
import numpy as np
from jaxtyping import Array, Inexact, Int

from elimax._primitive.define import define
from elimax._primitive.kernel import Kernel, Shape, check_values
from elimax._structure.pattern import Pattern


def _results(a: Shape, **params):
    scalar = Shape((), np.dtype(np.int32))
    return a, scalar, scalar


incomplete_lu_p = define(
    Kernel("incomplete_lu", (1,), _results, attributes=lambda **params: params),
    multiple_results=True,
)


def incomplete_lu(
    a: Inexact[Array, " nnz"], pattern: Pattern, modified: bool, positive: bool
) -> tuple[Inexact[Array, " nnz"], Int[Array, ""], Int[Array, ""]]:
    """Values of L (below the diagonal, which is of ones) and U; the status, and its detail.

    `pattern` is general and holds the diagonal. They have no derivative.
    """
    check_values(pattern.nnz, a)
    factor, status, detail = incomplete_lu_p.bind(
        jax.lax.stop_gradient(a), pattern=pattern, modified=modified, positive=positive
    )
    return factor, status, detail
