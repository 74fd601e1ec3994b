"""Distributions of a response by name, where their searches start, and the ranges of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import elimax.stats.likelihood as lk
from elimax.stats.likelihood import Likelihood

FAMILIES: Mapping[str, Callable[[], Likelihood]] = {
    "binomial": lk.Binomial,
    "betabinomial": lk.BetaBinomial,
    "poisson": lk.Poisson,
    "nbinom1": lk.NegativeBinomial1,
    "nbinom2": lk.NegativeBinomial2,
    "gamma": lk.Gamma,
    "beta": lk.Beta,
    "tweedie": lk.Tweedie,
    "student": lk.StudentT,
    "ordinal": lk.Ordinal,
}
POSITIVE = ("dispersion", "precision", "shape", "sd", "scale")  # may have a formula of their own
_COUNTS = (lk.Poisson, lk.NegativeBinomial1, lk.NegativeBinomial2)
_LOGARITHMIC = (*_COUNTS, lk.Gamma, lk.Tweedie)

# From the whole real line: the function, and where the search starts.
RANGES: Mapping[str, tuple[Callable[[Any], Array], float]] = {
    **dict.fromkeys(POSITIVE, (jnp.exp, 0.0)),
    "df": (jnp.exp, 1.5),
    "power": (lambda x: 1 + jax.nn.sigmoid(x), 0.0),
    "zero_logit": (jnp.asarray, 0.0),
    "cutpoints": (jnp.asarray, 0.0),  # in any other order than theirs the density is NaN
}


def likelihood_of(family: str | Likelihood, link: str | None) -> Likelihood:
    """The likelihood of a name, or the one that is given.

    **Raises:** `ValueError` for an unknown name, for a link that the family does not have, and for parameters
    whose range is not known here; `TypeError` for anything else.
    """
    if isinstance(family, str):
        if family not in FAMILIES:
            raise ValueError(
                f"`family` must be one of {', '.join(FAMILIES)}, or a Likelihood, got {family!r}"
            )
        if family == "binomial":
            return lk.Binomial(link=link or "logit")  # type: ignore[arg-type]
        made = FAMILIES[family]()
    elif isinstance(family, Likelihood):
        made = family
    else:
        raise TypeError(
            f"`family` must be a name or a Likelihood, got {type(family).__name__}; names are "
            + ", ".join(FAMILIES)
        )
    if np.ndim(getattr(made, "exposure", 1.0)):
        raise ValueError(
            "`family` has one exposure per observation, which other data would not have: give their "
            "logarithms as an offset instead, `offset(log(exposure))` in the formula"
        )
    if link is not None:
        raise ValueError(
            f'`link` is that of family="binomial" only, got {link!r} for {type(made).__name__}'
        )
    known = RANGES if is_ordinal(made) else RANGES.keys() - {"cutpoints"}
    unknown = [name for name in made.names if name not in known]
    if unknown:
        raise ValueError(
            f"{type(made).__name__} has the parameter {unknown[0]!r}, which glmm has no range for; "
            f"it knows {', '.join(sorted(known))}. A LatentGaussianModel takes any"
        )
    return made


def with_zeros(likelihood: Likelihood, inflated: bool) -> Likelihood:
    """The zero-inflated likelihood of counts, or its hurdle.

    **Raises:** `ValueError` for what is no distribution of counts.
    """
    if not isinstance(likelihood, _COUNTS):
        raise ValueError(
            "`zero_inflation` and `hurdle` are for poisson, nbinom1 and nbinom2, got "
            f"{type(likelihood).__name__}"
        )
    return lk.ZeroInflated(likelihood) if inflated else lk.Hurdle(likelihood)


def core_of(likelihood: Likelihood) -> Any:
    """The distribution behind weights, extra zeros or a hurdle."""
    if isinstance(likelihood, lk.Weighted):
        return core_of(likelihood.likelihood)
    return getattr(likelihood, "counts", likelihood)


def is_ordinal(likelihood: Likelihood) -> bool:
    """Whether an observation is a category, and cutpoints stand in place of an intercept."""
    return isinstance(core_of(likelihood), lk.Ordinal)


def is_counts(likelihood: Likelihood) -> bool:
    """Whether an observation is a count without a limit."""
    return isinstance(core_of(likelihood), _COUNTS)


def is_trials(likelihood: Likelihood) -> bool:
    """Whether an observation counts successes in trials."""
    return isinstance(likelihood, lk.Binomial | lk.BetaBinomial)


def check_response(likelihood: Likelihood, y: np.ndarray) -> None:
    """Raises the `ValueError` of a response that the distribution cannot have."""
    try:
        with jax.enable_x64(True):
            likelihood.check_observations(y)
    except ValueError as error:
        if not is_trials(core_of(likelihood)):
            raise
        raise ValueError(
            f"{error}. Give 0 and 1, `cbind(successes, failures)`, or proportions and, as `weights`, trials"
        ) from None


def predictor_start(likelihood: Likelihood, y: np.ndarray) -> np.ndarray:
    """A rough linear predictor of every observation, (n,), for a regression to start from."""
    core = core_of(likelihood)
    if is_trials(core):
        trials = np.broadcast_to(np.asarray(core.trials, float), y.shape)
        return np.log((y + 0.5) / (trials - y + 0.5))
    if isinstance(core, _LOGARITHMIC):
        return np.log(y + (0.5 if isinstance(core, _COUNTS) else 0.1 * np.mean(y)))
    if isinstance(core, lk.Beta):
        return np.log(y / (1 - y))
    return y if isinstance(core, lk.StudentT | lk.Gaussian) else np.zeros_like(y)


def parameter_start(name: str, y: np.ndarray, spread: float) -> np.ndarray:
    """The linear predictor of a parameter of the family to start from: a scalar; of cutpoints, a vector."""
    if name == "scale":
        return np.log(spread)
    if name == "cutpoints":  # of a response that nothing explains
        share = np.cumsum(np.bincount(y.astype(int)) + 0.5)
        return np.log(share[:-1] / (share[-1] - share[:-1]))
    return np.asarray(RANGES[name][1])
