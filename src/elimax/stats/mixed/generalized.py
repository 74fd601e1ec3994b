r"""Generalized linear mixed models as latent Gaussian models, and Laplace's approximation of their deviance.

$\eta = o + X \beta + Z \Lambda(\theta) u$ with $u \sim N(0, I)$: a variance of zero is a zero column of Z
Lambda, and nothing becomes singular. Parameters of the family have linear predictors of their own, without
random effects. The vector of all that is searched for is [theta, beta, those of the family].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

import elimax as ex
from elimax.stats.gaussian import GMRF
from elimax.stats.laplace import LaplaceApproximation, LatentGaussianModel, laplace
from elimax.stats.likelihood import Likelihood
from elimax.stats.mixed.family import RANGES
from elimax.stats.mixed.random_design import RandomDesign
from elimax.stats.mixed.random_term import count


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedModel:
    """The arrays of a generalized linear mixed model: a pytree.

    **Attributes:**

    - `y`: the observations, (n,): counts of successes where there are trials.
    - `likelihood`: their distribution.
    - `X`, `offset`: of the fixed effects, (n, p), (n,).
    - `random`: the columns of the random effects.
    - `columns`: per parameter of the family its columns, (n, k), or (k,) where it is the same for all.
    - `names`: of those parameters.
    """

    y: Float[Array, " n"]
    likelihood: Likelihood
    X: Float[Array, "n p"]
    offset: Float[Array, " n"]
    random: RandomDesign
    columns: tuple[Float[Array, ...], ...]
    names: tuple[str, ...] = field(metadata={"static": True})

    def split(self, parameters: Any) -> tuple[Any, Any, list[Any]]:
        """theta, beta, and the coefficients of each parameter of the family."""
        sizes = [count(self.random.sizes), self.X.shape[1], *(c.shape[-1] for c in self.columns)]
        ends = np.cumsum(sizes)
        parts = [parameters[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        return parts[0], parts[1], parts[2:]

    def family_parameters(self, coefficients: list[Any]) -> dict[str, Array]:
        """The parameters of the likelihood, scalars or (n,)."""
        return {
            name: RANGES[name][0](columns @ own)
            for name, columns, own in zip(self.names, self.columns, coefficients, strict=True)
        }

    def latent(self) -> LatentGaussianModel:
        """The model of u as a function of all parameters."""
        unit = GMRF(0.0, ex.SymmetricMatrix.eye(self.random.pattern.shape[1], self.X.dtype))
        return LatentGaussianModel(
            unit,
            lambda p: self.random.scaled(self.split(p)[0]),
            self.likelihood,
            self.y,
            parameters=lambda p: self.family_parameters(self.split(p)[2]),
            offset=lambda p: self.offset + self.X @ self.split(p)[1],
        )


def approximation(
    model: GeneralizedModel, parameters: Float[Array, " k"], start: Float[Array, " q"]
) -> LaplaceApproximation:
    """Laplace's approximation, with NaN where the mode of u is not found."""
    return laplace(model.latent(), parameters, start, throw=False)


def deviance(
    model: GeneralizedModel, parameters: Float[Array, " k"], start: Float[Array, " q"]
) -> tuple[Float[Array, ""], Float[Array, " q"]]:
    """-2 log likelihood by Laplace's approximation, every constant included, and the mode of u.

    **Derivative:** in the parameters, every order and mode.
    """
    found = approximation(model, parameters, start)
    return -2 * found.log_marginal, found.mode
