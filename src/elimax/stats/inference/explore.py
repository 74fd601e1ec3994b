r"""The shape of a posterior density of hyperparameters: mode, Hessian, standardized axes and their skewness.

theta = mode + V z, V = E diag(lambda)^{-1/2} from the eigenvectors and eigenvalues of the negative Hessian, which
is exact; along each axis of z the density is taken to be a normal one with a standard deviation of its own on
each side of the mode, from its values at z = -sqrt(2) and sqrt(2): Rue, Martino and Chopin (JRSS-B 71, 2009,
section 3.1); Martins, Simpson, Lindgren and Rue (Comput. Stat. Data Anal. 67, 2013, section 3.2).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from elimax.stats.inference.density import LogPosterior

_TOGETHER = 4  # points that one call of a compiled function evaluates
_DECREMENT = 1e-5  # of the mode, in units of the log density
_SIDES = (0.1, 10.0)  # the standard deviations of a side, at least and at most
_RAYS = np.array([2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.5, 8.0])  # in standard deviations


class HyperparameterError(ArithmeticError):
    """The posterior of the hyperparameters has no mode that was found, or cannot be evaluated around it."""


class Shape(NamedTuple):
    """What a posterior density of d hyperparameters looks like around its mode; on the host.

    - `mode` (d,), `log_density`: there.
    - `hessian` (d, d): of the negative log density, exact.
    - `scale` (d, d): V in theta = mode + V z.
    - `left`, `right` (d,): the standard deviations of the two sides of each axis of z.
    """

    mode: Float[np.ndarray, " d"]
    log_density: float
    hessian: Float[np.ndarray, "d d"]
    scale: Float[np.ndarray, "d d"]
    left: Float[np.ndarray, " d"]
    right: Float[np.ndarray, " d"]

    def theta(self, z: Float[np.ndarray, "*K d"]) -> Float[np.ndarray, "*K d"]:
        return self.mode + z @ self.scale.T

    def stretch(self, z: Float[np.ndarray, "K d"]) -> Float[np.ndarray, "K d"]:
        """The factors from the two-sided standard deviations; on the other axes, the mean of both sides."""
        return np.where(z > 0, self.right, np.where(z < 0, self.left, (self.left + self.right) / 2))


@eqx.filter_jit
def _together(f: Callable[..., Any], target: Any, rows: Any) -> Any:
    return jax.lax.map(lambda row: f(target, *row), rows)


def evaluate(f: Callable[..., Any], target: Any, *arrays: np.ndarray) -> Any:
    """f(target, *rows) for every row of arrays of as many rows, stacked, as NumPy arrays.

    A few rows at a time, by one compiled function, however many rows there are.
    """
    count = arrays[0].shape[0]
    padded = -(-count // _TOGETHER) * _TOGETHER
    chosen = np.minimum(np.arange(padded), count - 1)
    parts = [
        jax.tree.map(np.asarray, _together(f, target, tuple(jnp.asarray(a[rows]) for a in arrays)))
        for rows in chosen.reshape(-1, _TOGETHER)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def log_density(target: LogPosterior, theta: Float[Array, " d"]) -> Float[Array, ""]:
    """The log density; minus infinity where it cannot be evaluated."""
    return target(theta)


@eqx.filter_jit
def _value_and_slope(target: LogPosterior, theta: Array) -> Any:
    return jax.value_and_grad(lambda t: -target.laplace(t).log_posterior)(theta)


@eqx.filter_jit
def _curvature(target: LogPosterior, theta: Array) -> Array:
    return jax.jacfwd(jax.grad(lambda t: -target.laplace(t).log_posterior))(theta)


def explore(target: LogPosterior) -> Shape:
    """The shape of the density around its mode, which a trust region method finds with exact derivatives.

    **Raises:** `HyperparameterError` if it finds none, or if the density is flat or not concave there.
    """
    seen: dict[bytes, tuple[float, np.ndarray]] = {}

    def value_and_slope(theta: np.ndarray) -> tuple[float, np.ndarray]:
        key = theta.tobytes()
        if key not in seen:
            value, slope = _value_and_slope(target, jnp.asarray(theta))
            usable = bool(np.isfinite(value)) and bool(np.isfinite(slope).all())
            seen.clear()
            seen[key] = (
                (float(value), np.asarray(slope)) if usable else (np.inf, np.zeros(theta.size))
            )
        return seen[key]

    found = scipy.optimize.minimize(
        lambda t: value_and_slope(t)[0],
        np.asarray(target.initial),
        jac=lambda t: value_and_slope(t)[1],
        hess=lambda t: np.asarray(_curvature(target, jnp.asarray(t))),
        method="trust-exact",
        options={"gtol": 1e-7, "maxiter": 200, "initial_trust_radius": 1.0, "max_trust_radius": 8.0},
    )
    mode = np.asarray(found.x)
    value, slope = value_and_slope(mode)
    hessian = np.asarray(_curvature(target, jnp.asarray(mode)))
    hessian = (hessian + hessian.T) / 2
    described = ", ".join(f"{name} = {t:.4g}" for name, t in zip(target.names, mode, strict=True))
    if not (np.isfinite(value) and np.isfinite(hessian).all()):
        raise HyperparameterError(f"the posterior of the hyperparameters is NaN at {described}")
    eigenvalues, vectors = np.linalg.eigh(hessian)
    if eigenvalues[0] <= 1e-10 * max(1.0, eigenvalues[-1]):
        flat = target.names[int(np.argmax(np.abs(vectors[:, 0])))]
        raise HyperparameterError(
            f"the posterior of the hyperparameters is flat, or not concave, in the direction of {flat} at "
            f"{described}: give the model a prior that holds it, or start from another `theta`"
        )
    if 0.5 * slope @ np.linalg.solve(hessian, slope) > _DECREMENT:
        raise HyperparameterError(
            f"no mode of the posterior of the hyperparameters was found within {found.nit} iterations, up to "
            f"{described}: start from another `theta`"
        )
    # Axes point where their largest element is positive, so that left and right mean the same in every run.
    vectors = vectors * np.sign(
        vectors[np.argmax(np.abs(vectors), axis=0), np.arange(mode.size)]
    )
    one = np.ones(mode.size)
    shape = Shape(mode, -value, hessian, vectors / np.sqrt(eigenvalues), one, one)
    probes = np.sqrt(2.0) * np.concatenate([np.eye(mode.size), -np.eye(mode.size)])
    drops = shape.log_density - evaluate(log_density, target, shape.theta(probes))
    sides = np.clip(1.0 / np.sqrt(np.maximum(drops, 1e-12)), *_SIDES)
    return shape._replace(right=sides[: mode.size], left=sides[mode.size :])


def extent(target: LogPosterior, shape: Shape, drop: float) -> Float[np.ndarray, "d 2"]:
    """How far each axis of z goes, to the left and to the right, until the log density has fallen by `drop`."""
    d = shape.mode.size
    axes = np.concatenate([np.eye(d) * shape.right, -np.eye(d) * shape.left])
    rays = _RAYS[:, None, None] * axes  # (steps, 2 d, d)
    values = evaluate(log_density, target, shape.theta(rays.reshape(-1, d)))
    fallen = shape.log_density - values.reshape(_RAYS.size, 2 * d) >= drop
    step = _RAYS[np.where(fallen.any(0), fallen.argmax(0), -1)]
    right, left = (step * np.concatenate([shape.right, shape.left])).reshape(2, d)
    return np.stack([-left, right], axis=1)
