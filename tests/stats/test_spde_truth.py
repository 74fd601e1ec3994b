"""Matern fields with priors beside RTMB and R-INLA (shared/data/truth): meuse, SPDEtoy, rain in Parana."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax import stats
from elimax.stats.inference.conditional import AT_POINT
from elimax.stats.inference.evaluate import evaluate

from .references import read, spde, truth_of
from .test_inference_truth import loggamma

# Priors of the range and the standard deviation, P(range < a) = p and P(sd > b) = q (that of Parana follows
# from the gradient at its mode), and precisions of the fixed effects.
PRIORS = {
    "meuse": ((0.2, 0.05, 1.0, 0.05), [1e-6, 1e-3]),
    "spdetoy": ((0.3, 0.5, 10.0, 0.01), [1e-6]),
    "parana_gamma": ((0.5, 0.05, 1.0, 0.05), [1e-6]),
}


@functools.cache
def model(shared, name):
    """theta: log range, log sd, log precision (of the noise, or the shape of the gamma distribution)."""
    mesh = name.split("_")[0]
    if name == "meuse":
        d = read(shared, "csv", "meuse.csv")
        X, y = np.c_[np.ones(len(d)), np.sqrt(d.dist)], np.log(d.zinc.to_numpy(float))
    elif name == "spdetoy":
        y = read(shared, "csv", "spdetoy.csv").y.to_numpy(float)
        X = np.ones((y.size, 1))
    else:
        y = read(shared, "csv", "parana_precip_january_mean.csv").mean_jan.to_numpy(float)
        X = np.ones((y.size, 1))
    of_matern, of_fixed = PRIORS[name]
    precision, A = spde(shared, mesh)

    def latent(t):
        log_kappa = 0.5 * np.log(8) - t[0]
        log_tau = -0.5 * np.log(4 * np.pi) - log_kappa - t[1]
        fixed = ex.SymmetricMatrix.diags(jnp.array(of_fixed))
        return stats.independent(fixed, precision(log_kappa, log_tau))

    def prior(t):
        matern = stats.pc_matern_prior(jnp.exp(t[0]), jnp.exp(t[1]), *of_matern)
        return loggamma(t[2], 1.0, 5e-5) + matern + t[0] + t[1]

    gamma = name == "parana_gamma"
    return stats.LatentGaussianModel(
        latent,
        ex.block([[ex.SparseMatrix.from_dense(X), A]]),
        stats.Gamma() if gamma else stats.Gaussian(),
        y,
        lambda t: {"shape": jnp.exp(t[2])} if gamma else {"sd": jnp.exp(-t[2] / 2)},
        prior=prior,
    )


@pytest.mark.parametrize("name", PRIORS)
def test_posterior_at_the_mode_of_rtmb(shared, name):
    truth = truth_of(shared, "rtmb_spde", f"{name}_MAP_pc")
    theta, at = jnp.array(list(truth["par"].values())), model(shared, name)

    @jax.jit
    @jax.value_and_grad
    def criterion(theta):
        return -stats.laplace(at, theta).log_posterior

    value, gradient = criterion(theta)
    np.testing.assert_allclose(value, truth["nll_laplace"], rtol=1e-9)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIORS)
def test_posterior_mode_is_that_of_rtmb(shared, name):
    truth = truth_of(shared, "rtmb_spde", f"{name}_MAP_pc")
    fit = stats.maximize(model(shared, name), jnp.array([-0.5, -0.5, 1.5]))
    assert fit.status == "converged"
    np.testing.assert_allclose(fit.theta, list(truth["par"].values()), atol=1e-5)
    np.testing.assert_allclose(fit.covariance, truth["par_cov"], atol=1e-4)


@pytest.mark.parametrize("name", PRIORS)
def test_conditional_densities_at_the_points_of_inla(shared, name):
    """At R-INLA's integration points, with its weights; it corrects the means of fixed effects only.

    Integrated by our own rules the densities differ: R-INLA's 15 points are 0.1 to 0.25 standard deviations
    of hyperparameters away from a grid of 1,500.
    """
    truth = truth_of(shared, "inla_spde", name)["default_compact_vb"]
    precision, log_range, log_sd, log_posterior, weights = (
        np.asarray(v) for v in truth["joint_hyper"].values()
    )
    points = np.stack([log_range, log_sd, precision], 1)
    target = stats.log_posterior(model(shared, name), points[np.argmax(log_posterior)])
    found = evaluate(AT_POINT["vb"], target, points)
    assert not found.status.any()
    difference = found.log_posterior - log_posterior
    np.testing.assert_allclose(difference, difference[0], atol=1e-4)  # R-INLA drops constants
    marginals = stats.Marginals(weights / weights.sum(), found.mean, found.sd)
    mean, sd = (np.r_[truth["fixed"][k], truth["random"]["s"][k]] for k in ("mean", "sd"))
    compared = slice(len(PRIORS[name][1])) if name == "parana_gamma" else slice(None)
    np.testing.assert_allclose(((marginals.mean - mean) / sd)[compared], 0, atol=1e-2)
    np.testing.assert_allclose(marginals.sd / sd, 1, atol=1e-2)
