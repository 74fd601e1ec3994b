"""What a likelihood is: the log density of every observation, given its linear predictor.

A likelihood is elementwise: observation k depends on the latent field through eta_k only. That is what makes
the Hessian of a latent Gaussian model Q + A^T D A with a diagonal D. Data that belong to the distribution
rather than to the observation (exposures, trials, censoring) are fields of the likelihood; what is estimated
(a standard deviation, a shape) are named parameters, scalars or one number for every observation.

The density is split into a *kernel*, which depends on eta, and a *base*, which does not. Both count; Newton's
iteration looks at the kernel only.
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Number = Any  # a scalar, or one number for every observation; whatever JAX takes for an array


class Likelihood(eqx.Module):
    """The distribution of observations given linear predictors; a pytree of its data.

    **Class attributes:**

    - `parameter_names`: the named parameters that its methods take, as keyword arguments.
    - `quadratic`: whether the log density is a quadratic function of eta, so that Laplace's approximation
      is exact and needs one Newton step.
    - `placeholder`: a value in the support, computed with where an observation is missing.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ()
    quadratic: ClassVar[bool] = False
    placeholder: ClassVar[float] = 0.0

    @abc.abstractmethod
    def _kernel(self, eta: Array, y: Array, /, *args: Any, **parameters: Any) -> Array:
        """The part of the log density that depends on eta."""

    def _base(self, y: Array, /, *args: Any, **parameters: Any) -> Array:
        """The part that does not."""
        return jnp.zeros_like(y)

    @abc.abstractmethod
    def mean(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        """The expected observation."""

    @abc.abstractmethod
    def variance(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        """The variance of an observation."""

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""], eta: Any, /, *args: Any, **parameters: Any) -> Array:
        """One observation for every linear predictor."""

    def cdf(self, y: Any, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        """The probability of an observation of at most y."""
        raise NotImplementedError(f"{type(self).__name__} has no distribution function")

    def log_prob(
        self, eta: Float[Array, " m"], y: Float[Array, " m"], **parameters: Any
    ) -> Float[Array, " m"]:
        """The log density of every observation, with every constant; 0 where it is missing (NaN).

        **Arguments:**

        - `eta`: the linear predictors.
        - `y`: the observations; NaN where one is missing.
        - `parameters`: those of `parameter_names`, scalars or of shape (m,).

        **Raises:** `TypeError` for a parameter that is missing or unknown.

        **Derivative:** in eta and the parameters, every order and mode; missing observations contribute zeros.
        """
        kernel, base = self.kernel(eta, y, **parameters), self.base(y, **parameters)
        return kernel + base

    def kernel(
        self, eta: Float[Array, " m"], y: Float[Array, " m"], **parameters: Any
    ) -> Float[Array, " m"]:
        """The part of `log_prob` that depends on eta."""
        self.check_parameters(parameters)
        missing = jnp.isnan(y)
        y = jnp.where(missing, jnp.asarray(self.in_support, y.dtype), y)
        return jnp.where(missing, 0.0, self._kernel(eta, y, **parameters))

    def base(self, y: Float[Array, " m"], **parameters: Any) -> Float[Array, " m"]:
        """The part of `log_prob` that does not depend on eta."""
        self.check_parameters(parameters)
        missing = jnp.isnan(y)
        y = jnp.where(missing, jnp.asarray(self.in_support, y.dtype), y)
        return jnp.where(missing, 0.0, self._base(y, **parameters))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters; those of a mixture depend on its parts."""
        return self.parameter_names

    def closed(self, eta: Array, y: Array, parameters: dict[str, Array]) -> "Likelihood":
        """The same likelihood, with all arrays that it refers to among its leaves."""
        return self

    @property
    def in_support(self) -> float:
        """A value in the support, for missing observations to be computed with."""
        return self.placeholder

    def check_parameters(self, parameters: Any) -> None:
        """Raises `TypeError` unless the names are the likelihood's."""
        if set(parameters) != set(self.names):
            wanted = ", ".join(self.names) or "no parameters"
            got = ", ".join(sorted(parameters)) or "none"
            raise TypeError(f"{type(self).__name__} takes {wanted}; got {got}")
