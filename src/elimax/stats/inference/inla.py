r"""Integrated nested Laplace approximations: posterior marginals of a latent Gaussian model.

    p(x_i | y) ~ sum_k w_k p_G(x_i | theta_k, y),    w_k proportional to p(theta_k | y) Delta_k

Rue, Martino and Chopin, *Approximate Bayesian inference for latent Gaussian models by using integrated nested
Laplace approximations*, JRSS-B 71 (2009), sections 3 to 6; van Niekerk, Krainski, Rustand and Rue, *A new
avenue for Bayesian inference with INLA*, Comput. Stat. Data Anal. 181 (2023). The linear predictors are no
part of the field, and the derivatives in the hyperparameters are exact.
"""

import warnings
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

import elimax as ex
from elimax.stats.inference.conditional import (
    AT_POINT,
    CORRECTIONS,
    Conditional,
    Correction,
)
from elimax.stats.inference.criticism import Criticism, criticize
from elimax.stats.inference.density import LogPosterior, log_posterior
from elimax.stats.inference.design import box, composite, ticks
from elimax.stats.inference.draws import Draws, draw
from elimax.stats.inference.evaluate import evaluate
from elimax.stats.inference.explore import (
    HyperparameterError,
    Shape,
    explore,
    extent,
    log_density,
)
from elimax.stats.inference.hyper import from_grid, from_shape
from elimax.stats.inference.marginal import Marginal, Marginals
from elimax.stats.laplace import LatentGaussianModel

Strategy = Literal["auto", "grid", "ccd", "eb"]
STRATEGIES = ("auto", "grid", "ccd", "eb")
_GRID_UP_TO = 2  # hyperparameters: what "auto" takes
_LARGEST_GRID = 4
_TAIL = 5e-3  # of the posterior at the ends of a grid, above which it has not ended there
_DROP = 8.0  # of the log density, where the grid ends
_NEGLIGIBLE = 1e-5  # the share of the largest weight below which a point of the grid is left out


class Inla:
    """The posterior of a latent Gaussian model; made by `inla`.

    **Attributes:**

    - `theta`: name -> `Marginal` of a hyperparameter.
    - `field`: `Marginals` of the n elements of the field.
    - `predictor`: `Marginals` of the m linear predictors, of missing observations, too.
    - `log_marginal_likelihood`: log p(y), every constant included (up to those of improper priors).
    - `shape`: mode, Hessian and axes of the posterior density of the hyperparameters (flat).
    - `points` (K, d), `weights` (K,): the integration points and what they count; the first is the heaviest.
    - `conditional`: the densities at these points, arrays of leading dimension K.
    - `target`: the posterior density of the hyperparameters as a function.
    """

    theta: dict[str, Marginal]
    field: Marginals
    predictor: Marginals
    log_marginal_likelihood: float
    shape: Shape
    points: Float[np.ndarray, "K d"]
    weights: Float[np.ndarray, " K"]
    conditional: Conditional
    target: LogPosterior

    def __init__(
        self,
        target: LogPosterior,
        shape: Shape,
        theta: list[Marginal],
        points: Float[np.ndarray, "K d"],
        weights: Float[np.ndarray, " K"],
        conditional: Conditional,
        log_marginal_likelihood: float,
    ) -> None:
        self.target, self.shape, self.conditional = target, shape, conditional
        self.theta = dict(zip(target.names, theta, strict=True))
        self.points, self.weights = points, weights
        self.log_marginal_likelihood = log_marginal_likelihood
        self.field = Marginals(weights, conditional.mean, conditional.sd, conditional.skew)
        self.predictor = Marginals(
            weights, conditional.predictor, conditional.predictor_sd, conditional.predictor_skew
        )

    @property
    def mode(self) -> Any:
        """The hyperparameters of the largest posterior density, as the functions of the model take them."""
        return self.target.unravel(jnp.asarray(self.shape.mode))

    def predict(
        self, rows: ex.SparseMatrix | Float[ArrayLike, "k n"], offset: Float[ArrayLike, " k"] = 0.0
    ) -> Marginals:
        """The posterior densities of linear predictors offset + B x of new rows B (k, n).

        **Raises:** `ValueError` and `TypeError` for rows that do not fit the field.

        **Cost:** at every integration point, `laplace` and `GMRF.predict`.
        """
        B = rows if isinstance(rows, ex.SparseMatrix) else ex.SparseMatrix.from_dense(rows)
        n = self.conditional.mean.shape[1]
        if B.shape[1] != n:
            raise ValueError(
                f"`rows` must have {n} columns, one for every element of the field, got {B.shape}"
            )
        shift = np.broadcast_to(np.asarray(offset, float), (B.shape[0],))
        variances = evaluate(_row_variances, (self.target, B), self.points, self.conditional.mode)
        means = np.asarray(self.conditional.mean @ B.to_scipy().T) + shift
        return Marginals(self.weights, means, np.sqrt(np.maximum(variances, 0.0)))

    def criticism(self) -> Criticism:
        """DIC, WAIC, CPO and PIT. **Cost:** quadratures for every observation and point; no factorization."""
        c = self.conditional
        return criticize(
            self.target,
            self.shape.mode,
            self.points,
            self.weights,
            c.predictor,
            c.predictor_sd,
            c.precision,
        )

    def sample(self, key: Key[Array, ""], draws: int) -> Draws:
        """Draws from the joint posterior of hyperparameters, field, predictors and new observations.

        The hyperparameters are drawn among the integration points, the field from the (corrected) Gaussian
        density at its point. **Cost:** a factorization for every sixteen draws, at least one a point.
        """
        c = self.conditional
        return draw(self.target, key, draws, self.points, self.weights, c.mode, c.mean)

    def __repr__(self) -> str:
        lines = [f"Inla: log marginal likelihood {self.log_marginal_likelihood:.4f}"]
        lines += [f"{len(self.field)} latent elements, {len(self.weights)} integration points"]
        lines += [f"  {name}: {marginal}" for name, marginal in self.theta.items()]
        return "\n".join(lines)


