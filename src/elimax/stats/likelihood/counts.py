"""Counts: Poisson, binomial and negative binomial observations."""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid
from jax.scipy.special import betainc, gammaincc, gammaln, log_ndtr, ndtr, xlogy
from jaxtyping import Array, Key

from elimax.stats.likelihood.base import Likelihood, Number
from elimax.stats.likelihood.special import is_count, log_choose, log_event, log_rising

COUNTS = "a count 0, 1, 2, ..."
SUCCESSES = "a whole number of successes, at most the trials"
Link = Literal["logit", "probit", "cloglog"]


class Poisson(Likelihood):
    r"""$y \sim \mathrm{Poisson}(E e^\eta)$.

    **Arguments:**

    - `exposure`: E > 0, a scalar or (m,); expected counts, areas, times.
    """

    exposure: Number = 1.0
    support: ClassVar[str] = COUNTS

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return is_count(y)

    def _kernel(self, eta: Array, y: Array) -> Array:
        return y * eta - self.mean(eta)

    def _base(self, y: Array) -> Array:
        return xlogy(y, self.exposure) - gammaln(y + 1.0)

    def mean(self, eta: Any) -> Array:
        return jnp.exp(eta) * self.exposure

    def variance(self, eta: Any) -> Array:
        return self.mean(eta)

    def sample(self, key: Key[Array, ""], eta: Any) -> Array:
        return jax.random.poisson(key, self.mean(eta)).astype(jnp.result_type(eta, float))

    def sample_positive(self, key: Key[Array, ""], eta: Any) -> Array:
        """A draw given that it is not zero: the first event of a Poisson process, and those after it."""
        first, rest = jax.random.split(key)
        mu = self.mean(eta)
        u = jax.random.uniform(first, jnp.shape(mu), mu.dtype)
        time = jnp.clip(-jnp.log1p(u * jnp.expm1(-mu)) / mu, 0.0, 1.0)
        return 1.0 + jax.random.poisson(rest, mu * (1.0 - time)).astype(mu.dtype)

    def cdf(self, y: Any, eta: Any) -> Array:
        y = jnp.asarray(y, jnp.result_type(eta, float))
        below = gammaincc(jnp.floor(jnp.maximum(y, 0.0)) + 1.0, self.mean(eta))
        return jnp.where(y < 0, 0.0, below)


class Binomial(Likelihood):
    r"""$y \sim \mathrm{Binomial}(n, p(\eta))$.

    **Arguments:**

    - `trials`: n, a scalar or (m,); 1 for binary observations.
    - `link`: "logit", p = 1 / (1 + exp(-eta)); "probit", p = Phi(eta); "cloglog", p = 1 - exp(-exp(eta)).

    **Raises:** `ValueError` for another link.
    """

    trials: Number = 1.0
    link: Link = eqx.field(default="logit", static=True)
    support: ClassVar[str] = SUCCESSES

    def __check_init__(self) -> None:
        if self.link not in ("logit", "probit", "cloglog"):
            raise ValueError(f'`link` must be "logit", "probit" or "cloglog", got {self.link!r}')

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return is_count(y) & (y <= jnp.asarray(self.trials))

    def _log_probabilities(self, eta: Array) -> tuple[Array, Array]:
        """Of success and of failure."""
        if self.link == "logit":
            return log_sigmoid(eta), log_sigmoid(-eta)
        if self.link == "probit":
            return log_ndtr(eta), log_ndtr(-eta)
        return log_event(eta), -jnp.exp(eta)

    def _kernel(self, eta: Array, y: Array) -> Array:
        success, failure = self._log_probabilities(eta)
        return y * success + (self.trials - y) * failure

    def _base(self, y: Array) -> Array:
        return log_choose(jnp.asarray(self.trials, y.dtype), y)

    def probability(self, eta: Any) -> Array:
        """Of success in one trial."""
        if self.link == "logit":
            return jax.nn.sigmoid(eta)
        return ndtr(eta) if self.link == "probit" else -jnp.expm1(-jnp.exp(eta))

    def mean(self, eta: Any) -> Array:
        return self.trials * self.probability(eta)

    def variance(self, eta: Any) -> Array:
        p = self.probability(eta)
        return self.trials * p * (1 - p)

    def sample(self, key: Key[Array, ""], eta: Any) -> Array:
        p = self.probability(eta)
        return jax.random.binomial(key, self.trials, p, dtype=p.dtype)

    def cdf(self, y: Any, eta: Any) -> Array:
        eta = jnp.asarray(eta, float)
        n, k = jnp.asarray(self.trials, eta.dtype), jnp.floor(jnp.asarray(y, eta.dtype))
        inside = (k >= 0) & (k < n)
        k = jnp.where(inside, k, 0.0)
        below = betainc(jnp.maximum(n - k, 0.5), k + 1.0, 1.0 - self.probability(eta))
        return jnp.where(inside, below, jnp.where(jnp.asarray(y) < 0, 0.0, 1.0))


