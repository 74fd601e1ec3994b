"""A likelihood from any log density."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from elimax.stats.likelihood.base import Likelihood


class FromLogDensity(Likelihood):
    """The likelihood with the log density f(eta, y, **parameters) of one observation.

    **Arguments:**

    - `log_density`: a function of the scalars eta and y and of named parameters, to a scalar, that JAX can
      differentiate three times. It is mapped over the observations, so that it cannot mix them: parameters of
      shape (m,) along with them, others are passed whole to each. (A parameter that happens to have the
      length m of the data is taken to be one number per observation.)
    - `parameter_names`: the names of the parameters.
    - `placeholder`: a value of y at which the density and its derivatives are finite; computed with, and
      thrown away, where an observation is missing.
    - `mean`, `variance`: functions of eta and the parameters; what they are for is an error without them.
    - `sample`: a function of a key, eta and the parameters.

    **Raises:** `TypeError` if `log_density` is not a function.
    """

    log_density: Callable[..., Any]
    declared: tuple[str, ...] = eqx.field(static=True)
    filler: float = eqx.field(static=True)
    moments: tuple[Callable[..., Any] | None, ...]

    def __init__(
        self,
        log_density: Callable[..., Any],
        parameter_names: tuple[str, ...] = (),
        placeholder: float = 1.0,
        mean: Callable[..., Any] | None = None,
        variance: Callable[..., Any] | None = None,
        sample: Callable[..., Any] | None = None,
    ) -> None:
        if not callable(log_density):
            raise TypeError(
                "`log_density` must be a function of eta and y, got a " + type(log_density).__name__
            )
        self.log_density = log_density
        self.declared = tuple(parameter_names)
        self.filler = float(placeholder)
        self.moments = (mean, variance, sample)

    @property
    def names(self) -> tuple[str, ...]:
        return self.declared

    @property
    def in_support(self) -> float:
        return self.filler

    def _kernel(self, eta: Array, y: Array, /, *args: Any, **parameters: Any) -> Array:
        return self._mapped(self.log_density, eta, y, **parameters)

    def closed(self, eta: Array, y: Array, parameters: dict[str, Array]) -> "FromLogDensity":
        """With the arrays that `log_density` closes over, which may be traced, as leaves."""
        one = {
            name: value[0] if value.shape[:1] == eta.shape else value
            for name, value in parameters.items()
        }
        f = eqx.filter_closure_convert(self.log_density, eta[0], y[0], **one)
        return eqx.tree_at(lambda likelihood: likelihood.log_density, self, f)

    def _mapped(self, f: Callable[..., Any], *rows: Array, **parameters: Any) -> Array:
        parameters = {name: jnp.asarray(value) for name, value in parameters.items()}
        axes = {
            name: 0 if value.shape[:1] == rows[0].shape else None
            for name, value in parameters.items()
        }

        def one(row: tuple[Array, ...], parameters: Any) -> Any:
            return f(*row, **parameters)

        return jax.vmap(one, in_axes=(0, axes))(rows, parameters)

    def _moment(self, which: int, name: str) -> Callable[..., Any]:
        f = self.moments[which]
        if f is None:
            raise NotImplementedError(
                f"the likelihood was made without `{name}`: FromLogDensity(f, {name}=...)"
            )
        return f

    def mean(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self._mapped(self._moment(0, "mean"), jnp.asarray(eta), **parameters)

    def variance(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self._mapped(self._moment(1, "variance"), jnp.asarray(eta), **parameters)

    def sample(self, key: Key[Array, ""], eta: Any, /, *args: Any, **parameters: Any) -> Array:
        eta = jnp.asarray(eta)
        keys = jax.random.split(key, eta.shape[0])
        return self._mapped(self._moment(2, "sample"), keys, eta, **parameters)
