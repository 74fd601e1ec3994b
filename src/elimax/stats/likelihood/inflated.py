"""Counts with more zeros than their distribution has, or zeros of their own kind."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid
from jaxtyping import Array, Key

from elimax.stats.likelihood.base import Likelihood, Number
from elimax.stats.likelihood.special import log1mexp


class _OfCounts(Likelihood):
    """A likelihood made from the count likelihood `counts`, whose parameters it takes among its own."""

    counts: Likelihood
    own: ClassVar[tuple[str, ...]] = ()

    def __check_init__(self) -> None:
        if not isinstance(self.counts, Likelihood):
            raise TypeError(
                f"`counts` must be a Likelihood of counts, as Poisson(), got {type(self.counts).__name__}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.own, *self.counts.names)

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        of_counts = {name: value for name, value in parameters.items() if name in self.counts.names}
        return self.counts._supported(y, **of_counts)

    def _log_zero(self, eta: Array, parameters: Any) -> Array:
        zero = jnp.zeros_like(eta)
        return self.counts.log_prob(eta, zero, **parameters)


class Truncated(_OfCounts):
    """Counts that are known not to be zero: `counts` given y > 0.

    **Arguments:**

    - `counts`: `Poisson`, `NegativeBinomial1` or `NegativeBinomial2`.

    Parameters: those of `counts`.
    """

    placeholder: ClassVar[float] = 1.0
    support: ClassVar[str] = "a count 1, 2, 3, ..."

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return super()._supported(y, **parameters) & (y > 0)

    def _kernel(self, eta: Array, y: Array, **parameters: Any) -> Array:
        positive = log1mexp(-self._log_zero(eta, parameters))
        return self.counts.kernel(eta, y, **parameters) - positive

    def _base(self, y: Array, **parameters: Any) -> Array:
        return self.counts.base(y, **parameters)

    def mean(self, eta: Any, **parameters: Any) -> Array:
        eta = jnp.asarray(eta, float)
        return self.counts.mean(eta, **parameters) / -jnp.expm1(self._log_zero(eta, parameters))

    def variance(self, eta: Any, **parameters: Any) -> Array:
        eta = jnp.asarray(eta, float)
        mean = self.counts.mean(eta, **parameters)
        second = self.counts.variance(eta, **parameters) + mean**2
        positive = -jnp.expm1(self._log_zero(eta, parameters))
        return second / positive - (mean / positive) ** 2

    def sample(self, key: Key[Array, ""], eta: Any, **parameters: Any) -> Array:
        counts: Any = self.counts
        if not hasattr(counts, "sample_positive"):
            raise NotImplementedError(
                f"{type(counts).__name__} cannot be drawn from given that it is not zero"
            )
        return counts.sample_positive(key, jnp.asarray(eta, float), **parameters)

    def cdf(self, y: Any, eta: Any, **parameters: Any) -> Array:
        zero = jnp.exp(self._log_zero(jnp.asarray(eta, float), parameters))
        below = self.counts.cdf(y, eta, **parameters)
        return jnp.maximum(below - zero, 0.0) / (1.0 - zero)


class ZeroInflated(_OfCounts):
    r"""0 with probability $\pi$, otherwise drawn from `counts`, which has zeros of its own.

    **Arguments:**

    - `counts`: `Poisson`, `NegativeBinomial1`, `NegativeBinomial2`, `Binomial`, ...

    Parameters: `zero_logit`, the logit of $\pi$, a scalar or (m,), and those of `counts`.

    **Source:** Lambert, Technometrics 34 (1992).
    """

    own: ClassVar[tuple[str, ...]] = ("zero_logit",)

    def _kernel(self, eta: Array, y: Array, zero_logit: Number, **parameters: Any) -> Array:
        zero_logit = jnp.asarray(zero_logit, eta.dtype)
        counted = self.counts.kernel(eta, y, **parameters)
        any_zero = jnp.logaddexp(
            log_sigmoid(zero_logit), log_sigmoid(-zero_logit) + self._log_zero(eta, parameters)
        )
        return jnp.where(y == 0, any_zero, counted)

    def _base(self, y: Array, zero_logit: Number, **parameters: Any) -> Array:
        base = self.counts.base(y, **parameters) + log_sigmoid(-jnp.asarray(zero_logit, y.dtype))
        return jnp.where(y == 0, 0.0, base)

    def mean(self, eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        return jax.nn.sigmoid(-jnp.asarray(zero_logit)) * self.counts.mean(eta, **parameters)

    def variance(self, eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        zero_logit = jnp.asarray(zero_logit)
        zero, other = jax.nn.sigmoid(zero_logit), jax.nn.sigmoid(-zero_logit)
        mean, variance = (
            self.counts.mean(eta, **parameters),
            self.counts.variance(eta, **parameters),
        )
        return other * (variance + zero * mean**2)

    def sample(self, key: Key[Array, ""], eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        which, rest = jax.random.split(key)
        counted = self.counts.sample(rest, eta, **parameters)
        zero = jax.random.bernoulli(which, jax.nn.sigmoid(zero_logit), counted.shape)
        return jnp.where(zero, 0.0, counted)

    def cdf(self, y: Any, eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        zero_logit = jnp.asarray(zero_logit)
        zero, other = jax.nn.sigmoid(zero_logit), jax.nn.sigmoid(-zero_logit)
        below = zero + other * self.counts.cdf(y, eta, **parameters)
        return jnp.where(jnp.asarray(y) < 0, 0.0, below)


class Hurdle(_OfCounts):
    r"""0 with probability $\pi$, otherwise drawn from `counts` given that it is not 0.

    **Arguments:**

    - `counts`: `Poisson`, `NegativeBinomial1` or `NegativeBinomial2`.

    Parameters: `zero_logit`, the logit of $\pi$, a scalar or (m,), and those of `counts`.

    **Source:** Mullahy, J. Econometrics 33 (1986).
    """

    own: ClassVar[tuple[str, ...]] = ("zero_logit",)

    @property
    def _positive(self) -> Truncated:
        return Truncated(self.counts)

    def _kernel(self, eta: Array, y: Array, zero_logit: Number, **parameters: Any) -> Array:
        count = jnp.where(y == 0, 1.0, y)
        return jnp.where(y == 0, 0.0, self._positive.kernel(eta, count, **parameters))

    def _base(self, y: Array, zero_logit: Number, **parameters: Any) -> Array:
        zero_logit = jnp.asarray(zero_logit, y.dtype)
        count = jnp.where(y == 0, 1.0, y)
        positive = log_sigmoid(-zero_logit) + self._positive.base(count, **parameters)
        return jnp.where(y == 0, log_sigmoid(zero_logit), positive)

    def mean(self, eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        return jax.nn.sigmoid(-jnp.asarray(zero_logit)) * self._positive.mean(eta, **parameters)

    def variance(self, eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        zero_logit = jnp.asarray(zero_logit)
        zero, other = jax.nn.sigmoid(zero_logit), jax.nn.sigmoid(-zero_logit)
        mean = self._positive.mean(eta, **parameters)
        return other * (self._positive.variance(eta, **parameters) + zero * mean**2)

    def sample(self, key: Key[Array, ""], eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        which, rest = jax.random.split(key)
        positive = self._positive.sample(rest, eta, **parameters)
        zero = jax.random.bernoulli(which, jax.nn.sigmoid(zero_logit), positive.shape)
        return jnp.where(zero, 0.0, positive)

    def cdf(self, y: Any, eta: Any, zero_logit: Number, **parameters: Any) -> Array:
        zero_logit = jnp.asarray(zero_logit)
        positive = self._positive.cdf(y, eta, **parameters)
        below = jax.nn.sigmoid(zero_logit) + jax.nn.sigmoid(-zero_logit) * positive
        return jnp.where(jnp.asarray(y) < 0, 0.0, below)
