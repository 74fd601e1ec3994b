"""Likelihood-ratio tests of nested models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.stats

from elimax.stats.mixed.design import Design
from elimax.stats.mixed.fit import MixedFit
from elimax.stats.mixed.lmm import LinearMixedFit


def compare(*fits: MixedFit) -> pd.DataFrame:
    """Compares nested models of the same data by likelihood ratios, as lme4's anova.

    Fits by REML are fitted again by maximum likelihood first: restricted likelihoods of models with different
    fixed effects cannot be compared. Rows are in order of the number of parameters. Whether the models
    are nested is for the caller to know. Where a variance is tested against zero, which is at the boundary,
    the p value is conservative (Self and Liang, JASA 82, 1987).

    **Arguments:**

    - `fits`: two or more.

    **Returns:** per model `npar`, `aic`, `bic`, `log_likelihood`, `deviance` and, against the row before,
    `chisq`, `df` and `p_value`.

    **Raises:** `TypeError` for what is no fit; `ValueError` for fewer than two, if responses or weights
    differ, or if a larger model fits worse, so that they are not nested.
    """
    for fit in fits:
        if not isinstance(fit, MixedFit):
            raise TypeError(f"`compare` takes fits of mixed models, got {type(fit).__name__}")
    if len(fits) < 2:
        raise ValueError(f"`compare` takes two fits at least, got {len(fits)}")
    first = fits[0]
    for fit in fits[1:]:
        if not (type(fit) is type(first) and _same_data(fit.design, first.design)):
            raise ValueError(
                "the fits are not to the same response, in the same rows with the same weights: "
                f"{first.design.formula.text!r} with {first.n_observations} observations and "
                f"{fit.design.formula.text!r} with {fit.n_observations}. Rows with missing values may differ"
            )
    models = sorted(map(_by_maximum_likelihood, fits), key=lambda fit: fit.n_parameters)
    table = pd.DataFrame(
        {
            "npar": [fit.n_parameters for fit in models],
            "aic": [fit.aic for fit in models],
            "bic": [fit.bic for fit in models],
            "log_likelihood": [fit.log_likelihood for fit in models],
            "deviance": [-2 * fit.log_likelihood for fit in models],
        },
        index=pd.Index([fit.design.formula.text for fit in models], name="model"),
    )
    more, gain = table["npar"].diff(), table["log_likelihood"].diff()
    worse = gain < -1e-6 * (1 + table["log_likelihood"].abs())
    if worse.any():
        raise ValueError(
            f"{worse.idxmax()!r} has no fewer parameters than the model before it, and a smaller likelihood: "
            "they are not nested. Compare them by `aic` or `bic`"
        )
    table["chisq"] = (-table["deviance"].diff()).clip(lower=0)
    table["df"] = more
    table["p_value"] = np.where(more > 0, scipy.stats.chi2.sf(table["chisq"], more), np.nan)
    return table


def _same_data(design: Design, other: Design) -> bool:
    if not np.array_equal(design.y, other.y):
        return False
    ones = np.ones(design.n)
    return np.array_equal(
        ones if design.weights is None else design.weights,
        ones if other.weights is None else other.weights,
    )


def _by_maximum_likelihood(fit: MixedFit) -> MixedFit:
    return fit.refit(reml=False) if isinstance(fit, LinearMixedFit) and fit.reml else fit
