"""Survival times, fully observed or censored: Weibull and exponential."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from elimax.stats.likelihood.base import Likelihood, Number
from elimax.stats.likelihood.special import log_event

RIGHT, EVENT, LEFT, INTERVAL = 0, 1, 2, 3


class Weibull(Likelihood):
    r"""Times with hazard $e^\eta \omega t^{\omega - 1}$: proportional hazards. Parameter: `shape` $\omega >
    0$.

    **Arguments:**

    - `event`: what is known of every time, (m,) integers: 0, that it is larger than y (right-censored); 1,
      that it is y; 2, that it is smaller (left-censored); 3, that it lies between y and `upper`. All are
      observed if None.
    - `upper`: (m,), where intervals end; read where `event` is 3.
    """

    event: Number = None
    upper: Number = None
    parameter_names: ClassVar[tuple[str, ...]] = ("shape",)
    placeholder: ClassVar[float] = 1.0
    support: ClassVar[str] = "a positive time"

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return (y > 0) & jnp.isfinite(y)

    def _kernel(self, eta: Array, y: Array, shape: Number) -> Array:
        log_cumulative = eta + shape * jnp.log(y)
        cumulative = jnp.exp(log_cumulative)
        if self.event is None:
            return eta - cumulative
        event = jnp.asarray(self.event)
        known = jnp.where(event == EVENT, eta, 0.0) - cumulative
        left = jnp.where(event == LEFT, log_event(log_cumulative), known)
        if self.upper is None:
            return left
        inside = event == INTERVAL
        upper = jnp.where(inside, jnp.asarray(self.upper, y.dtype), 2.0 * y)
        # S(y) - S(upper) = S(y) (1 - exp(-(H(upper) - H(y)))); the difference is H(y) ((u/y)^shape - 1)
        more = log_cumulative + jnp.log(jnp.expm1(shape * jnp.log(upper / y)))
        return jnp.where(inside, log_event(more) - cumulative, left)

    def _base(self, y: Array, shape: Number) -> Array:
        shape = jnp.asarray(shape, y.dtype)
        base = jnp.log(shape) + (shape - 1.0) * jnp.log(y)
        return (
            base if self.event is None else jnp.where(jnp.asarray(self.event) == EVENT, base, 0.0)
        )

    def mean(self, eta: Any, shape: Number) -> Array:
        """Of the time itself, whatever is known of it."""
        shape = jnp.asarray(shape, jnp.result_type(eta, float))
        return jnp.exp(-eta / shape + jax.scipy.special.gammaln(1.0 + 1.0 / shape))

    def variance(self, eta: Any, shape: Number) -> Array:
        shape = jnp.asarray(shape, jnp.result_type(eta, float))
        first = jax.scipy.special.gammaln(1.0 + 1.0 / shape)
        second = jax.scipy.special.gammaln(1.0 + 2.0 / shape)
        return jnp.exp(-2.0 * eta / shape + second) - jnp.exp(-2.0 * eta / shape + 2.0 * first)

    def sample(self, key: Key[Array, ""], eta: Any, shape: Number) -> Array:
        """Times, not censored."""
        eta = jnp.asarray(eta)
        return (jax.random.exponential(key, eta.shape, eta.dtype) * jnp.exp(-eta)) ** (1.0 / shape)

    def cdf(self, y: Any, eta: Any, shape: Number) -> Array:
        """P(time <= y), whatever is known of the time."""
        return -jnp.expm1(-jnp.exp(eta) * jnp.maximum(y, 0.0) ** shape)


class Exponential(Likelihood):
    r"""Times with the constant hazard $e^\eta$: `Weibull` of shape 1, with its arguments."""

    event: Number = None
    upper: Number = None
    placeholder: ClassVar[float] = 1.0
    support: ClassVar[str] = "a positive time"

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return self._weibull._supported(y)

    @property
    def _weibull(self) -> Weibull:
        return Weibull(self.event, self.upper)

    def _kernel(self, eta: Array, y: Array) -> Array:
        return self._weibull._kernel(eta, y, 1.0)

    def mean(self, eta: Any) -> Array:
        return jnp.exp(-eta)

    def variance(self, eta: Any) -> Array:
        return jnp.exp(-2.0 * eta)

    def sample(self, key: Key[Array, ""], eta: Any) -> Array:
        return self._weibull.sample(key, eta, 1.0)

    def cdf(self, y: Any, eta: Any) -> Array:
        return self._weibull.cdf(y, eta, 1.0)