def _row_variances(
    pair: tuple[LogPosterior, ex.SparseMatrix], theta: Array, mode: Array
) -> Float[Array, " k"]:
    target, rows = pair
    fit = eqx.tree_at(lambda t: t.start, target, mode).laplace(theta)
    return fit.posterior().predict(rows)[1]


def inla(
    model: LatentGaussianModel,
    theta: Any,
    *,
    strategy: Strategy = "auto",
    correction: Correction = "vb",
    spacing: float = 0.75,
    start: Float[ArrayLike, " n"] | None = None,
) -> Inla:
    """Posterior marginals of a latent Gaussian model, by integrated nested Laplace approximations.

    **Arguments:**

    - `model`: the model, with a prior for its hyperparameters.
    - `theta`: hyperparameters to start from, of the structure that the model takes; unconstrained.
    - `strategy`: where the hyperparameters are integrated: "grid", a box around the mode, for up to 4 of
      them; "ccd", a central composite design; "eb", at the mode only (empirical Bayes). "auto" is a grid for
      1 or 2 hyperparameters, and the design beyond, as in R-INLA.
    - `correction`: of the Gaussian approximation of the field. "vb" moves its mean to where a Gaussian of
      that precision comes closest to the posterior (R-INLA's default); "simplified" takes mean and skewness
      to third order, at the cost of a solve for every element and every predictor; "gaussian" is the mode.
    - `spacing`: of the grid, in standard deviations of the hyperparameters.
    - `start`: of Newton's iteration for the field (n,), at `theta`.

    **Returns:** `Inla`.

    **Raises:** `HyperparameterError` if the posterior of the hyperparameters has no mode, or cannot be
    evaluated at a point that matters; `LaplaceError` if Laplace's approximation fails at `theta`;
    `ValueError` for arguments that do not fit.

    **Cost:** 5 to 20 gradients and Hessians for the mode, then one evaluation a point: at 1 to 2
    hyperparameters about 15 and 100 evaluations and selected inverses, with the design 15 for three and 25
    for four.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    if correction not in CORRECTIONS:
        raise ValueError(
            f"`correction` must be one of {', '.join(CORRECTIONS)}, got {correction!r}"
        )
    if not 0.0 < spacing <= 2.0:
        raise ValueError(f"`spacing` must lie in (0, 2] standard deviations, got {spacing}")
    target = log_posterior(model, theta, start)
    d = target.initial.size
    if strategy == "auto":
        strategy = "grid" if d <= _GRID_UP_TO else "ccd"
    if strategy == "grid" and d > _LARGEST_GRID:
        raise ValueError(
            f"`strategy`: a grid of {d} hyperparameters has too many points; take 'ccd' or 'auto'"
        )
    if model.prior is None:
        warnings.warn(
            "the model has no prior for its hyperparameters: a flat density of `theta` is taken, with which "
            "the posterior may be improper, and results depend on where the grid ends",
            stacklevel=2,
        )
    shape = explore(target, start)
    mode = target.laplace(jnp.asarray(shape.mode)).mode
    target = eqx.tree_at(lambda t: t.start, target, mode)
    volume = float(np.linalg.slogdet(shape.scale)[1])
    if strategy == "grid":
        reach = extent(target, shape, _DROP)
        axes = [
            ticks(low, high, spacing * min(1.0, (left + right) / 2))
            for (low, high), left, right in zip(reach, shape.left, shape.right, strict=True)
        ]
        z = box(axes)
        logs = evaluate(log_density, target, shape.theta(z))
        step = np.prod([axis[1] - axis[0] for axis in axes])
        log_weights = logs + volume + np.log(step)
        marginals = from_grid(shape, axes, logs.reshape([axis.size for axis in axes]))
    else:
        z, factors = composite(d) if strategy == "ccd" else (np.zeros((1, d)), np.ones(1))
        stretch = shape.stretch(z)
        z = z * stretch
        logs = evaluate(log_density, target, shape.theta(z))
        sides = (stretch if strategy == "ccd" else (shape.left + shape.right)[None] / 2).prod(1)
        log_weights = logs + volume + np.log(factors * sides) + 0.5 * d * np.log(2 * np.pi)
        marginals = from_shape(shape)
    _check_evaluated(target, shape, z, logs, log_weights, strategy)
    if strategy == "grid":
        _warn_of_tails(axes, z, log_weights)
    total = float(np.logaddexp.reduce(log_weights))
    kept = np.flatnonzero(log_weights >= log_weights.max() + np.log(_NEGLIGIBLE))
    kept = kept[np.argsort(-log_weights[kept], kind="stable")]
    points = shape.theta(z[kept])
    weights = np.exp(log_weights[kept] - log_weights[kept].max())
    conditional = evaluate(AT_POINT[correction], target, points)
    if conditional.status.any():
        k = int(np.flatnonzero(conditional.status)[0])
        raise HyperparameterError(
            f"the correction of the mean failed at {target.describe(points[k])} (status "
            f"{conditional.status[k]}); correction='gaussian' does without it"
        )
    return Inla(target, shape, marginals, points, weights / weights.sum(), conditional, total)


def _warn_of_tails(
    axes: list[Float[np.ndarray, " k"]],
    z: Float[np.ndarray, "K d"],
    log_weights: Float[np.ndarray, " K"],
) -> None:
    """Warns if the density has not ended where the grid does: a hyperparameter has a heavy tail, or none."""
    weights = np.exp(log_weights - log_weights.max())
    ends = np.array([[axis[0], axis[-1]] for axis in axes])
    outermost = (z[:, :, None] == ends).any(axis=(1, 2))
    share = float(weights[outermost].sum() / weights.sum())
    if share > _TAIL:
        warnings.warn(
            f"{share:.1%} of the posterior lies at the ends of the grid: a hyperparameter has a tail that "
            "goes on beyond it, and its marginal lacks what is there. Parametrize it differently, or give it "
            "a prior that ends",
            stacklevel=3,
        )


def _check_evaluated(
    target: LogPosterior,
    shape: Shape,
    z: Float[np.ndarray, "K d"],
    logs: Float[np.ndarray, " K"],
    log_weights: Float[np.ndarray, " K"],
    strategy: str,
) -> None:
    """Raises `HyperparameterError` where the density could not be evaluated, unless it is negligible there.

    Beside points of the grid where the density is that of the mode's times exp(-8) or less, it is.
    """
    failed = ~np.isfinite(logs)
    if not failed.any():
        return
    stretched = z / shape.stretch(z)
    near = failed & (np.sum(stretched**2, axis=1) < 2 * _DROP)
    if near.any() or strategy != "grid":
        k = int(np.flatnonzero(failed)[np.argmin(np.sum(stretched[failed] ** 2, axis=1))])
        raise HyperparameterError(
            f"Laplace's approximation failed at {target.describe(shape.theta(z[k]))}, an integration point "
            "near the mode of the hyperparameters: see `laplace` there for the reason"
        )
