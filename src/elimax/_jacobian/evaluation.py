"""A derivative at one point: products of a function, and the matrix that is read off them."""

from typing import Any

import jax
import jax.numpy as jnp

from elimax._jacobian.call import Call
from elimax._jacobian.compressed import ChunkSize, Linear, read_off
from elimax._matrix import SparseMatrix, SymmetricMatrix
from elimax._structure.coloring import Coloring


def products(
    call: Call, x: Any, others: Any, coloring: Coloring
) -> tuple[Linear | None, Linear | None, Any]:
    """x' -> J x' and y -> J^T y at a point, as far as a coloring needs them, and the auxiliary results."""
    columns = rows = aux = None

    def function(x: Any) -> tuple[Any, Any]:
        return call.function(x, others)

    if coloring.num_column_colors or not coloring.num_row_colors:
        _, forward, aux = jax.linearize(function, x, has_aux=True)
        columns = Linear(forward, call.columns.size, call.columns.dtype)
    if coloring.num_row_colors:
        _, backward, aux = jax.vjp(function, x, has_aux=True)
        rows = Linear(lambda y: backward(y)[0], call.rows.size, call.rows.dtype)
    return columns, rows, aux


def matrix_of(
    coloring: Coloring, columns: Linear | None, rows: Linear | None, chunk_size: ChunkSize = "auto"
) -> SparseMatrix | SymmetricMatrix:
    """The matrix that these products reveal."""
    values = read_off(coloring, columns, rows, chunk_size=chunk_size)
    if coloring.pattern.symmetric:
        return SymmetricMatrix(coloring.pattern, values, hermitian=not jnp.iscomplexobj(values))
    return SparseMatrix(coloring.pattern, values)
