r"""What users think in, range and standard deviation, and what the equation has, kappa and tau.

A stationary Matern field of smoothness $\nu = \alpha - d/2$ has the range $\sqrt{8 \nu} / \kappa$, and the
variance $\Gamma(\nu) / (\Gamma(\alpha) (4 \pi)^{d/2} \kappa^{2 \nu} \tau^2)$.
"""

from typing import Any

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, ArrayLike, Float


def matern_parameters(
    range: Float[ArrayLike, "..."],
    sigma: Float[ArrayLike, "..."],
    alpha: Float[ArrayLike, ""] = 2,
    dimension: int = 2,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """kappa and tau of a Matern field of given range and marginal standard deviation.

    **Arguments:**

    - `range`, `sigma`: positive, of any shape.
    - `alpha`: above dimension / 2; need not be an integer.
    - `dimension`: of the space.

    **Raises:** `ValueError` if a concrete `alpha` is too small.

    **Derivative:** in `range`, `sigma` and `alpha`.

    **Source:** Lindgren, Rue and Lindström, J. R. Stat. Soc. B 73 (2011), section 2.1.
    """
    nu = smoothness(alpha, dimension)
    kappa = jnp.sqrt(8 * nu) / jnp.asarray(range, float)
    return kappa, jnp.exp(0.5 * _log_variance(kappa, nu, alpha, dimension)) / jnp.asarray(sigma)


def matern_range(
    kappa: Float[ArrayLike, "..."],
    tau: Float[ArrayLike, "..."],
    alpha: Float[ArrayLike, ""] = 2,
    dimension: int = 2,
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The range and the marginal standard deviation; the inverse of `matern_parameters`."""
    nu = smoothness(alpha, dimension)
    kappa = jnp.asarray(kappa, float)
    variance = _log_variance(kappa, nu, alpha, dimension)
    return jnp.sqrt(8 * nu) / kappa, jnp.exp(0.5 * variance) / jnp.asarray(tau)


def smoothness(alpha: Any, dimension: int) -> Float[Array, ""]:
    """nu = alpha - d/2, which must be positive."""
    if isinstance(alpha, int | float) and not alpha > dimension / 2:
        raise ValueError(
            f"`alpha` must be above {dimension / 2}, half the dimension, for a field with a variance, got "
            f"{alpha}; a precision is still made from `kappa` and `tau`"
        )
    return jnp.asarray(alpha, float) - dimension / 2


def _log_variance(kappa: Any, nu: Any, alpha: Any, dimension: int) -> Float[Array, "..."]:
    """Of the field with tau = 1."""
    constant = gammaln(nu) - gammaln(jnp.asarray(alpha, float))
    return constant - dimension / 2 * jnp.log(4 * jnp.pi) - 2 * nu * jnp.log(kappa)


def pc_matern_prior(
    range: Float[ArrayLike, "..."],
    sigma: Float[ArrayLike, "..."],
    range0: float,
    p_range: float,
    sigma0: float,
    p_sigma: float,
    dimension: int = 2,
) -> Float[Array, "..."]:
    """The log density, with respect to range and sigma, of their prior with a penalty on complexity.

    Its base is the field of infinite range and zero variance: P(range < range0) = p_range, and
    P(sigma > sigma0) = p_sigma. For a density of log range and log sigma add log(range) + log(sigma).

    **Arguments:**

    - `range`, `sigma`: positive; the log density is -inf elsewhere.
    - `range0`, `p_range`, `sigma0`, `p_sigma`: thresholds and their probabilities, above 0 and below 1.
    - `dimension`: of the space.

    **Raises:** `ValueError` for a threshold or probability outside of its domain.

    **Derivative:** in `range` and `sigma`.

    **Source:** Fuglstad, Simpson, Lindgren and Rue, JASA 114 (2019) 445-452, theorem 2.6.
    """
    for name, threshold in (("range0", range0), ("sigma0", sigma0)):
        if not threshold > 0:
            raise ValueError(f"`{name}` must be positive, got {threshold!r}")
    for name, probability in (("p_range", p_range), ("p_sigma", p_sigma)):
        if not 0 < probability < 1:
            raise ValueError(f"`{name}` must be a probability between 0 and 1, got {probability!r}")
    rho, sd = jnp.asarray(range, float), jnp.asarray(sigma, float)
    half = dimension / 2
    rate_range = -jnp.log(p_range) * range0**half
    rate_sigma = -jnp.log(p_sigma) / sigma0
    valid = (rho > 0) & (sd > 0)
    rho, sd = jnp.where(valid, rho, 1.0), jnp.where(valid, sd, 1.0)
    of_range = jnp.log(half * rate_range) - (half + 1) * jnp.log(rho) - rate_range * rho**-half
    of_sigma = jnp.log(rate_sigma) - rate_sigma * sd
    return jnp.where(valid, of_range + of_sigma, -jnp.inf)
