"""Generalized linear mixed models by formula, fitted by maximizing Laplace's approximation."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from elimax.stats.likelihood import Likelihood, Weighted
from elimax.stats.mixed.design import Design, design_of
from elimax.stats.mixed.family import (
    POSITIVE,
    check_response,
    is_ordinal,
    is_trials,
    likelihood_of,
    with_zeros,
)
from elimax.stats.mixed.generalized import GeneralizedModel
from elimax.stats.mixed.generalized_fit import GeneralizedMixedFit, fit_model
from elimax.stats.mixed.optimize import Report
from elimax.stats.mixed.random_design import RandomDesign


def glmm(
    formula: str,
    data: Any,
    family: str | Likelihood = "binomial",
    link: str | None = None,
    weights: Any = None,
    offset: Any = None,
    dispersion: str = "~ 1",
    zero_inflation: str | None = None,
    hurdle: str | None = None,
    report: Report = lambda *_: None,
) -> GeneralizedMixedFit:
    r"""Fits a generalized linear mixed model by maximum likelihood, random effects integrated by Laplace.

    The linear predictor is $\eta = X \beta + Z b + \text{offset}$ with $b \sim N(0, \Lambda \Lambda^\top)$.
    theta, beta and the parameters of the family are estimated jointly, with exact gradients; this is nAGQ = 1
    of lme4, and glmmTMB.

    **Arguments:**

    - `formula`: see `lmm`. A binomial response is 0 and 1, `cbind(successes, failures)`, or a proportion with
        the numbers of trials as `weights`. An ordinal one is an ordered category, or numbers in its order.
    - `data`: a data frame of pandas or polars, or a dict of arrays; rows with missing values are left out.
    - `family`: "binomial", "betabinomial", "poisson", "nbinom1" (variance mu (1 + phi)), "nbinom2" (variance
        mu (1 + mu / phi)), "gamma", "beta", "tweedie", "student", "ordinal" (cumulative logits, with
        cutpoints in place of an intercept), or a `Likelihood`.
    - `link`: of the binomial family: "logit", "probit" or "cloglog". Counts, gamma and Tweedie have the
        logarithm, beta and beta-binomial the logit, Student t the identity.
    - `weights`: one per row, or the name of a column: of binomial and beta-binomial proportions the numbers
        of trials, otherwise how many times the log density of the row counts, as in glmmTMB.
    - `offset`: one per row, or the name of a column.
    - `dispersion`: a formula of fixed effects for the logarithm of the family's dispersion, precision, shape
        or scale, as "~ x".
    - `zero_inflation`: a formula for the logit of the probability of an extra zero, of counts.
    - `hurdle`: a formula for the logit of the probability of a zero, where other counts are truncated ones.
    - `report`: called after each iteration of the search, as by `lmm`.

    **Returns:** the fit. A variance of zero is a normal result (`fit.is_singular`); `fit.converged` says
    whether the search ended in a maximum.

    **Raises:** `ValueError` for a formula, data or a family that no model can be made of, with the reason.

    **Warns:** `UserWarning` naming columns of the fixed effects that are left out because others span them,
    and if expectations are fitted at the edge of their range (separation).

    **Cost:** per evaluation 3 to 6 sparse factorizations, one selected inverse and a reverse sweep. Computed
    in float64.

    **Source:** Bates, Maechler, Bolker and Walker, JSS 67(1), 2015; Kristensen, Nielsen, Berg, Skaug and
    Bell, *TMB: Automatic differentiation and Laplace approximation*, JSS 70(5), 2016.
    """
    likelihood = likelihood_of(family, link)
    others = _formulas(likelihood, dispersion, zero_inflation, hurdle)
    design = design_of(formula, data, weights, offset, others, is_ordinal(likelihood))
    if is_ordinal(likelihood):
        design = design.without_intercept()
    if zero_inflation is not None or hurdle is not None:
        likelihood = with_zeros(likelihood, zero_inflation is not None)
    y, likelihood = _response(design, likelihood)
    check_response(likelihood, y)
    with jax.enable_x64(True):
        columns = []
        for name in likelihood.names:
            columns.append(_columns(name, design))
        model = GeneralizedModel(
            jnp.asarray(y),
            jax.tree.map(
                lambda leaf: jnp.asarray(leaf) if eqx.is_array_like(leaf) else leaf, likelihood
            ),
            jnp.asarray(design.X),
            jnp.asarray(design.offset),
            RandomDesign.from_terms(design.terms),
            tuple(map(jnp.asarray, columns)),
            tuple(likelihood.names),
        )
        return fit_model(design, model, report)


def _formulas(
    likelihood: Likelihood, dispersion: str, zero_inflation: str | None, hurdle: str | None
) -> dict[str, str]:
    """The formulas of the family's parameters, without those that are an intercept alone."""
    if zero_inflation is not None and hurdle is not None:
        raise ValueError("give `zero_inflation` or `hurdle`, not both")
    zeros = "~ 1" if zero_inflation is None and hurdle is None else zero_inflation or hurdle
    found = {}
    for argument, text in (("dispersion", dispersion), ("zero_logit", zeros)):
        if not (isinstance(text, str) and text.strip().startswith("~")):
            what = "`dispersion`" if argument == "dispersion" else "`zero_inflation` or `hurdle`"
            raise ValueError(f'{what} must be a formula such as "~ 1" or "~ x", got {text!r}')
        right = text.strip()[1:].strip()
        if right == "1":
            continue
        name: str | None = argument
        if argument == "dispersion":
            name = next((one for one in likelihood.names if one in POSITIVE), None)
        if name is None:
            raise ValueError(
                f"`dispersion` has a formula, but {type(likelihood).__name__} has no dispersion"
            )
        found[name] = right
    return found


def _response(design: Design, likelihood: Any) -> tuple[np.ndarray, Any]:
    """The observations, and the likelihood with its trials or weights."""
    pair, weights = design.y.ndim == 2, design.weights
    if not is_trials(likelihood):
        if pair:
            raise ValueError(
                f"cbind(...) is for binomial and betabinomial responses, got {type(likelihood).__name__}"
            )
        return design.y, likelihood if weights is None else Weighted(likelihood, weights)
    if not pair and weights is None:
        return design.y, likelihood
    if pair and weights is not None:
        raise ValueError("the response is cbind(...), which has the trials: leave out `weights`")
    trials = np.asarray(design.y.sum(axis=1) if pair else weights)
    if np.any(trials <= 0):
        row = int(np.argmin(trials > 0))
        raise ValueError(f"row {row} of the complete rows has {trials[row]:g} trials: leave it out")
    y = design.y[:, 0] if pair else design.y * trials
    if not pair and np.max(np.abs(y - np.round(y))) < 1e-6 * (1 + np.max(y)):
        y = np.round(y)  # a proportion is a rounded number
    return y, eqx.tree_at(lambda one: one.trials, likelihood, trials)


def _columns(name: str, design: Design) -> np.ndarray:
    if name == "cutpoints":
        return np.eye(len(design.categories) - 1)
    if name not in design.others:
        return np.ones(1)
    part, matrix = design.others[name]
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise ValueError(f"the columns of {part.text!r} for {name!r} depend on each other")
    return matrix
