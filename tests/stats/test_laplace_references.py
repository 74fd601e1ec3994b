"""The approximation, and what is fitted by it, against the peers' results on real data."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from elimax.stats.laplace import laplace, maximize

from . import references

SLOW = pytest.mark.slow
NAMES = [
    "cbpp",
    "scotland",
    pytest.param("germany", marks=SLOW),
    "tokyo",
    "meuse",
    pytest.param("meuse_reml", marks=SLOW),
    pytest.param("spdetoy", marks=SLOW),
    "parana",
    "leukaemia",
    pytest.param("mcycle", marks=SLOW),
    pytest.param("seatbelts", marks=SLOW),
    pytest.param("socatt", marks=SLOW),
    pytest.param("salamander_mating", marks=SLOW),
    pytest.param("salamanders_poisson", marks=SLOW),
    "salamanders_zip",
    pytest.param("salamanders_nbinom1", marks=SLOW),
    pytest.param("salamanders_nbinom2", marks=SLOW),
    pytest.param("salamanders_zinb", marks=SLOW),
    pytest.param("salamanders_hurdle", marks=SLOW),
    pytest.param("ar1_4d", marks=SLOW),
    "pcod",
    pytest.param("lattice", marks=SLOW),
]


@eqx.filter_jit
def value_and_gradient(model, theta):
    def criterion(theta):
        result = laplace(model, theta)
        return -result.log_marginal, result.record

    return jax.value_and_grad(criterion, has_aux=True)(theta)


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_at_the_peers_optimum(name, shared):
    r = getattr(references, name)(shared)
    (value, record), gradient = value_and_gradient(r.model, jnp.asarray(r.theta))
    assert int(record.status) == 0
    np.testing.assert_allclose(value, r.nll, 1e-9)
    peers = r.truth.get("max_abs_gradient", 1e-4)
    assert np.abs(gradient).max() < 1e-6 + 1.01 * peers
    for point in r.truth.get("grid", []):
        theta = jnp.atleast_1d(jnp.asarray(point["par"], float))
        (value, _), gradient = value_and_gradient(r.model, theta)
        np.testing.assert_allclose(value, point["nll_laplace"], 1e-8)
        np.testing.assert_allclose(gradient, point["gradient"], 1e-6, 1e-6)


STARTS = {"leukaemia": [-5.0, 0, 0, 0, 0, 0, 0, 0]}


@pytest.mark.parametrize(
    "name",
    ["scotland"]
    + [
        pytest.param(name, marks=SLOW)
        for name in (
            "tokyo",
            "germany",
            "meuse_reml",
            "spdetoy",
            "parana",
            "leukaemia",
            "seatbelts",
        )
    ],
)
def test_optimum_standard_errors_and_variances(name, shared):
    r = getattr(references, name)(shared)
    fit = maximize(r.model, jnp.asarray(STARTS.get(name, np.zeros_like(r.theta))))
    assert fit.status == "converged" and fit.converged
    np.testing.assert_allclose(fit.theta, r.theta, 1e-5, 1e-5)
    np.testing.assert_allclose(-fit.log_marginal, r.nll, 1e-9)
    errors = r.truth["par_se"]
    errors = list(errors.values()) if isinstance(errors, dict) else errors
    # TMB differentiates its gradient numerically, which is less good where parameters differ in scale
    tolerance = {"leukaemia": 1e-2, "seatbelts": 5e-4}.get(name, 1e-5)
    np.testing.assert_allclose(fit.standard_errors, errors, tolerance)
    # the peer has latent fixed effects first
    place = np.roll(np.arange(fit.approximation.mode.size), 2 if name == "meuse_reml" else 0)
    random = r.truth.get("random", {})
    if "sd_incl_fixed_uncertainty" in random:
        sds = np.sqrt(fit.variances()[0])[place]
        np.testing.assert_allclose(sds, random["sd_incl_fixed_uncertainty"], 2e-4)
    if "cond_sd_given_par" in random:
        sds = np.sqrt(fit.approximation.variance())[place]
        np.testing.assert_allclose(sds, random["cond_sd_given_par"], 1e-5)
        np.testing.assert_allclose(fit.approximation.mode[place], random["mode"], 1e-4, 1e-4)


@SLOW
def test_joint_precision(shared):
    """TMB's sdreport: fixed effects and variance parameters beside the random effects."""
    r = references.cbpp(shared)
    fit = maximize(r.model, jnp.asarray(r.theta))
    joint = fit.joint()
    order = np.r_[15:19, 0:15, 19]  # TMB's: beta, b, theta
    precision = joint.precision.todense()[np.ix_(order, order)]
    np.testing.assert_allclose(precision, np.array(r.truth["joint_precision"]), 1e-5, 1e-4)
    marginal = np.linalg.inv(joint.precision.todense())
    np.testing.assert_allclose(np.diag(marginal)[:15], fit.variances()[0], 1e-9)
    np.testing.assert_allclose(marginal[15:, 15:], fit.covariance, 1e-8, 1e-12)
