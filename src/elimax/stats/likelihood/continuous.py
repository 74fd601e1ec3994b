"""Continuous observations: Gaussian, log-normal, Student t, gamma and beta."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, gammainc, gammaln, ndtr
from jaxtyping import Array, Key

from elimax.stats.likelihood.base import Likelihood, Number
from elimax.stats.likelihood.special import LARGE, log_rising, stirling_remainder

_LOG_2PI = 1.8378770664093453


class Gaussian(Likelihood):
    r"""$y \sim N(\eta, \sigma^2)$. Parameter: `sd` $\sigma > 0$."""

    parameter_names: ClassVar[tuple[str, ...]] = ("sd",)
    quadratic: ClassVar[bool] = True

    def _kernel(self, eta: Array, y: Array, sd: Number) -> Array:
        return -0.5 * ((y - eta) / sd) ** 2

    def _base(self, y: Array, sd: Number) -> Array:
        return jnp.broadcast_to(-0.5 * _LOG_2PI - jnp.log(jnp.asarray(sd, y.dtype)), y.shape)

    def mean(self, eta: Any, sd: Number) -> Array:
        return jnp.asarray(eta)

    def variance(self, eta: Any, sd: Number) -> Array:
        return jnp.broadcast_to(jnp.asarray(sd) ** 2, jnp.shape(eta))

    def sample(self, key: Key[Array, ""], eta: Any, sd: Number) -> Array:
        eta = jnp.asarray(eta)
        return eta + sd * jax.random.normal(key, eta.shape, eta.dtype)

    def cdf(self, y: Any, eta: Any, sd: Number) -> Array:
        return ndtr((y - eta) / sd)


class LogNormal(Likelihood):
    r"""$\log y \sim N(\eta, \sigma^2)$: eta is the mean of the logarithm. Parameter: `sd` $\sigma > 0$."""

    parameter_names: ClassVar[tuple[str, ...]] = ("sd",)
    quadratic: ClassVar[bool] = True
    placeholder: ClassVar[float] = 1.0
    support: ClassVar[str] = "a positive number"

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return (y > 0) & jnp.isfinite(y)

    def _kernel(self, eta: Array, y: Array, sd: Number) -> Array:
        return -0.5 * ((jnp.log(y) - eta) / sd) ** 2

    def _base(self, y: Array, sd: Number) -> Array:
        return -0.5 * _LOG_2PI - jnp.log(jnp.asarray(sd, y.dtype)) - jnp.log(y)

    def mean(self, eta: Any, sd: Number) -> Array:
        return jnp.exp(eta + 0.5 * jnp.asarray(sd) ** 2)

    def variance(self, eta: Any, sd: Number) -> Array:
        return jnp.expm1(jnp.asarray(sd) ** 2) * self.mean(eta, sd) ** 2

    def sample(self, key: Key[Array, ""], eta: Any, sd: Number) -> Array:
        eta = jnp.asarray(eta)
        return jnp.exp(eta + sd * jax.random.normal(key, eta.shape, eta.dtype))

    def cdf(self, y: Any, eta: Any, sd: Number) -> Array:
        positive = jnp.asarray(y) > 0
        return jnp.where(positive, ndtr((jnp.log(jnp.where(positive, y, 1.0)) - eta) / sd), 0.0)


class StudentT(Likelihood):
    r"""$(y - \eta) / s$ follows Student's t with $\nu$ degrees of freedom; not log-concave.

    Parameters: `scale` s > 0 (not the standard deviation) and `df` $\nu > 0$.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("scale", "df")

    def _kernel(self, eta: Array, y: Array, scale: Number, df: Number) -> Array:
        z = (y - eta) / scale
        return -0.5 * (df + 1.0) * jnp.log1p(z * z / df)

    def _base(self, y: Array, scale: Number, df: Number) -> Array:
        df, scale = jnp.asarray(df, y.dtype), jnp.asarray(scale, y.dtype)
        half = jnp.asarray(0.5, y.dtype)
        base = log_rising(0.5 * df, half) - 0.5 * jnp.log(jnp.pi * df) - jnp.log(scale)
        return jnp.broadcast_to(base, y.shape)

    def mean(self, eta: Any, scale: Number, df: Number) -> Array:
        """NaN for df <= 1, where there is none."""
        return jnp.where(jnp.asarray(df) > 1.0, eta, jnp.nan)

    def variance(self, eta: Any, scale: Number, df: Number) -> Array:
        """Infinite for df <= 2."""
        df = jnp.asarray(df)
        finite = df > 2.0
        ratio = jnp.where(finite, df / jnp.where(finite, df - 2.0, 1.0), jnp.inf)
        return jnp.broadcast_to(jnp.asarray(scale) ** 2 * ratio, jnp.shape(eta))

    def sample(self, key: Key[Array, ""], eta: Any, scale: Number, df: Number) -> Array:
        eta = jnp.asarray(eta)
        return eta + scale * jax.random.t(key, jnp.asarray(df, eta.dtype), eta.shape, eta.dtype)

    def cdf(self, y: Any, eta: Any, scale: Number, df: Number) -> Array:
        z = (y - jnp.asarray(eta)) / scale
        df = jnp.asarray(df, z.dtype)
        tail = 0.5 * betainc(0.5 * df, jnp.asarray(0.5, z.dtype), df / (df + z * z))
        return jnp.where(z < 0, tail, 1.0 - tail)


