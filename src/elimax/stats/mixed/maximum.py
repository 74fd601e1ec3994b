"""The maximum of a generalized model's likelihood, and the curvature there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array

from elimax.stats.mixed.criterion import relative_covariances
from elimax.stats.mixed.family import is_ordinal, parameter_start, predictor_start
from elimax.stats.mixed.generalized import GeneralizedModel, approximation, deviance
from elimax.stats.mixed.optimize import Minimum, Report, minimize
from elimax.stats.mixed.random_term import RandomTerm, identity
from elimax.stats.mixed.scaling import Scaling, scale_of

# The model is an argument of this program, its patterns (and functions) the only static part.
evaluate_with_gradient = eqx.filter_jit(jax.value_and_grad(deviance, argnums=1, has_aux=True))
_FLAT = 1e-9  # curvature relative to the largest, below which a direction is not estimated
_LEAK = 1e-6  # the part of a coordinate in such directions that does no harm
_DIFFERENCE = 1e-3  # of coordinates of size 1: modes are known to 1e-6, which limits gradients


@eqx.filter_jit
def posterior(model: GeneralizedModel, parameters: Array, start: Array) -> tuple[Array, Any]:
    """The mode of u, and the covariances of every level's random effects given the data, per term."""
    found = approximation(model, parameters, start)
    factor = found.restricted().factor
    theta = model.split(parameters)[0]
    return found.mode, relative_covariances(model.random.sizes, theta, factor)


@dataclass(frozen=True, eq=False, repr=False)
class Maximum:
    """Where the likelihood is largest.

    **Attributes:**

    - `minimum`: of the deviance, in the coordinates of the search.
    - `parameters`: [theta, beta, those of the family]; `covariance`: of their estimates.
    - `mode`: of the standardized random effects, (q,).
    """

    minimum: Minimum
    parameters: np.ndarray
    covariance: np.ndarray
    mode: np.ndarray


def maximize(
    model: GeneralizedModel, terms: tuple[RandomTerm, ...], report: Report = lambda *_: None
) -> Maximum:
    """Searches in coordinates without units: theta as `Scaling`'s, columns of fixed effects orthonormal.

    **Raises:** `ValueError` if the deviance is not finite where the search starts.
    """
    y, X = np.asarray(model.y), np.asarray(model.X)
    eta = predictor_start(model.likelihood, y) - np.asarray(model.offset)
    beta = np.linalg.lstsq(X, eta, rcond=None)[0]
    spread = float(np.std(eta - X @ beta)) if model.names[:1] == ("scale",) else 1.0
    scaling = Scaling.of(model.random.sizes, [scale_of(term.design) for term in terms])
    # Cutpoints are an intercept: those that are searched for belong to columns of mean zero.
    center = X.mean(axis=0) if is_ordinal(model.likelihood) else np.zeros(X.shape[1])
    blocks = [spread * scaling.unscale, _orthonormal(X - center)]
    first = [np.linalg.solve(blocks[1], beta)]
    for name, columns in zip(model.names, model.columns, strict=True):
        own = np.atleast_2d(np.asarray(columns))
        blocks.append(_orthonormal(own))
        level = np.broadcast_to(parameter_start(name, y, spread), (len(own),))
        target = np.linalg.lstsq(own, level, rcond=None)[0]
        first.append(np.linalg.solve(blocks[-1], target))
    to_natural = scipy.linalg.block_diag(*blocks)
    if is_ordinal(model.likelihood):
        to_natural = _with_shift(to_natural, center, len(blocks[0]))
    objective = _Objective(model, to_natural)
    minimum = minimize(objective, model.random.sizes, np.concatenate(first), report)
    parameters = to_natural @ minimum.theta
    objective(minimum.theta)
    mode = objective.mode
    return Maximum(minimum, parameters, _covariance(objective, minimum, model), mode)


def _with_shift(to_natural: np.ndarray, center: np.ndarray, start: int) -> np.ndarray:
    """With center' beta, of the coefficients from `start` on, added to the cutpoints, which follow them."""
    end = start + len(center)
    to_natural = to_natural.copy()
    to_natural[end:] += center @ to_natural[start:end]
    return to_natural


def _orthonormal(X: np.ndarray) -> np.ndarray:
    """The coordinates in which the columns are orthonormal, times the root of the rows."""
    return np.linalg.inv(np.linalg.qr(X, mode="r")) * np.sqrt(len(X))


class _Objective:
    """The deviance in the coordinates of the search, every mode being sought from the one found before."""

    def __init__(self, model: GeneralizedModel, to_natural: np.ndarray) -> None:
        self.model, self.to_natural = model, to_natural
        self.mode = np.zeros(model.random.pattern.shape[1])

    def __call__(self, scaled: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = jnp.asarray(self.to_natural @ scaled)
        for start in (self.mode, np.zeros_like(self.mode)):
            (value, mode), gradient = evaluate_with_gradient(
                self.model, parameters, jnp.asarray(start)
            )
            if np.isfinite(value):
                self.mode = np.asarray(mode)
                break
        return float(value), self.to_natural.T @ np.asarray(gradient)


def _covariance(objective: _Objective, minimum: Minimum, model: GeneralizedModel) -> np.ndarray:
    """Twice the inverse Hessian, of central differences of gradients; NaN for what is not estimated.

    A zero in theta is at a boundary: the other parameters' covariance is that of the model without it.
    """
    at, natural = minimum.theta, objective.to_natural
    behind_theta = np.arange(len(at)) >= len(identity(model.random.sizes))
    free = np.flatnonzero(behind_theta | (at != 0))
    columns = []
    for k in free:
        h = np.zeros_like(at)
        h[k] = _DIFFERENCE * max(1.0, abs(at[k]))
        columns.append((objective(at + h)[1] - objective(at - h)[1])[free] / (2 * h[k]))
    hessian = np.array(columns)
    if not np.all(np.isfinite(hessian)):
        return np.full_like(natural, np.nan)
    curvature, directions = np.linalg.eigh((hessian + hessian.T) / 2)
    known = curvature > _FLAT * curvature[-1]
    D = natural[:, free] @ directions[:, known]
    result = 2 * (D / curvature[known]) @ D.T
    told = np.zeros(len(at), bool)
    told[free] = np.sum(directions[:, ~known] ** 2, axis=1) < _LEAK
    lost = np.any(natural[:, ~told] != 0, axis=1)
    result[lost], result[:, lost] = np.nan, np.nan
    return result
