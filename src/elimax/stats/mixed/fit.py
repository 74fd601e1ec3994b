"""What every fit of a mixed model can say: estimates, tables, predictions, pictures."""

from __future__ import annotations

import abc
import functools
import importlib
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Array, Key

from elimax.stats.mixed import results
from elimax.stats.mixed.columns import offset_of
from elimax.stats.mixed.design import Design
from elimax.stats.mixed.formula import names_in
from elimax.stats.mixed.optimize import SINGULAR, Minimum
from elimax.stats.mixed.random_term import on_diagonal, templates, theta_names
from elimax.stats.mixed.table import check_column, column_names, frame_of, vector


@dataclass(frozen=True, eq=False, repr=False)
class Estimates:
    """What a fit found given theta.

    **Attributes:**

    - `theta`: in the units of the columns, (t,).
    - `beta`: fixed effects, (p,); `vcov`: their covariance, (p, p).
    - `sigma`: the residual standard deviation, 1 for a response without one.
    - `modes`: conditional modes of the random effects, per term (levels, k).
    """

    theta: np.ndarray
    beta: np.ndarray
    vcov: np.ndarray
    sigma: float
    modes: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False, repr=False)
class MixedFit(abc.ABC):
    """A fitted mixed model.

    **Attributes:**

    - `design`: the arrays of the model; see `Design`.
    - `minimum`: where and how the search for theta ended, in the coordinates of `scaling`.
    - `estimates`: what was found there, as arrays.
    """

    design: Design
    minimum: Minimum
    estimates: Estimates

    # -- what depends on the distribution of the response

    @property
    @abc.abstractmethod
    def log_likelihood(self) -> float:
        """The maximal log likelihood (for REML: the restricted one), constants included."""

    @property
    @abc.abstractmethod
    def n_parameters(self) -> int:
        """Fixed effects, components of theta and dispersion parameters."""

    @property
    @abc.abstractmethod
    def _residual_sd(self) -> float | None:
        """What the table of variances has as the residual's, or None."""

    @property
    @abc.abstractmethod
    def fitted(self) -> np.ndarray:
        """The expectation of the response given the random effects, (n,)."""

    @property
    @abc.abstractmethod
    def scaled_residuals(self) -> np.ndarray:
        """Response less `fitted`, by its standard deviation, (n,)."""

    @abc.abstractmethod
    def _conditional_covariances(self) -> list[np.ndarray]:
        """Of the random effects given the data, per term (levels, k, k)."""

    @abc.abstractmethod
    def summary(self) -> str:
        """The fit as text, in the manner of lme4."""

    def __repr__(self) -> str:
        return self.summary()

    # -- the search

    @property
    def converged(self) -> bool:
        """Whether the search ended in a minimum: see `Minimum`. A zero variance is no failure."""
        return self.minimum.converged

    @property
    def gradient_norm(self) -> float:
        """Of the criterion in the parameters that were searched for, in their coordinates."""
        return self.minimum.gradient_norm

    @property
    def evaluations(self) -> int:
        """Of the criterion with its gradient."""
        return self.minimum.evaluations

    @property
    def is_singular(self) -> bool:
        """Whether a covariance has no full rank: a variance is zero, or a correlation 1 or -1.

        A normal result: the data show no variation there beyond that of the residuals. What adds less than
        1e-4 residual standard deviations to the response counts as zero.
        """
        return bool(np.any(self._scaled_theta[on_diagonal(self._sizes)] < SINGULAR))

    # -- simulation

    @abc.abstractmethod
    def _linear(self, include_random: bool) -> np.ndarray:
        """The linear predictor at the observations, (n,)."""

    @abc.abstractmethod
    def _responses(self, key: Key[Array, ""], linear: np.ndarray) -> np.ndarray:
        """A response for every linear predictor, (*shape, n)."""

    def simulate(
        self, key: Key[Array, ""], shape: tuple[int, ...] = (), conditional: bool = False
    ) -> np.ndarray:
        """Responses that the fitted model generates, (*shape, n): of binomial ones the successes.

        **Arguments:**

        - `key`: a key of `jax.random`.
        - `shape`: how many, as the leading dimensions.
        - `conditional`: whether the random effects are held at their conditional modes; new ones if False.
        """
        with jax.enable_x64(True):
            keys = jax.random.split(key, len(self.design.terms) + 1)
            linear = np.broadcast_to(self._linear(conditional), (*shape, self.design.n))
            if not conditional:
                linear = linear + self.estimates.sigma * self._new_effects(keys[:-1], shape)
            return self._responses(keys[-1], linear)

    def _new_effects(self, keys: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Z Lambda u at the observations, (*shape, n), for new u ~ N(0, I): a key for every term."""
        effects = np.zeros((*shape, self.design.n))
        factors = templates(self._sizes, self.estimates.theta)
        for term, T, key in zip(self.design.terms, factors, keys, strict=True):
            u = np.asarray(jax.random.normal(key, (*shape, *term.size), float))
            effects += np.sum(term.design * (u @ T.T)[..., term.codes, :], axis=-1)
        return effects

    # -- estimates

    @property
    def _sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple(term.size for term in self.design.terms)

    @property
    def _scaled_theta(self) -> np.ndarray:
        return self.minimum.theta[: len(self.estimates.theta)]

    @property
    def n_observations(self) -> int:
        return self.design.n

    @property
    def aic(self) -> float:
        """-2 log likelihood + 2 parameters; of a REML fit with the restricted one, as in lme4."""
        return -2 * self.log_likelihood + 2 * self.n_parameters

    @property
    def bic(self) -> float:
        """-2 log likelihood + log(observations) parameters."""
        return -2 * self.log_likelihood + np.log(self.n_observations) * self.n_parameters

    @property
    def theta(self) -> pd.Series:
        """The relative covariance parameters: see `elimax.stats.mixed.random_term`."""
        return pd.Series(self.estimates.theta, index=theta_names(self.design.terms), name="theta")

    @property
    def sigma(self) -> float:
        """The residual standard deviation: of an observation of weight 1."""
        return self.estimates.sigma

    @property
    def fixed_effects(self) -> pd.Series:
        return pd.Series(self.estimates.beta, index=list(self.design.fixed), name="estimate")

    @property
    def vcov(self) -> pd.DataFrame:
        """The covariance of the fixed effects' estimates, theta taken as known."""
        names = list(self.design.fixed)
        return pd.DataFrame(self.estimates.vcov, index=names, columns=names)

    @property
    def coefficients(self) -> pd.DataFrame:
        """Fixed effects: `estimate`, `std_error` and `t_value`, their ratio."""
        return results.coefficient_table(
            self.design.fixed, self.estimates.beta, self.estimates.vcov
        )

    @property
    def covariances(self) -> list[np.ndarray]:
        """The covariance of one level's random effects, per term (k, k)."""
        return [self.sigma**2 * T @ T.T for T in templates(self._sizes, self.estimates.theta)]

    @property
    def variance_components(self) -> pd.DataFrame:
        """Variances and standard deviations, covariances and correlations, as lme4's VarCorr.

        Columns `grp`, `var1`, `var2`, `vcov`, `sdcor`: a row with `var2` is a covariance and a correlation.
        """
        return results.variance_table(self.design.terms, self.covariances, self._residual_sd)

    @functools.cached_property
    def conditional_covariances(self) -> list[np.ndarray]:
        """Of every level's random effects given the data, per term (levels, k, k).

        Theta and the fixed effects are taken as known, as by lme4's condVar.
        """
        return self._conditional_covariances()

    @property
    def conditional_modes(self) -> pd.DataFrame:
        """Random effects given the data: `grp`, `effect`, `level`, `mode`, `sd`, one row each."""
        sds = [
            np.sqrt(np.diagonal(part, axis1=1, axis2=2)) for part in self.conditional_covariances
        ]
        return results.modes_table(self.design.terms, self.estimates.modes, sds)

    @property
    def random_effects(self) -> dict[str, pd.DataFrame]:
        """Conditional modes per grouping factor: levels as rows, effects as columns."""
        return results.modes_by_group(self.design.terms, self.estimates.modes)

    # -- predictions

    @property
    def linear_predictor(self) -> np.ndarray:
        """X beta + Z b + offset at the observations, (n,)."""
        value = self.design.X @ self.estimates.beta + self.design.offset
        for term, modes in zip(self.design.terms, self.estimates.modes, strict=True):
            value = value + np.sum(term.design * modes[term.codes], axis=1)
        return value

    def predict_linear(
        self,
        newdata: Any,
        include_random: bool = True,
        allow_new_levels: bool = False,
        offset: Any = None,
    ) -> np.ndarray:
        """X beta + Z b + offset for new data, (rows,); NaN where a value is missing.

        **Arguments:**

        - `newdata`: as the data of the fit; a grouping factor only where random effects are included.
        - `include_random`: whether to add the conditional modes of the random effects.
        - `allow_new_levels`: whether levels that were not in the data are fine: their random effects are 0.
        - `offset`: one per row or the name of a column, where the fit was given one beside its formula; where
            that was by name, the same column if None.

        **Raises:** `ValueError` for an unknown column, a level of a fixed factor that was not in the data,
        naming new levels of a grouping factor where they are not allowed, and for a missing offset.
        """
        design = self.design
        if offset is None and design.offset_argument is not None:
            offset = design.offset_argument
            if not isinstance(offset, str):
                raise ValueError("the fit was given an `offset`; give that of `newdata`, too")
        bars = design.formula.bars if include_random else ()
        texts = (design.formula.fixed, *design.formula.offsets, *(bar.effects for bar in bars))
        groups = {name for bar in bars for name in bar.group}
        known = column_names(newdata)
        for name in sorted(groups.union(design.fixed_part.spec.required_variables)):
            check_column(name, known)
        used = sorted(groups | (set().union(*map(names_in, texts)) & set(known)))
        others = {offset} if isinstance(offset, str) else set(known[:1])
        frame = frame_of(newdata, {*used, *others})
        complete = frame[used].notna().all(axis=1).to_numpy()
        rows = frame[complete]
        value = design.fixed_part.matrix(rows)[:, design.kept] @ self.estimates.beta
        value = value + offset_of(design.formula, rows)
        if include_random:
            value = value + self._random_part(rows, allow_new_levels)
        result = np.full(len(frame), np.nan)
        result[complete] = value
        if offset is not None:
            result += vector("offset", frame[offset] if isinstance(offset, str) else offset, frame)
        return result

    def _random_part(self, frame: pd.DataFrame, allow_new_levels: bool) -> np.ndarray:
        value = np.zeros(len(frame))
        for (part, grouping), modes in zip(
            self.design.term_parts, self.estimates.modes, strict=True
        ):
            codes = grouping.codes(frame)
            if np.any(codes < 0) and not allow_new_levels:
                new = frame.loc[codes < 0, list(grouping.names)].drop_duplicates().astype(str)
                shown = ", ".join(map(":".join, new.to_numpy()[:5])) + (
                    ", ..." if len(new) > 5 else ""
                )
                raise ValueError(
                    f"`newdata` has levels of {':'.join(grouping.names)!r} that the fit does not know: "
                    f"{shown}. With allow_new_levels=True their random effects are 0"
                )
            own = np.where(codes[:, None] >= 0, modes[codes], 0.0)
            value += np.sum(part.matrix(frame) * own, axis=1)
        return value

    # -- pictures

    def plot_random_effects(
        self, group: str | None = None, noun: str | None = None, effect: str | None = None
    ) -> Any:
        """Draws the conditional modes of a term, sorted, with 95% intervals: a caterpillar plot.

        **Arguments:**

        - `group`: which term, by its `grp` in `conditional_modes`; the first if None.
        - `noun`: what a level is; the name of the grouping factor if None.
        - `effect`: what the coefficients are effects on, as "effect on the rating".

        **Returns:** the figure of matplotlib.

        **Raises:** `ValueError` for an unknown term; `ModuleNotFoundError` without matplotlib.
        """
        return _plots().caterpillar(self, group, noun, effect)

    def plot_residuals(self) -> Any:
        """Draws scaled residuals against fitted values and against normal quantiles.

        **Returns:** the figure of matplotlib.
        """
        return _plots().residuals(self)


def _plots() -> Any:
    try:
        return importlib.import_module("elimax.stats.mixed.plots")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pictures of fits are drawn with matplotlib: pip install 'elimax[plotting]'",
            name=error.name,
        ) from error
