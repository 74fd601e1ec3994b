r"""Importance sampling with Laplace's approximation as proposal: how good is it, and what corrects it.

Draws theta ~ q(theta), a Student t around the mode of the hyperparameters, and x ~ q(x | theta), the Gaussian
approximation there. The weights

    p(y | x, theta) p(x | theta) p(theta) / (q(theta) q(x | theta))

would be constant in x if the approximation were exact. Weighted draws are draws from the exact posterior, as
long as no few of them carry all the weight: `pareto_k` (Vehtari, Simpson, Gelman, Yao and Gabry, *Pareto
smoothed importance sampling*, JMLR 25, 2024) tells, 0.7 being the limit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from elimax.stats.inference.density import LogPosterior
from elimax.stats.inference.evaluate import evaluate
from elimax.stats.inference.inla import Inla

_DEGREES = 8.0  # of freedom of the proposal for the hyperparameters: tails that cover those of the posterior
_INFLATED = 1.1  # its scale


class ImportanceSample(NamedTuple):
    """Draws from Laplace's approximation, and their weights towards the exact posterior.

    - `theta` (s, d), `field` (s, n): the draws.
    - `log_weights` (s,): log p(y, x, theta) - log q(x, theta), not normalized; the logarithm of their mean
      estimates the log marginal likelihood.
    """

    theta: Float[np.ndarray, "s d"]
    field: Float[np.ndarray, "s n"]
    log_weights: Float[np.ndarray, " s"]

    @property
    def weights(self) -> Float[np.ndarray, " s"]:
        """The weights, adding up to 1."""
        return np.exp(self.log_weights - np.logaddexp.reduce(self.log_weights))

    @property
    def effective_size(self) -> float:
        """How many independent draws from the posterior they are worth: 1 / sum w^2."""
        return float(1.0 / np.sum(self.weights**2))

    @property
    def log_marginal_likelihood(self) -> float:
        """log p(y): of the exact posterior, not of its approximation."""
        return float(np.logaddexp.reduce(self.log_weights) - np.log(self.log_weights.size))


def importance_sample(fit: Inla, key: Key[Array, ""], draws: int) -> ImportanceSample:
    """Draws of hyperparameters and field from the approximation, with their importance weights.

    **Arguments:**

    - `fit`: what `inla` found; its shape, not its integration points, makes the proposal.
    - `draws`: how many; at least 1.

    **Raises:** `ValueError` for fewer, `TypeError` for another fit.

    **Cost:** one `laplace`, half a solve, and the density of the prior, a draw.
    """
    if not isinstance(fit, Inla):
        raise TypeError(f"`fit` must be what `inla` returned, got {type(fit).__name__}")
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1, got {draws}")
    shape, d = fit.shape, fit.shape.mode.size
    of_theta, of_scale, of_field = jax.random.split(key, 3)
    normal = np.asarray(jax.random.normal(of_theta, (draws, d)), float)
    chi2 = 2.0 * np.asarray(jax.random.gamma(of_scale, _DEGREES / 2, (draws, 1)), float)
    u = normal * np.sqrt(_DEGREES / chi2)
    stretch = _INFLATED * shape.stretch(u)
    theta = shape.theta(u * stretch)
    # Each half of an axis keeps its half of the draws, so that the density jumps at the mode by design.
    log_t = _log_student(u) - np.log(stretch).sum(1) - np.linalg.slogdet(shape.scale)[1]
    keys = np.asarray(jax.random.key_data(jax.random.split(of_field, draws)))
    field, log_ratio = evaluate(_draw, fit.target, keys, theta)
    log_weights = np.where(np.isfinite(log_ratio), log_ratio - log_t, -np.inf)
    return ImportanceSample(theta, field, log_weights)


def _log_student(u: Float[np.ndarray, "s d"]) -> Float[np.ndarray, " s"]:
    d = u.shape[1]
    constant = (
        jax.scipy.special.gammaln((_DEGREES + d) / 2)
        - jax.scipy.special.gammaln(_DEGREES / 2)
        - 0.5 * d * np.log(_DEGREES * np.pi)
    )
    return float(constant) - 0.5 * (_DEGREES + d) * np.log1p(np.sum(u * u, axis=1) / _DEGREES)


def _draw(target: LogPosterior, key: Array, theta: Float[Array, " d"]) -> tuple[Array, Array]:
    fit = target.laplace(theta)
    form, joint = fit.restricted(), fit.joint
    H = joint.hessian_at(fit.mode)
    deviation = form.sample(jax.random.wrap_key_data(key))
    x = fit.mode + deviation
    free = joint.field.n - joint.field.n_constraints
    log_q = 0.5 * (form.logdet() - free * jnp.log(2 * jnp.pi) - deviation @ (H @ deviation))
    log_p = joint.log_likelihood(x) + joint.field.log_prob(x) + fit.log_prior
    return x, log_p - log_q
