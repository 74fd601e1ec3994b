"""Observations that count more than once, or less."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from elimax._primitive.define import is_traced
from elimax.stats.likelihood.base import Number
from elimax.stats.likelihood.modified import Modified


class Weighted(Modified):
    r"""The log density of `likelihood`, times a weight: $\log p(y \mid \eta) = w \log p_1(y \mid \eta)$.

    A whole weight stands for that many equal observations (frequency weights), any other for what a survey or
    a robust fit gives it. Moments, draws and the distribution function are those of one observation.

    **Arguments:**

    - `likelihood`: the distribution of one observation.
    - `weights`: w >= 0, a scalar or (m,).

    Parameters: those of `likelihood`.

    **Raises:** `TypeError` if `likelihood` is none, `ValueError` for weights that are negative or NaN.
    """

    weights: Number = 1.0

    def __check_init__(self) -> None:
        if not is_traced(self.weights) and not np.all(np.asarray(self.weights) >= 0):
            raise ValueError("`weights` must be nonnegative")

    @property
    def quadratic(self) -> bool:  # type: ignore[override]
        return self.likelihood.quadratic

    def closed(self, eta: Array, y: Array, parameters: dict[str, Array]) -> "Weighted":
        inner = self.likelihood.closed(eta, y, parameters)
        return eqx.tree_at(lambda one: one.likelihood, self, inner)

    def _kernel(self, eta: Array, y: Array, /, *args: Any, **parameters: Any) -> Array:
        return jnp.asarray(self.weights, eta.dtype) * self.likelihood.kernel(eta, y, **parameters)

    def _base(self, y: Array, /, *args: Any, **parameters: Any) -> Array:
        return jnp.asarray(self.weights, y.dtype) * self.likelihood.base(y, **parameters)
