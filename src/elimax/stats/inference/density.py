"""The posterior density of the hyperparameters, with the field marginalized, of a flat vector.

It is what maximization, integration over hyperparameters and Markov chains all see. The vector is
unconstrained: a model that wants a positive parameter takes its logarithm as hyperparameter, and its prior
is a density of that logarithm.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Key

from elimax.stats.laplace import LaplaceApproximation, LatentGaussianModel, laplace


class LogPosterior(eqx.Module):
    """log p(theta | y) up to a constant, by Laplace's approximation: a function of a flat vector. A pytree.

    BlackJAX's and NumPyro's samplers take it as it is (NumPyro's `potential_fn` is its negative), under
    `jit`, `grad` and `vmap`.

    **Attributes:**

    - `model`.
    - `initial` (d,): the hyperparameters that it was made with, flat.
    - `start` (n,): where Newton's iteration for the mode of the field starts.
    - `unravel`: flat vector -> hyperparameters, as the functions of the model take them.
    - `names`: of the elements of the vector.
    """

    model: LatentGaussianModel
    initial: Float[Array, " d"]
    start: Float[Array, " n"]
    unravel: Callable[[Any], Any] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, theta: Float[Array, " d"]) -> Float[Array, ""]:
        """The log density at theta; minus infinity where Laplace's approximation fails.

        **Derivative:** every order and mode. **Cost:** of `laplace`.
        """
        value = self.laplace(theta).log_posterior
        return jnp.where(jnp.isnan(value), -jnp.inf, value)

    def laplace(self, theta: Float[Array, " d"]) -> LaplaceApproximation:
        """Laplace's approximation at theta; NaN where it fails."""
        return laplace(self.model, self.unravel(theta), self.start, throw=False)

    def describe(self, theta: Float[ArrayLike, " d"]) -> str:
        """Names and values, for messages."""
        values = np.asarray(theta)
        return ", ".join(f"{name} = {t:.4g}" for name, t in zip(self.names, values, strict=True))

    def draw_field(
        self, key: Key[Array, ""], thetas: Float[ArrayLike, "*draws d"]
    ) -> Float[Array, "*draws n"]:
        """One draw of the field, given the data, for every draw of the hyperparameters.

        From the Gaussian approximation at each of them. **Cost:** one `laplace` and half a solve a draw.
        """
        points = jnp.asarray(thetas, self.initial.dtype)
        flat = points.reshape(-1, self.initial.size)
        keys = jax.random.split(key, flat.shape[0])
        draws = _draw_fields(self, keys, flat)
        return draws.reshape(*points.shape[:-1], -1)


@eqx.filter_jit
def _draw_fields(target: LogPosterior, keys: Key[Array, " s"], thetas: Array) -> Array:
    def draw(pair: tuple[Array, Array]) -> Array:
        fit = target.laplace(pair[1])
        return fit.mode + fit.restricted().sample(pair[0])

    return jax.lax.map(draw, (keys, thetas))


def log_posterior(
    model: LatentGaussianModel, theta: Any, start: Float[ArrayLike, " n"] | None = None
) -> LogPosterior:
    """The posterior density of the hyperparameters of a model, as a function of a flat vector.

    **Arguments:**

    - `model`: the model; without a prior the density is the marginal likelihood.
    - `theta`: hyperparameters: an example that gives the structure, and the point to start from. They are
      unconstrained: every vector of real numbers must be valid (logarithms of what is positive).
    - `start`: of Newton's iteration for the field (n,); the mode at `theta` if None.

    **Raises:** `LaplaceError` if Laplace's approximation fails at `theta`; `ValueError` if `theta` has no
    elements, or elements that are not finite.
    """
    flat, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.asarray(leaf, float), theta))
    if flat.size == 0 or not np.isfinite(flat).all():
        raise ValueError(f"`theta` must have at least one element, all finite, got {theta}")
    mode = laplace(model, unravel(flat), start).mode
    return LogPosterior(model, flat, mode, unravel, _names(theta))


def _names(theta: Any) -> tuple[str, ...]:
    """A name for every element, in the order of the flat vector: its path in the tree."""
    names = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(theta):
        name = jax.tree_util.keystr(path, simple=True, separator=".") or "theta"
        shape = np.shape(leaf)
        if not shape:
            names.append(name)
        for index in np.ndindex(shape) if shape else ():
            names.append(f"{name}[{','.join(map(str, index))}]")
    return tuple(names)
