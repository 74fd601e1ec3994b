"""Where a density of hyperparameters is evaluated to integrate it, in standardized coordinates z; host only.

The density is close to the standard normal in z. A *grid* is a box with the trapezoidal rule, whose error for
densities that decay falls faster than any power of the spacing. A *central composite design* has a center, 2
d points on the axes and the corners of a fractional factorial design, all on a sphere of radius f sqrt(d),
with weights that integrate 1 and |z|^2 exactly: Rue, Martino and Chopin (JRSS-B 71, 2009, section 6.5).
"""

import math

import numpy as np
from jaxtyping import Float

# Indices of the Walsh functions whose columns make a design of resolution V: Sanchez and Sanchez, *Very large
# fractional factorial and central composite designs*, ACM TOMACS 15 (2005), table 1.
_WALSH = (1, 2, 4, 8, 15, 16, 32, 51, 64, 85, 106, 128, 150, 171, 219, 237, 247, 256, 279, 297)
_STRETCH = 1.1  # of the radius beyond sqrt(d)


def composite(d: int) -> tuple[Float[np.ndarray, "K d"], Float[np.ndarray, " K"]]:
    r"""The central composite design, and factors that turn values of a density into weights.

    For the density $f$: $\int f \approx (2 \pi)^{d/2} \sum_k w_k f(z_k)$. The center comes first.

    **Raises:** `ValueError` for d above 20.
    """
    if d > len(_WALSH):
        raise ValueError(
            f"a central composite design goes up to {len(_WALSH)} hyperparameters, got {d}: take 'eb'"
        )
    index = np.array(_WALSH[:d])
    runs = np.arange(1 << int(index.max()).bit_length())
    corners = _STRETCH * (1.0 - 2.0 * _parity(runs[:, None] & index))
    axes = _STRETCH * math.sqrt(d) * np.concatenate([np.eye(d), -np.eye(d)])
    sphere = np.concatenate([axes, corners])
    on_sphere = math.exp(0.5 * d * _STRETCH**2) / (sphere.shape[0] * _STRETCH**2)
    weights = np.r_[1.0 - 1.0 / _STRETCH**2, np.full(sphere.shape[0], on_sphere)]
    return np.concatenate([np.zeros((1, d)), sphere]), weights


def _parity(values: np.ndarray) -> np.ndarray:
    parity = np.zeros_like(values)
    while values.any():
        parity ^= values & 1
        values = values >> 1
    return parity


def ticks(low: float, high: float, spacing: float) -> Float[np.ndarray, " q"]:
    """Evenly spaced points from low < 0 to high > 0, at most that far apart: at least five."""
    count = max(5, math.ceil((high - low) / spacing) + 1)
    return np.linspace(low, high, count)


def box(axes: list[Float[np.ndarray, " q"]]) -> Float[np.ndarray, "K d"]:
    """All points of the grid with these axes, the last axis fastest."""
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
