"""The vocabulary of shapes and dtypes, and the way data become values.

Sizes: `m` rows, `n` columns, `nnz` stored entries, `k` right-hand sides.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

type_error = "must be real or complex numbers (integers become floating point)"

Values = Inexact[Array, " nnz"]
Scalar = Inexact[Array, ""]


def as_values(name: str, data) -> Inexact[Array, "..."]:
    """`data` as a JAX array of floating point or complex dtype; integers become the default float.

    **Raises:** `TypeError` naming the argument for booleans, objects and other non-numbers.

    **Warns:** `UserWarning` if 64-bit data are rounded because `jax_enable_x64` is off.
    """
    if not isinstance(data, jax.Array):
        data = np.asarray(data)
    if not (jnp.issubdtype(data.dtype, jnp.number) and data.dtype.itemsize in (1, 2, 4, 8, 16)):
        raise TypeError(f"`{name}` {type_error}, got dtype {data.dtype}")
    if not jnp.issubdtype(data.dtype, jnp.inexact):
        data = jnp.asarray(data, float)
    return data
