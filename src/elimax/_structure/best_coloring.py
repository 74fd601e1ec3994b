"""`order="auto"`: the structure of a pattern where it has one, else the best of several orders."""

import numpy as np

from elimax._structure.bicoloring import covers, in_orders
from elimax._structure.colorable import Colorable, colorable, off_diagonal
from elimax._structure.coloring import Coloring, read_off
from elimax._structure.greedy import attempt, complete, greedy
from elimax._structure.stencil import structured

_ORDERS = ("smallest_last", "largest_first", "incidence_degree", "dynamic_largest_first", "random")
# Visits of neighbors, all orders together.
_WORK = 200_000_000


def best(graph: Colorable) -> Coloring:
    """A coloring with as few colors as can be had at a sensible cost."""
    if graph.is_complete:
        return complete(graph)
    if graph.kind == "bidirectional":
        return _both(graph)
    lengths = _lengths(graph)
    longest = int(lengths.max(initial=0))
    if not graph.is_symmetric and longest == graph.vertices.size:
        return complete(graph)
    bound = _forest_bound(graph) if graph.is_symmetric else longest
    found = structured(graph, bound, longest)
    if found is not None and found.num_colors <= bound:
        return found
    # In a star or acyclic coloring the colors around a neighbor are visited, which are fewer than vertices.
    work = int(np.minimum(lengths, 64) @ lengths)
    left = (_WORK if found is None else _WORK // 20) - work
    if found is None:
        found = greedy(graph, "natural")
    elif left >= 0:
        found = attempt(graph, "natural", found.num_colors - 1) or found
    for order in _ORDERS:
        left -= 3 * work
        if left < 0 or found.num_colors <= bound:
            break
        found = attempt(graph, order, found.num_colors - 1) or found
    return found


def _lengths(graph: Colorable) -> np.ndarray:
    """The lengths of the rows that vertices are neighbors by, or of the neighbors of each vertex."""
    if graph.is_symmetric:
        return np.diff(graph.vertices.pointers).astype(np.int64)
    return np.bincount(graph.vertices.rows, minlength=graph.vertices.shape[0]).astype(np.int64)


def _forest_bound(graph: Colorable) -> int:
    """The smallest k such that two colors at a time, forests, can hold all edges.

    The forests of k colors have at most (k - 1) n - k (k - 1) / 2 edges together.
    """
    n, edges = graph.pattern.shape[0], off_diagonal(graph.pattern)
    k = 1
    while edges > (k - 1) * n - k * (k - 1) // 2:
        k += 1
    return k if graph.pattern.nnz else 0


def _both(graph: Colorable) -> Coloring:
    """The best of columns only, rows only, long rows or columns apart from the rest, and star bicolorings."""
    n = graph.pattern.shape[1]
    colors = np.full(graph.vertices.size, -1, np.int32)
    columns = best(colorable(graph.pattern, "column"))
    rows = best(colorable(graph.pattern, "row"))
    if columns.num_colors <= rows.num_colors:
        assert columns.column_colors is not None
        colors[:n], count = columns.column_colors, columns.num_colors
    else:
        assert rows.row_colors is not None
        colors[n:], count = rows.row_colors, rows.num_colors
    for other, other_count in covers(graph, count):
        if other_count < count:
            colors, count = other, other_count
    found = read_off(graph, colors)
    assert found is not None
    return in_orders(graph, found)
