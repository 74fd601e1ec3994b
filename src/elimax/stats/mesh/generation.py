"""From data points to a mesh: fine where the data are, and coarser with the distance from them.

The fine region is filled with a hexagonal lattice; around it follow rings of points, each farther from
the last than that was from its own predecessor. Lattice and rings give way to data points, are smoothed,
and what is still too large or too thin is refined.
"""

import numpy as np
import scipy.spatial

from elimax.stats.mesh.curve import contains, convex_region, hexagonal, ring, sample
from elimax.stats.mesh.geometry import cross
from elimax.stats.mesh.refinement import Size, refine, smooth

_FILL = 0.8  # spacing of the lattice by the longest edge: smoothing stretches some edges
_GROWTH = 0.3  # how much longer edges may be at a distance of one
_CLEAR = 0.6  # how far, in spacings, lattice points stay from given ones
_SMOOTHING = 2
_SAME = 1e-7  # by the size of the region, how close points are that are taken for one
_JITTER = 1e-3  # by the spacing: four points on a circle make Qhull slow


def apart(points: np.ndarray, cutoff: float) -> np.ndarray:
    """The first of all points that are within `cutoff` of each other, in their order.

    A distance that Qhull cannot tell from zero is always within it.
    """
    if not len(points):
        return points
    _, first = np.unique(points, axis=0, return_index=True)
    points = points[np.sort(first)]
    cutoff = max(cutoff, _SAME * np.ptp(points, axis=0).max())
    i, j = scipy.spatial.cKDTree(points).query_pairs(cutoff, output_type="ndarray").T
    kept = np.ones(len(points), bool)
    order = np.argsort(i, kind="stable")
    for a, b in zip(i[order].tolist(), j[order].tolist(), strict=True):  # all pairs have a < b
        if kept[a]:
            kept[b] = False
    return points[kept]


def triangulate(
    points: np.ndarray,
    longest: tuple[float, float],
    cutoff: float,
    offset: tuple[float, float],
    boundary: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Points, the given ones first, and triangles; `Mesh.from_points` has the arguments."""
    given = apart(points, cutoff)
    origin = (given if boundary is None else boundary).mean(
        axis=0
    )  # far from it, circles are inexact
    firm, boundary = given - origin, None if boundary is None else boundary - origin
    corners = convex_region(firm if boundary is None else boundary, offset[0] * (boundary is None))
    size = Size(*longest, _GROWTH, corners)
    spacing = _FILL * size.inner
    distances = _ring_distances(size, offset[1])
    rings = [
        ring(corners, distance, _FILL * float(size.at_distance(distance)), 0.5 * (k % 2))
        for k, distance in enumerate(distances)
    ]
    loops = [] if boundary is None else [sample(_through(boundary, firm), spacing)]
    if rings:
        loops.append(rings.pop())
    elif boundary is None:
        loops.append(sample(_through(corners, firm), spacing))
    if boundary is not None:
        covered = contains(loops[-1], firm)
        given, firm = given[covered], firm[covered]
    segments = []
    for loop in loops:
        firm, index = _joined(firm, loop)
        segments.append(np.stack([index, np.roll(index, -1)], axis=1))

    convex = boundary is None or bool(distances)
    lattice = hexagonal(corners, spacing)
    if not convex:
        lattice = lattice[contains(loops[-1], lattice)]
    jitter = np.random.default_rng(0).uniform(-1, 1, lattice.shape)
    cloud = np.concatenate([firm, _clear(lattice + _JITTER * spacing * jitter, firm, spacing)])
    for some, distance in zip(rings, distances, strict=False):
        cloud = np.concatenate(
            [cloud, _clear(some, cloud, _FILL * float(size.at_distance(distance)))]
        )
    cloud = smooth(cloud, np.arange(len(firm), len(cloud)), _SMOOTHING)
    cloud, triangles = refine(cloud, np.concatenate(segments), size, loops[-1], convex)
    return np.concatenate([given, cloud[len(given) :] + origin]), triangles


def subdivide(
    points: np.ndarray, longest: tuple[float, float], cutoff: float, offset: tuple[float, float]
) -> np.ndarray:
    """Sorted knots: the given points, and others between and around them; as `triangulate`, on a line."""
    given = np.sort(apart(np.asarray(points)[:, None], cutoff)[:, 0])
    fine = [given[0] - offset[0], given[-1] + offset[0]]
    knots = np.unique(np.concatenate([given, fine]))
    parts = np.maximum(1, np.ceil(np.diff(knots) / longest[0])).astype(int)
    gap = np.repeat(np.arange(parts.size), parts)
    step = np.arange(gap.size) - np.repeat(np.cumsum(parts) - parts, parts)
    knots = np.append(knots[gap] + step / parts[gap] * np.diff(knots)[gap], knots[-1])
    steps = []
    distance = 0.0
    while distance < offset[1]:
        steps.append(min(longest[1], longest[0] + _GROWTH * distance))
        distance += steps[-1]
    beyond = np.cumsum(steps) * (offset[1] / distance if steps else 0.0)
    return np.concatenate([knots[0] - beyond[::-1], knots, knots[-1] + beyond])


def _through(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The polygon with those of the points that lie on its edges as corners, too."""
    near = _SAME * np.ptp(corners, axis=0).max()
    pieces = []
    for p, q in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = np.linalg.norm(q - p)
        along = (points - p) @ (q - p) / length
        on = np.abs(cross(q - p, points - p)) <= near * length
        on &= (along > near) & (along < length - near)
        pieces += [p[None], points[on][np.argsort(along[on])]]
    return np.concatenate(pieces)


def _joined(firm: np.ndarray, loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All points, and where those of the loop are among them: some may coincide with a given one."""
    index = np.arange(len(firm), len(firm) + len(loop))
    if len(firm):
        gap, nearest = scipy.spatial.cKDTree(firm).query(loop)
        same = gap <= _SAME * np.ptp(loop, axis=0).max()
        index = np.where(same, nearest, len(firm) + np.cumsum(~same) - 1)
        loop = loop[~same]
    return np.concatenate([firm, loop]), index


def _ring_distances(size: Size, width: float) -> list[float]:
    """Of the rings around the fine region, ending at `width`."""
    if width <= 0:
        return []
    distances = [0.0]
    while distances[-1] < width:
        edge = _FILL * float(size.at_distance(distances[-1]))
        distances.append(distances[-1] + np.sqrt(0.75) * edge)
    if len(distances) > 2 and distances[-1] - width > width - distances[-2]:
        distances.pop()
    return [distance * (width / distances[-1]) for distance in distances]


def _clear(points: np.ndarray, others: np.ndarray, spacing: float) -> np.ndarray:
    """The points that are farther than a share of a spacing from all others."""
    if not len(points) or not len(others):
        return points
    return points[scipy.spatial.cKDTree(others).query(points)[0] > _CLEAR * spacing]
