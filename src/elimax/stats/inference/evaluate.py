"""Functions of hyperparameters at many points, by one compiled function, however many points there are."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

_TOGETHER = 4  # points that one call of the compiled function evaluates


@eqx.filter_jit
def _together(f: Callable[..., Any], target: Any, rows: Any) -> Any:
    return jax.lax.map(lambda row: f(target, *row), rows)


def evaluate(f: Callable[..., Any], target: Any, *arrays: np.ndarray) -> Any:
    """f(target, *rows) for every row of arrays of as many rows, stacked, as NumPy arrays.

    A few rows at a time, by one compiled function, however many rows there are.
    """
    count = arrays[0].shape[0]
    padded = -(-count // _TOGETHER) * _TOGETHER
    chosen = np.minimum(np.arange(padded), count - 1)
    parts = [
        jax.tree.map(np.asarray, _together(f, target, tuple(jnp.asarray(a[rows]) for a in arrays)))
        for rows in chosen.reshape(-1, _TOGETHER)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
