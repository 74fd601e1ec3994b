"""Maximum likelihood and maximum a posteriori estimates of the hyperparameters.

Far from the maximum the steps are BFGS's, from exact gradients, each inner iteration started at the mode found
last; near it they are Newton's, from the exact Hessian, which also gives the standard errors. An evaluation
with its gradient is one jitted program, the Hessian another: neither is compiled again for the same model.

Estimates at a boundary (a variance that goes to zero, a correlation to one) are normal results: in an
unbounded parametrization, as log sds are, the criterion then has a direction in which it is flat. It is
reported as such, with infinite standard errors, and the rest is as good as ever.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from elimax.stats.gaussian import GMRF
from elimax.stats.laplace import uncertainty
from elimax.stats.laplace.approximation import LaplaceApproximation, laplace
from elimax.stats.laplace.model import LatentGaussianModel, Theta
from elimax.stats.laplace.uncertainty import restore

CONVERGED, BOUNDARY, NOT_CONVERGED, FAILED = "converged", "boundary", "not converged", "failed"

_FLAT = 1e-8  # information below it: a standard error above 1e4 units of the parameter
_NEAR = 1e-2  # a rise of the criterion that is left to gain, from which Newton's steps begin


class Fit(eqx.Module):
    """Estimated hyperparameters; made by `maximize`.

    **Attributes:**

    - `theta`: the estimates, as the model takes them.
    - `approximation`: Laplace's approximation there: mode, log_marginal, log_posterior, variances.
    - `gradient`, `information`: of the criterion at the estimates, the negative Hessian for the latter; in the
      order of `jax.flatten_util.ravel_pytree`.
    - `status`: "converged"; "boundary": converged, but for directions in which the criterion is flat; "not
      converged": the iterations ran out or got stuck; "failed": the criterion is NaN at the start.
    - `flat`: the elements of theta (numbers in flat order) that lie along flat directions.
    - `evaluations`: how many values with gradients, and Hessians, it took.
    - `model`: the model that was fitted.
    """

    theta: Theta
    approximation: LaplaceApproximation
    gradient: Float[Array, " p"]
    information: Float[Array, "p p"]
    model: LatentGaussianModel
    status: str = eqx.field(static=True)
    flat: tuple[int, ...] = eqx.field(static=True)
    evaluations: tuple[int, int] = eqx.field(static=True)

    @property
    def converged(self) -> bool:
        """Whether a maximum was found, at a boundary or inside."""
        return self.status in (CONVERGED, BOUNDARY)

    @property
    def log_marginal(self) -> Float[Array, ""]:
        """log p(y | theta) at the estimates."""
        return self.approximation.log_marginal

    @property
    def covariance(self) -> Float[Array, "p p"]:
        """Of the estimates: the inverse information; that of the other directions where there are flat ones."""
        values, vectors = jnp.linalg.eigh(self.information)
        inverse = jnp.where(values > _FLAT, 1 / jnp.where(values > _FLAT, values, 1.0), 0.0)
        return (vectors * inverse) @ vectors.T

    @property
    def standard_errors(self) -> Theta:
        """Of the estimates, shaped like them; infinite along flat directions."""
        errors = jnp.sqrt(jnp.diagonal(self.covariance))
        return restore(self.theta, errors.at[np.array(self.flat, int)].set(jnp.inf))

    def delta(
        self, f: Callable[[Theta, Float[Array, " n"]], Any]
    ) -> tuple[Any, Float[Array, "k k"]]:
        """A function of the hyperparameters and the field at the estimates, and the covariance of its elements.

        **Arguments:**

        - `f`: (theta, x) -> an array or a pytree of them, of k elements; differentiable.

        **Returns:** the value, and a (k, k) covariance, in the order of `jax.flatten_util.ravel_pytree`.

        **Cost:** one solve for every element of theta and of f; compiled once for each f.

        **Source:** Kass and Steffey, J. Am. Stat. Assoc. 84 (1989).
        """
        mode = self.approximation.mode
        return uncertainty.delta_method(f, self.model, self.theta, self.covariance, mode)

    def variances(self) -> tuple[Float[Array, " n"], Float[Array, " m"]]:
        """Of the field and of the linear predictors, the uncertainty of theta included.

        **Cost:** one selected inverse, and one solve for every element of theta.
        """
        mode = self.approximation.mode
        return uncertainty.total_variance(self.model, self.theta, self.covariance, mode)

    def joint(self) -> GMRF:
        """The Gaussian approximation of (x, theta), elements of theta last, given the data.

        **Cost:** one solve for every element of theta; its precision has a dense row for each.
        """
        mode = self.approximation.mode
        return uncertainty.joint_field(self.model, self.theta, self.information, mode)

    def __repr__(self) -> str:
        values, hessians = self.evaluations
        return (
            f"Fit({self.status}, log_marginal={float(self.log_marginal):.6f}, theta={self.theta}, "
            f"{values} evaluations, {hessians} Hessians)"
        )


def maximize(
    model: LatentGaussianModel,
    theta: Theta,
    *,
    start: Float[ArrayLike, " n"] | None = None,
    tolerance: float = 1e-10,
    max_evaluations: int = 300,
) -> Fit:
    """Maximizes the approximate log posterior of the hyperparameters; the likelihood if there is no prior.

    **Arguments:**

    - `model`: the model.
    - `theta`: where to start; a pytree of real arrays, each unbounded: parametrize scales by logarithms.
    - `start`: of the first inner iteration (n,); the prior mean if None.
    - `tolerance`: of what is left to gain, g^T I^-1 g / 2 with the information I, in units of the log density.
    - `max_evaluations`: the limit of values with gradients.

    **Returns:** `Fit`; its `status` says whether a maximum was found, or a boundary, or neither.

    **Raises:** `TypeError` for hyperparameters that are not real numbers, `ValueError` if there are none.

    **Cost:** tens of values with gradients, a few Hessians: one of them costs about as much as 2 p gradients
    for p hyperparameters.

    **Source:** BFGS and Newton: Nocedal and Wright, Numerical Optimization (2006), sections 6.1 and 3.4.
    """
    if not isinstance(model, LatentGaussianModel):
        raise TypeError(f"`model` must be a LatentGaussianModel, got {type(model).__name__}")
    theta = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), theta)
    flat, _ = ravel_pytree(theta)
    if flat.size == 0:
        raise ValueError("`theta` has no elements to estimate; laplace evaluates the model")
    climb = _Climb(model, theta, start, max_evaluations)
    done = climb.quasi_newton(np.asarray(flat))
    status, information = climb.newton(tolerance) if done else (FAILED, None)
    if information is None:
        information = np.full((flat.size, flat.size), np.nan)
    directions = _flat_directions(information) if status != FAILED else ()
    if status == CONVERGED and directions:
        status = BOUNDARY
    found = restore(theta, jnp.asarray(climb.point))
    return Fit(
        theta=found,
        approximation=_approximate(model, found, climb.mode),
        gradient=jnp.asarray(-climb.gradient),
        information=jnp.asarray(information),
        model=model,
        status=status,
        flat=directions,
        evaluations=(climb.values, climb.hessians),
    )


def _criterion(
    flat: Array, model: LatentGaussianModel, template: Theta, start: Array | None
) -> tuple[Array, Array]:
    """What is minimized, and the mode."""
    result = laplace(model, restore(template, flat), start, throw=False)
    return -result.log_posterior, result.mode


@eqx.filter_jit
def _value_and_gradient(
    flat: Array, model: LatentGaussianModel, template: Theta, start: Array
) -> tuple[tuple[Array, Array], Array]:
    return jax.value_and_grad(_criterion, has_aux=True)(flat, model, template, start)


@eqx.filter_jit
def _hessian(flat: Array, model: LatentGaussianModel, template: Theta, start: Array) -> Array:
    """Column by column, so that memory does not grow with their number."""

    def gradient(flat: Array) -> Array:
        return jax.grad(_criterion, has_aux=True)(flat, model, template, start)[0]

    _, push = jax.linearize(gradient, flat)
    columns = jax.lax.map(push, jnp.eye(flat.size, dtype=flat.dtype))
    return 0.5 * (columns + columns.T)


@eqx.filter_jit
def _approximate(model: LatentGaussianModel, theta: Theta, start: Array) -> LaplaceApproximation:
    return laplace(model, theta, start, throw=False)


@eqx.filter_jit
def _default_start(model: LatentGaussianModel, theta: Theta) -> Array:
    return model.at(theta).field.mean


class _Climb:
    """The state of the search: the best point so far, and the mode of the field there."""

    def __init__(
        self, model: LatentGaussianModel, template: Theta, start: Any, limit: int
    ) -> None:
        self.model, self.template, self.limit = model, template, limit
        self.mode = (
            _default_start(model, template) if start is None else jnp.asarray(start, float)
        )
        self.values = self.hessians = 0
        self.value, self.curvature = np.inf, np.eye(0)

    def evaluate(self, point: np.ndarray) -> tuple[float, np.ndarray, Array]:
        self.values += 1
        (value, mode), gradient = _value_and_gradient(
            jnp.asarray(point), self.model, self.template, self.mode
        )
        gradient = np.asarray(gradient)
        return (float(value) if np.isfinite(gradient).all() else np.nan), gradient, mode

    def move(self, step: np.ndarray, rise: float) -> bool:
        """To the first of point + step, + step / 2, ... that is low enough; whether there is one.

        Near the minimum, where values differ by rounding only, a gradient that falls will do.
        """
        rounding = 1e-13 * abs(self.value)
        for halvings in range(40):
            if self.values >= self.limit:
                return False
            t = 0.5**halvings
            value, gradient, mode = self.evaluate(self.point + t * step)
            if value <= self.value + 1e-4 * t * rise or (
                abs(value - self.value) <= rounding
                and np.linalg.norm(gradient) < np.linalg.norm(self.gradient)
            ):
                self.step, self.change = t * step, gradient - self.gradient
                self.point, self.value = self.point + t * step, value
                self.gradient, self.mode = gradient, mode
                return True
        return False

    def quasi_newton(self, point: np.ndarray) -> bool:
        """BFGS, until little is left to gain; whether the criterion is finite at the start."""
        self.point = point
        self.value, self.gradient, mode = self.evaluate(point)
        if not np.isfinite(self.value):
            return False
        self.mode = mode
        p = point.size
        inverse, fresh = np.eye(p) / max(1.0, float(np.linalg.norm(self.gradient))), True
        while self.values < self.limit:
            step = -inverse @ self.gradient
            rise = float(self.gradient @ step)
            if -0.5 * rise < _NEAR and not fresh:
                break
            if not self.move(step, rise):
                if fresh:
                    break
                inverse, fresh = np.eye(p) / max(1.0, float(np.linalg.norm(self.gradient))), True
                continue
            s, y = self.step, self.change
            if s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y):
                if fresh:
                    inverse = np.eye(p) * (s @ y) / (y @ y)
                V = np.eye(p) - np.outer(s, y) / (s @ y)
                inverse = V @ inverse @ V.T + np.outer(s, s) / (s @ y)
                fresh = False
        return True

    def newton(self, tolerance: float) -> tuple[str, np.ndarray | None]:
        """Newton's method with the exact Hessian: how it ended, and the Hessian there."""
        while True:
            self.hessians += 1
            H = np.asarray(
                _hessian(jnp.asarray(self.point), self.model, self.template, self.mode)
            )
            if not np.isfinite(H).all():
                return NOT_CONVERGED, None
            values, vectors = np.linalg.eigh(H)
            slopes = vectors.T @ self.gradient
            curved = values > _FLAT
            # Along what is flat the gradient itself must vanish; elsewhere what a step would gain.
            left = 0.5 * np.sum(slopes[curved] ** 2 / values[curved])
            rest = np.abs(slopes[~curved]).max(initial=0.0)
            if left <= tolerance and rest <= np.sqrt(tolerance):
                stationary = values.min() > -_FLAT
                return (CONVERGED if stationary else NOT_CONVERGED), H
            # Negative curvature is turned around, and no step is longer than the gradient warrants.
            safe = np.maximum(np.abs(values), 1e-3 * np.abs(slopes))
            step = -vectors @ (slopes / np.maximum(safe, 1e-12))
            if self.values >= self.limit or not self.move(step, float(self.gradient @ step)):
                return (CONVERGED if left <= 1e3 * tolerance and rest <= 1e-4 else NOT_CONVERGED), H


def _flat_directions(information: np.ndarray) -> tuple[int, ...]:
    """The elements of theta that flat directions consist of."""
    if not np.isfinite(information).all():
        return ()
    values, vectors = np.linalg.eigh(information)
    loads = np.abs(vectors[:, values <= _FLAT]).max(axis=1, initial=0.0)
    return tuple(int(i) for i in np.flatnonzero(loads > 0.1))
