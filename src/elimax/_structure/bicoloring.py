"""Products from both sides: long rows with products from the left, the rest with products from the right."""

from collections.abc import Iterator

import numpy as np

from elimax._structure import _native_coloring as native
from elimax._structure._native_coloring import Columns
from elimax._structure.colorable import Colorable
from elimax._structure.coloring import Coloring
from elimax._structure.greedy import attempt

_ORDERS = ("largest_first", "smallest_last", "incidence_degree", "dynamic_largest_first")
# How many lengths are weighed as the longest that is not long, and how many of them are tried; of a large
# pattern, with more entries than `_LARGE`.
_WEIGHED, _TRIED = 12, 4
_WEIGHED_OF_LARGE, _TRIED_OF_LARGE, _LARGE = 3, 1, 1_000_000
# Visits of colors around a neighbor, in one order.
_WORK = 30_000_000


def covers(graph: Colorable, fewest: int) -> Iterator[tuple[np.ndarray, int]]:
    """Colorings of columns and rows, and how many colors they have, which may be less than `fewest`.

    Rows longer than some length are colored, so that those with an entry in a common column differ; columns
    are, so that those with an entry in a common row of the other ones differ. The same of long columns.

    **Source:** Gebremedhin, Manne and Pothen, SIAM Review 47 (2005), section 6: vertex covers.
    """
    transposed = graph.transposed
    for colors_right, colors_left, count in _covers(graph.matrix, transposed, fewest):
        fewest = min(fewest, count)
        yield np.concatenate([colors_right, colors_left]), count
    for colors_left, colors_right, count in _covers(transposed, graph.matrix, fewest):
        yield np.concatenate([colors_right, colors_left]), count


def _covers(
    A: Columns, transposed: Columns, fewest: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Colors of the columns and of the long rows."""
    large = A.rows.size > _LARGE
    lengths = np.diff(transposed.pointers)
    counts = np.bincount(lengths)
    limits = np.flatnonzero(counts)[:-1]  # without the longest: something is to be long
    if not limits.size:
        return
    # The long rows have at least so many entries in one column.
    entries = A.rows.size - np.cumsum(counts * np.arange(counts.size))[limits]
    bounds = limits + -(-entries // A.size)
    likely = np.argsort(bounds, kind="stable")[: _WEIGHED_OF_LARGE if large else _WEIGHED]
    weighed = []
    for limit in limits[likely[bounds[likely] < fewest]].tolist():
        in_long = _restricted(A, lengths > limit)
        weighed.append((limit + int(np.diff(in_long.pointers).max()), limit))
    for bound, limit in sorted(weighed)[: _TRIED_OF_LARGE if large else _TRIED]:
        if bound >= fewest:
            break
        is_long = lengths > limit
        rest, long = _restricted(A, ~is_long), native.transpose(_restricted(A, is_long))[0]
        orders = () if large else ("largest_first", "smallest_last")
        column_colors, row_colors = _colors(rest, orders), _colors(long, orders)
        count = int(column_colors.max(initial=-1) + row_colors.max(initial=-1)) + 2
        fewest = min(fewest, count)
        yield column_colors, row_colors, count


def _restricted(A: Columns, rows: np.ndarray) -> Columns:
    """The entries in some rows."""
    kept = rows[A.rows]
    counted = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    return Columns(A.shape, counted[A.pointers], A.rows[kept])


def _colors(A: Columns, orders: tuple[str, ...]) -> np.ndarray:
    """The best of the natural and of these orders; columns without an entry are neutral."""
    colors = native.color(A, "columns", np.arange(A.size, dtype=np.int32))
    assert colors is not None
    for order in orders:
        sequence = native.vertex_order(A, order, of_columns=True)
        fewer = native.color(A, "columns", sequence, most=int(colors.max(initial=-1)))
        colors = colors if fewer is None else fewer
    return np.where(np.diff(A.pointers) == 0, np.int32(-1), colors)


def in_orders(graph: Colorable, found: Coloring) -> Coloring:
    """The best of `found` and of star bicolorings in several orders, as far as these take little time."""
    if graph.pattern.nnz * max(1, found.num_colors) > _WORK:
        return found
    for order in _ORDERS:
        # Colors that nothing is read from are dropped in the end, so more than the fewest may become fewer.
        other = attempt(graph, order, 2 * found.num_colors)
        if other is not None and other.num_colors < found.num_colors:
            found = other
    return found
