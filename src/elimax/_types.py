"""The vocabulary of shapes and dtypes, and how data become values.

Shapes are written with `m` rows, `n` columns, `nnz` stored entries and `k` right-hand sides. Numbers are
float32, float64, complex64 or complex128, and every one of them is computed in its own precision.
"""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Inexact

Scalar = Inexact[Array, ""]
Values = Inexact[Array, " nnz"]

DTYPES = ("float32", "float64", "complex64", "complex128")


def as_numbers(name: str, data: Any) -> Inexact[Array, "..."]:
    """`data` as a JAX array of one of the four dtypes; integers become the default float.

    **Raises:** `TypeError` naming the argument for any other dtype (booleans, objects, half precision).

    **Warns:** `UserWarning` if 64-bit data are rounded to 32 bits because `jax_enable_x64` is off.
    """
    if isinstance(data, list | tuple) and any(isinstance(x, jax.Array) for x in data):
        data = jnp.asarray(data)  # they may be traced
    dtype = data.dtype if hasattr(data, "dtype") else np.asarray(data).dtype
    if jnp.issubdtype(dtype, jnp.integer):
        return jnp.asarray(data, float)
    if dtype.name not in DTYPES:
        raise TypeError(
            f"`{name}` must be integers, {', '.join(DTYPES)}, got dtype {dtype}; convert with astype"
        )
    array = jnp.asarray(data)
    if isinstance(data, np.ndarray | np.generic) and array.dtype != dtype:
        warnings.warn(
            f"`{name}` has dtype {dtype}, but jax_enable_x64 is off: its values were rounded to "
            f"{array.dtype}. Call jax.config.update('jax_enable_x64', True) first, or pass 32-bit data.",
            UserWarning,
            stacklevel=3,
        )
    return array


def as_dense(name: str, data: Any) -> Array:
    """`data` as a JAX array of whatever shape and dtype.

    **Raises:** `TypeError` naming the argument for what is not an array of numbers.
    """
    try:
        return jnp.asarray(data)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must be a dense array of numbers, got {type(data).__name__}"
        ) from error


def promote(*arrays: Inexact[Array, "..."]) -> tuple[Inexact[Array, "..."], ...]:
    """The arrays in the dtype that JAX's promotion gives their combination."""
    dtype = jnp.result_type(*arrays)
    return tuple(jax.lax.convert_element_type(x, dtype) for x in arrays)
