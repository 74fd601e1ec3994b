"""Solve with any sparse triangular matrix, differentiable in the matrix and the right-hand side."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Inexact

from elimax import _results
from elimax._matrix import SparseMatrix
from elimax._primitive.define import is_staged
from elimax._primitive.product import gather
from elimax._primitive.triangular import triangular_solve as _triangular_solve
from elimax._types import as_dense


def triangular_solve(
    T: SparseMatrix,
    b: Inexact[ArrayLike, " n"] | Inexact[ArrayLike, "n k"],
    lower: bool = True,
    transpose: bool = False,
    unit_diagonal: bool = False,
    throw: bool = True,
) -> Inexact[Array, "n ..."]:
    r"""$T^{-1} b$ or $T^{-\top} b$ for a sparse triangular matrix, by substitution.

    **Arguments:**

    - `T`: a square matrix; entries outside of the named triangle are ignored.
    - `b`: one right-hand side, or k of them.
    - `lower`: whether the lower triangle is meant, else the upper one.
    - `transpose`: solve with the transpose (not conjugated) of that triangle.
    - `unit_diagonal`: take the diagonal as ones, whatever is stored there.
    - `throw`: whether a zero on the diagonal is an error, as for `cholesky`; with False the solution is NaN.

    **Returns:** x with the shape of `b`, in the promoted dtype.

    **Raises:** `TypeError` if `T` is not a `SparseMatrix`; `ValueError` if it is not square or the shape of
    `b` does not fit; `FactorizationError` for a zero or missing diagonal entry.

    **Derivative:** $x' = T^{-1}(b' - T' x)$, in both arguments, every order and mode.

    **Cost:** 2 nnz(T) flops a right-hand side.
    """
    b = as_dense("`b`", b)
    _check(T, b)
    pattern, triangle = T.pattern.triangle(lower=lower, strict=unit_diagonal)
    dtype = jnp.result_type(T.values.dtype, b.dtype)
    values = gather(T.values.astype(dtype), triangle)
    staged = is_staged(values, b)
    columns = b.astype(dtype)[:, None] if b.ndim == 1 else b.astype(dtype)
    x, status = _triangular_solve(
        values, columns, pattern, lower, transpose, unit_diagonal, throw=throw and staged
    )
    if throw and not staged:
        _results.check(int(status), 0, _results.ZERO_DIAGONAL_SENTENCE)
    return x.reshape(b.shape)


def _check(T: Any, b: Array) -> None:
    if not isinstance(T, SparseMatrix):
        raise TypeError(
            f"`T` must be a SparseMatrix, got {type(T).__name__}; SparseMatrix.from_scipy and from_dense "
            "build one, to_general() makes one of a SymmetricMatrix"
        )
    n, m = T.shape
    if n != m:
        raise ValueError(f"`T` must be square, got shape {T.shape}")
    if b.ndim not in (1, 2) or b.shape[0] != n:
        raise ValueError(
            f"`b` must have shape ({n},) or ({n}, k) to fit a matrix of shape {T.shape}, got {b.shape}"
        )
