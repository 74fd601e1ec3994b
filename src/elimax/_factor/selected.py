"""The selected inverse of a symmetric matrix, out of the gradient of its log-determinant."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Inexact

from elimax._matrix import SymmetricMatrix
from elimax._primitive.product import gather, scatter
from elimax._structure.pattern import Pattern


def selected_inverse_of(
    matrix: SymmetricMatrix,
    pattern: Pattern | None,
    gradient_on: Callable[[Pattern], Inexact[Array, " nnz"]],
) -> SymmetricMatrix:
    """A^-1 on `pattern`, or on that of A.

    `gradient_on` gives the gradient of log det A on a pattern that holds that of A, the diagonal and
    `pattern`: (A^-1)_ii, and off the diagonal 2 (A^-1)_ij, conjugated if A is Hermitian.

    **Raises:** `ValueError` if `pattern` is not a symmetric one of the shape of A.
    """
    pattern = matrix.pattern if pattern is None else pattern
    if not (isinstance(pattern, Pattern) and pattern.symmetric and pattern.shape == matrix.shape):
        raise ValueError(
            f"`pattern` must be a symmetric Pattern (a lower triangle) of shape {matrix.shape}, got "
            f"{pattern}; Pattern.lower()[0] makes a general one symmetric"
        )
    support = support_of(matrix, pattern)
    diagonal = support.diagonal()
    gradient = gradient_on(support)
    doubled = gradient + scatter(gather(gradient, diagonal), diagonal)
    if matrix.storage == "hermitian":
        doubled = jnp.conj(doubled)
    values = gather(0.5 * doubled, pattern.embedding(support))
    return SymmetricMatrix(pattern, values, hermitian=matrix.hermitian)


def support_of(matrix: SymmetricMatrix, pattern: Pattern) -> Pattern:
    """The pattern of A, the diagonal and `pattern` together."""
    return matrix.pattern.union(pattern).with_diagonal()
