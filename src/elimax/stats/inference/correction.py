r"""Corrections of the Gaussian approximation of a field for likelihoods that are skewed.

Variational: the mean of N(m, H^-1), H the Hessian at the mode, that comes closest to the posterior,

    minimize over m    E[-log p(y | eta)] + 1/2 (m - mu)'Q(m - mu),    eta_k ~ N((A m)_k + o_k, s_k^2),

with s^2 = diag(A H^-1 A'). The expectations are those of a likelihood that is averaged over a normal
disturbance of eta: `Smoothed` is that likelihood, the mean is its mode, and Newton's iteration finds it on
the pattern of H. This is the variational Bayes correction of van Niekerk, Krainski, Rustand and Rue (Comput.
Stat. Data Anal. 181, 2023, section 3) and van Niekerk and Rue (2024, "Low-rank variational Bayes correction
to the Laplace method", JMLR 25), with the correction of every element rather than of a chosen few.

Skewness: to third order the marginal density of an element (or of any linear combination) whose covariances
with the linear predictors, over its standard deviation, are c, is

    exp(-z^2/2 + gamma_3 z^3/6 + ...),    gamma_3 = sum_k l'''(eta_k) c_k^3,

the simplified Laplace approximation of Rue, Martino and Chopin (JRSS-B 71, 2009, section 3.2.3); to the same
order gamma_3 is its skewness.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from elimax.stats.likelihood.modified import Modified

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def normal_nodes(dtype: Any) -> tuple[Float[Array, " q"], Float[Array, " q"]]:
    """Nodes and weights of Gauss and Hermite for a standard normal variable; exact to degree 41."""
    return jnp.asarray(_NODES, dtype), jnp.asarray(_WEIGHTS, dtype)


class Smoothed(Modified):
    """The expectation of a log-likelihood when its linear predictor is disturbed by N(0, sd^2)."""

    sd: Float[Array, " m"]

    def _kernel(self, eta: Array, y: Array, /, *args: Any, **parameters: Any) -> Array:
        nodes, weights = normal_nodes(eta.dtype)

        def at(node: Array) -> Array:
            return self.likelihood.kernel(eta + node * self.sd, y, **parameters)

        return weights @ jax.vmap(at)(nodes)
