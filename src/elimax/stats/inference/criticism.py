r"""Criticism of a fitted model: how well it predicts what it was fitted to.

At every integration point a linear predictor has a normal density, N(m, s^2), and everything is a quadrature
in one dimension. Leaving observation i out divides by its likelihood. Dividing the Gaussian by the Gaussian
that stands for the likelihood, of slope g = E l'(eta) and curvature d = -l'' at the mode, leaves the *cavity*

    N(m - s^2 g / (1 - d s^2), s^2 / (1 - d s^2)),

so that CPO_i = p(y_i | y_-i) is the integral of the likelihood over it, and nothing is divided by a small
number where a tail of the likelihood is lighter than that of a Gaussian.

DIC: Spiegelhalter, Best, Carlin and van der Linde, JRSS-B 64 (2002). WAIC: Watanabe, JMLR 11 (2010). CPO and
PIT: Held, Schroedle and Rue, *Posterior and cross-validatory predictive checks: a comparison of MCMC and
INLA* (2010), sections 2 and 3; the cavity: Vehtari, Mononen, Tolvanen, Sivula and Winther, *Bayesian
leave-one-out cross-validation approximations for Gaussian latent variable models*, JMLR 17 (2016), section
3.5.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float

from elimax.stats.inference.correction import normal_nodes
from elimax.stats.inference.density import LogPosterior
from elimax.stats.inference.evaluate import evaluate
from elimax.stats.laplace.joint import Joint

_LINE = np.linspace(-10.0, 10.0, 161)  # in standard deviations: the trapezoidal rule
_SHARE = 1.0 - 1e-6  # of its predictor's precision that one observation may bring


class Criticism(NamedTuple):
    """How well the model predicts its data; missing observations count for nothing, and are NaN below.

    - `dic`, `p_dic`: the deviance information criterion and its effective number of parameters, the posterior
      mean of the deviance less `deviance_at_mean`: at the posterior means of the linear predictors and the
      mode of the hyperparameters.
    - `waic`, `p_waic`: the widely applicable one, -2 sum_i log p(y_i | y) + 2 p_waic, and the sum of the
      posterior variances of the log-likelihoods.
    - `cpo` (m,): conditional predictive ordinates p(y_i | y_-i); `log_score` is the sum of their logarithms.
    - `pit` (m,): probability integral transforms P(Y_i <= y_i | y_-i); None if the likelihood has no `cdf`.
      Of counts, pit - cpo / 2 is the one to look at (Czado, Gneiting and Held, Biometrics 65, 2009).
    - `failure` (m,): the posterior probability of the hyperparameters at which an observation brings all the
      precision of its predictor (no other says anything on it): 0 for a `cpo` and `pit` to be trusted.
    """

    dic: float
    p_dic: float
    mean_deviance: float
    deviance_at_mean: float
    waic: float
    p_waic: float
    cpo: Float[np.ndarray, " m"]
    pit: Float[np.ndarray, " m"] | None
    failure: Float[np.ndarray, " m"]

    @property
    def log_score(self) -> float:
        """The sum of the logarithms of the conditional predictive ordinates."""
        return float(np.nansum(np.log(self.cpo)))


class _Scores(NamedTuple):
    first: Float[Array, " m"]  # the expectation of the log-likelihood,
    second: Float[Array, " m"]  # of its square,
    density: Float[Array, " m"]  # and the logarithm of that of the likelihood
    log_cpo: Float[Array, " m"]
    pit: Float[Array, " m"] | None
    failed: Bool[Array, " m"]


def criticize(
    target: LogPosterior,
    mode: Float[np.ndarray, " d"],
    points: Float[np.ndarray, "K d"],
    weights: Float[np.ndarray, " K"],
    means: Float[np.ndarray, "K m"],
    sds: Float[np.ndarray, "K m"],
    precisions: Float[np.ndarray, "K m"],
) -> Criticism:
    """From the densities of the linear predictors at the integration points."""
    scores = evaluate(_scores, target, points, means, sds, precisions)
    joint = target.model.at(target.unravel(jnp.asarray(mode)))
    at_mean = joint.likelihood.log_prob(
        jnp.asarray(weights @ means), joint.observations, **joint.parameters
    )
    first = weights @ scores.first
    variance = np.maximum(weights @ scores.second - first**2, 0.0)
    log_weights = np.log(weights)[:, None]
    density = np.logaddexp.reduce(log_weights + scores.density)
    mean_deviance, deviance = -2.0 * first.sum(), -2.0 * float(np.sum(at_mean))
    # p(y_i | y_-i) = 1 / E[1 / p(y_i | y_-i, theta)]; theta given y_-i has weights w / cpo(theta).
    left_out = log_weights - scores.log_cpo
    total = np.logaddexp.reduce(left_out)
    missing = np.isnan(np.asarray(target.model.observations))
    pit = None
    if scores.pit is not None:
        pit = np.where(missing, np.nan, np.sum(np.exp(left_out - total) * scores.pit, axis=0))
    return Criticism(
        dic=float(2.0 * mean_deviance - deviance),
        p_dic=float(mean_deviance - deviance),
        mean_deviance=float(mean_deviance),
        deviance_at_mean=deviance,
        waic=float(-2.0 * (density.sum() - variance.sum())),
        p_waic=float(variance.sum()),
        cpo=np.where(missing, np.nan, np.exp(-total)),
        pit=pit,
        failure=np.where(missing, np.nan, weights @ scores.failed),
    )


def _scores(
    target: LogPosterior,
    theta: Float[Array, " d"],
    mean: Float[Array, " m"],
    sd: Float[Array, " m"],
    precision: Float[Array, " m"],
) -> _Scores:
    joint = target.model.at(target.unravel(theta))
    nodes, weights = normal_nodes(mean.dtype)
    values = jax.vmap(lambda u: _log_prob(joint, mean + u * sd))(nodes)
    slopes = jax.vmap(lambda u: joint.slopes(mean + u * sd).first)(nodes)
    share = precision * sd**2
    failed = ~(share < _SHARE)
    rest = jnp.where(failed, 1.0, 1.0 - share)
    cavity_mean = mean - sd**2 * (weights @ slopes) / rest
    cavity_sd = sd / jnp.sqrt(rest)
    line = jnp.asarray(_LINE, mean.dtype)
    step = line[1] - line[0]

    def at_node(u: Array) -> Array:
        """The integrand, around the posterior of the predictor, which is the cavity times the likelihood."""
        eta = mean + u * sd
        z = (eta - cavity_mean) / cavity_sd
        return _log_prob(joint, eta) - 0.5 * z * z

    log_cpo = logsumexp(jax.vmap(at_node)(line), axis=0) + jnp.log(
        step * jnp.sqrt(rest) / jnp.sqrt(2 * jnp.pi)
    )
    return _Scores(
        weights @ values,
        weights @ values**2,
        logsumexp(values, axis=0, b=weights[:, None]),
        log_cpo,
        _pit(joint, cavity_mean, cavity_sd),
        failed,
    )


def _log_prob(joint: Joint, eta: Float[Array, " m"]) -> Float[Array, " m"]:
    return joint.likelihood.log_prob(eta, joint.observations, **joint.parameters)


def _pit(
    joint: Joint, mean: Float[Array, " m"], sd: Float[Array, " m"]
) -> Float[Array, " m"] | None:
    """P(Y <= y) for a predictor of this normal density; None if the likelihood has no `cdf`."""
    line = jnp.asarray(_LINE[(_LINE >= -8) & (_LINE <= 8)], mean.dtype)
    mass = jnp.exp(-0.5 * line**2)
    y = jnp.where(jnp.isnan(joint.observations), joint.likelihood.in_support, joint.observations)

    def below(u: Array) -> Array:
        return joint.likelihood.cdf(y, mean + u * sd, **joint.parameters)

    try:
        return (mass / mass.sum()) @ jax.vmap(below)(line)
    except NotImplementedError:
        return None
