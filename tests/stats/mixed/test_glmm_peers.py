"""Generalized fits beside those of lme4 and glmmTMB: log likelihood to 1e-7, estimates to 1e-4."""

import functools
import json

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from elimax.stats import glmm
from elimax.stats.mixed.generalized import deviance

from ...helpers import SHARED

needs_shared = pytest.mark.skipif(SHARED is None, reason="shared/ is not here")
SPECIES = ["GP", "PR", "DM", "EC-A", "EC-L", "DES-L", "DF"]
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
# the family and the formulas of its parameters
SALAMANDERS = {
    "salamanders_poisson": ("poisson", {}),
    "salamanders_nbinom1": ("nbinom1", {}),
    "salamanders_nbinom2": ("nbinom2", {}),
    "salamanders_zip": ("poisson", {"zero_inflation": "~ mined"}),
    "salamanders_zinb_disp": (
        "nbinom2",
        {"zero_inflation": "~ spp + mined", "dispersion": "~ DOY"},
    ),
    "salamanders_hurdle_truncnb2": ("nbinom2", {"hurdle": "~ spp + mined"}),
}


@functools.cache
def truth(name: str) -> dict:
    assert SHARED is not None
    return json.loads((SHARED / "data" / "truth" / f"{name}.json").read_text())["models"]


@functools.cache
def table(name: str) -> pd.DataFrame:
    assert SHARED is not None
    data = pd.read_csv(SHARED / "data" / "csv" / f"{name}.csv", dtype={"period": str, "herd": str})
    if name == "salamanders":
        data["mined"] = pd.Categorical(data["mined"], ["yes", "no"])
        data["spp"] = pd.Categorical(data["spp"], SPECIES)
    data["obs"] = np.arange(len(data)).astype(str)
    return data


def at(fit, theta, beta) -> float:
    parameters = jnp.concatenate([jnp.atleast_1d(jnp.asarray(v, float)) for v in (theta, beta)])
    return -0.5 * float(deviance(fit.model, parameters, jnp.zeros(len(fit.mode)))[0])


@needs_shared
@pytest.mark.parametrize(
    "name, more", [("cbpp_period_nAGQ1", ""), ("cbpp_period_overdispersed_nAGQ1", " + (1 | obs)")]
)
def test_cbpp_is_that_of_lme4(name, more):
    theirs = truth("lme4_glmm")[name]
    fit = glmm(CBPP + more, table("cbpp"))
    order = [f"{term.group}.(Intercept)" for term in fit.design.terms]
    theta, beta = [theirs["theta"][k] for k in order], list(theirs["fixef"].values())
    np.testing.assert_allclose(at(fit, theta, beta), theirs["logLik"], rtol=1e-7)
    assert fit.converged and fit.gradient_norm < 1e-3
    assert abs(fit.log_likelihood - theirs["logLik"]) < 1e-5
    assert fit.n_parameters == theirs["df"] and not fit.is_singular
    np.testing.assert_allclose([fit.aic, fit.bic], [theirs["AIC"], theirs["BIC"]], rtol=1e-7)
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-4)
    np.testing.assert_allclose(fit.fixed_effects, beta, rtol=1e-4)
    errors = list(theirs["fixef_se"].values())
    np.testing.assert_allclose(fit.coefficients["std_error"], errors, rtol=1e-3)


@pytest.mark.slow
@needs_shared
def test_zero_variance_of_a_betabinomial_is_a_boundary():
    theirs = truth("glmmtmb")["cbpp_betabinomial"]
    fit = glmm(CBPP, table("cbpp"), "betabinomial")
    assert fit.converged and fit.is_singular and fit.theta.iloc[0] == 0
    assert abs(fit.log_likelihood - theirs["logLik"]) < 1e-5
    np.testing.assert_allclose(fit.fixed_effects, list(theirs["fixef"]["cond"].values()), rtol=1e-4)
    np.testing.assert_allclose(fit.coefficients["std_error"], theirs["par_se"][:4], rtol=1e-4)
    assert np.isnan(fit.theta_standard_errors[0])
    assert "singular" in fit.summary()


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "salamanders_poisson",
        "salamanders_zip",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("salamanders_nbinom1", "salamanders_nbinom2", "salamanders_zinb_disp")
        ),
        pytest.param("salamanders_hurdle_truncnb2", marks=pytest.mark.slow),
    ],
)
def test_salamanders_are_those_of_glmmtmb(name):
    theirs = truth("glmmtmb")[name]
    family, formulas = SALAMANDERS[name]
    fit = glmm(theirs["formula"], table("salamanders"), family, **formulas)
    assert fit.converged and fit.n_parameters == theirs["df"]
    assert abs(fit.log_likelihood - theirs["logLik"]) < 1e-5
    # their optimizer stops at gradients of 1e-4: differences are measured by standard errors
    beta = np.array(list(theirs["fixef"]["cond"].values()))
    assert np.max(np.abs(fit.fixed_effects - beta) / fit.coefficients["std_error"]) < 1e-3
    np.testing.assert_allclose(fit.theta.iloc[0], np.exp(theirs["par"]["theta"]), rtol=2e-3)
    p = len(beta)
    np.testing.assert_allclose(fit.coefficients["std_error"], theirs["par_se"][:p], rtol=2e-3)
    family_table = fit.family_coefficients
    zero = family_table[family_table["parameter"] == "zero_logit"]
    if len(zero):
        zi = np.array(list(theirs["fixef"]["zi"].values()))
        assert np.max(np.abs(zero["estimate"] - zi) / zero["std_error"]) < 1e-3


@pytest.mark.slow
@needs_shared
def test_crossed_salamander_matings():
    theirs = truth("glmmtmb")["salamander_mating_pooled_modelA"]
    fit = glmm(theirs["formula"], table("salamander_mating"))
    beta = list(theirs["fixef"]["cond"].values())
    theta = np.exp([theirs["par"]["theta"], theirs["par"]["theta.1"]])
    np.testing.assert_allclose(at(fit, theta, beta), theirs["logLik"], rtol=1e-7)
    assert abs(fit.log_likelihood - theirs["logLik"]) < 1e-5
    np.testing.assert_allclose(fit.fixed_effects, beta, rtol=1e-4)
    np.testing.assert_allclose(fit.theta, theta, rtol=1e-4)


@pytest.mark.slow
@needs_shared
def test_ordered_categories_of_socatt_are_those_of_rtmb():
    theirs = truth("rtmb_more")["socatt_ordinal"]
    fit = glmm("y ~ x1 + x2 + x3 + (1 | group)", table("socatt").astype({"group": str}), "ordinal")
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(-theirs["nll_laplace"], rel=1e-9)
    par, se = (np.array(list(theirs[key].values())) for key in ("par", "par_se"))
    np.testing.assert_allclose(fit.fixed_effects, par[:3], rtol=1e-5)
    np.testing.assert_allclose(np.log(fit.theta.iloc[0]), par[3], rtol=1e-5)
    np.testing.assert_allclose(fit.coefficients["std_error"], se[:3], rtol=1e-4)
    cutpoints = np.cumsum(np.r_[par[4], np.exp(par[5:])])  # as theirs are parametrized
    np.testing.assert_allclose(fit.family_coefficients["estimate"], cutpoints, rtol=1e-5)
