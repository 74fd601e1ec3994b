"""Fits a mixed model: minimizes its criterion, then finds what else a user wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import minimize

from lmm.model import (
    MixedModel,
    conditional_covariances,
    criterion,
    deviance,
    estimates,
    on_diagonal,
    templates,
)

evaluate = jax.jit(criterion)
evaluate_with_gradient = jax.jit(jax.value_and_grad(criterion, argnums=1))
evaluate_hessian = jax.jit(jax.hessian(criterion, argnums=1))
Report = Callable[[str, int, float, float], None]


@dataclass(frozen=True)
class Fit:
    """Estimates of a linear mixed model.

    `theta_se` are from the Hessian of the profiled criterion (NaN for a component at its bound).
    `beta_se` are from the Hessian of the deviance in beta, theta and sigma held at their estimates:
    the covariance is sigma^2 (R_X^T R_X)^-1, as in lme4. `conditional_sd` leaves out the uncertainty
    of beta and of theta, as lme4's condVar does.
    """

    reml: bool
    criterion: float
    theta: np.ndarray
    theta_se: np.ndarray
    beta: np.ndarray
    beta_se: np.ndarray
    sigma: float
    covariances: list[np.ndarray]  # of one level's coefficients, per term: (k, k)
    modes: list[np.ndarray]  # conditional modes of b, per term: (levels, k)
    conditional_sd: list[np.ndarray]  # per term: (levels, k)
    hessian: np.ndarray  # of the criterion in theta
    evaluations: int  # of the criterion with its gradient


class _Objective:
    """The criterion as optimizers want it, and a report at the end of each of their iterations."""

    def __init__(self, model: MixedModel, reml: bool, report: Report) -> None:
        self.model, self.reml, self.report = model, reml, report
        self.bounded = on_diagonal(model)  # theta >= 0 there
        self.evaluations = self.iterations = 0

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = evaluate_with_gradient(self.model, jnp.asarray(theta), reml=self.reml)
        self.evaluations += 1
        self.value, self.gradient = float(value), np.asarray(gradient)
        return self.value, self.gradient

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        return np.asarray(evaluate_hessian(self.model, jnp.asarray(theta), reml=self.reml))

    def free(self, theta: np.ndarray) -> np.ndarray:
        """The components that are not held at their bound by the latest gradient."""
        return ~(self.bounded & (theta <= 0) & (self.gradient >= 0))

    def end_iteration(self, method: str, theta: np.ndarray) -> None:
        self.iterations += 1
        norm = float(np.linalg.norm(self.gradient[self.free(theta)]))
        self.report(method, self.iterations, self.value, norm)


def fit(model: MixedModel, reml: bool, report: Report = lambda *_: None) -> Fit:
    """Minimizes the criterion by L-BFGS-B from Lambda = I, and polishes by Newton's method.

    `report` is called after each iteration with the method, the iteration's number, the criterion
    and the norm of its gradient.
    """
    objective = _Objective(model, reml, report)
    theta = minimize(
        objective,
        objective.bounded.astype(float),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0 if bounded else None, None) for bounded in objective.bounded],
        callback=lambda theta: objective.end_iteration("L-BFGS-B", theta),
        options={"ftol": 1e-9},
    ).x
    theta, hessian = _newton(objective, theta)
    return _fit_at(objective, theta, hessian)


def _newton(objective: _Objective, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps for the free components until the decrease they promise is round-off.

    Returns theta and the Hessian there.
    """
    value, gradient = objective(theta)
    while True:
        hessian = objective.hessian(theta)
        free = objective.free(theta)
        step = np.zeros_like(theta)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], -gradient[free])
        proposal = theta + step
        proposal[objective.bounded] = np.maximum(proposal[objective.bounded], 0.0)
        if not -gradient @ step > 1e-14 * abs(value) or objective(proposal)[0] >= value:
            return theta, hessian
        theta, value, gradient = proposal, objective.value, objective.gradient
        objective.end_iteration("Newton", theta)


@jax.jit
def _at_the_optimum(model: MixedModel, theta: Array, reml: Array) -> dict[str, Any]:
    """What is wanted of one parameter only; see `Fit`."""
    beta, sigma, modes = estimates(model, theta, reml)
    variances = [
        jnp.diagonal(covariance, axis1=1, axis2=2)
        for covariance in conditional_covariances(model, theta)
    ]
    return {
        "beta": beta,
        "beta_se": _standard_errors(jax.hessian(deviance, argnums=2)(model, theta, beta, sigma)),
        "sigma": sigma,
        "covariances": [sigma**2 * T @ T.T for T in templates(model, theta)],
        "modes": modes,
        "conditional_sd": [sigma * jnp.sqrt(v) for v in variances],
    }


def _standard_errors(hessian: Array) -> Array:
    """From the Hessian of -2 log likelihood, which is twice the observed information."""
    return jnp.sqrt(jnp.diag(2 * jnp.linalg.inv(hessian)))


def _fit_at(objective: _Objective, theta: np.ndarray, hessian: np.ndarray) -> Fit:
    value, _ = objective(theta)
    free = objective.free(theta)
    theta_se = np.full_like(theta, np.nan)
    theta_se[free] = _standard_errors(hessian[np.ix_(free, free)])
    found = _at_the_optimum(objective.model, jnp.asarray(theta), objective.reml)
    return Fit(
        reml=objective.reml,
        criterion=value,
        theta=theta,
        theta_se=theta_se,
        hessian=hessian,
        evaluations=objective.evaluations,
        sigma=float(found.pop("sigma")),
        **jax.tree.map(np.asarray, found),
    )
