"""What meshes are made from, checked."""

from collections.abc import Callable
from typing import Any

import numpy as np

from elimax.stats.mesh.curve import convex_region
from elimax.stats.mesh.geometry import cross, edge_lengths

_MOST = 10_000_000  # vertices
_FLAT = 1e-12  # twice the area of a triangle by the square of its longest edge


def coordinates(name: str, points: Any, dimensions: tuple[int, ...] = (1, 2)) -> np.ndarray:
    """A fresh float64 array (k, d); a vector is taken for points of a line.

    **Raises:** `TypeError` for what is traced or not of real numbers, `ValueError` for another shape or a
    coordinate that is not finite.
    """
    try:
        array = np.asarray(points)
    except TypeError as error:
        raise TypeError(f"`{name}` must be concrete: meshes are made outside of jit") from error
    if array.size == 0 and array.ndim < 2:
        array = np.zeros((0, max(dimensions)))
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be real numbers, got dtype {array.dtype}")
    array = np.array(array, np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] not in dimensions:
        shapes = " or ".join(f"(k, {d})" for d in dimensions)
        raise ValueError(f"`{name}` must have shape {shapes}, got {np.shape(points)}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise ValueError(f"`{name}`: number {bad[0]} is {array[bad[0]].tolist()}, not finite")
    return array


def one_or_two(
    name: str, value: Any, pair: Callable[[float], tuple[float, float]], positive: bool = False
) -> tuple[float, float]:
    """Two lengths, or what `pair` makes of one.

    **Raises:** `ValueError` naming the argument if it is something else, negative, or (`positive`) zero.
    """
    array = np.asarray(value)
    right = array.dtype.kind in "iuf" and array.shape in ((), (2,))
    if not right or not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"`{name}` must be one length or two that are not negative, got {value!r}")
    if positive and not (array > 0).all():
        raise ValueError(f"`{name}` must be positive, got {value!r}")
    first, second = pair(float(array)) if array.ndim == 0 else map(float, array)
    return first, second


def polygon(boundary: Any) -> np.ndarray:
    """The corners, counterclockwise; the last may repeat the first.

    **Raises:** `ValueError` for fewer than three different corners, a polygon without area, or edges that
    cross.
    """
    corners = coordinates("boundary", boundary, dimensions=(2,))
    if len(corners) > 1 and np.array_equal(corners[0], corners[-1]):
        corners = corners[:-1]
    if len(corners) < 3 or len(np.unique(corners, axis=0)) != len(corners):
        raise ValueError(
            f"`boundary` must have at least three corners, all different, got {len(corners)}"
        )
    shifted = corners - corners.mean(axis=0)
    area = 0.5 * cross(shifted, np.roll(shifted, -1, axis=0)).sum()
    if abs(area) <= _FLAT * np.ptp(corners, axis=0).max() ** 2:
        raise ValueError("`boundary` must be a polygon with an area")
    _check_simple(corners)
    return corners if area > 0 else corners[::-1]


def _check_simple(corners: np.ndarray) -> None:
    start, stop = corners, np.roll(corners, -1, axis=0)
    for k, (p, q) in enumerate(zip(start, stop, strict=True)):
        apart = cross(q - p, start - p) * cross(q - p, stop - p) < 0
        apart &= cross(stop - start, p - start) * cross(stop - start, q - start) < 0
        if apart.any():
            raise ValueError(f"`boundary`: its edges {k} and {np.argmax(apart)} cross")


def check_size(
    around: np.ndarray, longest: tuple[float, float], widths: tuple[float, float], buffered: bool
) -> None:
    """Raises the `ValueError` of lengths that do not go together, or would fill the memory.

    `around` is the data, and then `buffered`, or the boundary.
    """
    if longest[1] < longest[0]:
        raise ValueError(
            f"`max_edge` must be (inner, outer) with inner <= outer, got {longest}: the extension is the "
            "coarser part"
        )
    if around.shape[1] == 1:
        if np.ptp(around) + sum(widths) == 0:
            raise ValueError("`points` are one point: `offset` must be positive")
        inner = (np.ptp(around) + 2 * widths[0]) / longest[0]
        count = inner + 2 * widths[1] / longest[1]
    else:
        corners = convex_region(around, widths[0] * buffered)
        sides = np.ptp(corners, axis=0)
        count = 2 * np.prod(sides / longest[0] + 1)
        count += 2 * np.prod((sides + 2 * widths[1]) / longest[1] + 1)
    if count > _MOST:
        raise ValueError(
            f"`max_edge`: a mesh with edges of at most {longest} would have about {count:.1e} vertices, more "
            f"than {_MOST}"
        )


