"""A likelihood that is another one, but for its density."""

from typing import Any

from jaxtyping import Array, ArrayLike, Key

from elimax.stats.likelihood.base import Likelihood


class Modified(Likelihood):
    """What a modified density leaves as it is: parameters, support, moments and draws of `likelihood`."""

    likelihood: Likelihood

    def __check_init__(self) -> None:
        if not isinstance(self.likelihood, Likelihood):
            raise TypeError(
                f"`likelihood` must be a Likelihood, as Poisson(), got {type(self.likelihood).__name__}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return self.likelihood.names

    @property
    def in_support(self) -> float:
        return self.likelihood.in_support

    def _supported(self, y: Array, /, **parameters: Any) -> Array:
        return self.likelihood._supported(y, **parameters)

    def check_observations(self, y: ArrayLike) -> None:
        self.likelihood.check_observations(y)

    def mean(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self.likelihood.mean(eta, **parameters)

    def variance(self, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self.likelihood.variance(eta, **parameters)

    def sample(self, key: Key[Array, ""], eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self.likelihood.sample(key, eta, **parameters)

    def cdf(self, y: Any, eta: Any, /, *args: Any, **parameters: Any) -> Array:
        return self.likelihood.cdf(y, eta, **parameters)