class BetaBinomial(Likelihood):
    r"""$y \sim \mathrm{Binomial}(n, p)$, $p \sim \mathrm{Beta}(\mu\phi, (1-\mu)\phi)$, $\mu$ the logistic of
    eta.

    Parameter: `precision` $\phi > 0$.
    """

    trials: Number = 1.0
    parameter_names: ClassVar[tuple[str, ...]] = ("precision",)
    support: ClassVar[str] = SUCCESSES

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return is_count(y) & (y <= jnp.asarray(self.trials))

    def _kernel(self, eta: Array, y: Array, precision: Number) -> Array:
        phi = jnp.asarray(precision)
        a, b = phi * jax.nn.sigmoid(eta), phi * jax.nn.sigmoid(-eta)
        return log_rising(a, y) + log_rising(b, self.trials - y)

    def _base(self, y: Array, precision: Number) -> Array:
        n = jnp.asarray(self.trials, y.dtype)
        return log_choose(n, y) - log_rising(jnp.asarray(precision, y.dtype), n)

    def mean(self, eta: Any, precision: Number) -> Array:
        return self.trials * jax.nn.sigmoid(eta)

    def variance(self, eta: Any, precision: Number) -> Array:
        p, phi = jax.nn.sigmoid(eta), jnp.asarray(precision)
        return self.trials * p * (1 - p) * (phi + self.trials) / (phi + 1.0)

    def sample(self, key: Key[Array, ""], eta: Any, precision: Number) -> Array:
        outer, inner = jax.random.split(key)
        a, b = precision * jax.nn.sigmoid(eta), precision * jax.nn.sigmoid(-eta)
        p = jax.random.beta(outer, a, b)
        return jax.random.binomial(inner, self.trials, p, dtype=p.dtype)


