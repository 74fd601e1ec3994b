"""Delaunay triangulations that are smoothed and refined until no triangle is large or has a small angle.

Triangles that are too large or too thin get a new point at the center of their circumscribed circle, but a
segment of the boundary that such a point comes too close to is halved instead; so the smallest angle
exceeds 20 degrees wherever segments meet at no acute angle, and edges are graded around clusters of given
points.

**Source:** Ruppert, J. Algorithms 18 (1995); Chew, Symp. Computational Geometry (1993); Shewchuk,
Computational Geometry 22 (2002). Rewritten for whole arrays: an independent set of centers at a time.
"""

import dataclasses

import numpy as np
import scipy.spatial

from elimax.stats.mesh.curve import contains
from elimax.stats.mesh.geometry import (
    angles,
    cell_edges,
    circumcircles,
    cross,
    edge_lengths,
)

_ANGLE = 20.7  # degrees: what Ruppert's argument allows
_FLAT = 1e-7  # the height of a triangle by its longest edge that is flat within rounding
_SHORTEST = (
    1e-3  # no segment below this share of the finest size is halved, as acute corners ask for
)
_ROUNDS = 40


@dataclasses.dataclass(frozen=True)
class Size:
    """How long edges may be: `inner` in a convex polygon, and `growth` longer per distance, up to `outer`."""

    inner: float
    outer: float
    growth: float
    corners: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """At locations. The distance is that from lines through edges: off corners it is a little less."""
        distance = np.zeros(len(x))
        for p, q in zip(self.corners, np.roll(self.corners, -1, axis=0), strict=True):
            outward = cross(x - p, (q - p) / np.linalg.norm(q - p))
            np.maximum(distance, outward, out=distance)
        return self.at_distance(distance)

    def at_distance(self, distance: np.ndarray | float) -> np.ndarray:
        return np.minimum(self.outer, self.inner + self.growth * np.asarray(distance))


def smooth(points: np.ndarray, free: np.ndarray, rounds: int) -> np.ndarray:
    """Moves every free point to the mean of its neighbors, again and again."""
    points = points.copy()
    for _ in range(rounds):
        i, j = cell_edges(delaunay(points)).T
        ends, others = np.concatenate([i, j]), np.concatenate([j, i])
        degree = np.maximum(np.bincount(ends, minlength=len(points)), 1)
        for axis in range(2):
            mean = np.bincount(ends, points[others, axis], len(points)) / degree
            points[free, axis] = mean[free]
    return points


def delaunay(points: np.ndarray) -> np.ndarray:
    """The triangles, without those at the convex hull that are flat, as of three points on a side."""
    made = scipy.spatial.Delaunay(points)
    triangles, neighbors = made.simplices, made.neighbors
    a, b, c = (points[triangles[:, k]] for k in range(3))
    longest = edge_lengths(points, triangles).max(axis=1)
    flat = np.abs(cross(b - a, c - a)) <= _FLAT * longest**2
    outside = np.append(np.zeros(len(triangles), bool), True)  # its last element is for neighbor -1
    while True:  # from the hull inwards
        peeled = flat & ~outside[:-1] & outside[neighbors].any(axis=1)
        if not peeled.any():
            return triangles[~outside[:-1]]
        outside[:-1] |= peeled


def refine(
    points: np.ndarray, segments: np.ndarray, size: Size, region: np.ndarray, convex: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Points and triangles that respect the segments (pairs of points).

    **Arguments:**

    - `size`: how long edges may be.
    - `region`: the polygon that is meshed, and whether it is convex; triangles outside are left out.
    """
    smallest = _SHORTEST * size.inner
    for _ in range(_ROUNDS):
        triangles = _inside(points, region, convex)
        torn = _missing(triangles, segments, len(points)) | _encroached(points, segments)
        torn &= _lengths(points, segments) > smallest
        new = np.empty((0, 2))
        if not torn.any():
            new, torn = _centers(points, triangles, segments, size)
            new = new[contains(region, new)]
            torn &= _lengths(points, segments) > smallest
            if not len(new) and not torn.any():
                return points, triangles
        points, segments = _halve(points, segments, torn)
        points = np.concatenate([points, new])
    return points, _inside(points, region, convex)


def _inside(points: np.ndarray, region: np.ndarray, convex: bool) -> np.ndarray:
    triangles = delaunay(points)
    return triangles if convex else triangles[contains(region, points[triangles].mean(axis=1))]


def _lengths(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[segments[:, 1]] - points[segments[:, 0]], axis=1)


def _circles(points: np.ndarray, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of which the segments are diameters; without their ends."""
    return points[segments].mean(axis=1), (0.5 - 1e-6) * _lengths(points, segments)


def _encroached(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Which segments see a point at an obtuse angle."""
    tree = scipy.spatial.cKDTree(points)
    return tree.query_ball_point(*_circles(points, segments), return_length=True) > 0


def _missing(triangles: np.ndarray, segments: np.ndarray, n: int) -> np.ndarray:
    """Which segments are not edges."""
    ends = np.zeros(n, bool)
    ends[segments] = True
    edges = cell_edges(triangles[ends[triangles].sum(axis=1) > 1])
    wanted = np.sort(segments, axis=1)
    return ~np.isin(wanted[:, 0] * n + wanted[:, 1], edges[:, 0] * n + edges[:, 1])


def _halve(
    points: np.ndarray, segments: np.ndarray, torn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if not torn.any():
        return points, segments
    start, stop = segments[torn].T
    middle = len(points) + np.arange(start.size)
    points = np.concatenate([points, 0.5 * (points[start] + points[stop])])
    halves = [np.stack([start, middle], axis=1), np.stack([middle, stop], axis=1)]
    return points, np.concatenate([segments[~torn], *halves])


def _centers(
    points: np.ndarray,
    triangles: np.ndarray,
    segments: np.ndarray,
    size: Size,
) -> tuple[np.ndarray, np.ndarray]:
    """Centers of bad triangles, none in the circle of another, and segments that others come too close to."""
    bad = angles(points, triangles).min(axis=1) < _ANGLE
    length = edge_lengths(points, triangles).max(axis=1)
    long = np.flatnonzero(length > size.inner)
    bad[long] |= length[long] > size(points[triangles[long]].mean(axis=1))
    center, radius = circumcircles(points, triangles[bad])
    order = np.argsort(
        -radius, kind="stable"
    )  # the largest first, as fewer points serve more triangles
    center, radius = center[order], radius[order]
    torn = np.zeros(len(segments), bool)
    if not len(center):
        return center, torn
    tree = scipy.spatial.cKDTree(center)
    alive = np.ones(len(center), bool)
    for k, near in enumerate(tree.query_ball_point(*_circles(points, segments))):
        torn[k] = bool(near)
        alive[near] = False
    for k, near in enumerate(tree.query_ball_point(center, radius * (1 - 1e-9))):
        if alive[k]:
            alive[near] = False
            alive[k] = True
    return center[alive], torn
