"""Right-hand sides as the solvers take them: columns in the dtype of the matrix."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

from elimax._types import as_dense


def as_columns(b: Any, n: int, dtype: np.dtype) -> Inexact[Array, "n k"]:
    """`b` of shape (n,) or (n, k) as k columns; real ones are promoted if the matrix is complex.

    **Raises:** `ValueError` if the shape of `b` does not fit, `TypeError` if its dtype does not.
    """
    b = as_dense("`b`", b)
    if b.ndim not in (1, 2) or b.shape[0] != n:
        raise ValueError(
            f"`b` must have shape ({n},) or ({n}, k) to fit a matrix of shape ({n}, {n}), got {b.shape}. "
            "For a batch of right-hand sides use jax.vmap."
        )
    promoted = jnp.result_type(b.dtype, dtype)
    if promoted != dtype:
        raise TypeError(
            f"`b` has dtype {b.dtype}, the matrix {dtype}: a solve computes in the precision of the "
            "matrix. Convert one of them with astype."
        )
    return b.astype(promoted)[:, None] if b.ndim == 1 else b.astype(promoted)
