"""Draws from the joint posterior of hyperparameters, field, linear predictors and new observations."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from elimax.stats.inference.density import LogPosterior
from elimax.stats.inference.evaluate import evaluate

_BLOCK = 16  # draws that share a factorization


class Draws(NamedTuple):
    """Draws from a joint posterior; s of them.

    - `theta` (s, d): the hyperparameters, flat.
    - `field` (s, n).
    - `predictor` (s, m): the linear predictors.
    - `observations` (s, m): new ones, given the rest: draws from the posterior predictive distribution.
    """

    theta: Float[np.ndarray, "s d"]
    field: Float[np.ndarray, "s n"]
    predictor: Float[np.ndarray, "s m"]
    observations: Float[np.ndarray, "s m"]


def draw(
    target: LogPosterior,
    key: Key[Array, ""],
    draws: int,
    points: Float[np.ndarray, "K d"],
    weights: Float[np.ndarray, " K"],
    modes: Float[np.ndarray, "K n"],
    means: Float[np.ndarray, "K n"],
) -> Draws:
    """Draws among weighted points, and at each from the Gaussian density with that mean.

    **Raises:** `ValueError` for a number of draws below 1.
    """
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1, got {draws}")
    choice, blocks = jax.random.split(key)
    chosen = jax.random.choice(
        choice, weights.size, (draws,), p=jnp.asarray(weights / weights.sum())
    )
    counts = np.bincount(np.asarray(chosen), minlength=weights.size)
    owner = np.repeat(np.arange(weights.size), -(-counts // _BLOCK))
    # The last block of a point is drawn in full, and used in part.
    within = np.arange(owner.size) - np.searchsorted(owner, owner)
    used = np.arange(_BLOCK) < (counts[owner] - _BLOCK * within)[:, None]
    keys = np.asarray(jax.random.key_data(jax.random.split(blocks, owner.size)))
    field, predictor, observations = evaluate(
        _block, target, keys, points[owner], modes[owner], means[owner]
    )
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 1), draws))
    theta = np.repeat(points[owner], used.sum(1), axis=0)
    return Draws(
        theta[order], field[used][order], predictor[used][order], observations[used][order]
    )


def _block(
    target: LogPosterior,
    key: Array,
    theta: Float[Array, " d"],
    mode: Float[Array, " n"],
    mean: Float[Array, " n"],
) -> tuple[Array, Array, Array]:
    fit = eqx.tree_at(lambda t: t.start, target, mode).laplace(theta)
    of_field, of_data = jax.random.split(jax.random.wrap_key_data(key))
    field = mean + fit.restricted().sample(of_field, (_BLOCK,))
    eta = jax.vmap(fit.joint.predictor)(field)
    joint = fit.joint

    def observe(pair: tuple[Array, Array]) -> Array:
        return joint.likelihood.sample(pair[0], pair[1], **joint.parameters)

    return field, eta, jax.lax.map(observe, (jax.random.split(of_data, _BLOCK), eta))
