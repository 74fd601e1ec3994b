"""Densities in one dimension: of one quantity, and of many as mixtures over integration points.

Everything here is NumPy on the host: what is left when the integration points have been evaluated.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.interpolate as si
import scipy.special as sc
from jaxtyping import ArrayLike, Float

_REFINED = 4001  # points at which a distribution function is tabulated
_MIXED = 401  # points at which a mixture is tabulated
_MAX_SKEW = 0.99  # of a skew-normal density; its supremum is 0.9953


class Marginal:
    """The posterior density of one quantity, tabulated and interpolated by a cubic spline.

    **Arguments:**

    - `x`: increasing points (q,), at least four.
    - `density`: at these points, up to a constant factor; it is taken to vanish outside of them.

    **Raises:** `ValueError` for points that do not increase, or a density that is negative, infinite or zero.
    """

    x: Float[np.ndarray, " q"]
    density: Float[np.ndarray, " q"]

    def __init__(self, x: Float[ArrayLike, " q"], density: Float[ArrayLike, " q"]) -> None:
        points, f = np.asarray(x, float), np.asarray(density, float)
        if points.ndim != 1 or points.shape != f.shape or points.size < 4:
            raise ValueError(
                f"`x` and `density` must be vectors of one length, at least 4, got {points.shape} and "
                f"{f.shape}"
            )
        if not (np.isfinite(points).all() and np.all(np.diff(points) > 0)):
            raise ValueError("`x` must be finite and increase")
        if not (np.isfinite(f).all() and np.all(f >= 0) and f.sum() > 0):
            raise ValueError("`density` must be finite and nonnegative, and not zero everywhere")
        # Split evenly in probability and in x, the table resolves both the bulk and the tails.
        rough = np.r_[0.0, np.cumsum(np.diff(points) * (f[1:] + f[:-1]) / 2)]
        steps = np.linspace(0.0, 1.0, _REFINED)
        bulk = np.interp(steps * rough[-1], rough, points)
        even = points[0] + steps * (points[-1] - points[0])
        fine = np.unique(np.concatenate([points, even, bulk]))
        values = np.maximum(si.PchipInterpolator(points, f)(fine), 0.0)
        cdf = np.r_[0.0, np.cumsum(np.diff(fine) * (values[1:] + values[:-1]) / 2)]
        self.x, self.density = points, f / cdf[-1]
        self._fine, self._values, self._cdf = fine, values / cdf[-1], cdf / cdf[-1]

    def pdf(self, x: ArrayLike) -> np.ndarray:
        """The density at x."""
        return np.interp(np.asarray(x, float), self._fine, self._values, 0.0, 0.0)

    def cdf(self, x: ArrayLike) -> np.ndarray:
        """The probability of at most x."""
        return np.interp(np.asarray(x, float), self._fine, self._cdf, 0.0, 1.0)

    def quantile(self, p: ArrayLike) -> np.ndarray:
        """The quantiles at probabilities p. **Raises:** `ValueError` for p outside of [0, 1]."""
        return np.interp(_probabilities(p), self._cdf, self._fine)

    def expect(self, f: Callable[[np.ndarray], Any]) -> float:
        """The expectation of f, a function of an array of points to one of values."""
        g = np.asarray(f(self._fine), float) * self._values
        return float(np.sum(np.diff(self._fine) * (g[1:] + g[:-1]) / 2))

    @property
    def mean(self) -> float:
        return self.expect(lambda x: x)

    @property
    def sd(self) -> float:
        center = self.mean
        return float(np.sqrt(self.expect(lambda x: (x - center) ** 2)))

    @property
    def mode(self) -> float:
        """Where the density is largest."""
        return float(self._fine[np.argmax(self._values)])

    def interval(self, probability: float = 0.95) -> tuple[float, float]:
        """The central interval of that probability."""
        tail = (1.0 - probability) / 2
        low, high = self.quantile(np.array([tail, 1.0 - tail]))
        return float(low), float(high)

    def transform(self, f: Callable[[Any], Any]) -> "Marginal":
        """The density of f(x), f a monotone function of a scalar that JAX can differentiate, as `jnp.exp`.

        **Raises:** `ValueError` if f is not monotone on the points.
        """
        points = jnp.asarray(self._fine)
        y = np.asarray(jax.vmap(f)(points), float)
        slope = np.asarray(jax.vmap(jax.grad(lambda x: f(x).astype(float)))(points), float)
        order = np.argsort(y)
        monotone = np.all(np.diff(y) >= 0) or np.all(np.diff(y) <= 0)
        # Where f saturates, points fall together: one of them is kept.
        order = order[(np.diff(y[order], prepend=-np.inf) > 0) & (slope[order] != 0)]
        if not monotone or order.size < 4 or not np.isfinite(y).all():
            raise ValueError(
                "`f` must be monotone, finite and not constant where the density is positive: from "
                f"{self.x[0]:.4g} to {self.x[-1]:.4g}"
            )
        return Marginal(y[order], (self._values / np.abs(slope))[order])

    def __repr__(self) -> str:
        low, high = self.interval()
        return f"Marginal(mean={self.mean:.4g}, sd={self.sd:.4g}, 95%=[{low:.4g}, {high:.4g}])"


class Marginals:
    """The posterior densities of many quantities: mixtures of normal or skew-normal ones over the points.

    **Attributes:**

    - `weights` (K,): of the integration points; they add up to 1.
    - `means`, `sds` (K, n): of every quantity at every point.
    - `skews` (K, n): its skewness there, or None for normal densities.
    """

    weights: Float[np.ndarray, " K"]
    means: Float[np.ndarray, "K n"]
    sds: Float[np.ndarray, "K n"]
    skews: Float[np.ndarray, "K n"] | None

    def __init__(
        self,
        weights: Float[np.ndarray, " K"],
        means: Float[np.ndarray, "K n"],
        sds: Float[np.ndarray, "K n"],
        skews: Float[np.ndarray, "K n"] | None = None,
    ) -> None:
        self.weights, self.means, self.sds = weights, means, sds
        self.skews = None if skews is None else np.clip(skews, -_MAX_SKEW, _MAX_SKEW)

    def __len__(self) -> int:
        return self.means.shape[1]

    @property
    def mean(self) -> Float[np.ndarray, " n"]:
        return self.weights @ self.means

    @property
    def sd(self) -> Float[np.ndarray, " n"]:
        spread = self.sds**2 + (self.means - self.mean) ** 2
        return np.sqrt(self.weights @ spread)

    def cdf(self, x: Float[ArrayLike, " n"]) -> Float[np.ndarray, " n"]:
        """The probability that each quantity is at most its x; a scalar stands for all of them."""
        return self.weights @ self._below(np.asarray(x, float), slice(None))

    def quantile(self, p: float) -> Float[np.ndarray, " n"]:
        """The quantile of every quantity at the probability p, to 1e-9 of its standard deviations.

        **Raises:** `ValueError` for p outside of (0, 1).
        """
        p = float(_probabilities(p))
        if not 0.0 < p < 1.0:
            raise ValueError(f"`p` must lie inside of (0, 1), got {p}")
        reach = 10.0 + abs(float(sc.ndtri(p)))
        low, high = (self.means - reach * self.sds).min(0), (self.means + reach * self.sds).max(0)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.cdf(middle) < p
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def __getitem__(self, i: int) -> Marginal:
        """The density of quantity i."""
        means, sds = self.means[:, i], self.sds[:, i]
        if not np.all(sds > 0):
            raise ValueError(f"quantity {i} is determined by the constraints: it has no density")
        kept = self.weights > 1e-6 * self.weights.max()
        low, high = (means - 6 * sds)[kept].min(), (means + 6 * sds)[kept].max()
        x = np.linspace(low, high, _MIXED)
        z = (x[:, None] - means) / sds
        skews = None if self.skews is None else self.skews[:, i]
        return Marginal(x, (_density(z, skews) / sds) @ self.weights)

    def _below(self, x: np.ndarray, which: Any) -> np.ndarray:
        means, sds = self.means[:, which], self.sds[:, which]
        safe = np.where(sds > 0, sds, 1.0)
        z = np.where(sds > 0, (x - means) / safe, np.where(x >= means, np.inf, -np.inf))
        if self.skews is None:
            return sc.ndtr(z)
        location, scale, shape = _skew_normal(self.skews[:, which])
        u = (z - location) / scale
        return np.clip(sc.ndtr(u) - 2.0 * sc.owens_t(u, shape), 0.0, 1.0)

    def __repr__(self) -> str:
        kind = "normal" if self.skews is None else "skew-normal"
        return f"Marginals({len(self)} mixtures of {self.weights.size} {kind} densities)"


def _density(z: np.ndarray, skews: np.ndarray | None) -> np.ndarray:
    if skews is None:
        return np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    location, scale, shape = _skew_normal(skews)
    u = (z - location) / scale
    return np.exp(-0.5 * u * u) * np.sqrt(2 / np.pi) * sc.ndtr(shape * u) / scale


def _skew_normal(skew: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Location, scale and shape of the skew-normal density of mean 0, variance 1 and this skewness.

    **Source:** Azzalini, *A class of distributions which includes the normal ones*, Scand. J. Stat. 12
    (1985).
    """
    g = np.cbrt(2.0 * np.abs(skew) / (4.0 - np.pi))
    b = np.sign(skew) * g / np.sqrt(1.0 + g * g)  # delta sqrt(2 / pi)
    delta = np.clip(b * np.sqrt(np.pi / 2), -1 + 1e-12, 1 - 1e-12)
    scale = 1.0 / np.sqrt(1.0 - b * b)
    return -scale * b, scale, delta / np.sqrt(1.0 - delta * delta)


def _probabilities(p: ArrayLike) -> np.ndarray:
    values = np.asarray(p, float)
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"`p` must lie in [0, 1], got {p}")
    return values