class _NegativeBinomial(Likelihood):
    """y of mean mu = exp(eta), a Poisson count with gamma-distributed intensity of shape `size`.

    The two kinds differ in how size depends on mu.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("dispersion",)
    support: ClassVar[str] = COUNTS

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return is_count(y)

    def _size_and_odds(self, eta: Any, dispersion: Number) -> tuple[Array, Array]:
        """size, and the log of mean / size."""
        raise NotImplementedError

    def mean(self, eta: Any, dispersion: Number) -> Array:
        return jnp.exp(eta)

    def sample(self, key: Key[Array, ""], eta: Any, dispersion: Number) -> Array:
        size, odds = self._size_and_odds(eta, dispersion)
        return _negative_binomial(key, size, odds)

    def sample_positive(self, key: Key[Array, ""], eta: Any, dispersion: Number) -> Array:
        """A draw given that it is not zero.

        The count is a compound Poisson process at time 1: a first jump, logarithmically distributed, at a
        time whose distribution is known, and what comes after it.

        **Source:** Kemp, Appl. Stat. 30 (1981), for the jump.
        """
        size, odds = self._size_and_odds(eta, dispersion)
        size, odds = jnp.broadcast_arrays(size, odds)
        arrival, jump, jump_size, rest = jax.random.split(key, 4)
        rate = size * jax.nn.softplus(odds)  # of jumps; P(no jump) = exp(-rate)
        u = jax.random.uniform(arrival, rate.shape, rate.dtype)
        time = jnp.clip(-jnp.log1p(u * jnp.expm1(-rate)) / rate, 0.0, 1.0)
        h = log_sigmoid(-odds)  # log(1 - p), p the parameter of the logarithmic distribution
        q = -jnp.expm1(h * jax.random.uniform(jump, rate.shape, rate.dtype))
        v = jax.random.uniform(jump_size, rate.shape, rate.dtype, minval=jnp.finfo(rate.dtype).tiny)
        first = 1.0 + jnp.floor(jnp.log(v) / jnp.log(q))
        return first + _negative_binomial(rest, size * (1.0 - time), odds)

    def cdf(self, y: Any, eta: Any, dispersion: Number) -> Array:
        size, odds = self._size_and_odds(eta, dispersion)
        y = jnp.asarray(y, jnp.result_type(eta, float))
        below = betainc(size, jnp.floor(jnp.maximum(y, 0.0)) + 1.0, jax.nn.sigmoid(-odds))
        return jnp.where(y < 0, 0.0, below)


def _negative_binomial(key: Key[Array, ""], size: Array, odds: Array) -> Array:
    outer, inner = jax.random.split(key)
    size, odds = jnp.broadcast_arrays(size, odds)
    intensity = jnp.exp(odds) * jax.random.gamma(outer, jnp.maximum(size, 1e-30))
    return jax.random.poisson(inner, intensity).astype(intensity.dtype)


class NegativeBinomial2(_NegativeBinomial):
    r"""Counts of mean $\mu = e^\eta$ and variance $\mu + \mu^2 / \phi$: quadratic in the mean.

    Parameter: `dispersion` $\phi > 0$; the Poisson distribution is the limit $\phi \to \infty$.
    """

    def _size_and_odds(self, eta: Any, dispersion: Number) -> tuple[Array, Array]:
        size = jnp.asarray(dispersion, jnp.result_type(eta, float))
        return size, eta - jnp.log(size)

    def _kernel(self, eta: Array, y: Array, dispersion: Number) -> Array:
        size, odds = self._size_and_odds(eta, dispersion)
        return y * log_sigmoid(odds) - size * jax.nn.softplus(odds)

    def _base(self, y: Array, dispersion: Number) -> Array:
        return log_rising(jnp.asarray(dispersion, y.dtype), y) - gammaln(y + 1.0)

    def variance(self, eta: Any, dispersion: Number) -> Array:
        mu = jnp.exp(eta)
        return mu * (1.0 + mu / dispersion)


class NegativeBinomial1(_NegativeBinomial):
    r"""Counts of mean $\mu = e^\eta$ and variance $\mu (1 + \phi)$: linear in the mean.

    Parameter: `dispersion` $\phi > 0$; the Poisson distribution is the limit $\phi \to 0$.
    """

    def _size_and_odds(self, eta: Any, dispersion: Number) -> tuple[Array, Array]:
        log_phi = jnp.log(jnp.asarray(dispersion, jnp.result_type(eta, float)))
        return jnp.exp(eta - log_phi), log_phi

    def _kernel(self, eta: Array, y: Array, dispersion: Number) -> Array:
        size, odds = self._size_and_odds(eta, dispersion)
        return log_rising(size, y) - size * jax.nn.softplus(odds)

    def _base(self, y: Array, dispersion: Number) -> Array:
        odds = jnp.log(jnp.asarray(dispersion, y.dtype))
        return y * log_sigmoid(odds) - gammaln(y + 1.0)

    def variance(self, eta: Any, dispersion: Number) -> Array:
        return jnp.exp(eta) * (1.0 + dispersion)
