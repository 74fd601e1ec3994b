"""Elementary functions that keep their accuracy, and that of their derivatives, in the tails."""

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

LARGE = 20.0  # from here on Stirling's series, cut after seven terms, is exact to double precision


def log1mexp(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 - exp(-x)) for x > 0; -inf at 0.

    **Source:** Maechler, "Accurately computing log(1 - exp(-|a|))" (2012), equation 7.
    """
    small = x < 0.6931471805599453
    near, far = jnp.where(small, x, 1.0), jnp.where(small, 1.0, x)
    return jnp.where(small, jnp.log(-jnp.expm1(-near)), jnp.log1p(-jnp.exp(-far)))


def log_event(log_hazard: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(1 - exp(-exp(h))): of the probability that something has happened whose log intensity is h.

    Below, h itself is the answer (exp(h) may underflow), above 0 is (exp(h) may overflow); between them
    nothing is far from 1.
    """
    low, high = log_hazard < -10.0, log_hazard > 6.0
    intensity = jnp.exp(jnp.where(low | high, 0.0, log_hazard))
    small = jnp.exp(jnp.where(low, log_hazard, -jnp.inf))
    # log((1 - exp(-u)) / u) = -u/2 + u^2/24 - ...
    below = jnp.where(low, log_hazard, 0.0) - small / 2 + small**2 / 24
    above = -jnp.exp(-jnp.exp(jnp.where(high, jnp.minimum(log_hazard, 6.7), 6.0)))
    return jnp.where(low, below, jnp.where(high, above, log1mexp(intensity)))


def stirling_remainder(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), for x >= 20.

    **Source:** Abramowitz and Stegun 6.1.41; the error is below 1e-17.
    """
    square = 1 / (x * x)
    series = 1 / 12 - square * (
        1 / 360
        - square * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * (691 / 360360))))
    )
    return series / x


def log_rising(x: Float[Array, "..."], k: Float[Array, "..."]) -> Float[Array, "..."]:
    """log Gamma(x + k) - log Gamma(x), x > 0, k >= 0: without cancellation where x is large.

    The difference of two log-gammas loses all digits when x is 1e12 and k is 3; here the large parts of
    Stirling's series are subtracted before they are computed.
    """
    large = x > LARGE
    y = jnp.where(large, x, LARGE)
    series = (
        (y + k - 0.5) * jnp.log1p(k / y)
        + k * (jnp.log(y) - 1.0)
        + stirling_remainder(y + k)
        - stirling_remainder(y)
    )
    x = jnp.where(large, 1.0, x)
    return jnp.where(large, series, gammaln(x + k) - gammaln(x))


def log_choose(n: Float[Array, "..."], k: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logarithm of the binomial coefficient."""
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


def is_count(y: Array) -> Array:
    """Whether y is one of 0, 1, 2, ...; a NaN is not."""
    return (y >= 0) & (y == jnp.floor(y)) & jnp.isfinite(y)
