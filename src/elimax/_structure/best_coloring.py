"""`order="auto"`: the structure of a pattern where it has one, else the best of several orders."""

import dataclasses

import numpy as np

from elimax._structure.bicoloring import covers, in_orders
from elimax._structure.colorable import Colorable, off_diagonal
from elimax._structure.coloring import Coloring, distinct, read_off
from elimax._structure.greedy import attempt, greedy
from elimax._structure.stencil import structured

_ORDERS = ("smallest_last", "largest_first", "incidence_degree", "dynamic_largest_first", "random")
# How often the vertices are taken once more, by their colors.
_AGAIN = 12
# Visits of neighbors, all orders together; and so few that one coloring costs less than a look for structure.
_WORK = 200_000_000
_LITTLE_WORK = 5_000_000


def best(graph: Colorable) -> Coloring:
    """A coloring with as few colors as can be had at a sensible cost."""
    if graph.kind == "bidirectional":
        return _both(graph)
    lengths = np.diff(graph.shared.pointers).astype(np.int64)
    longest = int(lengths.max(initial=0))
    if not graph.is_symmetric and longest == graph.size:
        return distinct(graph.pattern, graph.kind)
    bound = _forest_bound(graph) if graph.is_symmetric else longest
    work = int(np.minimum(lengths, 64) @ lengths)
    if graph.is_symmetric:
        # Tables of colors and trees are looked up for every edge, far from each other.
        work += 30 * graph.matrix.rows.size
    work_in_order = work + 2 * int(np.minimum(lengths, 512) @ lengths)
    found = greedy(graph, "natural") if work < _LITTLE_WORK else None
    by_structure = None
    if found is None or found.num_colors > bound:
        most = 2 * longest if found is None else found.num_colors - 1
        by_structure = structured(graph, bound, longest, most)
    found = by_structure or found or greedy(graph, "natural")
    # Little is to be gained close to the bound, or beyond what the structure gives.
    nearly = by_structure is not None or found.num_colors <= bound + 2
    left = _WORK // 20 if nearly else _WORK - work
    for order in _ORDERS:
        left -= work_in_order
        if left < 0 or found.num_colors <= bound:
            break
        found = attempt(graph, order, found.num_colors - 1) or found
    for k in range(_AGAIN):
        left -= work
        if left < 0 or found.num_colors <= bound:
            break
        found = attempt(graph, _by_color(found, k % 2 == 1), found.num_colors) or found
    return found


def _by_color(coloring: Coloring, by_size: bool) -> np.ndarray:
    """Color after color, the last or the largest first: so ordered, columns take no more colors than before.

    **Source:** Culberson, "Iterated greedy graph coloring and the difficulty landscape", University of
    Alberta (1992).
    """
    colors = coloring.colors
    assert isinstance(colors, np.ndarray)
    place = np.arange(coloring.num_colors)[::-1]
    if by_size:
        sizes = np.bincount(colors[colors >= 0], minlength=coloring.num_colors)
        place = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    last = np.append(place, coloring.num_colors)  # of neutral vertices, whose color is -1
    return np.argsort(last[colors], kind="stable").astype(np.int32)


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
    m, n = graph.pattern.shape
    colors = np.full(m + n, -1, np.int32)
    columns = best(dataclasses.replace(graph, kind="column"))
    assert columns.column_colors is not None
    colors[:n], count = columns.column_colors, columns.num_colors
    # No product reads more entries than a whole row or column has.
    if count <= -(-graph.pattern.nnz // max(1, m, n)):
        found = read_off(graph, colors)
        assert found is not None
        return found
    if np.diff(graph.matrix.pointers).max(initial=0) < count:  # else rows need as many colors
        rows = best(dataclasses.replace(graph, kind="row"))
        if rows.num_colors < count:
            assert rows.row_colors is not None
            colors[:n], colors[n:], count = -1, rows.row_colors, rows.num_colors
    for other, other_count in covers(graph, count):
        if other_count < count:
            colors, count = other, other_count
    found = read_off(graph, colors)
    assert found is not None
    return in_orders(graph, found)
