"""A fitted generalized linear mixed model."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Key

from elimax.stats.mixed import results
from elimax.stats.mixed.design import Design
from elimax.stats.mixed.family import (
    RANGES,
    check_response,
    core_of,
    is_counts,
    is_ordinal,
    is_trials,
)
from elimax.stats.mixed.fit import Estimates, MixedFit
from elimax.stats.mixed.generalized import GeneralizedModel
from elimax.stats.mixed.maximum import maximize, posterior
from elimax.stats.mixed.optimize import Report
from elimax.stats.mixed.table import column_names, frame_of

_EDGE = 1e-8  # expectations this near to the end of their range are at it


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedMixedFit(MixedFit):
    """A fitted generalized linear mixed model; see `MixedFit` for what all fits have.

    Standard errors and `vcov` are those of the joint maximum in theta, the fixed effects and the parameters
    of the family; NaN for what the data do not tell.

    **Attributes:**

    - `model`: its arrays, for `elimax.stats.mixed.generalized`.
    - `parameters`: [theta, beta, those of the family], at the maximum; `covariance`: of their estimates.
    - `mode`: of the standardized random effects u, (q,).
    """

    model: GeneralizedModel
    parameters: np.ndarray
    covariance: np.ndarray
    mode: np.ndarray

    @property
    def log_likelihood(self) -> float:
        return -self.minimum.value / 2

    @property
    def n_parameters(self) -> int:
        return len(self.parameters)

    @property
    def _residual_sd(self) -> None:
        return None

    @property
    def _trials(self) -> np.ndarray | float:
        likelihood: Any = self.model.likelihood
        return np.asarray(likelihood.trials) if is_trials(likelihood) else 1.0

    @property
    def family_coefficients(self) -> pd.DataFrame:
        """What the parameters of the family are made of: `parameter`, `effect`, `estimate`, `std_error`.

        On the scales of their linear predictors: logarithms of dispersions, logits of extra zeros, cutpoints
        as they are.
        """
        rows = []
        at = len(self.estimates.theta) + len(self.design.fixed)
        errors = np.sqrt(np.diagonal(self.covariance))
        for name, columns in zip(self.model.names, self.model.columns, strict=True):
            part = self.design.others.get(name)
            effects = part[0].names if part else ("(Intercept)",)
            if name == "cutpoints":
                effects = tuple(map("|".join, itertools.pairwise(self.design.categories)))
            for k, effect in enumerate(effects):
                rows.append((name, effect, self.parameters[at + k], errors[at + k]))
            at += columns.shape[-1]
        return pd.DataFrame(rows, columns=["parameter", "effect", "estimate", "std_error"])

    @property
    def family_parameters(self) -> dict[str, np.ndarray]:
        """The parameters of the likelihood by name: scalars, or (n,) where they have a formula."""
        with jax.enable_x64(True):
            coefficients = self.model.split(jnp.asarray(self.parameters))[2]
            found = self.model.family_parameters(coefficients)
            return {name: np.asarray(value) for name, value in found.items()}

    @property
    def theta_standard_errors(self) -> np.ndarray:
        """From the curvature of the deviance; NaN where theta is at a boundary."""
        return np.sqrt(np.diagonal(self.covariance))[: len(self.estimates.theta)]

    def _conditional_covariances(self) -> list[np.ndarray]:
        with jax.enable_x64(True):
            parts = posterior(self.model, jnp.asarray(self.parameters), jnp.asarray(self.mode))[1]
            return [np.asarray(part) for part in parts]

    # -- at the observations

    @property
    def fitted(self) -> np.ndarray:
        """The expected response given the random effects, (n,): of binomial ones the probability.

        Of ordinal ones the expected number of the category, from 0.
        """
        return self._mean(self.linear_predictor, self.family_parameters)

    @property
    def residuals(self) -> np.ndarray:
        """Response less `fitted`, (n,): of binomial ones as proportions."""
        return np.asarray(self.model.y) / self._trials - self.fitted

    @property
    def scaled_residuals(self) -> np.ndarray:
        """Pearson's: residuals by the standard deviation of the response, (n,)."""
        with jax.enable_x64(True):
            eta = jnp.asarray(self.linear_predictor)
            variance = np.asarray(self.model.likelihood.variance(eta, **self.family_parameters))
        weights = 1.0 if is_trials(self.model.likelihood) else self.design.weights
        scale = np.sqrt(1.0 if weights is None else weights)
        return self.residuals * scale * self._trials / np.sqrt(variance)

    def _mean(
        self, eta: np.ndarray, parameters: dict[str, np.ndarray], scale: str = "response"
    ) -> np.ndarray:
        """The expected response, or of an ordinal one the probability of every category."""
        likelihood: Any = self.model.likelihood
        if is_trials(likelihood):
            likelihood = eqx.tree_at(lambda one: one.trials, likelihood, 1.0)
        moment = likelihood.mean if scale == "response" else core_of(likelihood).probabilities
        with jax.enable_x64(True):
            return np.asarray(moment(jnp.asarray(eta), **parameters))

    def predict(
        self,
        newdata: Any = None,
        include_random: bool = True,
        allow_new_levels: bool = False,
        offset: Any = None,
        scale: str = "response",
    ) -> np.ndarray:
        """The expected response, or the linear predictor, (rows,).

        **Arguments:** those of `predict_linear`, for the observations of the fit if `newdata` is None; and

        - `scale`: "response", the mean (of a binomial response the probability), or "link"; of an ordinal
            response also "probability", of every category, (rows, categories).

        **Raises:** as `predict_linear`, and `ValueError` for another scale.
        """
        more = ("probability",) if is_ordinal(self.model.likelihood) else ()
        scales = ("response", "link", *more)
        if scale not in scales:
            raise ValueError(f"`scale` must be one of {', '.join(scales)}, got {scale!r}")
        parameters = self.family_parameters
        if newdata is None:
            fixed = self.design.X @ self.estimates.beta + self.design.offset
            eta = self.linear_predictor if include_random else fixed
            return eta if scale == "link" else self._mean(eta, parameters, scale)
        eta = self.predict_linear(newdata, include_random, allow_new_levels, offset)
        if scale == "link":
            return eta
        for name, (part, _) in self.design.others.items():
            frame = frame_of(newdata, {*part.spec.required_variables, column_names(newdata)[0]})
            used = frame[sorted(part.spec.required_variables)]
            complete = used.notna().all(axis=1).to_numpy()
            value = np.full(len(frame), np.nan)
            value[complete] = part.matrix(frame[complete]) @ self._coefficients_of(name)
            with jax.enable_x64(True):
                parameters[name] = np.asarray(RANGES[name][0](jnp.asarray(value)))
        return self._mean(eta, parameters, scale)

    def _coefficients_of(self, name: str) -> np.ndarray:
        return self.model.split(self.parameters)[2][self.model.names.index(name)]

    def _linear(self, include_random: bool) -> np.ndarray:
        return self.predict(include_random=include_random, scale="link")

    def _responses(self, key: Key[Array, ""], linear: np.ndarray) -> np.ndarray:
        parameters = self.family_parameters
        return np.asarray(self.model.likelihood.sample(key, jnp.asarray(linear), **parameters))

    def refit(self, response: np.ndarray) -> GeneralizedMixedFit:
        """The same model fitted to another response, such as one of `simulate`; nothing is compiled again.

        Counts of successes where there are trials, numbers of categories, from 0, where they are ordered.

        **Raises:** `ValueError` for a response of another shape, that is not finite, or that the distribution
        cannot have; and if one of the ordered categories does not occur.
        """
        y = self.design.another_response(response)
        check_response(self.model.likelihood, y)
        if is_ordinal(self.model.likelihood):
            self._check_categories(y)
        same = self.design.y
        shown = np.column_stack([y, self._trials - y]) if same.ndim == 2 else y / self._trials
        design = dataclasses.replace(self.design, y=shown)
        with jax.enable_x64(True):
            return fit_model(design, dataclasses.replace(self.model, y=jnp.asarray(y)))

    def _check_categories(self, y: np.ndarray) -> None:
        names = self.design.categories
        if y.max() >= len(names):
            raise ValueError(
                f"`response` must have the numbers 0 to {len(names) - 1} of the categories "
                f"{', '.join(names)}, got {y.max():g}"
            )
        absent = np.setdiff1d(np.arange(len(names)), y)
        if absent.size:
            raise ValueError(
                f"no row of `response` is in the category {names[absent[0]]!r}: the cutpoints beside it have "
                "no finite estimates. Merge categories, or leave this response out"
            )

    def summary(self) -> str:
        """The fit as text, in the manner of lme4."""
        headers = ("Estimate", "Std. Error", "z value")
        family = [
            f" {row.parameter} {row.effect}: {row.estimate:.4f} (std. error {row.std_error:.4f})"
            for row in self.family_coefficients.itertuples()
        ]
        parts = [
            "Generalized linear mixed model fit by maximum likelihood (Laplace approximation)\n"
            f"Family: {_described(self.model.likelihood)}\nFormula: {self.design.formula.text}",
            f"AIC {self.aic:.1f}, BIC {self.bic:.1f}, log likelihood {self.log_likelihood:.4f}, "
            f"{self.n_parameters} parameters",
            results.quantiles_text("Scaled residuals:", self.scaled_residuals),
            results.random_effects_text(self.design.terms, self.covariances, None)
            + "\n"
            + results.groups_text(self.design.n, self.design.missing, self.design.terms),
            results.fixed_effects_text(self.coefficients, headers) if self.design.fixed else "",
            "\n".join(["Parameters of the family, on the scales of their predictors:", *family])
            if family
            else "",
            results.correlations_text(self.design.fixed, self.estimates.vcov),
            results.remarks_text(
                self.converged, self.is_singular, self.gradient_norm, self.design.aliased
            ),
        ]
        return "\n\n".join(filter(None, parts))


