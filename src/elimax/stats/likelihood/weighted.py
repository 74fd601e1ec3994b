"""Observations that count more than once, or less."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from elimax._primitive.define import is_traced
from elimax.stats.likelihood.base import Likelihood, Number


class Weighted(Likelihood):
    r"""The log density of `likelihood`, times a weight: $\log p(y \mid \eta) = w \log p_1(y \mid \eta)$.

    A whole weight stands for that many equal observations (frequency weights), any other for what a survey or
    a robust fit gives it. Moments, draws and the distribution function are those of one observation.

    **Arguments:**

    - `likelihood`: the distribution of one observation.
    - `weights`: w >= 0, a scalar or (m,).

    Parameters: those of `likelihood`.

    **Raises:** `TypeError` if `likelihood` is none, `ValueError` for weights that are negative or NaN.
    """

    likelihood: Likelihood
    weights: Number = 1.0

    def __check_init__(self) -> None:
        if not isinstance(self.likelihood, Likelihood):
            raise TypeError(
                f"`likelihood` must be a Likelihood, as Poisson(), got {type(self.likelihood).__name__}"
            )
        if not is_traced(self.weights) and not np.all(np.asarray(self.weights) >= 0):
            raise ValueError("`weights` must be nonnegative")

    @property
    def names(self) -> tuple[str, ...]:
        return self.likelihood.names

    @property
    def in_support(self) -> float:
        return self.likelihood.in_support

    @property
    def quadratic(self) -> bool:  # type: ignore[override]
        return self.likelihood.quadratic

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return self.likelihood._supported(y, **parameters)

    def check_observations(self, y: ArrayLike) -> None:
        self.likelihood.check_observations(y)

    def closed(self, eta: Array, y: Array, parameters: dict[str, Array]) -> "Weighted":
        return Weighted(self.likelihood.closed(eta, y, parameters), self.weights)

    def _kernel(self, eta: Array, y: Array, /, *args: Any, **parameters: Any) -> Array:
        return jnp.asarray(self.weights, eta.dtype) * self.likelihood.kernel(eta, y, **parameters)

    def _base(self, y: Array, /, *args: Any, **parameters: Any) -> Array:
        return jnp.asarray(self.weights, y.dtype) * self.likelihood.base(y, **parameters)

    def mean(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self.likelihood.mean(eta, **parameters)

    def variance(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self.likelihood.variance(eta, **parameters)

    def sample(
        self, key: Key[Array, ""], eta: Any, /, *args: Any, **parameters: Any
    ) -> Float[Array, " m"]:
        return self.likelihood.sample(key, eta, **parameters)

    def cdf(self, y: Any, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self.likelihood.cdf(y, eta, **parameters)
