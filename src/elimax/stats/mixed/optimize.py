"""Minimizing a criterion in theta, where variances may be zero.

A criterion depends on theta through the covariances T T^T only, so it does not change when a column of a
template T changes its sign. Therefore theta needs no bounds: a variance of zero is an ordinary stationary
point, at which the criterion is an even function. What bounds would do is done at the end, by making the
diagonals positive.

Quasi-Newton steps start at Lambda = I with the logarithms of the diagonals, in which criteria are nearer to
quadratic; Newton steps in theta itself finish, and reach zeros, which logarithms never would.

Source: L-BFGS-B: Byrd, Lu, Nocedal and Zhu, SIAM J. Sci. Comput. 16 (1995). Newton steps with the moduli of
the eigenvalues: Nocedal and Wright, Numerical Optimization (2006), section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from elimax.stats.mixed.random_term import (
    Sizes,
    identity,
    on_diagonal,
    template_columns,
    with_positive_diagonals,
)

Criterion = Callable[[np.ndarray], tuple[float, np.ndarray]]
Report = Callable[[str, int, float, float], None]

_SMALLEST, _LARGEST = (
    1e-4,
    1e5,
)  # standard deviations relative to the residual one: of the first phase
_ROUGH = 1e-2  # decrease of -2 log likelihood per iteration, below which Newton steps are better
_NEWTON_STEPS = 50
_LONGEST = 10.0  # of them, relative to theta
_ROUNDING = 1e-14  # of the criterion, relative: Newton steps that promise less are not taken
_CONVERGED = (
    1e-6  # of -2 log likelihood: what may be left to gain, a thousandth of a standard error
)
_NEARLY_ZERO = 1e-5  # columns of a template below it are tried at zero
_SADDLE = 1e-4  # negative curvature relative to the largest: beyond what differences may err
_FLAT = 1e-8  # curvature relative to the largest, below which it counts as this much
SINGULAR = (
    1e-4  # a diagonal of a template below it means a covariance without full rank; as in lme4
)


@dataclass(frozen=True)
class Minimum:
    """Where a criterion is smallest.

    **Attributes:**

    - `theta`: with nonnegative diagonals.
    - `value`, `gradient`: of the criterion there.
    - `evaluations`: of the criterion with its gradient.
    - `converged`: whether the next Newton step promises a decrease of less than 1e-6, no curvature is
        negative, and theta has stayed below 1e5, where residuals would be zero.
    - `decrement`: the decrease that it promises.
    """

    theta: np.ndarray
    value: float
    gradient: np.ndarray
    evaluations: int
    converged: bool
    decrement: float

    @property
    def gradient_norm(self) -> float:
        return float(np.linalg.norm(self.gradient))


class _Objective:
    """Counts evaluations, keeps the latest, and reports at the end of iterations."""

    def __init__(self, criterion: Criterion, report: Report) -> None:
        self.criterion, self.report = criterion, report
        self.evaluations = self.iterations = 0
        self.theta, self.value, self.gradient = np.zeros(0), np.inf, np.zeros(0)

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        if not np.array_equal(theta, self.theta):
            self.value, self.gradient = self.criterion(theta)
            self.theta = theta.copy()
            self.evaluations += 1
        return self.value, self.gradient

    def end_iteration(self, method: str, value: float, gradient: np.ndarray) -> None:
        self.iterations += 1
        self.report(method, self.iterations, value, float(np.linalg.norm(gradient)))


def minimize(
    criterion: Criterion,
    sizes: Sizes,
    others: np.ndarray | None = None,
    report: Report = lambda *_: None,
) -> Minimum:
    """Minimizes a criterion of theta, and of `others` behind it, that respects the signs of templates.

    **Arguments:**

    - `criterion`: its value and its gradient; NaN where it cannot be computed.
    - `sizes`: of the random terms.
    - `others`: where further parameters start, such as the fixed effects of a generalized model.
    - `report`: called after each iteration with the method, the iteration's number, the criterion and the
        norm of its gradient.

    **Raises:** `ValueError` if the criterion is not finite at the start.
    """
    others = np.zeros(0) if others is None else np.asarray(others, float)
    start = np.concatenate([identity(sizes), others])
    objective = _Objective(criterion, report)
    if not np.isfinite(objective(start)[0]):
        raise ValueError(
            f"the criterion is {objective.value} where the search starts, at variances equal to the residual "
            "one. Are there values of enormous size among the response or the columns?"
        )
    logarithmic = np.concatenate([on_diagonal(sizes), np.zeros(len(others), bool)])
    theta = _quasi_newton(objective, start, logarithmic)
    theta, hessian, decrement = _newton(objective, theta)
    theta = _with_exact_zeros(objective, sizes, theta)
    theta = with_positive_diagonals(sizes, theta)
    value, gradient = objective(theta)
    curvature = np.linalg.eigvalsh(np.nan_to_num(hessian))  # not converged, if it is not finite
    converged = bool(
        np.isfinite(value)
        and decrement <= _CONVERGED + 100 * _ROUNDING * abs(value)
        and curvature[0] >= -_SADDLE * curvature[-1]
        and np.max(np.abs(theta[: len(logarithmic) - len(others)])) < _LARGEST
    )
    return Minimum(theta, value, gradient, objective.evaluations, converged, decrement)


def _quasi_newton(objective: _Objective, start: np.ndarray, logarithmic: np.ndarray) -> np.ndarray:
    """L-BFGS-B in the logarithms of the diagonals."""
    best = [objective.value]

    def natural(x: np.ndarray) -> np.ndarray:
        return np.where(logarithmic, np.exp(np.where(logarithmic, x, 0)), x)

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        theta = natural(x)
        value, gradient = objective(theta)
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return best[0] + 1e3 * (1 + abs(best[0])), np.zeros_like(x)
        best[0] = min(best[0], value)
        return value, gradient * np.where(logarithmic, theta, 1)

    low, high = np.log(_SMALLEST), np.log(_LARGEST)
    found = scipy.optimize.minimize(
        function,
        np.where(logarithmic, 0.0, start),
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, high) if flag else (None, None) for flag in logarithmic],
        callback=lambda intermediate_result: objective.end_iteration(
            "L-BFGS-B", intermediate_result.fun, objective.gradient
        ),
        options={"ftol": _ROUGH / max(1.0, abs(best[0])), "gtol": 1e-8},
    )
    return natural(found.x)


def _newton(objective: _Objective, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Newton steps until the decrease they promise is round-off.

    Returns theta, a Hessian near it and the decrease that the next step promises. A Hessian serves for as
    long as the steps with it shrink well.
    """
    value, gradient = objective(theta)
    hessian, fresh = _hessian(objective, theta, gradient), True
    previous = np.inf
    for _ in range(_NEWTON_STEPS):
        step, promise = _step(hessian, gradient)
        if promise <= _ROUNDING * (1 + abs(value)):
            break
        if not fresh and promise > 1e-2 * previous:
            hessian, fresh = _hessian(objective, theta, gradient), True
            step, promise = _step(hessian, gradient)
        if not np.isfinite(promise):
            break
        longest = _LONGEST * (1 + float(np.linalg.norm(theta)))
        length = min(1.0, longest / float(np.linalg.norm(step)))
        limit = value + 10 * _ROUNDING * (1 + abs(value))
        while not objective(theta + length * step)[0] <= limit and length > 1e-9:
            length /= 4
        if not objective.value <= limit:
            if fresh:
                break
            hessian, fresh = _hessian(objective, theta, gradient), True
            continue
        theta, value, gradient = theta + length * step, objective.value, objective.gradient
        previous, fresh = promise, False
        objective.end_iteration("Newton", value, gradient)
    return theta, hessian, _step(hessian, gradient)[1]


