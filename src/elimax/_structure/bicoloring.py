"""Products from both sides: long rows with products from the left, the rest with products from the right."""

from collections.abc import Iterator

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure._native_coloring import Columns
from elimax._structure.colorable import Colorable
from elimax._structure.coloring import Coloring
from elimax._structure.greedy import greedy

_ORDERS = ("largest_first", "smallest_last", "incidence_degree", "dynamic_largest_first")
# How many lengths are tried as the longest that is not long.
_TRIED = 12
# Visits of colors around a neighbor, in one order.
_WORK = 30_000_000


def covers(graph: Colorable, fewest: int) -> Iterator[tuple[np.ndarray, int]]:
    """Colorings of columns and rows, and how many colors they have, which may be less than `fewest`.

    Rows longer than some length are colored, so that those with an entry in a common column differ; columns
    are, so that those with an entry in a common row of the other ones differ. The same of long columns.

    **Source:** Gebremedhin, Manne and Pothen, SIAM Review 47 (2005), section 6: vertex covers.
    """
    m, n = graph.matrix.shape
    transposed = native.transpose(graph.matrix)[0]
    for colors_right, colors_left, count in _covers(graph.matrix, transposed, fewest):
        fewest = min(fewest, count)
        yield np.concatenate([colors_right, colors_left]), count
    for colors_left, colors_right, count in _covers(transposed, graph.matrix, fewest):
        yield np.concatenate([colors_right, colors_left]), count


def _covers(
    A: Columns, transposed: Columns, fewest: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Colors of the columns and of the long rows."""
    lengths = np.diff(transposed.pointers)
    limits = np.unique(lengths)[:-1]  # without the longest: something is to be long
    limits = limits[limits + 1 < fewest]
    if limits.size > _TRIED:
        limits = limits[np.unique(np.geomspace(1, limits.size, _TRIED).astype(int)) - 1]
    bounds = []
    for limit in limits[::-1].tolist():
        is_long = lengths > limit
        in_long = _restricted(A, is_long)
        bounds.append((limit + int(np.diff(in_long.pointers).max(initial=0)), limit))
    for bound, limit in sorted(bounds)[:4]:
        if bound >= fewest:
            break
        is_long = lengths > limit
        rest, long = _restricted(A, ~is_long), native.transpose(_restricted(A, is_long))[0]
        column_colors, row_colors = _colors(rest), _colors(long)
        count = int(column_colors.max(initial=-1) + row_colors.max(initial=-1)) + 2
        fewest = min(fewest, count)
        yield column_colors, row_colors, count


def _restricted(A: Columns, rows: np.ndarray) -> Columns:
    """The entries in some rows."""
    kept = rows[A.rows]
    counted = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    return Columns(A.shape, counted[A.pointers], A.rows[kept])


def _colors(A: Columns) -> np.ndarray:
    """The best of a few orders; columns without an entry are neutral."""
    colors = native.color(A, "columns", np.arange(A.size, dtype=np.int32))
    for order in ("largest_first", "smallest_last"):
        other = native.color(A, "columns", native.vertex_order(A, order, of_columns=True))
        if other.max(initial=-1) < colors.max(initial=-1):
            colors = other
    return np.where(np.diff(A.pointers) == 0, np.int32(-1), colors)


def in_orders(graph: Colorable, found: Coloring) -> Coloring:
    """The best of `found` and of star bicolorings in several orders, as far as these take little time."""
    if graph.pattern.nnz * max(1, found.num_colors) > _WORK:
        return found
    return min((found, *(greedy(graph, order) for order in _ORDERS)), key=lambda c: c.num_colors)
