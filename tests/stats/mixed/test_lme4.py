"""Fits beside those of lme4, on its own data sets: criterion to 1e-7, estimates to 1e-4."""

import functools
import json
import pathlib
import re

import numpy as np
import pandas as pd
import pytest

from elimax.stats import lmm
from elimax.stats.mixed.lmm import evaluate

from ...helpers import SHARED

MODELS = {
    "sleepstudy_slope_corr": ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    "sleepstudy_slope_uncorr": ("sleepstudy", "Reaction ~ Days + (Days || Subject)"),
    "sleepstudy_intercept": ("sleepstudy", "Reaction ~ Days + (1 | Subject)"),
    "penicillin": ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    "pastes": ("pastes", "strength ~ 1 + (1 | sample) + (1 | batch)"),
    "dyestuff": ("dyestuff", "Yield ~ 1 + (1 | Batch)"),
    "dyestuff2_singular": ("dyestuff2", "Yield ~ 1 + (1 | Batch)"),
    # temperature is an ordered factor there
    "cake": ("cake", "angle ~ recipe * C(temperature, contr.poly) + (1 | recipe:replicate)"),
}
INSTEVAL = {
    "crossed_s_d_REML": "y ~ 1 + (1 | s) + (1 | d)",
    "service_s_d_dept_ML": "y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept)",
    "service_s_d_deptservice_REML": "y ~ service + (1 | s) + (1 | d) + (1 | dept:service)",
}


@functools.cache
def truth(name: str, folder: pathlib.Path) -> dict:
    return json.loads((folder / "data" / "truth" / f"{name}.json").read_text())["models"]


@functools.cache
def table(name: str, folder: pathlib.Path) -> pd.DataFrame:
    kinds = {"temperature": str, "service": str}
    return pd.read_csv(folder / "data" / "csv" / f"{name}.csv", dtype=kinds)


@functools.cache
def fitted(model: str, kind: str):
    name, formula = MODELS[model]
    return lmm(formula, table(name, SHARED), reml=kind == "REML")


def lme4_name(name: str) -> str:
    """ "recipeB:temperature^4" for "recipe[T.B]:C(temperature, contr.poly)[4]"."""
    name = re.sub(r"C\((\w+), contr.poly\)\[(.*?)\]", r"\1\2", name)
    name = re.sub(r"\[T\.(.*?)\]", r"\1", name)
    return name


def check(fit, theirs: dict) -> None:
    assert fit.converged and fit.gradient_norm < 1e-3
    np.testing.assert_allclose(fit.criterion, theirs["criterion"], rtol=1e-7)
    np.testing.assert_allclose(fit.log_likelihood, theirs["logLik"], rtol=1e-7)
    np.testing.assert_allclose([fit.aic, fit.bic], [theirs["AIC"], theirs["BIC"]], rtol=1e-7)
    assert fit.n_parameters == theirs["df"] and fit.is_singular == theirs["isSingular"]
    assert fit.n_observations == theirs["nobs"]
    np.testing.assert_allclose(fit.sigma, theirs["sigma"], rtol=1e-4)

    ours = {lme4_name(name): value for name, value in fit.fixed_effects.items()}
    errors = {lme4_name(name): value for name, value in fit.coefficients["std_error"].items()}
    names = list(theirs["fixef"])
    assert set(ours) == set(names)
    se = np.array([theirs["fixef_se"][name] for name in names])
    np.testing.assert_allclose([errors[name] for name in names], se, rtol=1e-4)
    beta = np.array(list(theirs["fixef"].values()))
    assert np.all(
        np.abs([ours[name] for name in names] - beta) < 1e-4 * np.maximum(se, np.abs(beta))
    )
    order = [list(ours).index(name) for name in names]
    vcov = fit.vcov.to_numpy()[np.ix_(order, order)]
    np.testing.assert_allclose(vcov, theirs["vcov_fixef"], rtol=1e-3, atol=1e-4 * np.max(se**2))

    theta = {name: fit.theta[name] for name in theirs["theta"]}
    np.testing.assert_allclose(list(theta.values()), list(theirs["theta"].values()), rtol=1e-4)
    components = {
        tuple(v for v in row[:3] if isinstance(v, str)): row[3:]
        for row in fit.variance_components.itertuples(index=False)
    }
    for row in theirs["varcorr"]:
        key = tuple(v for v in (row["grp"], row["var1"], row["var2"]) if v is not None)
        np.testing.assert_allclose(components[key], [row["vcov"], row["sdcor"]], rtol=2e-4)
    check_modes(fit, theirs["ranef"])


def check_modes(fit, theirs: dict) -> None:
    table = fit.conditional_modes
    for group, ranef in theirs.items():
        for effect in np.atleast_1d(ranef["names"]):
            chosen = table[(table["effect"] == effect) & table["grp"].isin([group, f"{group}.1"])]
            ours = chosen.set_index(chosen["level"].astype(str)).loc[ranef["levels"]]
            sd = np.array(ranef["cond_sd"][effect])
            np.testing.assert_allclose(ours["sd"], sd, rtol=1e-4, atol=1e-12)
            error = np.abs(ours["mode"] - np.array(ranef["cond_mode"][effect]))
            assert np.all(error <= 1e-4 * sd + 1e-10)


@pytest.mark.parametrize("kind", ["REML", "ML"])
@pytest.mark.parametrize("model", MODELS)
def test_small_models(shared, model, kind):
    check(fitted(model, kind), truth("lme4_lmm_small", shared)[model][kind])


@pytest.mark.slow  # the demonstration's tests fit the same models
@pytest.mark.parametrize("model", INSTEVAL)
def test_insteval(shared, model):
    theirs = truth("lme4_insteval", shared)[model]
    fit = lmm(INSTEVAL[model], table("insteval", shared), reml=model.endswith("REML"))
    theirs["fixef"] = {lme4_name(name): value for name, value in theirs["fixef"].items()}
    check(fit, theirs)
    for point in theirs["devfun_grid"]:
        value = evaluate(fit.model, np.array(point["theta"]), fit.reml)
        np.testing.assert_allclose(value, point["value"], rtol=1e-12)


def test_the_boundary_is_exactly_zero(shared):
    fit = fitted("dyestuff2_singular", "ML")
    assert fit.theta.tolist() == [0.0] and fit.converged and fit.is_singular
    assert "not a failure" in fit.summary() and np.isnan(fit.theta_standard_errors[0])


def test_nesting_is_two_terms(shared):
    nested = lmm("strength ~ 1 + (1 | batch/cask)", table("pastes", shared))
    plain = fitted("pastes", "REML")
    np.testing.assert_allclose(nested.criterion, plain.criterion, rtol=1e-12)
    assert list(nested.random_effects) == ["batch", "batch:cask"]
    assert list(nested.random_effects["batch:cask"].index[:2]) == ["A:a", "A:b"]
