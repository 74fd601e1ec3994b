"""Triangles and intervals as arrays: sizes, angles, edges, point location; NumPy on the host."""

import numpy as np
import scipy.spatial

_INSIDE = 1e-9  # how far below zero a barycentric coordinate may round


def signed_areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Positive for triangles that run counterclockwise."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return 0.5 * cross(b - a, c - a)


def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The third component of the product of plane vectors."""
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def edge_lengths(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Column k: the length of the edge opposite of corner k."""
    corner = points[triangles]
    return np.linalg.norm(corner[:, [1, 2, 0]] - corner[:, [2, 0, 1]], axis=2)


def angles(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The angle at each corner, in degrees."""
    corner = points[triangles]
    u = corner[:, [1, 2, 0]] - corner
    v = corner[:, [2, 0, 1]] - corner
    return np.degrees(np.arctan2(np.abs(cross(u, v)), np.sum(u * v, axis=2)))


def circumcircles(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centers and radii of the circles through the corners."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    u, v = b - a, c - a
    uu, vv = np.sum(u * u, axis=1), np.sum(v * v, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        twice = 0.5 / cross(u, v)
        x = (v[:, 1] * uu - u[:, 1] * vv) * twice
        y = (u[:, 0] * vv - v[:, 0] * uu) * twice
    shift = np.stack([x, y], axis=1)
    return a + shift, np.linalg.norm(shift, axis=1)


def cell_edges(cells: np.ndarray) -> np.ndarray:
    """The edges of triangles (or intervals), each once, smaller index first, sorted."""
    pairs = [(0, 1)] if cells.shape[1] == 2 else [(0, 1), (1, 2), (2, 0)]
    both = np.concatenate([cells[:, pair] for pair in map(list, pairs)]).astype(np.int64)
    both.sort(axis=1)
    size = int(both.max(initial=0)) + 1
    keys = np.unique(both[:, 0] * size + both[:, 1])
    return np.stack(np.divmod(keys, size), axis=1)


def halve(points: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits every edge: 4 triangles for one, or 2 intervals; new points behind the old ones."""
    n = len(points)
    edges = cell_edges(cells)
    keys = edges[:, 0] * n + edges[:, 1]

    def middle(i: int, j: int) -> np.ndarray:
        low, high = np.sort(cells[:, [i, j]].astype(np.int64), axis=1).T
        return n + np.searchsorted(keys, low * n + high)

    finer = np.concatenate([points, points[edges].mean(axis=1)])
    if cells.shape[1] == 2:
        center = middle(0, 1)
        pieces = [(cells[:, 0], center), (center, cells[:, 1])]
        return finer, np.concatenate([np.stack(piece, axis=1) for piece in pieces])
    a, b, c = cells.T
    ab, bc, ca = middle(0, 1), middle(1, 2), middle(2, 0)
    corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return finer, np.concatenate([np.stack(corner, axis=1) for corner in corners])


def locate_on_line(
    points: np.ndarray, cells: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `locate`, among intervals, whose smaller ends come first."""
    order = np.argsort(points[cells[:, 0]])
    left, right = points[cells[order]].T
    k = np.clip(np.searchsorted(left, x, side="right") - 1, 0, order.size - 1)
    share = (x - left[k]) / (right - left)[k]
    inside = (share >= -_INSIDE) & (share <= 1 + _INSIDE)
    share = np.clip(share, 0.0, 1.0)
    return np.where(inside, order[k], -1), np.stack([1 - share, share], axis=1)


def locate(
    points: np.ndarray, triangles: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each location the triangle that holds it, -1 for none, and its barycentric coordinates there.

    The center of a triangle is no farther from what it holds than from its farthest corner. Triangles are
    sorted into classes of this radius, a factor of 2 wide, so that a search in a k-d tree of centers
    finds a bounded number of candidates in a mesh of decent triangles, graded or not; it is right for any.
    """
    corner = points[triangles]
    center = corner.mean(axis=1)
    radius = np.linalg.norm(corner - center[:, None], axis=2).max(axis=1)
    found = np.full(len(x), -1)
    best = np.full(len(x), -np.inf)
    weights = np.zeros((len(x), 3))
    size = np.frexp(radius)[1]
    for exponent in np.unique(size):
        pending = np.flatnonzero(best < 0)
        members = np.flatnonzero(size == exponent)
        tree = scipy.spatial.cKDTree(center[members])
        reach = radius[members].max() * (1 + _INSIDE)
        near = tree.query_ball_point(x[pending], reach, return_sorted=True)
        counts = np.array([len(some) for some in near], np.int64)
        if not counts.sum():
            continue
        triangle = members[np.concatenate([np.asarray(some, np.int64) for some in near])]
        location = np.repeat(pending, counts)
        coordinates = _barycentric(corner[triangle], x[location])
        depth = coordinates.min(axis=1)
        # of each location's candidates the deepest, the first of equals: stable in the order of triangles
        order = np.lexsort((-depth, location))
        first = order[np.unique(location[order], return_index=True)[1]]
        where = location[first]
        better = depth[first] > best[where]
        first, where = first[better], where[better]
        best[where], found[where] = depth[first], triangle[first]
        weights[where] = coordinates[first]
    weights = np.maximum(weights, 0.0)
    inside = best >= -_INSIDE
    weights[inside] /= weights[inside].sum(axis=1, keepdims=True)
    return np.where(inside, found, -1), weights


def _barycentric(corner: np.ndarray, x: np.ndarray) -> np.ndarray:
    a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
    area = cross(b - a, c - a)
    first, second = cross(b - x, c - x) / area, cross(c - x, a - x) / area
    return np.stack([first, second, 1 - first - second], axis=1)
