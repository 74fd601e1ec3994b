"""Closed curves around a region of the plane: convex hulls, curves at a distance, samples of them."""

import numpy as np
import scipy.spatial

from elimax.stats.mesh.geometry import cross

_ROUND = 32  # corners of the polygon that stands for a circle


def convex_region(points: np.ndarray, distance: float) -> np.ndarray:
    """The corners, counterclockwise, of the convex hull of what is within a distance of the points.

    **Raises:** `ValueError` if that is a line or a point.
    """
    corners = points
    try:
        corners = points[scipy.spatial.ConvexHull(points).vertices]
    except (scipy.spatial.QhullError, ValueError) as error:  # fewer than three points, or on a line
        if distance <= 0:
            raise ValueError(
                "`points` lie on a line, or are fewer than three: the first number of `offset` must be "
                "positive to make a region of them"
            ) from error
    if distance > 0:
        turn = np.arange(_ROUND) * (2 * np.pi / _ROUND)
        circle = distance * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        corners = (corners[:, None] + circle).reshape(-1, 2)
        corners = corners[scipy.spatial.ConvexHull(corners).vertices]
    return corners


def ring(corners: np.ndarray, distance: float, spacing: float, shift: float) -> np.ndarray:
    """Points about `spacing` apart on the curve at a distance from a convex polygon, round at its corners.

    `shift` moves them along the curve, in units of the spacing.
    """
    along = np.roll(corners, -1, axis=0) - corners
    length = np.linalg.norm(along, axis=1)
    along = along / length[:, None]
    following = np.roll(along, -1, axis=0)
    turn = np.arctan2(cross(along, following), np.sum(along * following, axis=1))
    pieces = np.stack([length, distance * turn], axis=1).ravel()  # edge, corner, edge, corner, ...
    ends = np.concatenate([[0.0], np.cumsum(pieces)])
    count = max(3, round(ends[-1] / spacing))
    at = (np.arange(count) + shift % 1) * (ends[-1] / count)
    piece = np.clip(np.searchsorted(ends, at, side="right") - 1, 0, pieces.size - 1)
    edge, beyond = piece // 2, at - ends[piece]
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1)[edge]
    straight = corners[edge] + beyond[:, None] * along[edge] + distance * outward
    turned = beyond / distance if distance > 0 else np.zeros_like(beyond)
    cos, sin = np.cos(turned), np.sin(turned)
    direction = np.stack(
        [cos * outward[:, 0] - sin * outward[:, 1], sin * outward[:, 0] + cos * outward[:, 1]], 1
    )
    around = np.roll(corners, -1, axis=0)[edge] + distance * direction
    return np.where((piece % 2 == 0)[:, None], straight, around)


def sample(corners: np.ndarray, spacing: float) -> np.ndarray:
    """The corners of a polygon, and points that divide its edges into equal parts of at most `spacing`."""
    ahead = np.roll(corners, -1, axis=0)
    parts = np.maximum(1, np.ceil(np.linalg.norm(ahead - corners, axis=1) / spacing)).astype(int)
    edge = np.repeat(np.arange(len(corners)), parts)
    step = np.arange(edge.size) - np.repeat(np.cumsum(parts) - parts, parts)
    share = (step / parts[edge])[:, None]
    return (1 - share) * corners[edge] + share * ahead[edge]


def contains(corners: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Whether locations lie inside of a polygon: a ray from there crosses an odd number of edges."""
    a, b = corners, np.roll(corners, -1, axis=0)
    inside = np.zeros(len(x), bool)
    for p, q in zip(a, b, strict=True):
        if p[1] == q[1]:
            continue
        crossed = (p[1] > x[:, 1]) != (q[1] > x[:, 1])
        inside ^= crossed & (x[:, 0] < p[0] + (x[:, 1] - p[1]) / (q[1] - p[1]) * (q[0] - p[0]))
    return inside


def hexagonal(corners: np.ndarray, spacing: float) -> np.ndarray:
    """The points of a hexagonal lattice in a convex polygon."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    height = spacing * np.sqrt(0.75)
    columns, rows = np.ceil((high - low) / [spacing, height]).astype(int) + 1
    i, j = np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij")
    lattice = np.stack([(i + 0.5 * (j % 2)) * spacing, j * height], axis=-1).reshape(-1, 2) + low
    kept = np.ones(len(lattice), bool)
    for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        kept &= cross(q - p, lattice - p) > 0
    return lattice[kept]
