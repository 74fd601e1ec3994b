"""Linear mixed models by formula, fitted by REML or maximum likelihood."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from elimax.stats.mixed import criterion as _criterion
from elimax.stats.mixed import results
from elimax.stats.mixed.cross_products import CrossProducts
from elimax.stats.mixed.design import Design, design_of
from elimax.stats.mixed.fit import Estimates, MixedFit
from elimax.stats.mixed.optimize import Report, minimize
from elimax.stats.mixed.scaling import Scaling

# The model is an argument of these programs, its pattern the only static part: a second fit of the same
# pattern compiles nothing.
evaluate = jax.jit(_criterion.criterion)
evaluate_with_gradient = jax.jit(jax.value_and_grad(_criterion.criterion, argnums=1))
_hessian = jax.jit(jax.hessian(_criterion.criterion, argnums=1))
_estimates = jax.jit(_criterion.estimates)
_covariances = jax.jit(_criterion.conditional_covariances)


@dataclass(frozen=True, eq=False, repr=False)
class LinearMixedFit(MixedFit):
    """A fitted linear mixed model; see `MixedFit` for what all fits have.

    **Attributes:**

    - `reml`: whether theta and sigma are estimated by the restricted likelihood.
    - `model`: the cross products, for `elimax.stats.mixed.criterion`.
    """

    reml: bool
    model: CrossProducts

    @property
    def criterion(self) -> float:
        """The REML criterion or, for maximum likelihood, the deviance: -2 log likelihood at its maximum."""
        return self.minimum.value

    @property
    def log_likelihood(self) -> float:
        return -self.criterion / 2

    @property
    def n_parameters(self) -> int:
        return len(self.design.fixed) + len(self.estimates.theta) + 1

    @property
    def _residual_sd(self) -> float:
        return self.sigma

    def _conditional_covariances(self) -> list[np.ndarray]:
        with jax.enable_x64(True):
            relative = _covariances(self.model, jnp.asarray(self.estimates.theta))
            return [self.sigma**2 * np.asarray(part) for part in relative]

    @functools.cached_property
    def theta_hessian(self) -> np.ndarray:
        """The Hessian of the criterion in theta, exact, (t, t)."""
        with jax.enable_x64(True):
            return np.asarray(_hessian(self.model, jnp.asarray(self.estimates.theta), self.reml))

    @property
    def theta_standard_errors(self) -> np.ndarray:
        """From the Hessian of the criterion, which is twice an observed information; NaN where theta is 0."""
        free = np.flatnonzero(self.estimates.theta != 0)
        errors = np.full(len(self.estimates.theta), np.nan)
        covariance = 2 * np.linalg.pinv(self.theta_hessian[np.ix_(free, free)])
        errors[free] = np.sqrt(np.diagonal(covariance))
        return errors

    # -- at the observations

    @property
    def fitted(self) -> np.ndarray:
        return self.linear_predictor

    @property
    def residuals(self) -> np.ndarray:
        """Response less `fitted`, (n,)."""
        return self.design.y - self.fitted

    @property
    def scaled_residuals(self) -> np.ndarray:
        scale = 1.0 if self.design.weights is None else np.sqrt(self.design.weights)
        return self.residuals * scale / self.sigma

    def predict(
        self,
        newdata: Any = None,
        include_random: bool = True,
        allow_new_levels: bool = False,
        offset: Any = None,
    ) -> np.ndarray:
        """The expected response, (rows,): for new data, or at the observations if `newdata` is None.

        Takes and raises what `predict_linear` does.
        """
        if newdata is not None:
            return self.predict_linear(newdata, include_random, allow_new_levels, offset)
        if include_random:
            return self.fitted
        return self.design.X @ self.estimates.beta + self.design.offset

    def _linear(self, include_random: bool) -> np.ndarray:
        return self.predict(include_random=include_random)

    def _responses(self, key: Key[Array, ""], linear: np.ndarray) -> np.ndarray:
        scale = 1.0 if self.design.weights is None else np.sqrt(self.design.weights)
        return linear + self.sigma * np.asarray(jax.random.normal(key, linear.shape, float)) / scale

    def refit(self, response: np.ndarray | None = None, reml: bool | None = None) -> LinearMixedFit:
        """The same model fitted to another response, or by the other criterion; nothing is compiled again.

        **Arguments:**

        - `response`: (n,), such as one of `simulate`; the same if None.
        - `reml`: the same if None.

        **Raises:** `ValueError` for a response of another shape, or that is not finite.
        """
        design = self.design
        if response is not None:
            design = dataclasses.replace(design, y=design.another_response(response))
        return fit_design(design, self.reml if reml is None else reml)

    def summary(self) -> str:
        """The fit as text, in the manner of lme4."""
        method = "REML" if self.reml else "maximum likelihood"
        title = "REML criterion" if self.reml else "Deviance (-2 log likelihood)"
        headers = ("Estimate", "Std. Error", "t value")
        parts = [
            f"Linear mixed model fit by {method}\nFormula: {self.design.formula.text}",
            f"{title} at convergence: {self.criterion:.4f}\n"
            f"AIC {self.aic:.1f}, BIC {self.bic:.1f}, log likelihood {self.log_likelihood:.4f}, "
            f"{self.n_parameters} parameters",
            results.quantiles_text("Scaled residuals:", self.scaled_residuals),
            results.random_effects_text(self.design.terms, self.covariances, self._residual_sd)
            + "\n"
            + results.groups_text(self.design.n, self.design.missing, self.design.terms),
            results.fixed_effects_text(self.coefficients, headers) if self.design.fixed else "",
            results.correlations_text(self.design.fixed, self.estimates.vcov),
            results.remarks_text(
                self.converged, self.is_singular, self.gradient_norm, self.design.aliased
            ),
        ]
        return "\n\n".join(filter(None, parts))


def lmm(
    formula: str,
    data: Any,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    report: Report = lambda *_: None,
) -> LinearMixedFit:
    r"""Fits a linear mixed model by REML or maximum likelihood.

    $y = X \beta + Z b + \text{offset} + e$ with $b \sim N(0, \sigma^2 \Lambda \Lambda^\top)$ and $e_i \sim
    N(0, \sigma^2 / w_i)$. Formulas are those of lme4:

        (1 | g)         an intercept per level of g
        (x | g)         an intercept and a slope, correlated; (1 + x | g)
        (0 + x | g)     a slope alone
        (x || g)        (1 | g) + (0 + x | g): independent. A factor x has its coefficients in one term of its
                        own, correlated among each other, as in lme4
        (1 | a/b)       (1 | a) + (1 | a:b)
        offset(z)       added to the linear predictor, as a Python expression

    Fixed effects and the left sides of bars are formulas of formulaic: `a * b`, `C(f, contr.sum)`, `poly(x,
    2)`, `{x / 2}`. Factors are columns of text, categories or booleans, with treatment contrasts, ordered
    ones too (where R takes polynomials: `C(f, contr.poly)`). The response is an expression: `log(y)`.

    **Arguments:**

    - `formula`: as "Reaction ~ Days + (Days | Subject)".
    - `data`: a data frame of pandas or polars, or a dict of arrays. Rows with missing values among what is
        used are left out, as by na.omit in R; the fit says how many (`fit.design.missing`).
    - `reml`: restricted maximum likelihood if True, maximum likelihood if False.
    - `weights`: positive, one per row, or the name of a column.
    - `offset`: one per row, or the name of a column.
    - `report`: called after each iteration of the search with the method, the iteration's number, the
        criterion and the norm of its gradient.

    **Returns:** the fit. A variance of zero or a correlation of 1 is a normal result (`fit.is_singular`);
    `fit.converged` says whether the search for theta ended in a minimum.

    **Raises:** `ValueError` for a formula or data that no model can be made of, with the reason: as
    `design_of`, and if a term has as many random effects as there are observations, whose variance could not
    be told from the residual one.

    **Warns:** `UserWarning` naming columns of the fixed effects that are left out because others span them.

    **Cost:** one sparse factorization and one selected inverse of a q x q matrix for each of the 10 to 30
    evaluations. Computed in float64, whether `jax_enable_x64` is on or not.

    **Source:** Bates, Maechler, Bolker and Walker, *Fitting linear mixed-effects models using lme4*, Journal
    of Statistical Software 67(1), 2015.
    """
    design = design_of(formula, data, weights, offset)
    if design.y.ndim != 1:
        raise ValueError("the response of a linear mixed model is one column, got cbind(...)")
    if design.n <= len(design.fixed):
        raise ValueError(
            f"{design.n} complete rows are too few for {len(design.fixed)} fixed effects"
        )
    for term in design.terms:
        _check_levels(term.group, *term.size, design.n)
    return fit_design(design, reml, report)


def _check_levels(group: str, levels: int, columns: int, n: int) -> None:
    """Of a response whose residuals have a variance of their own."""
    if levels * columns >= n:
        counted = (
            f"{levels} levels" if columns == 1 else f"{levels} levels of {columns} coefficients"
        )
        raise ValueError(
            f"the grouping factor {group!r} has {counted}, which is no less than the {n} observations: their "
            "variances cannot be told from the residual one"
        )


def fit_design(
    design: Design, reml: bool = True, report: Report = lambda *_: None
) -> LinearMixedFit:
    """Fits the linear mixed model of a design; see `lmm`."""
    if not isinstance(reml, bool | np.bool_):
        raise TypeError(f"`reml` must be True or False, got {reml!r}")
    with jax.enable_x64(True):
        model = CrossProducts.from_data(
            design.y - design.offset, design.X, design.terms, design.weights
        )
        scaling = model.scaling
        minimum = minimize(_objective(model, scaling, bool(reml)), model.sizes, report=report)
        theta = scaling.theta(minimum.theta)
        beta, vcov, sigma, modes = _estimates(model, jnp.asarray(theta), bool(reml))
        estimates = Estimates(
            theta, np.asarray(beta), np.asarray(vcov), float(sigma), tuple(map(np.asarray, modes))
        )
    return LinearMixedFit(design, minimum, estimates, bool(reml), model)


def _objective(
    model: CrossProducts, scaling: Scaling, reml: bool
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    def objective(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        theta = jnp.asarray(scaling.theta(scaled))
        value, gradient = evaluate_with_gradient(model, theta, reml)
        return float(value), scaling.gradient(np.asarray(gradient))

    return objective
