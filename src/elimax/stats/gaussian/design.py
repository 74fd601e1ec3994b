"""What a design matrix sees of a field: observations, and the variances of A x without anything dense."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

import elimax as ex
from elimax._primitive.define import is_traced
from elimax._primitive.product import contract
from elimax.stats.gaussian.restricted import Restricted

_CHUNK = 64  # rows of A that are solved for at a time
_SOLVE = 2e-9  # seconds for an entry of L and a right-hand side, of many at a time
_SELECTED = 3  # a factorization with its selected inverse, in factorizations


def as_design(what: str, A: Any, n: int) -> ex.SparseMatrix:
    """A as a `SparseMatrix` with n columns; a dense array becomes a full pattern if it is traced.

    **Raises:** `TypeError` for something else, `ValueError` for another number of columns.
    """
    if isinstance(A, ex.SymmetricMatrix):
        A = A.to_general()
    if not isinstance(A, ex.SparseMatrix):
        if not isinstance(A, np.ndarray | jax.Array):
            raise TypeError(
                f"{what}: `A` must be a SparseMatrix or an array, got {type(A).__name__}; "
                "SparseMatrix.from_scipy makes one of a SciPy matrix"
            )
        pattern = ex.Pattern.dense((A.shape[0], n)) if is_traced(A) and A.ndim == 2 else None
        A = ex.SparseMatrix.from_dense(A, pattern)
    if A.shape[1] != n:
        raise ValueError(f"{what}: `A` must have {n} columns, one for each element, got {A.shape}")
    return A


def observations(
    A: ex.SparseMatrix, y: Any, noise_precision: Any
) -> tuple[Float[Array, " m"], Float[Array, " m"], Bool[Array, " m"]]:
    """Observations, their precisions, and which are there: a missing one (NaN) has precision 0 and is 0.

    A traced precision that is not positive becomes NaN, and with it what is computed from it.

    **Raises:** `ValueError` for other shapes, or naming a precision that is not positive.
    """
    m = A.shape[0]
    y, D = jnp.asarray(y, A.dtype), jnp.asarray(noise_precision, A.dtype)
    if y.shape != (m,):
        raise ValueError(f"`y` must have one element for each of the {m} rows of A, got {y.shape}")
    if D.shape not in ((), (m,)):
        raise ValueError(f"`noise_precision` must be a scalar or have shape ({m},), got {D.shape}")
    D = jnp.broadcast_to(D, (m,))
    if not is_traced(D):
        wrong = np.flatnonzero(~(np.asarray(D) > 0))
        if wrong.size:
            raise ValueError(
                f"`noise_precision` must be positive: element {wrong[0]} is {D[wrong[0]]}"
            )
    there = ~jnp.isnan(y)
    D = jnp.where(there, jnp.where(D > 0, D, jnp.nan), 0.0)
    return jnp.where(there, y, 0.0), D, there


def covariance_on(
    restricted: Callable[[], Restricted],
    widened: Callable[[ex.Pattern], Restricted],
    own: ex.Pattern,
    pattern: ex.Pattern | None,
) -> ex.SymmetricMatrix:
    """The inverse on a pattern, from the factor of the precision if that holds it."""
    if pattern is None or _fits(own, pattern):
        return restricted().selected_inverse(pattern)
    return widened(pattern).selected_inverse(pattern)


def projected_variance(
    restricted: Callable[[], Restricted],
    widened: Callable[[ex.Pattern], Restricted],
    A: ex.SparseMatrix,
) -> Float[Array, " m"]:
    """diag(A V A') by the cheapest way: selected inverse, one with more fill, or solves for the rows of A."""
    form = restricted()
    symbolic = form.factor.symbolic
    touched = _touched(A.pattern, 32 * (symbolic.nnz + A.nnz))
    if touched is None:
        return _by_solves(form, A)
    if not _fits(symbolic.pattern, touched):
        wider = ex.analyze(symbolic.pattern.union(touched))
        if _SELECTED * wider.predicted_time > _SOLVE * symbolic.nnz * A.shape[0]:
            return _by_solves(form, A)
        form = widened(touched)
    S = form.selected_inverse(touched).to_general()
    product = contract(A.values, S.values, A.pattern, S.pattern, A.pattern)
    return A.with_values(product * A.values).sum(axis=1)


def _by_solves(form: Restricted, A: ex.SparseMatrix) -> Float[Array, " m"]:
    m, rows = A.shape[0], np.arange(A.shape[0])[:, None]

    def variances(start: Array) -> Array:
        unit = (rows == start + np.arange(_CHUNK)).astype(A.dtype)
        columns = A.T @ unit
        return jnp.sum(columns * form.solve_increment(columns), axis=0)

    return jax.lax.map(variances, jnp.arange(0, m, _CHUNK)).reshape(-1)[:m]


def _touched(A: ex.Pattern, limit: int) -> ex.Pattern | None:
    """The lower triangle of A'A; None if it could have more entries than `limit`."""
    per_row = np.bincount(A.rows, minlength=A.shape[0]).astype(np.int64)
    if np.sum(per_row**2) > limit:
        return None
    return A.transpose()[0].product(A).lower()[0]


def _fits(own: ex.Pattern, pattern: ex.Pattern) -> bool:
    """Whether the filled pattern of `own` holds `pattern`."""
    try:
        ex.analyze(own.with_diagonal()).embedding(pattern)
    except ValueError as error:
        if "outside of the filled pattern" not in str(error):
            raise
        return False
    return True
