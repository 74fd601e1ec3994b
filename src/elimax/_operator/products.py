"""An operator that is only known by its products, and where its nonzeros are."""

import functools
import warnings
from collections.abc import Callable

import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Bool, Float, Inexact

from elimax._jacobian.sparsity import linear_pattern
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._operator.space import Space
from elimax._structure.pattern import Pattern

# The largest dense pattern that is taken where no better one is found, in entries.
DENSEST = 2**24
# From how many entries on a dense matrix is worth a warning.
_REMARKABLE = 2**14
# The relative error of a product, row by row, from which on an entry is missing, and not digits.
_MISSING = 1e-3

Product = Callable[[Inexact[Array, " n"]], Inexact[Array, " m"]]


def product_of(operator: lx.AbstractLinearOperator) -> Product:
    """x -> A x for flat vectors; what does not depend on x is computed once."""
    columns, rows = Space.of(operator.in_structure()), Space.of(operator.out_structure())
    linear = lx.linearise(operator) if isinstance(operator, lx.JacobianLinearOperator) else operator
    return lambda x: rows.ravel("the operator's product", linear.mv(columns.unravel(x)))


def known_pattern(operator: lx.AbstractLinearOperator, pattern: Pattern | None) -> Pattern | None:
    """The pattern of an operator that its tags tell, or else the given one; None if there is none.

    **Raises:** `ValueError` if it does not have the operator's shape, `TypeError` if it is no pattern.
    """
    shape = (operator.out_size(), operator.in_size())
    tagged = [tag for tag in getattr(operator, "tags", ()) if isinstance(tag, Pattern)]
    if tagged:
        pattern = functools.reduce(Pattern.intersection, tagged)
    elif lx.is_tridiagonal(operator):
        pattern = Pattern.band(shape, 1, 1)
    if pattern is None:
        return None
    if not isinstance(pattern, Pattern):
        raise TypeError(f"`pattern` must be a Pattern, got {type(pattern).__name__}")
    if pattern.shape != shape:
        raise ValueError(
            f"`pattern` must have the shape of the operator, {shape}, got {pattern.shape}"
        )
    return pattern.to_general()[0]


def found_pattern(operator: lx.AbstractLinearOperator) -> Pattern:
    """The pattern that the operator's program tells; a dense one if that tells nothing, and it is small.

    **Raises:** `ValueError` if it is large. **Warns:** `UserWarning` if a matrix of some size is dense.
    """
    columns = Space.of(operator.in_structure())
    shape = (operator.out_size(), columns.size)
    size = shape[0] * shape[1]
    pattern = linear_pattern(product_of(operator), columns.size, columns.dtype)
    if pattern is None or pattern.nnz == size >= _REMARKABLE:
        warnings.warn(
            f"this {type(operator).__name__} of shape {shape} is taken to be a dense matrix. If it is not, "
            "it may read entries whose positions are not known when it is traced (arrays of indices that it "
            "closes over are arguments of lineax's jit): tag it with its pattern, tags=P, pass pattern=P, or "
            "use elimax.materialise(operator), outside of jit",
            UserWarning,
            stacklevel=2,
        )
    if pattern is not None and pattern.nnz <= DENSEST:
        # Some entry has to be there to be NaN if the pattern turns out to be wrong.
        return pattern if pattern.nnz else Pattern.band(shape, 0, 0)
    if size <= DENSEST:
        return Pattern.dense(shape)
    raise ValueError(
        f"the sparsity pattern of this {type(operator).__name__} of shape {shape} could not be found, and as "
        "a dense matrix it would be too large. It may be dense indeed; or it reads entries whose positions "
        "are not known when it is traced, as indices are that are arguments of jit. Tag the operator with "
        "its pattern, tags=P, or pass pattern=P, for P an elimax.Pattern"
    )


def differing_rows(
    matrix: SparseMatrix | SymmetricMatrix, product: Product, dtype: np.dtype
) -> tuple[Bool[Array, " m"], Float[Array, " m"]]:
    """Where the product with a vector of no structure is not that of the matrix, and by how much."""
    x = jnp.cos(1 + 2.4 * jnp.arange(matrix.shape[1])).astype(dtype)
    expected = product(x)
    difference = jnp.abs(matrix @ x - expected)
    size = matrix.with_values(jnp.abs(matrix.values).astype(matrix.dtype)) @ jnp.abs(x)
    size = jnp.abs(size) + jnp.abs(expected)
    rounding = 1000 * np.finfo(dtype).eps * jnp.max(size, initial=0)
    return difference > _MISSING * size + rounding, difference