class Gamma(Likelihood):
    r"""y > 0 of mean $\mu = e^\eta$ and variance $\mu^2 / a$. Parameter: `shape` a > 0."""

    parameter_names: ClassVar[tuple[str, ...]] = ("shape",)
    placeholder: ClassVar[float] = 1.0
    support: ClassVar[str] = "a positive number"

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return (y > 0) & jnp.isfinite(y)

    def _kernel(self, eta: Array, y: Array, shape: Number) -> Array:
        z = jnp.log(y) - eta
        return -shape * (jnp.expm1(z) - z)

    def _base(self, y: Array, shape: Number) -> Array:
        a = jnp.asarray(shape, y.dtype)
        large = a > LARGE
        b, c = jnp.where(large, a, LARGE), jnp.where(large, 1.0, a)
        # a log a - a - log Gamma(a), of which the large parts cancel
        far = 0.5 * (jnp.log(b) - _LOG_2PI) - stirling_remainder(b)
        near = c * jnp.log(c) - c - gammaln(c)
        return jnp.where(large, far, near) - jnp.log(y)

    def mean(self, eta: Any, shape: Number) -> Array:
        return jnp.exp(eta)

    def variance(self, eta: Any, shape: Number) -> Array:
        return jnp.exp(2.0 * eta) / shape

    def sample(self, key: Key[Array, ""], eta: Any, shape: Number) -> Array:
        mu = jnp.exp(eta)
        return mu / shape * jax.random.gamma(key, shape, mu.shape, mu.dtype)

    def cdf(self, y: Any, eta: Any, shape: Number) -> Array:
        scaled = jnp.maximum(y, 0.0) * jnp.exp(-eta) * shape
        return gammainc(jnp.asarray(shape, scaled.dtype), scaled)


class Beta(Likelihood):
    r"""0 < y < 1 of mean $\mu$, the logistic of eta, and variance $\mu (1 - \mu) / (1 + \phi)$.

    Parameter: `precision` $\phi > 0$.

    **Source:** Ferrari and Cribari-Neto, J. Appl. Stat. 31 (2004).
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("precision",)
    placeholder: ClassVar[float] = 0.5
    support: ClassVar[str] = "a number between 0 and 1, both excluded"

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return (y > 0) & (y < 1)

    def _kernel(self, eta: Array, y: Array, precision: Number) -> Array:
        a, b = precision * jax.nn.sigmoid(eta), precision * jax.nn.sigmoid(-eta)
        return a * jnp.log(y) + b * jnp.log1p(-y) - gammaln(a) - gammaln(b)

    def _base(self, y: Array, precision: Number) -> Array:
        return gammaln(jnp.asarray(precision, y.dtype)) - jnp.log(y) - jnp.log1p(-y)

    def mean(self, eta: Any, precision: Number) -> Array:
        return jax.nn.sigmoid(eta)

    def variance(self, eta: Any, precision: Number) -> Array:
        return jax.nn.sigmoid(eta) * jax.nn.sigmoid(-eta) / (1.0 + jnp.asarray(precision))

    def sample(self, key: Key[Array, ""], eta: Any, precision: Number) -> Array:
        eta = jnp.asarray(eta)
        a, b = precision * jax.nn.sigmoid(eta), precision * jax.nn.sigmoid(-eta)
        return jax.random.beta(key, a, b, eta.shape, eta.dtype)

    def cdf(self, y: Any, eta: Any, precision: Number) -> Array:
        a, b = precision * jax.nn.sigmoid(eta), precision * jax.nn.sigmoid(-eta)
        return betainc(a, b, jnp.clip(y, 0.0, 1.0))
