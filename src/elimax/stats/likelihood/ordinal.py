"""Ordered categories, by thresholds on a latent logistic variable."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid
from jaxtyping import Array, Float, Key

from elimax.stats.likelihood.base import Likelihood
from elimax.stats.likelihood.special import is_count, log1mexp


class Ordinal(Likelihood):
    r"""Categories 0, ..., K - 1 with cumulative logits: $P(y \le k) = 1 / (1 + e^{-(c_k - \eta)})$.

    Larger eta make higher categories more likely. Parameter: `cutpoints` $c_0 < \dots < c_{K-2}$, an
    increasing vector that all observations share; an intercept in eta would only shift it.

    **Source:** McCullagh, J. R. Stat. Soc. B 42 (1980).
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("cutpoints",)
    support: ClassVar[str] = "a category 0, 1, ..., K - 1, with K - 1 cutpoints"

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        last = jnp.size(parameters["cutpoints"]) if "cutpoints" in parameters else jnp.inf
        return is_count(y) & (y <= last)

    def _kernel(self, eta: Array, y: Array, cutpoints: Float[Array, " K-1"]) -> Array:
        c, k, first, last = _bounds(y, cutpoints)
        above = jnp.where(last, 0.0, log_sigmoid(c[jnp.where(last, 0, k)] - eta))
        below = jnp.where(first, 0.0, log_sigmoid(eta - c[jnp.where(first, 0, k - 1)]))
        return above + below

    def _base(self, y: Array, cutpoints: Float[Array, " K-1"]) -> Array:
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b))
        c, k, first, last = _bounds(y, cutpoints)
        between = ~(first | last)
        width = jnp.where(
            between, c[jnp.where(between, k, 0)] - c[jnp.where(between, k - 1, 0)], 1.0
        )
        return jnp.where(between, log1mexp(width), 0.0)

    def probabilities(self, eta: Any, cutpoints: Float[Array, " K-1"]) -> Float[Array, "... K"]:
        """Of every category."""
        below = jax.nn.sigmoid(jnp.asarray(cutpoints) - jnp.asarray(eta)[..., None])
        zero, one = jnp.zeros_like(below[..., :1]), jnp.ones_like(below[..., :1])
        return jnp.diff(jnp.concatenate([zero, below, one], -1), axis=-1)

    def mean(self, eta: Any, cutpoints: Float[Array, " K-1"]) -> Array:
        """Of the number of the category."""
        p = self.probabilities(eta, cutpoints)
        return p @ jnp.arange(p.shape[-1], dtype=p.dtype)

    def variance(self, eta: Any, cutpoints: Float[Array, " K-1"]) -> Array:
        p = self.probabilities(eta, cutpoints)
        k = jnp.arange(p.shape[-1], dtype=p.dtype)
        return p @ k**2 - (p @ k) ** 2

    def sample(self, key: Key[Array, ""], eta: Any, cutpoints: Float[Array, " K-1"]) -> Array:
        eta = jnp.asarray(eta)
        latent = eta + jax.random.logistic(key, eta.shape, eta.dtype)
        return jnp.sum(latent[..., None] > jnp.asarray(cutpoints), -1).astype(eta.dtype)

    def cdf(self, y: Any, eta: Any, cutpoints: Float[Array, " K-1"]) -> Array:
        cutpoints = jnp.asarray(cutpoints)
        k = jnp.floor(jnp.asarray(y)).astype(int)
        inside = jnp.clip(k, 0, cutpoints.size - 1)
        below = jax.nn.sigmoid(cutpoints[inside] - jnp.asarray(eta))
        return jnp.where(k < 0, 0.0, jnp.where(k >= cutpoints.size, 1.0, below))


def _bounds(y: Array, cutpoints: Any) -> tuple[Array, Array, Array, Array]:
    """The cutpoints, the categories, and which of them are the first and the last."""
    cutpoints = jnp.asarray(cutpoints, y.dtype)
    if cutpoints.ndim != 1 or cutpoints.size == 0:
        raise ValueError(
            f"`cutpoints` must be a vector, one number fewer than categories, got shape {cutpoints.shape}"
        )
    k = y.astype(jnp.int32)
    return cutpoints, k, k <= 0, k >= cutpoints.size
