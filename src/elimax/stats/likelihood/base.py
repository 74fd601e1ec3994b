"""What a likelihood is: the log density of every observation, given its linear predictor.

A likelihood is elementwise: observation k depends on the latent field through eta_k only. That is what makes
the Hessian of a latent Gaussian model Q + A^T D A with a diagonal D. Data that belong to the distribution
rather than to the observation (exposures, trials, censoring) are fields of the likelihood; what is estimated
(a standard deviation, a shape) are named parameters, scalars or one number for every observation.

The density is split into a *kernel*, which depends on eta, and a *base*, which does not. Both count; Newton's
iteration looks at the kernel only.
"""

import abc
import dataclasses
from typing import Annotated, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

# A scalar, or one number for every observation; whatever JAX takes for an array.
Number = Annotated[Any, "per observation"]


class Likelihood(eqx.Module):
    """The distribution of observations given linear predictors; a pytree of its data.

    **Class attributes:**

    - `parameter_names`: the named parameters that its methods take, as keyword arguments.
    - `quadratic`: whether the log density is a quadratic function of eta, so that Laplace's approximation
      is exact and needs one Newton step.
    - `placeholder`: a value in the support, computed with where an observation is missing or outside.
    - `support`: what an observation can be, in words.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ()
    quadratic: ClassVar[bool] = False
    placeholder: ClassVar[float] = 0.0
    support: ClassVar[str] = "a finite number"

    @abc.abstractmethod
    def _kernel(self, eta: Array, y: Array, /, *args: Any, **parameters: Any) -> Array:
        """The part of the log density that depends on eta."""

    def _base(self, y: Array, /, *args: Any, **parameters: Any) -> Array:
        """The part that does not."""
        return jnp.zeros_like(y)

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        """Whether y is in the support, as far as the parameters that are given tell; a NaN is not."""
        return jnp.isfinite(y)

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
        """The log density of every observation, with every constant.

        0 where an observation is missing (NaN), minus infinity where it is outside of the support.

        **Arguments:**

        - `eta`: the linear predictors.
        - `y`: the observations; NaN where one is missing.
        - `parameters`: those of `parameter_names`, scalars or of shape (m,).

        **Raises:** `TypeError` for a parameter that is missing or unknown.

        **Derivative:** in eta and the parameters, every order and mode; missing observations contribute
        zeros.
        """
        kernel, base = self.kernel(eta, y, **parameters), self.base(y, **parameters)
        return kernel + base

    def kernel(
        self, eta: Float[Array, " m"], y: Float[Array, " m"], **parameters: Any
    ) -> Float[Array, " m"]:
        """The part of `log_prob` that depends on eta."""
        self.check_parameters(parameters)
        inside = self._supported(y, **parameters)
        return jnp.where(inside, self._kernel(eta, self._filled(inside, y), **parameters), 0.0)

    def base(self, y: Float[Array, " m"], **parameters: Any) -> Float[Array, " m"]:
        """The part of `log_prob` that does not depend on eta."""
        self.check_parameters(parameters)
        inside = self._supported(y, **parameters)
        outside = jnp.where(jnp.isnan(y), 0.0, -jnp.inf).astype(y.dtype)
        return jnp.where(inside, self._base(self._filled(inside, y), **parameters), outside)

    def _filled(self, inside: Array, y: Array) -> Array:
        return jnp.where(inside, y, jnp.asarray(self.in_support, y.dtype))

    def check_observations(self, y: ArrayLike) -> None:
        """Raises `ValueError`, naming the first, if concrete observations are outside of the support."""
        with jax.ensure_compile_time_eval():  # concrete values inside of a trace are looked at, too
            y = jnp.asarray(y)
            wrong = np.flatnonzero(~np.asarray(self._supported(y) | jnp.isnan(y)))
        if wrong.size:
            k = int(wrong[0])
            more = f", and {wrong.size - 1} more are none" if wrong.size > 1 else ""
            name = type(self).__name__
            raise ValueError(
                f"an observation of {name} must be {self.support}: observation {k} is {y[k]}{more}"
            )

    def check_sizes(self, m: int) -> None:
        """Raises `ValueError` naming a field declared as a `Number` that is not one number, or m."""
        for own in dataclasses.fields(self):
            value = getattr(self, own.name)
            if isinstance(value, Likelihood):
                value.check_sizes(m)
            elif own.type is Number and np.shape(value) not in ((), (1,), (m,)):
                raise ValueError(
                    f"`{own.name}` of {type(self).__name__} must be a scalar or have shape ({m},), one "
                    f"number per observation, got {np.shape(value)}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters; those of a mixture depend on its parts."""
        return self.parameter_names

    def closed(self, eta: Array, y: Array, parameters: dict[str, Array]) -> "Likelihood":
        """The same likelihood, with all arrays that it refers to among its leaves."""
        return self

    @property
    def in_support(self) -> float:
        """A value in the support, for missing observations and those outside to be computed with."""
        return self.placeholder

    def check_parameters(self, parameters: Any) -> None:
        """Raises `TypeError` unless the names are the likelihood's."""
        if set(parameters) != set(self.names):
            wanted = ", ".join(self.names) or "no parameters"
            got = ", ".join(sorted(parameters)) or "none"
            raise TypeError(f"{type(self).__name__} takes {wanted}; got {got}")