def oriented(points: Any, cells: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points and cells of a mesh, cells turned to positive area.

    **Raises:** `TypeError` or `ValueError` naming what is wrong with which vertex or cell.
    """
    points = coordinates("points", points)
    cells = np.array(cells)
    n, d = points.shape
    if cells.dtype.kind not in "iu":
        raise TypeError(f"`cells` must be integers, got dtype {cells.dtype}")
    if cells.ndim != 2 or cells.shape[1] != d + 1 or not len(cells):
        what = "triangles (m, 3)" if d == 2 else "intervals (m, 2)"
        raise ValueError(f"`cells` must be {what}, got shape {cells.shape}")
    cells = cells.astype(np.int64)
    outside = np.flatnonzero(((cells < 0) | (cells >= n)).any(axis=1))
    if outside.size:
        hint = "; indices start at 0" if cells.min() == 1 and cells.max() == n else ""
        k = outside[0]
        raise ValueError(
            f"`cells`: number {k} is {cells[k].tolist()}, outside of 0 .. {n - 1}{hint}"
        )
    _check_vertices(points, cells)
    if d == 1:
        size = np.diff(points[cells][:, :, 0], axis=1)[:, 0]
        flat = size == 0
    else:
        a, b, c = (points[cells[:, k]] for k in range(3))
        size = cross(b - a, c - a)
        flat = np.abs(size) <= _FLAT * edge_lengths(points, cells).max(axis=1) ** 2
    if flat.any():
        k = np.argmax(flat)
        raise ValueError(f"`cells`: number {k}, {cells[k].tolist()}, has no area")
    cells[size < 0] = cells[size < 0][:, ::-1]
    _check_cells(cells, n, d)
    if d == 1:
        _check_line(points, cells)
    return points, cells


def _check_vertices(points: np.ndarray, cells: np.ndarray) -> None:
    unused = np.flatnonzero(np.bincount(cells.ravel(), minlength=len(points)) == 0)
    if unused.size:
        raise ValueError(
            f"`points`: {unused.size} belong to no cell, the first is number {unused[0]}; leave them out"
        )
    order = np.lexsort(points.T)
    same = np.flatnonzero((np.diff(points[order], axis=0) == 0).all(axis=1))
    if same.size:
        i, j = sorted(order[same[0] : same[0] + 2].tolist())
        raise ValueError(f"`points`: numbers {i} and {j} are the same, {points[i].tolist()}")


def _check_cells(cells: np.ndarray, n: int, d: int) -> None:
    corners = np.sort(cells, axis=1)
    order = np.lexsort(corners.T)
    same = np.flatnonzero((np.diff(corners[order], axis=0) == 0).all(axis=1))
    if same.size:
        i, j = sorted(order[same[0] : same[0] + 2].tolist())
        raise ValueError(f"`cells`: numbers {i} and {j} have the same vertices")
    faces = (
        corners.reshape(-1, 1) if d == 1 else corners[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2)
    )
    keys, count = np.unique(faces[:, 0] * n + faces[:, -1], return_counts=True)
    if (count > 2).any():
        face = np.unique(np.divmod(keys[np.argmax(count > 2)], n)).tolist()
        raise ValueError(f"`cells`: {count.max()} of them meet at {face}; they overlap")


def _check_line(points: np.ndarray, cells: np.ndarray) -> None:
    ends = points[cells][:, :, 0]
    ends = ends[np.argsort(ends[:, 0])]
    if (ends[1:, 0] < ends[:-1, 1]).any():
        k = np.argmax(ends[1:, 0] < ends[:-1, 1])
        raise ValueError(f"`cells`: {ends[k].tolist()} and {ends[k + 1].tolist()} overlap")