def _described(likelihood: Any) -> str:
    inner = [_described(likelihood.counts)] if hasattr(likelihood, "counts") else []
    inner += [likelihood.link] if hasattr(likelihood, "link") else []
    inner += (
        [_described(likelihood.likelihood), "weights"] if hasattr(likelihood, "weights") else []
    )
    return f"{type(likelihood).__name__}({', '.join(inner)})"


def fit_model(
    design: Design, model: GeneralizedModel, report: Report = lambda *_: None
) -> GeneralizedMixedFit:
    """Fits the model made of a design; see `glmm`."""
    found = maximize(model, design.terms, report)
    theta, beta, _ = model.split(found.parameters)
    b = np.asarray(model.random.factor(jnp.asarray(theta)) @ jnp.asarray(found.mode))
    sizes = model.random.sizes
    ends = np.cumsum([levels * k for levels, k in sizes])
    parts = np.split(b, ends[:-1])
    modes = tuple(part.reshape(size) for part, size in zip(parts, sizes, strict=True))
    place = slice(len(theta), len(theta) + len(beta))
    estimates = Estimates(theta, beta, found.covariance[place, place], 1.0, modes)
    fit = GeneralizedMixedFit(
        design, found.minimum, estimates, model, found.parameters, found.covariance, found.mode
    )
    _warn_of_extremes(fit)
    return fit


def _warn_of_extremes(fit: GeneralizedMixedFit) -> None:
    """Where expectations are at the edge of what they can be, estimates run away: separation."""
    if is_trials(fit.model.likelihood):
        edge = np.minimum(fit.fitted, 1 - fit.fitted) < _EDGE
    elif is_counts(fit.model.likelihood):
        edge = (fit.design.y == 0) & (fit.fitted < _EDGE)
    else:
        return
    if edge.any():
        warnings.warn(
            f"{edge.sum()} of {edge.size} fitted expectations are at the edge of their range, such as "
            "probabilities of 0 or 1: a covariate may separate the responses, and its coefficient has no "
            "finite estimate",
            stacklevel=4,
        )
