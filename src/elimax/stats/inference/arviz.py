"""What ArviZ takes: draws as InferenceData, and Pareto's k of importance weights. Needs `arviz`."""

from collections.abc import Mapping, Sequence
from typing import Any

import arviz
import numpy as np
from jaxtyping import ArrayLike, Float

from elimax.stats.inference.draws import Draws
from elimax.stats.inference.importance import ImportanceSample


def pareto_k(sample: ImportanceSample) -> float:
    """The shape of the tail of the importance weights: below 0.7, Laplace's approximation is corrected by
    them.

    **Source:** Vehtari, Simpson, Gelman, Yao and Gabry, JMLR 25 (2024), by `arviz.psislw`.
    """
    _, k = arviz.psislw(np.asarray(sample.log_weights))
    return float(k)


def to_arviz(
    sample: Draws | ImportanceSample | Mapping[str, Float[ArrayLike, "..."]],
    names: Sequence[str] | None = None,
    observations: Float[ArrayLike, " m"] | None = None,
    *,
    seed: int = 0,
) -> arviz.InferenceData:
    """Draws as ArviZ's InferenceData.

    **Arguments:**

    - `sample`: what `Inla.sample` returned: one chain; or `importance_sample`, which is resampled by its
      (smoothed) weights, with replacement; or arrays of any sampler by name, of shape (chains, draws, ...).
    - `names`: of the hyperparameters, as `LogPosterior.names`: the coordinate of `theta`.
    - `observations`: the data, for posterior predictive checks.
    - `seed`: of resampling.

    **Raises:** `TypeError` for something else; `ValueError` if `names` does not fit.
    """
    groups: dict[str, Any] = {}
    if isinstance(sample, Draws):
        posterior = {"theta": sample.theta, "field": sample.field, "predictor": sample.predictor}
        groups["posterior"] = {name: value[None] for name, value in posterior.items()}
        groups["posterior_predictive"] = {"observations": sample.observations[None]}
    elif isinstance(sample, ImportanceSample):
        log_weights, _ = arviz.psislw(np.asarray(sample.log_weights))
        weights = np.exp(np.asarray(log_weights))
        rng = np.random.default_rng(seed)
        rows = rng.choice(weights.size, weights.size, p=weights / weights.sum())
        groups["posterior"] = {"theta": sample.theta[rows][None], "field": sample.field[rows][None]}
    elif isinstance(sample, Mapping):
        groups["posterior"] = {name: np.asarray(value) for name, value in sample.items()}
    else:
        raise TypeError(
            "`sample` must be Draws, an ImportanceSample or a mapping of arrays by name, got "
            f"{type(sample).__name__}"
        )
    if observations is not None:
        groups["observed_data"] = {"observations": np.asarray(observations)}
    if names is not None:
        theta = groups["posterior"].get("theta")
        if theta is None or theta.shape[-1] != len(names):
            raise ValueError(f"`names` must name the elements of theta, got {tuple(names)}")
        groups["coords"] = {"hyperparameter": list(names)}
        groups["dims"] = {"theta": ["hyperparameter"]}
    return arviz.from_dict(**groups)