def _step(hessian: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, float]:
    """The Newton step, downhill in spite of negative curvature, and the decrease that it promises.

    Along negative curvature the gradient may vanish, as it does at zero by symmetry: then a step is taken
    all the same.
    """
    if not np.all(np.isfinite(hessian)):  # the criterion ends nearby: there is no step to take
        return np.zeros_like(gradient), np.inf
    curvature, directions = np.linalg.eigh(hessian)
    largest = np.max(np.abs(curvature))
    slope = directions.T @ gradient
    step = -slope / np.maximum(np.abs(curvature), _FLAT * (largest + np.abs(slope)) + 1e-300)
    promise = -slope * step / 2
    saddle = curvature < -_SADDLE * largest
    step[saddle] = np.where(slope[saddle] > 0, -1, 1) * np.maximum(np.abs(step[saddle]), 1e-2)
    promise[saddle] = -slope[saddle] * step[saddle] - curvature[saddle] * step[saddle] ** 2 / 2
    return directions @ step, float(np.sum(promise))


def _hessian(objective: _Objective, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """By differences of exact gradients: cheaper than the exact one, and as good for a step."""
    columns = []
    for k in range(len(theta)):
        h = np.zeros_like(theta)
        h[k] = 1e-5 * max(abs(theta[k]), 1e-1)
        columns.append((objective(theta + h)[1] - gradient) / h[k])
    hessian = np.array(columns)
    return (hessian + hessian.T) / 2


def _with_exact_zeros(objective: _Objective, sizes: Sizes, theta: np.ndarray) -> np.ndarray:
    """Columns of templates that are nearly zero become zero if the criterion does not mind."""
    tried = theta.copy()
    for column in template_columns(sizes):
        if np.all(np.abs(theta[column]) < _NEARLY_ZERO):
            tried[column] = 0.0
    if np.array_equal(tried, theta):
        return theta
    value = objective(theta)[0]
    return tried if objective(tried)[0] <= value + 1e-12 * (1 + abs(value)) else theta
