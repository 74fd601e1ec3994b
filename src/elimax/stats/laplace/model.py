"""Latent Gaussian models: hyperparameters -> field -> linear predictors -> observations."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

import elimax as ex
from elimax._primitive.define import is_traced
from elimax._types import as_numbers
from elimax.stats.gaussian import GMRF
from elimax.stats.laplace.joint import Joint
from elimax.stats.likelihood import Likelihood

Theta = Any  # any pytree of arrays


class LatentGaussianModel(eqx.Module):
    r"""Observations $y_k \sim p(y \mid \eta_k, \theta)$, $\eta = o(\theta) + A(\theta) x$, x Gaussian.

    The hyperparameters theta are any pytree of arrays; what depends on them is a function of them. Functions
    may close over arrays, traced ones included.

    **Arguments:**

    - `latent`: theta -> the field x, a `GMRF` or, for mean zero, a `SymmetricMatrix`; its pattern,
      constraints and null space are the same for every theta. Or the field itself.
    - `design`: A, a `SparseMatrix` (m, n), or theta -> one, of fixed pattern; None for the identity.
    - `likelihood`: the distribution of an observation given its linear predictor.
    - `observations`: y (m,); NaN where one is missing: it then says nothing, and is predicted.
    - `parameters`: theta -> those of the likelihood, by name; or a mapping that does not depend on theta.
    - `offset`: (m,), a scalar, or theta -> one: known terms of eta, or fixed effects that are
      hyperparameters.
    - `prior`: theta -> the log density of the hyperparameters, as parametrized.

    **Raises:** `TypeError` for an argument of the wrong kind; `ValueError`, when it is used, for parts that
    do not fit.
    """

    latent: Callable[[Theta], Any] | GMRF | ex.SymmetricMatrix
    design: Callable[[Theta], ex.SparseMatrix] | ex.SparseMatrix | None
    likelihood: Likelihood
    observations: Float[Array, " m"]
    parameters: Callable[[Theta], Mapping[str, Any]] | Mapping[str, Any]
    offset: Callable[[Theta], Any] | Float[Array, "..."]
    prior: Callable[[Theta], Any] | None

    def __init__(
        self,
        latent: Callable[[Theta], Any] | GMRF | ex.SymmetricMatrix,
        design: Callable[[Theta], ex.SparseMatrix] | ex.SparseMatrix | None,
        likelihood: Likelihood,
        observations: Float[ArrayLike, " m"],
        parameters: Callable[[Theta], Mapping[str, Any]] | Mapping[str, Any] | None = None,
        offset: Callable[[Theta], Any] | Float[ArrayLike, "..."] | None = None,
        prior: Callable[[Theta], Any] | None = None,
    ) -> None:
        if not isinstance(likelihood, Likelihood):
            raise TypeError(
                f"`likelihood` must be a Likelihood, as Poisson(), got {type(likelihood).__name__}; "
                "FromLogDensity(f) makes one of any log density"
            )
        if not (callable(latent) or isinstance(latent, GMRF | ex.SymmetricMatrix)):
            raise TypeError(
                "`latent` must be a function of the hyperparameters, a GMRF or a SymmetricMatrix, got "
                f"{type(latent).__name__}"
            )
        if not (design is None or callable(design) or isinstance(design, ex.SparseMatrix)):
            raise TypeError(
                "`design` must be a SparseMatrix, a function of the hyperparameters to one, or None; "
                f"got {type(design).__name__}"
            )
        if _are_booleans(observations):
            observations = jnp.asarray(observations, float)
        y = as_numbers("observations", observations)
        if y.ndim != 1:
            raise ValueError(f"`observations` must be a vector, got shape {y.shape}")
        likelihood.check_sizes(y.size)
        if not any(map(is_traced, (y, *jax.tree.leaves(likelihood)))):
            likelihood.check_observations(y)
        self.latent = latent
        self.design = design
        self.likelihood = likelihood
        self.observations = y
        self.parameters = {} if parameters is None else parameters
        self.offset = (
            offset if callable(offset) else jnp.zeros(()) if offset is None else jnp.asarray(offset)
        )
        self.prior = prior

    def at(self, theta: Theta) -> Joint:
        """Everything that the hyperparameters determine, as arrays.

        **Raises:** `ValueError` or `TypeError` naming the part that does not fit the others.
        """
        field = self.latent(theta) if callable(self.latent) else self.latent
        if isinstance(field, ex.SymmetricMatrix):
            field = GMRF(0.0, field)
        if not isinstance(field, GMRF):
            raise TypeError(
                f"`latent` must return a GMRF or a SymmetricMatrix, got {type(field).__name__}"
            )
        design = self.design(theta) if callable(self.design) else self.design
        if not (design is None or isinstance(design, ex.SparseMatrix)):
            raise TypeError(f"`design` must return a SparseMatrix, got {type(design).__name__}")
        m, n = self.observations.shape[0], field.n
        shape = (n, n) if design is None else design.shape
        if shape != (m, n):
            raise ValueError(
                f"`design` must have shape ({m}, {n}), observations by latent elements, got "
                + ("None, the identity" if design is None else str(shape))
            )
        dtype = field.dtype
        offset = jnp.asarray(self.offset(theta) if callable(self.offset) else self.offset, dtype)
        if offset.shape not in ((), (m,)):
            raise ValueError(f"`offset` must be a scalar or have shape ({m},), got {offset.shape}")
        parameters = self.parameters(theta) if callable(self.parameters) else self.parameters
        self.likelihood.check_parameters(parameters)
        named = {name: jnp.asarray(value, dtype) for name, value in parameters.items()}
        eta = jnp.broadcast_to(offset, (m,))
        y = self.observations.astype(dtype)
        likelihood = self.likelihood.closed(eta, y, named)
        return Joint(field, design, eta, likelihood, y, named)

    def log_prior(self, theta: Theta) -> Float[Array, ""]:
        """The log density of the hyperparameters; 0 without a prior."""
        if self.prior is None:
            return jnp.zeros((), jax.dtypes.canonicalize_dtype(float))
        value = jnp.asarray(self.prior(theta))
        if value.shape != ():
            raise ValueError(f"`prior` must return a scalar, got shape {value.shape}")
        return value


def _are_booleans(values: Any) -> bool:
    dtypes = {getattr(leaf, "dtype", type(leaf)) for leaf in jax.tree.leaves(values)}
    return bool(dtypes) and dtypes <= {bool, np.dtype(bool)}
