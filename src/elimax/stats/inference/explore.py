r"""The shape of a posterior density of hyperparameters: mode, Hessian, standardized axes and their skewness.

theta = mode + V z, V = E diag(lambda)^{-1/2} from the eigenvectors and eigenvalues of the negative Hessian,
which is exact; along each axis of z the density is taken to be a normal one with a standard deviation of its
own on each side of the mode, from its values at z = -sqrt(2) and sqrt(2): Rue, Martino and Chopin (JRSS-B
71, 2009, section 3.1); Martins, Simpson, Lindgren and Rue (Comput. Stat. Data Anal. 67, 2013, section 3.2).
"""

from typing import NamedTuple

import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float

from elimax.stats.inference.density import LogPosterior
from elimax.stats.inference.evaluate import evaluate
from elimax.stats.laplace import maximize

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


def log_density(target: LogPosterior, theta: Float[Array, " d"]) -> Float[Array, ""]:
    """The log density; minus infinity where it cannot be evaluated."""
    return target(theta)


def explore(target: LogPosterior, start: Float[ArrayLike, " n"] | None = None) -> Shape:
    """The shape of the density around its mode, which `maximize` finds; `start` is that of the field.

    **Raises:** `HyperparameterError` if it finds none, or if the density is flat or not concave there.
    """
    fit = maximize(target.model, target.unravel(target.initial), start=start)
    mode = np.asarray(ravel_pytree(fit.theta)[0])
    hessian = np.asarray(fit.information)
    described = target.describe(mode)
    if fit.status == "boundary":
        flat = ", ".join(target.names[j] for j in fit.flat)
        raise HyperparameterError(
            f"the posterior of the hyperparameters is flat in {flat} at {described}: give the model a "
            "`prior` that holds it"
        )
    if fit.status != "converged" or not np.isfinite(hessian).all():
        raise HyperparameterError(
            f"no mode of the posterior of the hyperparameters was found ({fit.status}), up to {described}: "
            "start from another `theta`, or give the model a `prior`"
        )
    hessian = (hessian + hessian.T) / 2
    eigenvalues, vectors = np.linalg.eigh(hessian)
    if eigenvalues[0] <= 0:
        raise HyperparameterError(
            f"the posterior of the hyperparameters is not concave at {described}: start from another `theta`"
        )
    # Axes point where their largest element is positive, so that left and right mean the same in every run.
    vectors = vectors * np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(mode.size)])
    one = np.ones(mode.size)
    log_density_there = float(fit.approximation.log_posterior)
    shape = Shape(mode, log_density_there, hessian, vectors / np.sqrt(eigenvalues), one, one)
    probes = np.sqrt(2.0) * np.concatenate([np.eye(mode.size), -np.eye(mode.size)])
    drops = shape.log_density - evaluate(log_density, target, shape.theta(probes))
    sides = np.clip(1.0 / np.sqrt(np.maximum(drops, 1e-12)), *_SIDES)
    return shape._replace(right=sides[: mode.size], left=sides[mode.size :])


def extent(target: LogPosterior, shape: Shape, drop: float) -> Float[np.ndarray, "d 2"]:
    """How far each axis of z goes, left and right, until the log density has fallen by `drop`."""
    d = shape.mode.size
    axes = np.concatenate([np.eye(d) * shape.right, -np.eye(d) * shape.left])
    rays = _RAYS[:, None, None] * axes  # (steps, 2 d, d)
    values = evaluate(log_density, target, shape.theta(rays.reshape(-1, d)))
    fallen = shape.log_density - values.reshape(_RAYS.size, 2 * d) >= drop
    step = _RAYS[np.where(fallen.any(0), fallen.argmax(0), -1)]
    right, left = (step * np.concatenate([shape.right, shape.left])).reshape(2, d)
    return np.stack([-left, right], axis=1)
