r"""Marginal posterior densities of the hyperparameters, theta_j = mode_j + sum_k V_jk z_k.

From a grid, the log density is interpolated by splines, and integrated over the plane {theta_j = t} for many
t. Without one, the axes are taken to be independent with two-sided normal densities (Martins, Simpson,
Lindgren and Rue, Comput. Stat. Data Anal. 67, 2013, section 3), and the density of the sum is a convolution.
"""

import itertools

import numpy as np
import scipy.interpolate as si
from jaxtyping import Float

from elimax.stats.inference.explore import Shape
from elimax.stats.inference.marginal import Marginal

_POINTS = 161  # of a marginal
_INNER = {1: 1, 2: 161, 3: 61, 4: 25}  # points along each direction of the planes, by dimension
_REACH = 5.0  # standard deviations


def from_grid(
    shape: Shape, axes: list[Float[np.ndarray, " q"]], values: Float[np.ndarray, "..."]
) -> list[Marginal]:
    """The marginals, from log densities on the grid with these axes of z (-inf where there is none)."""
    d = len(axes)
    floor = values.max() - 60.0  # a spline cannot pass through minus infinity
    interpolate = _tensor_spline(axes, np.maximum(values - values.max(), floor - values.max()))
    corners = np.array(list(itertools.product(*((a[0], a[-1]) for a in axes))))
    marginals = []
    for j in range(d):
        direction = shape.scale[j]
        length = np.linalg.norm(direction)
        along = direction / length
        across = np.linalg.svd(along[None])[2][1:]  # an orthonormal basis of the plane
        s = np.linspace(*_range(corners @ along), _POINTS)
        planes = [np.linspace(*_range(corners @ u), _INNER[d]) for u in across]
        nodes = np.array(list(itertools.product(*planes)))
        inner = nodes.reshape(_INNER[d] ** (d - 1), d - 1) @ across
        z = s[:, None, None] * along + inner
        density = np.exp(interpolate(z.reshape(-1, d))).reshape(z.shape[:2]).sum(1)
        kept = density > 1e-12 * density.max()
        low, high = np.flatnonzero(kept)[[0, -1]]
        marginals.append(
            Marginal((shape.mode[j] + length * s)[low : high + 1], density[low : high + 1])
        )
    return marginals


def from_shape(shape: Shape) -> list[Marginal]:
    """The marginals of independent two-sided normal axes."""
    marginals = []
    for j in range(shape.mode.size):
        # z -> -z turns a negative coefficient into a positive one.
        flip = shape.scale[j] < 0
        scales = np.abs(shape.scale[j])
        left = scales * np.where(flip, shape.right, shape.left)
        right = scales * np.where(flip, shape.left, shape.right)
        order = np.argsort(-np.maximum(left, right))
        below, above = np.sqrt(np.sum(left**2)), np.sqrt(np.sum(right**2))
        shift = np.sqrt(2 / np.pi) * np.sum(right - left)
        t = np.linspace(-_REACH * below + min(shift, 0), _REACH * above + max(shift, 0), _POINTS)
        density = _two_sided(t, left[order[0]], right[order[0]])
        for k in order[1:]:
            density = _convolved(t, density, left[k], right[k])
        marginals.append(Marginal(shape.mode[j] + t, np.maximum(density, 0.0)))
    return marginals


def _two_sided(t: np.ndarray, left: float, right: float) -> np.ndarray:
    return np.exp(-0.5 * (t / np.where(t < 0, left, right)) ** 2)


def _convolved(t: np.ndarray, density: np.ndarray, left: float, right: float) -> np.ndarray:
    """The density of the sum with an independent two-sided normal variable."""
    if max(left, right) < 1e-8 * (t[-1] - t[0]):
        return density
    f = si.CubicSpline(t, density)
    u, w = np.polynomial.legendre.leggauss(24)
    half = (u + 1) / 2 * _REACH
    shifts = np.concatenate([-left * half, right * half])
    weights = np.concatenate([left * w, right * w]) * np.exp(
        -0.5 * np.concatenate([half, half]) ** 2
    )
    at = t[:, None] - shifts
    inside = (at >= t[0]) & (at <= t[-1])
    return np.where(inside, f(np.clip(at, t[0], t[-1])), 0.0) @ (weights / weights.sum())


def _tensor_spline(axes: list[np.ndarray], values: np.ndarray):
    """A function of points (p, d): the cubic spline through the values, minus infinity outside of the box."""
    grid = values
    for k, axis in enumerate(axes):
        spline = si.make_interp_spline(axis, np.moveaxis(grid, k, 0), k=3)
        grid = np.moveaxis(spline.c, 0, k)
    knots = tuple(si.make_interp_spline(axis, axis, k=3).t for axis in axes)
    whole = si.NdBSpline(knots, grid, (3,) * len(axes))
    low, high = np.array([a[0] for a in axes]), np.array([a[-1] for a in axes])

    def interpolate(points: np.ndarray) -> np.ndarray:
        inside = np.all((points >= low) & (points <= high), axis=1)
        return np.where(inside, whole(np.clip(points, low, high)), -np.inf)

    return interpolate


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())
